//go:build !noasm && (amd64 || arm64)

package parallel

// pause tells the processor that the caller is spinning, which saves power
// and leaves more of a shared core to its other thread.
//
//go:noescape
func pause()
