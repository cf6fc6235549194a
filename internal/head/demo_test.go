package head_test

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"trit/gguf"
	"trit/internal/engine"
	"trit/internal/fixtures"
	"trit/internal/head"
	"trit/internal/model"
	_ "trit/internal/model/arch"
	"trit/internal/parallel"
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
	e, err := engine.New(m, engine.Options{Threads: 2, Head: head.Plain})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	team, err := parallel.NewTeam(2)
	if err != nil {
		t.Fatal(err)
	}
	defer team.Close()
	h, err := head.New(m, team, head.Coarse)
	if err != nil {
		t.Fatal(err)
	}
	if plain := int(h.Info().Bytes); plain != m.Config.Vocab*m.Config.Hidden*2 {
		t.Fatalf("the head has %d bytes", plain)
	}

	requests := []struct {
		name string
		sel  head.Selector
	}{
		{"greedy", head.Selector{K: 1}},
		{"K 2", head.Selector{K: 2}},
		{"K 40", head.Selector{K: 40}},
		{"K 128", head.Selector{K: 128}},
		{"min-p 0.05", head.Selector{K: 1, Window: 3}},
		{"top-p", head.Selector{K: 128, TailMass: true}},
		{"greedy, penalties", head.Selector{K: 65, IDs: tokens[:64]}},
	}
	type stat struct{ refined1, refined2, exact, bytes []int }
	stats := make([]stat, len(requests))
	gaps, logits := []float64{}, make([]float32, m.Config.Vocab)
	b, s := e.NewBatch(), e.NewSequence()
	const chunk = 40
	for at := 0; at < len(tokens); at += chunk {
		if s.Len()+chunk > e.Context() {
			s.Close()
			s = e.NewSequence()
		}
		b.Reset()
		for _, token := range tokens[at:min(at+chunk, len(tokens))] {
			if _, err := b.Add(s, token, engine.Hidden, nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Step(b, nil); err != nil {
			t.Fatal(err)
		}
		for row := range b.Len() {
			x := b.Hidden(row)
			h.Logits(logits, x, 1)
			r := row % 10
			if r >= len(requests) {
				continue
			}
			sel := &requests[r].sel
			if len(h.Select([]head.Row{{X: x, Selector: sel}}, nil)) > 0 {
				h.SelectFrom(sel, logits)
			}
			info, st := h.Info(), &stats[r]
			st.refined1 = append(st.refined1, info.LastRefined[0])
			st.refined2 = append(st.refined2, info.LastRefined[1])
			st.exact = append(st.exact, info.LastExact)
			st.bytes = append(st.bytes, int(info.LastBytes))
			if sel.TailMass {
				gaps = append(gaps, sel.TailLogMassMax-sel.TailLogMassMin)
			}
			if err := head.CheckSelection(sel, logits); err != nil {
				t.Errorf("%s, token %d: %v", requests[r].name, at+row, err)
			}
		}
	}
	s.Close()
	info := h.Info()
	t.Logf("%d tokens of %d, %d bytes plain; %d of %d selections computed plainly",
		m.Config.Vocab, m.Config.Hidden, info.Bytes, info.Complete, info.Selections)
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

// quantiles describes a sample by its median, 99th percentile and maximum.
func quantiles(x []int) string {
	slices.Sort(x)
	return fmt.Sprintf("%d/%d/%d", x[len(x)/2], x[len(x)*99/100], x[len(x)-1])
}
