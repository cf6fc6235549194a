package decoder

import (
	"errors"
	"fmt"
	"slices"

	"trit/gguf"
	"trit/internal/model"
)

// A graphKey is a key that changes what a model computes wherever it has another value
// than a neutral one.
type graphKey struct {
	name    string
	neutral func(x float64) bool
	// like names the key whose value is a neutral one too.
	like string
}

func isZero(x float64) bool   { return x == 0 }
func isOne(x float64) bool    { return x == 1 }
func isFactor(x float64) bool { return x == 0 || x == 1 }

// graphKeys are those of some families that others would otherwise run without.
var graphKeys = []graphKey{
	{name: "expert_count", neutral: isZero},
	{name: "expert_used_count", neutral: isZero},
	{name: "attention.causal", neutral: isOne},
	{name: "expert_weights_scale", neutral: isFactor},
	{name: "expert_shared_count", neutral: isZero},
	{name: "expert_group_count", neutral: isFactor},
	{name: "expert_gating_func", neutral: isFactor}, // 1 is softmax
	{name: "expert_shared_feed_forward_length", neutral: isZero},
	{name: "interleave_moe_layer_step", neutral: isFactor},
	{name: "moe_every_n_layers", neutral: isFactor},
	{name: "leading_dense_block_count", neutral: isZero},
	{name: "swiglu_clamp_exp", neutral: isZero},
	{name: "attention.scale", neutral: isZero},
	{name: "attention.output_scale", neutral: isFactor},
	{name: "attention.value_scale", neutral: isFactor},
	{name: "attention.temperature_scale", neutral: isZero},
	{name: "attention.shared_kv_layers", neutral: isZero},
	{name: "attention.recurrent_layers", neutral: isZero},
	{name: "attention.clamp_kqv", neutral: isZero},
	{name: "attention.max_alibi_bias", neutral: isZero},
	{name: "attn_logit_softcapping", neutral: isZero},
	{name: "final_logit_softcapping", neutral: isZero},
	{name: "router_logit_softcapping", neutral: isZero},
	{name: "embedding_scale", neutral: isFactor},
	{name: "residual_scale", neutral: isFactor},
	{name: "logit_scale", neutral: isFactor},
	{name: "full_attention_interval", neutral: isFactor},
	{name: "nextn_predict_layers", neutral: isZero},
	{name: "use_parallel_residual", neutral: isZero},
	{name: "dense_2_feat_out", neutral: isZero},
	{name: "dense_3_feat_out", neutral: isZero},
	{name: "rope.freq_base_swa", neutral: isZero, like: "rope.freq_base"},
	{name: "rope.scaling.yarn_log_multiplier", neutral: isZero},
}

// graphValue reads a key as a number, of whatever type it is; 1 stands for true.
func graphValue(m *gguf.Metadata, name string) (float64, error) {
	x, err := m.Float64(name)
	if err == nil {
		return x, nil
	}
	if n, err := m.Int64(name); err == nil {
		return float64(n), nil
	}
	switch yes, boolErr := m.Bool(name); {
	case boolErr != nil:
		return 0, err
	case yes:
		return 1, nil
	}
	return 0, nil
}

// expertKeys are those that families with experts consume.
var expertKeys = []string{"expert_count", "expert_used_count", "expert_weights_scale", "swiglu_clamp_exp"}

// refuse returns which keys change the graph and are not consumed by the family: all of
// them at once.
func (f *Family) refuse(m *gguf.Metadata, architecture string) error {
	var errs []error
	for _, key := range graphKeys {
		name := architecture + "." + key.name
		if !m.Has(name) || slices.Contains(f.Keys, key.name) || f.Experts && slices.Contains(expertKeys, key.name) {
			continue
		}
		found := any("a list or a text")
		if x, err := graphValue(m, name); err == nil {
			if key.neutral(x) {
				continue
			}
			if y, err := graphValue(m, architecture+"."+key.like); err == nil && x == y {
				continue
			}
			found = x
		}
		errs = append(errs, fmt.Errorf("%w: %s is %v, which this family's graph does not have here: the model would run wrong",
			model.ErrConfig, name, found))
	}
	return errors.Join(errs...)
}

// configure is Configure of the family, with its experts.
func (f *Family) configure(m *gguf.Metadata, c *model.Config) error {
	var errs []error
	if f.Experts {
		k := model.ReadKeys(m, c)
		k.Experts(c)
		errs = append(errs, k.Err())
	}
	if f.Configure != nil {
		errs = append(errs, f.Configure(m, c))
	}
	return errors.Join(errs...)
}
