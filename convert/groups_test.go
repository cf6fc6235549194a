package convert

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"trit/gguf"
	"trit/internal/model/synth"
	"trit/internal/model/synth/synthtest"
)

// synthetic returns a model with random weights.
func synthetic(t *testing.T, name string, o synth.Options) *gguf.File {
	t.Helper()
	return synthtest.File(t, synthtest.Shape(t, name), o)
}

// Models that are ternary, or binary, throughout go from type to type and back without
// the loss of a bit, their tables and what describes a rotation included.
func TestGroupTypes(t *testing.T) {
	for _, test := range []struct {
		from gguf.Type
		way  []gguf.Type
	}{
		{gguf.TypePTQ1_0, []gguf.Type{gguf.TypePQ2_0, gguf.TypeQ2_0, gguf.TypeF16, gguf.TypePTQ1_0}},
		{gguf.TypePQ2_0, []gguf.Type{gguf.TypeF32, gguf.TypePQ2_0}},
		{gguf.TypeQ2_0, []gguf.Type{gguf.TypeF16, gguf.TypeQ2_0}},
		{gguf.TypeQ1_0, []gguf.Type{gguf.TypePQ2_0, gguf.TypePTQ1_0, gguf.TypeF16, gguf.TypeQ1_0}},
	} {
		first := synthetic(t, "tiny-qwen35", synth.Options{Type: test.from, Head: test.from})
		f := first
		for _, to := range test.way {
			o := QuantizeOptions{Type: &to, Embedding: &to, Head: &to}
			report, g := quantizeTo(t, f, o)
			for _, x := range report.Tensors {
				if x.RMSE != 0 {
					t.Errorf("%v to %v: %s changes by %v", test.from, to, x.Name, x.RMSE)
				}
			}
			f = g
		}
		for _, want := range first.Tensors {
			got, ok := f.Tensor(want.Name)
			if !ok || got.Type != want.Type {
				t.Fatalf("%v: %s is %+v", test.from, want.Name, got)
			}
			a, err := want.Data()
			if err != nil {
				t.Fatal(err)
			}
			b, err := got.Data()
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(a, b) {
				t.Errorf("%v: %s differs after %v", test.from, want.Name, test.way)
			}
		}
		for key, v := range first.Metadata.All() {
			if got, ok := f.Metadata.Get(key); !ok || !got.Equal(v) {
				t.Errorf("%v: %s was %v and is %v", test.from, key, v, got)
			}
		}
	}
}

// What a type has no place for is refused, and nothing is left behind.
func TestGroupTypesRefuse(t *testing.T) {
	ternary := synthetic(t, "tiny-qwen35", synth.Options{Type: gguf.TypePQ2_0})
	three := synthetic(t, "tiny-qwen35", synth.Options{Type: gguf.TypePQ2_0})
	up, _ := three.Tensor("blk.1.ffn_up.weight")
	data, err := up.Data()
	if err != nil {
		t.Fatal(err)
	}
	data[2] |= 3 // the first element
	groups := synthetic(t, "tiny-qwen3", synth.Options{Type: gguf.TypeQ2_0, Head: gguf.TypeF16})
	q, _ := groups.Tensor("blk.0.attn_q.weight")
	if data, err = q.Data(); err != nil {
		t.Fatal(err)
	}
	data[1] ^= 4 // the scale of the first 64 columns
	for _, test := range []struct {
		name string
		in   *gguf.File
		o    QuantizeOptions
		is   error
		want string
	}{
		{"zeros", ternary, QuantizeOptions{Type: ptr(gguf.TypeQ1_0)}, ErrType, ".weight has zeros, which Q1_0 has no room for"},
		{"+2", three, QuantizeOptions{Type: ptr(gguf.TypePTQ1_0)}, ErrNotTernary, "blk.1.ffn_up.weight of type PQ2_0 has values beside {−d, 0, +d}: row 0, column "},
		{"+2, rounded", three, QuantizeOptions{Type: ptr(gguf.TypePTQ1_0), Round: true}, ErrNotTernary, "blk.1.ffn_up.weight of type PQ2_0"},
		{"scales of 64 columns", groups, QuantizeOptions{Type: ptr(gguf.TypePQ2_0)}, ErrType, "blk.0.attn_q.weight has 2 different scales, several of them within 128 columns"},
		{"scales of a row", groups, QuantizeOptions{Type: ptr(gguf.TypeI2S)}, ErrType, "of the types only Q2_0, F16, BF16, F32 keep them all"},
		{"an embedding of floats", groups, QuantizeOptions{Embedding: ptr(gguf.TypePQ2_0)}, ErrNotTernary, "token_embd.weight is no projection"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.o.Input, test.o.Output = test.in, filepath.Join(t.TempDir(), "out.gguf")
			_, err := Quantize(context.Background(), test.o)
			if !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %v with %q", err, test.is, test.want)
			}
			if left, _ := filepath.Glob(filepath.Join(filepath.Dir(test.o.Output), "*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}
