package generate_test

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"trit/gguf"
	"trit/internal/engine"
	"trit/internal/generate"
	"trit/internal/model"
	"trit/internal/model/synth"
	"trit/internal/model/synth/synthtest"
)

// openRight opens a model whose layer that guesses is always right. Blocks add nothing, so a
// token's hidden state depends on the token only, and the head finds the token behind that
// of a vector. The layer hands on the vector of its token, or, where vectors are those of the
// token before turned by an element, turns the state before it.
func openRight(t testing.TB, o engine.Options, fromState bool) *demo {
	t.Helper()
	shape := synthtest.Shape(t, "tiny-qwen35")
	shape.Rotation, shape.Tied = 0, false
	f := synthtest.File(t, shape, synth.Options{MTP: true, Type: gguf.TypeF16, Head: gguf.TypeF16})
	D := shape.Hidden
	random := func(seed int) uint16 { // half precision: ±0.5 to 1
		return uint16(rand.NewPCG(uint64(seed), 2).Uint64()&0x83ff | 0x3800)
	}
	vector := func(data []byte, row, token int) {
		token = (token + shape.Vocab) % shape.Vocab
		for i := range D {
			x := random(token*D + i)
			if fromState {
				if x = random((i + D - token%D) % D); token >= D {
					x -= 0x400 // half as long
				}
			}
			binary.LittleEndian.PutUint16(data[2*(row*D+i):], x)
		}
	}
	for _, x := range f.Tensors {
		data, err := x.Data()
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case strings.HasSuffix(x.Name, "norm.weight"):
			for at := 0; at < len(data); at += 4 {
				binary.LittleEndian.PutUint32(data[at:], math.Float32bits(1))
			}
		case strings.Contains(x.Name, "attn_output"), strings.Contains(x.Name, "ssm_out"), strings.Contains(x.Name, "ffn_down"):
			clear(data)
		case x.Name == "token_embd.weight":
			for i := range shape.Vocab {
				vector(data, i, i)
			}
		case x.Name == "output.weight":
			for i := range shape.Vocab {
				vector(data, i, i-1)
			}
		case strings.Contains(x.Name, "eh_proj"): // blocks of 32 bytes behind a scale
			clear(data)
			for i := range D {
				at := i*2*D + i
				if fromState {
					at = i*2*D + D + (i+D-1)%D
				}
				block := data[at/32*34:]
				binary.LittleEndian.PutUint16(block, 0x3c00)
				block[2+at%32] = 1
			}
		}
	}
	m, err := model.Load(f, model.LoadOptions{MTP: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return openModel(t, m, o)
}

// odd allows odd tokens only.
type odd struct{}

func (odd) MaskWithin(dst []uint64, _ int) (bool, error) {
	for i := range dst {
		dst[i] = 0xaaaaaaaaaaaaaaaa
	}
	return true, nil
}

func (odd) Accept(token int32) error {
	if token%2 == 0 {
		return errors.New("an even token")
	}
	return nil
}

func (odd) CanEnd() bool               { return false }
func (odd) Done() bool                 { return false }
func (odd) Clone() generate.Constraint { return odd{} }

// TestMTPSaves counts the steps of a text whose guesses are all right, and those where
// nearly all are wrong.
func TestMTPSaves(t *testing.T) {
	o := greedy(200)
	o.IgnoreEnd = true
	for _, fromState := range []bool{false, true} {
		d := openRight(t, engine.Options{}, fromState)
		for _, constraint := range []generate.Constraint{nil, odd{}} {
			if fromState && constraint != nil {
				continue // what stands before a token says nothing about it
			}
			o.Constraint, o.Speculation = constraint, generate.Speculation{}
			want, _ := d.one(story, o)
			o.Speculation = generate.Speculation{MTP: true, Cost: 0.2}
			got, stats := d.one(story, o)
			t.Logf("from the state %t: %d tokens in %d steps, %d of %d guesses accepted", fromState, stats.GeneratedTokens, stats.Steps,
				stats.AcceptedTokens, stats.GuessedTokens)
			if !slices.Equal(got.ids, want.ids) || stats.AcceptedTokens != stats.GuessedTokens || stats.Steps > 200/5+5 {
				t.Errorf("the same text: %t, %+v", slices.Equal(got.ids, want.ids), stats)
			}
			o.Speculation.MaxGuesses = 1
			if _, stats = d.one(story, o); stats.Steps > 200/2+2 || stats.Steps < 200/2-2 {
				t.Errorf("a guess in each step: %+v", stats)
			}
			// What a step takes without guesses is measured now and then.
			o.Speculation.Cost = 0
			if _, stats = d.one(story, o); stats.GuessedTokens > stats.Steps-2 {
				t.Errorf("a guess in each step that measures nothing: %+v", stats)
			}
		}
	}

	d := openHybrid(t, engine.Options{}, model.LoadOptions{MTP: true})
	o.Constraint, o.Speculation = nil, generate.Speculation{MTP: true, Cost: 0.2}
	_, stats := d.one(story, o)
	t.Logf("random: %d tokens in %d steps, %d of %d guesses accepted", stats.GeneratedTokens, stats.Steps, stats.AcceptedTokens, stats.GuessedTokens)
	if lost := 0.2*float64(stats.GuessedTokens) - float64(stats.AcceptedTokens); stats.GuessedTokens == 0 || lost > 0.05*float64(stats.GeneratedTokens) {
		t.Errorf("%d tokens cost %.1f steps more", stats.GeneratedTokens, lost)
	}
}

// TestMTPChangesNothing: the text is the same token for token, greedy or not, of one choice or
// several, under a constraint, and with a cache that holds one text only.
func TestMTPChangesNothing(t *testing.T) {
	tokens, prompts := 100, manyPrompts
	if testing.Short() { // without vector instructions the whole takes minutes
		tokens, prompts = 30, prompts[:2]
	}
	cramped := openHybrid(t, engine.Options{CachePages: 12}, model.LoadOptions{MTP: true})
	for name, d := range map[string]*demo{
		"random": openHybrid(t, engine.Options{}, model.LoadOptions{MTP: true}), "right": openRight(t, engine.Options{}, true), "cramped": cramped,
	} {
		plain := openHybrid(t, engine.Options{}, model.LoadOptions{})
		sampled := seeded(tokens, 5)
		sampled.Sampling.Temperature, sampled.Sampling.RepeatPenalty, sampled.Sampling.PenaltyLastN = 0.7, 1.1, 32
		cold := seeded(tokens, 8)
		cold.Sampling.Temperature = 0.05
		several := cold
		several.Choices = 3
		mirostat := seeded(tokens, 6)
		mirostat.Sampling.Mirostat = 2
		for i, o := range []generate.Options{greedy(tokens), sampled, cold, several, mirostat} {
			for _, prompt := range prompts {
				want, _ := d.generate(prompt, o)
				if name == "random" { // which is the model without the layer
					without, _ := plain.generate(prompt, o)
					if !slices.EqualFunc(without, want, func(a, b text) bool { return slices.Equal(a.ids, b.ids) }) {
						t.Errorf("options %d, %q: the layer changes the text", i, prompt)
					}
				}
				for _, s := range []generate.Speculation{{MTP: true}, {MTP: true, Cost: 0.01, MaxGuesses: 9}} {
					guessing := o
					guessing.Speculation = s
					got, stats := d.generate(prompt, guessing)
					for k := range want {
						if !slices.Equal(got[k].ids, want[k].ids) || got[k].finish != want[k].finish {
							t.Errorf("%s, options %d, %q, choice %d: %v (%s), want %v (%s)", name, i, prompt, k, got[k].ids, got[k].finish, want[k].ids, want[k].finish)
						}
					}
					if o.Sampling.Temperature == 0 && stats.GuessedTokens == 0 {
						t.Errorf("%s: nothing was guessed", name)
					}
				}
			}
		}
	}
}

// TestMTPLeft: a text whose reader goes away or whose context ends goes on from where it was.
func TestMTPLeft(t *testing.T) {
	d := openRight(t, engine.Options{}, true)
	o := greedy(60)
	o.IgnoreEnd = true
	want, _ := d.one(story, o)
	o.Speculation = generate.Speculation{MTP: true, Cost: 0.05}
	for _, cancel := range []bool{false, true} {
		s := d.session()
		g, err := generate.New(s, d.tokenizer, o)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		var ids []int32
		for token, err := range g.Tokens(ctx, d.encode(story)) {
			if err != nil {
				if !cancel || !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
				break
			}
			if ids = append(ids, token.ID); len(ids) == 22 && cancel {
				stop()
			} else if len(ids) == 22 {
				break
			}
		}
		stop()
		rest := o
		rest.MaxTokens = 60 - len(ids)
		if g, err = generate.New(s, d.tokenizer, rest); err != nil {
			t.Fatal(err)
		}
		behind := slices.Concat(d.encode(story), ids)[s.Len():]
		for token, err := range g.Tokens(context.Background(), behind) {
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, token.ID)
		}
		if !slices.Equal(ids, want.ids) {
			t.Errorf("cancelled %t: %v, want %v", cancel, ids, want.ids)
		}
		s.Close()
	}
}

// TestMTPOptions: what excludes the layer that guesses is refused.
func TestMTPOptions(t *testing.T) {
	d, without := openHybrid(t, engine.Options{}, model.LoadOptions{MTP: true}), openDemo(t)
	for name, o := range map[string]generate.Options{
		"lookup":      {Speculation: generate.Speculation{MTP: true, Lookup: true}},
		"a draft":     {Speculation: generate.Speculation{MTP: true, Draft: d.scheduler}},
		"contrastive": {Speculation: generate.Speculation{MTP: true}, Contrastive: generate.Contrastive{K: 2}},
	} {
		o.Sampling = greedy(1).Sampling
		s := d.session()
		if _, err := generate.New(s, d.tokenizer, o); !errors.Is(err, generate.ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
		s.Close()
	}
	o := greedy(1)
	o.Speculation.MTP = true
	s := without.session()
	defer s.Close()
	if _, err := generate.New(s, without.tokenizer, o); !errors.Is(err, generate.ErrOptions) {
		t.Errorf("a model without the layer: %v", err)
	}
}
