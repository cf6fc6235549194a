package trit_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"trit"
	"trit/internal/engine"
	"trit/internal/inside"
	"trit/internal/kernel"
	"trit/internal/model"
	"trit/internal/model/synth"
	"trit/internal/model/synth/synthtest"
	"trit/internal/ternary"
)

func TestPlan(t *testing.T) {
	p, err := trit.Plan("demo", trit.ContextSize(512), trit.KVType(kernel.KVF16))
	if err != nil {
		t.Fatal(err)
	}
	m := openDemo(t, trit.ContextSize(512), trit.KVType(kernel.KVF16))
	if got, want := p.Weights, inside.Of(m).Weights.TernaryBytes; got < want*99/100 || got > want*14/10 {
		t.Errorf("the weights take %d bytes, the plan says %d", want, got)
	}
	if got, want := p.KVPage, inside.Of(m).Scheduler.Engine().Cache().PageBytes(); got != want {
		t.Errorf("a page takes %d bytes, the plan says %d", want, got)
	}
	if p.Context != 512 || p.KVTokens != inside.Of(m).Scheduler.Gauges().Pages*kernel.PageTokens {
		t.Errorf("context %d, %d tokens", p.Context, p.KVTokens)
	}
	if p.Tables < int64(len(inside.Of(m).Weights.Graph.Head().Data)) || p.Scratch <= 0 || p.Least() > p.Total() {
		t.Errorf("%+v", p)
	}

	memory, err := inside.Of(m).Scheduler.Memory()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := p.Scratch, memory.Scratch; got < want*9/10 || got > want*3/2 {
		t.Errorf("the scratch memory is %d bytes, the plan says %d", want, got)
	}
	if p.Head != memory.Head {
		t.Errorf("the head mode adds %d bytes, the plan says %d", memory.Head, p.Head)
	}

	whole := *p
	if err := whole.Fit(p.Total()); err != nil || whole != *p {
		t.Errorf("what fits was changed: %+v, %v", whole, err)
	}
	tight := *p
	if err := tight.Fit(p.Least() + p.KVPage + 1); err != nil || tight.KVTokens != p.Context+p.PageTokens {
		t.Errorf("%d tokens of KV cache, %v", tight.KVTokens, err)
	}
	err = p.Fit(p.Least() - 1)
	if !errors.Is(err, trit.ErrMemory) || !strings.Contains(err.Error(), "option context_size 480 would fit") {
		t.Errorf("error: %v", err)
	}
	if err = p.Fit(1000); !errors.Is(err, trit.ErrMemory) || !strings.Contains(err.Error(), "demo needs") || !strings.Contains(err.Error(), "there is 1 kB") {
		t.Errorf("error: %v", err)
	}
	if _, err := trit.Plan("nothing-of-that-name"); err == nil {
		t.Error("a plan for no model")
	}
	if n, source := trit.MemoryLimit(); n < 1<<20 || source == "" {
		t.Errorf("the limit is %d (%s)", n, source)
	}
}

func TestKVTokens(t *testing.T) {
	m := openDemo(t, trit.KVTokens(1000))
	if got := inside.Of(m).Scheduler.Gauges(); got.Pages != 32 || got.FreePages() != 32 {
		t.Errorf("%+v", got)
	}
}

func TestBytes(t *testing.T) {
	for b, want := range map[trit.Bytes]string{0: "0 B", 999: "999 B", 1000: "1 kB", 1_234_567: "1.2 MB", 999_999_999: "1.00 GB", 23_400_000_000: "23.40 GB"} {
		if b.String() != want {
			t.Errorf("%d: %s, want %s", int64(b), b, want)
		}
	}
}

