package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"

	"trit/internal/kernel/gen/legacy"
)

// isa is an instruction set to generate for.
type isa struct {
	name  string
	lanes int // float32 values in a vector
}

var (
	sse41  = isa{legacy.Suffix, 4}
	avx2   = isa{"AVX2", 8}
	avx512 = isa{"AVX512", 16}
)

func (a isa) wide() bool { return a.lanes == 16 }

// narrow tells that there are no masks: the last elements are copied beside what fills up
// a vector, or are taken one by one.
func (a isa) narrow() bool { return a.lanes == 4 }

// bytes is the size of a vector.
func (a isa) bytes() int { return 4 * a.lanes }

// vec allocates a full vector register.
func (a isa) vec() VecVirtual {
	switch {
	case a.wide():
		return ZMM()
	case a.narrow():
		return XMM()
	}
	return YMM()
}

func (a isa) zero(v VecVirtual) {
	if a.wide() {
		VPXORD(v, v, v)
	} else {
		VXORPS(v, v, v)
	}
}

// zeroed allocates a vector of zeros.
func (a isa) zeroed() VecVirtual {
	v := a.vec()
	a.zero(v)
	return v
}

// function starts an assembly function named base + ISA.
func (a isa) function(base, signature, doc string) {
	TEXT(base+a.name, NOSPLIT, signature)
	Pragma("noescape")
	Doc(base + a.name + " " + doc)
}

// constants holds vectors of one repeated 32-bit value in read-only memory.
var constants = map[uint32]Mem{}

// repeated returns a 64-byte constant that holds the value sixteen times.
func repeated(bits uint32) Mem {
	if m, ok := constants[bits]; ok {
		return m
	}
	m := GLOBL(fmt.Sprintf("float%08x", bits), RODATA|NOPTR)
	for i := range 16 {
		DATA(4*i, U32(bits))
	}
	constants[bits] = m
	return m
}

func repeatedFloat(f float32) Mem { return repeated(math.Float32bits(f)) }

// tailMasks holds sixteen dwords of ones followed by sixteen of zeros: read from
// element 16−n, it selects the first n lanes.
var tailMasks Mem

func tailMaskTable() Mem {
	if tailMasks.Base == nil {
		tailMasks = GLOBL("tailMasks", RODATA|NOPTR)
		for i := range 32 {
			v := uint32(0)
			if i < 16 {
				v = math.MaxUint32
			}
			DATA(4*i, U32(v))
		}
	}
	return tailMasks
}

// tail is a mask for the first lanes of a vector.
type tail struct {
	isa isa
	k   Register   // AVX-512: a mask register
	v   VecVirtual // AVX2: a vector of ones and zeros
}

// tailMask makes the mask for n remaining elements, 0 < n < lanes. Register n is
// kept. On AVX2 lanes beyond n+skip of a run of vectors may be asked for: the
// mask covers elements skip…skip+7.
func (a isa) tailMask(n Register, skip int) tail {
	if a.wide() {
		ones, k := GP32(), K()
		MOVL(U32(math.MaxUint32), ones)
		BZHIL(n.(GP).As32(), ones, ones)
		if skip > 0 {
			SHRL(U8(skip), ones)
		}
		KMOVW(ones, k)
		return tail{isa: a, k: k}
	}
	table, index, mask := GP64(), GP64(), YMM()
	LEAQ(tailMaskTable(), table)
	MOVQ(n, index)
	NEGQ(index)
	VMOVUPS(Mem{Base: table, Index: index, Scale: 4, Disp: 64 + 4*skip}, mask)
	return tail{isa: a, v: mask}
}

// load reads the masked lanes, zeros elsewhere, touching no memory beyond.
func (t tail) load(m Mem, v VecVirtual) {
	if t.isa.wide() {
		VMOVUPS_Z(m, t.k, v)
	} else {
		VMASKMOVPS(m, t.v, v)
	}
}

// store writes the masked lanes.
func (t tail) store(v VecVirtual, m Mem) {
	if t.isa.wide() {
		VMOVUPS(v, t.k, m)
	} else {
		VMASKMOVPS(v, t.v, m)
	}
}

