package quant

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"

	"trit/gguf"
)

var allTypes = []gguf.Type{
	gguf.TypeF32, gguf.TypeF16, gguf.TypeBF16, gguf.TypeQ4_0, gguf.TypeQ8_0, gguf.TypeQ6_K,
	gguf.TypeTQ1_0, gguf.TypeTQ2_0, gguf.TypeI2S,
	gguf.TypeQ2_0, gguf.TypeQ2_0G128, gguf.TypePQ2_0, gguf.TypePTQ1_0,
}

func tensorBytes(t testing.TB, typ gguf.Type, rows, cols int) int {
	t.Helper()
	n, err := TensorBytes(typ, rows, cols)
	if err != nil {
		t.Fatal(err)
	}
	return int(n)
}

func TestSizes(t *testing.T) {
	for _, test := range []struct {
		typ        gguf.Type
		rows, cols int
		row        int // 0: ErrShape
		tensor     int64
	}{
		{gguf.TypeF32, 3, 5, 20, 60},
		{gguf.TypeF16, 3, 5, 10, 30},
		{gguf.TypeBF16, 3, 5, 10, 30},
		{gguf.TypeQ4_0, 2, 64, 36, 72},
		{gguf.TypeQ8_0, 2, 64, 68, 136},
		{gguf.TypeQ6_K, 2, 512, 420, 840},
		{gguf.TypeTQ1_0, 2, 512, 108, 216},
		{gguf.TypeTQ2_0, 2, 512, 132, 264},
		{gguf.TypeI2S, 2, 256, 64, 160},
		{gguf.TypeI2S, 2, 64, 0, 64},
		{gguf.TypeI2S, 3, 64, 0, 0},
		{gguf.TypeQ4_0, 2, 33, 0, 0},
		{gguf.TypeQ6_K, 2, 128, 0, 0},
		{gguf.TypeF32, -1, 4, 16, 0},
		{gguf.TypeF32, 1, -4, 0, 0},
		{gguf.TypeI2S, -128, -1, 0, 0},
	} {
		row, err := RowBytes(test.typ, test.cols)
		if row != test.row || errors.Is(err, ErrShape) != (test.row == 0) {
			t.Errorf("RowBytes(%v, %d) = %d, %v; want %d", test.typ, test.cols, row, err, test.row)
		}
		tensor, err := TensorBytes(test.typ, test.rows, test.cols)
		if tensor != test.tensor || errors.Is(err, ErrShape) != (test.tensor == 0) {
			t.Errorf("TensorBytes(%v, %d, %d) = %d, %v; want %d", test.typ, test.rows, test.cols, tensor, err, test.tensor)
		}
	}
	if _, err := TensorBytes(gguf.TypeF32, math.MaxInt, math.MaxInt/8); math.MaxInt > math.MaxInt32 && !errors.Is(err, ErrShape) {
		t.Errorf("an overflowing tensor: %v", err)
	}
	if _, err := RowBytes(gguf.TypeF32, math.MaxInt); !errors.Is(err, ErrShape) {
		t.Errorf("an overflowing row: %v", err)
	}
	if _, err := RowBytes(gguf.TypeQ5_0, 32); !errors.Is(err, ErrType) {
		t.Errorf("Q5_0: %v", err)
	}
	for typ, c := range codecs {
		if int64(c.elems) != typ.BlockElements() || int64(c.bytes) != typ.BlockBytes() {
			t.Errorf("%v: %d elements in %d bytes; gguf says %d in %d", typ, c.elems, c.bytes, typ.BlockElements(), typ.BlockBytes())
		}
	}
}

func TestWrongLengths(t *testing.T) {
	for _, typ := range allTypes {
		n := tensorBytes(t, typ, 1, 256)
		for _, wrong := range []int{0, n - 1, n + 1} {
			if err := Decode(typ, make([]float32, 256), make([]byte, wrong)); !errors.Is(err, ErrLength) {
				t.Errorf("Decode %v from %d bytes: %v", typ, wrong, err)
			}
			if err := Encode(typ, make([]byte, wrong), make([]float32, 256)); !errors.Is(err, ErrLength) {
				t.Errorf("Encode %v to %d bytes: %v", typ, wrong, err)
			}
		}
	}
	if err := Decode(gguf.TypeIQ1S, nil, nil); !errors.Is(err, ErrType) {
		t.Errorf("Decode IQ1_S: %v", err)
	}
	if err := Encode(gguf.TypeTL1, nil, nil); !errors.Is(err, ErrType) {
		t.Errorf("Encode TL1: %v", err)
	}
}

