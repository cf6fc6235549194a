package kernel

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"trit/internal/ternary"
)

// fakeTuner returns a tuner whose measurements come from f, and their count.
func fakeTuner(bandwidth float64, f func(Shape, ternary.Layout, Variant) time.Duration) (*tuner, *int) {
	n := new(int)
	return &tuner{
		warn: func(error) {},
		measure: func(s Shape, l ternary.Layout, v Variant) time.Duration {
			*n++
			return f(s, l, v)
		},
		bandwidth: func() float64 { return bandwidth },
	}, n
}

// simdT2 makes SIMD with T2 the fastest arithmetic, T5 a little slower.
func simdT2(_ Shape, l ternary.Layout, v Variant) time.Duration {
	d := 1000 * time.Nanosecond
	if v == Variants()[len(Variants())-1] {
		d = 100
	}
	if l == ternary.T5 {
		d += d / 5
	}
	return d
}

func TestBestByArithmeticOrMemory(t *testing.T) {
	fastest := Variants()[len(Variants())-1]
	shape := Shape{Rows: 2560, Cols: 2560, Tokens: 1}
	fast, _ := fakeTuner(1e15, simdT2)
	if got, want := fast.best(shape, ternary.Layouts()), (Choice{fastest, ternary.T2}); got != want {
		t.Errorf("with fast memory: %+v, want %+v", got, want)
	}
	slow, _ := fakeTuner(1e10, simdT2)
	if got, want := slow.best(shape, ternary.Layouts()), (Choice{fastest, ternary.T5}); got != want {
		t.Errorf("with slow memory: %+v, want %+v", got, want)
	}
	shape.GroupCols = 128
	if got := slow.best(shape, ternary.Layouts()); got.Layout != ternary.T2 {
		t.Errorf("with column groups: %+v", got)
	}
	basic, _ := fakeTuner(1e15, func(_ Shape, _ ternary.Layout, v Variant) time.Duration { return time.Duration(1 + v) })
	if got := basic.best(shape, ternary.Layouts()); got.Variant != Basic {
		t.Errorf("with a fast Basic: %+v", got)
	}
}

func TestBestRemembers(t *testing.T) {
	tune, n := fakeTuner(1e10, simdT2)
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

func TestOverride(t *testing.T) {
	defer Override(Auto)
	for _, v := range []Variant{Basic, Blocked, LUT, SIMD} {
		Override(v)
		if got := BestVariant(Shape{64, 64, 1, 0}, ternary.T2); got != v {
			t.Errorf("override %v gives %v", v, got)
		}
	}
}

func TestOverrideFromEnv(t *testing.T) {
	for _, c := range []struct {
		trit, bitnet string
		want         Variant
		set, fails   bool
	}{
		{"", "", Auto, false, false},
		{"lut", "", LUT, true, false},
		{"", "basic", Basic, true, false},
		{"simd", "basic", SIMD, true, false},
		{"", "Blocked", Blocked, true, false},
		{"", "turbo", Auto, false, true},
		{"turbo", "lut", Auto, false, true},
	} {
		t.Setenv(KernelEnv, c.trit)
		t.Setenv(KernelEnvBitNet, c.bitnet)
		v, set, err := OverrideFromEnv()
		if v != c.want || set != c.set || errors.Is(err, ErrVariant) != c.fails {
			t.Errorf("%+v: %v, %v, %v", c, v, set, err)
		}
		if err != nil && !strings.Contains(err.Error(), "KERNEL") {
			t.Errorf("%+v: the error %q does not name the variable", c, err)
		}
	}
}

func TestCacheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "kernels.json")
	warn := func(err error) { t.Errorf("warning: %v", err) }
	first, n := fakeTuner(1e10, simdT2)
	first.setCacheFile(path, warn)
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

	second, n := fakeTuner(1e15, simdT2)
	second.setCacheFile(path, warn)
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
	if got := len(file.Machines[machineKey()].Products); got != 4*len(Variants()) {
		t.Errorf("%d products in the file, want %d", got, 4*len(Variants()))
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
			tune, n := fakeTuner(1e10, simdT2)
			tune.setCacheFile(path, func(err error) { warnings = append(warnings, err) })
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
	tune, _ := fakeTuner(1e10, simdT2)
	tune.setCacheFile(filepath.Join(blocker, "kernels.json"), func(err error) { warnings = append(warnings, err) })
	tune.best(Shape{100, 200, 1, 0}, ternary.Layouts())
	if len(warnings) == 0 || !errors.Is(warnings[0], ErrCache) {
		t.Errorf("warnings %v", warnings)
	}
}

