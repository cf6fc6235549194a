package convert

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"trit/gguf"
	"trit/internal/safetensors"
	"trit/quant"
	"trit/tokenizer"
)

// TestConventions checks who decides what weight_scale means, and the check
// against the norms.
func TestConventions(t *testing.T) {
	for _, test := range []struct {
		class, mode string
		override    ScaleConvention
		want        string
		verdict     string
	}{
		{"autobitlinear", "offline", ScaleAuto, "multiplier", "agrees"},
		{"bitlinear", "offline", ScaleAuto, "divisor", "contradicts"},
		{"", "", ScaleAuto, "divisor", "contradicts"},
		{"bitlinear", "offline", ScaleMultiplier, "multiplier", "agrees"},
		{"other", "offline", ScaleMultiplier, "multiplier", "agrees"},
		{"autobitlinear", "offline", ScaleDivisor, "divisor", "contradicts"},
	} {
		f := packedMultiplier
		f.config = quantization(test.class, test.mode)
		w := newWeights(t, smallShape, false)
		report, file := convertTo(t, f.make(w).write(t), Options{Type: gguf.TypeI2S, Embedding: gguf.TypeF16, ScaleConvention: test.override})
		if report.ScaleConvention != test.want {
			t.Errorf("%+v: convention %s", test, report.ScaleConvention)
		}
		if c := report.ScaleCheck; c == nil || c.Verdict != test.verdict || c.Projections != 14 || (test.verdict == "contradicts") != (len(report.Warnings) > 0) {
			t.Errorf("%+v: check %+v, warnings %q", test, c, report.Warnings)
		}
		_, scales := ternaryOf(t, file, "blk.0.attn_v.weight")
		want := w.layers[0].projections["v"].scale
		if test.want == "divisor" {
			want = 1 / want
		}
		if scales[0] != want {
			t.Errorf("%+v: scale %v, want %v", test, scales[0], want)
		}
	}
}

