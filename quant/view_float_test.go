package quant

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"trit/gguf"
)

func TestFloatViews(t *testing.T) {
	const rows, cols = 3, 768
	codes := randomCodes(rows*cols, 5)
	for i := range 32 { // an idle group and an idle row
		codes[i] = 1
	}
	for c := range cols {
		codes[cols+c] = 1
	}
	for _, test := range []struct {
		name  string
		scale func(r, c int) float32
		n     int
		width int
	}{
		{"tensor", func(r, c int) float32 { return 0.5 }, 1, cols},
		{"row", func(r, c int) float32 { return float32(r + 1) }, rows, cols},
		{"256", func(r, c int) float32 { return float32(1 + c/256) }, rows * 3, 256},
		{"128", func(r, c int) float32 { return float32(1 + r + c/128) }, rows * 6, 128},
		{"64", func(r, c int) float32 { return float32(1 + c/64) }, rows * 12, 64},
		{"32", func(r, c int) float32 { return float32(1 + c/32) }, rows * 24, 32},
	} {
		for _, typ := range []gguf.Type{gguf.TypeF32, gguf.TypeF16, gguf.TypeBF16, gguf.TypeQ8_0} {
			floats := make([]float32, rows*cols)
			for i := range floats {
				r, c := i/cols, i%cols
				floats[i] = test.scale(r, c) * float32(int(codes[i])-1)
			}
			data := make([]byte, tensorBytes(t, typ, rows, cols))
			if err := Encode(typ, data, floats); err != nil {
				t.Fatal(err)
			}
			if err := Decode(typ, floats, data); err != nil {
				t.Fatal(err)
			}
			v, err := NewTernaryFloat(typ, data, rows, cols)
			if err != nil {
				t.Errorf("%v %s: %v", typ, test.name, err)
				continue
			}
			scales, width := v.Scales()
			if len(scales) != test.n || width != test.width {
				t.Errorf("%v %s: %d scales per %d columns, want %d per %d", typ, test.name, len(scales), width, test.n, test.width)
				continue
			}
			row := make([]byte, cols)
			for r := range rows {
				if err := v.Codes(row, r); err != nil || !bytes.Equal(row, codes[r*cols:(r+1)*cols]) {
					t.Fatalf("%v %s: row %d: %v", typ, test.name, r, err)
				}
				for c := range row {
					if got := scaleAt(scales, width, rows, cols, r, c) * float32(int(row[c])-1); got != floats[r*cols+c] {
						t.Fatalf("%v %s: row %d column %d is %g, want %g", typ, test.name, r, c, got, floats[r*cols+c])
					}
				}
			}
		}
	}
}