func TestEncodeRefusesWhatItCannotStore(t *testing.T) {
	inf, nan := float32(math.Inf(-1)), float32(math.NaN())
	for _, typ := range allTypes {
		block := func(at int, x float32) error {
			src := make([]float32, 512)
			src[at] = x
			return Encode(typ, make([]byte, tensorBytes(t, typ, 1, 512)), src)
		}
		exact := typ == gguf.TypeF32 || typ == gguf.TypeF16 || typ == gguf.TypeBF16
		for _, x := range []float32{inf, nan} {
			err := block(300, x)
			switch {
			case exact && err != nil:
				t.Errorf("%v refuses %g: %v", typ, x, err)
			case typ == gguf.TypeI2S && !errors.Is(err, ErrNotTernary):
				t.Errorf("%v stores %g: %v", typ, x, err)
			case !exact && typ != gguf.TypeI2S && !errors.Is(err, ErrRange):
				t.Errorf("%v stores %g: %v", typ, x, err)
			}
		}
		// Large enough for every f16 scale to overflow.
		for _, x := range []float32{4e8, -6e8, 3e38} {
			if err := block(300, x); !exact && typ != gguf.TypeI2S && !errors.Is(err, ErrRange) {
				t.Errorf("%v stores %g: %v", typ, x, err)
			}
		}
		// Tiny values lose their scale, but decode to zeros, not to NaN.
		for _, x := range []float32{1e-30, -1e-42, math.SmallestNonzeroFloat32} {
			if err := block(300, x); err != nil {
				t.Errorf("%v refuses %g: %v", typ, x, err)
			}
		}
	}
}

// Whatever is encoded must decode to within the step of its format.
func TestRoundTripBounds(t *testing.T) {
	for _, typ := range allTypes {
		t.Run(typ.String(), rapid.MakeCheck(func(rt *rapid.T) {
			n := 256 * rapid.IntRange(1, 3).Draw(rt, "blocks")
			src := make([]float32, n)
			// From 1 up, so that no block scale is a binary16 subnormal.
			magnitude := float32(math.Ldexp(1, rapid.IntRange(0, 8).Draw(rt, "exponent")))
			seed := rapid.Uint32().Draw(rt, "seed")
			for i := range src {
				seed = seed*1664525 + 1013904223
				src[i] = float32(int32(seed)) / (1 << 31) * magnitude
				if typ == gguf.TypeI2S {
					src[i] = float32(int32(seed>>16)%3-1) * magnitude
				}
			}
			packed, got := make([]byte, tensorBytes(t, typ, 1, n)), make([]float32, n)
			if err := Encode(typ, packed, src); err != nil {
				rt.Fatal(err)
			}
			if err := Decode(typ, got, packed); err != nil {
				rt.Fatal(err)
			}
			// The largest error, relative to the largest magnitude. Q4_0 and Q6_K have
			// one code less on one side; every scale is itself rounded.
			bound := map[gguf.Type]float64{
				gguf.TypeF32: 0, gguf.TypeI2S: 0, gguf.TypeF16: 1.0 / 2048, gguf.TypeBF16: 1.0 / 256,
				gguf.TypeQ8_0: 0.57 / 127, gguf.TypeQ4_0: 1.01 / 8, gguf.TypeQ6_K: 1.6 / 31, gguf.TypeTQ1_0: 0.51, gguf.TypeTQ2_0: 0.51,
				gguf.TypeQ2_0: 0.51, gguf.TypeQ2_0G128: 0.51, gguf.TypePQ2_0: 0.51, gguf.TypePTQ1_0: 0.51,
			}[typ]
			for i := range got {
				if d := math.Abs(float64(got[i]) - float64(src[i])); d > bound*float64(magnitude) {
					rt.Fatalf("element %d: %g became %g (magnitude %g)", i, src[i], got[i], magnitude)
				}
			}
		}))
	}
}

// Ternary values survive every format but Q4_0, whose ±8 are not symmetric,
// and re-encoding what was decoded gives the same bytes.
func TestTernaryRoundTrip(t *testing.T) {
	for _, typ := range allTypes {
		t.Run(typ.String(), rapid.MakeCheck(func(rt *rapid.T) {
			codes := rapid.SliceOfN(rapid.ByteRange(0, 2), 512, 512).Draw(rt, "codes")
			src := make([]float32, len(codes))
			decodeCodes(src, codes, 0.5)
			packed, got := make([]byte, tensorBytes(t, typ, 2, 256)), make([]float32, 512)
			if err := Encode(typ, packed, src); err != nil {
				rt.Fatal(err)
			}
			if err := Decode(typ, got, packed); err != nil {
				rt.Fatal(err)
			}
			again := make([]byte, len(packed))
			if err := Encode(typ, again, got); err != nil && typ != gguf.TypeQ4_0 {
				rt.Fatal(err)
			}
			if !bytes.Equal(packed, again) && typ != gguf.TypeQ4_0 && typ != gguf.TypeQ6_K && typ != gguf.TypeQ8_0 {
				rt.Fatalf("encoding the decoded values gave other bytes")
			}
			for i := range got {
				if sign := func(x float32) int { return int(max(-1, min(1, x*1e3))) }; sign(got[i]) != int(codes[i])-1 {
					rt.Fatalf("element %d: %g became %g", i, src[i], got[i])
				}
			}
		}))
	}
}

