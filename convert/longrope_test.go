package convert

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"trit/gguf"
	"trit/internal/safetensors"
)

func factors(first float64) []float64 {
	list := make([]float64, 32) // of heads of 64
	for i := range list {
		list[i] = first + float64(i)/8
	}
	return list
}

// TestMiniCPMPlan: the factors of MiniCPM become keys, those of LongRoPE tensors.
func TestMiniCPMPlan(t *testing.T) {
	o := Options{Input: "in", Output: "out", Type: gguf.TypeTQ2_0, Embedding: gguf.TypeF16}
	config := func() *planned {
		p := llamaHeaders(safetensors.BF16)
		for key, v := range map[string]any{
			"architectures": []string{"MiniCPMForCausalLM"}, "scale_emb": 12, "scale_depth": 1.4, "dim_model_base": 32, "hidden_size": 128,
			"rope_scaling": map[string]any{"rope_type": "longrope", "short_factor": factors(1), "long_factor": factors(2),
				"original_max_position_embeddings": 32},
		} {
			p.config[key] = v
		}
		return p
	}
	o.Type = gguf.TypeF16 // rows of 128
	plan, err := config().plan(t, o, FormTernary)
	if err != nil {
		t.Fatal(err)
	}
	c := plan.config
	if c.EmbeddingScale != 12 || c.ResidualScale != float32(1.4) || c.LogitScale != 0.25 || !c.LongRope || c.RopeOriginal != 32 ||
		math.Abs(float64(c.RopeAttention)-math.Sqrt(1+math.Log(2)/math.Log(32))) > 1e-6 {
		t.Errorf("%+v", c)
	}
	for name, first := range map[string]float32{"rope_factors_short.weight": 1, "rope_factors_long.weight": 2} {
		i := slices.IndexFunc(plan.jobs, func(j *job) bool { return j.name == name })
		if i < 0 || len(plan.jobs[i].values) != 32 || plan.jobs[i].values[0] != first {
			t.Errorf("%s is not written", name)
		}
	}
	for key, test := range map[string]struct {
		value any
		says  string
	}{
		"scale_emb":      {nil, "scale_emb"},
		"dim_model_base": {0, "dim_model_base"},
		"rope_scaling":   {map[string]any{"type": "longrope", "short_factor": factors(1)}, "long_factor"},
		"rope_theta":     {10000.0, ""},
	} {
		p := config()
		p.config[key] = test.value
		if _, err := p.plan(t, o, FormTernary); test.says != "" && (!errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), test.says)) ||
			test.says == "" && err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	p := config()
	p.config["rope_scaling"].(map[string]any)["short_factor"] = factors(1)[:31]
	if _, err := p.plan(t, o, FormTernary); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "31 factors, want 32") {
		t.Errorf("31 factors: %v", err)
	}
	p.config["architectures"] = []string{"BitNetForCausalLM"}
	if _, err := p.plan(t, o, FormTernary); err == nil {
		t.Error("LongRoPE of a family with sub-norms only")
	}
}

// TestHunyuanPlan: norms of heads under Hunyuan's names, and an alpha that is another
// base.
func TestHunyuanPlan(t *testing.T) {
	p := llamaHeaders(safetensors.BF16)
	for key, v := range map[string]any{
		"architectures": []string{"HunYuanDenseV1ForCausalLM"}, "rope_scaling": map[string]any{"type": "dynamic", "alpha": 1000.0, "factor": 1.0},
	} {
		p.config[key] = v
	}
	for _, norm := range []string{"query_layernorm", "key_layernorm"} {
		p.add("model.layers.0.self_attn."+norm+".weight", safetensors.BF16, 64)
	}
	o := Options{Input: "in", Output: "out", Type: gguf.TypeF16, Embedding: gguf.TypeF16}
	plan, err := p.plan(t, o, FormTernary)
	if err != nil {
		t.Fatal(err)
	}
	if want := 10000 * math.Pow(1000, 64.0/62); math.Abs(plan.config.RopeBase-want) > 1e-6*want || plan.config.RopeDynamic != 0 {
		t.Errorf("base %v, want %v", plan.config.RopeBase, want)
	}
	if !slices.ContainsFunc(plan.jobs, func(j *job) bool { return j.name == "blk.0.attn_q_norm.weight" }) {
		t.Error("the norms of heads are left out")
	}
	p.config["rope_scaling"] = map[string]any{"type": "dynamic", "factor": 2.0}
	if plan, err = p.plan(t, o, FormTernary); err != nil || plan.config.RopeDynamic != 2 || plan.config.RopeOriginal != 64 {
		t.Errorf("dynamic scaling: %v", err)
	}
}
