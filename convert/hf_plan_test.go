package convert

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trit/gguf"
	"trit/internal/safetensors"
)

// planned is the configuration and the headers that a plan is made of.
type planned struct {
	config  map[string]any
	headers []*safetensors.Tensor
}

// llamaHeaders describes a Llama model of one layer whose projections have the given
// element type; packed ones (U8) have a weight_scale.
func llamaHeaders(projections safetensors.DType) *planned {
	p := &planned{config: map[string]any{
		"architectures": []string{"LlamaForCausalLM"}, "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 1,
		"num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 40, "max_position_embeddings": 64,
		"rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": true,
	}}
	p.add("model.embed_tokens.weight", safetensors.BF16, 40, 128)
	p.add("model.norm.weight", safetensors.BF16, 128)
	for _, norm := range []string{"input_layernorm", "post_attention_layernorm"} {
		p.add("model.layers.0."+norm+".weight", safetensors.BF16, 128)
	}
	for _, m := range []struct {
		name       string
		rows, cols int64
	}{
		{"self_attn.q_proj", 128, 128}, {"self_attn.k_proj", 64, 128}, {"self_attn.v_proj", 64, 128}, {"self_attn.o_proj", 128, 128},
		{"mlp.gate_proj", 256, 128}, {"mlp.up_proj", 256, 128}, {"mlp.down_proj", 128, 256},
	} {
		name := "model.layers.0." + m.name
		if projections == safetensors.U8 {
			p.add(name+".weight", projections, m.rows/4, m.cols)
			p.add(name+".weight_scale", safetensors.BF16, 1)
			continue
		}
		p.add(name+".weight", projections, m.rows, m.cols)
	}
	return p
}

func (p *planned) add(name string, d safetensors.DType, shape ...int64) {
	p.headers = append(p.headers, &safetensors.Tensor{Name: name, DType: d, Shape: shape})
}

// plan takes the steps that need no tokenizer, and calls weights with the forms.
func (p *planned) plan(t *testing.T, o Options, forms ...Form) (*hfPlan, error) {
	t.Helper()
	text, err := json.Marshal(p.config)
	if err != nil {
		t.Fatal(err)
	}
	config := new(hfConfig)
	if err := json.Unmarshal(text, config); err != nil {
		t.Fatal(err)
	}
	if err := config.check(); err != nil {
		t.Fatal(err)
	}
	plan, err := newHFPlan(o, config)
	if err != nil {
		return nil, err
	}
	if err := plan.model("a model", "mit"); err != nil {
		return nil, err
	}
	if err := plan.tensors(p.headers); err != nil {
		return nil, err
	}
	if err := plan.scales(); err != nil {
		return nil, err
	}
	found := map[Form]bool{}
	for _, f := range forms {
		found[f] = true
	}
	plan.weights(found)
	return plan, plan.activations()
}

