package gguf

import (
	"fmt"
	"math"
	"math/bits"
	"strings"
)

// Type is the storage type of a tensor's elements.
//
// A constant's value is the type's id in the file, except where two projects
// use one id for two types: then the second has a value above 0xffff, and
// [Type.ID] gives the id.
type Type uint32

// The storage types. Sizes and layouts are those of ggml (llama.cpp), and of
// Microsoft's bitnet.cpp for I2_S, TL1 and TL2.
const (
	TypeF32     Type = 0   // IEEE binary32
	TypeF16     Type = 1   // IEEE binary16
	TypeQ4_0    Type = 2   // 32 elements: f16 scale, 4-bit codes
	TypeQ4_1    Type = 3   // 32 elements: f16 scale and minimum, 4-bit codes
	TypeQ5_0    Type = 6   // 32 elements: f16 scale, 5-bit codes
	TypeQ5_1    Type = 7   // 32 elements: f16 scale and minimum, 5-bit codes
	TypeQ8_0    Type = 8   // 32 elements: f16 scale, 8-bit codes
	TypeQ8_1    Type = 9   // 32 elements: f16 scale and sum, 8-bit codes
	TypeQ2_K    Type = 10  // 256 elements, 2-bit codes, two-level scales
	TypeQ3_K    Type = 11  // 256 elements, 3-bit codes, two-level scales
	TypeQ4_K    Type = 12  // 256 elements, 4-bit codes, two-level scales
	TypeQ5_K    Type = 13  // 256 elements, 5-bit codes, two-level scales
	TypeQ6_K    Type = 14  // 256 elements, 6-bit codes, two-level scales
	TypeQ8_K    Type = 15  // 256 elements: f32 scale, 8-bit codes (activations)
	TypeIQ2XXS  Type = 16  // 256 elements, codebook
	TypeIQ2XS   Type = 17  // 256 elements, codebook
	TypeIQ3XXS  Type = 18  // 256 elements, codebook
	TypeIQ1S    Type = 19  // 256 elements, codebook
	TypeIQ4NL   Type = 20  // 32 elements: f16 scale, 4-bit codes into a table
	TypeIQ3S    Type = 21  // 256 elements, codebook
	TypeIQ2S    Type = 22  // 256 elements, codebook
	TypeIQ4XS   Type = 23  // 256 elements, 4-bit codes into a table
	TypeI8      Type = 24  // signed integer
	TypeI16     Type = 25  // signed integer
	TypeI32     Type = 26  // signed integer
	TypeI64     Type = 27  // signed integer
	TypeF64     Type = 28  // IEEE binary64
	TypeIQ1M    Type = 29  // 256 elements, codebook
	TypeBF16    Type = 30  // upper half of a binary32
	TypeTQ1_0   Type = 34  // 256 ternary elements: five to a byte, f16 scale last
	TypeTQ2_0   Type = 35  // 256 ternary elements: four to a byte, f16 scale last
	TypeI2S     Type = 36  // ternary, four to a byte, one f32 scale per tensor (bitnet.cpp)
	TypeTL1     Type = 38  // ternary in ARM lookup-table tiles (bitnet.cpp)
	TypeTL2     Type = 39  // ternary in x86 lookup-table tiles (bitnet.cpp)
	TypeQ1_0    Type = 41  // 128 elements −d or +d: f16 scale, 1 bit each
	TypeQ2_0    Type = 42  // 64 elements: f16 scale, 2-bit codes (llama.cpp)
	TypePQ2_0   Type = 142 // as Q2_0, but 128 elements share a scale (Prism)
	TypePTQ1_0  Type = 143 // 128 ternary elements: five to a byte, f16 scale last (Prism)
	TypeIQ1BN   Type = 134 // 64 ternary elements in 13 bytes, f16 scale in front of each row (ik_llama.cpp)
	TypeIQ2BN   Type = 135 // 64 ternary elements in 16 bytes, f32 scale in front of each row (ik_llama.cpp)
	TypeIQ2BNR4 Type = 335 // as IQ2_BN, four rows interleaved behind their scales (ik_llama.cpp)

	// TypeMXFP4 is llama.cpp's meaning of id 39: 32 elements, one shared
	// exponent, 4-bit floats.
	TypeMXFP4 Type = 0x10000 | 39
	// TypeQ2_0G128 is Prism's meaning of id 42: as Q2_0, but 128 elements
	// share a scale.
	TypeQ2_0G128 Type = 0x10000 | 42
	// TypeQ2SEQ is Tencent's meaning of id 41: 512 elements of the four values
	// −3, −1, +1 and +3 times an f16 scale.
	TypeQ2SEQ Type = 0x10000 | 41
	// TypeSTQ1_0 is Tencent's meaning of id 42, which newer files number 43: 256
	// elements in groups of four of which exactly one is zero, f16 scale last.
	TypeSTQ1_0 Type = 0x20000 | 42
	// TypeIQ1BNBare and TypeIQ2BNBare are what ik_llama.cpp wrote before its rows had
	// scales, which are in tensors of their own.
	TypeIQ1BNBare Type = 0x10000 | 134
	TypeIQ2BNBare Type = 0x10000 | 135
)

