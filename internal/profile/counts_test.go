package profile

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"trit/gguf"
	"trit/internal/engine"
	"trit/internal/kernel"
	"trit/internal/model"
	"trit/internal/model/synth"
	"trit/internal/model/synth/synthtest"
	"trit/internal/ternary"
)

// tinyModel loads a tiny synthetic model.
func tinyModel(t testing.TB, shape string, so synth.Options, lo model.LoadOptions) *model.Model {
	t.Helper()
	return synthtest.Model(t, synthtest.Shape(t, shape), so, lo)
}

func tinyFile(t testing.TB, shape string, o synth.Options) *gguf.File {
	t.Helper()
	return synthtest.File(t, synthtest.Shape(t, shape), o)
}

// tally counts operations one at a time, in the loops of a plain forward pass.
type tally struct{ macs, flops int64 }

func (t *tally) op(n int64) { t.flops += n }

func (t *tally) norm(n int) {
	for range n {
		t.op(2) // square, add
	}
	t.op(4) // mean, epsilon, square root, reciprocal
	for range n {
		t.op(2) // two factors
	}
}

func (t *tally) quantize(n int) {
	for range n {
		t.op(2) // magnitude, maximum
	}
	t.op(1) // 127 / maximum
	for range n {
		t.op(2) // multiply, round
	}
}

func (t *tally) projection(rows, cols int, int8 bool) {
	for range rows {
		for range cols {
			if int8 {
				t.macs++
			} else {
				t.op(2)
			}
		}
		if int8 {
			t.op(2) // divide by the activations' scale, multiply with the weights'
		} else {
			t.op(1) // the weights' scale
		}
	}
}

func (t *tally) attention(c *model.Config, length int) {
	for range c.Heads {
		for range length {
			for range c.HeadDim {
				t.op(2) // score
			}
			t.op(1) // its factor
		}
		for range length {
			t.op(1) // maximum
		}
		for range length {
			t.op(3) // subtract, exp, sum
		}
		for range length {
			for range c.HeadDim {
				t.op(2) // weighted sum
			}
		}
		for range c.HeadDim {
			t.op(1) // divide by the sum
		}
	}
}

func (t *tally) forward(c *model.Config, depth int) {
	int8 := c.Activations == model.Int8
	quantize := func(n int) {
		if int8 {
			t.quantize(n)
		}
	}
	sub := strings.HasPrefix(c.Architecture, "bitnet")
	q, kv := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	for range c.Layers {
		t.norm(c.Hidden)
		quantize(c.Hidden)
		t.projection(q, c.Hidden, int8)
		t.projection(kv, c.Hidden, int8)
		t.projection(kv, c.Hidden, int8)
		for range c.Heads + c.KVHeads {
			if c.Architecture == "qwen3" {
				t.norm(c.HeadDim)
			}
			for range c.RopeDim / 2 {
				t.op(6) // a rotation: four products, two sums
			}
		}
		t.attention(c, depth+1)
		if sub {
			t.norm(q)
		}
		quantize(q)
		t.projection(c.Hidden, q, int8)
		for range c.Hidden {
			t.op(1)
		}
		t.norm(c.Hidden)
		quantize(c.Hidden)
		t.projection(c.FFN, c.Hidden, int8)
		t.projection(c.FFN, c.Hidden, int8)
		for range c.FFN {
			if c.HiddenAct == model.ReLU2 {
				t.op(3) // maximum, square, times up
			} else {
				t.op(5) // negate, exp, add, divide, times up
			}
		}
		if sub {
			t.norm(c.FFN)
		}
		quantize(c.FFN)
		t.projection(c.Hidden, c.FFN, int8)
		for range c.Hidden {
			t.op(1)
		}
	}
	t.norm(c.Hidden)
	for range c.Vocab {
		for range c.Hidden {
			t.op(2)
		}
	}
}

func TestCountAgainstLoops(t *testing.T) {
	for _, shape := range []string{"tiny", "tiny-llama", "tiny-qwen3"} {
		for _, act := range []model.Activations{model.Int8, model.Float} {
			m := tinyModel(t, shape, synth.Options{}, model.LoadOptions{Activations: act})
			for _, depth := range []int{0, 1, 37, 300} {
				var want tally
				want.forward(m.Config, depth)
				counts := Count(m, kernel.KVF16, depth)
				if got := counts.Total(); got.MACs != want.macs || got.FLOPs != want.flops {
					t.Errorf("%s, %v, depth %d: %d MACs and %d FLOPs, want %d and %d", shape, act, depth, got.MACs, got.FLOPs, want.macs, want.flops)
				}
				if act == model.Int8 && counts.Total().MACs != m.TernaryWeights {
					t.Errorf("%s: %d MACs, but %d weights", shape, counts.Total().MACs, m.TernaryWeights)
				}
			}
		}
	}
}

