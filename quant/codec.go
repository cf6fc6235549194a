package quant

import (
	"fmt"
	"slices"
	"strings"
	"unsafe"

	"trit/gguf"
	"trit/internal/half"
)

// codec is what there is to know of a type that is stored row by row.
type codec struct {
	// A block of elems columns takes bytes.
	elems, bytes int
	// decode and encode convert whole blocks; a nil encode means that the type is
	// only read.
	decode func(dst []float32, src []byte) error
	encode func(dst []byte, src []float32) error
	// exact: every float32 can be stored, infinities and NaNs too.
	exact bool
	// trits is set for the types that store codes of {−d, 0, +d}.
	trits *tritCodec
}

// tritCodec is the access to the codes (trit + 1) and the scales of a ternary
// type.
type tritCodec struct {
	// unpack writes the codes of whole blocks. The result is not zero if one of
	// them is 3.
	unpack func(dst, src []byte) (invalid uint64)
	// pack stores the codes of one block. The error is for codes that the type
	// cannot hold.
	pack func(block, codes []byte) error
	// scaleAt is where a block has its binary16 scale.
	scaleAt int
}

// scale returns the scale of a block.
func (c *tritCodec) scale(block []byte) *scale16 { return (*scale16)(block[c.scaleAt:]) }

// codecs are the types that are stored row by row.
var codecs = map[gguf.Type]*codec{
	gguf.TypeF32:  {elems: 1, bytes: 4, exact: true, decode: plain(decodeF32), encode: plainEncode(encodeF32)},
	gguf.TypeF16:  {elems: 1, bytes: 2, exact: true, decode: plain(half.DecodeF16), encode: plainEncode(half.EncodeF16)},
	gguf.TypeBF16: {elems: 1, bytes: 2, exact: true, decode: plain(half.DecodeBF16), encode: plainEncode(half.EncodeBF16)},

	gguf.TypeQ4_0: blockCodec[blockQ4_0](q4_0Elems),
	gguf.TypeQ8_0: blockCodec[blockQ8_0](q8_0Elems),
	gguf.TypeQ6_K: blockCodec[blockQ6_K](q6_KElems),
	gguf.TypeQ4_K: {elems: q4_KElems, bytes: int(unsafe.Sizeof(blockQ4_K{})), decode: decodeBlocks[blockQ4_K](q4_KElems)},
	gguf.TypeQ5_K: {elems: q5_KElems, bytes: int(unsafe.Sizeof(blockQ5_K{})), decode: decodeBlocks[blockQ5_K](q5_KElems)},

	gguf.TypeTQ1_0:    tritBlockCodec[blockTQ1_0](tqElems, unsafe.Offsetof(blockTQ1_0{}.d)),
	gguf.TypeTQ2_0:    tritBlockCodec[blockTQ2_0](tqElems, unsafe.Offsetof(blockTQ2_0{}.d)),
	gguf.TypeQ2_0:     tritBlockCodec[blockQ2_0](q2_0Elems, unsafe.Offsetof(blockQ2_0{}.d)),
	gguf.TypeQ2_0G128: tritBlockCodec[blockPQ2_0](pq2_0Elems, unsafe.Offsetof(blockPQ2_0{}.d)),
	gguf.TypePQ2_0:    tritBlockCodec[blockPQ2_0](pq2_0Elems, unsafe.Offsetof(blockPQ2_0{}.d)),
	gguf.TypePTQ1_0:   tritBlockCodec[blockPTQ1_0](ptq1_0Elems, unsafe.Offsetof(blockPTQ1_0{}.d)),
	gguf.TypeQ1_0:     tritBlockCodec[blockQ1_0](q1_0Elems, unsafe.Offsetof(blockQ1_0{}.d)),
	gguf.TypeSTQ1_0:   tritBlockCodec[blockSTQ1_0](stq1_0Elems, unsafe.Offsetof(blockSTQ1_0{}.d)),
}

// plain makes a conversion that cannot fail one of a codec.
func plain(f func(dst []float32, src []byte)) func([]float32, []byte) error {
	return func(dst []float32, src []byte) error { f(dst, src); return nil }
}