// field is one scalar, or a run of them, within a block.
type field struct{ offset, width, count int }

// trait describes the layout of a type.
type trait struct {
	name                 string
	blockElems, blockLen int64
	// scalars lists everything within a block that is wider than a byte: what
	// a big-endian file stores swapped. Nil for types whose inner layout this
	// package does not know.
	scalars []field
}

// bytesOnly marks blocks without any scalar wider than a byte.
var bytesOnly = []field{}

// f16At and f16x2At describe the usual block scales.
func f16At(offset int) []field   { return []field{{offset, 2, 1}} }
func f16x2At(offset int) []field { return []field{{offset, 2, 2}} }

var traits = map[Type]trait{
	TypeF32:       {"F32", 1, 4, []field{{0, 4, 1}}},
	TypeF16:       {"F16", 1, 2, f16At(0)},
	TypeQ4_0:      {"Q4_0", 32, 18, f16At(0)},
	TypeQ4_1:      {"Q4_1", 32, 20, f16x2At(0)},
	TypeQ5_0:      {"Q5_0", 32, 22, f16At(0)},
	TypeQ5_1:      {"Q5_1", 32, 24, f16x2At(0)},
	TypeQ8_0:      {"Q8_0", 32, 34, f16At(0)},
	TypeQ8_1:      {"Q8_1", 32, 36, f16x2At(0)},
	TypeQ2_K:      {"Q2_K", 256, 84, f16x2At(80)},
	TypeQ3_K:      {"Q3_K", 256, 110, f16At(108)},
	TypeQ4_K:      {"Q4_K", 256, 144, f16x2At(0)},
	TypeQ5_K:      {"Q5_K", 256, 176, f16x2At(0)},
	TypeQ6_K:      {"Q6_K", 256, 210, f16At(208)},
	TypeQ8_K:      {"Q8_K", 256, 292, []field{{0, 4, 1}, {260, 2, 16}}},
	TypeIQ2XXS:    {"IQ2_XXS", 256, 66, nil},
	TypeIQ2XS:     {"IQ2_XS", 256, 74, nil},
	TypeIQ3XXS:    {"IQ3_XXS", 256, 98, nil},
	TypeIQ1S:      {"IQ1_S", 256, 50, nil},
	TypeIQ4NL:     {"IQ4_NL", 32, 18, f16At(0)},
	TypeIQ3S:      {"IQ3_S", 256, 110, nil},
	TypeIQ2S:      {"IQ2_S", 256, 82, nil},
	TypeIQ4XS:     {"IQ4_XS", 256, 136, nil},
	TypeI8:        {"I8", 1, 1, bytesOnly},
	TypeI16:       {"I16", 1, 2, f16At(0)},
	TypeI32:       {"I32", 1, 4, []field{{0, 4, 1}}},
	TypeI64:       {"I64", 1, 8, []field{{0, 8, 1}}},
	TypeF64:       {"F64", 1, 8, []field{{0, 8, 1}}},
	TypeIQ1M:      {"IQ1_M", 256, 56, nil},
	TypeBF16:      {"BF16", 1, 2, f16At(0)},
	TypeTQ1_0:     {"TQ1_0", 256, 54, f16At(52)},
	TypeTQ2_0:     {"TQ2_0", 256, 66, f16At(64)},
	TypeI2S:       {"I2_S", 4, 1, bytesOnly}, // and a tail of scaleTail bytes
	TypeTL1:       {"TL1", 4, 1, bytesOnly},  // and a tail of scaleTail bytes
	TypeTL2:       {"TL2", 1, 0, nil},        // sized by tl2Size
	TypeQ2_0:      {"Q2_0", 64, 18, f16At(0)},
	TypeMXFP4:     {"MXFP4", 32, 17, bytesOnly},
	TypeQ2_0G128:  {"Q2_0_G128", 128, 34, f16At(0)},
	TypePQ2_0:     {"PQ2_0", 128, 34, f16At(0)},
	TypePTQ1_0:    {"PTQ1_0", 128, 28, f16At(26)},
	TypeQ1_0:      {"Q1_0", 128, 18, f16At(0)},
	TypeQ2SEQ:     {"Q2_SEQ", 512, 130, f16At(0)},
	TypeSTQ1_0:    {"STQ1_0", 256, 42, f16At(40)},
	TypeIQ1BN:     {"IQ1_BN", 64, 13, nil},    // and rowScale bytes for each row
	TypeIQ2BN:     {"IQ2_BN", 64, 16, nil},    // and rowScale bytes for each row
	TypeIQ2BNR4:   {"IQ2_BN_R4", 64, 16, nil}, // and rowScale bytes for each row
	TypeIQ1BNBare: {"IQ1_BN_BARE", 64, 13, bytesOnly},
	TypeIQ2BNBare: {"IQ2_BN_BARE", 64, 16, bytesOnly},
}

