package quant

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"slices"
	"testing"

	"trit/gguf"
)

// goldenRows are rows that ik_llama.cpp's own quantisers have written: the golden
// weights, 0.75 times the golden trits.
var goldenRows = []struct {
	typ        gguf.Type
	rows, cols int
	hex        string
}{
	{gguf.TypeIQ1BN, 1, 128, "003a62a34b1362a3c31362e1c3131276e1c30776e1410776f6410723"},
	{gguf.TypeIQ2BN, 1, 128, "0000403f2091a940a18144a602850612990a141a91a940a18144a602850612990a141a48"},
	{gguf.TypeIQ2BNR4, 4, 64, "0000403f0000403f0000403f0000403f649521a89521a81921a81925a819258880905684905684a05684a06484a064954a014258014258124258128058128090882a06092a0609620609624a09624a01"},
}

func TestRowTypes(t *testing.T) {
	for _, g := range goldenRows {
		data, err := hex.DecodeString(g.hex)
		if err != nil {
			t.Fatal(err)
		}
		n := g.rows * g.cols
		codes := goldenCodes(t)[:n]
		want := goldenW()[:n]
		got := make([]float32, n)
		if err := Decode(g.typ, got, data); err != nil || !slices.Equal(got, want) {
			t.Errorf("%v: Decode: %v", g.typ, err)
		}
		if size, err := TensorBytes(g.typ, g.rows, g.cols); err != nil || size != int64(len(data)) {
			t.Errorf("%v: TensorBytes says %d, %v; want %d", g.typ, size, err, len(data))
		}
		v, err := NewTernary(g.typ, LayoutA, data, g.rows, g.cols)
		if err != nil {
			t.Fatal(err)
		}
		if scales, width := v.Scales(); width != g.cols || !slices.Equal(scales, []float32{0.75}) {
			t.Errorf("%v: scales %v for %d columns", g.typ, scales, width)
		}
		row := make([]byte, g.cols)
		for r := range g.rows {
			if err := v.Codes(row, r); err != nil || !bytes.Equal(row, codes[r*g.cols:(r+1)*g.cols]) {
				t.Errorf("%v: row %d: %v", g.typ, r, err)
			}
		}
		if err := Encode(g.typ, make([]byte, len(data)), want); !errors.Is(err, ErrType) {
			t.Errorf("%v: Encode: %v", g.typ, err)
		}
		if err := EncodeCodes(g.typ, make([]byte, len(data)), codes, 1); !errors.Is(err, ErrType) {
			t.Errorf("%v: EncodeCodes: %v", g.typ, err)
		}
		for _, length := range []int{0, 1, len(data) - 1} {
			if err := Decode(g.typ, got, data[:length]); !errors.Is(err, ErrLength) {
				t.Errorf("%v: Decode of %d bytes: %v", g.typ, length, err)
			}
			if _, err := NewTernary(g.typ, LayoutA, data[:length], g.rows, g.cols); !errors.Is(err, ErrLength) {
				t.Errorf("%v: a view of %d bytes: %v", g.typ, length, err)
			}
		}
		if _, err := RowBytes(g.typ, 96); !errors.Is(err, ErrShape) {
			t.Errorf("%v: rows of 96: %v", g.typ, err)
		}
	}
	if _, err := NewTernary(gguf.TypeIQ2BNR4, LayoutA, make([]byte, 6*20), 6, 64); !errors.Is(err, ErrShape) {
		t.Errorf("six rows of interleaved fours: %v", err)
	}
}

// TestRowScales: rows may have scales of their own, which must be numbers; bytes that
// are no trits are refused.
func TestRowScales(t *testing.T) {
	data, err := hex.DecodeString(goldenRows[1].hex)
	if err != nil {
		t.Fatal(err)
	}
	two := append(slices.Clone(data), data...)
	two[len(data)+2] = 0x80 // 1.0
	v, err := NewTernary(gguf.TypeIQ2BN, LayoutA, two, 2, 128)
	if err != nil {
		t.Fatal(err)
	}
	if scales, width := v.Scales(); width != 128 || !slices.Equal(scales, []float32{0.75, 1}) {
		t.Errorf("scales %v", scales)
	}
	values := make([]float32, 256)
	if err := Decode(gguf.TypeIQ2BN, values, two); err != nil {
		t.Errorf("two rows: %v", err)
	}
	for i := range 128 {
		if values[i]*4/3 != values[128+i] {
			t.Fatalf("element %d: %g and %g", i, values[i], values[128+i])
		}
	}
	for _, scale := range []float32{float32(math.Inf(1)), float32(math.NaN()), -1, 1e30} {
		binary.LittleEndian.PutUint32(two[len(data):], math.Float32bits(scale))
		if _, err := NewTernary(gguf.TypeIQ2BN, LayoutA, two, 2, 128); !errors.Is(err, ErrRange) {
			t.Errorf("the scale %g: %v", scale, err)
		}
	}
	data[4] = 0xff
	if err := Decode(gguf.TypeIQ2BN, values[:128], data); !errors.Is(err, ErrCode) {
		t.Errorf("codes of 3: %v", err)
	}
	if v, err = NewTernary(gguf.TypeIQ2BN, LayoutA, data, 1, 128); err != nil {
		t.Fatal(err)
	}
	if err := v.Codes(make([]byte, 128), 0); !errors.Is(err, ErrCode) {
		t.Errorf("codes of 3: %v", err)
	}
}

// TestBareRows: files from before ik_llama.cpp's rows had scales.
func TestBareRows(t *testing.T) {
	for bare, whole := range map[gguf.Type]int{gguf.TypeIQ1BNBare: 0, gguf.TypeIQ2BNBare: 1} {
		g := goldenRows[whole]
		data, err := hex.DecodeString(g.hex)
		if err != nil {
			t.Fatal(err)
		}
		data = data[rowCodecs[g.typ].head:]
		v, err := NewTernary(bare, LayoutA, data, 1, g.cols)
		if err != nil {
			t.Fatal(err)
		}
		row := make([]byte, g.cols)
		if err := v.Codes(row, 0); err != nil || !bytes.Equal(row, goldenCodes(t)[:g.cols]) {
			t.Errorf("%v: %v", bare, err)
		}
		if scales, _ := v.Scales(); !slices.Equal(scales, []float32{1}) {
			t.Errorf("%v: scales %v", bare, scales)
		}
	}
}
