package convert

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"trit/internal/safetensors"
)

// maple is the architecture of mixtures of experts.
const maple = "maple"

// mapleClamp is what its modelling code brings gated values to; config.json does not say.
const mapleClamp = 7

// experts sets the keys of a mixture of experts, and refuses what its graph does not
// compute.
func (p *hfPlan) experts(w *metaWriter, arch string) error {
	c := p.hf
	if c.Experts == nil || *c.Experts == 0 {
		return nil
	}
	for _, k := range []struct {
		name string
		v    *int64
	}{{"num_experts", c.Experts}, {"num_experts_per_tok", c.ExpertsUsed}, {"moe_intermediate_size", c.ExpertFFN}} {
		if k.v == nil {
			return fmt.Errorf("%w: config.json has num_experts and no %s", ErrConfig, k.name)
		}
		if *k.v < 1 || *k.v > maxSize {
			return fmt.Errorf("%w: %s is %d in config.json, want 1 to %d", ErrConfig, k.name, *k.v, maxSize)
		}
	}
	if n := c.SharedExperts; n != nil && *n != 0 {
		return fmt.Errorf("%w: num_shared_experts is %d in config.json; experts that all tokens use are not computed here", ErrUnsupported, *n)
	}
	if arch == maple && (c.NoGlobalRope == nil || !*c.NoGlobalRope) {
		return fmt.Errorf("%w: nope_on_global_attention is not true in config.json; layers that attend to all positions are not rotated in architecture %s",
			ErrUnsupported, arch)
	}
	w.set(arch+".expert_count", uint32(*c.Experts))
	w.set(arch+".expert_used_count", uint32(*c.ExpertsUsed))
	w.set(arch+".expert_feed_forward_length", uint32(*c.ExpertFFN))
	if c.Renormed != nil && !*c.Renormed {
		w.set(arch+".expert_weights_norm", false)
	}
	if arch == maple {
		w.set(arch+".swiglu_clamp_exp", slices.Repeat([]float32{mapleClamp}, int(min(*c.Layers, maxExpertLayers))))
	}
	return nil
}

// maxExpertLayers bounds a list that is made for as many layers as config.json says.
const maxExpertLayers = 1 << 16

// expertName is the name of a matrix of one expert.
var expertName = regexp.MustCompile(`^(.*\.mlp\.experts\.)(\d{1,6})(\.[a-z]+_proj\.weight)$`)

// stack replaces the matrices of experts by one tensor for each kind, which has them one
// after the other. In the names of these there is no number of an expert.
func (s *source) stack(all []*safetensors.Tensor) ([]*safetensors.Tensor, error) {
	var list []*safetensors.Tensor
	numbers := map[string]map[int]*safetensors.Tensor{}
	var stacks []string // in the order of the checkpoint
	for _, t := range all {
		parts := expertName.FindStringSubmatch(t.Name)
		if parts == nil {
			list = append(list, t)
			continue
		}
		name := strings.TrimSuffix(parts[1], ".") + parts[3]
		if numbers[name] == nil {
			numbers[name] = map[int]*safetensors.Tensor{}
			stacks = append(stacks, name)
		}
		number, _ := strconv.Atoi(parts[2])
		if numbers[name][number] != nil {
			return nil, fmt.Errorf("%w: %s is expert %d, which there is already", ErrTensor, t.Name, number)
		}
		numbers[name][number] = t
	}
	for _, name := range stacks {
		experts := make([]*safetensors.Tensor, len(numbers[name]))
		for i := range experts {
			if experts[i] = numbers[name][i]; experts[i] == nil {
				return nil, fmt.Errorf("%w: of %s expert %d is missing from the checkpoint, which has %d others", ErrTensor, name, i, len(experts))
			}
			if t, first := experts[i], experts[0]; len(t.Shape) != 2 || !slices.Equal(t.Shape, first.Shape) || t.DType != first.DType || !t.DType.IsFloat() {
				return nil, fmt.Errorf("%w: %s has shape %v and element type %s, %s has %v and %s; want matrices of floats that are alike",
					ErrTensor, t.Name, t.Shape, t.DType, first.Name, first.Shape, first.DType)
			}
		}
		if s.stacks == nil {
			s.stacks = map[string][]*safetensors.Tensor{}
		}
		s.stacks[name] = experts
		first := experts[0]
		list = append(list, &safetensors.Tensor{
			Name: name, DType: first.DType, Shape: append([]int64{int64(len(experts))}, first.Shape...), File: first.File,
		})
	}
	return list, nil
}

// stacked is floats for a stack of experts.
func (s *source) stacked(dst []float32, experts []*safetensors.Tensor, first int64) error {
	size := experts[0].Elements()
	for len(dst) > 0 {
		n := min(int64(len(dst)), size-first%size)
		if err := s.floats(dst[:n], experts[first/size], first%size); err != nil {
			return err
		}
		dst, first = dst[n:], first+n
	}
	return nil
}
