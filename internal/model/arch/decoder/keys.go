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
}

func isZero(x float64) bool   { return x == 0 }
func isOne(x float64) bool    { return x == 1 }
func isFactor(x float64) bool { return x == 0 || x == 1 }

// graphKeys are those of some families that others would otherwise run without.
var graphKeys = []graphKey{
	{"expert_count", isZero},
	{"expert_used_count", isZero},
	{"attention.causal", isOne},
	{"expert_weights_scale", isFactor},
	{"expert_shared_count", isZero},
	{"expert_group_count", isFactor},
	{"expert_gating_func", isFactor}, // 1 is softmax
	{"leading_dense_block_count", isZero},
	{"swiglu_clamp_exp", isZero},
	{"attention.scale", isZero},
	{"attention.clamp_kqv", isZero},
	{"attention.max_alibi_bias", isZero},
	{"attn_logit_softcapping", isZero},
	{"final_logit_softcapping", isZero},
	{"router_logit_softcapping", isZero},
	{"embedding_scale", isFactor},
	{"residual_scale", isFactor},
	{"logit_scale", isFactor},
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
