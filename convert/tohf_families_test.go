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
	"trit/tokenizer"
)

// TestFamiliesRoundTrip takes files of all families but BitNet's to checkpoints and back:
// the same numbers, keys and tokens.
func TestFamiliesRoundTrip(t *testing.T) {
	yarn := synthtest.Shape(t, "tiny-qwen3")
	yarn.Yarn = 128
	hybrid := hybridShape(t)
	hybrid.Rotation, hybrid.Tied = 0, false
	gemma, long := synthtest.Shape(t, "tiny-gemma3"), synthtest.Shape(t, "tiny-minicpm")
	windows := gemma
	windows.Layers, windows.Window = 4, 40
	odd := hybrid
	odd.Layers = 6 // the last layer is recurrent
	for _, test := range []struct {
		name  string
		shape synth.Shape
		typ   gguf.Type
		head  gguf.Type
		class string
	}{
		{"qwen3", yarn, gguf.TypePQ2_0, gguf.TypeF16, "Qwen3ForCausalLM"},
		{"qwen35", hybrid, gguf.TypePQ2_0, gguf.TypePQ2_0, "Qwen3_5ForCausalLM"},
		{"six layers", odd, gguf.TypePQ2_0, gguf.TypeF16, "Qwen3_5ForCausalLM"},
		{"gemma3", gemma, gguf.TypeI2S, gguf.TypeF16, "Gemma3ForCausalLM"},
		{"gemma3 with windows", windows, gguf.TypeI2S, gguf.TypeF16, "Gemma3ForCausalLM"},
		{"hunyuan", synthtest.Shape(t, "tiny-hunyuan"), gguf.TypePQ2_0, gguf.TypeF16, "HunYuanDenseV1ForCausalLM"},
		{"minicpm", long, gguf.TypePQ2_0, gguf.TypeF16, "MiniCPMForCausalLM"},
		{"maple", synthtest.Shape(t, "tiny-maple"), gguf.TypeTQ1_0, gguf.TypeF16, "MapleForCausalLM"},
	} {
		t.Run(test.name, func(t *testing.T) {
			first := rowScales(t, varied(t, synthtest.File(t, test.shape, synth.Options{Type: test.typ, Head: test.head})))
			report, dir := export(t, first, ToHFOptions{ScaleConvention: ScaleMultiplier})
			if report.Class != test.class {
				t.Errorf("class %s", report.Class)
			}
			name := "tokenizer.json"
			if test.shape.Tokenizer == tokenizer.ModelSPM {
				name = "tokenizer.model"
			}
			if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
				t.Error(err)
			}
			_, second := convertTo(t, dir, Options{Type: test.typ, Embedding: test.head})
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
				if w, ok := second.Metadata.Get(key); (!ok || !w.Equal(v)) && (key != "tokenizer.ggml.pre" || test.shape.Pre != "hunyuan-dense") {
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
	} {
		out := filepath.Join(t.TempDir(), "checkpoint")
		_, err := ToHF(context.Background(), ToHFOptions{Input: test.f, Output: out})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
		wantNothing(t, out)
	}
}