// Q4_0 and Q6_K quantisers do not keep ±s symmetric, but blocks of symmetric
// codes are ternary.
func TestSymmetricBlockViews(t *testing.T) {
	codes := randomCodes(tqElems, 8)
	q4 := make([]blockQ4_0, tqElems/q4_0Elems)
	var wide [q6_KElems]uint8
	for i, c := range codes {
		nibble := 8 + 7*(c-1)
		q4[i/32].qs[i%16] |= nibble << (i % 32 / 16 * 4)
		wide[i] = 32 + 16*(c-1)
	}
	var data []byte
	for i := range q4 {
		if err := q4[i].d.set(0.125); err != nil {
			t.Fatal(err)
		}
		data = append(append(data, q4[i].d[:]...), q4[i].qs[:]...)
	}
	var q6 blockQ6_K
	if err := q6.d.set(0.125); err != nil {
		t.Fatal(err)
	}
	for g := range q6.scales {
		q6.scales[g] = 4
	}
	q6.pack(&wide)
	wide6 := append(append([]byte{}, q6.ql[:]...), q6.qh[:]...)
	for _, s := range q6.scales {
		wide6 = append(wide6, byte(s))
	}
	wide6 = append(wide6, q6.d[:]...)

	for _, test := range []struct {
		typ   gguf.Type
		data  []byte
		scale float32
	}{{gguf.TypeQ4_0, data, 7 * 0.125}, {gguf.TypeQ6_K, wide6, 0.125 * 4 * 16}} {
		v := openView(t, test.typ, test.data, 1, tqElems)
		got := make([]byte, tqElems)
		if err := v.Codes(got, 0); err != nil || !bytes.Equal(got, codes) {
			t.Errorf("%v: %v\n got %v\nwant %v", test.typ, err, got, codes)
		}
		if scales, _ := v.Scales(); !slices.Equal(scales, []float32{test.scale}) {
			t.Errorf("%v: scales %v, want %g", test.typ, scales, test.scale)
		}
		if n := testing.AllocsPerRun(10, func() {
			if err := v.Codes(got, 0); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%v: Codes allocates %v times", test.typ, n)
		}
	}
}

func TestNotTernary(t *testing.T) {
	const rows, cols = 2, 64
	for _, test := range []struct {
		name string
		cols int
		set  map[int]float32
		want NotTernaryError
	}{
		{"two magnitudes", cols, map[int]float32{64 + 35: 1, 64 + 40: -0.5}, NotTernaryError{1, 40, -0.5, 1, 32}},
		{"nearly equal", cols, map[int]float32{3: 1, 9: math.Nextafter32(1, 2)}, NotTernaryError{0, 9, math.Nextafter32(1, 2), 1, 32}},
		{"infinity", cols, map[int]float32{70: float32(math.Inf(1))}, NotTernaryError{1, 6, float32(math.Inf(1)), 0, 32}},
		{"odd columns", 33, map[int]float32{33: 1, 34: 1, 65: 2, 0: 3}, NotTernaryError{1, 32, 2, 1, 33}},
	} {
		floats := make([]float32, rows*test.cols)
		for i, x := range test.set {
			floats[i] = x
		}
		data := make([]byte, 4*len(floats))
		if err := Encode(gguf.TypeF32, data, floats); err != nil {
			t.Fatal(err)
		}
		_, err := NewTernaryFloat(gguf.TypeF32, data, rows, test.cols)
		var got *NotTernaryError
		if !errors.Is(err, ErrNotTernary) || !errors.As(err, &got) || *got != test.want {
			t.Errorf("%s: %v, want %v", test.name, err, &test.want)
		}
	}
	// The 16-bit types take another path; any value anywhere must be noticed, and
	// the view must equal that of the widened values.
	rapid.Check(t, func(rt *rapid.T) {
		cols := rapid.OneOf(rapid.IntRange(1, 70), rapid.IntRange(250, 300)).Draw(rt, "cols")
		raw := make([]byte, 2*2*cols)
		words := rapid.SampledFrom([]uint16{0, 0, 0x8000, 0x3c00, 0xbc00, 0x3c00, 0xbc00})
		for i := range 2 * cols {
			binary.LittleEndian.PutUint16(raw[2*i:], words.Draw(rt, "word"))
		}
		if rapid.Bool().Draw(rt, "spoil") {
			at := rapid.IntRange(0, 2*cols-1).Draw(rt, "at")
			binary.LittleEndian.PutUint16(raw[2*at:], rapid.Uint16().Draw(rt, "value"))
		}
		for _, typ := range []gguf.Type{gguf.TypeF16, gguf.TypeBF16} {
			floats, wide := make([]float32, 2*cols), make([]byte, 8*cols)
			if err := Decode(typ, floats, raw); err != nil {
				rt.Fatal(err)
			}
			if err := Encode(gguf.TypeF32, wide, floats); err != nil {
				rt.Fatal(err)
			}
			got, gotErr := NewTernaryFloat(typ, raw, 2, cols)
			want, wantErr := NewTernaryFloat(gguf.TypeF32, wide, 2, cols)
			if fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
				rt.Fatalf("%v: %v, as F32: %v", typ, gotErr, wantErr)
			}
			if wantErr != nil {
				continue
			}
			gotScales, gotCols := got.Scales()
			wantScales, wantCols := want.Scales()
			if !slices.Equal(gotScales, wantScales) || gotCols != wantCols {
				rt.Fatalf("%v: scales %v, as F32: %v", typ, gotScales, wantScales)
			}
			for r := range 2 {
				a, b := make([]byte, cols), make([]byte, cols)
				if err := errors.Join(got.Codes(a, r), want.Codes(b, r)); err != nil || !bytes.Equal(a, b) {
					rt.Fatalf("%v: row %d: %v, as F32: %v (%v)", typ, r, a, b, err)
				}
			}
		}
	})
	// NaN differs from itself, so compare the place only.
	data := make([]byte, 4*64)
	if err := Encode(gguf.TypeF32, data, append(make([]float32, 63), float32(math.NaN()))); err != nil {
		t.Fatal(err)
	}
	var got *NotTernaryError
	if _, err := NewTernaryFloat(gguf.TypeF32, data, 1, 64); !errors.As(err, &got) || got.Col != 63 {
		t.Errorf("NaN: %v", err)
	}
	// −0 is a zero.
	negativeZero := float32(math.Copysign(0, -1))
	if err := Encode(gguf.TypeF32, data[:16], []float32{negativeZero, -2, 0, 2}); err != nil {
		t.Fatal(err)
	}
	codes := make([]byte, 4)
	if err := openView(t, gguf.TypeF32, data[:16], 1, 4).Codes(codes, 0); err != nil || !bytes.Equal(codes, []byte{1, 0, 1, 2}) {
		t.Errorf("%v, %v", codes, err)
	}
}

func BenchmarkNewTernaryFloat(b *testing.B) {
	const rows, cols = 16, 2560
	floats := make([]float32, rows*cols)
	decodeCodes(floats, randomCodes(rows*cols, 9), 0.5)
	for _, typ := range []gguf.Type{gguf.TypeF32, gguf.TypeF16, gguf.TypeQ8_0} {
		b.Run(typ.String(), func(b *testing.B) {
			data := make([]byte, tensorBytes(b, typ, rows, cols))
			if err := Encode(typ, data, floats); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := NewTernaryFloat(typ, data, rows, cols); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)*rows*cols/b.Elapsed().Seconds()/1e9, "Gvalues/s")
		})
	}
}
