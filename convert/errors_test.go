package convert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"trit/gguf"
	"trit/internal/safetensors"
)

// wantError checks an error's class and that its message holds all parts.
func wantError(t testing.TB, err, class error, parts ...string) {
	t.Helper()
	if !errors.Is(err, class) {
		t.Errorf("error is %v, want one that is %v", err, class)
		return
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error does not mention %q: %v", p, err)
		}
	}
}

// TestRefused converts checkpoints that are wrong in one way each.
func TestRefused(t *testing.T) {
	i2s := Options{Type: gguf.TypeI2S, Embedding: gguf.TypeF16}
	set := func(key string, v any) func(*checkpoint) { return func(c *checkpoint) { c.config[key] = v } }
	unset := func(key string) func(*checkpoint) { return func(c *checkpoint) { delete(c.config, key) } }
	drop := func(part string) func(*checkpoint) { return func(c *checkpoint) { c.drop(part) } }
	quantize := func(key string, v any) func(*checkpoint) {
		return func(c *checkpoint) {
			q := maps.Clone(c.config["quantization_config"].(map[string]any))
			q[key] = v
			c.config["quantization_config"] = q
		}
	}
	replace := func(name string, d safetensors.DType, shape []int64, v []float32) func(*checkpoint) {
		return func(c *checkpoint) {
			c.drop(name)
			c.add(name, d, shape, v)
		}
	}
	nan := make([]float32, 256)
	nan[7] = float32(math.NaN())
	tests := []struct {
		name   string
		form   checkpointForm
		change func(*checkpoint)
		class  error
		parts  []string
	}{
		{"hidden_size", bf16Master, unset("hidden_size"), ErrConfig, []string{"config.json", "hidden_size"}},
		{"layers", bf16Master, unset("num_hidden_layers"), ErrConfig, []string{"num_hidden_layers"}},
		{"context", bf16Master, unset("max_position_embeddings"), ErrConfig, []string{"max_position_embeddings"}},
		{"eps", bf16Master, unset("rms_norm_eps"), ErrConfig, []string{"rms_norm_eps"}},
		{"architectures", bf16Master, unset("architectures"), ErrConfig, []string{"architectures"}},
		{"vocabulary 0", bf16Master, set("vocab_size", 0), ErrConfig, []string{"vocab_size", "0"}},
		{"heads", bf16Master, set("num_attention_heads", 3), ErrConfig, []string{"num_attention_heads"}},
		{"KV heads", bf16Master, set("num_key_value_heads", 3), ErrConfig, []string{"head_count_kv"}},
		{"text for a number", bf16Master, set("hidden_size", "256"), ErrConfig, []string{"hidden_size"}},
		{"giant", bf16Master, set("num_hidden_layers", int64(1)<<40), ErrConfig, []string{"num_hidden_layers"}},
		{"no config", bf16Master, func(c *checkpoint) { c.files["config.json"] = "" }, ErrConfig, []string{"config.json"}},
		{"no JSON", bf16Master, func(c *checkpoint) { c.files["config.json"] = "{" }, ErrConfig, []string{"config.json"}},
		{"class", bf16Master, set("architectures", []string{"OtherForCausalLM"}), ErrArchitecture, []string{"OtherForCausalLM", "BitNetForCausalLM"}},
		{"activation", bf16Master, set("hidden_act", "gelu"), ErrConfig, []string{"hidden_act", "gelu"}},
		{"rope type", bf16Master, set("rope_scaling", map[string]any{"rope_type": "spiral", "factor": 2}), ErrUnsupported, []string{"spiral"}},
		{"yarn factor", bf16Master, set("rope_scaling", map[string]any{"type": "yarn"}), ErrConfig, []string{"yarn", "factor"}},
		{"yarn context", bf16Master, set("rope_scaling", map[string]any{"type": "yarn", "factor": 2, "original_max_position_embeddings": 0}),
			ErrConfig, []string{"original_max_position_embeddings is 0"}},
		{"yarn mscale", bf16Master, set("rope_scaling", map[string]any{"type": "yarn", "factor": 2, "mscale": 0.7}), ErrUnsupported, []string{"mscale"}},
		{"layers without a recurrence", bf16Master, set("layer_types", []string{"linear_attention", "full_attention"}), ErrConfig, []string{"linear_num_value_heads"}},
		{"rope factor", bf16Master, set("rope_scaling", map[string]any{"type": "linear"}), ErrConfig, []string{"factor"}},
		{"rope numbers", bf16Master, set("rope_scaling", map[string]any{"type": "llama3", "low_freq_factor": 5}), ErrConfig, []string{"low_freq_factor"}},
		{"rope theta", bf16Master, func(c *checkpoint) {
			c.config["rope_theta"] = 0
			c.config["rope_scaling"] = map[string]any{"type": "llama3"}
		}, ErrConfig, []string{"rope_theta"}},
		{"partial rotary", bf16Master, set("partial_rotary_factor", 0.5), ErrUnsupported, []string{"partial_rotary_factor"}},
		{"method", bf16Master, quantize("quant_method", "gptq"), ErrUnsupported, []string{"gptq", "unquantised"}},
		{"inner norm", bf16Master, func(c *checkpoint) {
			quantize("use_rms_norm", true)(c)
			c.config["rms_norm_eps"] = 1e-6
		}, ErrUnsupported, []string{"use_rms_norm", "bitnet"}},
		{"inner norm's eps", bf16Master, quantize("use_rms_norm", true), ErrUnsupported, []string{"quantization_config.rms_norm_eps"}},
		{"not converted", bf16Master, quantize("modules_to_not_convert", []string{"lm_head", "model.layers.0.mlp.up_proj"}), ErrUnsupported, []string{"up_proj"}},
		{"linear class", packedMultiplier, quantize("linear_class", "quadratic"), ErrUnsupported, []string{"quadratic", "option scale_convention"}},
		{"missing norm", bf16Master, drop("layers.1.input_layernorm"), ErrTensor, []string{"layers.1.input_layernorm.weight", "blk.1.attn_norm.weight", "missing"}},
		{"missing projection", bf16Master, drop("layers.0.mlp.up_proj"), ErrTensor, []string{"up_proj", "missing"}},
		{"missing scale", packedMultiplier, drop("layers.0.mlp.up_proj.weight_scale"), ErrTensor, []string{"up_proj.weight_scale", "missing"}},
		{"missing layer", bf16Master, set("num_hidden_layers", 3), ErrTensor, []string{"layers.2.", "missing"}},
		{"missing head", bf16Master, set("tie_word_embeddings", false), ErrTensor, []string{"lm_head.weight", "tie_word_embeddings"}},
		{"extra layer", bf16Master, set("num_hidden_layers", 1), ErrTensor, []string{"layers.1.", "no place"}},
		{"extra tensor", bf16Master, func(c *checkpoint) {
			c.add("model.layers.0.self_attn.q_norm.weight", safetensors.F32, []int64{256}, nan)
		}, ErrTensor, []string{"q_norm"}},
		{"shape", bf16Master, set("intermediate_size", 1024), ErrTensor, []string{"mlp.", "[512 256]", "1024"}},
		{"packed shape", packedMultiplier, set("intermediate_size", 1024), ErrTensor, []string{"mlp.", "[128 256]"}},
		{"vocabulary", bf16Master, set("vocab_size", 265), ErrTensor, []string{"embed_tokens", "[264 256]"}},
		{"integers", bf16Master, func(c *checkpoint) {
			c.drop("model.norm.weight")
			c.raw("model.norm.weight", safetensors.I32, []int64{256}, make([]byte, 1024))
		}, ErrTensor, []string{"model.norm.weight", "I32"}},
		{"floats with scale", bf16Master, func(c *checkpoint) {
			c.add("model.layers.0.mlp.up_proj.weight_scale", safetensors.F32, []int64{1}, []float32{1})
		}, ErrTensor, []string{"up_proj.weight_scale", "U8"}},
		{"scales", packedMultiplier, replace("model.layers.0.mlp.up_proj.weight_scale", safetensors.F32, []int64{2}, []float32{1, 2}), ErrTensor, []string{"up_proj.weight_scale", "2 elements"}},
		{"scale 0", packedMultiplier, replace("model.layers.0.mlp.up_proj.weight_scale", safetensors.F32, []int64{}, []float32{0}), ErrTensor, []string{"up_proj.weight_scale", "positive"}},
		{"scale infinite", packedMultiplier, replace("model.layers.0.mlp.up_proj.weight_scale", safetensors.F32, []int64{}, []float32{float32(math.Inf(1))}), ErrTensor, []string{"up_proj.weight_scale", "element 0 is +Inf"}},
		{"norm NaN", bf16Master, replace("model.layers.0.input_layernorm.weight", safetensors.F32, []int64{256}, nan), ErrTensor, []string{"input_layernorm", "7", "NaN"}},
		{"weight NaN", bf16Master, func(c *checkpoint) {
			c.drop("layers.1.self_attn.o_proj")
			c.add("model.layers.1.self_attn.o_proj.weight", safetensors.F32, []int64{256, 256}, append(make([]float32, 65280), nan...))
		}, ErrTensor, []string{"o_proj", "NaN"}},
		{"embedding overflow", bf16Master, func(c *checkpoint) {
			c.drop("embed_tokens")
			v := make([]float32, 264*256)
			v[2*256+3] = 1e6
			c.add("model.embed_tokens.weight", safetensors.F32, []int64{264, 256}, v)
		}, ErrType, []string{"embed_tokens", "row 2, column 3", "BF16"}},
		{"code 3", packedMultiplier, func(c *checkpoint) {
			c.drop("layers.0.mlp.up_proj.weight")
			data := make([]byte, 128*256)
			data[5*256+9] = 3 << 4 // plane 2
			c.raw("model.layers.0.mlp.up_proj.weight", safetensors.U8, []int64{128, 256}, data)
			c.add("model.layers.0.mlp.up_proj.weight_scale", safetensors.F32, []int64{1}, []float32{1})
		}, ErrTensor, []string{"up_proj", "row 261, column 9", "code 3"}},
		{"original names", llamaDivisor, func(c *checkpoint) {
			for i := range c.tensors {
				c.tensors[i].Name = strings.Replace(c.tensors[i].Name, "self_attn.q_proj", "attention.wq", 1)
			}
		}, ErrUnsupported, []string{"attention.wq", "Hugging Face"}},
		{"no tokenizer", bf16Master, func(c *checkpoint) { delete(c.files, "tokenizer.json") }, ErrTokenizer, []string{"tokenizer.json", "tokenizer.model"}},
		{"tokenizer", bf16Master, func(c *checkpoint) { c.files["tokenizer.json"] = "{}" }, ErrTokenizer, []string{"tokenizer.json"}},
		{"splitter", bf16Master, func(c *checkpoint) {
			c.files["tokenizer.json"] = strings.Replace(c.files["tokenizer.json"], `{1,3}`, `{1,5}`, 1)
		}, ErrTokenizer, []string{"option pre"}},
		{"small vocabulary", bf16Master, func(c *checkpoint) {
			c.config["vocab_size"] = 100
			c.drop("embed_tokens")
			c.add("model.embed_tokens.weight", safetensors.F32, []int64{100, 256}, make([]float32, 25600))
		}, ErrTokenizer, []string{"260", "100"}},
		{"template", bf16Master, func(c *checkpoint) { c.files["tokenizer_config.json"] = `{"chat_template": 7}` }, ErrConfig, []string{"chat_template"}},
		{"generation", bf16Master, func(c *checkpoint) { c.files["generation_config.json"] = `{"eos_token_id": "x"}` }, ErrConfig, []string{"generation_config.json"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := test.form.make(newWeights(t, smallShape, false))
			test.change(c)
			o := i2s
			o.Input, o.Output = c.write(t), filepath.Join(t.TempDir(), "out.gguf")
			_, err := FromHF(context.Background(), o)
			wantError(t, err, test.class, test.parts...)
			wantNothing(t, o.Output)
		})
	}
}

