package engine_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"trit/internal/cache"
	"trit/internal/engine"
	"trit/internal/kernel"
	"trit/internal/model"
)

// prompts returns n texts that share their first tokens and differ afterwards.
func prompts(n, shared, own int) [][]int32 {
	var list [][]int32
	for i := range n {
		text := longTokens(shared + own)
		for j := shared; j < len(text); j++ {
			text[j] = int32((i*131 + j*17) % 512)
		}
		list = append(list, text)
	}
	return list
}

// lastLogits runs texts apart from all others and returns the logits after
// each.
func lastLogits(t testing.TB, s *engine.Scheduler, texts [][]int32) [][]float32 {
	t.Helper()
	var out [][]float32
	for _, text := range texts {
		c := session(t, s)
		c.SetPrivate(true)
		if err := c.Run(context.Background(), text, engine.All, len(text)-1); err != nil {
			t.Fatal(err)
		}
		if c.Reused() != 0 {
			t.Fatalf("a private session takes %d tokens from the prefix cache", c.Reused())
		}
		out = append(out, slices.Clone(c.Logits(0)))
		c.Close()
	}
	return out
}

// checkAllFree empties the prefix cache and checks that no page is left.
func checkAllFree(t testing.TB, s *engine.Scheduler) {
	t.Helper()
	if err := s.ForgetPrefixes(); err != nil {
		t.Fatal(err)
	}
	stats, err := s.PrefixStats()
	if err != nil {
		t.Fatal(err)
	}
	if n := s.Engine().Cache().InUse(); n != 0 || stats.Pages != 0 || stats.Unreferenced != 0 {
		t.Errorf("at the end %d pages are in use, %+v", n, stats)
	}
}

// TestSharedPrompts: of ten prompts that share 200 tokens, all but the first
// compute less than a page of these, whether they come one after the other or
// together, and the logits are the same bits as without sharing.
func TestSharedPrompts(t *testing.T) { onModels(t, 30, testSharedPrompts) }

