package kernel

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// The oracles for float64 functions: Taylor series in 400-bit arithmetic.
const bigPrec = 400

func bigFloat(x float64) *big.Float { return new(big.Float).SetPrec(bigPrec).SetFloat64(x) }

// bigTaylor sums term_k with term_k = term_(k−1)·x/ratio(k) until it vanishes.
func bigTaylor(first, x *big.Float, ratio func(k int) float64) *big.Float {
	sum, term := new(big.Float).Copy(first), new(big.Float).Copy(first)
	for k := 1; term.Sign() != 0 && term.MantExp(nil) > -bigPrec; k++ {
		term.Mul(term, x)
		term.Quo(term, bigFloat(ratio(k)))
		sum.Add(sum, term)
	}
	return sum
}

// bigSinCos halves the argument below 1 and doubles the angle back.
func bigSinCos(x float64) (sin, cos *big.Float) {
	y, halvings := bigFloat(x), 0
	for y.Sign() != 0 && y.MantExp(nil) > -2 {
		y.Quo(y, bigFloat(2))
		halvings++
	}
	square := new(big.Float).Mul(y, y)
	square.Neg(square)
	s := bigTaylor(y, square, func(k int) float64 { return float64(2*k) * float64(2*k+1) })
	c := bigTaylor(bigFloat(1), square, func(k int) float64 { return float64(2*k-1) * float64(2*k) })
	for range halvings {
		s2 := new(big.Float).Mul(s, c)
		s2.Add(s2, s2)
		cc, ss := new(big.Float).Mul(c, c), new(big.Float).Mul(s, s)
		s, c = s2, cc.Sub(cc, ss)
	}
	return s, c
}

func bigExp(x float64) *big.Float {
	y, halvings := bigFloat(x), 0
	for y.Sign() != 0 && y.MantExp(nil) > -2 {
		y.Quo(y, bigFloat(2))
		halvings++
	}
	e := bigTaylor(bigFloat(1), y, func(k int) float64 { return float64(k) })
	for range halvings {
		e.Mul(e, e)
	}
	return e
}

// distance returns |got − want|.
func distance(got float64, want *big.Float) float64 {
	d, _ := new(big.Float).Sub(bigFloat(got), want).Float64()
	return math.Abs(d)
}

func TestSinCosAccuracy(t *testing.T) {
	r := rand.New(rand.NewPCG(17, 18))
	points := []float64{0, 1, math.Pi, math.Pi / 2, math.Pi / 4, 3 * math.Pi / 4, 1 << 20, 1<<32 - 1, 0x1p-600,
		// Multiples of π/2 nearest to float64 numbers in range.
		355, 103993 / 2, 7.85398163397448309616e-01, 1e6 * math.Pi}
	for range 1500 {
		points = append(points, r.Float64()*10, r.Float64()*(1<<20), r.Float64()*(1<<32),
			float64(r.IntN(1<<20))*math.Pi/2)
	}
	worst := 0.0
	for _, x := range points {
		for _, x := range []float64{x, -x} {
			s, c := sincos64(x)
			ws, wc := bigSinCos(x)
			worst = max(worst, distance(s, ws), distance(c, wc))
		}
	}
	t.Logf("worst absolute error %.3g = %.3f · 2⁻⁵³", worst, worst*0x1p53)
	if worst > 0x1p-52 {
		t.Errorf("error %g, documented bound 2⁻⁵²", worst)
	}
	if s, c := sincos64(0); s != 0 || c != 1 {
		t.Errorf("sincos(0) = %g, %g", s, c)
	}
}

