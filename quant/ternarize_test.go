package quant

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestAbsMean(t *testing.T) {
	for _, test := range []struct {
		w     []float32
		scale float32
		trits []int8
	}{
		{[]float32{1, -1, 1, -1}, 1, []int8{1, -1, 1, -1}},
		// Mean 2: 1 is exactly half, a tie that goes to the even 0; 3 is 1.5 and clamped.
		{[]float32{1, -1, 3, -3, 2, -2}, 2, []int8{0, 0, 1, -1, 1, -1}},
		{[]float32{0, 0}, 1e-5, []int8{0, 0}},
		{[]float32{1e-6, -9e-6}, 1e-5, []int8{0, -1}},
		{nil, 1e-5, []int8{}},
	} {
		trits := make([]int8, len(test.w))
		scale, err := AbsMean(trits, test.w)
		if err != nil || scale != test.scale || !slices.Equal(trits, test.trits) {
			t.Errorf("AbsMean(%v) = %g %v, %v; want %g %v", test.w, scale, trits, err, test.scale, test.trits)
		}
	}
	bad := []float32{1, 2, float32(math.NaN()), float32(math.Inf(1))}
	if _, err := AbsMean(make([]int8, 4), bad); !errors.Is(err, ErrRange) {
		t.Error(err)
	}
	if _, err := AbsMean(make([]int8, 3), make([]float32, 4)); !errors.Is(err, ErrLength) {
		t.Error(err)
	}
}

func TestAbsMax(t *testing.T) {
	w := []float32{4, 2, -2, -2.5, 1, -4}
	trits := make([]int8, len(w))
	if scale, err := AbsMax(trits, w); err != nil || scale != 4 || !slices.Equal(trits, []int8{1, 0, 0, -1, 0, -1}) {
		t.Errorf("%g %v %v", scale, trits, err)
	}
	trits[0] = 7
	if scale, err := AbsMax(trits[:1], []float32{0}); err != nil || scale != 0 || trits[0] != 0 {
		t.Errorf("%g %v %v", scale, trits, err)
	}
	if _, err := AbsMax(trits[:1], []float32{float32(math.NaN())}); !errors.Is(err, ErrRange) {
		t.Error(err)
	}
	if _, err := AbsMax(trits, w[:3]); !errors.Is(err, ErrLength) {
		t.Error(err)
	}
}

// TestRoundTrit compares with the definition around every boundary.
func TestRoundTrit(t *testing.T) {
	naive := func(x float32) int8 {
		switch {
		case x > 0.5:
			return 1
		case x < -0.5:
			return -1
		}
		return 0
	}
	check := func(bits uint32) {
		x := math.Float32frombits(bits)
		if got, want := roundTrit(x), naive(x); got != want {
			t.Fatalf("%g (%#08x) became %d, want %d", x, bits, got, want)
		}
	}
	for _, at := range []uint32{0, 1, 0x3f000000, 0x3f800000, 0x7f7fffff, 0x7f800000, 0x7fc00000, 0x7fffffff} {
		for d := -3; d <= 3; d++ {
			for _, sign := range []uint32{0, 1 << 31} {
				check((at + uint32(d)) ^ sign)
			}
		}
	}
	for bits := uint64(0); bits < 1<<32; bits += 65537 {
		check(uint32(bits))
	}
}

func BenchmarkTernarize(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	src, dst := make([]float32, 1<<16), make([]int8, 1<<16)
	for i := range src {
		src[i] = float32(r.NormFloat64())
	}
	b.SetBytes(int64(4 * len(src)))
	for b.Loop() {
		Ternarize(dst, src, 1.25)
	}
}

// The scale may not depend on the chunks, and must be the float32 mean.
func TestAbsMeanStreams(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := rapid.SliceOfN(rapid.Float32Range(-3, 3), 1, 300).Draw(rt, "w")
		var chunked AbsMeanStats
		for rest := w; len(rest) > 0; {
			n := rapid.IntRange(0, len(rest)).Draw(rt, "chunk")
			chunked.Add(rest[:n])
			rest = rest[n:]
			if n == 0 {
				chunked.Add(rest)
				break
			}
		}
		trits := make([]int8, len(w))
		scale, err := AbsMean(trits, w)
		if err != nil {
			rt.Fatal(err)
		}
		if got, err := chunked.Scale(); err != nil || got != scale {
			rt.Fatalf("chunks give %g, %v; the whole gives %g", got, err, scale)
		}
		sum := 0.0
		for _, x := range w {
			sum += math.Abs(float64(x))
		}
		if want := max(sum/float64(len(w)), 1e-5); math.Abs(float64(scale)-want) > want*1e-7 {
			rt.Fatalf("scale %g, mean %g", scale, want)
		}
		for i, x := range w {
			want := max(-1, min(1, math.RoundToEven(float64(x*(1/scale)))))
			if float64(trits[i]) != want {
				rt.Fatalf("%g / %g became %d, want %g", x, scale, trits[i], want)
			}
		}
	})
}

func TestFidelity(t *testing.T) {
	var f Fidelity
	f.Add([]float32{3, 0}, []int8{1, 0}, 2)
	f.Add([]float32{-4, 1}, []int8{-1, 0}, 2)
	// Differences 1, 0, −2, 1; dot 6 + 8; |w|² = 26; |trits|² = 8.
	if got, want := f.RMSE(), math.Sqrt(6.0/4); got != want {
		t.Errorf("RMSE %g, want %g", got, want)
	}
	if got := f.Zeros(); got != 0.5 {
		t.Errorf("zeros %g, want 0.5", got)
	}
	if got, want := f.Cosine(), 14/math.Sqrt(26*8); math.Abs(got-want) > 1e-15 {
		t.Errorf("cosine %g, want %g", got, want)
	}
	var none Fidelity
	if none.RMSE() != 0 || none.Zeros() != 0 || none.Cosine() != 1 {
		t.Errorf("no weights: %g %g %g", none.RMSE(), none.Zeros(), none.Cosine())
	}
	none.Add([]float32{1}, []int8{0}, 1)
	if none.Cosine() != 0 {
		t.Errorf("all trits zero: cosine %g", none.Cosine())
	}
}

// TestMerge checks that fidelity in parts is that of the whole.
func TestMerge(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	w, trits := make([]float32, 1000), make([]int8, 1000)
	for i := range w {
		w[i] = float32(rng.NormFloat64())
	}
	scale, err := AbsMean(trits, w)
	if err != nil {
		t.Fatal(err)
	}
	var whole, merged Fidelity
	whole.Add(w, trits, scale)
	for i := 0; i < len(w); i += 300 {
		var part Fidelity
		part.Add(w[i:min(i+300, len(w))], trits[i:min(i+300, len(w))], scale)
		merged.Merge(&part)
	}
	if a, b := whole.Zeros(), merged.Zeros(); a != b || a == 0 {
		t.Errorf("zeros %g and %g", a, b)
	}
	for _, x := range [][2]float64{{whole.RMSE(), merged.RMSE()}, {whole.Cosine(), merged.Cosine()}} {
		if math.Abs(x[0]-x[1]) > 1e-12 || x[0] == 0 {
			t.Errorf("in parts %g, as a whole %g", x[1], x[0])
		}
	}
}
