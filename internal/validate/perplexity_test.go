package validate

import (
	"context"
	"errors"
	"math"
	"os"
	"strings"
	"testing"

	"trit/internal/engine"
	"trit/internal/head"
	"trit/internal/kernel"
	"trit/internal/model"
	"trit/tokenizer"
)

// demoEngine opens the demo for measurements.
func demoEngine(t testing.TB, o engine.Options) (*engine.Engine, *tokenizer.Tokenizer) {
	t.Helper()
	f := demo(t)
	tok, err := tokenizer.FromGGUF(f.Metadata)
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.Load(f, model.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	o.Threads = 2
	e, err := engine.New(m, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e, tok
}

func heldOut(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("testdata/heldout.txt")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// demoPerplexity is the demo's perplexity on testdata/heldout.txt in windows of 512
// with an f32 cache, and firstPerplexity that of the first window.
const (
	demoPerplexity  = 1.8051
	firstPerplexity = 1.7408
)

// TestDemoPerplexity has the demo's value, and what a smaller cache and a smaller
// head cost: the table in docs/models.md.
func TestDemoPerplexity(t *testing.T) {
	text := heldOut(t)
	tests := []struct {
		o    engine.Options
		want float64
	}{
		{engine.Options{KVType: kernel.KVF32}, demoPerplexity},
		{engine.Options{KVType: kernel.KVF16}, 1.8047},
		{engine.Options{KVType: kernel.KVI8}, 1.8054},
		{engine.Options{KVType: kernel.KVQ4}, 1.8078},
		{engine.Options{KVType: kernel.KVF32, Head: head.Q8}, 1.8050},
		{engine.Options{KVType: kernel.KVF32, Head: head.Q6}, 1.8052},
		{engine.Options{KVType: kernel.KVF32, Head: head.Q4}, 1.8066},
		{engine.Options{KVType: kernel.KVI8, Head: head.Q6}, 1.8055},
	}
	windows := 7
	if testing.Short() { // for processors without assembly
		tests, windows = tests[:1], 1
		tests[0].want = firstPerplexity
	}
	for _, test := range tests {
		e, tok := demoEngine(t, test.o)
		last := 0
		r, err := Perplexity(context.Background(), e, tok, text, PerplexityOptions{Windows: windows, Progress: func(done, total int, r *PerplexityReport) {
			if done != last+1 || total != windows || r.Windows != done {
				t.Errorf("progress %d of %d, %+v", done, total, r)
			}
			last = done
		}})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("cache %v, head %v: %v", test.o.KVType, test.o.Head, r)
		if math.Abs(r.Perplexity-test.want) > 1e-4 || r.Scored != windows*255 || r.Context != 512 {
			t.Errorf("cache %v, head %v: %+v, want %v within %v", test.o.KVType, test.o.Head, r, test.want, 1e-4)
		}
		if !(r.StdErr > 0.02 && r.StdErr < 0.5) {
			t.Errorf("standard error %v", r.StdErr)
		}
	}
}

// TestProtocol computes a perplexity by the definition, one token at a time.
func TestProtocol(t *testing.T) {
	e, tok := demoEngine(t, engine.Options{MaxRows: 7})
	text := heldOut(t)[:1500]
	tokens := tok.Encode(text)
	bos, _ := tok.BOS()
	tests := []struct{ context, stride, windows, first int }{
		{4, 4, 5, 3},
		{64, 10, 3, 54},
		{64, 64, 0, 33}, // side by side: the second half but its first token
		{64, 32, 0, 32}, // overlapping: the last stride tokens
		{65, 50, 0, 33}, // more than half a window
	}
	if testing.Short() {
		tests = tests[:2]
	}
	for _, test := range tests {
		r, err := Perplexity(context.Background(), e, tok, text, PerplexityOptions{Context: test.context, Stride: test.stride, Windows: test.windows})
		if err != nil {
			t.Fatal(err)
		}
		var nlls []float64
		windows := 0
		for start := 0; start+test.context <= len(tokens); start += test.stride {
			if test.windows > 0 && windows == test.windows {
				break
			}
			windows++
			s := &suite{config: e.Model().Config}
			window := append([]int32{bos}, tokens[start+1:start+test.context]...)
			logits, err := s.run(e, window, 1, nil)
			if err != nil {
				t.Fatal(err)
			}
			vocab := e.Model().Config.Vocab
			for p := test.first; p < test.context; p++ {
				row := logits[(p-1)*vocab : p*vocab]
				sum := 0.0
				for _, x := range row {
					sum += math.Exp(float64(x))
				}
				nlls = append(nlls, math.Log(sum)-float64(row[window[p]]))
			}
		}
		mean, variance := 0.0, 0.0
		for _, x := range nlls {
			mean += x / float64(len(nlls))
		}
		for _, x := range nlls {
			variance += (x - mean) * (x - mean) / float64(len(nlls)-1)
		}
		want := math.Exp(mean)
		stdErr := want * math.Sqrt(variance/float64(len(nlls)))
		if r.Scored != len(nlls) || r.Windows != windows || math.Abs(r.Perplexity-want) > 1e-9*want || math.Abs(r.StdErr-stdErr) > 0.01*stdErr || !r.BOS {
			t.Errorf("%+v: got %+v, want %v +/- %v over %d tokens", test, r, want, stdErr, len(nlls))
		}
	}
}

func TestPerplexityErrors(t *testing.T) {
	e, tok := demoEngine(t, engine.Options{})
	text := heldOut(t)
	for _, test := range []struct {
		text  string
		o     PerplexityOptions
		class error
	}{
		{"short", PerplexityOptions{}, ErrText},
		{text, PerplexityOptions{Context: 3}, ErrOptions},
		{text, PerplexityOptions{Context: 513}, ErrOptions},
		{text, PerplexityOptions{Context: 64, Stride: 65}, ErrOptions},
		{text, PerplexityOptions{Stride: -1}, ErrOptions},
		{text, PerplexityOptions{Windows: -1}, ErrOptions},
	} {
		if _, err := Perplexity(context.Background(), e, tok, test.text, test.o); !errors.Is(err, test.class) {
			t.Errorf("%+v: %v", test.o, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	_, err := Perplexity(ctx, e, tok, text, PerplexityOptions{Progress: func(int, int, *PerplexityReport) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if s := (&PerplexityReport{Perplexity: 1.5, StdErr: 0.25, Scored: 10, Windows: 2, Context: 12}).String(); !strings.Contains(s, "1.5000 +/- 0.2500") {
		t.Error(s)
	}
}
