package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestDeltaStep(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	vector := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(rng.NormFloat64())
		}
		return x
	}
	for _, shape := range [][2]int{{4, 16}, {8, 32}, {64, 48}, {128, 128}} {
		keys, values := shape[0], shape[1]
		start := vector(keys * values)
		type step struct {
			q, k, v     []float32
			decay, beta float32
		}
		var steps []step
		for range 3 {
			s := step{q: vector(keys), k: vector(keys), v: vector(values), decay: rng.Float32(), beta: rng.Float32()}
			UnitLength(s.k, 1e-6, 1)
			UnitLength(s.q, 1e-6, float32(1/math.Sqrt(float64(keys))))
			steps = append(steps, s)
		}
		// The definition, in float64.
		S := make([][]float64, values)
		for i := range S {
			S[i] = make([]float64, keys)
			for j := range S[i] {
				S[i][j] = float64(start[(i/16*keys+j)*16+i%16])
			}
		}
		var want [][]float64
		for _, s := range steps {
			o := make([]float64, values)
			for i := range S {
				e := float64(s.v[i])
				for j := range S[i] {
					S[i][j] *= float64(s.decay)
					e -= S[i][j] * float64(s.k[j])
				}
				e *= float64(s.beta)
				for j := range S[i] {
					S[i][j] += e * float64(s.k[j])
					o[i] += S[i][j] * float64(s.q[j])
				}
			}
			want = append(want, o)
		}
		twin := append([]float32(nil), start...)
		var twins [][]float32
		for n, s := range steps {
			o := make([]float32, values)
			deltaStepGeneric(o, twin, s.q, s.k, s.v, s.decay, s.beta)
			for i := range o {
				if math.Abs(float64(o[i])-want[n][i]) > 3e-6*(1+math.Abs(want[n][i])) {
					t.Fatalf("%v, step %d: result %d is %v, want %v", shape, n, i, o[i], want[n][i])
				}
			}
			twins = append(twins, o)
		}
		forEachLevel(t, floatPart, func(t *testing.T, _ *kernels) {
			state := append([]float32(nil), start...)
			for n, s := range steps {
				o := make([]float32, values)
				DeltaStep(o, state, s.q, s.k, s.v, s.decay, s.beta)
				for i := range o {
					if math.Float32bits(o[i]) != math.Float32bits(twins[n][i]) {
						t.Fatalf("%v, step %d: result %d is %v, want %v", shape, n, i, o[i], twins[n][i])
					}
				}
			}
			for i := range state {
				if math.Float32bits(state[i]) != math.Float32bits(twin[i]) {
					t.Fatalf("%v: state %d is %v, want %v", shape, i, state[i], twin[i])
				}
			}
		})
	}
}

func TestSoftplusAndSigmoid(t *testing.T) {
	for _, x := range []float64{-200, -40, -3, -1e-3, 0, 0.5, 4, 29.9, 30.1, 80, 500} {
		want := math.Log1p(math.Exp(x))
		if x > 100 {
			want = x
		}
		if got := float64(Softplus(float32(x))); math.Abs(got-want) > 2e-7*want+1e-45 {
			t.Errorf("Softplus(%v) = %v, want %v", x, got, want)
		}
		if got, want := float64(Sigmoid(float32(x))), 1/(1+math.Exp(-x)); math.Abs(got-want) > 1e-7 {
			t.Errorf("Sigmoid(%v) = %v, want %v", x, got, want)
		}
	}
}

func BenchmarkDeltaStep(b *testing.B) {
	state, q, k, v, o := make([]float32, 128*128), make([]float32, 128), make([]float32, 128), make([]float32, 128), make([]float32, 128)
	for b.Loop() {
		DeltaStep(o, state, q, k, v, .9, .5)
	}
}
