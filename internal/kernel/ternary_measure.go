package kernel

import "encoding/binary"

// StreamRead reads buf once, front to back, as fast as the active level can, and
// returns the exclusive or of its little-endian 64-bit words (a last partial word
// padded with zeros). Timing it gives the read bandwidth that mat-vec kernels are
// measured against.
func StreamRead(buf []byte) uint64 {
	return active.measure.streamRead(buf)
}

// Int8Peak runs iters rounds of nothing but the int8 multiply-accumulate
// instructions of the active level, on registers, and returns the number of
// multiply-accumulates done. Timing it gives the arithmetic peak that mat-mat
// kernels are measured against.
func Int8Peak(iters int) (macs int64) {
	return active.measure.int8Peak(max(0, iters))
}

// TilePeak does the same with the multiply-accumulate instructions on tiles. Without
// them it does nothing and returns 0.
func TilePeak(iters int) (macs int64) {
	return active.measure.tilePeak(max(0, iters))
}

// measureKernels do the least that is needed to keep memory or the multipliers busy.
type measureKernels struct {
	streamRead func(buf []byte) uint64
	int8Peak   func(iters int) int64
	tilePeak   func(iters int) int64
}

var genericMeasure = measureKernels{streamRead: streamReadGeneric, int8Peak: int8PeakGeneric, tilePeak: noTiles}

func noTiles(int) int64 { return 0 }

func streamReadGeneric(buf []byte) uint64 {
	var a, b, c, d uint64
	for len(buf) >= 32 {
		a ^= binary.LittleEndian.Uint64(buf)
		b ^= binary.LittleEndian.Uint64(buf[8:])
		c ^= binary.LittleEndian.Uint64(buf[16:])
		d ^= binary.LittleEndian.Uint64(buf[24:])
		buf = buf[32:]
	}
	for len(buf) > 0 {
		var word [8]byte
		buf = buf[copy(word[:], buf):]
		a ^= binary.LittleEndian.Uint64(word[:])
	}
	return a ^ b ^ c ^ d
}

// int8PeakGeneric multiplies as the Blocked kernels do, four products a word.
func int8PeakGeneric(iters int) int64 {
	var a [4]uint64
	v := uint64(iters) | 1
	for range iters {
		a[0] += v * 3
		a[1] += v * 5
		a[2] += v * 7
		a[3] += v * 9
	}
	if a[0]^a[1]^a[2]^a[3] == 1 {
		return 0 // never: keeps the products alive
	}
	return 16 * int64(iters)
}
