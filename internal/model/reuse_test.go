package model_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"trit/gguf"
	"trit/internal/kernel"
	"trit/internal/kernel/autotune"
	"trit/internal/model"
	"trit/internal/model/synth"
	"trit/internal/model/synth/synthtest"
	"trit/internal/parallel"
	"trit/internal/repacked"
	"trit/internal/ternary"
)

// weightsOf are all that the projections of a model multiply with.
func weightsOf(m *model.Model) map[string][]byte {
	all := map[string][]byte{}
	m.Projections(func(name string, p *model.Projection) {
		data := slices.Clone(p.Matrix.Data)
		for r := range p.Matrix.Rows {
			data = append(data, byte(p.Matrix.Layout), byte(int(1e4*p.Matrix.ScaleAt(r, p.Matrix.Cols-1))))
		}
		all[name] = data
	})
	if m.Head != nil {
		all["head"] = m.Head.Data
	}
	return all
}

// A model of kept weights is the one that was repacked; what was kept of another file, or
// is damaged, is not used.
func TestKeptWeights(t *testing.T) {
	for shape, typ := range map[string]gguf.Type{"tiny": gguf.TypeI2S, "tiny-llama": gguf.TypeTQ1_0, "tiny-qwen35": gguf.TypePTQ1_0, "tiny-maple": gguf.TypeTQ2_0} {
		t.Run(shape, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "model.gguf")
			write := func(seed uint64) {
				data := synthtest.Bytes(t, synthtest.Shape(t, shape), synth.Options{Type: typ, Seed: seed})
				if err := os.WriteFile(path, data, 0o666); err != nil {
					t.Fatal(err)
				}
			}
			write(1)
			cache := &repacked.Cache{Dir: filepath.Join(t.TempDir(), "kept"), Limit: 1 << 30}
			var warned []error
			// load returns the weights, and whether they had to be written.
			load := func(c *repacked.Cache) (map[string][]byte, bool) {
				f, err := gguf.Open(path)
				if err != nil {
					t.Fatal(err)
				}
				m, err := model.Load(f, model.LoadOptions{Repacked: c, Warn: func(err error) { warned = append(warned, err) }})
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close()
				weights := weightsOf(m)
				if c == nil {
					return weights, false
				}
				stop, cancel := context.WithCancel(context.Background())
				cancel()
				fresh := m.KeepRepacked(stop) != nil // writing is refused only if there is something to write
				if !fresh {
					return weights, false
				}
				f2, err := gguf.Open(path)
				if err != nil {
					t.Fatal(err)
				}
				m2, err := model.Load(f2, model.LoadOptions{Repacked: c})
				if err != nil {
					t.Fatal(err)
				}
				defer m2.Close()
				if err := m2.KeepRepacked(context.Background()); err != nil {
					t.Fatal(err)
				}
				return weights, true
			}
			same := func(what string, got, want map[string][]byte) {
				t.Helper()
				if len(got) != len(want) || len(got) == 0 {
					t.Fatalf("%s: %d matrices, want %d", what, len(got), len(want))
				}
				for name := range want {
					if !bytes.Equal(got[name], want[name]) {
						t.Errorf("%s: %s differs", what, name)
					}
				}
			}
			want, _ := load(nil)
			first, fresh := load(cache)
			if !fresh {
				t.Fatal("the first load writes nothing")
			}
			same("first", first, want)
			second, fresh := load(cache)
			if fresh {
				t.Error("the second load repacks")
			}
			same("second", second, want)

			files, err := os.ReadDir(cache.Dir)
			if err != nil || len(files) != 1 {
				t.Fatal(files, err)
			}
			file := filepath.Join(cache.Dir, files[0].Name())
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			data[0] ^= 0x40
			if err := os.WriteFile(file, data, 0o666); err != nil {
				t.Fatal(err)
			}
			warned = nil
			damaged, fresh := load(cache)
			if !fresh || len(warned) == 0 || !errors.Is(warned[0], repacked.ErrDamaged) {
				t.Errorf("damage: written again: %v, warned: %v", fresh, warned)
			}
			same("damaged", damaged, want)

			write(2)
			want, _ = load(nil)
			other, fresh := load(cache)
			if !fresh {
				t.Error("another file is taken for the first")
			}
			same("another file", other, want)
		})
	}
}

// Weights that are kept in one layout are not repacked into another because memory has
// become a little faster, but are if it saves more than a tenth of the time.
func TestKeptLayout(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.gguf")
	shape := synthtest.Shape(t, "tiny")
	shape.FFN = 1 << 20 / shape.Hidden // large enough to be measured
	data := synthtest.Bytes(t, shape, synth.Options{Type: gguf.TypeI2S})
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
	cache := &repacked.Cache{Dir: filepath.Join(t.TempDir(), "kept"), Limit: 1 << 30}
	// Nanoseconds per panel: base 3 takes half as long again to compute, and four fifths to
	// read.
	arithmetic := func(s autotune.Shape, l ternary.Layout, v kernel.Variant) time.Duration {
		switch {
		case v != kernel.Variants()[len(kernel.Variants())-1]:
			return time.Second
		case l == ternary.T5:
			return time.Duration(3 * s.Cols)
		}
		return time.Duration(2 * s.Cols)
	}
	for i, step := range []struct {
		rate   float64 // bytes per nanosecond
		want   ternary.Layout
		writes bool
	}{
		{1, ternary.T5, true}, // the first time
		{1, ternary.T5, false},
		{1.35, ternary.T5, false}, // 4 % less time in two bits
		{9, ternary.T2, true},     // 30 % less
		{9, ternary.T2, false},
		{1.2, ternary.T2, false},
		{0.5, ternary.T5, true},
	} {
		f, err := gguf.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		tuner := autotune.New("", nil)
		tuner.Arithmetic, tuner.ReadRate = arithmetic, func(*parallel.Team) float64 { return step.rate * 1e9 }
		m, err := model.Load(f, model.LoadOptions{Repacked: cache, Tuner: tuner})
		if err != nil {
			t.Fatal(err)
		}
		large := 0
		m.Projections(func(name string, p *model.Projection) {
			if p.Matrix.Rows*p.Matrix.Cols < 1<<20 {
				return
			}
			if large++; p.Matrix.Layout != step.want {
				t.Errorf("step %d: %s is in %v, want %v", i, name, p.Matrix.Layout, step.want)
			}
		})
		if large == 0 || m.Read.Rate != step.rate*1e9 {
			t.Fatalf("%d large matrices, chosen by %+v", large, m.Read)
		}
		stop, cancel := context.WithCancel(context.Background())
		cancel()
		if writes := m.KeepRepacked(stop) != nil; writes != step.writes {
			t.Errorf("step %d: repacked %v, want %v", i, writes, step.writes)
		} else if writes {
			if m, err = model.Load(f, model.LoadOptions{Repacked: cache, Tuner: tuner}); err != nil {
				t.Fatal(err)
			}
			if err := m.KeepRepacked(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
