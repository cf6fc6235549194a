package quant

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"trit/gguf"
)

// sherry is the golden block of STQ1_0: in group g the lane (7g + g/4) mod 4 is
// zero, and bit k of g² + g/3 says whether the k-th other lane is positive.
func sherry() []byte {
	codes := make([]byte, stq1_0Elems)
	for g := range 64 {
		zero, bits := (7*g+g/4)%4, g*g+g/3
		for p := range 4 {
			at := stq1_0First(g) + 16*p
			if p == zero {
				codes[at] = 1
				continue
			}
			codes[at] = byte(2 * (bits & 1))
			bits >>= 1
		}
	}
	return codes
}

const sherryHex = "f05a17af69e09e34f149078e78d29f27e16816bc79c18f06f05a17af69e09e346ddbb66ddbb66ddb003a"

func TestSTQ1Golden(t *testing.T) {
	want, codes := goldenBytes(t, sherryHex), sherry()
	got := make([]byte, 42)
	if err := EncodeCodes(gguf.TypeSTQ1_0, got, codes, 0.75); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%v\n got %x\nwant %x", err, got, want)
	}
	v, err := NewTernary(gguf.TypeSTQ1_0, LayoutA, want, 1, 256)
	if err != nil {
		t.Fatal(err)
	}
	back := make([]byte, 256)
	if err := v.Codes(back, 0); err != nil || !bytes.Equal(back, codes) {
		t.Errorf("%v\n got %v\nwant %v", err, back, codes)
	}
	floats := make([]float32, 256)
	if err := Decode(gguf.TypeSTQ1_0, floats, want); err != nil {
		t.Fatal(err)
	}
	clear(got)
	if err := Encode(gguf.TypeSTQ1_0, got, floats); err != nil || !bytes.Equal(got, want) {
		t.Errorf("from values: %v\n got %x\nwant %x", err, got, want)
	}
}

func TestSTQ1EverySlot(t *testing.T) {
	for slot := range 16 {
		for sign := range 2 {
			var b, again blockSTQ1_0
			for i := range b.slots {
				b.slots[i] = byte(slot | slot<<4)
			}
			for i := range b.signs {
				b.signs[i] = -byte(sign)
			}
			var codes [stq1_0Elems]byte
			b.unpack(codes[:])
			// The rule, spelled out: zero lane, then signs of the others in order.
			lanes, k := [4]byte{}, 0
			for p := range 4 {
				if p == slot>>2 {
					lanes[p] = 1
					continue
				}
				plus := k == 0 || slot>>(k-1)&1 == 0
				if plus == (sign == 0) {
					lanes[p] = 2
				}
				k++
			}
			for g := range 64 {
				for p, want := range lanes {
					if got := codes[64*(g/16)+g%16+16*p]; got != want {
						t.Fatalf("slot %d, sign %d, group %d, lane %d: code %d, want %d", slot, sign, g, p, got, want)
					}
				}
			}
			if err := again.pack(codes[:]); err != nil || again != b {
				t.Errorf("slot %d, sign %d: packed again %v, %+v", slot, sign, err, again)
			}
		}
	}
}

func TestSTQ1RefusesOtherGroups(t *testing.T) {
	for _, codes := range [][4]byte{{0, 0, 2, 2}, {1, 1, 2, 0}, {1, 1, 1, 1}} {
		all := sherry()
		for p, c := range codes {
			all[stq1_0First(37)+16*p] = c
		}
		err := EncodeCodes(gguf.TypeSTQ1_0, make([]byte, 42), all, 1)
		if !errors.Is(err, ErrNotTernary) || !strings.Contains(err.Error(), "elements 133, 149, 165 and 181") {
			t.Errorf("%v: %v", codes, err)
		}
	}
}