func plainEncode(f func(dst []byte, src []float32)) func([]byte, []float32) error {
	return func(dst []byte, src []float32) error { f(dst, src); return nil }
}

// readBlock is a pointer to a block struct B that can be decoded; dst has the
// length of a block.
type readBlock[B any] interface {
	*B
	decode(dst []float32) error
}

// block is one that can be encoded, too.
type block[B any] interface {
	readBlock[B]
	encode(src []float32) error
}

// tritBlock is a block of codes with one scale. unpack returns non-zero when a
// code is 3.
type tritBlock[B any] interface {
	block[B]
	unpack(dst []byte) (invalid uint64)
	pack(codes []byte) error
}

// blocks views data as block structs. Their fields are bytes, so no alignment
// is asked of data; a partial block at the end is left out.
func blocks[B any](data []byte) []B {
	var b B
	return unsafe.Slice((*B)(unsafe.Pointer(unsafe.SliceData(data))), len(data)/int(unsafe.Sizeof(b)))
}

func decodeBlocks[B any, P readBlock[B]](elems int) func(dst []float32, src []byte) error {
	return func(dst []float32, src []byte) error {
		s := blocks[B](src)
		for i := range s {
			if err := P(&s[i]).decode(dst[i*elems : (i+1)*elems]); err != nil {
				return blockError(err, i*elems)
			}
		}
		return nil
	}
}

func blockCodec[B any, P block[B]](elems int) *codec {
	var zero B
	return &codec{
		elems: elems, bytes: int(unsafe.Sizeof(zero)),
		decode: decodeBlocks[B, P](elems),
		encode: func(dst []byte, src []float32) error {
			s := blocks[B](dst)
			for i := range s {
				if err := P(&s[i]).encode(src[i*elems : (i+1)*elems]); err != nil {
					return blockError(err, i*elems)
				}
			}
			return nil
		},
	}
}

func tritBlockCodec[B any, P tritBlock[B]](elems int, scaleAt uintptr) *codec {
	c := blockCodec[B, P](elems)
	c.trits = &tritCodec{
		scaleAt: int(scaleAt),
		unpack: func(dst, src []byte) (invalid uint64) {
			s := blocks[B](src)
			for i := range s {
				invalid |= P(&s[i]).unpack(dst[i*elems : (i+1)*elems])
			}
			return invalid
		},
		pack: func(block, codes []byte) error { return P(&blocks[B](block)[0]).pack(codes) },
	}
	return c
}

// codesByAbsMax is ggml's quantiser of ternary blocks: the scale is the largest
// magnitude, codes round half away from zero.
func codesByAbsMax(codes []byte, src []float32) (d float32) {
	d, _ = absMax(src)
	id := inverse(d)
	for i, x := range src {
		codes[i] = byte(max(-1, min(1, roundAway(x*id))) + 1)
	}
	return d
}

// offset returns where the block that begins with column col lies in its row.
func (c *codec) offset(col int) int { return col / c.elems * c.bytes }

// IsTernary reports whether tensors of type t hold codes of {−d, 0, +d} (or, Q1_0,
// of {−d, +d}) for [NewTernary] to read.
func IsTernary(t gguf.Type) bool {
	c := codecs[t]
	return t == gguf.TypeI2S || c != nil && c.trits != nil || rowCodecs[t] != nil
}

// HalfScales reports whether tensors of type t store ternary codes with scales in
// binary16.
func HalfScales(t gguf.Type) bool {
	c, rows := codecs[t], rowCodecs[t]
	return c != nil && c.trits != nil || rows != nil && rows.head == 2
}

// codecOf returns the codec of t. I2_S has none: its tensors are packed as a
// whole.
func codecOf(t gguf.Type) (*codec, error) {
	if c, ok := codecs[t]; ok {
		return c, nil
	}
	return nil, fmt.Errorf("%w: %v (quant reads %s)", ErrType, t, strings.Join(readableNames(), ", "))
}

func readableNames() []string {
	names := []string{gguf.TypeI2S.String()}
	for t := range codecs {
		names = append(names, t.String())
	}
	for t := range rowCodecs {
		names = append(names, t.String())
	}
	slices.Sort(names)
	return names
}
