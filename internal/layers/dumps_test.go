package layers

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	_ "trit/demo"
	"trit/hub"
	"trit/internal/engine"
	"trit/internal/fixtures"
	"trit/internal/kernel"
	"trit/internal/model"
	_ "trit/internal/model/arch"
)

// TestGoldenDumps compares traces of the golden models with the stages of the
// reference, and then of models with a mistake.
func TestGoldenDumps(t *testing.T) {
	dir := t.TempDir()
	tokens := []int32{1, 17, 300, 45, 45, 9, 222, 511, 3, 120, 77, 64, 401, 5, 17, 300}
	for _, name := range []string{"a", "c", "d"} {
		dump := fixtures.Path(t, "golden", name+".stages.json")
		for _, kv := range []kernel.KVType{kernel.KVF32, kernel.KVF16} {
			s := layerSession(t, fixtures.Path(t, "golden", name+".i2_s.gguf"), model.LoadOptions{}, engine.Options{KVType: kv})
			path := filepath.Join(dir, "trace.json")
			got := trace(t, s, tokens, TraceOptions{})
			got.save(t, path)
			for _, order := range [][2]string{{path, dump}, {dump, path}} {
				c, err := compareFiles(t, order[0], order[1], CompareOptions{})
				if err != nil {
					t.Fatal(err)
				}
				if !c.Agree {
					t.Errorf("%s, KV %v:\n%v", name, kv, c)
				}
			}
			if _, err := compareFiles(t, path, dump, CompareOptions{Tolerance: 1e-9}); err != nil {
				t.Error(err)
			}
			other := trace(t, s, tokens[1:], TraceOptions{})
			other.save(t, path)
			if _, err := compareFiles(t, path, dump, CompareOptions{}); !errors.Is(err, ErrNotComparable) {
				t.Errorf("other tokens: %v", err)
			}
		}
		wrong := layerSession(t, fixtures.Path(t, "golden", name+".i2_s.gguf"), model.LoadOptions{HiddenAct: map[string]model.HiddenAct{"a": model.ReLU2, "c": model.ReLU2, "d": model.SiLU}[name]}, engine.Options{KVType: kernel.KVF32})
		path := filepath.Join(dir, "wrong.json")
		trace(t, wrong, tokens, TraceOptions{Tokens: []int{0, -1}}).save(t, path)
		c, err := compareFiles(t, path, dump, CompareOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if c.Agree || c.Parting.Stage != "0.gated" {
			t.Errorf("%s with the wrong activation function:\n%v", name, c)
		}
	}
}

// dumpOf writes a trace's full values as a dump; it is an observer.
type dumpOf struct {
	list   []dumpedStage
	values []byte
}

func (d *dumpOf) Stage(layer int, name string, rows, width int, data []float32) {
	d.list = append(d.list, dumpedStage{model.StageName(layer, name), int64(len(d.values) / 4), int64(width)})
	for _, x := range data {
		d.values = binary.LittleEndian.AppendUint32(d.values, math.Float32bits(x))
	}
}

func (d *dumpOf) save(t testing.TB, dir, name string) string {
	t.Helper()
	text, err := json.Marshal(d.list)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name+".stages.json")
	if err := errors.Join(os.WriteFile(path, text, 0o600), os.WriteFile(filepath.Join(dir, name+".stages.f32"), d.values, 0o600)); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestDumps makes a dump of the demo and breaks it.
func TestDumps(t *testing.T) {
	dir := t.TempDir()
	s := layerSession(t, hub.Demo, model.LoadOptions{}, engine.Options{})
	path := filepath.Join(dir, "trace.json")
	trace(t, s, layerTokens, TraceOptions{Tokens: []int{0, 5, -1}}).save(t, path)
	good := &dumpOf{}
	if err := s.Observe(context.Background(), layerTokens, engine.Hidden, 0, good); err != nil {
		t.Fatal(err)
	}
	dump := good.save(t, dir, "good")
	for _, pair := range [][2]string{{path, dump}, {dump, path}, {dump, dump}} {
		c, err := compareFiles(t, pair[0], pair[1], CompareOptions{})
		if err != nil || !c.Agree {
			t.Fatalf("%v: %v\n%v", pair, err, c)
		}
	}

	if err := os.WriteFile(filepath.Join(dir, "manifest.json"), []byte(`{"tokens": [2045, 447, 600, 260, 499, 11, 300, 7, 90, 1201]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := compareFiles(t, path, dump, CompareOptions{}); !errors.Is(err, ErrNotComparable) || !strings.Contains(err.Error(), "1201") {
		t.Errorf("other tokens in the manifest: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "manifest.json")); err != nil {
		t.Fatal(err)
	}

	noise := &dumpOf{list: good.list, values: slices.Clone(good.values)}
	at := good.list[20] // beyond the first layer
	for i := range int(at.Width) {
		k := 4 * (int(at.Offset) + 5*int(at.Width) + i)
		x := math.Float32frombits(binary.LittleEndian.Uint32(noise.values[k:]))
		binary.LittleEndian.PutUint32(noise.values[k:], math.Float32bits(1.5*x))
	}
	c, err := compareFiles(t, path, noise.save(t, dir, "noise"), CompareOptions{})
	if err != nil || c.Agree || c.Parting.Stage != at.Stage || c.Parting.Token != 5 || !strings.Contains(c.Parting.Reading, "B is 1.5 times A") {
		t.Errorf("%v: %v", err, c)
	}
	c, err = compareFiles(t, noise.save(t, dir, "noise"), path, CompareOptions{})
	if err != nil || c.Agree || c.Parting.Stage != at.Stage || !strings.Contains(c.Parting.Reading, "B is 0.6667 times A") {
		t.Errorf("%v: %v", err, c)
	}

	less := &dumpOf{list: slices.Delete(slices.Clone(good.list), 7, 8), values: good.values}
	for _, name := range []string{"missing", "extra"} {
		list := slices.Clone(good.list)
		if name == "missing" {
			list[7].Stage = "0.unheard_of"
		} else {
			list = append(list, dumpedStage{"6.attn_norm", 0, 256})
			list[len(list)-1].Stage = "out.unheard_of"
		}
		d := &dumpOf{list: list, values: good.values}
		if name == "extra" {
			d.values = append(slices.Clone(good.values), make([]byte, 4*256*len(layerTokens))...)
		}
		c, err := compareFiles(t, path, d.save(t, dir, name), CompareOptions{})
		if err != nil || c.Agree || c.Parting.Structure == "" {
			t.Errorf("%s: %v: %v", name, err, c)
		}
	}
	for name, d := range map[string]*dumpOf{
		"rows":     less, // the values of all stages are no whole number of rows of these
		"empty":    {list: []dumpedStage{}},
		"negative": {list: []dumpedStage{{"0.v", -4, 8}}, values: make([]byte, 64)},
		"width":    {list: []dumpedStage{{"0.v", 0, 0}}, values: make([]byte, 64)},
		"huge":     {list: []dumpedStage{{"0.v", 0, math.MaxInt64}}, values: make([]byte, 64)},
		"beyond":   {list: []dumpedStage{{"0.v", 8, 8}}, values: make([]byte, 64)},
		"twice":    {list: []dumpedStage{{"0.v", 0, 4}, {"0.v", 0, 4}}, values: make([]byte, 64)},
		"name":     {list: []dumpedStage{{"", 0, 4}}, values: make([]byte, 64)},
	} {
		if _, err := compareFiles(t, path, d.save(t, dir, name), CompareOptions{}); !errors.Is(err, ErrFile) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.Remove(filepath.Join(dir, "good.stages.f32")); err != nil {
		t.Fatal(err)
	}
	if _, err := compareFiles(t, path, dump, CompareOptions{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no values: %v", err)
	}
}