func TestQ1(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		codes := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 2}), 256, 256).Draw(t, "codes")
		packed := make([]byte, 36)
		if err := EncodeCodes(gguf.TypeQ1_0, packed, codes, 0.5); err != nil {
			t.Fatal(err)
		}
		for e, c := range codes {
			if bit := packed[e/128*18+2+e%128/8] >> (e % 8) & 1; bit != c/2 {
				t.Fatalf("element %d has code %d and bit %d", e, c, bit)
			}
		}
		v, err := NewTernary(gguf.TypeQ1_0, LayoutA, packed, 1, 256)
		if err != nil {
			t.Fatal(err)
		}
		got, floats := make([]byte, 256), make([]float32, 256)
		if err := v.Codes(got, 0); err != nil || !bytes.Equal(got, codes) {
			t.Fatalf("%v, codes %v became %v", err, codes, got)
		}
		if scales, group := v.Scales(); len(scales) != 1 || scales[0] != 0.5 || group != 256 {
			t.Fatalf("scales %v per %d", scales, group)
		}
		if err := Decode(gguf.TypeQ1_0, floats, packed); err != nil {
			t.Fatal(err)
		}
		for e, x := range floats {
			if want := 0.5 * (float32(codes[e]) - 1); x != want {
				t.Fatalf("element %d is %g, want %g", e, x, want)
			}
		}
		again := make([]byte, 36)
		if err := Encode(gguf.TypeQ1_0, again, floats); err != nil || !bytes.Equal(again, packed) {
			t.Fatalf("%v: %x became %x", err, packed, again)
		}
	})
	codes := bytes.Repeat([]byte{2}, 128)
	codes[77] = 1
	if err := EncodeCodes(gguf.TypeQ1_0, make([]byte, 18), codes, 1); !errors.Is(err, ErrNotTernary) || !strings.Contains(err.Error(), "element 77") {
		t.Errorf("a zero: %v", err)
	}
}

// TestCode3 decodes what the encoder never writes, +2·d, and refuses it as a trit.
func TestCode3(t *testing.T) {
	for _, typ := range []gguf.Type{gguf.TypeQ2_0, gguf.TypeQ2_0G128, gguf.TypePQ2_0} {
		c := codecs[typ]
		data := make([]byte, 3*c.bytes)
		for i := range 3 {
			binary.LittleEndian.PutUint16(data[i*c.bytes:], 0x3a00) // 0.75
		}
		data[c.bytes+2+3] = 3 << 4 // element 14 of the second block
		floats := make([]float32, 3*c.elems)
		if err := Decode(typ, floats, data); err != nil || floats[c.elems+14] != 1.5 || floats[0] != -0.75 {
			t.Errorf("%v: %v, %v", typ, err, floats[c.elems+14])
		}
		v, err := NewTernary(typ, LayoutA, data, 3, c.elems)
		if err != nil {
			t.Fatal(err)
		}
		codes := make([]byte, c.elems)
		for row, want := range []error{nil, ErrCode, nil} {
			err := v.Codes(codes, row)
			if !errors.Is(err, want) || err != nil && !strings.Contains(err.Error(), "row 1: ") || err != nil && !strings.Contains(err.Error(), "element 14 has code 3") {
				t.Errorf("%v row %d: %v, want %v", typ, row, err, want)
			}
		}
	}
}

// TestKDecode compares with values that the gguf package for Python computed from
// the same bytes, as bits of binary32, and all 256 by a checksum: the exclusive or
// of element (counted from 1) times bits.
func TestKDecode(t *testing.T) {
	for _, tt := range []struct {
		typ      gguf.Type
		values   map[int]uint32
		checksum uint64
	}{
		{gguf.TypeQ4_K, map[int]uint32{0: 0x40273000, 1: 0xc12b5400, 33: 0xc0728000, 100: 0xc030e000, 131: 0x414b7000, 200: 0x400b1000, 255: 0xc098a800}, 0x3498fc0400},
		{gguf.TypeQ5_K, map[int]uint32{0: 0x41afe600, 1: 0xc12b5400, 33: 0xc0974000, 100: 0x402d2000, 131: 0x414b7000, 200: 0x400b1000, 255: 0xc01b5000}, 0xb71cdc2e00},
	} {
		block := make([]byte, codecs[tt.typ].bytes)
		for i := range block {
			block[i] = byte(37*i + 11)
		}
		copy(block, []byte{0x00, 0x29, 0xb8, 0x32})
		got := make([]float32, 256)
		if err := Decode(tt.typ, got, block); err != nil {
			t.Fatal(err)
		}
		var sum uint64
		for i, x := range got {
			sum ^= uint64(math.Float32bits(x)) * uint64(i+1)
		}
		for i, want := range tt.values {
			if math.Float32bits(got[i]) != want {
				t.Errorf("%v: element %d is %g, want %g", tt.typ, i, got[i], math.Float32frombits(want))
			}
		}
		if sum != tt.checksum {
			t.Errorf("%v: checksum %x, want %x", tt.typ, sum, tt.checksum)
		}
		if err := Encode(tt.typ, block, got); !errors.Is(err, ErrType) {
			t.Errorf("%v is encoded: %v", tt.typ, err)
		}
	}
}
