package synth_test

import (
	"context"
	"fmt"
	"log"

	"trit/gguf"
	"trit/internal/model"
	"trit/internal/model/synth"
)

func Example() {
	shape, err := synth.LookupShape("tiny")
	if err != nil {
		log.Fatal(err)
	}
	g, err := synth.New(shape, synth.Options{Type: gguf.TypeTQ1_0, Head: gguf.TypeQ8_0, Seed: 42})
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
	fmt.Println(m.Config.Architecture, m.Config.Layers, m.Config.Hidden, m.TernaryWeights)
	// Output: bitnet-b1.58 2 256 1179648
}
