package profile_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"trit/engine"
	"trit/gguf"
	"trit/kernel"
	"trit/model/synth"
	"trit/profile"
)

func ExampleBench() {
	shape, err := synth.LookupShape("tiny")
	if err != nil {
		log.Fatal(err)
	}
	g, err := synth.New(shape, synth.Options{})
	if err != nil {
		log.Fatal(err)
	}
	data, err := g.Bytes(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	report, err := profile.Bench(context.Background(), profile.BenchOptions{
		Open:   func() (*gguf.File, error) { return gguf.Parse(data) },
		Engine: engine.Options{Threads: 1, KVType: kernel.KVF16},
		Prompt: 16, Generate: 4, Repeat: 1, Depths: []int{0, 64},
		LimitTime: time.Millisecond, LimitBytes: 8 << 20,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.TernaryWeights, "weights;", report.DecodeSpeed > 0, len(report.Depth))
	// Output: 1179648 weights; true 2
}

func ExampleCount() {
	shape, err := synth.LookupShape("bitnet-2b")
	if err != nil {
		log.Fatal(err)
	}
	g, err := synth.New(shape, synth.Options{})
	if err != nil {
		log.Fatal(err)
	}
	counts, err := profile.Count(g.Config(), profile.Storage{Embedding: gguf.TypeF16, Head: gguf.TypeF16, KV: kernel.KVF16}, 2048)
	if err != nil {
		log.Fatal(err)
	}
	total := counts.Total()
	fmt.Printf("%.3f G multiply-accumulates, %.0f MB of weights, %.0f MB of the KV cache\n",
		float64(total.MACs)/1e9, float64(total.WeightBytes)/1e6, float64(total.CacheRead)/1e6)
	// Output: 2.084 G multiply-accumulates, 1179 MB of weights, 157 MB of the KV cache
}