// TestHFPlan: what is written for a checkpoint, under which names and in which types,
// follows from its configuration and its headers.
func TestHFPlan(t *testing.T) {
	p := llamaHeaders(safetensors.BF16)
	p.config["weight_bits"] = 1
	p.add("model.layers.0.self_attn.q_proj.bias", safetensors.F32, 128)
	p.add("model.layers.0.self_attn.rotary_emb.inv_freq", safetensors.F32, 32) // follows from the configuration
	plan, err := p.plan(t, Options{Input: "in", Output: "out", Type: gguf.TypeI2S, Embedding: gguf.TypeQ8_0}, FormMaster)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, j := range plan.jobs {
		got = append(got, fmt.Sprintf("%s %v %v < %s", j.name, j.dims, j.typ, j.from()))
	}
	want := []string{
		"token_embd.weight [128 40] Q8_0 < model.embed_tokens.weight",
		"output_norm.weight [128] F32 < model.norm.weight",
		"blk.0.attn_norm.weight [128] F32 < model.layers.0.input_layernorm.weight",
		"blk.0.attn_q.weight [128 128] I2_S < model.layers.0.self_attn.q_proj.weight",
		"blk.0.attn_q.bias [128] F32 < model.layers.0.self_attn.q_proj.bias",
		"blk.0.attn_k.weight [128 64] I2_S < model.layers.0.self_attn.k_proj.weight",
		"blk.0.attn_v.weight [128 64] I2_S < model.layers.0.self_attn.v_proj.weight",
		"blk.0.attn_output.weight [128 128] I2_S < model.layers.0.self_attn.o_proj.weight",
		"blk.0.ffn_norm.weight [128] F32 < model.layers.0.post_attention_layernorm.weight",
		"blk.0.ffn_gate.weight [128 256] I2_S < model.layers.0.mlp.gate_proj.weight",
		"blk.0.ffn_up.weight [128 256] I2_S < model.layers.0.mlp.up_proj.weight",
		"blk.0.ffn_down.weight [256 128] I2_S < model.layers.0.mlp.down_proj.weight",
	}
	slices.Sort(got)
	slices.Sort(want) // the order is the family's
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	// The rows of a head change their order for q and k, and their biases with them.
	for name, rows := range map[string]int{"blk.0.attn_q.weight": 64, "blk.0.attn_q.bias": 64, "blk.0.attn_k.weight": 64, "blk.0.attn_v.weight": 0} {
		i := slices.IndexFunc(plan.jobs, func(j *job) bool { return j.name == name })
		if plan.jobs[i].headRows != rows {
			t.Errorf("%s: heads of %d rows, want %d", name, plan.jobs[i].headRows, rows)
		}
	}
	if d := cmp.Diff([]Decision{
		{"weights", "rounded by absmean", "some projections hold real-valued master weights"},
		{"activations", "int8", "weight_bits is 1"},
	}, plan.report.Decisions); d != "" {
		t.Error(d)
	}
	for key, value := range map[string]any{
		"general.architecture": "llama", "general.name": "a model", "general.license": "mit", "general.file_type": uint32(40),
		"llama.block_count": uint32(1), "llama.attention.head_count_kv": uint32(1), "llama.rope.dimension_count": uint32(64),
	} {
		if got, ok := plan.meta.Get(key); !ok || got.Any() != value {
			t.Errorf("%s is %v, want %v", key, got, value)
		}
	}
	if plan.meta.Has("llama.activations") {
		t.Error("int8 activations are written down, though readers assume them")
	}
	want8 := int64(2) * (40*128 + 128*3 + 128*128*2 + 64*128*2 + 256*128*3)
	if got := plan.sourceBytes(); got != want8+4*128 {
		t.Errorf("%d bytes of the source, want %d", got, want8+4*128)
	}
}

