// Package legacy turns VEX encodings on registers of 128 bits into the encodings that
// processors without AVX know, so that kernels of the level SSE41 are written, with the same
// generators, as those of AVX2 are.
package legacy

import (
	"fmt"
	"strings"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/reg"
	"github.com/mmcloughlin/avo/x86"
)

// Suffix is at the end of the names of the functions that are turned.
const Suffix = "SSE41"

// Lower makes Generate turn these functions before it allocates registers.
func Lower() { pass.Compile = pass.Concat(pass.FunctionPass(function), pass.Compile) }

type (
	two   = func(from, to operand.Op) (*ir.Instruction, error)
	three = func(imm, from, to operand.Op) (*ir.Instruction, error)
)

// copies have one source and overwrite their destination. Their operands in memory may lie
// anywhere: they move, or read less than a register.
var copies = map[string]two{
	"VMOVUPS": x86.MOVUPS, "VMOVAPS": x86.MOVAPS, "VMOVDQU": x86.MOVOU, "VMOVDQA": x86.MOVO,
	"VMOVSS": x86.MOVSS, "VMOVSD": x86.MOVSD, "VMOVQ": x86.MOVQ,
	"VPMOVSXBD": x86.PMOVSXBD, "VPMOVZXBD": x86.PMOVZXBD, "VPMOVSXWD": x86.PMOVSXWD, "VPMOVZXWD": x86.PMOVZXWD,
	"VCVTPS2PD": x86.CVTPS2PD,
}

// conversions are copies whose operands in memory are whole registers.
var conversions = map[string]two{
	"VCVTDQ2PS": x86.CVTPL2PS, "VCVTPS2DQ": x86.CVTPS2PL, "VCVTTPS2DQ": x86.CVTTPS2PL,
}

// scalars have two sources, of which the second is overwritten here, and may lie anywhere.
var scalars = map[string]two{
	"VADDSS": x86.ADDSS, "VSUBSS": x86.SUBSS, "VMULSS": x86.MULSS, "VADDSD": x86.ADDSD,
}

// commuting have two sources in any order, of which one is overwritten here.
var commuting = map[string]two{
	"VADDPS": x86.ADDPS, "VMULPS": x86.MULPS, "VADDPD": x86.ADDPD, "VMULPD": x86.MULPD,
	"VPADDB": x86.PADDB, "VPADDW": x86.PADDW, "VPADDD": x86.PADDL, "VPMADDWD": x86.PMADDWL,
	"VPAND": x86.PAND, "VPOR": x86.POR, "VPXOR": x86.PXOR, "VANDPS": x86.ANDPS, "VXORPS": x86.XORPS,
	"VPMINUB": x86.PMINUB, "VPMAXUD": x86.PMAXUD,
}

// ordered have a first source that is in the registers or in memory, and a second that is
// overwritten here.
var ordered = map[string]two{
	"VSUBPS": x86.SUBPS, "VDIVPS": x86.DIVPS, "VMINPS": x86.MINPS, "VMAXPS": x86.MAXPS,
	"VPSUBB": x86.PSUBB, "VPSUBD": x86.PSUBL, "VPMADDUBSW": x86.PMADDUBSW, "VPSHUFB": x86.PSHUFB,
	"VPCMPGTD": x86.PCMPGTL, "VPACKSSDW": x86.PACKSSLW, "VPACKSSWB": x86.PACKSSWB, "VMOVHLPS": x86.MOVHLPS,
	"VPUNPCKLBW": x86.PUNPCKLBW, "VPUNPCKHBW": x86.PUNPCKHBW,
	"VPUNPCKLWD": x86.PUNPCKLWL, "VPUNPCKHWD": x86.PUNPCKHWL, "VPHADDD": x86.PHADDD,
}

// shifts overwrite what they shift.
var shifts = map[string]two{
	"VPSRLW": x86.PSRLW, "VPSLLW": x86.PSLLW, "VPSRLD": x86.PSRLL, "VPSLLD": x86.PSLLL, "VPSRAD": x86.PSRAL,
}

// shuffles take an immediate operand and overwrite their destination.
var shuffles = map[string]three{
	"VPSHUFD": x86.PSHUFD, "VPERMILPS": x86.PSHUFD,
}

// lowering is the state of turning one function.
type lowering struct {
	nodes []ir.Node
	next  reg.Index // of virtual vector registers
}

func function(f *ir.Function) error {
	if !strings.HasSuffix(f.Name, Suffix) {
		return nil
	}
	l := lowering{}
	for _, i := range f.Instructions() {
		for _, r := range i.Registers() {
			if v := reg.ToVirtual(r); v != nil && r.Kind() == reg.KindVector {
				l.next = max(l.next, v.VirtualIndex()+1)
			}
		}
	}
	for _, n := range f.Nodes {
		i, ok := n.(*ir.Instruction)
		if !ok {
			l.nodes = append(l.nodes, n)
		} else if err := l.instruction(i); err != nil {
			return fmt.Errorf("%s: %s: %w", f.Name, i.Opcode, err)
		}
	}
	f.Nodes = l.nodes
	return nil
}

