package convert

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"trit/gguf"
	"trit/internal/model"
	"trit/internal/safetensors"
)

// writeFiles makes a folder with files, which may be in folders of their own.
func writeFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// sizes are what every config.json has.
const sizes = `"architectures": ["LlamaForCausalLM"], "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2,
	"num_attention_heads": 2, "vocab_size": 40, "max_position_embeddings": 64, "rms_norm_eps": 1e-5`

const lfs = "version https://git-lfs.example/spec/v1\noid sha256:00\nsize 12345\n"

// TestConfigFolders: what stands elsewhere than usual is found, and what is no model is
// refused by what it is.
func TestConfigFolders(t *testing.T) {
	for _, test := range []struct {
		name  string
		files map[string]string
		says  string // of the error, or the base of the rotation
		base  float64
	}{
		{"plain", map[string]string{"config.json": `{` + sizes + `, "rope_theta": 5000}`}, "", 5000},
		{"parameters", map[string]string{"config.json": `{` + sizes + `, "rope_parameters": {"rope_type": "default", "rope_theta": 12345}}`}, "", 12345},
		{"nested", map[string]string{"config.json": `{` + sizes + `, "rope_parameters": {"full_attention": {"rope_theta": 12345}}}`}, "", 12345},
		{"nested scaling", map[string]string{"config.json": `{` + sizes + `, "rope_scaling": {"full_attention": {"rope_theta": 12345},
			"sliding_attention": {"rope_theta": 7}}}`}, "", 12345},
		{"text_config", map[string]string{"config.json": `{"text_config": {` + sizes + `, "rope_theta": 77}}`}, "", 77},
		{"other kind", map[string]string{"config.json": `{` + sizes + `, "rope_parameters": {"chunked_attention": {"rope_theta": 1}}}`}, "chunked_attention", 0},
		{"two kinds and another", map[string]string{"config.json": `{` + sizes + `, "rope_parameters": {"full_attention": {}, "x": {}}}`}, `"x"`, 0},
		{"no full", map[string]string{"config.json": `{` + sizes + `, "rope_parameters": {"sliding_attention": {}}}`}, "full_attention", 0},
		{"soft caps", map[string]string{"config.json": `{` + sizes + `, "final_logit_softcapping": 30}`}, "final_logit_softcapping", 0},
		{"bidirectional", map[string]string{"config.json": `{` + sizes + `, "use_bidirectional_attention": true}`}, "use_bidirectional_attention", 0},
		{"nothing", map[string]string{"README.md": "x"}, "no config.json", 0},
		{"adapter", map[string]string{"adapter_config.json": `{"peft_type": "LORA", "base_model_name_or_path": "org/base"}`},
			`an adapter ("LORA") and no model; merge it into its base model "org/base"`, 0},
		{"placeholder", map[string]string{"config.json": lfs}, "placeholder of Git LFS", 0},
	} {
		c, err := readConfig(writeFiles(t, test.files))
		if test.says != "" {
			if err == nil || !strings.Contains(err.Error(), test.says) || !errors.Is(err, ErrConfig) && !errors.Is(err, ErrUnsupported) {
				t.Errorf("%s: %v, want %q", test.name, err, test.says)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		p := &hfPlan{hf: c, family: &model.Arch{Names: []string{"llama"}}, plan: plan{report: &Report{}}}
		if base := p.ropeBase(); base != test.base {
			t.Errorf("%s: rope base %v, want %v", test.name, base, test.base)
		}
	}
	if _, err := openSource(writeFiles(t, map[string]string{"model.safetensors": lfs}), "", team{}); err == nil || !strings.Contains(err.Error(), "Git LFS") {
		t.Errorf("a placeholder of weights: %v", err)
	}
}

// TestTemplateFiles: chat templates are found in every file that may have them.
func TestTemplateFiles(t *testing.T) {
	const own, processor = `{"chat_template": "own"}`, `{"chat_template": "processor"}`
	for _, test := range []struct {
		name  string
		files map[string]string
		want  string // the default one
		named map[string]string
	}{
		{"none", map[string]string{"tokenizer_config.json": `{}`}, "", nil},
		{"own", map[string]string{"tokenizer_config.json": own}, "own", nil},
		{"processor", map[string]string{"tokenizer_config.json": `{}`, "chat_template.json": processor}, "processor", nil},
		{"both", map[string]string{"tokenizer_config.json": own, "chat_template.json": processor}, "own", nil},
		{"file", map[string]string{"tokenizer_config.json": own, "chat_template.jinja": "file"}, "file", nil},
		{"list", map[string]string{"tokenizer_config.json": `{"chat_template": [{"name": "default", "template": "d"}, {"name": "tool_use", "template": "t"}]}`},
			"d", map[string]string{"tool_use": "t"}},
		{"folder", map[string]string{"chat_template.jinja": "file", "additional_chat_templates/rag.jinja": "r"}, "file", map[string]string{"rag": "r"}},
	} {
		f := &tokenFiles{dir: writeFiles(t, test.files)}
		if err := f.readTemplates(); err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		p := &hfPlan{plan: plan{meta: new(gguf.Metadata), report: &Report{}}}
		if err := p.templates(f); err != nil {
			t.Fatal(err)
		}
		got, err := p.meta.StringOr("tokenizer.chat_template", "")
		if err != nil || got != test.want {
			t.Errorf("%s: %q, %v, want %q", test.name, got, err, test.want)
		}
		for name, want := range test.named {
			if got, err := p.meta.String("tokenizer.chat_template." + name); err != nil || got != want {
				t.Errorf("%s: %s is %q, %v, want %q", test.name, name, got, err, want)
			}
		}
	}
	f := &tokenFiles{dir: writeFiles(t, map[string]string{"chat_template.json": `{"chat_template": 3}`})}
	if err := f.readTemplates(); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "chat_template.json") {
		t.Errorf("a number as template: %v", err)
	}
}

// TestEmbeddingFiles: pooling and prefixes of sentence-transformers are kept, and what
// vectors would be without is refused.
func TestEmbeddingFiles(t *testing.T) {
	const modules = `[{"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"},
		{"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
		{"idx": 2, "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}]`
	const mean = `{"word_embedding_dimension": 8, "pooling_mode_mean_tokens": true, "pooling_mode_cls_token": false}`
	for _, test := range []struct {
		name    string
		files   map[string]string
		pooling model.Pooling
		query   string
		says    string
	}{
		{"none", map[string]string{}, 0, "", ""},
		{"mean", map[string]string{"modules.json": modules, "1_Pooling/config.json": mean}, model.PoolMean, "", ""},
		{"last", map[string]string{"modules.json": modules, "1_Pooling/config.json": `{"pooling_mode_lasttoken": true, "include_prompt": true}`,
			"config_sentence_transformers.json": `{"prompts": {"query": "query: ", "document": ""}}`}, model.PoolLast, "query: ", ""},
		{"newer", map[string]string{"modules.json": modules, "1_Pooling/config.json": `{"pooling_mode": "lasttoken"}`}, model.PoolLast, "", ""},
		{"any length", map[string]string{"modules.json": strings.ReplaceAll(modules, "Normalize", "Transformer"), "1_Pooling/config.json": mean},
			model.PoolMean, "", ""},
		{"max", map[string]string{"modules.json": modules, "1_Pooling/config.json": `{"pooling_mode_max_tokens": true}`}, 0, "", "pooling_mode_max_tokens"},
		{"newer max", map[string]string{"modules.json": modules, "1_Pooling/config.json": `{"pooling_mode": "max"}`}, 0, "", "pooling_mode"},
		{"two", map[string]string{"modules.json": modules, "1_Pooling/config.json": `{"pooling_mode_lasttoken": true, "pooling_mode_cls_token": true}`},
			0, "", "want one of"},
		{"without prompt", map[string]string{"modules.json": modules, "1_Pooling/config.json": `{"include_prompt": false}`}, 0, "", "include_prompt"},
		{"missing", map[string]string{"modules.json": modules}, 0, "", "1_Pooling"},
		{"dense", map[string]string{"modules.json": `[{"path": "2_Dense", "type": "sentence_transformers.models.Dense"}]`}, 0, "", `"Dense"`},
		{"outside", map[string]string{"modules.json": `[{"path": "../..", "type": "x.Pooling"}]`}, 0, "", "out of the folder"},
	} {
		f, err := readEmbedding(writeFiles(t, test.files))
		if test.says != "" {
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%s: %v, want %q", test.name, err, test.says)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		p := &hfPlan{config: &model.Config{Architecture: "qwen3"}, plan: plan{meta: new(gguf.Metadata), report: &Report{}}}
		if err := p.embedding(f); err != nil {
			t.Fatal(err)
		}
		got, _ := p.meta.Uint32("qwen3." + model.KeyPooling)
		query, _ := p.meta.StringOr("qwen3."+model.KeyQueryPrefix, "")
		if lengths := len(p.report.Decisions) == 1; test.pooling != 0 && lengths != (test.files["modules.json"] == modules) {
			t.Errorf("%s: %v", test.name, p.report.Decisions)
		}
		if got != uint32(test.pooling) || query != test.query || p.meta.Has("qwen3."+model.KeyPooling) != (test.pooling != 0) {
			t.Errorf("%s: pooling %d, query prefix %q", test.name, got, query)
		}
	}
}

// TestGemma3Plan: windows, rotations, activation function and norms of Gemma 3.
func TestGemma3Plan(t *testing.T) {
	p := llamaHeaders(safetensors.BF16)
	for key, v := range map[string]any{
		"architectures": []string{"Gemma3ForCausalLM"}, "hidden_act": nil, "hidden_activation": "gelu_pytorch_tanh", "head_dim": 64,
		"query_pre_attn_scalar": 64, "sliding_window": 32, "layer_types": []string{"sliding_attention"}, "weight_bits": 1, "rope_theta": nil,
		"rope_parameters": map[string]any{"full_attention": map[string]any{"rope_theta": 5e5}, "sliding_attention": map[string]any{"rope_theta": 2e4}},
	} {
		p.config[key] = v
	}
	for _, norm := range []string{"pre_feedforward_layernorm", "post_feedforward_layernorm"} {
		p.add("model.layers.0."+norm+".weight", safetensors.BF16, 128)
	}
	for _, norm := range []string{"q_norm", "k_norm"} {
		p.add("model.layers.0.self_attn."+norm+".weight", safetensors.BF16, 64)
	}
	plan, err := p.plan(t, Options{Input: "in", Output: "out", Type: gguf.TypeI2S, Embedding: gguf.TypeF16}, FormMaster)
	if err != nil {
		t.Fatal(err)
	}
	c := plan.config
	if c.HiddenAct != model.GELUTanh || c.RopeBase != 5e5 || c.LocalRopeBase != 2e4 || c.WindowOf(0) != 32 || c.Rotation(0) != model.RotateLocal || c.Context != 64 {
		t.Errorf("%+v", c)
	}
	from := map[string]string{}
	for _, j := range plan.jobs {
		if j.role == model.RoleVector {
			from[j.name] = strings.TrimPrefix(j.source.Name, "model.layers.0.")
			if j.form == nil || j.form.Value(0.5) != 1.5 {
				t.Errorf("%s is not counted from 1", j.name)
			}
		}
	}
	for name, want := range map[string]string{
		"blk.0.attn_norm.weight": "input_layernorm.weight", "blk.0.post_attention_norm.weight": "post_attention_layernorm.weight",
		"blk.0.ffn_norm.weight": "pre_feedforward_layernorm.weight", "blk.0.post_ffw_norm.weight": "post_feedforward_layernorm.weight",
		"blk.0.attn_q_norm.weight": "self_attn.q_norm.weight", "output_norm.weight": "model.norm.weight",
	} {
		if from[name] != want {
			t.Errorf("%s comes from %q, want %q", name, from[name], want)
		}
	}
	p.config["query_pre_attn_scalar"] = 99
	if _, err := p.plan(t, Options{Input: "in", Output: "out", Type: gguf.TypeI2S, Embedding: gguf.TypeF16}, FormMaster); !errors.Is(err, ErrUnsupported) {
		t.Errorf("query_pre_attn_scalar: %v", err)
	}
}
