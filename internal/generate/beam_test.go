package generate_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"trit/internal/engine"
	"trit/internal/generate"
	"trit/internal/model"
	"trit/sample"
)

// only is a constraint that allows a set of tokens anywhere.
type only struct {
	allowed  []int32
	accepted []int32
	needs    int // tokens before the text is complete
}

func (c *only) MaskWithin(dst []uint64, left int) (bool, error) {
	clear(dst)
	for _, id := range c.allowed {
		dst[id/64] |= 1 << (id % 64)
	}
	return len(c.accepted)+left >= c.needs, nil
}

func (c *only) Accept(id int32) error {
	if !slices.Contains(c.allowed, id) {
		return fmt.Errorf("token %d is not allowed", id)
	}
	c.accepted = append(c.accepted, id)
	return nil
}

func (c *only) CanEnd() bool { return len(c.accepted) >= c.needs }
func (c *only) Done() bool   { return false }
func (c *only) Clone() generate.Constraint {
	return &only{c.allowed, slices.Clone(c.accepted), c.needs}
}

// logProbs returns the log-probabilities after a text, remembering them.
func (d *demo) logProbs(memory map[string][]float64, text []int32) []float64 {
	key := fmt.Sprint(text)
	if lp, ok := memory[key]; ok {
		return lp
	}
	_, logits := d.states(text)
	lse, err := sample.LogSumExp(logits)
	if err != nil {
		d.t.Fatal(err)
	}
	lp := make([]float64, len(logits))
	for i := range lp {
		lp[i] = float64(logits[i]) - lse
	}
	memory[key] = lp
	return lp
}

// continuation is a possible text.
type continuation struct {
	ids     []int32 // with an end token
	logProb float64
	score   float64
}

