package tokenizer

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"trit/internal/race"
)

func TestNoGarbage(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector empties pools at random")
	}
	ids := make([]int32, 0, 1024)
	text := "User: Who are you? <|eot_id|>Assistant: don't know, xyzzyplughfoobarbazquuxfrobnicatedwhatsitthingamajig-dinglehopper 12345 é\n"
	for name, tok := range map[string]*Tokenizer{"bpe": demo(t), "spm": tinySPM(t)} {
		ids = tok.AppendEncode(ids[:0], text, ParseSpecial(true))
		if n := testing.AllocsPerRun(100, func() { ids = tok.AppendEncode(ids[:0], text, ParseSpecial(true)) }); n >= 1 {
			t.Errorf("%s: AppendEncode allocates %v times", name, n)
		}
	}
	tok := demo(t)
	ids = tok.AppendEncode(ids[:0], "User: Who are you?")
	s := tok.NewStream()
	if n := testing.AllocsPerRun(100, func() {
		for _, id := range ids {
			s.Push(id)
		}
	}); n > 0 {
		t.Errorf("Push allocates %v times for complete characters", n)
	}
}

// modelCut searches for special tokens as llama.cpp does: each in turn, in what is
// left between those found before.
func modelCut(tokens []special, text string, parse bool) []span {
	type fragment struct {
		start, end int
		id         int32 // −1: text
	}
	list := []fragment{{0, len(text), -1}}
	for _, tok := range tokens {
		if tok.control && !parse {
			continue
		}
		var next []fragment
		for _, f := range list {
			for f.id < 0 {
				i := strings.Index(text[f.start:f.end], tok.text)
				if i < 0 {
					break
				}
				at := f.start + i
				next = append(next, fragment{f.start, at, -1}, fragment{at, at + len(tok.text), tok.id})
				f.start = at + len(tok.text)
			}
			next = append(next, f)
		}
		list = next
	}
	var out []span
	for _, f := range list {
		if f.id >= 0 {
			out = append(out, span(f))
		}
	}
	return out
}

func TestCutAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringOfN(rapid.RuneFrom([]rune("ab<")), 1, 5, -1)
		spec := Spec{Model: ModelSPM, Tokens: []Token{{"x", 0, Normal}}}
		for _, w := range rapid.SliceOfNDistinct(word, 1, 12, rapid.ID[string]).Draw(t, "special") {
			spec.Tokens = append(spec.Tokens, Token{w, 0, rapid.SampledFrom([]TokenType{Control, UserDefined, Unknown}).Draw(t, "type")})
		}
		tok, err := New(spec)
		if err != nil {
			t.Fatal(err)
		}
		text := rapid.StringOfN(rapid.RuneFrom([]rune("aab<x")), 0, 60, -1).Draw(t, "text")
		parse := rapid.Bool().Draw(t, "parse")
		got := tok.cut.find(text, parse, new(scratch))
		if want := modelCut(tok.cut.tokens, text, parse); !slices.Equal(got, want) {
			t.Fatalf("%v in %q\n got %v\nwant %v", spec.Tokens, text, got, want)
		}
	})
}

// TestHostileCost: vocabularies made to be slow are not.
func TestHostileCost(t *testing.T) {
	spec, err := NewSpec(ModelSPM, "")
	if err != nil {
		t.Fatal(err)
	}
	spec.Special = nil // the ids below are all text
	spec.AddSpacePrefix = false
	for n := 1; n <= 2000; n++ {
		spec.Tokens = append(spec.Tokens, Token{strings.Repeat("a", n), 0, []TokenType{Normal, UserDefined}[n%2]})
	}
	spec.Tokens = append(spec.Tokens, Token{strings.Repeat("a", 1<<20), 0, Control})
	tok, err := New(spec)
	if err != nil {
		t.Fatal(err)
	}
	// Sixteen times as many letters take about sixteen times as long, not 256 times.
	encode := func(letters int) time.Duration {
		start := time.Now()
		text := strings.Repeat("a", letters) + strings.Repeat("b", letters/4)
		if got := tok.Decode(tok.Encode(text, ParseSpecial(true)), Continuation(true)); strings.Count(got, "a") != letters {
			t.Errorf("of %d letters %d came back", letters, strings.Count(got, "a"))
		}
		return time.Since(start)
	}
	few, many := encode(1<<14), encode(1<<18)
	if t.Logf("%v, and %v for sixteen times as many letters", few, many); many > 100*few+100*time.Millisecond {
		t.Errorf("encoding takes %v, and %v for sixteen times as many letters", few, many)
	}
}
