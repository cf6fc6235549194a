package engine

import (
	"os"
	"slices"
	"testing"

	"trit/gguf"
	"trit/internal/fixtures"
	"trit/internal/model"
	_ "trit/internal/model/arch"
	"trit/tokenizer"
)

// TestSelectDemo runs the demo model over held-out text with selections from the
// coarse copy and compares each with all logits of the same hidden state. It
// reports how many tokens were left in reach.
func TestSelectDemo(t *testing.T) {
	text, err := os.ReadFile(fixtures.Path(t, "demo-model", "heldout.txt"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Open("../../demo/demo.gguf")
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.Load(f, model.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	tok, err := tokenizer.FromGGUF(f.Metadata)
	if err != nil {
		t.Fatal(err)
	}
	tokens := tok.Encode(string(text))
	tokens = tokens[:min(len(tokens), 1200)]
	e, err := New(m, Options{Threads: 2, Head: HeadCoarse})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if plain := int(e.HeadInfo().Bytes); plain != m.Config.Vocab*m.Config.Hidden*2 {
		t.Fatalf("the head has %d bytes", plain)
	}

	requests := []struct {
		name string
		sel  Selector
	}{
		{"greedy", Selector{K: 1}},
		{"K 2", Selector{K: 2}},
		{"K 40", Selector{K: 40}},
		{"K 128", Selector{K: 128}},
		{"min-p 0.05", Selector{K: 1, Window: 3}},
		{"top-p", Selector{K: 128, Mass: true}},
		{"greedy, penalties", Selector{K: 65, IDs: tokens[:64]}},
	}
	b, s := e.NewBatch(), e.NewSequence()
	sel := make([]Selector, len(requests))
	for i := range sel {
		sel[i] = requests[i].sel
	}
	type stat struct{ refined1, refined2, exact, bytes []int }
	stats := make([]stat, len(requests))
	gaps := []float64{}
	const chunk = 40
	for at := 0; at < len(tokens); at += chunk {
		if s.Len()+chunk > e.Context() {
			s.Close()
			s = e.NewSequence()
		}
		for r := range requests {
			b.Reset()
			if r > 0 {
				if err := s.Truncate(s.Len() - min(chunk, len(tokens)-at)); err != nil {
					t.Fatal(err)
				}
			}
			for i, token := range tokens[at:min(at+chunk, len(tokens))] {
				want, selector := None, (*Selector)(nil)
				if i%10 == r {
					want, selector = Select, &sel[r]
				}
				if _, err := b.Add(s, token, want, selector); err != nil {
					t.Fatal(err)
				}
			}
			// One selector serves several rows here: run them one by one.
			if err := stepSelect(t, e, b, func(row int) {
				info := e.HeadInfo()
				st := &stats[r]
				st.refined1 = append(st.refined1, info.LastRefined[0])
				st.refined2 = append(st.refined2, info.LastRefined[1])
				st.exact = append(st.exact, info.LastExact)
				st.bytes = append(st.bytes, int(info.LastBytes))
				if sel[r].Mass {
					gaps = append(gaps, sel[r].LogMassMax-sel[r].LogMassMin)
				}
				if err := checkSelection(&sel[r], allLogits(e, b.Hidden(row))); err != nil {
					t.Errorf("%s, token %d: %v", requests[r].name, at+row, err)
				}
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.Close()
	info := e.HeadInfo()
	t.Logf("%d tokens of %d, %d bytes plain; %d of %d selections computed plainly", m.Config.Vocab, m.Config.Hidden, info.Bytes, info.Complete, info.Selections)
	if info.Complete*4 > info.Selections {
		t.Errorf("%d of %d selections were computed plainly", info.Complete, info.Selections)
	}
	for r, st := range stats {
		t.Logf("%-18s median/p99/max: plane 2 %s, plane 3 %s, exact %s, bytes %s", requests[r].name,
			quantiles(st.refined1), quantiles(st.refined2), quantiles(st.exact), quantiles(st.bytes))
	}
	slices.Sort(gaps)
	t.Logf("top-p: bounds of the mass are %.2g (median), %.2g (p99) nats apart", gaps[len(gaps)/2], gaps[len(gaps)*99/100])
}

// stepSelect runs a batch whose Select rows share a selector: the model once, and
// the head for one row after the other.
func stepSelect(t *testing.T, e *Engine, b *Batch, each func(row int)) error {
	t.Helper()
	scored := slices.Clone(b.scored)
	b.scored = b.scored[:0]
	if err := e.Step(b, nil); err != nil {
		return err
	}
	for _, row := range scored {
		b.scored = append(b.scored[:0], row)
		e.score(b)
		each(row)
	}
	return nil
}
