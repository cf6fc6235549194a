package core

import (
	"context"
	"errors"
	"strings"
	"testing"

	"trit"
	"trit/hub"
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

// TestSamplingOptions: a request's seed goes before that of a derived model, and one below 0 asks for a new one each
// time; the breakers of DRY, however wrong, are of no interest while it is off.
func TestSamplingOptions(t *testing.T) {
	m, err := trit.Open("demo")
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	derived, err := m.Derive(&hub.Derived{Name: "seeded", Parameters: map[string]any{hub.ParameterSeed: 7.0}})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		m          *trit.Model
		seed, want *int64
	}{
		{m, nil, nil}, {m, new(int64(3)), new(int64(3))}, {m, new(int64(0)), new(int64(0))}, {m, new(int64(-1)), nil},
		{derived, nil, new(int64(7))}, {derived, new(int64(3)), new(int64(3))}, {derived, new(int64(-1)), nil},
	} {
		s := Sampling{Seed: test.seed}
		o, err := s.Options(t.Context(), test.m)
		if err != nil || (o.Seed == nil) != (test.want == nil) || o.Seed != nil && *o.Seed != uint64(*test.want) {
			t.Errorf("%s, seed %v: %v, %v", test.m.Name(), test.seed, o.Seed, err)
		}
	}
	for multiplier, used := range map[float64]bool{0: false, 0.5: true} {
		s := Sampling{DRYBreakers: []string{"ab"}}
		s.DRYMultiplier = &multiplier
		o, err := s.Options(t.Context(), m)
		if err != nil || (len(o.DRY.Breakers) > 0) != used {
			t.Errorf("multiplier %v: %d breakers, %v", multiplier, len(o.DRY.Breakers), err)
		}
	}
}