func (l *lowering) instruction(i *ir.Instruction) error {
	for _, r := range i.Registers() {
		if r.Kind() == reg.KindVector && r.Size() != 16 || r.Kind() == reg.KindOpmask {
			return fmt.Errorf("there is no register %s", r.Asm())
		}
	}
	op, o := i.Opcode, i.Operands
	switch {
	case op == "VZEROUPPER":
		return nil
	case op == "VMOVD" && (operand.IsMem(o[0]) || operand.IsMem(o[1])):
		return l.emit(x86.MOVSS(o[0], o[1]))
	case op == "VMOVD":
		return l.emit(x86.MOVD(o[0], o[1])) // which Go's assembler makes MOVQ
	case copies[op] != nil:
		return l.emit(copies[op](o[0], o[1]))
	case conversions[op] != nil:
		return l.emit(conversions[op](l.aligned(o[0]), o[1]))
	case scalars[op] != nil:
		return l.binary(scalars[op], o[0], o[1], o[2])
	case commuting[op] != nil:
		if same(o[0], o[2]) || operand.IsMem(o[0]) && !same(o[1], o[2]) && !constant(o[0]) {
			o[0], o[1] = o[1], o[0] // what is overwritten, or only loaded, comes second
		}
		return l.binary(commuting[op], l.aligned(o[0]), o[1], o[2])
	case ordered[op] != nil:
		return l.binary(ordered[op], l.aligned(o[0]), o[1], o[2])
	case shifts[op] != nil:
		return l.binary(shifts[op], o[0], o[1], o[2])
	case shuffles[op] != nil:
		return l.emit(shuffles[op](o[0], l.aligned(o[1]), o[2]))
	case op == "VBROADCASTSS" || op == "VPBROADCASTD":
		from := o[0]
		if operand.IsMem(from) {
			if err := l.emit(x86.MOVSS(from, o[1])); err != nil {
				return err
			}
			from = o[1]
		}
		return l.emit(x86.PSHUFD(operand.U8(0), from, o[1]))
	case op[0] == 'V':
		return fmt.Errorf("no other encoding is known")
	}
	l.nodes = append(l.nodes, i)
	return nil
}

// binary emits to = second op first.
func (l *lowering) binary(f two, first, second, to operand.Op) error {
	if same(second, to) {
		return l.emit(f(first, to))
	}
	into := to
	if same(first, to) {
		into = l.vector()
	}
	if err := l.load(second, into); err != nil {
		return err
	}
	if err := l.emit(f(first, into)); err != nil || into == to {
		return err
	}
	return l.load(into, to)
}

// aligned loads an operand in memory, unless it is a constant: the linker aligns these.
func (l *lowering) aligned(o operand.Op) operand.Op {
	if !operand.IsMem(o) || constant(o) {
		return o
	}
	v := l.vector()
	if err := l.load(o, v); err != nil {
		panic(err)
	}
	return v
}

func (l *lowering) load(from, to operand.Op) error {
	if operand.IsMem(from) {
		return l.emit(x86.MOVUPS(from, to))
	}
	return l.emit(x86.MOVAPS(from, to))
}

func (l *lowering) vector() operand.Op {
	l.next++
	return reg.NewVirtual(l.next-1, reg.KindVector, reg.S128)
}

func (l *lowering) emit(i *ir.Instruction, err error) error {
	if err == nil {
		l.nodes = append(l.nodes, i)
	}
	return err
}

func same(a, b operand.Op) bool {
	x, ok := a.(reg.Register)
	y, also := b.(reg.Register)
	return ok && also && reg.Equal(x, y)
}

func constant(o operand.Op) bool {
	m, ok := o.(operand.Mem)
	return ok && m.Symbol.Name != "" && m.Symbol.Static
}

// WidenF16 makes float32 of binary16, widened to 32 bits with their signs, where there is no
// F16C: with the exponent at its new place, a product with 2^112 corrects the bias, of
// subnormal numbers too. Infinities and NaNs get the largest exponent in the end; signalling
// NaNs stay these. constant makes 16 bytes that repeat a number.
func WidenF16(v reg.VecVirtual, constant func(uint32) operand.Mem) {
	special := build.XMM()
	build.VPSLLD(operand.U8(13), v, v)
	build.VPAND(constant(0x8fffe000), v, v)
	build.VMOVDQA(v, special)
	build.VPAND(constant(0x0fffe000), special, special)
	build.VPCMPGTD(constant(0x0f7fe000), special, special)
	build.VPAND(constant(0x7f800000), special, special)
	build.VMULPS(constant(0x77800000), v, v) // 2^112
	build.VPOR(special, v, v)
}