func FuzzCacheFile(f *testing.F) {
	f.Add([]byte(`{"format":"` + cacheFormat + `","machines":{"a":{"read_bytes_per_second":1e9,"products":[{"cols":1,"tokens":1,"layout":"t2","variant":"simd","seconds":1e-6}]}}}`))
	f.Add([]byte(`{"format":"` + cacheFormat + `"}`))
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
				if key.cols < 1 || key.tokens < 1 || key.layout > ternary.T5 || key.variant > SIMD || !(seconds > 0) {
					t.Fatalf("accepted %+v: %v", key, seconds)
				}
			}
		}
	})
}

func TestBestMeasures(t *testing.T) {
	defer SetCacheFile("", nil)
	path := filepath.Join(t.TempDir(), "kernels.json")
	SetCacheFile(path, func(err error) { t.Errorf("warning: %v", err) })
	start := time.Now()
	first := Best(Shape{Rows: 2560, Cols: 2560, Tokens: 1})
	t.Logf("%+v after %v", first, time.Since(start))
	start = time.Now()
	if again := Best(Shape{Rows: 2560, Cols: 2560, Tokens: 1}); again != first {
		t.Errorf("%+v, then %+v", first, again)
	}
	if d := time.Since(start); d > 50*time.Millisecond {
		t.Errorf("the remembered answer took %v", d)
	}
	t.Logf("for 256 tokens: %v", BestVariant(Shape{2560, 2560, 256, 0}, first.Layout))
	t.Logf("with groups: %+v", Best(Shape{2560, 2560, 1, 128}))
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func TestCPUModel(t *testing.T) {
	if CPUModel() == "" {
		t.Error("no model")
	}
	t.Log(CPUModel())
	path := filepath.Join(t.TempDir(), "cpuinfo")
	for content, want := range map[string]string{
		"processor\t: 0\nmodel name\t: Some CPU\n":             "Some CPU",
		"processor: 0\nCPU implementer: 0x41\nCPU part: 0xd0c": "arm 0x41:0xd0c",
		"nothing": "",
	} {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := cpuInfoModel(path); got != want {
			t.Errorf("%q: %q, want %q", content, got, want)
		}
	}
}

func TestStreamRead(t *testing.T) {
	forEachLevel(t, measurePart, func(t *testing.T, _ *kernels) {
		buf := make([]byte, 2100)
		for i := range buf {
			buf[i] = byte(i*i + i>>3)
		}
		for n := range buf {
			var want [8]byte
			for i, b := range buf[:n] {
				want[i%8] ^= b
			}
			got := StreamRead(buf[:n])
			for i := range want {
				if byte(got>>(8*i)) != want[i] {
					t.Fatalf("%d bytes: %#x, want % x", n, got, want)
				}
			}
		}
		if n := Int8Peak(10); n <= 0 || Int8Peak(20) != 2*n || Int8Peak(0) != 0 || Int8Peak(-1) != 0 {
			t.Errorf("10 rounds are %d multiply-accumulates", n)
		}
	})
}

func BenchmarkBest(b *testing.B) {
	for b.Loop() {
		tune := tuner{measure: measureProduct, bandwidth: func() float64 { return 1e10 }}
		tune.best(Shape{2560, 2560, 1, 0}, ternary.Layouts())
	}
}
