package convert

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"trit/gguf"
	"trit/internal/half"
	"trit/internal/model"
	"trit/internal/model/synth"
	"trit/internal/model/synth/synthtest"
	"trit/internal/safetensors"
)

// rowScales gives the rows of a file's TQ1_0 tensors scales of their own.
func rowScales(t testing.TB, f *gguf.File) *gguf.File {
	t.Helper()
	for _, x := range f.Tensors {
		if x.Type != gguf.TypeTQ1_0 {
			continue
		}
		data, err := x.Data()
		if err != nil {
			t.Fatal(err)
		}
		size := int(x.Type.BlockBytes())
		perRow := int(x.Cols() / 256)
		for i := range len(data) / size {
			half.EncodeF16(data[(i+1)*size-2:][:2], []float32{float32(i/perRow%7+1) / 64})
		}
	}
	return f
}

// mapleCheckpoint writes a file as the checkpoint that it could have been made from.
func mapleCheckpoint(t testing.TB, f *gguf.File) *checkpoint {
	t.Helper()
	family, c, err := configOf(f)
	if err != nil {
		t.Fatal(err)
	}
	out := &checkpoint{files: bpeFiles()}
	for s := range family.Table(c).Rows() {
		x, ok := f.Tensor(s.Name)
		if !ok {
			continue
		}
		v, shape := decoded(t, x), x.Shape()
		before, after, experts := strings.Cut(hfName(s), ".experts.")
		if !experts {
			out.add(hfName(s), safetensors.F32, shape, v)
			continue
		}
		size := len(v) / int(shape[0])
		for e := range int(shape[0]) {
			out.add(fmt.Sprintf("%s.experts.%d.%s", before, e, after), safetensors.F32, shape[1:], v[e*size:][:size])
		}
	}
	kinds := make([]string, c.Layers)
	for i := range kinds {
		if kinds[i] = "full_attention"; c.WindowOf(i) > 0 {
			kinds[i] = "sliding_attention"
		}
	}
	out.config = map[string]any{
		"architectures": []string{"MapleForCausalLM"}, "hidden_size": c.Hidden, "num_hidden_layers": c.Layers,
		"num_attention_heads": c.Heads, "num_key_value_heads": c.KVHeads, "head_dim": c.HeadDim, "vocab_size": c.Vocab,
		"max_position_embeddings": c.Context, "rms_norm_eps": decimal(c.NormEps), "tie_word_embeddings": false, "hidden_act": "silu",
		"rope_parameters":       map[string]any{"rope_theta": c.RopeBase, "partial_rotary_factor": float64(c.RopeDim) / float64(c.HeadDim)},
		"moe_intermediate_size": c.Experts.FFN, "num_experts": c.Experts.Count, "num_experts_per_tok": c.Experts.Used,
		"norm_topk_prob": true, "num_shared_experts": 0, "nope_on_global_attention": true, "sliding_window": c.Window, "layer_types": kinds,
	}
	return out
}

// TestMaple: the matrices of experts become one tensor for each kind, and the rest of the
// file is the one that the checkpoint could have been made from.
func TestMaple(t *testing.T) {
	want := rowScales(t, synthtest.File(t, synthtest.Shape(t, "tiny-maple"), synth.Options{}))
	_, got := convertTo(t, mapleCheckpoint(t, want).write(t), Options{Type: gguf.TypeTQ1_0, Embedding: gguf.TypeF16})
	for _, x := range want.Tensors {
		y, ok := got.Tensor(x.Name)
		if !ok || x.Type == gguf.TypeTQ1_0 && y.Type != x.Type || !slices.Equal(x.Dims, y.Dims) {
			t.Fatalf("%s is %+v, want type %v", x.Name, y, x.Type)
		}
		if a, b := decoded(t, x), decoded(t, y); !slices.Equal(a, b) {
			t.Errorf("%s differs", x.Name)
		}
	}
	if len(got.Tensors) != len(want.Tensors) {
		t.Errorf("%d tensors, want %d", len(got.Tensors), len(want.Tensors))
	}
	_, a, err := configOf(want)
	if err != nil {
		t.Fatal(err)
	}
	_, b, err := configOf(got)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(a.Experts, a.Window, a.Sliding, a.Rotations, a.RopeDim, a.FFN) != fmt.Sprint(b.Experts, b.Window, b.Sliding, b.Rotations, b.RopeDim, b.FFN) {
		t.Errorf("the configuration is %+v, want %+v", b, a)
	}
	if a, b := logitsOf(t, want, model.Int8Groups), logitsOf(t, got, model.Int8Groups); !slices.Equal(a, b) {
		t.Errorf("the logits are %v apart", distance(b, a))
	}
}

// What is wrong with such a checkpoint is said by name, before anything is written.
func TestMapleErrors(t *testing.T) {
	file := synthtest.File(t, synthtest.Shape(t, "tiny-maple"), synth.Options{})
	set := func(key string, v any) func(*checkpoint) { return func(c *checkpoint) { c.config[key] = v } }
	const expert = "model.layers.1.mlp.experts.3.up_proj.weight"
	for _, test := range []struct {
		name   string
		change func(*checkpoint)
		is     error
		want   string
	}{
		{"shared experts", set("num_shared_experts", 1), ErrUnsupported, "num_shared_experts"},
		{"rotated", set("nope_on_global_attention", false), ErrUnsupported, "nope_on_global_attention"},
		{"used", set("num_experts_per_tok", nil), ErrConfig, "num_experts_per_tok"},
		{"too many used", set("num_experts_per_tok", 9), ErrConfig, "expert_used_count"},
		{"width", set("moe_intermediate_size", 0), ErrConfig, "intermediate_size is 0"},
		{"kinds", set("layer_types", nil), ErrConfig, "layer_types"},
		{"kind", set("layer_types", []string{"a", "b", "c", "d"}), ErrUnsupported, `"a"`},
		{"window", set("sliding_window", 0), ErrConfig, "sliding_window is 0"},
		{"no experts", set("num_experts", nil), ErrUnsupported, "partial_rotary_factor"},
		{"another class", set("architectures", []string{"Qwen3ForCausalLM"}), ErrConfig, "expert"},
		{"missing", func(c *checkpoint) { c.drop(expert) }, ErrTensor, "expert 3 is missing"},
		{"last one missing", func(c *checkpoint) { c.drop("model.layers.1.mlp.experts.7.up_proj") }, ErrTensor, "shape [7 256 256]"},
		{"twice", func(c *checkpoint) {
			c.add("model.layers.1.mlp.experts.03.up_proj.weight", safetensors.F32, []int64{256, 256}, make([]float32, 256*256))
		}, ErrTensor, "is expert 3, which there is already"},
		{"shape", func(c *checkpoint) {
			c.drop(expert)
			c.add(expert, safetensors.F32, []int64{128, 512}, make([]float32, 256*256))
		}, ErrTensor, "alike"},
		{"router", func(c *checkpoint) { c.drop("layers.2.mlp.gate.weight") }, ErrTensor, "layers.2.mlp.gate.weight"},
	} {
		c := mapleCheckpoint(t, file)
		test.change(c)
		_, err := FromHF(context.Background(), Options{Input: c.write(t), Output: filepath.Join(t.TempDir(), "x.gguf"), Type: gguf.TypeTQ1_0, Embedding: gguf.TypeF16})
		if !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %v with %q", test.name, err, test.is, test.want)
		}
	}
}
