package convert

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"maps"
	"math"
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
	"trit/quant"
)

// hybridShape has more value heads than key heads, so that their order matters.
func hybridShape(t testing.TB) synth.Shape {
	s := synthtest.Shape(t, "tiny-qwen35")
	s.KeyHeads, s.ValueHeads = 2, 4
	return s
}

// varied gives the groups of a file's PQ2_0 tensors scales of their own.
func varied(t testing.TB, f *gguf.File) *gguf.File {
	t.Helper()
	for _, x := range f.Tensors {
		if x.Type != gguf.TypePQ2_0 {
			continue
		}
		data, err := x.Data()
		if err != nil {
			t.Fatal(err)
		}
		size := int(x.Type.BlockBytes())
		for i := range len(data) / size {
			half.EncodeF16(data[i*size:][:2], []float32{float32(i%7+1) / 64})
		}
	}
	return f
}

// decoded returns the numbers of a tensor.
func decoded(t testing.TB, x *gguf.Tensor) []float32 {
	t.Helper()
	data, err := x.Data()
	if err != nil {
		t.Fatal(err)
	}
	v := make([]float32, x.Elements())
	if err := quant.Decode(x.Type, v, data); err != nil {
		t.Fatal(err)
	}
	return v
}

// mlxCheckpoint writes a file as the checkpoint in MLX's form that it could have been
// made from.
func mlxCheckpoint(t testing.TB, f *gguf.File) *checkpoint {
	t.Helper()
	family, c, err := configOf(f)
	if err != nil {
		t.Fatal(err)
	}
	folded, err := f.Metadata.StringsOr(model.RotationPrefix+"weight_names", nil)
	if err != nil {
		t.Fatal(err)
	}
	inverse, err := f.Metadata.StringsOr(model.RotationPrefix+"inverse_weight_names", nil)
	if err != nil {
		t.Fatal(err)
	}
	signs := map[int][]float32{}
	widths, _ := f.Metadata.Int32sOr(model.RotationPrefix+"sign_widths", nil)
	values, _ := f.Metadata.Int32sOr(model.RotationPrefix+"sign_values", nil)
	for _, width := range widths {
		for _, v := range values[:width] {
			signs[int(width)] = append(signs[int(width)], float32(v))
		}
		values = values[width:]
	}
	out := &checkpoint{files: bpeFiles()}
	names := map[string]string{}
	for s := range family.Table(c).Rows() {
		x, ok := f.Tensor(s.Name)
		if !ok {
			continue
		}
		name := "language_model." + hfName(s)
		names[s.Name] = name
		v, cols := decoded(t, x), int(x.Cols())
		if form := s.HFForm; form != nil {
			if form.Value != nil && !form.Centred { // of the decay
				for i, a := range v {
					v[i] = float32(math.Log(-float64(a)))
				}
			}
			if form.Rows != nil {
				moved := make([]float32, len(v))
				for r, from := range form.Rows {
					copy(moved[int(from)*cols:][:cols], v[r*cols:][:cols])
				}
				v = moved
			}
			if form.Cols != nil && !slices.Contains(folded, s.Name) {
				moved := make([]float32, len(v))
				for r := 0; r < len(v); r += cols {
					for i, from := range form.Cols {
						moved[r+int(from)] = v[r+i]
					}
				}
				v = moved
			}
		}
		shape := x.Shape()
		switch {
		case s.Role == model.RoleProjection || s.Role == model.RoleEmbedding || s.Role == model.RoleHead:
			addAffine(out, strings.TrimSuffix(name, ".weight"), shape, v)
			if w := signs[cols]; w != nil && slices.Contains(append(folded, inverse...), s.Name) {
				out.add(strings.TrimSuffix(name, "weight")+"signs", safetensors.F32, []int64{int64(cols)}, w)
			}
		case strings.HasSuffix(name, "conv1d.weight"):
			out.add(name, safetensors.F32, append(slices.Clone(shape), 1), v)
		default:
			out.add(name, safetensors.F32, shape, v)
		}
	}
	out.raw("vision_tower.patch.weight", safetensors.F16, []int64{1}, []byte{0, 0})
	text := map[string]any{
		"model_type": "qwen3_5_text", "hidden_size": c.Hidden, "intermediate_size": c.FFN, "num_hidden_layers": c.Layers,
		"num_attention_heads": c.Heads, "num_key_value_heads": c.KVHeads, "head_dim": c.HeadDim, "vocab_size": c.Vocab,
		"max_position_embeddings": c.Context, "rms_norm_eps": decimal(c.NormEps), "tie_word_embeddings": true,
		"rope_parameters":        map[string]any{"rope_theta": c.RopeBase, "partial_rotary_factor": float64(c.RopeDim) / float64(c.HeadDim)},
		"linear_num_value_heads": c.ValueHeads, "linear_num_key_heads": c.KeyHeads, "linear_key_head_dim": c.StateDim,
		"linear_value_head_dim": c.StateDim, "linear_conv_kernel_dim": c.ConvWidth, "full_attention_interval": 4,
	}
	quantization := map[string]any{"bits": 2, "group_size": 128, "mode": "affine"}
	out.config = map[string]any{
		"model_type": rotatedType, "tensor_namespace": "mlx-vlm-qwen3_5", "gdn_activation_layout": "grouped", "text_config": text,
		"quantization": quantization, "quantization_config": quantization,
	}
	rotation := map[string]any{}
	for key, v := range f.Metadata.All() {
		name, ok := strings.CutPrefix(key, model.RotationPrefix)
		if !ok {
			continue
		}
		switch name {
		case "weight_names", "inverse_weight_names":
			list, err := f.Metadata.Strings(key)
			if err != nil {
				t.Fatal(err)
			}
			list = slices.Clone(list)
			for i, n := range list {
				list[i] = names[n]
			}
			rotation[key] = list
		case "sign_values":
			list, err := f.Metadata.Int32s(key)
			if err != nil {
				t.Fatal(err)
			}
			floats := make([]float64, len(list))
			for i, x := range list {
				floats[i] = float64(x)
			}
			rotation[key] = floats
		default:
			rotation[key] = v.Any()
		}
	}
	data, err := json.Marshal(rotation)
	if err != nil {
		t.Fatal(err)
	}
	if len(rotation) > 0 {
		out.files[rotationFile] = string(data)
	}
	return out
}

