package core

import (
	"context"
	"errors"
	"strings"
	"testing"

	"trit"
)

// TestTablesEnd: the tables of samplers, and the tokens of texts, are made until the request's context ends.
func TestTablesEnd(t *testing.T) {
	m, err := trit.Open("demo")
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	s := Sampling{DRYBreakers: []string{"ab"}}
	multiplier := 1.0
	s.DRYMultiplier = &multiplier
	bias := LogitBias{{text: strings.Repeat("fox ", 300), Bias: 1}}
	l := &Lease{Model: m}
	for name, table := range map[string]func(ctx context.Context) error{
		"breakers": func(ctx context.Context) error { _, err := s.Options(ctx, m); return err },
		"biases":   func(ctx context.Context) error { _, err := bias.Resolve(ctx, m.Tokenizer()); return err },
		"tokens":   func(ctx context.Context) error { _, err := l.Tokens(ctx, "prompt", "Once upon a time"); return err },
	} {
		if err := table(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := table(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("%s, when the request is over: %v", name, err)
		}
	}
}
