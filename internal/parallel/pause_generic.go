//go:build noasm || !(amd64 || arm64)

package parallel

// pause does nothing where the processor's spin hint is out of reach.
func pause() {}
