package kernel

import (
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"
)

// longest is the largest vector length that the twin tests cover.
const longest = 1100

// sameBits reports whether a and b are the same number, zeros and infinities by
// sign, or both NaN.
func sameBits(a, b float32) bool {
	return math.Float32bits(a) == math.Float32bits(b) || a != a && b != b
}

func firstDifference(a, b []float32) int {
	for i := range a {
		if !sameBits(a[i], b[i]) {
			return i
		}
	}
	return -1
}

// Kinds of test data.
var floatData = map[string]func(r *rand.Rand) float32{
	"normal": func(r *rand.Rand) float32 { return float32(r.NormFloat64()) },
	// Every bit pattern but NaN and infinity: overflows, subnormals.
	"finite": func(r *rand.Rand) float32 {
		for {
			if v := math.Float32frombits(r.Uint32()); v-v == 0 {
				return v
			}
		}
	},
	"subnormal": func(r *rand.Rand) float32 {
		return math.Float32frombits(r.Uint32() & 0x807fffff)
	},
	"special": func(r *rand.Rand) float32 {
		special := []float32{
			0, float32(math.Copysign(0, -1)), float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()),
			math.Float32frombits(0xff800001), math.MaxFloat32, -math.MaxFloat32, math.SmallestNonzeroFloat32,
			1, -1, 88.72283, 88.72284, 89, -87.33655, -103.97, -103.98, -104, 1e-38, -1e38, 0.5,
		}
		return special[r.IntN(len(special))]
	},
	"mostly normal": func(r *rand.Rand) float32 {
		if r.IntN(300) == 0 {
			return float32(math.Inf(1 - 2*r.IntN(2)))
		}
		return float32(r.NormFloat64() * 30)
	},
}

// guardedFloats returns a function that cuts slices of up to n floats from the
// end of guarded memory.
func guardedFloats(tb testing.TB, n int) func(n int) []float32 {
	area := guardedBytes(tb, 4*n)
	all := unsafe.Slice((*float32)(unsafe.Pointer(&area[0])), len(area)/4)
	return func(n int) []float32 { return all[len(all)-n:] }
}

func fill(x []float32, r *rand.Rand, f func(*rand.Rand) float32) {
	for i := range x {
		x[i] = f(r)
	}
}

// vectorCase runs one kernel of a table on three inputs and a scalar; it returns
// the scalar results and may write to out, which holds a copy of the first input.
type vectorCase struct {
	name string
	run  func(k *kernels, out, a, b, c []float32, s float32) (float64, float64)
}

var vectorCases = []vectorCase{
	{"dot", func(k *kernels, _, a, b, _ []float32, _ float32) (float64, float64) {
		return float64(k.float.dot(a, b)), 0
	}},
	{"add", func(k *kernels, out, a, b, _ []float32, _ float32) (float64, float64) {
		k.float.add(out, a, b)
		return 0, 0
	}},
	{"add in place", func(k *kernels, out, _, b, _ []float32, _ float32) (float64, float64) {
		k.float.add(out, out, b)
		return 0, 0
	}},
	{"mul", func(k *kernels, out, a, b, _ []float32, _ float32) (float64, float64) {
		k.float.mul(out, a, b)
		return 0, 0
	}},
	{"scale", func(k *kernels, out, a, _, _ []float32, s float32) (float64, float64) {
		k.float.scale(out, a, s)
		return 0, 0
	}},
	{"axpy", func(k *kernels, out, _, b, _ []float32, s float32) (float64, float64) {
		k.attend.axpy(out, b, s)
		return 0, 0
	}},
	{"divide", func(k *kernels, out, _, _, _ []float32, s float32) (float64, float64) {
		k.attend.divide(out, s)
		return 0, 0
	}},
	{"max", func(k *kernels, _, a, _, _ []float32, _ float32) (float64, float64) {
		return float64(k.float.max(a)), 0
	}},
	{"sumSquares", func(k *kernels, _, a, _, _ []float32, _ float32) (float64, float64) {
		return k.float.sumSquares(a), 0
	}},
	{"normMul", func(k *kernels, out, a, b, _ []float32, s float32) (float64, float64) {
		k.float.normMul(out, a, b, s)
		return 0, 0
	}},
	{"exp", func(k *kernels, out, a, _, _ []float32, _ float32) (float64, float64) {
		k.float.exp(out, a)
		return 0, 0
	}},
	{"expSum", func(k *kernels, out, a, _, _ []float32, _ float32) (float64, float64) {
		m, l := k.float.expSum(out, a)
		return float64(m), float64(l)
	}},
	{"expSum in place", func(k *kernels, out, _, _, _ []float32, _ float32) (float64, float64) {
		m, l := k.float.expSum(out, out)
		return float64(m), float64(l)
	}},
	{"siluMul", func(k *kernels, out, a, b, _ []float32, _ float32) (float64, float64) {
		k.float.siluMul(out, a, b)
		return 0, 0
	}},
	{"siluMul in place", func(k *kernels, out, _, b, _ []float32, _ float32) (float64, float64) {
		k.float.siluMul(out, out, b)
		return 0, 0
	}},
	{"relu2Mul", func(k *kernels, out, a, b, _ []float32, _ float32) (float64, float64) {
		k.float.relu2Mul(out, a, b)
		return 0, 0
	}},
	{"geluTanhMul", func(k *kernels, out, a, b, _ []float32, _ float32) (float64, float64) {
		k.float.geluTanhMul(out, a, b)
		return 0, 0
	}},
	{"ropeNeox", func(k *kernels, out, a, b, c []float32, _ float32) (float64, float64) {
		n := len(out) / 2
		k.float.ropeNeox(out[:n], out[n:2*n], b[len(b)-n:], c[len(c)-n:])
		return 0, 0
	}},
	{"ropeNorm", func(k *kernels, out, a, b, c []float32, _ float32) (float64, float64) {
		n := len(out) / 2
		k.float.ropeNorm(out[len(out)-2*n:], b[len(b)-n:], c[len(c)-n:])
		return 0, 0
	}},
}

