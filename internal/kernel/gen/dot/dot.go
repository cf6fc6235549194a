// Package dot has an instruction that Go's assembler knows in encodings of AVX-512 only.
package dot

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// VEX adds to each 32-bit lane of sum the products of four unsigned bytes of codes
// with four signed bytes of q: VPDPBUSD in its VEX encoding, for AVX-VNNI.
func VEX(q, codes, sum reg.VecVirtual) {
	i := &ir.Instruction{Opcode: "LONG", Inputs: []Op{q, codes, sum}, Outputs: []Op{sum}}
	i.Operands = []Op{encodedDot{U32(0), i}}
	Instruction(i)
}

// An encodedDot is the bytes of a VPDPBUSD: VEX.256.66.0F38.W0 50 /r. It is printed after
// registers have been allocated to the operands of its instruction; for avo it is a constant.
type encodedDot struct {
	Constant
	of *ir.Instruction
}

func (e encodedDot) Asm() string {
	n := func(i int) uint32 {
		v := e.of.Inputs[i].(reg.VecPhysical).PhysicalIndex()
		if v > 15 {
			panic("no registers left for VEX encodings")
		}
		return uint32(v)
	}
	q, codes, sum := n(0), n(1), n(2)
	return fmt.Sprintf("$0x50%02x%02xc4; BYTE $0x%02x // VPDPBUSD Y%d, Y%d, Y%d",
		(15-codes)<<3|1<<2|1, (1-sum>>3)<<7|1<<6|(1-q>>3)<<5|2, 0xC0|sum&7<<3|q&7, q, codes, sum)
}