// TestBeamsFindAll: with as many beams as there are texts, beam search finds the
// best of all continuations of up to three tokens.
func TestBeamsFindAll(t *testing.T) {
	d := openDemo(t)
	prompt := d.encode("She saw a")
	allowed := append(d.encode(" cat dog the fox and")[1:], d.tokenizer.EOG()[0])
	allowed = slices.Compact(slices.Sorted(slices.Values(allowed)))
	memory := map[string][]float64{}
	for _, alpha := range []float64{0, 0.6, 2} {
		var all []continuation
		var extend func(ids []int32, logProb float64)
		extend = func(ids []int32, logProb float64) {
			if n := len(ids); n > 0 && (n == 3 || d.tokenizer.IsEOG(ids[n-1])) {
				all = append(all, continuation{slices.Clone(ids), logProb, logProb / math.Pow(float64(5+n)/6, alpha)})
				return
			}
			lp := d.logProbs(memory, slices.Concat(prompt, ids))
			for _, id := range allowed {
				extend(append(slices.Clone(ids), id), logProb+lp[id])
			}
		}
		extend(nil, 0)
		slices.SortStableFunc(all, func(x, y continuation) int { return cmp.Compare(y.score, x.score) })
		s := d.session()
		got, err := generate.Beams(context.Background(), s, d.tokenizer, prompt, generate.BeamOptions{
			Beams: len(all), LengthPenalty: alpha, MaxTokens: 3, Constraint: &only{allowed: allowed},
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(all) {
			t.Errorf("alpha %v: %d texts, want all %d", alpha, len(got), len(all))
		}
		for i, beam := range got {
			want := all[i]
			ids := want.ids
			finish := generate.FinishLength
			if n := len(ids) - 1; d.tokenizer.IsEOG(ids[n]) {
				ids, finish = ids[:n], generate.FinishStop
			}
			if !slices.Equal(beam.Tokens, ids) || beam.Finish != finish ||
				math.Abs(beam.LogProb-want.logProb) > 1e-9 || math.Abs(beam.Score-want.score) > 1e-5*math.Abs(want.score) {
				t.Fatalf("alpha %v: text %d is %v (%s, %.6f, %.6f), want %v (%s, %.6f, %.6f)",
					alpha, i, beam.Tokens, beam.Finish, beam.LogProb, beam.Score, ids, finish, want.logProb, want.score)
			}
			if beam.Text != d.tokenizer.Decode(ids) {
				t.Errorf("text %q, want %q", beam.Text, d.tokenizer.Decode(ids))
			}
		}
		if !slices.Equal(s.Tokens(), prompt) {
			t.Errorf("the session holds %d tokens, want the prompt's %d", s.Len(), len(prompt))
		}
		s.Close()
	}
}

// beams is diverse beam search as the paper's algorithm 1 has it, over lists of
// tokens, without ends.
func (d *demo) beams(prompt []int32, size, groups int, diversity float64, length int) (all []continuation) {
	memory := map[string][]float64{}
	state := make([][]continuation, groups)
	for g := range state {
		state[g] = []continuation{{}}
	}
	for range length {
		chosen := map[int32]int{}
		for g, live := range state {
			type candidate struct {
				continuation
				rank float64
			}
			var next []candidate
			for _, h := range live {
				for id, lp := range d.logProbs(memory, slices.Concat(prompt, h.ids)) {
					c := continuation{ids: append(slices.Clone(h.ids), int32(id)), logProb: h.logProb + lp}
					next = append(next, candidate{c, c.logProb - diversity*float64(chosen[int32(id)])})
				}
			}
			slices.SortStableFunc(next, func(x, y candidate) int { return cmp.Compare(y.rank, x.rank) })
			state[g] = nil
			for _, c := range next[:size/groups] {
				state[g] = append(state[g], c.continuation)
			}
			for _, h := range state[g] {
				chosen[h.ids[len(h.ids)-1]]++
			}
		}
	}
	all = slices.Concat(state...)
	slices.SortStableFunc(all, func(x, y continuation) int { return cmp.Compare(y.logProb, x.logProb) })
	return all
}

func TestBeams(t *testing.T) { onModels(t, testBeams) }

func testBeams(t *testing.T, open opener) {
	d := open(t, engine.Options{}, model.LoadOptions{})
	prompt := d.encode("The little dog")
	for _, test := range []struct {
		beams, groups int
		diversity     float64
		length        int
	}{{1, 1, 0, 12}, {3, 1, 0, 8}, {4, 2, 0.7, 6}, {6, 3, 5, 5}, {4, 4, 1, 5}} {
		t.Run(fmt.Sprintf("%d beams in %d groups, diversity %v", test.beams, test.groups, test.diversity), func(t *testing.T) {
			s := d.session()
			defer s.Close()
			got, err := generate.Beams(context.Background(), s, d.tokenizer, prompt, generate.BeamOptions{
				Beams: test.beams, Groups: test.groups, Diversity: test.diversity, MaxTokens: test.length, IgnoreEnd: true,
			})
			if err != nil {
				t.Fatal(err)
			}
			var want []continuation
			for _, c := range d.beams(prompt, test.beams, test.groups, test.diversity, test.length) {
				if !slices.ContainsFunc(want, func(x continuation) bool { return slices.Equal(x.ids, c.ids) }) {
					want = append(want, c)
				}
			}
			if len(got) != len(want) {
				t.Fatalf("%d texts, want %d", len(got), len(want))
			}
			for i := range got {
				if !slices.Equal(got[i].Tokens, want[i].ids) || math.Abs(got[i].LogProb-want[i].logProb) > 1e-9 || got[i].Score != got[i].LogProb {
					t.Errorf("text %d is %v (%.6f), want %v (%.6f)", i, got[i].Tokens, got[i].LogProb, want[i].ids, want[i].logProb)
				}
			}
		})
	}
	o := greedy(12)
	o.IgnoreEnd = true
	plain, _ := d.one("The little dog", o)
	s := d.session()
	defer s.Close()
	got, err := generate.Beams(context.Background(), s, d.tokenizer, prompt, generate.BeamOptions{Beams: 1, MaxTokens: 12, IgnoreEnd: true})
	if err != nil || len(got) != 1 || !slices.Equal(got[0].Tokens, plain.ids) || got[0].Text != plain.text {
		t.Errorf("one beam finds %+v (%v), greedy is %q", got, err, plain.text)
	}
}

// TestBeamsStop: a search that has its results stops before the limit.
func TestBeamsStop(t *testing.T) {
	d := openDemo(t)
	s := d.session()
	defer s.Close()
	before := d.scheduler.Steps()
	got, err := generate.Beams(context.Background(), s, d.tokenizer, d.encode("User: What is the capital of France?<|eot_id|>Assistant:"),
		generate.BeamOptions{Beams: 3, Results: 2, MaxTokens: 300})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Finish != generate.FinishStop || got[0].Score < got[1].Score {
		t.Errorf("%+v", got)
	}
	if steps := d.scheduler.Steps() - before; steps > 60 {
		t.Errorf("%d steps", steps)
	}
}

func TestBeamsConstraint(t *testing.T) {
	d := openDemo(t)
	allowed := d.encode(" cat dog the")
	for _, needs := range []int{2, 9} {
		s := d.session()
		got, err := generate.Beams(context.Background(), s, d.tokenizer, d.encode(story),
			generate.BeamOptions{Beams: 3, MaxTokens: 4, Constraint: &only{allowed: allowed, needs: needs}})
		if err != nil {
			t.Fatal(err)
		}
		for _, beam := range got {
			if beam.Finish != generate.FinishLength || beam.Cut != (needs > 4) {
				t.Errorf("%+v", beam)
			}
		}
		s.Close()
	}
}

func TestBeamsErrors(t *testing.T) {
	d := openDemo(t)
	prompt := d.encode(story)
	for _, o := range []generate.BeamOptions{
		{}, {Beams: 1 << 20}, {Beams: 3, Groups: 2}, {Beams: 2, Groups: -1}, {Beams: 2, Diversity: -1}, {Beams: 2, Diversity: math.Inf(1)},
		{Beams: 2, LengthPenalty: -1}, {Beams: 2, LengthPenalty: math.NaN()}, {Beams: 2, Results: -1}, {Beams: 2, MaxTokens: -1},
	} {
		s := d.session()
		if _, err := generate.Beams(context.Background(), s, d.tokenizer, prompt, o); !errors.Is(err, generate.ErrOptions) {
			t.Errorf("%+v: %v", o, err)
		}
		s.Close()
	}
	s := d.session()
	defer s.Close()
	if _, err := generate.Beams(context.Background(), s, d.tokenizer, nil, generate.BeamOptions{Beams: 2}); !errors.Is(err, generate.ErrPrompt) {
		t.Errorf("no prompt: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := generate.Beams(ctx, s, d.tokenizer, prompt, generate.BeamOptions{Beams: 2}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestBeamsStopString: the best text that a stop string ends is the best text
// without one up to there, and a constraint that it leaves unsatisfied is cut.
func TestBeamsStopString(t *testing.T) {
	d := openDemo(t)
	prompt := d.encode("Once upon a time")
	o := generate.BeamOptions{Beams: 1, MaxTokens: 30}
	search := func() generate.Beam {
		t.Helper()
		s := d.session()
		defer s.Close()
		found, err := generate.Beams(context.Background(), s, d.tokenizer, prompt, o)
		if err != nil || len(found) == 0 {
			t.Fatal(found, err)
		}
		return found[0]
	}
	whole := search()
	o.Stop = []string{"a brave"}
	got := search()
	before, _, ok := strings.Cut(whole.Text, o.Stop[0])
	if !ok || got.Text != before || got.Finish != generate.FinishStopString || len(got.Tokens) >= len(whole.Tokens) || got.Cut {
		t.Errorf("%+v; without a stop string %+v", got, whole)
	}
	o.Constraint = &only{allowed: whole.Tokens, needs: len(whole.Tokens)}
	if got := search(); got.Finish != generate.FinishStopString || !got.Cut {
		t.Errorf("an unsatisfied constraint: %+v", got)
	}
	o.Stop = []string{""}
	s := d.session()
	defer s.Close()
	if _, err := generate.Beams(context.Background(), s, d.tokenizer, prompt, o); !errors.Is(err, generate.ErrOptions) {
		t.Errorf("an empty stop string: %v", err)
	}
}