// TestVectorTwins compares every vector kernel with its twin at every length, on
// all kinds of data, with all operands at the end of readable memory.
func TestVectorTwins(t *testing.T) {
	const canary = 12345.678
	cut := make([]func(int) []float32, 4)
	for i := range cut {
		cut[i] = guardedFloats(t, longest+1)
	}
	same := func(a, b float64) bool {
		return math.Float64bits(a) == math.Float64bits(b) || a != a && b != b
	}
	forEachLevel(t, floatPart, func(t *testing.T, k *kernels) {
		for kind, data := range floatData {
			r := rand.New(rand.NewPCG(1, 2))
			want := make([]float32, longest)
			for n := range longest + 1 {
				a, b, c := cut[0](n), cut[1](n), cut[2](n)
				fill(a, r, data)
				fill(b, r, data)
				fill(c, r, data)
				s := data(r)
				guard := cut[3](n + 1)
				guard[0] = canary
				out, want := guard[1:], want[:n]
				for _, test := range vectorCases {
					copy(out, a)
					copy(want, a)
					w1, w2 := test.run(&generic, want, a, b, c, s)
					g1, g2 := test.run(k, out, a, b, c, s)
					if !same(g1, w1) || !same(g2, w2) {
						t.Fatalf("%s, %s data, length %d: got %g, %g, the twin %g, %g", test.name, kind, n, g1, g2, w1, w2)
					}
					if i := firstDifference(out, want); i >= 0 {
						t.Fatalf("%s, %s data, length %d: element %d is %g (%#08x), the twin's %g (%#08x) for a=%g b=%g s=%g", test.name, kind, n,
							i, out[i], math.Float32bits(out[i]), want[i], math.Float32bits(want[i]), a[i], b[i], s)
					}
					if guard[0] != canary {
						t.Fatalf("%s, length %d: wrote before the destination", test.name, n)
					}
				}
			}
		}
	})
}

func TestDotOracle(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for n := range 300 {
		a, b := make([]float32, n), make([]float32, n)
		fill(a, r, floatData["normal"])
		fill(b, r, floatData["normal"])
		exact, magnitude := new(big.Float).SetPrec(200), 0.0
		for i := range a {
			p := float64(a[i]) * float64(b[i]) // exact
			exact.Add(exact, big.NewFloat(p))
			magnitude += math.Abs(p)
		}
		want, _ := exact.Float64()
		// One rounding per product and at most n/16 + 5 per path through the sums.
		bound := magnitude * float64(n/16+6) * 0x1p-24
		if got := float64(dotGeneric(a, b)); math.Abs(got-want) > bound {
			t.Fatalf("length %d: got %g, want %g ± %g", n, got, want, bound)
		}
	}
	if got := Dot(nil, nil); got != 0 || math.Signbit(float64(got)) {
		t.Errorf("empty dot product = %g, want +0", got)
	}
}

// TestDotOrder pins the order of the reduction with numbers that any other order
// would add differently.
func TestDotOrder(t *testing.T) {
	const n = 16 + 3
	a, b := make([]float32, n), make([]float32, n)
	for i := range a {
		a[i], b[i] = float32(i+1), 1
	}
	a[0], a[8], a[16] = 1<<24, -(1 << 24), 1
	// Stripe 0: 2²⁴ + 1 rounds to 2²⁴; with stripe 8 it cancels to 0.
	want := float32(0)
	for i := range a {
		if i%8 != 0 {
			want += a[i]
		}
	}
	if got := Dot(a, b); got != want {
		t.Errorf("got %g, want %g", got, want)
	}
}

