package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
)

// ulp32 is the spacing of float32 numbers around v, that of the subnormals at
// least.
func ulp32(v float64) float64 {
	_, e := math.Frexp(v)
	return math.Ldexp(1, max(e-24, -149))
}

// TestExpAccuracy compares exp32 with float64 over all magnitudes: every 997th
// bit pattern of both signs. Package math errs by less than 2⁻⁵² here, which does
// not matter.
func TestExpAccuracy(t *testing.T) {
	worst, at := 0.0, float32(0)
	worstSubnormal := 0.0
	for bits := uint32(0); bits < 0x43000000; bits += 997 {
		for _, x := range []float32{math.Float32frombits(bits), -math.Float32frombits(bits)} {
			got, want := float64(exp32(x)), math.Exp(float64(x))
			if want > math.MaxFloat32+ulp32(math.MaxFloat32)/2 {
				if !math.IsInf(got, 1) {
					t.Fatalf("exp(%g) = %g, want +Inf", x, got)
				}
				continue
			}
			ulps := math.Abs(got-want) / ulp32(want)
			if want < 0x1p-126 {
				worstSubnormal = max(worstSubnormal, ulps)
			} else if ulps > worst {
				worst, at = ulps, x
			}
		}
	}
	t.Logf("worst error %.3f ulp at %g; %.3f spacings for subnormal results", worst, at, worstSubnormal)
	if worst > 1.2 || worstSubnormal > 1.2 {
		t.Errorf("the documented bound is 1.2")
	}
}

func TestExpSpecial(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, test := range []struct{ x, want float32 }{
		{0, 1}, {float32(math.Copysign(0, -1)), 1}, {inf, inf}, {-inf, 0}, {nan, nan},
		{89, inf}, {1e30, inf}, {88.72284, inf}, {-104, 0}, {-1e30, 0}, {-103.98, 0},
		{-103, math.SmallestNonzeroFloat32}, {1e-40, 1},
	} {
		dst := []float32{0}
		Exp(dst, []float32{test.x})
		if !sameBits(dst[0], test.want) {
			t.Errorf("exp(%g) = %g, want %g", test.x, dst[0], test.want)
		}
	}
	if got := exp32(88.7228); math.IsInf(float64(got), 0) {
		t.Error("exp(88.7228) overflows")
	}
}

// TestExpMonotone: neighbours of the points where the reduction changes must not
// swap order, or a softmax would.
func TestExpMonotone(t *testing.T) {
	for n := -150; n <= 127; n++ {
		x := float32((float64(n) + 0.5) * math.Ln2)
		for range 20 {
			x = math.Nextafter32(x, float32(math.Inf(-1)))
		}
		last := exp32(x)
		for range 40 {
			x = math.Nextafter32(x, float32(math.Inf(1)))
			v := exp32(x)
			if v < last {
				t.Fatalf("exp(%g) = %g is below its predecessor %g", x, v, last)
			}
			last = v
		}
	}
}

func TestActivationAccuracy(t *testing.T) {
	tests := []struct {
		name  string
		run   func(dst, gate, up []float32)
		exact func(z float64) float64
		ulps  float64
	}{
		{"silu", SiLUMul, func(z float64) float64 { return z / (1 + math.Exp(-z)) }, 3},
		// The argument of the exponential errs by some roundings, which the
		// exponential turns into a relative error as large as the argument, 88.
		{"gelu", GELUTanhMul, func(z float64) float64 {
			u := math.Sqrt(2/math.Pi) * (z + 0.044715*z*z*z)
			return z / (1 + math.Exp(-2*u))
		}, 200},
		{"relu²", ReLU2Mul, func(z float64) float64 { z = max(z, 0); return z * z }, 0.51},
	}
	one, dst := []float32{1}, []float32{0}
	for _, test := range tests {
		worst, at := 0.0, float32(0)
		for bits := uint32(0x2f000000); bits < 0x42800000; bits += 9973 {
			for _, z := range []float32{math.Float32frombits(bits), -math.Float32frombits(bits)} {
				test.run(dst, []float32{z}, one)
				want := test.exact(float64(z))
				if math.Abs(want) < 0x1p-120 {
					continue // the divisor may have overflowed
				}
				if ulps := math.Abs(float64(dst[0])-want) / ulp32(want); ulps > worst {
					worst, at = ulps, z
				}
			}
		}
		t.Logf("%s: worst error %.2f ulp at %g", test.name, worst, at)
		if worst > test.ulps {
			t.Errorf("%s: error %.2f ulp at %g, bound %g", test.name, worst, at, test.ulps)
		}
	}
	// Large and special gates.
	negativeZero := float32(math.Copysign(0, -1))
	for _, test := range []struct {
		name    string
		run     func(dst, gate, up []float32)
		z, want float32
	}{
		{"silu", SiLUMul, -200, negativeZero}, {"silu", SiLUMul, 200, 200},
		{"gelu", GELUTanhMul, -1e30, negativeZero}, {"gelu", GELUTanhMul, 1e30, 1e30},
		{"relu²", ReLU2Mul, -1, 0}, {"relu²", ReLU2Mul, float32(math.NaN()), 0},
		{"silu", SiLUMul, float32(math.NaN()), float32(math.NaN())},
	} {
		test.run(dst, []float32{test.z}, one)
		if !sameBits(dst[0], test.want) {
			t.Errorf("%s(%g) = %g, want %g", test.name, test.z, dst[0], test.want)
		}
	}
}

// TestExpSum checks the weights of attention, which are exponentials divided by
// their sum.
func TestExpSum(t *testing.T) {
	forEachLevel(t, floatPart, func(t *testing.T, k *kernels) {
		r := rand.New(rand.NewPCG(15, 16))
		for n := 1; n < 200; n++ {
			src, dst := make([]float32, n), make([]float32, n)
			fill(src, r, func(r *rand.Rand) float32 { return float32(r.NormFloat64() * 10) })
			_, l := k.float.expSum(dst, src)
			sum, largest := 0.0, math.Inf(-1)
			for _, v := range src {
				largest = max(largest, float64(v))
			}
			for _, v := range src {
				sum += math.Exp(float64(v) - largest)
			}
			for i, v := range src {
				want := math.Exp(float64(v)-largest) / sum
				// The difference to the maximum is rounded: half an ulp of up to 64.
				if math.Abs(float64(dst[i]/l)-want) > want*1e-5 {
					t.Fatalf("n=%d: weight %d is %g, want %g", n, i, dst[i]/l, want)
				}
			}
		}
		for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1))} {
			dst := []float32{1, bad, 2}
			_, l := k.float.expSum(dst, dst)
			for i, v := range dst {
				if v/l == v/l {
					t.Errorf("with %g: weight %d is %g, want NaN", bad, i, v/l)
				}
			}
		}
		if m, l := k.float.expSum(nil, nil); !math.IsInf(float64(m), -1) || l != 0 {
			t.Errorf("of nothing: %g, %g", m, l)
		}
	})
}
