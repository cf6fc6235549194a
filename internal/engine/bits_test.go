package engine_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"trit/internal/engine"
	"trit/internal/kernel"
	"trit/internal/model"
)

// longTokens returns n tokens of the golden vocabulary, so that sequences
// cross pages and attention chunks.
func longTokens(n int) []int32 {
	tokens := make([]int32, n)
	x := uint32(1)
	for i := range tokens {
		x = x*1664525 + 1013904223
		tokens[i] = int32(x >> 23)
	}
	return tokens
}

func equalBits(t *testing.T, what string, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("%s: value %d is %v (%#08x), want %v (%#08x)", what, i,
				got[i], math.Float32bits(got[i]), want[i], math.Float32bits(want[i]))
		}
	}
}

// longContext is longer than the golden models were made for, to have several
// attention chunks.
const longContext = 640

// TestSameBits runs one text in many ways: whole, in chunks, token by token,
// beside another sequence, with other numbers of threads, after a fork and
// after a truncation. All must give the same bits.
func TestSameBits(t *testing.T) {
	m := load(t, committed(), model.LoadOptions{})
	const n = 600
	tokens := longTokens(n)
	if testing.Short() {
		tokens = tokens[:200] // six pages and a part of one
	}
	for _, kv := range []kernel.KVType{kernel.KVF32, kernel.KVF16, kernel.KVI8, kernel.KVQ4} {
		t.Run(kv.String(), func(t *testing.T) {
			o := engine.Options{KVType: kv, Context: longContext, MaxRows: n, Threads: 1}
			want := logits(t, newEngine(t, m, o), tokens, nil, len(tokens))

			for _, threads := range []int{2, 3} {
				o.Threads = threads
				got := logits(t, newEngine(t, m, o), tokens, nil, len(tokens))
				equalBits(t, fmt.Sprintf("%d threads", threads), got, want)
			}
			o.Threads = 2
			e := newEngine(t, m, o)
			equalBits(t, "chunks of 3", logits(t, e, tokens, nil, 3), want)
			equalBits(t, "token by token", logits(t, e, tokens, nil, 1), want)
			equalBits(t, "uneven chunks", logits(t, e, tokens, nil, 1, 40, 31, 200, 7), want)
			testTogether(t, e, tokens, want)
			testFork(t, e, tokens, want)
			if n := e.Cache().InUse(); n != 0 {
				t.Errorf("%d pages are in use after all sequences are closed", n)
			}
		})
	}
}

// testTogether decodes two sequences in one batch: the text itself and the
// same text behind a different first token, at different speeds.
func testTogether(t *testing.T, e *engine.Engine, tokens []int32, want []float32) {
	t.Helper()
	vocab := len(want) / len(tokens)
	one, two := e.NewSequence(), e.NewSequence()
	defer one.Close()
	defer two.Close()
	b := e.NewBatch()
	other := slices.Clone(tokens)
	other[0] = 7
	next := 0
	for i := 0; i < len(tokens); {
		b.Reset()
		for k := 0; k < 5 && next < len(other); k++ {
			if _, err := b.Add(two, other[next], engine.None, nil); err != nil {
				t.Fatal(err)
			}
			next++
		}
		first := i
		var rows []int
		for k := 0; k < 2 && i < len(tokens); k++ {
			r, err := b.Add(one, tokens[i], engine.All, nil)
			if err != nil {
				t.Fatal(err)
			}
			rows = append(rows, r)
			i++
		}
		if err := e.Step(b, nil); err != nil {
			t.Fatal(err)
		}
		for k, r := range rows {
			equalBits(t, fmt.Sprintf("together, token %d", first+k), b.Logits(r), want[(first+k)*vocab:(first+k+1)*vocab])
		}
	}
}

// testFork forks in the middle of a page, lets both branches go on, and cuts
// one back to try again.
func testFork(t *testing.T, e *engine.Engine, tokens []int32, want []float32) {
	t.Helper()
	vocab := len(want) / len(tokens)
	b := e.NewBatch()
	run := func(s *engine.Sequence, what string, compare bool, tokens ...int32) {
		t.Helper()
		at := s.Len()
		b.Reset()
		for _, token := range tokens {
			if _, err := b.Add(s, token, engine.All, nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Step(b, nil); err != nil {
			t.Fatal(err)
		}
		for r := 0; compare && r < b.Len(); r++ {
			equalBits(t, fmt.Sprintf("%s, token %d", what, at+r), b.Logits(r), want[(at+r)*vocab:(at+r+1)*vocab])
		}
	}
	s := e.NewSequence()
	defer s.Close()
	run(s, "before the fork", true, tokens[:77]...)
	fork := s.Fork()
	defer fork.Close()
	run(fork, "another branch", false, 5, 6, 7, 8, 9)
	run(s, "after a fork", true, tokens[77:90]...)
	if err := fork.Truncate(77); err != nil {
		t.Fatal(err)
	}
	run(fork, "a branch cut back", true, tokens[77:130]...)
	if err := s.Truncate(40); err != nil {
		t.Fatal(err)
	}
	run(s, "cut back into a shared page", true, tokens[40:100]...)
	run(fork, "the branch, unharmed", true, tokens[130:200]...)
}

// TestVariants runs every kernel and compares the bits.
func TestVariants(t *testing.T) {
	m := load(t, committed(), model.LoadOptions{})
	var want []float32
	for _, v := range kernel.Variants() {
		e := newEngine(t, m, engine.Options{Variant: v})
		got := logits(t, e, goldenTokens, nil, len(goldenTokens))
		got = append(got, logits(t, e, goldenTokens, nil, 1)...)
		if want == nil {
			want = got
		}
		equalBits(t, v.String(), got, want)
	}
}