func TestDecodeAndCodesAllocateNothing(t *testing.T) {
	dst := make([]float32, 1024)
	codes := make([]byte, 1024)
	for _, typ := range allTypes {
		packed := make([]byte, tensorBytes(t, typ, 1, 1024))
		src := make([]float32, 1024)
		for i := range src {
			src[i] = float32(i%3 - 1)
		}
		if err := Encode(typ, packed, src); err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(20, func() {
			if err := Decode(typ, dst, packed); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("Decode %v allocates %v times", typ, n)
		}
		if n := testing.AllocsPerRun(20, func() {
			if err := Encode(typ, packed, src); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("Encode %v allocates %v times", typ, n)
		}
		if typ == gguf.TypeQ4_0 || typ == gguf.TypeQ6_K {
			continue // not ternary any more
		}
		v := openView(t, typ, packed, 1, 1024)
		if n := testing.AllocsPerRun(20, func() {
			if err := v.Codes(codes, 0); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("Codes of %v allocates %v times", typ, n)
		}
	}
}

func openView(t testing.TB, typ gguf.Type, data []byte, rows, cols int) *TernaryView {
	t.Helper()
	open := func() (*TernaryView, error) { return NewTernaryFloat(typ, data, rows, cols) }
	if IsTernary(typ) {
		open = func() (*TernaryView, error) { return NewTernary(typ, LayoutA, data, rows, cols) }
	}
	v, err := open()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// FuzzDecode feeds arbitrary bytes to every way of reading a tensor. Nothing may
// panic, and where codes and floats both come out they must agree.
func FuzzDecode(f *testing.F) {
	for _, g := range golden {
		f.Add(uint32(g.typ), uint8(0), uint16(1), uint16(len(g.src)), goldenBytes(f, g.hex))
	}
	f.Add(uint32(gguf.TypeI2S), uint8(1), uint16(4), uint16(64), bytes.Repeat([]byte{0x55}, 96))
	f.Add(uint32(gguf.TypeI2S), uint8(2), uint16(4), uint16(64), bytes.Repeat([]byte{0x24}, 96))
	f.Add(uint32(gguf.TypeI2S), uint8(0), uint16(8), uint16(48), bytes.Repeat([]byte{0xff}, 128))
	f.Fuzz(func(t *testing.T, typ uint32, layout uint8, rows, cols uint16, data []byte) {
		if int(rows)*int(cols) > 1<<16 {
			return
		}
		typed, shaped := gguf.Type(typ), I2SLayout(layout)
		floats := make([]float32, int(rows)*int(cols))
		var err error
		if typed == gguf.TypeI2S {
			err = DecodeI2S(floats, data, shaped, int(rows), int(cols))
		} else {
			err = Decode(typed, floats, data)
		}
		v, viewErr := NewTernary(typed, shaped, data, int(rows), int(cols))
		if viewErr != nil {
			if v, viewErr = NewTernaryFloat(typed, data, int(rows), int(cols)); viewErr != nil {
				return
			}
		}
		scales, groupCols := v.Scales()
		codes := make([]byte, cols)
		failed := false
		for r := range int(rows) {
			if codesErr := v.Codes(codes, r); codesErr != nil {
				failed = true
				continue
			}
			if err != nil {
				continue
			}
			for c, code := range codes {
				want := floats[r*int(cols)+c]
				if got := scaleAt(scales, groupCols, int(rows), int(cols), r, c) * float32(int(code)-1); got != want {
					t.Fatalf("%v row %d column %d: view %g, decoder %g", typed, r, c, got, want)
				}
			}
		}
		// Code 3 of these is a value, and none of a ternary tensor.
		four := typed == gguf.TypeQ2_0 || typed == gguf.TypeQ2_0G128 || typed == gguf.TypePQ2_0
		if failed != (err != nil) && !(failed && four) {
			t.Fatalf("%v: Decode says %v, Codes failed: %v", typed, err, failed)
		}
	})
}

// scaleAt reads the scale of one element as the documentation of Scales says.
func scaleAt(scales []float32, groupCols, rows, cols, r, c int) float32 {
	switch {
	case len(scales) == 1:
		return scales[0]
	case groupCols == cols:
		return scales[r]
	}
	return scales[r*(cols/groupCols)+c/groupCols]
}

// TestPackI2S packs a tensor in parts: the bytes are those of the whole without its
// scale.
func TestPackI2S(t *testing.T) {
	codes := make([]byte, 1280)
	for i := range codes {
		codes[i] = byte(i * i % 3)
	}
	whole := make([]byte, len(codes)/4+32)
	if err := EncodeCodes(gguf.TypeI2S, whole, codes, 2); err != nil {
		t.Fatal(err)
	}
	parts := make([]byte, len(codes)/4)
	for at := 0; at < len(codes); at += 384 {
		to := min(at+384, len(codes))
		if err := PackI2S(parts[at/4:to/4], codes[at:to]); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(parts, whole[:len(parts)]) {
		t.Error("parts and whole differ")
	}
	if err := PackI2S(parts[:16], codes[:64]); !errors.Is(err, ErrLength) {
		t.Errorf("half a block: %v", err)
	}
	if err := PackI2S(parts[:31], codes[:128]); !errors.Is(err, ErrLength) {
		t.Errorf("too little room: %v", err)
	}
	codes[200] = 3
	if err := PackI2S(parts, codes); !errors.Is(err, ErrCode) {
		t.Errorf("code 3: %v", err)
	}
}
