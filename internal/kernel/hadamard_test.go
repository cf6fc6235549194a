package kernel

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"testing"
)

func TestHadamard(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, block := range []int{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048} {
		for _, blocks := range []int{1, 3} {
			n := block * blocks
			x, signs := make([]float32, n), make([]float32, n)
			for i := range x {
				x[i], signs[i] = float32(rng.NormFloat64()), float32(1-2*rng.IntN(2))
			}
			twin := append([]float32(nil), x...)
			mulGeneric(twin, twin, signs)
			hadamardGeneric(twin, block)
			scaleGeneric(twin, twin, float32(1/math.Sqrt(float64(block))))
			// The definition, in float64.
			for r := range n {
				base, sum := r/block*block, 0.0
				for c := range block {
					v := float64(x[base+c]) * float64(signs[base+c])
					if bits.OnesCount(uint(r%block&c))%2 == 1 {
						v = -v
					}
					sum += v
				}
				if want := sum / math.Sqrt(float64(block)); math.Abs(float64(twin[r])-want) > 2e-6*(1+math.Abs(want)) {
					t.Fatalf("blocks of %d: element %d is %v, want %v", block, r, twin[r], want)
				}
			}
			forEachLevel(t, floatPart, func(t *testing.T, _ *kernels) {
				got := append([]float32(nil), x...)
				Hadamard(got, signs, block)
				for i := range got {
					if math.Float32bits(got[i]) != math.Float32bits(twin[i]) {
						t.Fatalf("blocks of %d: element %d is %v, want %v", block, i, got[i], twin[i])
					}
				}
				HadamardInverse(got, signs, block)
				for i := range got {
					if math.Abs(float64(got[i]-x[i])) > 1e-5 {
						t.Fatalf("blocks of %d: element %d comes back as %v, was %v", block, i, got[i], x[i])
					}
				}
			})
		}
	}
}

func BenchmarkHadamard(b *testing.B) {
	x := make([]float32, 5120)
	for b.Loop() {
		Hadamard(x, nil, 1024)
	}
}