// keep zeroes the lanes of v that are not masked.
func (t tail) keep(v VecVirtual) {
	if t.isa.wide() {
		VMOVAPS_Z(v, t.k, v)
	} else {
		VANDPS(t.v, v, v)
	}
}

// beside copies n elements of so many bytes, 0 < n < 16, from a place to local memory for
// sixteen, which fill fills up.
func (a isa) beside(label string, from Mem, n Register, bytes int, fill VecVirtual) Mem {
	local := AllocLocal(16 * bytes)
	for i := 0; i < 16*bytes; i += 16 {
		VMOVUPS(fill, local.Offset(i))
	}
	a.copyElements(label, from, local, n, bytes)
	return local
}

// copyElements copies n > 0 elements, one after the other.
func (a isa) copyElements(label string, from, to Mem, n Register, bytes int) {
	i, element := GP64(), GP32()
	XORQ(i, i)
	at := func(m Mem) Mem {
		if m.Index != nil {
			base := GP64()
			LEAQ(m, base)
			m = Mem{Base: base}
		}
		m.Index, m.Scale = i, uint8(bytes)
		return m
	}
	from, to = at(from), at(to)
	Label(label)
	if bytes == 2 {
		MOVWLZX(from, element)
		MOVW(element.As16(), to)
	} else {
		MOVL(from, element)
		MOVL(element, to)
	}
	INCQ(i)
	CMPQ(i, n)
	JLT(LabelRef(label))
}

// sumStripes joins sixteen partial sums, one AVX-512, two AVX2 or four SSE vectors, by
// the tree j+8, j+4, j+2, j+1, and returns the register whose lowest lane has
// the sum. The accumulators are overwritten.
func (a isa) sumStripes(acc []VecVirtual) Register {
	if a.narrow() {
		VADDPS(acc[2], acc[0], acc[0])
		VADDPS(acc[3], acc[1], acc[1])
		VADDPS(acc[1], acc[0], acc[0])
		return a.foldHalves(acc[0], func(t, x Register) { VADDPS(t, x, x) })
	}
	upper := YMM()
	sum := acc[0].AsY()
	if a.wide() {
		VEXTRACTF64X4(U8(1), acc[0], upper)
		VADDPS(upper, sum, sum)
	} else {
		VADDPS(acc[1], sum, sum)
	}
	return a.foldHalves(acc[0], func(t, x Register) { VADDPS(t, x, x) })
}

// foldHalves combines eight float32 lanes of v, or four of SSE, with op by halves and
// returns the register with the result in its lowest lane.
func (a isa) foldHalves(v VecVirtual, op func(t, x Register)) Register {
	t, x := XMM(), v.AsX()
	switch {
	case a.wide():
		VEXTRACTF32X4(U8(1), v.AsY(), t)
		op(t, x)
	case !a.narrow():
		VEXTRACTF128(U8(1), v.AsY(), t)
		op(t, x)
	}
	VMOVHLPS(x, x, t)
	op(t, x)
	VPERMILPS(U8(1), x, t)
	op(t, x)
	return x
}

// stripes returns the accumulators for sixteen zeroed partial sums.
func (a isa) stripes() []VecVirtual {
	acc := make([]VecVirtual, 16/a.lanes)
	for i := range acc {
		acc[i] = a.zeroed()
	}
	return acc
}

// broadcastParam loads a float32 parameter into all lanes.
func (a isa) broadcastParam(name string) VecVirtual {
	c, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	v := a.vec()
	VBROADCASTSS(c.Addr, v)
	return v
}

// slice loads the base of a slice parameter.
func slice(name string) Register { return Load(Param(name).Base(), GP64()) }

// length loads the length of a slice parameter.
func length(name string) Register { return Load(Param(name).Len(), GP64()) }

// finish ends a function without a result.
func finish() {
	VZEROUPPER()
	RET()
}

// finishWith ends a function that returns the lowest lane of x.
func finishWith(result int, x Register) {
	Store(x, ReturnIndex(result))
}

// imm is the shortest immediate operand for a small positive number.
func imm(n int) Constant {
	if n < 128 {
		return U8(n)
	}
	return U32(n)
}
