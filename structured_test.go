package trit_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"trit"
	"trit/chat"
	"trit/grammar"
	"trit/internal/generate"
)

type animal struct {
	Name  string   `json:"name"`
	Kind  string   `json:"kind"`
	Age   uint8    `json:"age"`
	Likes []string `json:"likes,omitempty"`
	Home  *struct {
		Place string    `json:"place"`
		Since time.Time `json:"since"`
	} `json:"home"`
	Sizes [2]int16       `json:"sizes"`
	Other map[string]any `json:"other,omitzero"`
	Happy bool           `json:"happy"`
	Level slog.Level     `json:"level"`
	Ratio big.Rat        `json:"ratio"`
	Many  *big.Int       `json:"many"`
	Size  float32        `json:"size"`
	Exact json.Number    `json:"exact"`
}

// TestGenerateInto: whatever the seed, an answer decodes or is reported as cut.
func TestGenerateInto(t *testing.T) {
	m := openDemo(t)
	decoded, seeds := 0, uint64(20)
	if testing.Short() {
		seeds = 4
	}
	for seed := range seeds {
		limit := 400
		if seed%4 == 3 {
			limit = 12
		}
		v, err := trit.GenerateInto[animal](context.Background(), m, "A fox: ", trit.Temperature(1.3), trit.Seed(seed), trit.MaxTokens(limit))
		var cut *trit.CutError
		switch {
		case errors.As(err, &cut):
			if limit > 12 || !errors.Is(err, trit.ErrCut) || cut.Finish != trit.FinishLength || !strings.HasPrefix(cut.Text, "{") {
				t.Errorf("seed %d: %v", seed, err)
			}
		case err != nil:
			t.Errorf("seed %d: %v", seed, err)
		case limit == 12:
			t.Errorf("seed %d: %+v in 12 tokens", seed, v)
		default:
			decoded++
		}
	}
	if want := int(seeds) * 3 / 4; decoded != want {
		t.Errorf("%d of %d answers decoded", decoded, want)
	}
	if n := pagesInUse(m); n != 0 {
		t.Errorf("%d KV pages are in use", n)
	}
}

// TestIntoTypes: other types than structures.
func TestIntoTypes(t *testing.T) {
	m := openDemo(t)
	ctx := context.Background()
	o := []trit.GenerateOption{trit.Seed(1), trit.MaxTokens(60)}
	if _, err := trit.GenerateInto[int8](ctx, m, "3 plus 4 is ", o...); err != nil {
		t.Error(err)
	}
	if _, err := trit.GenerateInto[[]byte](ctx, m, "Bytes: ", o...); err != nil {
		t.Error(err)
	}
	if _, err := trit.GenerateInto[map[string]float64](ctx, m, "Numbers: ", o...); err != nil {
		t.Error(err)
	}
	if _, err := trit.GenerateInto[any](ctx, m, "Anything: ", o...); err != nil {
		t.Error(err)
	}
	if _, err := trit.ChatInto[bool](ctx, m, []chat.Message{{Role: "user", Content: "Is a fox an animal?"}}, o...); err != nil {
		t.Error(err)
	}
}

