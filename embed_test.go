package trit_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"trit"
	"trit/hub"
	"trit/internal/engine"
	"trit/internal/inside"
)

// openChanged opens the demo with other metadata.
func openChanged(t *testing.T, metadata map[string]any, opts ...trit.Option) (*trit.Model, error) {
	t.Helper()
	found, err := hub.Resolve("demo")
	if err != nil {
		t.Fatal(err)
	}
	f, err := found.Open()
	if err != nil {
		t.Fatal(err)
	}
	for key, v := range metadata {
		if err := f.Metadata.Set(key, v); err != nil {
			t.Fatal(err)
		}
	}
	m, err := trit.OpenFile(context.Background(), "changed", f, append(opts, trit.Threads(2))...)
	if err == nil {
		t.Cleanup(func() { m.Close() })
	}
	return m, err
}

// states runs tokens and returns the final hidden state of each.
func states(t *testing.T, m *trit.Model, tokens []int32) [][]float32 {
	t.Helper()
	s, err := inside.Of(m).Scheduler.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Run(context.Background(), tokens, engine.Hidden, 0); err != nil {
		t.Fatal(err)
	}
	var all [][]float32
	for i := range tokens {
		all = append(all, slices.Clone(s.Hidden(i)))
	}
	return all
}

// far returns the largest difference between a vector and another one that is first
// scaled to the given length; 0 leaves it as it is.
func far(got []float32, want []float64, length float64) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	factor, sum, worst := 1.0, 0.0, 0.0
	for _, x := range want {
		sum += x * x
	}
	if length > 0 {
		factor = length / math.Sqrt(sum)
	}
	for i := range want {
		worst = max(worst, math.Abs(float64(got[i])-want[i]*factor))
	}
	return worst
}

// TestEmbedOptions compares vectors with what their options make of the states.
func TestEmbedOptions(t *testing.T) {
	ctx := context.Background()
	m := openDemo(t)
	const text = "The dog barks at the cat."
	all := states(t, m, m.Tokenize(text))
	pooled := map[trit.Pooling][]float64{}
	for row, state := range all {
		for _, p := range []trit.Pooling{trit.PoolMean, trit.PoolCLS, trit.PoolLast} {
			if pooled[p] == nil {
				pooled[p] = make([]float64, len(state))
			}
			for i, x := range state {
				switch {
				case p == trit.PoolMean:
					pooled[p][i] += float64(x) / float64(len(all))
				case p == trit.PoolCLS && row == 0, p == trit.PoolLast && row == len(all)-1:
					pooled[p][i] = float64(x)
				}
			}
		}
	}
	for p, want := range pooled {
		for _, n := range []int{0, 1, 17, len(want)} {
			cut := want
			if n > 0 {
				cut = want[:n]
			}
			got, err := m.Embed(ctx, text, trit.Pool(p), trit.Dimensions(n))
			if err != nil || far(got, cut, 1) > 1e-6 {
				t.Errorf("%v, %d dimensions: %v, %g off", p, n, err, far(got, cut, 1))
			}
			got, err = m.Embed(ctx, text, trit.Pool(p), trit.Dimensions(n), trit.Unscaled())
			if err != nil || far(got, cut, 0) > 1e-5 {
				t.Errorf("%v, %d dimensions, unscaled: %v, %g off", p, n, err, far(got, cut, 0))
			}
		}
	}
	if i := m.Info(); i.Embedding || i.Pooling != trit.PoolMean {
		t.Errorf("the demo says %v, %v", i.Embedding, i.Pooling)
	}
	for option, opt := range map[string]trit.EmbedOption{
		"dimensions": trit.Dimensions(len(all[0]) + 1), "pooling": trit.Pool(9), "truncate": trit.TruncateTo(-1),
		"prefix": trit.Query(), "option": nil,
	} {
		e, ok := errors.AsType[*trit.OptionError](func() error { _, err := m.Embed(ctx, text, opt); return err }())
		if !ok || e.Option != option {
			t.Errorf("%s: %v", option, e)
		}
	}
	if _, err := m.Embed(ctx, text, trit.Dimensions(-1)); !errors.Is(err, trit.ErrOption) {
		t.Errorf("-1 dimensions: %v", err)
	}
}

