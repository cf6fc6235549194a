package layers

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"trit/internal/model"
)

// record makes a record of the given values.
func record(stage string, token int, x ...float32) *Record {
	r := &Record{}
	r.describe(stage, token, x, 8)
	return r
}

func TestDistance(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, test := range []struct {
		name string
		a, b []float32
		want float64
	}{
		{"the same", []float32{1, 2, 3}, []float32{1, 2, 3}, 0},
		{"zeros of either sign", []float32{0, 0}, []float32{0, float32(math.Copysign(0, -1))}, 0},
		{"twice", []float32{3, -4}, []float32{6, -8}, 0.5},
		{"the other sign", []float32{1, -1}, []float32{-1, 1}, 2},
		{"nothing", []float32{5, 5}, []float32{0, 0}, 1},
		{"a shift", []float32{10, 10, 10, 10}, []float32{10, 10, 10, 9}, 0.05},
		{"other shapes", []float32{1}, []float32{1, 1}, math.Inf(1)},
		{"NaN", []float32{1, 1}, []float32{1, nan}, math.Inf(1)},
		{"infinity", []float32{1, 1}, []float32{1, inf}, math.Inf(1)},
		{"NaN in both", []float32{1, nan}, []float32{1, nan}, 0},
		{"NaN elsewhere", []float32{1, nan}, []float32{nan, 1}, 0},
	} {
		a, b := record("0.v", 0, test.a...), record("0.v", 0, test.b...)
		if got := a.Distance(b); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
		if a.Distance(b) != b.Distance(a) {
			t.Errorf("%s: %v one way, %v the other", test.name, a.Distance(b), b.Distance(a))
		}
	}
	// What the samples miss shows in the statistics.
	x, y := make([]float32, 1000), make([]float32, 1000)
	for i := range x {
		x[i], y[i] = 1, 1
	}
	for i := 20; i < 140; i++ {
		y[i] = 3
	}
	if d := record("0.v", 0, x...).Distance(record("0.v", 0, y...)); d < 0.2 {
		t.Errorf("a change between the samples is only %v", d)
	}
}

