package kernel

import (
	"fmt"
	"math"
)

// Hadamard multiplies x in place with the diagonal matrix of signs and then each
// consecutive block of it with the normalised Sylvester-Walsh-Hadamard matrix,
//
//	y_r = 1/√block · Σ_c (−1)^popcount(r AND c) · signs_c · x_c
//
// as fast as a Fourier transform: in log2(block) steps with strides 1, 2, 4, …, of
// which each replaces a pair (a, b) by (a+b, a−b), and then a product with
// float32(1/√block), every operation rounded to float32. block is a power of two
// that divides len(x). signs holds +1 and −1, or is nil for all +1.
func Hadamard(x, signs []float32, block int) {
	if !HadamardBlock(block) || len(x)%block != 0 {
		panic(fmt.Sprintf("kernel: Hadamard: blocks of %d in %d elements", block, len(x)))
	}
	if signs != nil {
		active.float.mul(x, x, signs[:len(x)])
	}
	active.float.hadamard(x, block)
	active.float.scale(x, x, float32(1/math.Sqrt(float64(block))))
}

// HadamardInverse undoes Hadamard: the same transform with the signs after it.
func HadamardInverse(x, signs []float32, block int) {
	Hadamard(x, nil, block)
	if signs != nil {
		active.float.mul(x, x, signs[:len(x)])
	}
}

// HadamardBlock reports whether a block can have that size.
func HadamardBlock(block int) bool { return block > 0 && block&(block-1) == 0 }

func hadamardGeneric(x []float32, block int) {
	for stride := 1; stride < block; stride *= 2 {
		for base := 0; base < len(x); base += 2 * stride {
			lo, hi := x[base:base+stride], x[base+stride:base+2*stride]
			for i, a := range lo {
				b := hi[i]
				lo[i], hi[i] = a+b, a-b
			}
		}
	}
}