// TestHFPlanDecides: what a checkpoint leaves open, and how that is settled.
func TestHFPlanDecides(t *testing.T) {
	for _, test := range []struct {
		name    string
		dtype   safetensors.DType
		change  func(p *planned)
		o       Options
		forms   []Form
		want    []string // decisions
		warning string
		rules   rules
	}{
		{name: "packed codes divide", dtype: safetensors.U8,
			change: func(p *planned) { p.config["quantization_config"] = map[string]any{"quant_method": "bitnet"} },
			forms:  []Form{FormPacked},
			want:   []string{"weight_scale: divisor", "weights: taken as they are", "activations: int8"},
			rules:  rules{convention: ScaleDivisor, declared: `quantization_config.quant_method is "bitnet"`}},
		{name: "autobitlinear multiplies", dtype: safetensors.U8,
			change: func(p *planned) {
				p.config["quantization_config"] = map[string]any{"quant_method": "bitnet", "linear_class": "autobitlinear"}
			},
			forms: []Form{FormPacked},
			want:  []string{"weight_scale: multiplier", "weights: taken as they are", "activations: int8"},
			rules: rules{convention: ScaleMultiplier, declared: `quantization_config.quant_method is "bitnet"`}},
		{name: "the caller's convention", dtype: safetensors.U8, o: Options{ScaleConvention: ScaleMultiplier},
			want:  []string{"weight_scale: multiplier", "activations: float"},
			rules: rules{convention: ScaleMultiplier}},
		{name: "a convention without scales", dtype: safetensors.F32, o: Options{ScaleConvention: ScaleMultiplier},
			want: []string{"activations: float"}, warning: "has no effect"},
		{name: "floats rounded", dtype: safetensors.F16, o: Options{Round: true}, forms: []Form{FormMaster},
			want:    []string{"weights: rounded by absmean", "activations: float"},
			warning: "expect nonsense", rules: rules{round: true}},
		{name: "the caller's activations", dtype: safetensors.F16, o: Options{Activations: 1}, forms: []Form{FormTernary},
			want: []string{"weights: taken as they are", "activations: int8"}},
		{name: "a head beside a tied one", dtype: safetensors.F16,
			change: func(p *planned) { p.add("lm_head.weight", safetensors.F16, 40, 128) },
			want:   []string{"output head: the token embedding", "activations: float"}},
		{name: "no word about ties", dtype: safetensors.F16, change: func(p *planned) { delete(p.config, "tie_word_embeddings") },
			want: []string{"output head: the token embedding", "activations: float"}},
		{name: "a sliding window", dtype: safetensors.F16, change: func(p *planned) { p.config["sliding_window"] = 32 },
			want: []string{"context_length: 32", "activations: float"}},
	} {
		p := llamaHeaders(test.dtype)
		if test.change != nil {
			test.change(p)
		}
		test.o.Type, test.o.Embedding = gguf.TypeF32, gguf.TypeF32
		plan, err := p.plan(t, test.o, test.forms...)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		var got []string
		for _, d := range plan.report.Decisions {
			got = append(got, d.Subject+": "+d.Choice)
		}
		if d := cmp.Diff(test.want, got); d != "" {
			t.Errorf("%s: %s", test.name, d)
		}
		if warnings := strings.Join(plan.report.Warnings, "\n"); !strings.Contains(warnings, test.warning) || test.warning == "" && warnings != "" {
			t.Errorf("%s: warnings %q, want %q", test.name, warnings, test.warning)
		}
		plan.rules.undeclared = ""
		if plan.rules != test.rules {
			t.Errorf("%s: rules %+v, want %+v", test.name, plan.rules, test.rules)
		}
		if has := plan.meta.Has("llama.activations"); has != slices.Contains(got, "activations: float") {
			t.Errorf("%s: activations are written down: %v", test.name, has)
		}
	}
}

