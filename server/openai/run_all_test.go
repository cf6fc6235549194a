package openai

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"trit"
	"trit/server/core"
	"trit/server/internal/servertest"
)

// TestManyPrompts runs more prompts than the model takes at a time: no more run at
// once, the choices come in the order of the prompts, and the first that fails
// ends all.
func TestManyPrompts(t *testing.T) {
	w := servertest.NewWire(t, core.Options{Parallel: 4}, Routes)
	var running, most atomic.Int64
	fails := -1
	w.Server.Generate = func(ctx context.Context, j *core.Job, _ []trit.GenerateOption) iter.Seq2[trit.Token, error] {
		return func(yield func(trit.Token, error) bool) {
			n := running.Add(1)
			defer running.Add(-1)
			for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
			}
			number := len(j.Prompt) // of words, which are all alike
			select {
			case <-ctx.Done():
				yield(trit.Token{}, ctx.Err())
				return
			case <-time.After(time.Duration(20-number) * time.Millisecond): // the last ones are the first to end
			}
			if number == fails {
				yield(trit.Token{}, &core.Error{Status: http.StatusServiceUnavailable, Message: "the memory is gone"})
				return
			}
			for choice := range 2 {
				if !yield(trit.Token{Text: fmt.Sprint(number, choice), Index: choice, Finish: trit.FinishStop}, nil) {
					return
				}
			}
		}
	}
	var prompts [][]int
	var want []string
	for i := range 8 {
		prompts = append(prompts, make([]int, i+1))
		want = append(want, fmt.Sprint(i+1, 0), fmt.Sprint(i+1, 1))
	}
	var got struct {
		Choices []struct {
			Index int
			Text  string
		}
	}
	w.Ask("POST", "/v1/completions", servertest.Object{"prompt": prompts, "n": 2}).Into(200, &got)
	var texts []string
	for i, c := range got.Choices {
		if c.Index != i {
			t.Errorf("choice %d has the index %d", i, c.Index)
		}
		texts = append(texts, c.Text)
	}
	if strings.Join(texts, ",") != strings.Join(want, ",") {
		t.Errorf("%q, want %q", texts, want)
	}
	if most.Load() != 2 { // of two choices each
		t.Errorf("%d prompts ran at a time, want 2", most.Load())
	}

	fails = 3
	var failed errorReply
	w.Ask("POST", "/v1/completions", servertest.Object{"prompt": prompts, "n": 2}).Into(503, &failed)
	if failed.Error.Message != "the memory is gone" || running.Load() != 0 {
		t.Errorf("%+v, and %d prompts still run", failed, running.Load())
	}
}
