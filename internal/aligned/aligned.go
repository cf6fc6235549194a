// Package aligned makes slices that start on a cache line, so that vector
// loads of a row never straddle two lines.
package aligned

import "unsafe"

// Line is the alignment in bytes.
const Line = 64

// Bytes returns n zero bytes that start on a cache line.
func Bytes(n int) []byte {
	buf := make([]byte, n+Line-1)
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(buf))) % Line)
	return buf[skip : skip+n : skip+n]
}

// Float32s returns n zero values that start on a cache line.
func Float32s(n int) []float32 {
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(Bytes(4*n)))), n)
}