// addAffine adds a matrix of −d, 0, +d and +2d as MLX packs it.
func addAffine(c *checkpoint, stem string, shape []int64, v []float32) {
	words := make([]byte, len(v)/4)
	scales, biases := make([]float32, len(v)/affineGroup), make([]float32, len(v)/affineGroup)
	for g := range scales {
		group := v[g*affineGroup:][:affineGroup]
		for _, x := range group {
			scales[g] = max(scales[g], -x, x)
		}
		biases[g] = -scales[g]
		for i, x := range group {
			code := uint32(1)
			if scales[g] > 0 {
				code = uint32(x/scales[g] + 1)
			}
			e := g*affineGroup + i
			word := binary.LittleEndian.Uint32(words[e/affineCodes*4:])
			binary.LittleEndian.PutUint32(words[e/affineCodes*4:], word|code<<(2*(e%affineCodes)))
		}
	}
	rows, cols := shape[0], shape[1]
	c.raw(stem+".weight", safetensors.U32, []int64{rows, cols / affineCodes}, words)
	c.add(stem+".scales", safetensors.F16, []int64{rows, cols / affineGroup}, scales)
	c.add(stem+".biases", safetensors.F16, []int64{rows, cols / affineGroup}, biases)
}

// Checkpoints in MLX's form, rotated or not, become the file that they came from.
func TestMLX(t *testing.T) {
	plain := hybridShape(t)
	plain.Rotation = 0
	o := Options{Type: gguf.TypePQ2_0, Embedding: gguf.TypePQ2_0}
	for name, shape := range map[string]synth.Shape{"rotated": hybridShape(t), "plain": plain} {
		want := varied(t, synthtest.File(t, shape, synth.Options{Type: gguf.TypePQ2_0, Head: gguf.TypePQ2_0}))
		c := mlxCheckpoint(t, want)
		if name == "plain" {
			c.config["model_type"], c.config["architectures"] = "qwen3_5", []string{"Qwen3_5ForConditionalGeneration"}
		}
		_, got := convertTo(t, c.write(t), o)
		for _, x := range want.Tensors {
			y, ok := got.Tensor(x.Name)
			if !ok || x.Type == gguf.TypePQ2_0 && y.Type != x.Type {
				t.Fatalf("%s: %s is %+v, want type %v", name, x.Name, y, x.Type)
			}
			a, b := decoded(t, x), decoded(t, y)
			if strings.HasSuffix(x.Name, "ssm_a") {
				if distance(b, a) > 1e-6 {
					t.Errorf("%s: %s is %v, want %v", name, x.Name, b, a)
				}
			} else if !slices.Equal(a, b) {
				t.Errorf("%s: %s differs", name, x.Name)
			}
		}
		for key, v := range want.Metadata.All() {
			if !strings.HasPrefix(key, model.RotationPrefix) {
				continue
			}
			if w, ok := got.Metadata.Get(key); !ok || !w.Equal(v) {
				t.Errorf("%s: %s is %v, want %v", name, key, w, v)
			}
		}
		if a, b := logitsOf(t, want, model.Float), logitsOf(t, got, model.Float); distance(b, a) > 1e-5 {
			t.Errorf("%s: the logits are %v apart", name, distance(b, a))
		}
	}
}

