package convert

import (
	"fmt"
	"slices"
	"strconv"

	"trit/internal/model"
	"trit/sample"
	"trit/tokenizer"
)

// describe makes the files beside the weights.
func (x *exporter) describe() error {
	config, err := x.configJSON()
	if err != nil {
		return err
	}
	if err := x.describeEmbedding(); err != nil {
		return err
	}
	tok, err := tokenizer.FromGGUF(x.o.Input.Metadata)
	if err != nil {
		x.report.decide("tokenizer", "none", "the file's tokenizer cannot be read: %v", err)
		return x.addJSON("config.json", config)
	}
	for role, key := range map[tokenizer.Role]string{tokenizer.RoleBOS: "bos_token_id", tokenizer.RolePAD: "pad_token_id"} {
		if id, ok := tok.Special(role); ok {
			config[key] = id
		}
	}
	ends, err := x.o.Input.Metadata.Int32sOr(keyStopTokens, nil)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if eos, ok := tok.EOS(); ok && len(ends) == 0 {
		ends = []int32{eos}
	}
	var eos any
	switch len(ends) {
	case 0:
	case 1:
		eos = ends[0]
	default:
		eos = ends
	}
	if eos != nil {
		config["eos_token_id"] = eos
	}
	if err := x.addJSON("config.json", config); err != nil {
		return err
	}
	if err := x.describeGeneration(tok, eos); err != nil {
		return err
	}
	if license, err := x.o.Input.Metadata.StringOr("general.license", ""); err == nil && license != "" {
		x.files["README.md"] = []byte("---\nlicense: " + strconv.Quote(license) + "\n---\n")
	}
	return x.describeTokenizer(tok)
}

// configJSON makes config.json.
func (x *exporter) configJSON() (map[string]any, error) {
	c, r := x.config, x.report
	known := hfClasses[x.family.Names[0]]
	r.Class = known.class
	kind := known.kind
	if x.isBitNet() {
		r.Class, kind = microsoftClass, "bitnet"
	}
	_, tied := x.o.Input.Tensor("output.weight")
	tied = !tied
	dtype := "bfloat16"
	if x.floats {
		dtype = "float32"
	}
	config := map[string]any{
		"architectures":           []string{r.Class},
		"model_type":              kind,
		"hidden_size":             c.Hidden,
		"intermediate_size":       c.FFN,
		"num_hidden_layers":       c.Layers,
		"num_attention_heads":     c.Heads,
		"num_key_value_heads":     c.KVHeads,
		"vocab_size":              c.Vocab,
		"max_position_embeddings": c.Context,
		"rms_norm_eps":            decimal(c.NormEps),
		"rope_theta":              decimal(float32(c.RopeBase)),
		"hidden_act":              c.HiddenAct.String(),
		"tie_word_embeddings":     tied,
		"attention_bias":          x.bias["attention"],
		"torch_dtype":             dtype,
	}
	if x.bias["mlp"] {
		config["mlp_bias"] = true
	}
	if c.HeadDim*c.Heads != c.Hidden {
		config["head_dim"] = c.HeadDim
	}
	if c.RopeDim != c.HeadDim && !known.partial {
		return nil, fmt.Errorf("%w: heads of %d elements of which %d are rotated", ErrUnsupported, c.HeadDim, c.RopeDim)
	}
	if key := c.Architecture + ".attention.scale"; x.o.Input.Metadata.Has(key) {
		return nil, fmt.Errorf("%w: %s is %v, which config.json cannot say", ErrUnsupported, key, c.AttnScale)
	}
	scaling, err := x.ropeScaling()
	if err != nil {
		return nil, err
	}
	if scaling != nil {
		config["rope_scaling"] = scaling
	}
	if err := x.slidingLayers(config); err != nil {
		return nil, err
	}
	if known.config != nil {
		if err := known.config(x, config); err != nil {
			return nil, err
		}
	}
	normed := false
	for _, t := range x.o.Input.Tensors {
		normed = normed || model.IsNormIn(t.Name)
	}
	if normed && x.floats {
		return nil, fmt.Errorf("%w: projections with norms of their own inputs, whose activations are not rounded", ErrUnsupported)
	}
	if !x.floats {
		class := "autobitlinear"
		if x.divisor {
			class = "bitlinear"
		}
		quantization := map[string]any{
			"quant_method": "bitnet", "linear_class": class, "quantization_mode": "offline", "modules_to_not_convert": nil,
		}
		if normed {
			quantization["use_rms_norm"], quantization["rms_norm_eps"] = true, decimal(c.NormEps)
		}
		config["quantization_config"] = quantization
		r.decide("weight_scale", x.rules.convention.String(), "linear_class is %q, as config.json says", class)
	} else {
		r.decide("weights", "written as floats", "the model's activations are not rounded, which packed weights imply")
	}
	return config, nil
}

