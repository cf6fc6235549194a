package convert

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"trit/internal/model"
	"trit/quant"
)

// hfClass is a class that runs a family, and what its configuration has besides the
// settings that all have.
type hfClass struct {
	class, kind string
	own         bool // in the repositories of its models, not in transformers
	partial     bool // heads may be rotated in part
	windows     bool // layers may have a sliding window
	config      func(x *exporter, config map[string]any) error
}

// hfClasses are those beside BitNet's, by the first of the family's names.
var hfClasses = map[string]hfClass{
	"llama":  {class: "LlamaForCausalLM", kind: "llama"},
	"qwen3":  {class: "Qwen3ForCausalLM", kind: "qwen3", partial: true, windows: true, config: (*exporter).qwenConfig},
	"qwen35": {class: "Qwen3_5ForCausalLM", kind: "qwen3_5_text", partial: true, config: (*exporter).qwenConfig},
	gemma3:   {class: "Gemma3ForCausalLM", kind: "gemma3_text", windows: true, config: (*exporter).gemmaConfig},
	hunyuan:  {class: "HunYuanDenseV1ForCausalLM", kind: "hunyuan_v1_dense", config: (*exporter).hunyuanConfig},
	minicpm:  {class: "MiniCPMForCausalLM", kind: "minicpm", own: true, config: (*exporter).factorsConfig},
	maple:    {class: "MapleForCausalLM", kind: "maple", own: true, partial: true, windows: true, config: (*exporter).expertsConfig},
}

// checkClass refuses what no class runs, and weights that are rotated.
func (x *exporter) checkClass() error {
	known, ok := hfClasses[x.family.Names[0]]
	if !ok && !x.isBitNet() {
		return fmt.Errorf("%w: no class is known that runs architecture %s", ErrArchitecture, x.config.Architecture)
	}
	if known.own {
		x.report.decide("class", known.class, "its code is not in transformers but in the repositories of its models, from where it belongs beside config.json")
	}
	for _, key := range x.o.Input.Metadata.Keys() {
		if strings.HasPrefix(key, model.RotationPrefix) {
			return fmt.Errorf("%w: the weights are rotated (%s*), and transformers has no class that rotates their inputs", ErrUnsupported, model.RotationPrefix)
		}
	}
	return nil
}

// layerKinds says which layers have a sliding window.
func (x *exporter) layerKinds() []string {
	kinds := make([]string, x.config.Layers)
	for i := range kinds {
		if kinds[i] = "full_attention"; x.config.WindowOf(i) > 0 {
			kinds[i] = "sliding_attention"
		}
	}
	return kinds
}

// slidingLayers says which layers have a sliding window, if some have one that is
// narrower than the context.
func (x *exporter) slidingLayers(config map[string]any) error {
	c := x.config
	if c.Window == 0 || c.Window >= c.Context || !slices.Contains(c.Sliding, true) {
		return nil
	}
	if !hfClasses[x.family.Names[0]].windows {
		return fmt.Errorf("%w: layers with a sliding window of %d positions, which the class for architecture %s does not have",
			ErrUnsupported, c.Window, c.Architecture)
	}
	config["use_sliding_window"], config["sliding_window"], config["layer_types"] = true, c.Window, x.layerKinds()
	return nil
}

// gemmaConfig completes config.json for Gemma 3, whose layers have windows and a rotation
// of their own unless all are said to attend to everything.
func (x *exporter) gemmaConfig(config map[string]any) error {
	c := x.config
	config["head_dim"], config["query_pre_attn_scalar"] = c.HeadDim, c.HeadDim
	config["hidden_activation"] = config["hidden_act"]
	delete(config, "hidden_act")
	config["layer_types"] = x.layerKinds()
	if c.Window > 0 {
		config["sliding_window"], config["rope_local_base_freq"] = c.Window, decimal(float32(c.LocalRopeBase))
	}
	return nil
}

// hunyuanConfig completes config.json for Hunyuan. An alpha of its rotation is part of the
// base.
func (x *exporter) hunyuanConfig(config map[string]any) error {
	config["head_dim"], config["use_qk_norm"] = x.config.HeadDim, true
	return nil
}

