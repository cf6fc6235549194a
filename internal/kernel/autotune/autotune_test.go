package autotune

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"trit/internal/kernel"
	"trit/internal/ternary"
)

// fakeTuner returns a tuner whose measurements come from f, and their count.
func fakeTuner(path string, warn func(error), bandwidth float64, f func(Shape, ternary.Layout, kernel.Variant) time.Duration) (*Tuner, *int) {
	n, t := new(int), New(path, warn)
	t.measure = func(s Shape, l ternary.Layout, v kernel.Variant) time.Duration {
		*n++
		return f(s, l, v)
	}
	t.bandwidth = func() float64 { return bandwidth }
	return t, n
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
	fast, _ := fakeTuner("", nil, 1e15, simdT2)
	if got, want := fast.best(shape, ternary.Layouts()), (Choice{fastest, ternary.T2}); got != want {
		t.Errorf("with fast memory: %+v, want %+v", got, want)
	}
	slow, _ := fakeTuner("", nil, 1e10, simdT2)
	if got, want := slow.best(shape, ternary.Layouts()), (Choice{fastest, ternary.T5}); got != want {
		t.Errorf("with slow memory: %+v, want %+v", got, want)
	}
	shape.GroupCols = 128
	if got := slow.best(shape, ternary.Layouts()); got.Layout != ternary.T2 {
		t.Errorf("with column groups: %+v", got)
	}
	basic, _ := fakeTuner("", nil, 1e15, func(_ Shape, _ ternary.Layout, v kernel.Variant) time.Duration { return time.Duration(1 + v) })
	if got := basic.best(shape, ternary.Layouts()); got.Variant != kernel.Basic {
		t.Errorf("with a fast Basic: %+v", got)
	}
}

func TestBestRemembers(t *testing.T) {
	tune, n := fakeTuner("", nil, 1e10, simdT2)
	tune.best(Shape{100, 200, 1, 0}, ternary.Layouts())
	first := *n
	if first == 0 {
		t.Fatal("nothing was measured")
	}
	tune.best(Shape{300, 200, 1, 0}, ternary.Layouts())
	if *n != first {
		t.Error("another number of rows was measured again")
	}
	tune.best(Shape{100, 200, 3, 0}, ternary.Layouts())
	second := *n
	if second == first {
		t.Error("another class of token counts was not measured")
	}
	tune.best(Shape{100, 200, 2, 0}, ternary.Layouts())
	if *n != second {
		t.Error("the same class of token counts was measured again")
	}
}

func TestCacheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "kernels.json")
	warn := func(err error) { t.Errorf("warning: %v", err) }
	first, n := fakeTuner(path, warn, 1e10, simdT2)
	shape := Shape{100, 200, 1, 0}
	want := first.best(shape, ternary.Layouts())
	if *n == 0 {
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
	file.Machines["another"] = cacheMachine{ReadBytesPerSecond: 5}
	if data, err = json.Marshal(file); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}

	second, n := fakeTuner(path, warn, 1e15, simdT2)
	if got := second.best(shape, ternary.Layouts()); got != want || *n != 0 {
		t.Errorf("from the file: %+v after %d measurements, want %+v after none", got, *n, want)
	}
	second.best(Shape{100, 300, 1, 0}, ternary.Layouts())
	if file, err = readCache(path); err != nil {
		t.Fatal(err)
	}
	if file.Machines["another"].ReadBytesPerSecond != 5 {
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
		"very large": strings.Repeat(" ", cacheLimit+1),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "kernels.json")
			if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
			var warnings []error
			tune, n := fakeTuner(path, func(err error) { warnings = append(warnings, err) }, 1e10, simdT2)
			tune.best(Shape{100, 200, 1, 0}, ternary.Layouts())
			if *n == 0 {
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
	tune, _ := fakeTuner(filepath.Join(blocker, "kernels.json"), func(err error) { warnings = append(warnings, err) }, 1e10, simdT2)
	tune.best(Shape{100, 200, 1, 0}, ternary.Layouts())
	if len(warnings) == 0 || !errors.Is(warnings[0], ErrCache) {
		t.Errorf("warnings %v", warnings)
	}
}

func FuzzCacheFile(f *testing.F) {
	f.Add([]byte(`{"format":"` + cacheFormat + `","machines":{"a":{"read_bytes_per_second":1e9,"products":[{"cols":1,"tokens":1,"layout":"t2","variant":"simd","seconds":1e-6}]}}}`))
	f.Add([]byte(`{"format":"` + cacheFormat + `"}`))
	f.Add([]byte(`{"format":"` + cacheFormat + `","machines":{"a":{"products":[{"cols":1,"tokens":1,"layout":"g2","variant":"simd","seconds":1e-6}]}}}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := parseCache(data)
		if err != nil {
			return
		}
		for _, machine := range file.Machines {
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
	start := time.Now()
	first := tune.Best(Shape{Rows: 2560, Cols: 2560, Tokens: 1})
	t.Logf("%+v after %v", first, time.Since(start))
	start = time.Now()
	if again := tune.Best(Shape{Rows: 2560, Cols: 2560, Tokens: 1}); again != first {
		t.Errorf("%+v, then %+v", first, again)
	}
	if d := time.Since(start); d > 50*time.Millisecond {
		t.Errorf("the remembered answer took %v", d)
	}
	t.Logf("for 256 tokens: %v", tune.BestVariant(Shape{2560, 2560, 256, 0}, first.Layout))
	t.Logf("with groups: %+v", tune.Best(Shape{2560, 2560, 1, 128}))
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func BenchmarkBest(b *testing.B) {
	for b.Loop() {
		tune := New("", nil)
		tune.bandwidth = func() float64 { return 1e10 }
		tune.best(Shape{2560, 2560, 1, 0}, ternary.Layouts())
	}
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
		tuner, n := fakeTuner(path, nil, bandwidth, slowBase3)
		if got := tuner.BestGrouped(shape); got != want || *n != 2 {
			t.Errorf("%g bytes/s: %v after %d measurements, want %v after 2", bandwidth, got, *n, want)
		}
		again, n := fakeTuner(path, nil, bandwidth, slowBase3)
		if got := again.BestGrouped(shape); got != want || *n != 0 {
			t.Errorf("%g bytes/s, from the file: %v after %d measurements", bandwidth, got, *n)
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