// decimal returns the shortest decimal number that is the float32.
func decimal(x float32) float64 {
	v, err := strconv.ParseFloat(strconv.FormatFloat(float64(x), 'g', -1, 32), 64)
	if err != nil {
		return float64(x) // infinities, which the configuration does not hold
	}
	return v
}

// ropeScaling describes the scaling of the rotation frequencies, nil for none.
func (x *exporter) ropeScaling() (map[string]any, error) {
	switch {
	case x.config.LongRope || x.config.RopeDynamic != 0:
		return x.changingRope()
	case x.config.Yarn != nil:
		return x.yarnScaling(), nil
	}
	if _, ok := x.o.Input.Tensor("rope_freqs.weight"); !ok {
		if x.config.RopeScale == 1 {
			return nil, nil
		}
		factor := decimal(float32(1 / x.config.RopeScale))
		return map[string]any{"type": "linear", "rope_type": "linear", "factor": factor}, nil
	}
	want, err := x.vector("rope_freqs.weight")
	if err != nil {
		return nil, err
	}
	// The factors of Llama 3 follow from four numbers, of which the published
	// models have few combinations; the first is the largest factor.
	for _, original := range []int64{8192, 4096, 16384, 32768} {
		factor, low, high := 1.0, 1.0, 4.0
		for _, f := range want {
			factor = max(factor, decimal(f))
		}
		got, err := llama3Factors(&hfRope{Factor: &factor, Low: &low, High: &high, Original: &original}, x.config.RopeBase, int64(x.config.HeadDim))
		if err == nil && slices.Equal(got, want) {
			return map[string]any{
				"rope_type": "llama3", "factor": factor, "low_freq_factor": low, "high_freq_factor": high,
				"original_max_position_embeddings": original,
			}, nil
		}
	}
	return nil, fmt.Errorf("%w: the factors in rope_freqs.weight are not those of a known rope_scaling", ErrUnsupported)
}

// describeGeneration makes generation_config.json.
func (x *exporter) describeGeneration(tok *tokenizer.Tokenizer, eos any) error {
	gen := map[string]any{}
	if id, ok := tok.BOS(); ok {
		gen["bos_token_id"] = id
	}
	if eos != nil {
		gen["eos_token_id"] = eos
	}
	m := x.o.Input.Metadata
	greedy := false
	for _, p := range sample.Params() {
		if !p.Recommended || !m.Has(p.Key()) {
			continue
		}
		gen["do_sample"] = true
		if p.Whole() {
			v, err := m.Uint32(p.Key())
			if err != nil {
				return fmt.Errorf("%w: %w", ErrConfig, err)
			}
			gen[p.Name] = v
			continue
		}
		v, err := m.Float32(p.Key())
		if err != nil {
			return fmt.Errorf("%w: %w", ErrConfig, err)
		}
		if p.Name == "temperature" && v == 0 {
			greedy = true
			continue
		}
		gen[p.Name] = decimal(v)
	}
	if greedy {
		gen["do_sample"] = false
	}
	return x.addJSON("generation_config.json", gen)
}

// templates returns chat_template for tokenizer_config.json: a text, a list of
// named ones, or nil.
func (x *exporter) templates() (any, error) {
	m := x.o.Input.Metadata
	text, err := m.StringOr("tokenizer.chat_template", "")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	names, err := m.StringsOr("tokenizer.chat_templates", nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	type named struct {
		Name     string `json:"name"`
		Template string `json:"template"`
	}
	var list []named
	if text != "" {
		list = append(list, named{"default", text})
	}
	for _, name := range names {
		t, err := m.StringOr("tokenizer.chat_template."+name, "")
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrConfig, err)
		}
		if t != "" {
			list = append(list, named{name, t})
		}
	}
	switch {
	case len(list) == 0:
		return nil, nil
	case len(list) == 1 && text != "":
		return text, nil
	}
	return list, nil
}

// specialTexts names the tokens with a role in tokenizer_config.json.
func specialTexts(tok *tokenizer.Tokenizer, config map[string]any) {
	for role, key := range map[tokenizer.Role]string{
		tokenizer.RoleBOS: "bos_token", tokenizer.RoleEOS: "eos_token", tokenizer.RoleUNK: "unk_token",
		tokenizer.RolePAD: "pad_token", tokenizer.RoleSEP: "sep_token", tokenizer.RoleCLS: "cls_token", tokenizer.RoleMASK: "mask_token",
	} {
		if id, ok := tok.Special(role); ok {
			config[key] = tok.Token(id).Text
		}
	}
}
