// Command embedded carries a model of its own, and not the demo.
package main

import (
	"context"
	"embed"
	"fmt"
	"log"

	"trit"
)

// models has model.gguf, which
//
//	trit synth --shape tiny models/model.gguf
//
// makes; its weights are random.
//
//go:embed models
var models embed.FS

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	ctx := context.Background()
	m, err := trit.OpenFS(ctx, models, "models/model.gguf", trit.MaxMemory(64<<20))
	if err != nil {
		return err
	}
	defer m.Close()
	tokens := 0
	for _, err := range m.Generate(ctx, "a", trit.MaxTokens(8), trit.IgnoreEnd(), trit.Greedy()) {
		if err != nil {
			return err
		}
		tokens++
	}
	fmt.Printf("%s: %d tokens\n", m.Name(), tokens)
	return nil
}