// TestEmbedOptionsOfFile: pooling and prefixes are those of the file, where it names
// some, and options take their place.
func TestEmbedOptionsOfFile(t *testing.T) {
	ctx := context.Background()
	demo := openDemo(t)
	m, err := openChanged(t, map[string]any{"bitnet-b1.58.pooling_type": uint32(3),
		"bitnet-b1.58.embedding.query_prefix": "Question: ", "bitnet-b1.58.embedding.document_prefix": ""})
	if err != nil {
		t.Fatal(err)
	}
	if i := m.Info(); !i.Embedding || i.Pooling != trit.PoolLast {
		t.Errorf("Info says %v, %v", i.Embedding, i.Pooling)
	}
	for name, test := range map[string]struct {
		text string
		got  []trit.EmbedOption
		want []trit.EmbedOption
	}{
		"file":     {"A cat.", nil, []trit.EmbedOption{trit.Pool(trit.PoolLast)}},
		"mean":     {"A cat.", []trit.EmbedOption{trit.Pool(trit.PoolMean)}, nil},
		"query":    {"Question: A cat.", []trit.EmbedOption{trit.Query()}, []trit.EmbedOption{trit.Pool(trit.PoolLast)}},
		"document": {"A cat.", []trit.EmbedOption{trit.Document()}, []trit.EmbedOption{trit.Pool(trit.PoolLast)}},
		"prefix":   {"Once, A cat.", []trit.EmbedOption{trit.Prefix("Once, ")}, []trit.EmbedOption{trit.Pool(trit.PoolLast)}},
	} {
		got, err := m.Embed(ctx, "A cat.", test.got...)
		if err != nil {
			t.Fatal(err)
		}
		want, err := demo.Embed(ctx, test.text, test.want...)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: another vector than that of %q, %v", name, test.text, err)
		}
	}
	for value, says := range map[any]string{
		uint32(4): "bitnet-b1.58.pooling_type is 4: the model scores pairs", uint32(9): "want 0 to 3", "mean": "pooling_type",
	} {
		if _, err := openChanged(t, map[string]any{"bitnet-b1.58.pooling_type": value}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("pooling_type %v: %v", value, err)
		}
	}
	if m, err = openChanged(t, map[string]any{"bitnet-b1.58.pooling_type": uint32(0)}); err != nil || m.Info().Embedding {
		t.Errorf("a file that pools nothing: %v", err)
	}
	if _, err := openChanged(t, map[string]any{"bitnet-b1.58.embedding.query_prefix": strings.Repeat("x", 1<<20)}); err == nil {
		t.Error("a prefix of a megabyte is taken")
	}
}

// TestEmbedTruncated: texts that are too long are errors, or cut; then they end as all
// texts do.
func TestEmbedTruncated(t *testing.T) {
	ctx := context.Background()
	long := strings.Repeat("Once upon a time ", 40)
	for _, ends := range []bool{false, true} {
		m, err := openChanged(t, map[string]any{"tokenizer.ggml.add_eos_token": ends}, trit.ContextSize(64))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Embed(ctx, long); !errors.Is(err, trit.ErrContext) || !strings.Contains(err.Error(), "text 0") {
			t.Errorf("a long text: %v", err)
		}
		if _, err := m.EmbedTokens(ctx, [][]int32{m.Tokenize("x"), m.Tokenize(long)}); !errors.Is(err, trit.ErrContext) {
			t.Errorf("long tokens: %v", err)
		}
		for n, room := range map[int]int{0: 64, 7: 7, 1000: 64} {
			tokens := m.Tokenize(long)
			want := slices.Clone(tokens[:room])
			if ends {
				want[room-1] = tokens[len(tokens)-1]
			}
			got, err := m.EmbeddingTokens(t.Context(), long, trit.TruncateTo(n))
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("cut to %d: %v %v, want %v", n, got, err, want)
			}
		}
		if eos, _ := m.Tokenizer().EOS(); ends != (m.Tokenize("x")[len(m.Tokenize("x"))-1] == eos) {
			t.Errorf("texts end with the end token: %v", !ends)
		}
	}
}

// TestEmbedMany: what texts are computed together with changes nothing, also where the
// KV cache does not hold all of them.
func TestEmbedMany(t *testing.T) {
	ctx := context.Background()
	m := openDemo(t, trit.BatchRows(16), trit.KVTokens(512))
	var texts []string
	for i := range 30 {
		texts = append(texts, strings.Repeat(fmt.Sprintf("The %d. dog barks. ", i), 1+i*i%7))
	}
	all, err := m.EmbedAll(ctx, texts)
	if err != nil || len(all) != len(texts) {
		t.Fatalf("%d vectors, %v", len(all), err)
	}
	for i, text := range texts {
		if one, err := m.Embed(ctx, text); err != nil || !slices.Equal(one, all[i]) {
			t.Errorf("text %d has another vector alone, %v", i, err)
		}
	}
	before := inside.Of(m).Scheduler.Steps()
	short := make([]string, 32)
	tokens := 0
	for i := range short {
		short[i] = fmt.Sprintf("%d dogs", i)
		tokens += len(m.Tokenize(short[i]))
	}
	if _, err := m.EmbedAll(ctx, short[:len(short)/4]); err != nil {
		t.Fatal(err)
	}
	if steps, least := int(inside.Of(m).Scheduler.Steps()-before), (tokens/4+15)/16; steps > least+1 {
		t.Errorf("%d tokens took %d forward passes of 16 rows", tokens/4, steps)
	}
}