// rowScale is the length of the scale that each row of a type has.
var rowScale = map[Type]int64{TypeIQ1BN: 2, TypeIQ2BN: 4, TypeIQ2BNR4: 4}

// rowsTogether is how many rows IQ2_BN_R4 interleaves.
const rowsTogether = 4

// scaleTail is the length of what follows the codes of an I2_S, TL1 or TL2
// tensor: the f32 scale and 28 bytes without meaning.
const scaleTail = 32

// i2sBlock is the number of elements that I2_S packs together.
const i2sBlock = 128

// hasTail reports whether one f32 scale for the whole tensor follows its codes.
func (t Type) hasTail() bool { return t == TypeI2S || t == TypeTL1 || t == TypeTL2 }

// ParseType returns the type of the given name, in any case: "I2_S", "i2_s",
// "f16".
func ParseType(name string) (Type, error) {
	for t, tr := range traits {
		if strings.EqualFold(tr.name, name) {
			return t, nil
		}
	}
	return 0, fmt.Errorf("gguf: %w: no tensor type is called %s", ErrUnsupported, quote(name))
}

// String returns the type's usual name, such as "I2_S", or "type(n)".
func (t Type) String() string {
	if tr, ok := traits[t]; ok {
		return tr.name
	}
	return fmt.Sprintf("type(%d)", uint32(t))
}

// ID returns the number that stands for the type in a file.
func (t Type) ID() uint32 { return uint32(t) & 0xffff }

// Known reports whether t is one of this package's constants.
func (t Type) Known() bool {
	_, ok := traits[t]
	return ok
}

// BlockElements returns how many elements share a block: the first dimension
// is a multiple of it. It is 1 for plain scalars and, because their blocks do
// not follow rows, for I2_S, TL1 and TL2.
func (t Type) BlockElements() int64 {
	if t.hasTail() {
		return 1
	}
	return traits[t].blockElems
}

// BlockBytes returns the bytes of a block of [Type.BlockElements] elements, or
// 0 for I2_S, TL1 and TL2, whose bytes are not a multiple of any block; use
// [Type.Size].
func (t Type) BlockBytes() int64 {
	if t.hasTail() {
		return 0
	}
	return traits[t].blockLen
}

