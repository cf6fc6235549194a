// Command coarse generates the amd64 assembly of the coarse copy of an output
// head, for SSE4.1, AVX2, AVX-VNNI, and AVX-512 with VNNI. The float operations are those of the
// pure-Go twins in the same order; no fused multiply-add is emitted.
//
// Run it through go generate in the kernel package.
package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"

	"trit/internal/kernel/gen/legacy"
)

func main() {
	ConstraintExpr("!noasm")
	for _, p := range []precision{fourBits, sixBits} {
		for _, states := range []int{1, 2, 4, 8} {
			score512(states, p, false)
			score512(states, p, true)
		}
		score256(1, p, false)
		score256(1, p, true)
		score256(2, p, true)
		scoreVNNI(p)
	}
	refine512()
	refine512x4()
	refine256(ymm)
	refine256(xmm)
	for _, v := range []vectors{zmm, ymm, xmm} {
		center(v)
		encode(v)
	}
	for _, p := range []precision{fourBits, sixBits} {
		score128(1, p, false)
		score128(1, p, true)
		score128(2, p, true)
	}
	legacy.Lower()
	Generate()
}

func function(name, signature, doc string) {
	TEXT(name, NOSPLIT, signature)
	Pragma("noescape")
	Doc(name + " " + doc)
}

// constants holds 64-byte constants of one repeated 32-bit value.
var constants = map[uint32]Mem{}

func repeated(v uint32) Mem {
	m, ok := constants[v]
	if !ok {
		m = GLOBL(fmt.Sprintf("coarse%08x", v), RODATA|NOPTR)
		for i := range 16 {
			DATA(4*i, U32(v))
		}
		constants[v] = m
	}
	return m
}

func repeatedFloat(f float32) Mem { return repeated(math.Float32bits(f)) }

const (
	lowNibbles = 0x0f0f0f0f
	upperSix   = 0x3c3c3c3c
	pairs      = 0x03030303
)