// What is wrong with such a checkpoint is said by name, before anything is written.
func TestMLXErrors(t *testing.T) {
	file := synthtest.File(t, hybridShape(t), synth.Options{Type: gguf.TypePQ2_0, Head: gguf.TypePQ2_0})
	whole := mlxCheckpoint(t, file)
	const query = "language_model.model.layers.3.self_attn.q_proj"
	rotation := func(change func(map[string]any)) func(*checkpoint) {
		return func(c *checkpoint) {
			keys := map[string]any{}
			if err := json.Unmarshal([]byte(c.files[rotationFile]), &keys); err != nil {
				t.Fatal(err)
			}
			change(keys)
			data, err := json.Marshal(keys)
			if err != nil {
				t.Fatal(err)
			}
			c.files[rotationFile] = string(data)
		}
	}
	replace := func(c *checkpoint, name string, d safetensors.DType, shape []int64, v []float32) {
		c.drop(name)
		c.add(name, d, shape, v)
	}
	for _, test := range []struct {
		name   string
		change func(*checkpoint)
		is     error
		want   string
	}{
		{"four bits", func(c *checkpoint) { c.config["quantization"] = map[string]any{"bits": 4, "group_size": 64} }, ErrUnsupported, "4 bits in groups of 64"},
		{"one bit", func(c *checkpoint) { c.config["quantization"] = map[string]any{"bits": 1, "group_size": 128} }, ErrUnsupported, "1 bits in groups of 128"},
		{"modules apart", func(c *checkpoint) {
			c.config["quantization"] = map[string]any{"bits": 2, "group_size": 128, "lm_head": map[string]any{"bits": 6}}
		}, ErrUnsupported, "lm_head"},
		{"no quantization", func(c *checkpoint) { delete(c.config, "quantization"); delete(c.config, "quantization_config") }, ErrConfig, "no quantization"},
		{"layout", func(c *checkpoint) { c.config["gdn_activation_layout"] = "tiled" }, ErrUnsupported, "gdn_activation_layout"},
		{"namespace", func(c *checkpoint) { delete(c.config, "tensor_namespace") }, ErrUnsupported, "tensor_namespace"},
		{"no rotation", func(c *checkpoint) { delete(c.files, rotationFile) }, ErrConfig, rotationFile},
		{"no rotation and no signs", func(c *checkpoint) { delete(c.files, rotationFile); c.drop(".signs") }, ErrConfig, rotationFile},
		{"no biases", func(c *checkpoint) { c.drop(query + ".biases") }, ErrTensor, query + ".biases"},
		{"scales of another shape", func(c *checkpoint) {
			replace(c, query+".scales", safetensors.F16, []int64{256, 2}, make([]float32, 512))
		}, ErrTensor, query + ".scales"},
		{"biases of their own", func(c *checkpoint) {
			replace(c, query+".biases", safetensors.F16, []int64{512, 2}, make([]float32, 1024))
		}, ErrNotTernary, query + ".weight"},
		{"other signs", func(c *checkpoint) {
			replace(c, query+".signs", safetensors.F32, []int64{256}, make([]float32, 256))
		}, ErrTensor, query + ".signs"},
		{"unknown key", rotation(func(k map[string]any) { k["prism.hadamard.angle"] = 3 }), ErrConfig, "prism.hadamard.angle"},
		{"unknown tensor", rotation(func(k map[string]any) { k["prism.hadamard.weight_names"] = []string{"nobody"} }), ErrConfig, `"nobody"`},
		{"signs that are none", rotation(func(k map[string]any) { k["prism.hadamard.sign_values"] = []float64{1, 0.5} }), ErrConfig, "element 1 is 0.5"},
		{"too few signs", rotation(func(k map[string]any) { k["prism.hadamard.sign_values"] = []int{1, -1} }), ErrConfig, "sign_widths has 256"},
		{"heads in another order", rotation(func(k map[string]any) { delete(k, "prism.hadamard.gdn_v_grouped") }), ErrConfig, "gdn_v_grouped"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := &checkpoint{config: maps.Clone(whole.config), tensors: whole.tensors, files: maps.Clone(whole.files)}
			test.change(c)
			out := filepath.Join(t.TempDir(), "out.gguf")
			_, err := FromHF(context.Background(), Options{Input: c.write(t), Output: out, Type: gguf.TypePQ2_0, Embedding: gguf.TypePQ2_0})
			wantError(t, err, test.is, test.want)
			wantNothing(t, out)
		})
	}
}