func testSharedPrompts(t *testing.T, newScheduler opener) {
	count, shared, own := 10, 200, 13
	if testing.Short() {
		count, shared = 4, 100
	}
	texts := prompts(count, shared, own)
	for _, together := range []bool{false, true} {
		s := newScheduler(t, engine.Options{MaxRows: 64, Context: 400, CachePages: 200})
		want := lastLogits(t, s, texts)
		before := s.Rows()
		var sessions []*engine.Session
		var jobs []engine.Job
		for _, text := range texts {
			c := session(t, s)
			sessions = append(sessions, c)
			jobs = append(jobs, engine.Job{Session: c, Tokens: text, Want: engine.All, From: len(text) - 1})
		}
		if together {
			if err := s.Run(context.Background(), jobs); err != nil {
				t.Fatal(err)
			}
		} else {
			for i := range jobs {
				if err := s.Run(context.Background(), jobs[i:i+1]); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i, c := range sessions {
			equalBits(t, "logits with a shared prefix", c.Logits(0), want[i])
			if again := shared - c.Reused(); i > 0 && again >= kernel.PageTokens {
				t.Errorf("together %v: prompt %d computes %d of the shared tokens again", together, i, again)
			}
		}
		full := shared / kernel.PageTokens * kernel.PageTokens
		rows := s.Rows() - before
		if want := int64(count*(shared+own) - (count-1)*full); rows != want {
			t.Errorf("together %v: %d rows were computed, want %d", together, rows, want)
		}
		each := 1 + s.Engine().Cache().StateStats().Pages
		sliding := s.Engine().Cache().Config().WindowLayers > 0 // gives some back
		if n, want := s.Engine().Cache().InUse(), full/kernel.PageTokens+count*each; n != want && !(sliding && n < want) {
			t.Errorf("together %v: %d pages in use, want %d shared and %d each", together, n, full/kernel.PageTokens, each)
		}
		stats, err := s.PrefixStats()
		if err != nil {
			t.Fatal(err)
		}
		if stats.Prompts != int64(count) || stats.Hits != int64(count-1) || stats.PromptTokens != int64(count*(shared+own)) || stats.ReusedTokens != int64((count-1)*full) {
			t.Errorf("together %v: %+v", together, stats)
		}
		for _, c := range sessions {
			c.Close()
		}
		checkAllFree(t, s)
	}
}

// TestWholePromptKnown: of a prompt that is completely known, only what is asked
// for is run, and what is behind the last snapshot.
func TestWholePromptKnown(t *testing.T) { onModels(t, 0, testWholePromptKnown) }

func testWholePromptKnown(t *testing.T, newScheduler opener) {
	ctx := context.Background()
	s := newScheduler(t, engine.Options{Context: 400})
	text := longTokens(3 * kernel.PageTokens)
	want := lastLogits(t, s, [][]int32{text})[0]
	behind, parts := int64(1), int64(8+1)
	if s.Engine().Model().Graph.StateSize() > 0 {
		behind, parts = kernel.PageTokens, 40+kernel.PageTokens
	}
	for i, rows := range []int64{int64(len(text)), behind, behind} {
		c, before := session(t, s), s.Rows()
		if err := c.Run(ctx, text, engine.All, len(text)-1); err != nil {
			t.Fatal(err)
		}
		equalBits(t, "logits of a known prompt", c.Logits(0), want)
		if got := s.Rows() - before; got != rows {
			t.Errorf("run %d computes %d rows, want %d", i, got, rows)
		}
		c.Close()
	}
	c, before := session(t, s), s.Rows()
	if err := c.Run(ctx, text, engine.None, 0); err != nil || s.Rows() != before || c.Len() != len(text) {
		t.Errorf("a known prompt without results: %d tokens, %d rows, %v", c.Len(), s.Rows()-before, err)
	}
	// In two parts, the second from the middle of a page on.
	d, before := session(t, s), s.Rows()
	if err := errors.Join(d.Run(ctx, text[:40], engine.None, 0), d.Run(ctx, text[40:], engine.All, len(text)-41)); err != nil {
		t.Fatal(err)
	}
	equalBits(t, "logits of a known prompt in two parts", d.Logits(0), want)
	if got := s.Rows() - before; got != parts {
		t.Errorf("a known prompt in two parts computes %d rows, want %d", got, parts)
	}
	// What is asked of every token is computed for every token.
	before = s.Rows()
	e := session(t, s)
	if err := e.Run(ctx, text, engine.Hidden, 0); err != nil || s.Rows()-before != int64(len(text)) {
		t.Errorf("hidden states of a known prompt: %d rows, %v", s.Rows()-before, err)
	}
}

// TestTentative: tokens that were only tried do not enter the prefix cache.
func TestTentative(t *testing.T) { onModels(t, 0, testTentative) }

func testTentative(t *testing.T, newScheduler opener) {
	ctx := context.Background()
	s := newScheduler(t, engine.Options{Context: 400})
	text := longTokens(3 * kernel.PageTokens)
	c := session(t, s)
	if err := s.Run(ctx, []engine.Job{{Session: c, Tokens: text[:80], Guesses: 80}}); err != nil {
		t.Fatal(err)
	}
	if err := c.Truncate(40); err != nil {
		t.Fatal(err)
	}
	if err := c.Run(ctx, []int32{7}, engine.None, 0); err != nil {
		t.Fatal(err)
	}
	d := session(t, s)
	if err := d.Run(ctx, text, engine.All, len(text)-1); err != nil {
		t.Fatal(err)
	}
	if d.Reused() != kernel.PageTokens {
		t.Errorf("%d tokens came from the cache, want the first page alone", d.Reused())
	}
	equalBits(t, "logits after tried tokens", d.Logits(0), lastLogits(t, s, [][]int32{text})[0])
}

// TestPrefixEviction: prompts that do not fit into the cache together push each
// other out instead of failing.
func TestPrefixEviction(t *testing.T) { onModels(t, 3, testPrefixEviction) }

func testPrefixEviction(t *testing.T, newScheduler opener) {
	s := newScheduler(t, engine.Options{Context: 200, CachePages: 8, PrefixPages: 8})
	for i := range 20 {
		text := longTokens(150)
		text[0] = int32(i)
		c := session(t, s)
		if err := c.Run(context.Background(), text, engine.All, 149); err != nil {
			t.Fatalf("prompt %d: %v", i, err)
		}
		c.Close()
	}
	if stats, err := s.PrefixStats(); err != nil || stats.Evicted == 0 || stats.Pages > 8 {
		t.Errorf("%+v, %v", stats, err)
	}
	checkAllFree(t, s)
}

// TestPrefixOff: without pages for prefixes nothing is shared.
func TestPrefixOff(t *testing.T) { onModels(t, 0, testPrefixOff) }

func testPrefixOff(t *testing.T, newScheduler opener) {
	s := newScheduler(t, engine.Options{Context: 200, PrefixPages: -1})
	for range 2 {
		c := session(t, s)
		if err := c.Run(context.Background(), longTokens(100), engine.All, 99); err != nil || c.Reused() != 0 {
			t.Errorf("%d tokens reused, %v", c.Reused(), err)
		}
	}
	if s.Rows() != 200 {
		t.Errorf("%d rows, want 200", s.Rows())
	}
}

// TestPrefixClients lets clients with common beginnings run, try, cut, fork and
// give up at once, and compares all logits with those of a client alone.
func TestPrefixClients(t *testing.T) { onModels(t, 12, testPrefixClients) }

func testPrefixClients(t *testing.T, newScheduler opener) {
	s := newScheduler(t, engine.Options{MaxRows: 40, Context: 200, CachePages: 60, PrefixPages: 12})
	texts, rounds := prompts(4, 70, 50), 12
	if testing.Short() {
		rounds = 4
	}
	var want [][]float32 // [text·len + position]
	for _, text := range texts {
		c := session(t, s)
		c.SetPrivate(true)
		if err := c.Run(context.Background(), text, engine.All, 0); err != nil {
			t.Fatal(err)
		}
		for i := range text {
			want = append(want, slices.Clone(c.Logits(i)))
		}
		c.Close()
	}
	var clients sync.WaitGroup
	for id := range 8 {
		clients.Add(1)
		go func() {
			defer clients.Done()
			r := rand.New(rand.NewPCG(uint64(id), 11))
			for range rounds {
				which := r.IntN(len(texts))
				text := texts[which]
				c, err := s.NewSession()
				if err != nil {
					t.Error(err)
					return
				}
				for c.Len() < len(text) && r.IntN(12) > 0 {
					at := c.Len()
					n := min(1+r.IntN(1+r.IntN(120)), len(text)-at)
					ctx, cancel := context.WithCancel(context.Background())
					if r.IntN(10) == 0 {
						cancel()
					}
					err := s.Run(ctx, []engine.Job{{Session: c, Tokens: text[at : at+n], Want: engine.All, From: n - 1, Guesses: max(0, r.IntN(3*n)-2*n)}})
					cancel()
					if errors.Is(err, context.Canceled) {
						continue
					}
					if err != nil {
						t.Error(err)
						return
					}
					if !slices.Equal(c.Logits(0), want[which*len(text)+at+n-1]) {
						t.Errorf("client %d: the logits after token %d of text %d are not those of a client alone", id, at+n-1, which)
						return
					}
					switch r.IntN(6) {
					case 0:
						if err := c.Truncate(r.IntN(c.Len() + 1)); err != nil {
							t.Error(err)
						}
					case 1:
						f, err := c.Fork()
						if err != nil {
							t.Error(err)
							return
						}
						c.Close()
						c = f
					}
				}
				c.Close()
			}
		}()
	}
	clients.Wait()
	checkAllFree(t, s)
}

func TestPrefixSave(t *testing.T) {
	for _, kv := range []kernel.KVType{kernel.KVF32, kernel.KVQ4} {
		t.Run(kv.String(), func(t *testing.T) {
			onModels(t, 0, func(t *testing.T, newScheduler opener) { testPrefixSave(t, newScheduler, kv) })
		})
	}
}

func testPrefixSave(t *testing.T, newScheduler opener, kv kernel.KVType) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "prompts.kv")
	text := longTokens(100)
	s := newScheduler(t, engine.Options{Context: 200, KVType: kv})
	want := lastLogits(t, s, [][]int32{text})[0]
	c := session(t, s)
	if err := c.Run(ctx, text, engine.None, 0); err != nil {
		t.Fatal(err)
	}
	if pages, err := s.SavePrefixes(path); err != nil || pages != 3 {
		t.Fatalf("%d pages were saved, want 3: %v", pages, err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("saving leaves %v, %v", left, err)
	}
	other := newScheduler(t, engine.Options{Context: 300, Threads: 1, KVType: kv})
	if pages, err := other.LoadPrefixes(path); err != nil || pages != 3 {
		t.Fatalf("%d pages were loaded, want 3: %v", pages, err)
	}
	d := session(t, other)
	if err := d.Run(ctx, text, engine.All, 99); err != nil || d.Reused() != 96 {
		t.Errorf("%d tokens reused, %v", d.Reused(), err)
	}
	equalBits(t, "logits after loading", d.Logits(0), want)

	f16 := newScheduler(t, engine.Options{Context: 300, KVType: kernel.KVF16})
	if _, err := f16.LoadPrefixes(path); !errors.Is(err, cache.ErrPrefixFile) {
		t.Errorf("another KV type: %v", err)
	}
	float := schedulerOf(t, load(t, committed(), model.LoadOptions{Activations: model.Float}), engine.Options{Threads: 1})
	if _, err := float.LoadPrefixes(path); !errors.Is(err, cache.ErrPrefixFile) {
		t.Errorf("other activations: %v", err)
	}
	if _, err := other.LoadPrefixes(path + "x"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := s.SavePrefixes(filepath.Join(path, "no", "folder")); err == nil {
		t.Error("saving into a folder that is not there succeeds")
	}
}
