//go:build !noasm && (amd64 || arm64)

package kernel

import "unsafe"

// decodeF32Little copies: these processors are little-endian under Go.
func decodeF32Little(dst []float32, src []byte) {
	copy(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(dst))), 4*len(dst)), src)
}