func TestMax(t *testing.T) {
	inf, nan, negativeZero := float32(math.Inf(1)), float32(math.NaN()), float32(math.Copysign(0, -1))
	forEachLevel(t, floatPart, func(t *testing.T, _ *kernels) {
		for _, test := range []struct {
			x    []float32
			want float32
		}{
			{nil, -inf},
			{[]float32{nan, nan}, -inf},
			{[]float32{-inf}, -inf},
			{[]float32{nan, -inf, -inf}, -inf},
			{[]float32{1, 3, 2, 3}, 3},
			{[]float32{-5, nan, -4}, -4},
			{[]float32{negativeZero}, 0},
			{[]float32{-1, 0, negativeZero}, 0},
			{[]float32{1, inf, inf}, inf},
		} {
			if m := Max(test.x); !sameBits(m, test.want) {
				t.Errorf("Max(%v) = %g, want %g", test.x, m, test.want)
			}
		}
	})
}

func TestRMSNorm(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, n := range []int{1, 2, 7, 8, 64, 100, 2560} {
		x, w, got := make([]float32, n), make([]float32, n), make([]float32, n)
		fill(x, r, floatData["normal"])
		fill(w, r, floatData["normal"])
		sum := new(big.Float).SetPrec(200)
		for _, v := range x {
			sum.Add(sum, new(big.Float).SetPrec(200).Mul(big.NewFloat(float64(v)), big.NewFloat(float64(v))))
		}
		square, _ := sum.Float64()
		const eps = 1e-5
		scale := 1 / math.Sqrt(square/float64(n)+float64(float32(eps)))
		for _, weights := range [][]float32{w, nil} {
			RMSNorm(got, x, weights, eps)
			for i := range got {
				want := float64(x[i]) * scale
				if weights != nil {
					want *= float64(w[i])
				}
				// Roundings: mean, + eps, square root, reciprocal, two products.
				if math.Abs(float64(got[i])-want) > math.Abs(want)*5*0x1p-24 {
					t.Fatalf("n=%d: element %d is %g, want %g", n, i, got[i], want)
				}
			}
		}
		want := append([]float32(nil), got...)
		RMSNorm(x, x, nil, eps)
		if i := firstDifference(x, want); i >= 0 {
			t.Fatalf("n=%d in place: element %d is %g, want %g", n, i, x[i], want[i])
		}
	}
	RMSNorm(nil, nil, nil, 0)
	// The squares of 1e30 fit the float64 sum but not the float32 mean.
	large := []float32{1e30, -1e30}
	RMSNorm(large, large, nil, 0)
	if large[0] != 0 || large[1] != 0 {
		t.Errorf("RMSNorm of ±1e30 = %g, want zeros", large)
	}
}

func TestSumStripes(t *testing.T) {
	var acc [stripes]float32
	want := float32(0)
	for j := range acc {
		acc[j] = float32(int(1) << j)
		want += acc[j]
	}
	if got := sumStripes(&acc); got != want {
		t.Errorf("got %g, want %g", got, want)
	}
}

// TestFloatAllocations: kernels must not allocate when called through the table.
func TestFloatAllocations(t *testing.T) {
	x, y, w := make([]float32, 100), make([]float32, 100), make([]float32, 100)
	var inv [16]float64
	allocs := testing.AllocsPerRun(10, func() {
		Dot(x, y)
		Add(x, x, y)
		RMSNorm(x, x, w, 1e-5)
		SiLUMul(x, y, w)
		Exp(x, y)
		RopeInvFreq(inv[:], 32, 10000, 1, nil)
		Max(x)
	})
	if allocs != 0 {
		t.Errorf("%g allocations", allocs)
	}
}

// TestClamp: numbers beyond a bound become the bound, and what is none stays so.
func TestClamp(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	x := []float32{0, float32(math.Copysign(0, -1)), 7, -7, 7.5, -7.5, inf, -inf, nan, 6.999}
	both, above := slices.Clone(x), slices.Clone(x)
	Clamp(both, -7, 7)
	ClampMax(above, 7)
	for i, v := range x {
		want := [2]float32{min(max(v, -7), 7), min(v, 7)}
		if got := [2]float32{both[i], above[i]}; math.Float32bits(got[0]) != math.Float32bits(want[0]) && v == v ||
			math.Float32bits(got[1]) != math.Float32bits(want[1]) && v == v || v != v && (got[0] == got[0] || got[1] == got[1]) {
			t.Errorf("%v becomes %v, want %v", v, got, want)
		}
	}
	rng := rand.New(rand.NewPCG(5, 1))
	forEachLevel(t, floatPart, func(t *testing.T, _ *kernels) {
		for n := range 70 {
			got := guarded(n)
			for i := range got {
				got[i] = append(x, 3, -20)[rng.IntN(len(x)+2)]
			}
			want := slices.Clone(got)
			Clamp(got, -6, 5)
			clampGeneric(want, -6, 5)
			for i := range got {
				if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
					t.Fatalf("%d of %d: %v, want %v", i, n, got[i], want[i])
				}
			}
		}
	})
}