// TestMetadata checks the keys that do not follow from shapes.
func TestMetadata(t *testing.T) {
	w := newWeights(t, smallShape, true)
	c := llamaDivisor.make(w)
	c.config["rope_scaling"] = map[string]any{
		"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64,
	}
	c.config["sliding_window"] = 100
	c.config["eos_token_id"] = []int{257, 259, 100000}
	c.files["README.md"] = "---\nlanguage: en\nlicense: apache-2.0\n---\n# A model\n"
	c.files["chat_template.jinja"] = "from the file"
	report, f := convertTo(t, c.write(t), Options{Type: gguf.TypeI2S, Embedding: gguf.TypeQ8_0})
	m := f.Metadata
	for key, want := range map[string]string{
		"general.architecture": "llama", "general.name": "some-model", "general.license": "apache-2.0", "llama.hidden_act": "silu",
		"tokenizer.chat_template": "from the file", "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "llama-bpe",
	} {
		if got, err := m.String(key); err != nil || got != want {
			t.Errorf("%s is %q (%v), want %q", key, got, err, want)
		}
	}
	for key, want := range map[string]uint32{
		"llama.context_length": 100, "llama.vocab_size": 264, "llama.rope.dimension_count": 64,
		"tokenizer.ggml.eos_token_id": 257, "tokenizer.ggml.eot_token_id": 259, "tokenizer.ggml.bos_token_id": 256,
		"trit.sampling.top_k": 40, "general.quantization_version": 2,
	} {
		if got, err := m.Uint32(key); err != nil || got != want {
			t.Errorf("%s is %d (%v), want %d", key, got, err, want)
		}
	}
	for key, want := range map[string]float32{"trit.sampling.temperature": 0.6, "trit.sampling.top_p": 0.9, "llama.rope.freq_base": 10000} {
		if got, err := m.Float32(key); err != nil || got != want {
			t.Errorf("%s is %v (%v), want %v", key, got, err, want)
		}
	}
	if ids, err := m.Int32s("tokenizer.ggml.eog_token_ids"); err != nil || !slices.Equal(ids, []int32{257, 259, 258}) {
		t.Errorf("stop tokens %v (%v)", ids, err)
	}
	if tokens, err := m.Strings("tokenizer.ggml.tokens"); err != nil || len(tokens) != 264 || tokens[263] != "[PAD263]" {
		t.Errorf("tokens: %d (%v)", len(tokens), err)
	}
	if m.Has("llama.activations") || m.Has("llama.attention.key_length") {
		t.Error("keys are written that say what readers assume anyway")
	}
	tok, err := tokenizer.FromGGUF(m)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(tok.EOG(), []int32{257, 258, 259}) {
		t.Errorf("the tokenizer stops at %v", tok.EOG())
	}
	if text := tok.Decode(tok.Encode("abc")); text != "abc" {
		t.Errorf("the tokenizer gives %q", text)
	}
	if !slices.ContainsFunc(report.Warnings, func(s string) bool { return strings.Contains(s, "100000") }) {
		t.Errorf("no warning of a stop token outside the vocabulary: %q", report.Warnings)
	}

	// The factors, by the definition in Meta's release: short wavelengths keep
	// their frequency, long ones are divided by the factor.
	factors, ok := f.Tensor("rope_freqs.weight")
	if !ok || factors.Elements() != 32 {
		t.Fatal("rope_freqs is missing or has another length")
	}
	data, err := factors.Data()
	if err != nil {
		t.Fatal(err)
	}
	got := make([]float32, 32)
	if err := quant.Decode(gguf.TypeF32, got, data); err != nil {
		t.Fatal(err)
	}
	for i, x := range got {
		lambda := 2 * math.Pi * math.Pow(10000, float64(i)/32)
		want := 8.0
		switch smooth := (64/lambda - 1) / 3; {
		case lambda < 16:
			want = 1
		case lambda <= 64:
			want = 1 / ((1-smooth)/8 + smooth)
		}
		if math.Abs(float64(x)-want) > 1e-6*want {
			t.Errorf("factor %d is %v, want %v", i, x, want)
		}
	}
}

// TestHeadDim writes the width of heads that do not fill the hidden size.
func TestHeadDim(t *testing.T) {
	s := smallShape
	w := newWeights(t, s, false)
	c := bf16Master.make(w)
	c.config["num_attention_heads"], c.config["num_key_value_heads"], c.config["head_dim"] = 2, 1, 128
	_, f := convertTo(t, c.write(t), Options{Type: gguf.TypeI2S, Embedding: gguf.TypeF16})
	if f.Metadata.Has("bitnet-b1.58.attention.key_length") {
		t.Error("key_length is written although it is the default")
	}
	// One head of 128 beside a hidden size of 256: half of the rows of q.
	c = bf16Master.make(w)
	c.config["num_attention_heads"], c.config["num_key_value_heads"], c.config["head_dim"] = 1, 1, 128
	for i, l := range w.layers {
		prefix := fmt.Sprintf("model.layers.%d.self_attn.", i)
		c.drop(prefix + "q_proj")
		c.drop(prefix + "o_proj")
		c.drop(prefix + "attn_sub_norm")
		c.add(prefix+"q_proj.weight", safetensors.BF16, []int64{128, 256}, l.projections["q"].master[:128*256])
		c.add(prefix+"o_proj.weight", safetensors.BF16, []int64{256, 128}, l.projections["o"].master[:128*256])
		c.add(prefix+"attn_sub_norm.weight", safetensors.BF16, []int64{128}, l.norms["attnSub"][:128])
	}
	_, f = convertTo(t, c.write(t), Options{Type: gguf.TypeI2S, Embedding: gguf.TypeF16})
	if n, err := f.Metadata.Uint32("bitnet-b1.58.attention.key_length"); err != nil || n != 128 {
		t.Errorf("key_length %d (%v)", n, err)
	}
	logitsOf(t, f, 0)
}

