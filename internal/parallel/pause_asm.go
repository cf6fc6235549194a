//go:build !noasm && (amd64 || arm64)

package parallel

// pause tells the processor that the caller is spinning, which saves power
// and leaves more of a shared core to its other thread.
//
//go:noescape
func pause()

// fetch asks for fetchBytes bytes to be brought into the second cache. The address need
// not be valid.
//
//go:noescape
func fetch(at uintptr)