// wantNothing checks that a failed conversion left nothing behind.
func wantNothing(t testing.TB, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) > 0 {
		t.Errorf("%s was left behind", entries[0].Name())
	}
}

// TestOptions refuses what makes no sense before it looks at any file.
func TestOptions(t *testing.T) {
	for _, o := range []Options{
		{},
		{Input: "x"},
		{Input: "x", Output: "y", Type: gguf.TypeQ8_0},
		{Input: "x", Output: "y", Embedding: gguf.TypeI2S},
		{Input: "x", Output: "y", ScaleConvention: 9},
		{Input: "x", Output: "y", Activations: 9},
	} {
		_, err := FromHF(context.Background(), o)
		wantError(t, err, ErrOptions)
	}
	for _, s := range []ScaleConvention{ScaleAuto, ScaleMultiplier, ScaleDivisor} {
		text, err := s.MarshalText()
		var back ScaleConvention
		if err != nil || back.UnmarshalText(text) != nil || back != s {
			t.Errorf("%v becomes %v", s, back)
		}
	}
	if _, err := ParseScaleConvention("both"); !errors.Is(err, ErrOptions) {
		t.Errorf("%v", err)
	}
	if DefaultEmbedding(gguf.TypeI2S) != gguf.TypeF16 || DefaultEmbedding(gguf.TypeF32) != gguf.TypeF32 {
		t.Error("default embeddings")
	}
}

