package quant

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"trit/gguf"
)

func randomCodes(n int, seed uint64) []byte {
	random := rand.New(rand.NewPCG(seed, 7))
	codes := make([]byte, n)
	for i := range codes {
		codes[i] = byte(random.IntN(3))
	}
	return codes
}

// codeAt reads one code of an I2_S tensor straight from the definition.
func codeAt(data []byte, layout I2SLayout, cols, row, col int) byte {
	flat := row*cols + col
	switch layout {
	case LayoutA:
		j := flat % 128
		return data[flat/128*32+j%32] >> (6 - 2*(j/32)) & 3
	case LayoutB:
		j := flat % 64
		return data[flat/64*16+j%16] >> (6 - 2*(j/16)) & 3
	default:
		return data[row/4*cols+col] >> (6 - 2*(row%4)) & 3
	}
}

func TestI2SLayouts(t *testing.T) {
	for _, layout := range []I2SLayout{LayoutA, LayoutB, LayoutC} {
		for _, shape := range [][2]int{{4, 128}, {1, 128}, {2, 64}, {8, 48}, {128, 1}, {64, 6}, {4, 8640}, {16, 200}, {12, 1088}} {
			rows, cols := shape[0], shape[1]
			codes := randomCodes(rows*cols, 1)
			data := make([]byte, rows*cols/4+32)
			err := EncodeI2S(data, codes, layout, rows, cols, 0.25)
			if layout == LayoutC && rows%4 != 0 {
				if !errors.Is(err, ErrShape) {
					t.Errorf("%v %v: %v", layout, shape, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%v %v: %v", layout, shape, err)
				continue
			}
			v, err := NewTernary(gguf.TypeI2S, layout, data, rows, cols)
			if err != nil {
				t.Errorf("%v %v: %v", layout, shape, err)
				continue
			}
			floats := make([]float32, rows*cols)
			if err := DecodeI2S(floats, data, layout, rows, cols); err != nil {
				t.Error(err)
			}
			row := make([]byte, cols)
			for r := range rows {
				if err := v.Codes(row, r); err != nil {
					t.Fatal(err)
				}
				for c, got := range row {
					want := codes[r*cols+c]
					if at := codeAt(data, layout, cols, r, c); at != want {
						t.Fatalf("%v %v: packed row %d column %d is %d, want %d", layout, shape, r, c, at, want)
					}
					if got != want || floats[r*cols+c] != 0.25*float32(int(want)-1) {
						t.Fatalf("%v %v: row %d column %d is %d and %g, want %d", layout, shape, r, c, got, floats[r*cols+c], want)
					}
				}
			}
			if scales, groupCols := v.Scales(); !slices.Equal(scales, []float32{0.25}) || groupCols != cols {
				t.Errorf("%v %v: scales %v per %d columns", layout, shape, scales, groupCols)
			}
		}
	}
}

func TestCodeThreeIsAnError(t *testing.T) {
	const rows, cols = 4, 320
	for _, layout := range []I2SLayout{LayoutA, LayoutB, LayoutC} {
		data := make([]byte, rows*cols/4+32)
		if err := EncodeI2S(data, randomCodes(rows*cols, 2), layout, rows, cols, 1); err != nil {
			t.Fatal(err)
		}
		data[137] |= 0xc0
		v, err := NewTernary(gguf.TypeI2S, layout, data, rows, cols)
		if err != nil {
			t.Fatal(err)
		}
		for r := range rows {
			bad := false
			for c := range cols {
				bad = bad || codeAt(data, layout, cols, r, c) == 3
			}
			if err := v.Codes(make([]byte, cols), r); errors.Is(err, ErrCode) != bad || !bad && err != nil {
				t.Errorf("%v row %d: %v, has code 3: %v", layout, r, err, bad)
			}
		}
		if err := DecodeI2S(make([]float32, rows*cols), data, layout, rows, cols); !errors.Is(err, ErrCode) {
			t.Errorf("%v: %v", layout, err)
		}
	}
	tq := make([]byte, 2*66)
	if err := EncodeCodes(gguf.TypeTQ2_0, tq, randomCodes(512, 3), 1); err != nil {
		t.Fatal(err)
	}
	tq[66+5] |= 0x0c
	v, err := NewTernary(gguf.TypeTQ2_0, LayoutA, tq, 1, 512)
	if err != nil {
		t.Fatal(err)
	}
	err = v.Codes(make([]byte, 512), 0)
	if want := "row 0: quant: invalid ternary code: element 293 has code 3"; !errors.Is(err, ErrCode) || err.Error()[:len(want)] != want {
		t.Errorf("got %q", err)
	}
	if err := Decode(gguf.TypeTQ2_0, make([]float32, 512), tq); !errors.Is(err, ErrCode) {
		t.Error(err)
	}
	for _, layout := range []I2SLayout{LayoutA, LayoutB, LayoutC} {
		if err := EncodeI2S(make([]byte, 64), bytes.Repeat([]byte{3}, 128), layout, 4, 32, 1); !errors.Is(err, ErrCode) {
			t.Error(err)
		}
	}
}

func TestI2SLayoutNames(t *testing.T) {
	for _, layout := range []I2SLayout{LayoutA, LayoutB, LayoutC} {
		var got I2SLayout
		text, err := layout.MarshalText()
		if err == nil {
			err = got.UnmarshalText(text)
		}
		if err != nil || got != layout {
			t.Errorf("%v comes back as %v: %v", layout, got, err)
		}
		if got, err := ParseI2SLayout(string(rune('A' + layout))); err != nil || got != layout {
			t.Errorf("letter %c: %v, %v", 'A'+layout, got, err)
		}
	}
	if _, err := ParseI2SLayout("d"); !errors.Is(err, ErrType) {
		t.Error(err)
	}
	if _, err := NewTernary(gguf.TypeI2S, 3, make([]byte, 64), 4, 32); !errors.Is(err, ErrType) {
		t.Error(err)
	}
}

// tq packs rows of 512 columns as type typ, with the given scale per block.
func tq(t *testing.T, typ gguf.Type, codes []byte, scales ...float32) []byte {
	t.Helper()
	size, err := RowBytes(typ, tqElems)
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, size*len(scales))
	for i, s := range scales {
		if err := EncodeCodes(typ, data[i*size:(i+1)*size], codes[i*tqElems:(i+1)*tqElems], s); err != nil {
			t.Fatal(err)
		}
	}
	return data
}

func TestTQScales(t *testing.T) {
	const rows, cols = 2, 512
	busy := randomCodes(rows*cols, 4)
	idleBlock := func(blocks ...int) []byte {
		codes := slices.Clone(busy)
		for _, b := range blocks {
			for i := range tqElems {
				codes[b*tqElems+i] = 1
			}
		}
		return codes
	}
	for _, test := range []struct {
		name      string
		codes     []byte
		blocks    []float32
		scales    []float32
		groupCols int
	}{
		{"tensor", busy, []float32{2, 2, 2, 2}, []float32{2}, cols},
		{"tensor, idle block", idleBlock(1), []float32{2, 9, 2, 2}, []float32{2}, cols},
		{"tensor, first idle", idleBlock(0, 2, 3), []float32{9, 2, 9, 9}, []float32{2}, cols},
		{"all idle", idleBlock(0, 1, 2, 3), []float32{9, 9, 9, 9}, []float32{0}, cols},
		{"rows", busy, []float32{2, 2, 4, 4}, []float32{2, 4}, cols},
		{"rows, idle block", idleBlock(2), []float32{2, 2, 9, 4}, []float32{2, 4}, cols},
		{"blocks", busy, []float32{2, 4, 2, 2}, []float32{2, 4, 2, 2}, tqElems},
		{"blocks, idle", idleBlock(2), []float32{2, 4, 9, 2}, []float32{2, 4, 0, 2}, tqElems},
		{"zero scale, trits", busy, []float32{2, 0, 2, 2}, []float32{2, 0, 2, 2}, tqElems},
	} {
		for _, typ := range []gguf.Type{gguf.TypeTQ1_0, gguf.TypeTQ2_0} {
			v := openView(t, typ, tq(t, typ, test.codes, test.blocks...), rows, cols)
			if scales, groupCols := v.Scales(); !slices.Equal(scales, test.scales) || groupCols != test.groupCols {
				t.Errorf("%v %s: %v per %d columns, want %v per %d", typ, test.name, scales, groupCols, test.scales, test.groupCols)
			}
		}
	}
	// An idle block may carry any scale in files of other writers, but a finite one.
	for typ, at := range map[gguf.Type]int{gguf.TypeTQ1_0: 52, gguf.TypeTQ2_0: 64} {
		data := tq(t, typ, idleBlock(0), 2, 2, 2, 2)
		data[at+1] = 0x44 // 4
		if scales, _ := openView(t, typ, data, rows, cols).Scales(); !slices.Equal(scales, []float32{2}) {
			t.Errorf("%v: %v", typ, scales)
		}
		data[at+1] = 0x7c
		if _, err := NewTernary(typ, LayoutA, data, rows, cols); !errors.Is(err, ErrRange) {
			t.Errorf("%v: %v", typ, err)
		}
	}
}

func TestViewErrors(t *testing.T) {
	i2s := make([]byte, 128/4+32)
	nan := slices.Clone(i2s)
	nan[32+2], nan[32+3] = 0xc0, 0x7f
	for _, test := range []struct {
		name       string
		typ        gguf.Type
		data       []byte
		rows, cols int
		want       error
	}{
		{"short", gguf.TypeI2S, i2s[:63], 1, 128, ErrLength},
		{"not a multiple of 128", gguf.TypeI2S, i2s, 1, 130, ErrShape},
		{"empty", gguf.TypeI2S, i2s, 0, 128, ErrShape},
		{"negative", gguf.TypeI2S, i2s, -1, -128, ErrShape},
		{"huge", gguf.TypeI2S, i2s, math.MaxInt, math.MaxInt, ErrShape},
		{"NaN", gguf.TypeI2S, nan, 1, 128, ErrRange},
		{"TQ columns", gguf.TypeTQ2_0, i2s, 1, 128, ErrShape},
		{"TQ length", gguf.TypeTQ1_0, i2s, 1, 256, ErrLength},
		{"TQ no columns", gguf.TypeTQ1_0, nil, math.MaxInt, 0, ErrShape},
		{"floats", gguf.TypeF16, i2s, 1, 32, ErrType},
	} {
		if _, err := NewTernary(test.typ, LayoutA, test.data, test.rows, test.cols); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
	if _, err := NewTernaryFloat(gguf.TypeF16, i2s, 1, 33); !errors.Is(err, ErrLength) {
		t.Error(err)
	}
	if _, err := NewTernaryFloat(gguf.TypeF16, nil, math.MaxInt, 0); !errors.Is(err, ErrShape) {
		t.Error(err)
	}
	if _, err := NewTernaryFloat(gguf.TypeI2S, i2s, 1, 128); !errors.Is(err, ErrType) {
		t.Error(err)
	}
	v := openView(t, gguf.TypeI2S, i2s, 1, 128)
	if err := v.Codes(make([]byte, 127), 0); !errors.Is(err, ErrLength) {
		t.Error(err)
	}
	for _, row := range []int{-1, 1} {
		if err := v.Codes(make([]byte, 128), row); !errors.Is(err, ErrShape) {
			t.Error(err)
		}
	}
}

// TestTQ1EveryByte compares the lane arithmetic with the definition of a trit for
// every byte in every position.
func TestTQ1EveryByte(t *testing.T) {
	var b blockTQ1_0
	var codes [tqElems]byte
	for value := range 256 {
		for i := range b.qs {
			b.qs[i] = byte(value + 5*i)
		}
		for i := range b.qh {
			b.qh[i] = byte(value + 11*i)
		}
		b.unpack(codes[:])
		for e, got := range codes {
			var stored byte
			var n int
			switch {
			case e < 160:
				stored, n = b.qs[e%32], e/32
			case e < 240:
				stored, n = b.qs[32+(e-160)%16], (e-160)/16
			default:
				stored, n = b.qh[(e-240)%4], (e-240)/4
			}
			for range n {
				stored *= 3
			}
			if want := byte(uint16(stored) * 3 >> 8); got != want {
				t.Fatalf("bytes from %d: element %d is %d, want %d", value, e, got, want)
			}
		}
	}
}

func TestCodesHF(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rows, cols := 4*rapid.IntRange(1, 5).Draw(rt, "rows/4"), rapid.IntRange(1, 20).Draw(rt, "cols")
		codes := randomCodes(rows*cols, rapid.Uint64().Draw(rt, "seed"))
		data := make([]byte, rows*cols/4)
		for i, c := range codes {
			r, col := i/cols, i%cols
			data[r%(rows/4)*cols+col] |= c << (2 * (r / (rows / 4)))
		}
		got := make([]byte, cols)
		for r := range rows {
			if err := CodesHF(got, data, rows, cols, r); err != nil || !bytes.Equal(got, codes[r*cols:(r+1)*cols]) {
				rt.Fatalf("row %d of %d×%d: %v, %v", r, rows, cols, got, err)
			}
		}
		data[0] |= 0xc0
		if err := CodesHF(got, data, rows, cols, rows/4*3); !errors.Is(err, ErrCode) {
			rt.Fatal(err)
		}
	})
	for _, bad := range []error{
		CodesHF(nil, nil, 3, 4, 0), CodesHF(make([]byte, 4), make([]byte, 4), 4, 4, 4),
		CodesHF(make([]byte, 3), make([]byte, 4), 4, 4, 0), CodesHF(make([]byte, 4), make([]byte, 5), 4, 4, 0), CodesHF(nil, nil, 0, 0, 0),
	} {
		if !errors.Is(bad, ErrShape) && !errors.Is(bad, ErrLength) {
			t.Error(bad)
		}
	}
}

