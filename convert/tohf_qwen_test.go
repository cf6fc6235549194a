package convert

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"trit/gguf"
	"trit/internal/model"
	"trit/internal/model/synth"
	"trit/internal/model/synth/synthtest"
)

// TestQwenRoundTrip takes files of Qwen's families to checkpoints and back: the same
// numbers, keys and tokens.
func TestQwenRoundTrip(t *testing.T) {
	yarn := synthtest.Shape(t, "tiny-qwen3")
	yarn.Yarn = 128
	hybrid := hybridShape(t)
	hybrid.Rotation, hybrid.Tied = 0, false
	odd := hybrid
	odd.Layers = 6 // the last layer is recurrent
	for _, test := range []struct {
		name  string
		shape synth.Shape
		head  gguf.Type
		class string
	}{
		{"qwen3", yarn, gguf.TypeF16, "Qwen3ForCausalLM"},
		{"qwen35", hybrid, gguf.TypePQ2_0, "Qwen3_5ForCausalLM"},
		{"six layers", odd, gguf.TypeF16, "Qwen3_5ForCausalLM"},
	} {
		t.Run(test.name, func(t *testing.T) {
			first := varied(t, synthtest.File(t, test.shape, synth.Options{Type: gguf.TypePQ2_0, Head: test.head}))
			report, dir := export(t, first, ToHFOptions{})
			if report.Class != test.class {
				t.Errorf("class %s", report.Class)
			}
			if _, err := os.Stat(filepath.Join(dir, "tokenizer.json")); err != nil {
				t.Error(err)
			}
			_, second := convertTo(t, dir, Options{Type: gguf.TypePQ2_0, Embedding: test.head})
			if len(first.Tensors) != len(second.Tensors) {
				t.Fatalf("%d tensors became %d", len(first.Tensors), len(second.Tensors))
			}
			for _, x := range first.Tensors {
				y, ok := second.Tensor(x.Name)
				if !ok || !slices.Equal(decoded(t, x), decoded(t, y)) {
					t.Errorf("%s differs, or is gone", x.Name)
				}
			}
			arch := test.shape.Architecture + "."
			for key, v := range first.Metadata.All() {
				if !strings.HasPrefix(key, arch) && !strings.HasPrefix(key, "tokenizer.ggml.") {
					continue
				}
				if heads := test.shape.Heads * test.shape.HeadDim; heads == test.shape.Hidden && (strings.HasSuffix(key, "key_length") || strings.HasSuffix(key, "value_length")) {
					continue // of heads that have their share of the width
				}
				if w, ok := second.Metadata.Get(key); !ok || !w.Equal(v) {
					t.Errorf("%s was %v and is %v", key, v, w)
				}
			}
			if a, b := logitsOf(t, first, model.Float), logitsOf(t, second, model.Float); !slices.Equal(a, b) {
				t.Errorf("the logits are %v apart", distance(b, a))
			}
		})
	}
}

// What no class of transformers runs is refused by name.
func TestQwenExportErrors(t *testing.T) {
	rotated := synthetic(t, "tiny-qwen35", synth.Options{Type: gguf.TypePQ2_0})
	plain := hybridShape(t)
	plain.Rotation = 0
	packed := synthtest.File(t, plain, synth.Options{Type: gguf.TypeI2S})
	if err := packed.Metadata.Set("qwen35.activations", "int8g128"); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		f    *gguf.File
		want string
	}{
		{"rotated", rotated, "prism.hadamard."},
		{"I2_S", packed, "attn_qkv.weight is stored as I2_S"},
		{"maple", synthetic(t, "tiny-maple", synth.Options{}), "no class that runs architecture maple"},
	} {
		out := filepath.Join(t.TempDir(), "checkpoint")
		_, err := ToHF(context.Background(), ToHFOptions{Input: test.f, Output: out})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
		wantNothing(t, out)
	}
}
