package autotune

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"trit/internal/kernel"
	"trit/internal/parallel"
	"trit/internal/ternary"
)

// fake is a tuner whose measurements are given: rate is what two workers read, each half
// of it.
type fake struct {
	*Tuner
	measured, read int // how often
	rate           float64
	clock          time.Time
}

func fakeTuner(path string, warn func(error), perWorker float64, f func(Shape, ternary.Layout, kernel.Variant) time.Duration) *fake {
	t := &fake{Tuner: New(path, warn), rate: 2 * perWorker, clock: time.Date(2026, 11, 30, 9, 0, 0, 0, time.UTC)}
	t.Arithmetic = func(s Shape, l ternary.Layout, v kernel.Variant) time.Duration {
		t.measured++
		return f(s, l, v)
	}
	t.ReadRate = func(team *parallel.Team) float64 {
		t.read++
		return t.rate / 2 * float64(team.Size())
	}
	t.now = func() time.Time { return t.clock }
	return t
}

// team returns a team, by size.
func team(tb testing.TB, size int) *parallel.Team {
	tb.Helper()
	team, err := parallel.NewTeam(size)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(team.Close)
	return team
}

// best chooses for a model that two workers compute.
func (t *fake) best(tb testing.TB, s Shape, has ...ternary.Layout) Choice {
	tb.Helper()
	return t.For(team(tb, 2)).Best(s, has...)
}

// simdT2 makes SIMD with T2 the fastest arithmetic, T5 a little slower.
func simdT2(_ Shape, l ternary.Layout, v kernel.Variant) time.Duration {
	d := 1000 * time.Nanosecond
	if v == kernel.Variants()[len(kernel.Variants())-1] {
		d = 100
	}
	if l == ternary.T5 {
		d += d / 5
	}
	return d
}

func TestBestByArithmeticOrMemory(t *testing.T) {
	fastest := kernel.Variants()[len(kernel.Variants())-1]
	shape := Shape{Rows: 2560, Cols: 2560, Tokens: 1}
	fast := fakeTuner("", nil, 1e15, simdT2)
	if got, want := fast.best(t, shape), (Choice{fastest, ternary.T2}); got != want {
		t.Errorf("with fast memory: %+v, want %+v", got, want)
	}
	slow := fakeTuner("", nil, 1e10, simdT2)
	if got, want := slow.best(t, shape), (Choice{fastest, ternary.T5}); got != want {
		t.Errorf("with slow memory: %+v, want %+v", got, want)
	}
	shape.GroupCols = 128
	if got := slow.best(t, shape); got.Layout != ternary.T2 {
		t.Errorf("with column groups: %+v", got)
	}
	basic := fakeTuner("", nil, 1e15, func(_ Shape, _ ternary.Layout, v kernel.Variant) time.Duration { return time.Duration(1 + v) })
	if got := basic.best(t, shape); got.Variant != kernel.Basic {
		t.Errorf("with a fast Basic: %+v", got)
	}
}

func TestBestRemembers(t *testing.T) {
	tune := fakeTuner("", nil, 1e10, simdT2)
	tune.best(t, Shape{100, 200, 1, 0})
	first := tune.measured
	if first == 0 {
		t.Fatal("nothing was measured")
	}
	tune.best(t, Shape{300, 200, 1, 0})
	if tune.measured != first {
		t.Error("another number of rows was measured again")
	}
	tune.best(t, Shape{100, 200, 3, 0})
	second := tune.measured
	if second == first {
		t.Error("another class of token counts was not measured")
	}
	tune.best(t, Shape{100, 200, 2, 0})
	if tune.measured != second {
		t.Error("the same class of token counts was measured again")
	}
}

func TestCacheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "kernels.json")
	warn := func(err error) { t.Errorf("warning: %v", err) }
	first := fakeTuner(path, warn, 1e10, simdT2)
	shape := Shape{100, 200, 1, 0}
	want := first.best(t, shape)
	if first.measured == 0 {
		t.Fatal("nothing was measured")
	}

	// Another machine's measurements survive.
	var file cacheFile
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	file.Machines["another"] = cacheMachine{Reads: []cacheRead{{Workers: 3, BytesPerSecond: 5}}}
	if data, err = json.Marshal(file); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}

	second := fakeTuner(path, warn, 1e10, simdT2)
	if got := second.best(t, shape); got != want || second.measured != 0 {
		t.Errorf("from the file: %+v after %d measurements, want %+v after none", got, second.measured, want)
	}
	second.best(t, Shape{100, 300, 1, 0})
	if file, err = readCache(path); err != nil {
		t.Fatal(err)
	}
	if reads := file.Machines["another"].Reads; len(reads) != 1 || reads[0].BytesPerSecond != 5 {
		t.Error("another machine's measurements are lost")
	}
	if got := len(file.Machines[machineKey()].Products); got != 4*len(kernel.Variants()) {
		t.Errorf("%d products in the file, want %d", got, 4*len(kernel.Variants()))
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*.tmp"))
	if err != nil || len(left) != 0 {
		t.Errorf("temporary files %v, %v", left, err)
	}
}

func TestCacheFileUnusable(t *testing.T) {
	key, err := json.Marshal(machineKey())
	if err != nil {
		t.Fatal(err)
	}
	product := func(s string) string {
		return `{"format":"` + cacheFormat + `","machines":{` + string(key) + `:{"products":[` + s + `]}}}`
	}
	for name, content := range map[string]string{
		"empty":      "",
		"truncated":  `{"format":"` + cacheFormat + `","mach`,
		"foreign":    `{"name":"something else"}`,
		"an array":   `[1,2,3]`,
		"layout":     product(`{"cols":1,"tokens":1,"layout":"t9","variant":"simd","seconds":1}`),
		"variant":    product(`{"cols":1,"tokens":1,"layout":"t2","variant":"warp","seconds":1}`),
		"seconds":    product(`{"cols":1,"tokens":1,"layout":"t2","variant":"simd","seconds":0}`),
		"columns":    product(`{"cols":-1,"tokens":1,"layout":"t2","variant":"simd","seconds":1}`),
		"workers":    `{"format":"` + cacheFormat + `","machines":{` + string(key) + `:{"reads":[{"workers":0,"bytes_per_second":1}]}}}`,
		"rate":       `{"format":"` + cacheFormat + `","machines":{` + string(key) + `:{"reads":[{"workers":1,"bytes_per_second":0}]}}}`,
		"very large": strings.Repeat(" ", cacheLimit+1),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "kernels.json")
			if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
			var warnings []error
			tune := fakeTuner(path, func(err error) { warnings = append(warnings, err) }, 1e10, simdT2)
			tune.best(t, Shape{100, 200, 1, 0})
			if tune.measured == 0 {
				t.Error("nothing was measured")
			}
			if len(warnings) != 1 || !errors.Is(warnings[0], ErrCache) || !strings.Contains(warnings[0].Error(), path) {
				t.Errorf("warnings %v", warnings)
			}
			if after, err := os.ReadFile(path); err != nil || string(after) != content {
				t.Errorf("the file was changed (%v)", err)
			}
		})
	}
}

func TestCacheFileUnwritable(t *testing.T) {
	// A file where a directory is needed stops even the superuser.
	blocker := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocker, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	var warnings []error
	tune := fakeTuner(filepath.Join(blocker, "kernels.json"), func(err error) { warnings = append(warnings, err) }, 1e10, simdT2)
	tune.best(t, Shape{100, 200, 1, 0})
	if len(warnings) == 0 || !errors.Is(warnings[0], ErrCache) {
		t.Errorf("warnings %v", warnings)
	}
}