func TestIntoErrors(t *testing.T) {
	m := openDemo(t)
	ctx := context.Background()
	type recursive struct{ Next *recursive }
	if _, err := trit.GenerateInto[recursive](ctx, m, "x"); err == nil || !strings.Contains(err.Error(), "recursive") {
		t.Errorf("a recursive type: %v", err)
	}
	if _, err := trit.GenerateInto[chan int](ctx, m, "x"); err == nil {
		t.Error("a channel has a schema")
	}
	for name, o := range map[string]trit.GenerateOption{"two answers": trit.Choices(2), "two constraints": trit.JSON(), "another constraint": constrainToX(t, m)} {
		if _, err := trit.GenerateInto[int](ctx, m, "x", o, trit.Seed(1)); !errors.Is(err, generate.ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := trit.GenerateInto[int](cancelled, m, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func constrainToX(t testing.TB, m *trit.Model) trit.GenerateOption {
	t.Helper()
	g, err := grammar.Choice("x")
	if err != nil {
		t.Fatal(err)
	}
	c, err := m.Constraint(g)
	if err != nil {
		t.Fatal(err)
	}
	return trit.Constrain(c)
}

// leavingContext ends when it is first asked, after that was told and allowed.
type leavingContext struct {
	context.Context
	asked, leave chan struct{}
	once         sync.Once
}

func (c *leavingContext) Err() error {
	c.once.Do(func() { close(c.asked) })
	<-c.leave
	return context.Canceled
}

// TestLeavingCompile: one who waits for a format that another one compiles gets it although that one leaves, and what
// was left is not remembered as an error.
func TestLeavingCompile(t *testing.T) {
	m := openDemo(t)
	format := trit.Format{Regexp: strings.Repeat("[a-z]b", 1000)}
	leaving := &leavingContext{Context: t.Context(), asked: make(chan struct{}), leave: make(chan struct{})}
	left, stayed := make(chan error, 1), make(chan error, 1)
	compile := func(ctx context.Context, done chan<- error) {
		_, _, err := m.Compile(ctx, format)
		done <- err
	}
	go compile(leaving, left)
	<-leaving.asked
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := m.Compile(gone, format); !errors.Is(err, context.Canceled) {
		t.Errorf("a waiting client that leaves: %v", err)
	}
	go compile(t.Context(), stayed)
	close(leaving.leave)
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("who leaves: %v", err)
	}
	if err := <-stayed; err != nil {
		t.Errorf("who stays: %v", err)
	}
	if _, _, err := m.Compile(t.Context(), format); err != nil {
		t.Errorf("later: %v", err)
	}
	// A conversation ends in the same way.
	_, err := m.Prepare(gone, trit.Conversation{Messages: []chat.Message{{Role: "user", Content: "hi"}}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Prepare: %v", err)
	}
}

// TestConstraintOptions: each kind of constraint holds, again when it comes from
// the model's memory, and when a loop is run twice.
func TestConstraintOptions(t *testing.T) {
	m := openDemo(t)
	g, err := grammar.Choice("left", "right")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		option trit.GenerateOption
		holds  func(text string) bool
	}{
		"grammar": {trit.Grammar(g), func(s string) bool { return s == "left" || s == "right" }},
		"schema":  {trit.JSONSchema([]byte(`{"enum": [1, "two"]}`)), func(s string) bool { return s == "1" || s == `"two"` }},
		"json":    {trit.JSON(), func(s string) bool { return strings.HasPrefix(s, "{") && json.Valid([]byte(s)) }},
		"regexp":  {trit.Regexp(`[a-c]{3}`), func(s string) bool { return len(s) == 3 && strings.Trim(s, "abc") == "" }},
		"gbnf":    {trit.GBNF(`root ::= "yes" | "no"`), func(s string) bool { return s == "yes" || s == "no" }},
		"phrases": {trit.Phrases("zebra", "moon"), func(s string) bool { return strings.Contains(s, "zebra") && strings.Contains(s, "moon") }},
		"choice":  {trit.Choice("red", "blue"), func(s string) bool { return s == "red" || s == "blue" }},
	} {
		for range 2 {
			tokens := m.Generate(context.Background(), "Once upon a time", test.option, trit.Seed(5), trit.MaxTokens(80))
			for range 2 {
				var b strings.Builder
				for token, err := range tokens {
					if err != nil {
						t.Fatalf("%s: %v", name, err)
					}
					if token.Cut {
						t.Errorf("%s: cut", name)
					}
					b.WriteString(token.Text)
				}
				if !test.holds(b.String()) {
					t.Errorf("%s: %q", name, b.String())
				}
			}
		}
	}
	for name, test := range map[string]struct {
		option trit.GenerateOption
		want   error
	}{
		"schema":  {trit.JSONSchema([]byte(`{"type": "thing"}`)), grammar.ErrSyntax},
		"regexp":  {trit.Regexp(`(?<!x)y`), grammar.ErrUnsupported},
		"nothing": {trit.Regexp(`(?=x)`), grammar.ErrEmpty}, // the whole text is "", which does not begin with x
		"gbnf":    {trit.GBNF(`root ::= root`), grammar.ErrEmpty},
		"choice":  {trit.Choice(), grammar.ErrEmpty},
		"unknown": {trit.Formatted(trit.Format{Schema: []byte(`{"nonsense": 1}`), Strict: true}), grammar.ErrUnsupported},
	} {
		for _, err := range m.Generate(context.Background(), "x", test.option) {
			if !errors.Is(err, test.want) {
				t.Errorf("%s: %v, want %v", name, err, test.want)
			}
		}
	}
}

// TestVocabulary: it is built once.
func TestVocabulary(t *testing.T) {
	m := openDemo(t)
	v, err := m.Vocabulary()
	if err != nil || v.Len() != m.Tokenizer().Len() {
		t.Fatal(v, err)
	}
	if again, _ := m.Vocabulary(); again != v {
		t.Error("the vocabulary is built twice")
	}
}
