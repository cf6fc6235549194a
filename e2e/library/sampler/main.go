// Command sampler chooses tokens with a sampler of its own: a text without the
// letter e.
package main

import (
	"context"
	"fmt"
	"log"
	"strings"

	"trit"
	_ "trit/demo"
	"trit/sample"
)

// lipogram is a sampler that drops all tokens with some letters.
type lipogram struct {
	letters string
	text    func(tokens []int32) string
}

func (l lipogram) Name() string { return "lipogram" }

func (l lipogram) Apply(c *sample.Candidates, _ *sample.Context) error {
	return c.Filter(func(t sample.Candidate) bool { return !strings.ContainsAny(l.text([]int32{t.ID}), l.letters) })
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	m, err := trit.Open("demo")
	if err != nil {
		return err
	}
	defer m.Close()
	ctx := context.Background()
	text, err := m.Text(ctx, "Once upon a time", trit.Stages(lipogram{"eE", m.Detokenize}), trit.Seed(7), trit.MaxTokens(40))
	if err != nil {
		return err
	}
	fmt.Println("text:", text)

	// The same with the logits themselves, for what no sampler of the kind can say.
	banned := m.Tokenize(" fox")[0]
	text, err = m.Text(ctx, "Once upon a time there was a", trit.Greedy(), trit.MaxTokens(20),
		trit.ProcessLogits(func(logits []float32, tokens []int32) error {
			if len(tokens) > 0 {
				logits[banned] -= 100
			}
			return nil
		}))
	if err != nil {
		return err
	}
	fmt.Println("without foxes:", text)
	return nil
}
