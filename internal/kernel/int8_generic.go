package kernel

import "math"

// genericInt8 is the portable twin of all quantisation kernels.
var genericInt8 = int8Kernels{absMaxBits: absMaxBitsGeneric, convert: convertInt8Generic}

func absMaxBitsGeneric(a []float32) uint32 {
	var m uint32
	for _, v := range a {
		m = max(m, math.Float32bits(v)&^(1<<31))
	}
	return m
}

func convertInt8Generic(q []int8, a []float32, s float32) int32 {
	// Adding 1.5·2²³ leaves the integer, rounded to nearest even, in the low
	// bits of the sum; |a·s| stays far below the 2²² that this holds for.
	const magic = 12582912
	const magicBits = 0x4B400000
	q = q[:len(a)]
	var sum int32
	for i, v := range a {
		n := int32(math.Float32bits(float32(v*s)+magic)) - magicBits
		n = min(max(n, -128), 127)
		q[i] = int8(n)
		sum += n
	}
	return sum
}