// TestTolerance: the rule of Compare.
func TestTolerance(t *testing.T) {
	r := record("1.gate", 0, make([]float32, 256)...)
	norms := &Source{reader: &Reader{header: &Header{Origins: map[string]Origin{"gate": {Kind: model.OpKindNorm}}}}}
	at := func(c comparer) float64 { c.narrowest = 128; return c.tolerance(r) }
	for _, test := range []struct {
		name string
		c    comparer
		want float64
	}{
		{"same bits before", comparer{int8: true}, 1e-5},
		{"fixed", comparer{int8: true, fixed: 0.5, eps: 1}, 0.5},
		{"a first difference", comparer{int8: true, eps: 1e-9}, 1e-5 + 5*math.Sqrt(0.03*(1e-9+4*0.03/128))},
		{"more", comparer{int8: true, eps: 0.01}, 1e-5 + 5*math.Sqrt(0.03*(0.01+4*0.03/128))},
		{"the most", comparer{int8: true, eps: 1}, 0.25},
		{"float", comparer{eps: 1e-7}, 1e-5},
		{"float, more", comparer{eps: 1e-4}, 1e-3},
		{"float, the most", comparer{eps: 1}, 0.05},
		{"other KV cache, before attention", comparer{kvFloor: 0.002}, 1e-5},
		{"other KV cache", comparer{kvFloor: 0.002, attended: true}, 0.002},
		{"int8 and float", comparer{mixed: true}, 0.25},
		{"int8 and float, a norm of the same input", comparer{mixed: true, driver: norms}, 1e-5},
		{"int8 and float, a norm", comparer{mixed: true, driver: norms, eps: 1e-9}, 0.25},
	} {
		if got := at(test.c); math.Abs(got-test.want) > 1e-12 {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestReadDifference(t *testing.T) {
	nan := float32(math.NaN())
	for want, pair := range map[string][2][]float32{
		"2 times A":               {{1, 2, 3}, {2, 4, 6}},
		"-1 times A":              {{1, 2, 3}, {-1, -2, -3}},
		"in other places":         {{1, 2, 3, 9}, {3, 1, 9, 2}},
		"all zeros":               {{1, 2}, {0, 0}},
		"B has 1 NaN":             {{1, 2}, {nan, 2}},
		"A has 1 NaN":             {{1, nan}, {1, 2}},
		"A has 2 values, B has 1": {{1, 2}, {1}},
		"same size, but others":   {{1, 2, -3}, {1, -2, 3}},
		"times as large":          {{1, 2, -3}, {1, -9, 5}},
		"not the same number":     {{1, nan}, {nan, nan}},
	} {
		if got := readDifference(record("0.v", 0, pair[0]...), record("0.v", 0, pair[1]...)); !strings.Contains(got, want) {
			t.Errorf("%v: %q, want %q", pair, got, want)
		}
	}
}

// traceText is a small valid trace.
func traceText(t testing.TB) string {
	var out bytes.Buffer
	w := NewWriter(&out)
	h := &Header{Format: layerFormat, Version: layerVersion, Tokens: []int32{1}, Positions: []int{0}, Layers: []string{"0"}, Stages: []string{"v"}, Samples: 2}
	if err := errors.Join(w.Header(h), w.Stage(record("0.v", 0, 1, 2)), w.Lens(&LensRecord{Layer: "0"}), w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestLayerReaderErrors(t *testing.T) {
	good := traceText(t)
	read := func(text string) error {
		r, err := NewReader(strings.NewReader(text))
		for err == nil {
			_, err = r.Next()
		}
		return err
	}
	for i := range len(good) - 2 { // every beginning of it but the whole
		if err := read(good[:i]); !errors.Is(err, ErrFile) {
			t.Fatalf("the first %d bytes: %v", i, err)
		}
	}
	for _, edit := range [][2]string{
		{`"trit-layers"`, `"chrome"`}, {`"version": 1`, `"version": 2`}, {`"positions": [`, `"positions": [7,`}, {`"tokens": [`, `"tokens": [],"x":[`},
		{`"header"`, `"heading"`}, {`"stages": [`, `"stages": 3, "x": [`}, {`[2]`, `[2,2]`}, {`"shape":[2]`, `"shape":[-2]`}, {`"first":[1,2]`, `"first":["x"]`},
		{`"first":[1,2]`, `"first":7`}, {`"min":1`, `"min":"x"`}, {`"checksum":"`, `"checksum":"z`}, {`"lens": [`, `"stages": [], "lens": [`}, {`"lens": [`, `"lens": [5,`},
	} {
		broken := strings.Replace(good, edit[0], edit[1], 1)
		if broken == good {
			t.Fatalf("%q is not in the trace", edit[0])
		}
		if err := read(broken); !errors.Is(err, ErrFile) {
			t.Errorf("with %s: %v", edit[1], err)
		}
	}
	if err := NewWriter(&bytes.Buffer{}).Close(); !errors.Is(err, ErrFile) {
		t.Errorf("a writer without a header: %v", err)
	}
}

// FuzzLayerReader: bad input is an error, never a panic.
func FuzzLayerReader(f *testing.F) {
	good := traceText(f)
	f.Add([]byte(good))
	f.Add([]byte(good[:len(good)/2]))
	f.Add([]byte(`{"header":{"format":"trit-layers","version":1,"tokens":[1],"positions":[0]},"stages":[{"stage":"0.v","shape":[1],"min":null,"first":["NaN","+Inf"]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := NewReader(bytes.NewReader(data))
		for err == nil {
			var record *Record
			if record, err = r.Next(); err == nil && record.Distance(record) != 0 {
				t.Errorf("%+v is not itself", record)
			}
		}
		if !errors.Is(err, ErrFile) && err != io.EOF {
			t.Errorf("unexpected error: %v", err)
		}
	})
}

// FuzzDump: lists of stages that do not fit their values are errors.
func FuzzDump(f *testing.F) {
	f.Add([]byte(`[{"stage":"0.v","offset":0,"width":2},{"stage":"0.k_rope","offset":8,"width":2}]`), uint8(64))
	f.Add([]byte(`[{"stage":"0.v","offset":1,"width":2}]`), uint8(8))
	dir := f.TempDir()
	path, values := filepath.Join(dir, "x.stages.json"), filepath.Join(dir, "x.stages.f32")
	f.Fuzz(func(t *testing.T, list []byte, size uint8) {
		if err := errors.Join(os.WriteFile(path, list, 0o600), os.WriteFile(values, make([]byte, size), 0o600)); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		d, err := openDump(path, file)
		if err != nil {
			if !errors.Is(err, ErrFile) {
				t.Errorf("unexpected error: %v", err)
			}
			return
		}
		defer d.values.Close()
		for {
			if _, err := d.next(); err == io.EOF {
				return
			} else if err != nil {
				t.Fatal(err)
			}
		}
	})
}
