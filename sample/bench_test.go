package sample

import (
	"math"
	"testing"
)

// syntheticLogits imitates a language model's: a bell-shaped bulk with a few
// tokens standing out.
func syntheticLogits(n int, seed uint64) []float32 {
	s := NewStream(seed, 99)
	logits := make([]float32, n)
	for i := range logits {
		var sum float64
		for range 12 {
			sum += s.Float64()
		}
		logits[i] = float32(float64(2*(sum-6)) - 2)
	}
	for i := range 40 {
		logits[s.Uint64()%uint64(n)] = float32(14 - float64(float64(i)*0.2) + s.Float64())
	}
	return logits
}

func BenchmarkSample(b *testing.B) {
	const vocab = 128256
	logits := syntheticLogits(vocab, 1)
	history := make([]int32, 2048)
	for i := range history {
		history[i] = int32(i * i % 3001)
	}
	mask := make([]uint64, vocab/64)
	for i := range mask {
		mask[i] = 0x0f0f0f0f0f0f0f0f
	}
	with := func(f func(o *Options)) Options {
		o := Default()
		o.Seed = new(uint64(1))
		f(&o)
		return o
	}
	plain := Neutral()
	plain.Seed = new(uint64(1))
	topP := plain
	topP.TopP = 0.95
	typical := plain
	typical.TypicalP = 0.95
	miro := plain
	miro.Mirostat = 2
	for _, bb := range []struct {
		name string
		o    Options
		mask []uint64
	}{
		{"default", with(func(*Options) {}), nil},
		{"default+penalties", with(func(o *Options) { o.RepeatPenalty, o.PenaltyLastN, o.DRY.Multiplier = 1.1, -1, 0.8 }), nil},
		{"default+mask", with(func(*Options) {}), mask},
		{"default+logprobs", with(func(o *Options) { o.TopLogProbs = 20 }), nil},
		{"topk1000", with(func(o *Options) { o.TopK = 1000 }), nil},
		{"topk20000", with(func(o *Options) { o.TopK = 20000 }), nil},
		{"greedy", with(func(o *Options) { o.Temperature = 0 }), nil},
		{"neutral", plain, nil},
		{"top_p_only", topP, nil},
		{"typical_only", typical, nil},
		{"sigma", with(func(o *Options) { o.TopNSigma = 1 }), nil},
		{"mirostat2", miro, nil},
	} {
		b.Run(bb.name, func(b *testing.B) {
			p, err := NewPipeline(bb.o)
			if err != nil {
				b.Fatal(err)
			}
			ctx := Context{History: history, Generated: 100, Mask: bb.mask}
			b.ReportAllocs()
			for b.Loop() {
				r, err := p.Sample(logits, &ctx)
				if err != nil {
					b.Fatal(err)
				}
				p.Accept(r.Token)
			}
		})
	}
}

func BenchmarkLogSumExp(b *testing.B) {
	logits := syntheticLogits(128256, 1)
	for b.Loop() {
		if v, err := LogSumExp(logits); err != nil || math.IsNaN(v) {
			b.Fatal(v, err)
		}
	}
}