// factorsConfig completes config.json for MiniCPM, whose factors are given as numbers that
// they are computed from.
func (x *exporter) factorsConfig(config map[string]any) error {
	c := x.config
	layers, width := math.Sqrt(float64(c.Layers)), float64(c.Hidden)
	config["scale_emb"] = decimal(c.EmbeddingScale)
	for _, k := range []struct {
		name  string
		guess float64
		gives func(x float64) bool
	}{
		{"scale_depth", float64(c.ResidualScale) * layers, func(x float64) bool { return float32(x/layers) == c.ResidualScale }},
		{"dim_model_base", float64(c.LogitScale) * width, func(x float64) bool { return 1/float32(width/x) == c.LogitScale }},
	} {
		v, ok := roundest(k.guess, k.gives)
		if !ok {
			return fmt.Errorf("%w: no %s gives the factor of the file", ErrUnsupported, k.name)
		}
		config[k.name] = v
	}
	return nil
}

// roundest returns the number with the fewest digits, near a guess, that gives what is
// wanted.
func roundest(guess float64, gives func(float64) bool) (float64, bool) {
	for digits := 1; digits <= 17; digits++ {
		v, err := strconv.ParseFloat(strconv.FormatFloat(guess, 'g', digits, 64), 64)
		if err == nil && gives(v) {
			return v, true
		}
	}
	below, above := guess, guess
	for range 16 {
		below, above = math.Nextafter(below, math.Inf(-1)), math.Nextafter(above, math.Inf(1))
		for _, v := range []float64{below, above} {
			if gives(v) {
				return v, true
			}
		}
	}
	return 0, false
}

// expertsConfig completes config.json for Maple.
func (x *exporter) expertsConfig(config map[string]any) error {
	c, e := x.config, x.config.Experts
	for i, clamp := range e.Clamp {
		if clamp != mapleClamp {
			return fmt.Errorf("%w: gated values of layer %d are brought to ±%v, and the class for architecture %s has %d",
				ErrUnsupported, i, clamp, c.Architecture, mapleClamp)
		}
	}
	x.ropeParameters(config)
	config["moe_intermediate_size"], config["num_experts"], config["num_experts_per_tok"] = e.FFN, e.Count, e.Used
	config["norm_topk_prob"], config["num_shared_experts"], config["nope_on_global_attention"] = e.Renormed, 0, true
	config["layer_types"] = x.layerKinds() // which tell the rotation, too
	if c.Window > 0 {
		config["sliding_window"] = c.Window
	}
	return nil
}

// changingRope describes a scaling that depends on the context.
func (x *exporter) changingRope() (map[string]any, error) {
	c := x.config
	if c.RopeDynamic != 0 {
		if c.RopeOriginal != c.Context {
			return nil, fmt.Errorf("%w: a dynamic scaling of the rotation that begins at %d positions of %d; config.json has one number for both",
				ErrUnsupported, c.RopeOriginal, c.Context)
		}
		return map[string]any{"type": "dynamic", "rope_type": "dynamic", "factor": c.RopeDynamic}, nil
	}
	scaling := map[string]any{"rope_type": "longrope", "original_max_position_embeddings": c.RopeOriginal}
	if c.RopeAttention != longAttention(int64(c.Context), int64(c.RopeOriginal)) {
		scaling["attention_factor"] = decimal(c.RopeAttention)
	}
	for _, kind := range []string{"short", "long"} {
		factors, err := x.vector("rope_factors_" + kind + ".weight")
		if err != nil {
			return nil, err
		}
		list := make([]float64, len(factors))
		for i, f := range factors {
			list[i] = decimal(f)
		}
		scaling[kind+"_factor"] = list
	}
	return scaling, nil
}

// vector returns the numbers of a tensor.
func (x *exporter) vector(name string) ([]float32, error) {
	t, ok := x.o.Input.Tensor(name)
	if !ok {
		return nil, fmt.Errorf("%w: %s is missing from the file", ErrTensor, name)
	}
	data, err := t.Data()
	if err != nil {
		return nil, fmt.Errorf("convert: %w", err)
	}
	v := make([]float32, t.Elements())
	if err := quant.Decode(t.Type, v, data); err != nil {
		return nil, readError(t, err)
	}
	for i, f := range v {
		if !finite(f) {
			return nil, fmt.Errorf("%w: %s: element %d is %v", ErrTensor, name, i, f)
		}
	}
	return v, nil
}