// TestCountBytes compares the formulas for bytes with what is there.
func TestCountBytes(t *testing.T) {
	const depth = 40
	for _, shape := range []string{"tiny", "tiny-llama", "tiny-qwen3"} {
		for _, layout := range ternary.Layouts() {
			for _, kv := range []kernel.KVType{kernel.KVF32, kernel.KVF16, kernel.KVI8, kernel.KVQ4} {
				m := tinyModel(t, shape, synth.Options{Head: gguf.TypeQ8_0}, model.LoadOptions{Layout: func(int, int) ternary.Layout { return layout }})
				e, err := engine.New(m, engine.Options{Threads: 1, KVType: kv})
				if err != nil {
					t.Fatal(err)
				}
				counts := Count(m, kv, depth)
				var projections, vectors, head, embedding int64
				for _, s := range counts.Stages {
					n := int64(s.Times) * s.WeightBytes
					switch {
					case s.Name == "head":
						head += n
					case s.Name == "embedding":
						embedding += n
					case s.MACs > 0:
						projections += n
					default:
						vectors += n
					}
				}
				var wantVectors int64
				for _, x := range m.File.Tensors {
					if len(x.Dims) == 1 {
						wantVectors += x.Size
					}
				}
				if projections != m.TernaryBytes {
					t.Errorf("%s %v: %d bytes of projections, want %d", shape, layout, projections, m.TernaryBytes)
				}
				if vectors != wantVectors {
					t.Errorf("%s: %d bytes of vectors, want %d", shape, vectors, wantVectors)
				}
				if want := int64(len(m.Graph.Head().Data)); head != want {
					t.Errorf("%s: %d bytes of the head, want %d", shape, head, want)
				}
				if want := int64(m.Graph.Embedding().RowBytes()); embedding != want {
					t.Errorf("%s: %d bytes of the embedding, want %d", shape, embedding, want)
				}
				position := e.Cache().PageBytes() / kernel.PageTokens
				total := counts.Total()
				if total.CacheWrite != position || total.CacheRead != (depth+1)*position {
					t.Errorf("%s %v: writes %d and reads %d bytes of the cache, want %d and %d", shape, kv, total.CacheWrite, total.CacheRead, position, (depth+1)*position)
				}
				if got, want := counts.Bytes(4), total.WeightBytes/4+total.CacheRead+total.CacheWrite; got != want {
					t.Errorf("%s: %d bytes per token in a batch of 4, want %d", shape, got, want)
				}
				if err := e.Close(); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

// TestCountOfKnownModels checks the figures that are published for BitNet 2B.
func TestCountOfKnownModels(t *testing.T) {
	g, err := synth.New(synthtest.Shape(t, "bitnet-2b"), synth.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		layout    ternary.Layout
		head      gguf.Type
		low, high float64 // bytes of all weights, in MB
	}{
		{ternary.T2, gguf.TypeF16, 1178, 1182}, // 521 + 657 and the norms
		{ternary.T5, gguf.TypeF16, 1074, 1078}, // 417 + 657
		{ternary.T2, gguf.TypeQ6_K, 790, 794},  // 521 + 269
	} {
		m, err := model.Outline(g.Config(), model.OutlineOptions{
			Layout: func(int, int) ternary.Layout { return test.layout }, Embedding: test.head, Tied: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		total := Count(m, kernel.KVF16, 0).Total()
		if mb := float64(total.WeightBytes) / 1e6; mb < test.low || mb > test.high {
			t.Errorf("%v, %v: %.1f MB per token, want %.0f to %.0f", test.layout, test.head, mb, test.low, test.high)
		}
		if total.MACs != 2084044800 {
			t.Errorf("%d MACs, want 2084044800", total.MACs)
		}
	}
}

// TestOutline: the counts of an outline are those of the model.
func TestOutline(t *testing.T) {
	for _, shape := range []string{"tiny", "tiny-llama", "tiny-qwen3", "tiny-maple"} {
		m := tinyModel(t, shape, synth.Options{Head: gguf.TypeQ8_0}, model.LoadOptions{Activations: model.Int8})
		embedding := m.Graph.Embedding()
		o, err := model.Outline(m.Config, model.OutlineOptions{
			Embedding: embedding.Type, Head: m.Graph.Head().Type, Tied: m.Graph.Head() == embedding,
		})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := Count(o, kernel.KVF16, 40), Count(m, kernel.KVF16, 40); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: the outline gives %+v, the model %+v", shape, got, want)
		}
	}
}

func TestOutlineErrors(t *testing.T) {
	if _, err := model.Outline(&model.Config{Architecture: "none"}, model.OutlineOptions{}); !errors.Is(err, model.ErrArchitecture) {
		t.Errorf("unknown architecture: %v", err)
	}
	m := tinyModel(t, "tiny", synth.Options{}, model.LoadOptions{})
	if _, err := model.Outline(m.Config, model.OutlineOptions{Head: gguf.Type(9999)}); !errors.Is(err, model.ErrTensor) {
		t.Errorf("an unknown head type: %v", err)
	}
}