func TestExp64Log64Accuracy(t *testing.T) {
	r := rand.New(rand.NewPCG(19, 20))
	worstExp, worstLog := 0.0, 0.0
	for range 2000 {
		x := (r.Float64()*2 - 1) * math.Ldexp(700, -r.IntN(12))
		want := bigExp(x)
		size, _ := want.Float64()
		worstExp = max(worstExp, distance(exp64(x), want)/size)

		// e^log(y) = y·(1 + error of the logarithm).
		y := math.Ldexp(1+r.Float64(), r.IntN(1000)-500)
		log := log64(y)
		back := bigExp(log)
		worstLog = max(worstLog, distance(y, back)/y/math.Abs(log))
	}
	t.Logf("worst relative errors: exp %.3f · 2⁻⁵², log %.3f · 2⁻⁵²", worstExp*0x1p52, worstLog*0x1p52)
	if worstExp > 0x1p-52 || worstLog > 0x1p-52 {
		t.Errorf("relative errors %g and %g, documented bound 1 ulp", worstExp, worstLog)
	}
	if exp64(0) != 1 || log64(1) != 0 || exp64(1000) != math.Inf(1) || exp64(-1000) != 0 {
		t.Error("exact cases")
	}
}

// TestRopeTable compares the tables with exact angles at positions up to 2²⁰.
func TestRopeTable(t *testing.T) {
	const dim = 128
	for _, base := range []float64{1e4, 5e5, 1e6} {
		factors := make([]float32, dim/2)
		for i := range factors {
			factors[i] = 1 + float32(i)/8
		}
		inv := make([]float64, dim/2)
		RopeInvFreq(inv, dim, base, 0.25, factors)
		for i, f := range inv {
			want := math.Pow(base, -2*float64(i)/dim) * 0.25 / float64(factors[i])
			if math.Abs(f-want) > want*5e-15 {
				t.Errorf("base %g: frequency %d is %g, want %g", base, i, f, want)
			}
		}
		RopeInvFreq(inv, dim, base, 1, nil)
		if inv[0] != 1 {
			t.Errorf("base %g: frequency 0 is %g", base, inv[0])
		}
		cos, sin := make([]float32, dim/2), make([]float32, dim/2)
		for _, pos := range []int{0, 1, 2, 4095, 131071, 1 << 20} {
			RopeTable(cos, sin, pos, inv, 1)
			for i := range inv {
				s, c := bigSinCos(float64(pos) * inv[i])
				if distance(float64(cos[i]), c) > 0x1p-24 || distance(float64(sin[i]), s) > 0x1p-24 {
					t.Errorf("base %g position %d pair %d: %g, %g, want %g, %g", base, pos, i, cos[i], sin[i], c, s)
				}
			}
		}
		RopeTable(cos, sin, 0, inv, 2)
		if cos[5] != 2 || sin[5] != 0 {
			t.Errorf("scale 2 gives %g, %g", cos[5], sin[5])
		}
	}
}

// TestRopeTableBits pins the bits of some values, which must not depend on the
// architecture.
func TestRopeTableBits(t *testing.T) {
	inv := make([]float64, 64)
	RopeInvFreq(inv, 128, 500000, 1, nil)
	cos, sin := make([]float32, 64), make([]float32, 64)
	hash := uint64(14695981039346656037)
	add := func(v uint64) {
		for range 8 {
			hash = (hash ^ v&0xff) * 1099511628211
			v >>= 8
		}
	}
	for _, f := range inv {
		add(math.Float64bits(f))
	}
	for pos := 0; pos < 1<<20; pos += 9973 {
		RopeTable(cos, sin, pos, inv, 1)
		for i := range cos {
			add(uint64(math.Float32bits(cos[i]))<<32 | uint64(math.Float32bits(sin[i])))
		}
	}
	const want = 0x7b7e4c1f622de592
	if hash != want {
		t.Errorf("hash %#x, want %#x", hash, uint64(want))
	}
}

func TestRopeRotation(t *testing.T) {
	// A quarter turn of pair 0 and an eighth of pair 1; dimension 4 is not rotated.
	h := float32(math.Sqrt2 / 2)
	cos, sin := []float32{0, h}, []float32{1, h}
	neox := []float32{1, 2, 3, 4, 5}
	RopeNeox(neox, cos, sin)
	norm := []float32{1, 3, 2, 4, 5}
	RopeNorm(norm, cos, sin)
	want := []float32{-3, float32(2*h) - float32(4*h), 1, float32(2*h) + float32(4*h), 5}
	for i, j := range []int{0, 2, 1, 3, 4} {
		if neox[i] != want[i] || norm[j] != want[i] {
			t.Errorf("dimension %d: neox %g, norm %g, want %g", i, neox[i], norm[j], want[i])
		}
	}
}
