package engine_test

import (
	"fmt"
	"log"
	"slices"

	"trit/gguf"
	"trit/internal/engine"
	"trit/internal/model"
	_ "trit/internal/model/arch"
)

// One step can hold rows of several sequences, each of which says what it
// wants back.
func Example() {
	f, err := gguf.Open("testdata/d.i2_s.gguf") // a tiny model of random weights
	if err != nil {
		log.Fatal(err)
	}
	m, err := model.Load(f, model.LoadOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	e, err := engine.New(m, engine.Options{Threads: 2})
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()

	b := e.NewBatch()
	one, two := e.NewSequence(), e.NewSequence()
	add := func(s *engine.Sequence, token int32, want engine.Want) int {
		row, err := b.Add(s, token, want, nil)
		if err != nil {
			log.Fatal(err)
		}
		return row
	}
	add(one, 1, engine.None)
	add(one, 17, engine.None)
	last := add(one, 300, engine.All)
	hidden := add(two, 45, engine.Hidden)
	if err := e.Step(b, nil); err != nil {
		log.Fatal(err)
	}
	logits := b.Logits(last)
	token := slices.Index(logits, slices.Max(logits))
	fmt.Println("sequence lengths:", one.Len(), two.Len())
	fmt.Println("most likely after three tokens:", token)
	fmt.Println("width of a hidden state:", len(b.Hidden(hidden)))
	// Output:
	// sequence lengths: 3 1
	// most likely after three tokens: 469
	// width of a hidden state: 256
}
