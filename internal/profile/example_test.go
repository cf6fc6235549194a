package profile_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"strings"
	"time"

	"trit/gguf"
	"trit/internal/engine"
	"trit/internal/kernel"
	"trit/internal/model"
	"trit/internal/model/synth"
	"trit/internal/profile"
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
	m, err := model.Outline(g.Config(), model.OutlineOptions{Embedding: gguf.TypeF16, Tied: true})
	if err != nil {
		log.Fatal(err)
	}
	total := profile.Count(m, kernel.KVF16, 2048).Total()
	fmt.Printf("%.3f G multiply-accumulates, %.0f MB of weights, %.0f MB of the KV cache\n",
		float64(total.MACs)/1e9, float64(total.WeightBytes)/1e6, float64(total.CacheRead)/1e6)
	// Output: 2.084 G multiply-accumulates, 1179 MB of weights, 157 MB of the KV cache
}

// A trace of what a scheduler does while it generates.
func ExampleStartRecording() {
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
	f, err := gguf.Parse(data)
	if err != nil {
		log.Fatal(err)
	}
	m, err := model.Load(f, model.LoadOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	e, err := engine.New(m, engine.Options{Threads: 1})
	if err != nil {
		log.Fatal(err)
	}
	s := engine.NewScheduler(e)
	defer s.Close()

	var trace bytes.Buffer // or a file to open in ui.perfetto.dev
	r, err := profile.StartRecording(s, &trace, profile.RecordOptions{})
	if err != nil {
		log.Fatal(err)
	}
	session, err := s.NewSession()
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	if err := session.Run(context.Background(), []int32{1, 2, 3}, engine.Hidden, 2); err != nil {
		log.Fatal(err)
	}
	if err := r.Stop(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(strings.Count(trace.String(), `"name":"step"`), "step,", strings.Count(trace.String(), `"name":"ffn_down"`), "multiplications with ffn_down")
	// Output: 1 step, 2 multiplications with ffn_down
}
