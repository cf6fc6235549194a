package model

import (
	"iter"
	"strconv"
	"strings"
)

// LayerTensor returns the name of a layer's tensor: "blk.3.attn_q.weight".
func LayerTensor(layer int, name string) string {
	return "blk." + strconv.Itoa(layer) + "." + name
}

// NormIn returns the name of the norm of a projection's own input.
func NormIn(projection string) string {
	return strings.TrimSuffix(projection, ".weight") + "_norm_in.weight"
}

// IsNormIn reports whether a tensor is the norm of a projection's own input.
func IsNormIn(name string) bool { return strings.HasSuffix(name, "_norm_in.weight") }

// HFInnerNorm and HFOwnNorm end the names, in Hugging Face checkpoints, of norms of a
// projection's own input: those that quantization_config.use_rms_norm asks for, and those
// that modules with a norm always have.
const (
	HFInnerNorm = ".rms_norm.weight"
	HFOwnNorm   = ".norm.weight"
)

// GenericName replaces the layer number of a tensor's name by %d, which makes it
// the name of a [TensorSpec]: blk.3.attn_q.weight becomes blk.%d.attn_q.weight.
// A name without a layer number stays as it is.
func GenericName(name string) string {
	generic, _ := splitName(name)
	return generic
}

// splitName is GenericName, with the number of the layer as it is written, "" if
// there is none.
func splitName(name string) (generic, layer string) {
	rest, ok := strings.CutPrefix(name, "blk.")
	if !ok {
		return name, ""
	}
	number, rest, ok := strings.Cut(rest, ".")
	if !ok || number == "" || strings.Trim(number, "0123456789") != "" {
		return name, ""
	}
	return "blk.%d." + rest, number
}

// TensorTable is the tensor table of a model, by generic name.
type TensorTable struct {
	specs  []TensorSpec
	index  map[string][]int // a layer has one of those with a name
	layers int
}

// Table returns the tensor table of a model with that configuration.
func (a *Arch) Table(c *Config) *TensorTable {
	t := &TensorTable{specs: a.Tensors(c), index: map[string][]int{}, layers: c.Layers + c.MTP}
	for i, s := range t.specs {
		t.index[s.Name] = append(t.index[s.Name], i)
	}
	return t
}

// Lookup returns the line of the table for a tensor of a file, under that name. A
// tensor of a layer that the model does not have, or that has none of that name, is
// not in the table.
func (t *TensorTable) Lookup(name string) (TensorSpec, bool) {
	generic, number := splitName(name)
	for _, i := range t.index[generic] {
		s := t.specs[i]
		if !s.PerLayer() {
			return s, true
		}
		layer, err := strconv.Atoi(number)
		if err == nil && layer < t.layers && (s.In == nil || s.In(layer)) && number == strconv.Itoa(layer) {
			return s.at(layer), true
		}
	}
	return TensorSpec{}, false
}

// All goes through every tensor of the model under its full name: those outside the
// layers, then layer by layer.
func (t *TensorTable) All() iter.Seq[TensorSpec] {
	return func(yield func(TensorSpec) bool) {
		for _, s := range t.specs {
			if !s.PerLayer() && !yield(s) {
				return
			}
		}
		for layer := range t.layers {
			for _, s := range t.specs {
				if s.PerLayer() && (s.In == nil || s.In(layer)) && !yield(s.at(layer)) {
					return
				}
			}
		}
	}
}

// Rows goes through the same tensors line by line of the table.
func (t *TensorTable) Rows() iter.Seq[TensorSpec] {
	return func(yield func(TensorSpec) bool) {
		for _, s := range t.specs {
			if !s.PerLayer() {
				if !yield(s) {
					return
				}
				continue
			}
			for layer := range t.layers {
				if (s.In == nil || s.In(layer)) && !yield(s.at(layer)) {
					return
				}
			}
		}
	}
}
