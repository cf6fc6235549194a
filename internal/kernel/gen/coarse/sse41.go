package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// score128 makes what score256 does with registers of 128 bits, of which there are enough for
// the sums of all rows, and for words of half of them.
func score128(states int, p precision, narrow bool) {
	name, of, bias, parts := "coarseScore", "states", p.bias, 2
	if narrow {
		name, of, bias, parts = "coarseNarrow", "the upper bytes of states", p.narrow, 1
	}
	function(xmm.name(fmt.Sprintf("%s%dx%d", name, p.bits, states)), scoreSignature,
		fmt.Sprintf("multiplies the first %d bits of a panel with %s: %d of them.", p.bits, of, states))
	codes, blocks := Load(Param("codes"), GP64()), Load(Param("blocks"), GP64())
	x := Load(Param("x"), GP64())
	var xStride, second Register
	if states == 2 {
		xStride = Load(Param("xStride"), GP64())
	}
	if p == sixBits {
		second = Load(Param("pairs"), GP64())
	}
	sums := make([][]VecVirtual, 4)
	for part := range sums {
		for range states * parts {
			v := XMM()
			VPXOR(v, v, v)
			sums[part] = append(sums[part], v)
		}
	}
	turn := 4 // blocks, whose products words take
	if p == sixBits {
		turn = 2 // which share one of the second plane
	}
	Label("loop")
	for half := range 2 {
		var words [2][]VecVirtual
		// add moves the sums of words to those of the half.
		add := func() {
			for i, w := range words {
				for j := range w {
					VPMADDWD(repeated(0x00010001), w[j], w[j])
					VPADDD(w[j], sums[2*half+i][j], sums[2*half+i][j])
				}
				words[i] = nil
			}
		}
		for block := range turn {
			if half == 0 {
				PREFETCHT0(Mem{Base: codes, Disp: 64*block + prefetchAhead})
				if p == sixBits && block%2 == 0 {
					PREFETCHT0(Mem{Base: second, Disp: 32*block + prefetchAhead/2})
				}
			}
			for nibble := range 2 {
				q := make([]VecVirtual, states*parts)
				for j := range q {
					from := Mem{Base: x, Disp: 4 * (parts*(2*block+nibble) + j%parts)}
					if j >= parts {
						from.Index, from.Scale = xStride, 1
					}
					q[j] = XMM()
					VPBROADCASTD(from, q[j])
				}
				for i := range words {
					code := code128(p, codes, second, block, nibble, 16*(2*half+i))
					first := words[i] == nil
					for j := range q {
						product := code
						if j < len(q)-1 {
							product = XMM()
						}
						VPMADDUBSW(q[j], code, product)
						if first {
							words[i] = append(words[i], product)
						} else {
							VPADDW(product, words[i][j], words[i][j])
						}
					}
				}
			}
			if p == sixBits {
				add()
			}
		}
		if p == fourBits {
			add()
		}
	}
	ADDQ(U32(uint32(64*turn)), codes)
	if p == sixBits {
		ADDQ(U32(uint32(32*turn)), second)
	}
	ADDQ(Imm(uint64(8*parts*turn)), x)
	SUBQ(Imm(uint64(turn)), blocks)
	JNZ(LabelRef("loop"))
	logits256(xmm, sums, states, parts, p, bias)
}

// code128 loads the codes of four rows, the bytes from disp on of a block.
func code128(p precision, codes, second Register, block, nibble, disp int) VecVirtual {
	code := XMM()
	VMOVDQU(Mem{Base: codes, Disp: 64*block + disp}, code)
	if p == fourBits {
		if nibble == 1 {
			VPSRLW(U8(4), code, code)
		}
		VPAND(repeated(lowNibbles), code, code)
		return code
	}
	if nibble == 0 {
		VPSLLW(U8(2), code, code)
	} else {
		VPSRLW(U8(2), code, code)
	}
	VPAND(repeated(upperSix), code, code)
	two := XMM()
	VMOVDQU(Mem{Base: second, Disp: 64*(block/2) + disp}, two)
	if f := 2*(block%2) + nibble; f > 0 {
		VPSRLW(U8(2*f), two, two)
	}
	VPAND(repeated(pairs), two, two)
	VPOR(two, code, code)
	return code
}