func FuzzCacheFile(f *testing.F) {
	f.Add([]byte(`{"format":"` + cacheFormat + `","machines":{"a":{"reads":[{"workers":2,"bytes_per_second":1e9}],"products":[{"cols":1,"tokens":1,"layout":"t2","variant":"simd","seconds":1e-6}]}}}`))
	f.Add([]byte(`{"format":"` + cacheFormat + `"}`))
	f.Add([]byte(`{"format":"` + cacheFormat + `","machines":{"a":{"products":[{"cols":1,"tokens":1,"layout":"g2","variant":"simd","seconds":1e-6}]}}}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := parseCache(data)
		if err != nil {
			return
		}
		for _, machine := range file.Machines {
			if reads, err := machine.readings(); err == nil {
				for n, r := range reads {
					if n < 1 || r.Workers != n || !(r.Rate > 0) {
						t.Fatalf("accepted %+v for %d workers", r, n)
					}
				}
			}
			times, err := machine.times()
			if err != nil {
				continue
			}
			for key, seconds := range times {
				if key.cols < 1 || key.tokens < 1 || key.layout > ternary.G1 || key.variant > kernel.SIMD || !(seconds > 0) {
					t.Fatalf("accepted %+v: %v", key, seconds)
				}
			}
		}
	})
}

func TestBestMeasures(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kernels.json")
	tune := New(path, func(err error) { t.Errorf("warning: %v", err) })
	rate := 0.0
	tune.ReadRate = func(team *parallel.Team) float64 {
		if rate == 0 { // what it is next may differ on a busy machine
			start := time.Now()
			rate = measureReading(team)
			t.Logf("%.1f GB/s after %v", rate/1e9, time.Since(start))
		}
		return rate
	}
	start := time.Now()
	choices := tune.For(team(t, 2))
	first := choices.Best(Shape{Rows: 2560, Cols: 2560, Tokens: 1})
	t.Logf("%+v after %v", first, time.Since(start))
	if r := choices.Reading(); !(r.Rate > 1e8 && r.Rate < 1e13) || r.Now != r.Rate || r.Workers != 2 || time.Since(r.Measured) > time.Minute {
		t.Errorf("reading %+v", r)
	}
	start = time.Now()
	if again := tune.For(team(t, 2)).Best(Shape{Rows: 2560, Cols: 2560, Tokens: 1}); again != first {
		t.Errorf("%+v, then %+v", first, again)
	}
	if d := time.Since(start); d > 50*time.Millisecond {
		t.Errorf("the remembered answer took %v", d)
	}
	t.Logf("for 256 tokens: %v", choices.BestVariant(Shape{2560, 2560, 256, 0}, first.Layout))
	t.Logf("with groups: %+v", choices.Best(Shape{2560, 2560, 1, 128}))
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func BenchmarkBest(b *testing.B) {
	two := team(b, 2)
	for b.Loop() {
		tune := New("", nil)
		tune.ReadRate = func(*parallel.Team) float64 { return 1e10 }
		tune.For(two).Best(Shape{2560, 2560, 1, 0})
	}
}

// BenchmarkReading is what each load of a model with large matrices takes for it.
func BenchmarkReading(b *testing.B) {
	two, rates := team(b, 2), []float64{}
	for b.Loop() {
		rates = append(rates, measureReading(two)/1e9)
	}
	slices.Sort(rates)
	b.ReportMetric(rates[len(rates)/2], "GB/s")
	b.ReportMetric(rates[0], "GB/s-least")
	b.ReportMetric(rates[len(rates)-1], "GB/s-most")
}

// TestBestGrouped: base 3 where memory is the bound, two bits where its arithmetic is.
func TestBestGrouped(t *testing.T) {
	slowBase3 := func(_ Shape, l ternary.Layout, v kernel.Variant) time.Duration {
		if v != kernel.Auto {
			t.Errorf("measured variant %v", v)
		}
		if l == ternary.G5 {
			return 1200
		}
		return 1000
	}
	shape := Shape{Rows: 2560, Cols: 2560, Tokens: 1}
	path := filepath.Join(t.TempDir(), "kernels.json")
	for bandwidth, want := range map[float64]ternary.Layout{1e15: ternary.G2, 1e9: ternary.G5} {
		tuner := fakeTuner(path, nil, bandwidth, slowBase3)
		if got := tuner.For(team(t, 2)).BestGrouped(shape); got != want || tuner.measured != 2 {
			t.Errorf("%g bytes/s: %v after %d measurements, want %v after 2", bandwidth, got, tuner.measured, want)
		}
		again := fakeTuner(path, nil, bandwidth, slowBase3)
		if got := again.For(team(t, 2)).BestGrouped(shape); got != want || again.measured != 0 {
			t.Errorf("%g bytes/s, from the file: %v after %d measurements", bandwidth, got, again.measured)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range []ternary.Layout{ternary.G2, ternary.G5} {
		if d := measureProduct(shape, l, kernel.Auto); d <= 0 {
			t.Errorf("%v takes %v", l, d)
		}
	}
}
