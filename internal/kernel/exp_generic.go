package kernel

import "math"

// The exponential: with n = x/ln 2 rounded to an integer, e^x = 2^n · e^r for
// r = x − n·ln 2 in ±0.347, and e^r = 1 + r + r²·p(r) with the minimax polynomial
// p of Cephes' expf. ln 2 is split so that n·expLn2Hi and the first subtraction
// are exact. All versions of the kernel perform these operations in this order.
const (
	expHighest = 89   // e^x overflows from here on; n stays at 128
	expLowest  = -104 // e^x rounds to zero from here on; n stays at −150
	expLog2E   = 1.44269504088896341
	expLn2Hi   = 0.693359375 // 355/512
	expLn2Lo   = -2.12194440e-4
	expP0      = 1.9875691500e-4
	expP1      = 1.3981999507e-3
	expP2      = 8.3334519073e-3
	expP3      = 4.1665795894e-2
	expP4      = 1.6666665459e-1
	expP5      = 5.0000001201e-1
	// roundMagic, added and subtracted, rounds to the nearest integer, ties to
	// even; in between the integer sits in the low bits of the sum.
	roundMagic = 12582912 // 1.5·2²³
)

func exp32(x float32) float32 {
	if x > expHighest {
		x = expHighest
	}
	if x < expLowest {
		x = expLowest
	}
	shifted := float32(x*expLog2E) + roundMagic
	n := shifted - roundMagic
	r := x - float32(n*expLn2Hi)
	r -= float32(n * expLn2Lo)
	p := float32(r*expP0) + expP1
	p = float32(p*r) + expP2
	p = float32(p*r) + expP3
	p = float32(p*r) + expP4
	p = float32(p*r) + expP5
	p = float32(p*float32(r*r)) + r
	p += 1
	// 2^n in two factors, each a normal number for every n in −150…128, so that
	// subnormal results are rounded once.
	k := int32(math.Float32bits(shifted) - 0x4b400000)
	half := k >> 1
	p = float32(p * math.Float32frombits(uint32(half+127)<<23))
	return float32(p * math.Float32frombits(uint32(k-half+127)<<23))
}

func expGeneric(dst, src []float32) {
	for i, x := range src {
		dst[i] = exp32(x)
	}
}

func expSumGeneric(dst, src []float32) (m, l float32) {
	m = maxGeneric(src)
	var acc [stripes]float32
	for i, x := range src {
		e := exp32(x - m)
		dst[i] = e
		acc[i%stripes] += e
	}
	return m, sumStripes(&acc)
}