func benchmarkCodes(b *testing.B, typ gguf.Type, layout I2SLayout, cols int) {
	const rows = 16
	codes := randomCodes(rows*cols, 6)
	data := make([]byte, tensorBytes(b, typ, rows, cols))
	var err error
	switch typ {
	case gguf.TypeI2S:
		err = EncodeI2S(data, codes, layout, rows, cols, 1)
	case gguf.TypeTQ1_0, gguf.TypeTQ2_0:
		err = EncodeCodes(typ, data, codes, 1)
	default:
		floats := make([]float32, len(codes))
		decodeCodes(floats, codes, 1)
		err = Encode(typ, data, floats)
	}
	if err != nil {
		b.Fatal(err)
	}
	var v *TernaryView
	if typ == gguf.TypeF16 {
		v, err = NewTernaryFloat(typ, data, rows, cols)
	} else {
		v, err = NewTernary(typ, layout, data, rows, cols)
	}
	if err != nil {
		b.Fatal(err)
	}
	row := make([]byte, cols)
	for b.Loop() {
		for r := range rows {
			if err := v.Codes(row, r); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.N)*rows*float64(cols)/b.Elapsed().Seconds()/1e9, "Gtrits/s")
}

func BenchmarkCodes(b *testing.B) {
	b.Run("I2_S-A", func(b *testing.B) { benchmarkCodes(b, gguf.TypeI2S, LayoutA, 2560) })
	b.Run("I2_S-A-straddling", func(b *testing.B) { benchmarkCodes(b, gguf.TypeI2S, LayoutA, 2600) })
	b.Run("I2_S-B", func(b *testing.B) { benchmarkCodes(b, gguf.TypeI2S, LayoutB, 2560) })
	b.Run("I2_S-C", func(b *testing.B) { benchmarkCodes(b, gguf.TypeI2S, LayoutC, 2560) })
	b.Run("TQ1_0", func(b *testing.B) { benchmarkCodes(b, gguf.TypeTQ1_0, LayoutA, 2560) })
	b.Run("TQ2_0", func(b *testing.B) { benchmarkCodes(b, gguf.TypeTQ2_0, LayoutA, 2560) })
	b.Run("F16", func(b *testing.B) { benchmarkCodes(b, gguf.TypeF16, LayoutA, 2560) })
}

func BenchmarkDecode(b *testing.B) {
	const n = 2560
	src, dst := make([]float32, n), make([]float32, n)
	for i := range src {
		src[i] = float32(i%3 - 1)
	}
	for _, typ := range allTypes {
		b.Run(typ.String(), func(b *testing.B) {
			data := make([]byte, tensorBytes(b, typ, 1, n))
			if err := Encode(typ, data, src); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if err := Decode(typ, dst, data); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds()/1e9, "Gvalues/s")
		})
	}
}
