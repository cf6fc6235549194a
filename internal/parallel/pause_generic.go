//go:build noasm || !(amd64 || arm64)

package parallel

// pause and fetch do nothing where the processor's hints are out of reach.
func pause() {}

func fetch(uintptr) {}
