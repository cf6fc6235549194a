package layers_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"trit/gguf"
	"trit/internal/engine"
	"trit/internal/kernel"
	"trit/internal/layers"
	"trit/internal/model"
	"trit/internal/model/synth"
)

// Two runs of a small model that differ in its activation function.
func ExampleCompare() {
	dir, err := os.MkdirTemp("", "layers")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	var traces []*layers.Source
	for _, act := range []model.HiddenAct{model.ReLU2, model.SiLU} {
		path := filepath.Join(dir, act.String()+".json")
		if err := record(path, act); err != nil {
			log.Fatal(err)
		}
		trace, err := layers.Open(path)
		if err != nil {
			log.Fatal(err)
		}
		defer trace.Close()
		traces = append(traces, trace)
	}
	c, err := layers.Compare(traces[0], traces[1], layers.CompareOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(c.Differences)
	fmt.Println("part at", c.Parting.Stage)
	// Output:
	// [{hidden_act relu2 silu}]
	// part at 0.gated
}

// record traces three tokens of a model with random weights.
func record(path string, act model.HiddenAct) error {
	shape, err := synth.LookupShape("tiny")
	if err != nil {
		return err
	}
	g, err := synth.New(shape, synth.Options{})
	if err != nil {
		return err
	}
	data, err := g.Bytes(context.Background())
	if err != nil {
		return err
	}
	f, err := gguf.Parse(data)
	if err != nil {
		return err
	}
	m, err := model.Load(f, model.LoadOptions{HiddenAct: act})
	if err != nil {
		return err
	}
	e, err := engine.New(m, engine.Options{Threads: 1, KVType: kernel.KVF16})
	if err != nil {
		return err
	}
	scheduler := engine.NewScheduler(e)
	defer scheduler.Close()
	s, err := scheduler.NewSession()
	if err != nil {
		return err
	}
	defer s.Close()
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	defer out.Close()
	w := layers.NewWriter(out)
	if err := layers.Trace(context.Background(), s, []int32{1, 2, 3}, layers.TraceOptions{Tokens: []int{0, -1}}, w); err != nil {
		return err
	}
	return w.Close()
}
