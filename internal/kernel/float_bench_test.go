package kernel

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// BenchmarkVector runs the vector kernels on 2560 elements, the hidden size of
// BitNet b1.58 2B4T, at every level.
func BenchmarkVector(b *testing.B) {
	const n = 2560
	r := rand.New(rand.NewPCG(1, 1))
	x, y, w, out := make([]float32, n), make([]float32, n), make([]float32, n), make([]float32, n)
	for _, v := range [][]float32{x, y, w} {
		fill(v, r, floatData["normal"])
	}
	inv, cos, sin := make([]float64, 64), make([]float32, 64), make([]float32, 64)
	RopeInvFreq(inv, 128, 500000, 1, nil)
	RopeTable(cos, sin, 1000, inv, 1)
	benchmarks := []struct {
		name string
		run  func()
	}{
		{"Dot", func() { Dot(x, y) }},
		{"Add", func() { Add(out, x, y) }},
		{"RMSNorm", func() { RMSNorm(out, x, w, 1e-5) }},
		{"Exp", func() { Exp(out, x) }},
		{"SiLUMul", func() { SiLUMul(out, x, y) }},
		{"ReLU2Mul", func() { ReLU2Mul(out, x, y) }},
		{"GELUTanhMul", func() { GELUTanhMul(out, x, y) }},
		{"Max", func() { Max(x) }},
		{"RopeNeox", func() {
			for i := 0; i < n; i += 128 {
				RopeNeox(y[i:i+128], cos, sin)
			}
		}},
		{"RopeNorm", func() {
			for i := 0; i < n; i += 128 {
				RopeNorm(y[i:i+128], cos, sin)
			}
		}},
	}
	for _, l := range supported() {
		useKernels(b, kernelsOf(l))
		for _, bench := range benchmarks {
			b.Run(fmt.Sprintf("%s/%s", bench.name, l), func(b *testing.B) {
				for b.Loop() {
					bench.run()
				}
				b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds()/1e9, "Gelem/s")
			})
		}
	}
}

// BenchmarkStoreKV stores a head of 128 dimensions.
func BenchmarkStoreKV(b *testing.B) {
	const d = 128
	x := make([]float32, d)
	fill(x, rand.New(rand.NewPCG(1, 1)), floatData["normal"])
	for typ := range kvTypes {
		page := KVPage{
			Type: typ, K: make([]byte, typ.PageBytes(d)), V: make([]byte, typ.PageBytes(d)),
			KScale: make([]float32, PageTokens), VScale: make([]float32, PageTokens),
		}
		b.Run("K/"+typ.String(), func(b *testing.B) {
			for b.Loop() {
				StoreK(&page, 5, x)
			}
		})
		b.Run("V/"+typ.String(), func(b *testing.B) {
			for b.Loop() {
				StoreV(&page, 5, x)
			}
		})
	}
}

func BenchmarkRopeTable(b *testing.B) {
	inv, cos, sin := make([]float64, 64), make([]float32, 64), make([]float32, 64)
	RopeInvFreq(inv, 128, 500000, 1, nil)
	pos := 0
	for b.Loop() {
		RopeTable(cos, sin, pos, inv, 1)
		pos++
	}
}