// TestReproducible converts twice and compares bytes; the second time from an
// index file and over an existing output.
func TestReproducible(t *testing.T) {
	c := llamaDivisor.make(newWeights(t, smallShape, true))
	c.shards = 2
	dir := c.write(t)
	out := filepath.Join(t.TempDir(), "out.gguf")
	var files [2][]byte
	for i, input := range []string{dir, filepath.Join(dir, "model.safetensors.index.json")} {
		if _, err := FromHF(context.Background(), Options{Input: input, Output: out, Type: gguf.TypeTQ1_0, Embedding: gguf.TypeF16}); err != nil {
			t.Fatal(err)
		}
		var err error
		if files[i], err = os.ReadFile(out); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(files[0], files[1]) {
		t.Error("two conversions differ")
	}
}

// TestByteOrderMarks puts a byte order mark before every text of a checkpoint: what
// is made of it is the same.
func TestByteOrderMarks(t *testing.T) {
	c := llamaDivisor.make(newWeights(t, smallShape, true))
	c.shards = 2
	c.files["chat_template.jinja"] = "{{ messages[0].content }}"
	c.files["README.md"] = "---\nlicense: mit\n---\n"
	dir := c.write(t)
	plain, f := convertTo(t, dir, Options{Type: gguf.TypeI2S, Embedding: gguf.TypeF16})
	if license, err := f.Metadata.String("general.license"); err != nil || license != "mit" {
		t.Fatalf("licence %q, %v", license, err)
	}
	texts, err := filepath.Glob(filepath.Join(dir, "*[nad]")) // .json, .jinja, .md
	if err != nil || len(texts) < 5 {
		t.Fatalf("texts %q, %v", texts, err)
	}
	for _, path := range texts {
		data, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, append([]byte("\uFEFF"), data...), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	marked, _ := convertTo(t, dir, Options{Type: gguf.TypeI2S, Embedding: gguf.TypeF16})
	want, err := os.ReadFile(plain.Output)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(marked.Output); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the files differ (%v)", err)
	}
}

// TestProgress checks that progress grows, ends complete, and counts what the
// report counts.
func TestProgress(t *testing.T) {
	for _, f := range []checkpointForm{bf16Master, llamaDivisor} {
		dir := f.make(newWeights(t, smallShape, false)).write(t)
		var last Progress
		calls := 0
		report, _ := convertTo(t, dir, Options{Type: gguf.TypeI2S, Embedding: gguf.TypeF16, Progress: func(p Progress) {
			calls++
			if p.Bytes < last.Bytes || p.Tensors < last.Tensors || p.Bytes > p.TotalBytes {
				t.Errorf("from %+v to %+v", last, p)
			}
			last = p
		}})
		if calls < len(report.Tensors) || last.Bytes != last.TotalBytes || last.Tensors != last.TotalTensors || last.Bytes != report.SourceBytes || last.Tensor != "" {
			t.Errorf("%d calls, the last %+v; %d source bytes", calls, last, report.SourceBytes)
		}
	}
}

// TestRound converts a model that was not trained ternary only when told to.
func TestRound(t *testing.T) {
	f := triLM
	f.project = master(safetensors.F32)
	dir := f.make(newWeights(t, smallShape, true)).write(t)
	out := filepath.Join(t.TempDir(), "x.gguf")
	_, err := FromHF(context.Background(), Options{Input: dir, Output: out, Type: gguf.TypeI2S, Embedding: gguf.TypeF16})
	wantError(t, err, ErrNotTernary, "quantization_config", "LlamaForCausalLM", "cosine", "0.8", "option round")
	report, _ := convertTo(t, dir, Options{Type: gguf.TypeI2S, Embedding: gguf.TypeF16, Round: true})
	if len(report.Warnings) == 0 || report.Activations != "float" {
		t.Errorf("warnings %q, activations %s", report.Warnings, report.Activations)
	}
}