// synthetic makes a model of a shape, and returns its path.
func synthetic(t *testing.T, shape string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), shape+".gguf")
	data := synthtest.Bytes(t, synthtest.Shape(t, shape), synth.Options{})
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestPlanOfWindows: where layers have a sliding window, a text takes less room than it
// has tokens, and really fits into it.
func TestPlanOfWindows(t *testing.T) {
	path := synthetic(t, "tiny-maple")
	options := []trit.Option{trit.ContextSize(2048), trit.BatchRows(32), trit.Threads(1)}
	p, err := trit.Plan(path, options...)
	if err != nil {
		t.Fatal(err)
	}
	if p.KVWindow == 0 || p.KVWindow >= p.KVPage || p.TextTokens > p.Context/2 || p.KVTokens != 4*p.TextTokens {
		t.Fatalf("%+v", p)
	}
	if room := p.Least() - p.Fixed(); room != p.KV(p.TextTokens) || p.Texts(p.Context) != 4 || p.Texts(1) != p.KVTokens/p.PageTokens {
		t.Errorf("a text takes %d bytes, there are %d of it, and %d of a token", room, p.Texts(p.Context), p.Texts(1))
	}
	var e *trit.MemoryError
	tight := *p
	if err := tight.Fit(p.Least() - 1); !errors.As(err, &e) || e.Context >= p.Context || e.Context < p.Context-8*p.PageTokens {
		t.Fatalf("error: %v", err)
	}
	if less, err := trit.Plan(path, append(options, trit.ContextSize(e.Context))...); err != nil || less.Least() > p.Least()-1 {
		t.Errorf("a context of %d tokens does not fit either: %v", e.Context, err)
	}
	m, err := trit.Open(path, append(options, trit.MaxMemory(p.Least()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	cache := inside.Of(m).Scheduler.Engine().Cache()
	if got := cache.Config().MaxPages * p.PageTokens; got != p.TextTokens {
		t.Fatalf("the KV cache has room for %d tokens, the plan is %+v", got, p)
	}
	c, err := inside.Of(m).Scheduler.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Run(t.Context(), make([]int32, p.Context), engine.None, 0); err != nil {
		t.Errorf("a text of the whole context: %v", err)
	}
}

// TestPlanOfState: what texts of some models keep beside keys and values takes its room
// in the KV cache.
func TestPlanOfState(t *testing.T) {
	path := synthetic(t, "tiny-qwen35")
	p, err := trit.Plan(path)
	if err != nil {
		t.Fatal(err)
	}
	states := (p.State + p.KVPage - 1) / p.KVPage * int64(p.PageTokens)
	if p.State == 0 || int64(p.StateTokens) != states || p.TextTokens != p.Context+3*p.StateTokens || p.KVTokens != 4*p.TextTokens {
		t.Fatalf("%+v", p)
	}
	if want := p.Fixed() + p.KV(p.Context+p.StateTokens); p.Least() != want || p.Total() != p.Fixed()+p.KV(p.KVTokens) {
		t.Errorf("at least %d bytes, in all %d", p.Least(), p.Total())
	}
	// Four texts of the whole context have room, with a state and two snapshots each.
	if short := p.KVTokens / (p.PageTokens + 3*p.StateTokens); p.Snapshots() != 2 || p.Texts(p.Context) != 4 || p.Texts(1) != short || p.Texts(p.PageTokens) != short {
		t.Errorf("%d snapshots, %d texts of the whole context, %d of a page", p.Snapshots(), p.Texts(p.Context), p.Texts(1))
	}
	m, err := trit.Open(path, trit.MaxMemory(p.Least()))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	cache := inside.Of(m).Scheduler.Engine().Cache()
	if got := cache.Config().MaxPages * p.PageTokens; got != p.Context+p.StateTokens || cache.StateStats().Bytes != p.State {
		t.Errorf("the KV cache has room for %d tokens and states of %d bytes; the plan is %+v", got, cache.StateStats().Bytes, p)
	}
	var e *trit.MemoryError
	if err := p.Fit(p.Least() - 1); !errors.As(err, &e) || e.Context != p.Context-p.PageTokens {
		t.Errorf("error: %v", err)
	}
	if _, err := trit.Open(path, trit.KVTokens(p.StateTokens)); err == nil || !strings.Contains(err.Error(), "option kv_tokens") {
		t.Errorf("room for nothing but a state: %v", err)
	}
}

// TestPlanOfCopies checks that the copies by rows and columns are planned, and given up
// before anything else.
func TestPlanOfCopies(t *testing.T) {
	without, err := trit.Plan("demo", trit.Skip(trit.SkipOff))
	if err != nil {
		t.Fatal(err)
	}
	with, err := trit.Plan("demo", trit.Skip(trit.SkipOn))
	if err != nil {
		t.Fatal(err)
	}
	weights := inside.Of(openDemo(t, trit.Skip(trit.SkipOn))).Weights
	if got, want := with.Copies, weights.LineBytes; got < want || got > want*14/10 || want == 0 || without.Copies != 0 {
		t.Errorf("copies of %d bytes, the plans say %d and %d", want, got, without.Copies)
	}
	if with.Total()-without.Total() < with.Copies || !strings.Contains(with.String(), "copies "+trit.Bytes(with.Copies).String()) {
		t.Errorf("%v, without copies %v", with, without)
	}
	// Who insists on them has them, and less of a KV cache.
	tight := *with
	if err := tight.Fit(with.Total() - 1); err != nil || tight.Copies != with.Copies || tight.KVTokens >= with.KVTokens {
		t.Errorf("%v, %v", &tight, err)
	}
	if weights := inside.Of(openDemo(t, trit.Skip(trit.SkipOn), trit.MaxMemory(with.Total()-1))).Weights; weights.LineBytes == 0 {
		t.Error("no copies, although they were insisted on")
	}
}

// TestCopiesAreGivenUpFirst opens a model with matrices that are large enough for copies
// with and without room for these.
func TestCopiesAreGivenUpFirst(t *testing.T) {
	if _, pays := kernel.LinesPay(ternary.T2); !pays {
		t.Skip("copies by rows and columns do not pay with these kernels")
	}
	shape, err := synth.LookupShape("tiny")
	if err != nil {
		t.Fatal(err)
	}
	shape.FFN = 4608
	g, err := synth.New(shape, synth.Options{})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "model.gguf")
	if err := g.WriteFile(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	p, err := trit.Plan(path)
	if err != nil || p.Copies == 0 {
		t.Fatalf("%v, %v", p, err)
	}
	for _, room := range []int64{p.Total(), p.Total() - 1, p.Least()} {
		fitted := *p
		if err := fitted.Fit(room); err != nil {
			t.Fatal(err)
		}
		if room < p.Total() && room >= p.Total()-p.Copies && (fitted.Copies != 0 || fitted.KVTokens != p.KVTokens) {
			t.Errorf("for %d bytes: %v", room, &fitted)
		}
		m, err := trit.Open(path, trit.MaxMemory(room), trit.TuningFile("", nil))
		if err != nil {
			t.Fatal(err)
		}
		// The plan is for the larger layout. In the one that was faster just now copies are
		// smaller, or do not pay.
		pays := true
		weights := inside.Of(m).Weights
		weights.Projections(func(name string, p *model.Projection) {
			if strings.Contains(name, "ffn_up") {
				_, pays = kernel.LinesPay(p.Matrix.Layout)
			}
		})
		if got := weights.LineBytes; (got > 0) != (pays && fitted.Copies > 0) || got > fitted.Copies {
			t.Errorf("with %d bytes the copies are %d bytes, planned were %d", room, got, fitted.Copies)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