// TestHFPlanRefuses: headers that do not fit the configuration are refused by name.
func TestHFPlanRefuses(t *testing.T) {
	const q = "model.layers.0.self_attn.q_proj.weight"
	drop := func(name string) func(*planned) {
		return func(p *planned) {
			p.headers = slices.DeleteFunc(p.headers, func(h *safetensors.Tensor) bool { return h.Name == name })
		}
	}
	edit := func(name string, change func(*safetensors.Tensor)) func(*planned) {
		return func(p *planned) {
			change(p.headers[slices.IndexFunc(p.headers, func(h *safetensors.Tensor) bool { return h.Name == name })])
		}
	}
	for _, test := range []struct {
		name     string
		dtype    safetensors.DType
		change   func(*planned)
		typ      gguf.Type
		want     error
		mentions string
	}{
		{"missing", safetensors.F16, drop(q), gguf.TypeF32, ErrTensor, "self_attn.q_proj.weight"},
		{"missing scale", safetensors.U8, drop(q + "_scale"), gguf.TypeF32, ErrTensor, "q_proj.weight_scale is missing"},
		{"one too many", safetensors.F16, func(p *planned) { p.add("model.layers.1.mlp.up_proj.weight", safetensors.F16, 256, 128) }, gguf.TypeF32,
			ErrTensor, "model.layers.1.mlp.up_proj.weight has no place"},
		{"shape", safetensors.F16, edit(q, func(h *safetensors.Tensor) { h.Shape = []int64{64, 256} }), gguf.TypeF32, ErrTensor, "shape [64 256]"},
		{"element type", safetensors.F16, edit(q, func(h *safetensors.Tensor) { h.DType = safetensors.I8 }), gguf.TypeF32, ErrTensor, "I8"},
		{"unpacked beside a scale", safetensors.U8, edit(q, func(h *safetensors.Tensor) { h.DType = safetensors.I8 }), gguf.TypeF32, ErrTensor, "want packed codes"},
		{"original names", safetensors.F16, edit(q, func(h *safetensors.Tensor) { h.Name = "layers.0.attention.wq.weight" }), gguf.TypeF32, ErrUnsupported, "original Llama release"},
		{"width", safetensors.F16, nil, gguf.TypeTQ1_0, ErrType, "needs a multiple of 256"},
		{"class", safetensors.F16, func(p *planned) { p.config["architectures"] = []string{"MambaForCausalLM"} }, gguf.TypeF32, ErrArchitecture, "MambaForCausalLM"},
		{"linear class", safetensors.U8, func(p *planned) {
			p.config["quantization_config"] = map[string]any{"quant_method": "bitnet", "linear_class": "other"}
		}, gguf.TypeF32, ErrUnsupported, `"other"`},
	} {
		p := llamaHeaders(test.dtype)
		if test.change != nil {
			test.change(p)
		}
		_, err := p.plan(t, Options{Type: test.typ, Embedding: gguf.TypeF32})
		if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.mentions) {
			t.Errorf("%s: %v, want %v with %q", test.name, err, test.want, test.mentions)
		}
	}
}

// TestHFPlanTemplates: chat_template.jinja wins over the default in
// tokenizer_config.json; the named ones stay beside it.
func TestHFPlanTemplates(t *testing.T) {
	for _, test := range []struct {
		name     string
		files    tokenFiles
		text     string // of the default; "" for none
		others   []string
		decision string
	}{
		{"none", tokenFiles{}, "", nil, "none"},
		{"in the configuration", tokenFiles{templates: map[string]string{"default": "a"}}, "a", nil, ""},
		{"in a file", tokenFiles{template: new("b")}, "b", nil, ""},
		{"both", tokenFiles{templates: map[string]string{"default": "a"}, template: new("b")}, "b", nil, "chat_template.jinja"},
		{"named", tokenFiles{templates: map[string]string{"tool_use": "t", "default": "a", "rag": "r"}}, "a", []string{"rag", "tool_use"}, ""},
		{"named only", tokenFiles{templates: map[string]string{"rag": "r"}}, "", []string{"rag"}, "none"},
	} {
		p := &hfPlan{plan: plan{meta: &gguf.Metadata{}, report: &Report{}}}
		if err := p.templates(&test.files); err != nil {
			t.Fatal(err)
		}
		text, err := p.meta.StringOr("tokenizer.chat_template", "")
		if err != nil || text != test.text {
			t.Errorf("%s: %q (%v), want %q", test.name, text, err, test.text)
		}
		names, err := p.meta.StringsOr("tokenizer.chat_templates", nil)
		if err != nil || !slices.Equal(names, test.others) {
			t.Errorf("%s: names %q (%v), want %q", test.name, names, err, test.others)
		}
		for _, name := range test.others {
			if text, err := p.meta.String("tokenizer.chat_template." + name); err != nil || text != test.files.templates[name] {
				t.Errorf("%s: %s is %q (%v)", test.name, name, text, err)
			}
		}
		got := ""
		for _, d := range p.report.Decisions {
			got += d.Choice
		}
		if got != test.decision {
			t.Errorf("%s: decisions %q, want %q", test.name, got, test.decision)
		}
	}
}
