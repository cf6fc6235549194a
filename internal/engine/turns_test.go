package engine_test

import (
	"slices"
	"testing"
	"time"

	"trit/internal/engine"
	"trit/internal/model"
	"trit/internal/model/arch/decoder/decodertest"
)

// server is a machine of which steps of about 20 rows take 120 ms.
func server(rows int) time.Duration {
	return 20*time.Millisecond + time.Duration(rows)*5*time.Millisecond
}

// byHand returns a scheduler that makes steps when it is told to.
func byHand(t *testing.T, m *model.Model, o engine.Options) *engine.ByHand {
	t.Helper()
	return engine.NewByHand(newEngine(t, m, o), server)
}

// own is a text that shares nothing with others.
func own(id, n int) []int32 {
	text := longTokens(n)
	for i := range text {
		text[i] = int32((int(text[i]) + 97*id + 13*id*i) % 500)
	}
	return text
}

// TestReadersGoOn: beside a prompt of 1000 tokens someone reads along, who gets a token
// with every step, of which none takes long; the logits of both are those that they get
// alone.
func TestReadersGoOn(t *testing.T) {
	for name, m := range map[string]*model.Model{
		"attention": load(t, committed(), model.LoadOptions{}), "sums": decodertest.Open(t, model.LoadOptions{}), "qwen35": hybrid(t),
	} {
		t.Run(name, func(t *testing.T) {
			h := byHand(t, m, engine.Options{Context: 1100, Threads: 2})
			reader, other := h.Session(), h.Session()
			text, read, prompt := own(1, 12), own(2, 300), own(3, 1000)
			alone := schedulerOf(t, m, engine.Options{Context: 1100})
			want := lastLogits(t, alone, [][]int32{prompt})[0]
			line := session(t, alone)
			if err := line.Run(t.Context(), slices.Concat(text, read), engine.All, len(text)); err != nil {
				t.Fatal(err)
			}
			h.Submit(t, engine.Job{Session: reader, Tokens: text, Want: engine.Select, From: len(text)})
			h.Step(t)
			next := func(i int) {
				h.Submit(t, engine.Job{Session: reader, Tokens: read[i : i+1], Want: engine.All})
				if !h.Step(t)[reader] {
					t.Fatalf("the reader has to wait for token %d", i)
				}
				equalBits(t, "the reader's logits", reader.Logits(0), line.Logits(i))
			}
			for i := range 10 {
				next(i)
			}
			h.Submit(t, engine.Job{Session: other, Tokens: prompt, Want: engine.All, From: len(prompt) - 1})
			for i := 10; other.Len() < len(prompt); i++ {
				if i == 100 {
					t.Fatalf("the prompt has come to token %d", other.Len())
				}
				next(i)
				if h.Took > engine.StepTime {
					t.Errorf("a step of %d rows takes %v", h.Rows, h.Took)
				}
			}
			equalBits(t, "the prompt's logits", other.Logits(0), want)
		})
	}
}

// TestLateReader: a reader who does not come back at once is not forgotten, but nobody
// waits for one who has left.
func TestLateReader(t *testing.T) {
	h := byHand(t, load(t, committed(), model.LoadOptions{}), engine.Options{Context: 1100, MaxRows: 64})
	reader, other := h.Session(), h.Session()
	for range 8 {
		h.Submit(t, engine.Job{Session: reader, Tokens: own(1, 1), Want: engine.All})
		h.Step(t)
	}
	h.Submit(t, engine.Job{Session: other, Tokens: own(2, 1000), Want: engine.None})
	for range 4 {
		if h.Step(t); h.Took > engine.StepTime {
			t.Errorf("the reader may come back in a moment, and a step of %d rows takes %v", h.Rows, h.Took)
		}
	}
	h.Sleep(time.Second)
	if h.Step(t); h.Rows != 64 {
		t.Errorf("nobody reads any more, and a step has %d rows of 64", h.Rows)
	}
}

// TestShortPromptsFirst: a question is answered before a document, though it came later,
// and of several that came together one after the other.
func TestShortPromptsFirst(t *testing.T) {
	h := byHand(t, load(t, committed(), model.LoadOptions{}), engine.Options{Context: 1100, MaxRows: 32})
	long := h.Session()
	h.Submit(t, engine.Job{Session: long, Tokens: own(1, 600), Want: engine.None})
	h.Step(t)
	var together []*engine.Session
	for id := range 4 {
		c := h.Session()
		together = append(together, c)
		h.Submit(t, engine.Job{Session: c, Tokens: own(2+id, 32), Want: engine.None})
	}
	for i, step := range []int{1, 1, 1, 2} { // the document has one step in four
		for range step {
			h.Step(t)
		}
		for k, c := range together {
			if done := c.Len() == 32; done != (k <= i) {
				t.Errorf("after question %d: question %d has %d tokens", i, k, c.Len())
			}
		}
	}
	if long.Len() != 64 {
		t.Errorf("the document has %d tokens, want 64", long.Len())
	}
}

// TestNobodyStarves: short prompts without end do not keep a long one from going on.
func TestNobodyStarves(t *testing.T) {
	h := byHand(t, load(t, committed(), model.LoadOptions{}), engine.Options{Context: 1100, MaxRows: 32})
	long := h.Session()
	h.Submit(t, engine.Job{Session: long, Tokens: own(1, 320), Want: engine.None})
	for step := 1; long.Len() < 320; step++ {
		if step > 4*320/32 {
			t.Fatalf("after %d steps the long prompt has come to token %d", step-1, long.Len())
		}
		for id := range 2 {
			c := h.Session()
			h.Submit(t, engine.Job{Session: c, Tokens: own(2*step+id, 20), Want: engine.None})
		}
		h.Step(t)
	}
}

// TestSharedByTurns: prompts with a common beginning compute it once, whichever of them
// comes first in a step: one that is behind waits for the one that has come further.
func TestSharedByTurns(t *testing.T) {
	for name, m := range map[string]*model.Model{
		"attention": load(t, committed(), model.LoadOptions{}), "sums": decodertest.Open(t, model.LoadOptions{}), "qwen35": hybrid(t),
	} {
		t.Run(name, func(t *testing.T) {
			const shared = 256
			h := byHand(t, m, engine.Options{Context: 1100, MaxRows: 20, CachePages: 400})
			texts := prompts(4, shared, 100)
			var sessions []*engine.Session
			rows := 0
			for i, text := range texts {
				c := h.Session()
				sessions = append(sessions, c)
				// The later it comes the less it is: all would overtake the first.
				h.Submit(t, engine.Job{Session: c, Tokens: text[:shared+100-20*i], Want: engine.All, From: shared + 99 - 20*i})
				h.Step(t)
				rows += h.Rows
			}
			for steps := 0; slices.ContainsFunc(sessions, func(c *engine.Session) bool { return c.Len() < shared+40 }); steps++ {
				if steps == 100 {
					t.Fatal("no end")
				}
				h.Step(t)
				rows += h.Rows
			}
			for h.Step(t); h.Rows > 0; h.Step(t) {
				rows += h.Rows
			}
			if want := shared + 100 + 80 + 60 + 40; rows != want {
				t.Errorf("%d rows were computed, want %d", rows, want)
			}
			for i, c := range sessions {
				text := texts[i][:shared+100-20*i]
				equalBits(t, "logits", c.Logits(0), lastLogits(t, schedulerOf(t, m, engine.Options{Context: 1100}), [][]int32{text})[0])
			}
		})
	}
}