// TestFiles covers what goes wrong with files.
func TestFiles(t *testing.T) {
	c := bf16Master.make(newWeights(t, smallShape, false))
	o := Options{Input: c.write(t), Type: gguf.TypeI2S, Embedding: gguf.TypeF16}
	out := func() string { return filepath.Join(t.TempDir(), "out.gguf") }

	o.Output = filepath.Join(t.TempDir(), "missing", "out.gguf")
	_, err := FromHF(context.Background(), o)
	wantError(t, err, fs.ErrNotExist, "missing")

	o.Output = t.TempDir() // a folder
	_, err = FromHF(context.Background(), o)
	wantError(t, err, gguf.ErrInvalid)

	o.Output = filepath.Join(o.Input, "model.safetensors")
	_, err = FromHF(context.Background(), o)
	wantError(t, err, ErrOptions, "model.safetensors", "checkpoint")

	o.Output = out()
	_, err = FromHF(context.Background(), Options{Input: filepath.Join(t.TempDir(), "nothing"), Output: o.Output})
	wantError(t, err, fs.ErrNotExist, "nothing")

	empty := t.TempDir()
	_, err = FromHF(context.Background(), Options{Input: empty, Output: o.Output})
	wantError(t, err, ErrConfig, "config.json")

	config, err := json.Marshal(c.config)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"config.json": string(config), "pytorch_model.bin": ""} {
		if err := os.WriteFile(filepath.Join(empty, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	_, err = FromHF(context.Background(), Options{Input: empty, Output: o.Output})
	wantError(t, err, ErrUnsupported, "pytorch_model.bin", "safetensors")

	truncated := c.write(t)
	path := filepath.Join(truncated, "model.safetensors")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, info.Size()-100); err != nil {
		t.Fatal(err)
	}
	_, err = FromHF(context.Background(), Options{Input: truncated, Output: o.Output})
	wantError(t, err, safetensors.ErrTruncated, "model.safetensors")

	c.shards = 2
	sharded := c.write(t)
	if err := os.Remove(filepath.Join(sharded, "model-00002-of-00002.safetensors")); err != nil {
		t.Fatal(err)
	}
	_, err = FromHF(context.Background(), Options{Input: sharded, Output: o.Output})
	wantError(t, err, safetensors.ErrIndex, "model-00002-of-00002.safetensors")
	wantNothing(t, o.Output)
}

// TestShrinkingSource cuts the checkpoint while it is being converted.
func TestShrinkingSource(t *testing.T) {
	dir := bf16Master.make(newWeights(t, smallShape, false)).write(t)
	o := Options{Input: dir, Output: filepath.Join(t.TempDir(), "out.gguf"), Type: gguf.TypeI2S, Embedding: gguf.TypeF16}
	o.Progress = func(p Progress) {
		if p.Tensors == 3 {
			if err := os.Truncate(filepath.Join(dir, "model.safetensors"), 1000); err != nil {
				t.Skipf("the file cannot be cut while it is mapped: %v", err)
			}
		}
	}
	_, err := FromHF(context.Background(), o)
	wantError(t, err, safetensors.ErrTruncated, "model.safetensors", "shorter")
	wantNothing(t, o.Output)
}

// TestCancel cancels at every call of Progress.
func TestCancel(t *testing.T) {
	dir := llamaDivisor.make(newWeights(t, smallShape, false)).write(t)
	o := Options{Input: dir, Output: filepath.Join(t.TempDir(), "out.gguf"), Type: gguf.TypeI2S, Embedding: gguf.TypeF16}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := FromHF(ctx, o)
	wantError(t, err, context.Canceled)
	for at := 0; ; at++ {
		ctx, cancel := context.WithCancel(context.Background())
		calls := 0
		complete := false
		o.Progress = func(p Progress) {
			if calls == at {
				cancel()
			}
			calls++
			complete = p.Tensor == ""
		}
		_, err := FromHF(ctx, o)
		cancel()
		if complete { // the last call comes when the file is there
			if err != nil {
				t.Error(err)
			}
			break
		}
		wantError(t, err, context.Canceled)
		wantNothing(t, o.Output)
	}
}

// limited fails like a full disk after n bytes.
type limited struct{ n int }

func (l *limited) Write(p []byte) (int, error) {
	if len(p) > l.n {
		n := l.n
		l.n = 0
		return n, &fs.PathError{Op: "write", Path: "out.gguf", Err: syscall.ENOSPC}
	}
	l.n -= len(p)
	return len(p), nil
}

// TestDiskFull fails after every 64 KiB.
func TestDiskFull(t *testing.T) {
	dir := packedMultiplier.make(newWeights(t, smallShape, false)).write(t)
	o := Options{Input: dir, Output: "out.gguf", Type: gguf.TypeTQ2_0, Embedding: gguf.TypeF16}
	for room := 0; ; room += 1 << 16 {
		_, err := fromHF(context.Background(), o, func(_ string, m *gguf.Metadata, tensors []gguf.TensorSpec) error {
			return gguf.WriteTo(&limited{room}, m, tensors)
		})
		if err == nil {
			if room < 1<<18 {
				t.Errorf("%d bytes were enough", room)
			}
			break
		}
		wantError(t, err, syscall.ENOSPC)
	}
}

// discard is a writeFile that computes everything and keeps nothing.
func discard(_ string, m *gguf.Metadata, tensors []gguf.TensorSpec) error {
	return gguf.WriteTo(io.Discard, m, tensors)
}

// TestMutatedConfig converts with a thousand damaged configurations. None may
// panic; what still converts is fine.
func TestMutatedConfig(t *testing.T) {
	c := llamaDivisor.make(newWeights(t, shape{hidden: 64, ffn: 128, layers: 1, heads: 2, kvHeads: 1, vocab: 264}, false))
	c.config["rope_scaling"] = map[string]any{"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 64}
	c.config["eos_token_id"] = []int{257, 258}
	c.config["head_dim"], c.config["sliding_window"], c.config["partial_rotary_factor"] = 32, 64, 1
	dir := c.write(t)
	path := filepath.Join(dir, "config.json")
	original, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(3, 4))
	converted := 0
	for i := range 1000 {
		text := mutateBytes(r, original)
		if i%2 == 0 {
			text = mutateJSON(r, original)
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		func() {
			defer func() {
				if p := recover(); p != nil {
					t.Fatalf("panic %v with config.json\n%s", p, text)
				}
			}()
			o := Options{Input: dir, Output: "x", Type: gguf.TypeI2S, Embedding: gguf.TypeF16}
			if _, err := fromHF(context.Background(), o, discard); err == nil {
				converted++
			} else if !strings.HasPrefix(err.Error(), "convert: ") {
				t.Errorf("an error does not say where it comes from: %v", err)
			}
		}()
	}
	t.Logf("%d of 1000 damaged configurations still convert", converted)
	if converted == 0 || converted > 900 {
		t.Errorf("%d of 1000 damaged configurations convert: the damage is not what this test is about", converted)
	}
}

// mutateJSON replaces the value of one or two keys by an odd one.
func mutateJSON(r *rand.Rand, text []byte) []byte {
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		panic(err)
	}
	odd := []any{nil, true, "", "x", -1, 0, 1, 2, 3, 0.5, 1e300, -1e300, 1 << 24, int64(math.MaxInt64), uint64(math.MaxUint64),
		[]any{}, []any{1, "x"}, []any{nil}, map[string]any{}, map[string]any{"rope_type": "linear", "factor": 1e-300}, strings.Repeat("long", 100)}
	for range 1 + r.IntN(2) {
		target := m
		var keys []string
		for _, name := range []string{"rope_scaling", "quantization_config"} {
			if inner, ok := m[name].(map[string]any); ok && r.IntN(6) == 0 {
				target = inner
			}
		}
		for k := range target {
			keys = append(keys, k)
		}
		if len(keys) == 0 {
			continue
		}
		k := keys[r.IntN(len(keys))]
		if r.IntN(8) == 0 {
			delete(target, k)
		} else {
			target[k] = odd[r.IntN(len(odd))]
		}
	}
	out, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return out
}

// mutateBytes changes, removes or repeats some bytes.
func mutateBytes(r *rand.Rand, text []byte) []byte {
	out := append([]byte(nil), text...)
	for range 1 + r.IntN(3) {
		i := r.IntN(len(out))
		switch r.IntN(4) {
		case 0:
			out[i] = byte(r.IntN(256))
		case 1:
			out[i] = "0123456789-.eE\"[]{},:"[r.IntN(21)]
		case 2:
			n := min(1+r.IntN(20), len(out)-i-1)
			out = append(out[:i:i], out[i+n:]...)
		case 3:
			n := min(1+r.IntN(20), len(out)-i)
			out = append(out[:i+n:i+n], out[i:]...)
		}
	}
	return out
}

// FuzzConfig converts with arbitrary configurations.
func FuzzConfig(f *testing.F) {
	c := packedMultiplier.make(newWeights(f, shape{hidden: 64, ffn: 128, layers: 1, heads: 2, kvHeads: 1, vocab: 264}, false))
	dir := c.write(f)
	path := filepath.Join(dir, "config.json")
	original, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(original, []byte(c.files["generation_config.json"]), []byte(c.files["tokenizer_config.json"]))
	f.Add([]byte(`{"architectures": ["LlamaForCausalLM"]}`), []byte(`{"top_k": -1}`), []byte(`{"chat_template": [{"name": "a", "template": "b"}]}`))
	f.Fuzz(func(t *testing.T, config, generation, tokens []byte) {
		for name, text := range map[string][]byte{"config.json": config, "generation_config.json": generation, "tokenizer_config.json": tokens} {
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		o := Options{Input: dir, Output: "x", Type: gguf.TypeI2S, Embedding: gguf.TypeF16}
		if _, err := fromHF(context.Background(), o, discard); err != nil && !strings.HasPrefix(err.Error(), "convert: ") {
			t.Errorf("an error does not say where it comes from: %v", err)
		}
	})
}

func ExampleDecision() {
	fmt.Println(Decision{"weight_scale", "divisor", "quantization_config.linear_class is \"bitlinear\""})
	// Output: weight_scale: divisor (quantization_config.linear_class is "bitlinear")
}