// Size returns the number of bytes that a tensor of this type with these
// dimensions (ne order, the contiguous one first) occupies, without padding.
//
// I2_S and TL1 take n/4 bytes of codes and 32 for the scale; I2_S needs n to
// be a multiple of 128. The error wraps ErrCorrupt for dimensions that no
// tensor can have and ErrUnsupported for an unknown type.
func (t Type) Size(dims []int64) (int64, error) {
	tr, ok := traits[t]
	if !ok {
		return 0, fmt.Errorf("%w: tensor type %d", ErrUnsupported, uint32(t))
	}
	n, err := Elements(dims)
	if err != nil {
		return 0, err
	}
	switch t {
	case TypeI2S:
		if n%i2sBlock != 0 {
			return 0, fmt.Errorf("%w: I2_S packs %d elements together, which does not divide the %d elements of %v", ErrCorrupt, i2sBlock, n, dims)
		}
		return n/4 + scaleTail, nil
	case TypeTL1:
		if n%4 != 0 {
			return 0, fmt.Errorf("%w: TL1 packs 4 elements into a byte, which does not divide the %d elements of %v", ErrCorrupt, n, dims)
		}
		return n/4 + scaleTail, nil
	case TypeTL2:
		return tl2Size(dims, n)
	}
	first := firstDim(dims)
	if first%tr.blockElems != 0 {
		return 0, fmt.Errorf("%w: the first dimension of %v is not a multiple of %d, the block of %s", ErrCorrupt, dims, tr.blockElems, tr.name)
	}
	rows := n / first
	if t == TypeIQ2BNR4 && rows%rowsTogether != 0 {
		return 0, fmt.Errorf("%w: %s interleaves %d rows, which does not divide the %d rows of %v", ErrCorrupt, tr.name, rowsTogether, rows, dims)
	}
	hi, size := bits.Mul64(uint64(n/tr.blockElems), uint64(tr.blockLen))
	// A row has at least a block, so rows·rowScale is below n.
	size, carry := bits.Add64(size, uint64(rows)*uint64(rowScale[t]), 0)
	if hi != 0 || carry != 0 || size > math.MaxInt64 {
		return 0, fmt.Errorf("%w: %s with dimensions %v has more bytes than a file can", ErrCorrupt, tr.name, dims)
	}
	return int64(size), nil
}

// tl2Size sizes a TL2 tensor of dims {K, M}: 256 columns of each row in pairs
// (4 bits), the others in triples (5 bits), rounded up to 32, and the tail.
// bitnet.cpp computes it left to right in integers, and so does this.
func tl2Size(dims []int64, n int64) (int64, error) {
	const paired = 256
	k := firstDim(dims)
	if k < paired {
		return 0, fmt.Errorf("%w: TL2 needs rows of at least %d elements, have %v", ErrCorrupt, paired, dims)
	}
	rows := n / k
	// (K−256)·M/3·5 stays below 2^64 because n is below 2^63.
	triples := uint64(k-paired) * uint64(rows) / 3 * 5 / 8
	pairs := uint64(paired) * uint64(rows) / 2 * 4 / 8
	return int64((triples+pairs+31)/32*32) + scaleTail, nil
}

// Elements returns the product of dims, 1 for none. It reports dimensions
// below 1, more than four of them, and products of 2^63 and above, by an error
// that wraps ErrCorrupt.
func Elements(dims []int64) (int64, error) {
	if len(dims) > maxDims {
		return 0, fmt.Errorf("%w: %d dimensions, at most %d are possible", ErrCorrupt, len(dims), maxDims)
	}
	n := int64(1)
	for i, d := range dims {
		if d < 1 {
			return 0, fmt.Errorf("%w: dimension %d of %v is %d, want at least 1", ErrCorrupt, i, dims, d)
		}
		if n > math.MaxInt64/d {
			return 0, fmt.Errorf("%w: the product of the dimensions %v exceeds 2^63-1", ErrCorrupt, dims)
		}
		n *= d
	}
	return n, nil
}

// firstDim returns the contiguous dimension, 1 for a scalar without any.
func firstDim(dims []int64) int64 {
	if len(dims) == 0 {
		return 1
	}
	return dims[0]
}
