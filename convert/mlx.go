package convert

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"trit/internal/model"
	"trit/internal/safetensors"
)

// hfAffine is quantization, of checkpoints of Apple's MLX: codes with a scale and a bias
// for each group of columns.
type hfAffine struct {
	Bits   *int64
	Group  *int64
	Mode   string
	Others []string // modules with settings of their own
}

// UnmarshalJSON reads the settings of all modules, and notes which have their own.
func (a *hfAffine) UnmarshalJSON(b []byte) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(b, &fields); err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		var err error
		switch v := fields[key]; {
		case key == "bits":
			err = json.Unmarshal(v, &a.Bits)
		case key == "group_size":
			err = json.Unmarshal(v, &a.Group)
		case key == "mode":
			err = json.Unmarshal(v, &a.Mode)
		case bytes.HasPrefix(v, []byte("{")):
			a.Others = append(a.Others, key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// What MLX's checkpoints of ternary models have: codes of two bits with a scale for each
// 128 columns, sixteen codes to a word.
const (
	affineBits  = 2
	affineGroup = 128
	affineCodes = 16
)

// rotatedType is the model_type of MLX's checkpoints with rotated weights.
const rotatedType = "prism_hadamard_qwen35"

// checkAffine verifies how an MLX checkpoint is packed.
func (c *hfConfig) checkAffine() error {
	a := c.Affine
	if a == nil {
		if c.ModelType == rotatedType {
			return fmt.Errorf("%w: config.json has the model_type %s and no quantization", ErrConfig, rotatedType)
		}
		return nil
	}
	switch {
	case a.Bits == nil || a.Group == nil:
		return fmt.Errorf("%w: quantization in config.json needs bits and group_size", ErrConfig)
	case *a.Bits != affineBits || *a.Group != affineGroup || a.Mode != "" && a.Mode != "affine":
		return fmt.Errorf("%w: quantization in config.json is %q with %d bits in groups of %d; of MLX's checkpoints those with 2 bits in groups of 128 can hold ternary weights, and no others are read",
			ErrUnsupported, a.Mode, *a.Bits, *a.Group)
	case len(a.Others) > 0:
		return fmt.Errorf("%w: quantization in config.json has settings of its own for %s", ErrUnsupported, quoteList(a.Others))
	}
	for _, k := range []struct{ name, got, want string }{
		{"tensor_namespace", c.Namespace, "mlx-vlm-qwen3_5"}, {"gdn_activation_layout", c.ValueLayout, "grouped"},
	} {
		if c.ModelType == rotatedType && k.got != k.want {
			return fmt.Errorf("%w: %s is %q in config.json, want %q", ErrUnsupported, k.name, k.got, k.want)
		}
	}
	return nil
}

// affine are the parts of a packed tensor. Its numbers are scale·(code − 1).
type affine struct{ codes, scales, biases *safetensors.Tensor }

// unite lists the tensors of the checkpoint with the parts of packed ones taken
// together: those are tensors of floats then, which s.floats unpacks.
func (s *source) unite(c *hfConfig) ([]*safetensors.Tensor, error) {
	all := s.checkpoint.Tensors()
	if c.Affine == nil {
		return s.stack(all)
	}
	byName := map[string]*safetensors.Tensor{}
	for _, t := range all {
		byName[t.Name] = t
	}
	var list []*safetensors.Tensor
	for _, t := range all {
		stem, weight := strings.CutSuffix(t.Name, ".weight")
		part := stem
		for _, end := range []string{".scales", ".biases"} {
			if name, ok := strings.CutSuffix(t.Name, end); ok {
				part = name
			}
		}
		if !weight && part != stem {
			if w := byName[part+".weight"]; w != nil && w.DType == safetensors.U32 {
				continue
			}
		}
		if !weight || t.DType != safetensors.U32 {
			list = append(list, t)
			continue
		}
		a := affine{t, byName[stem+".scales"], byName[stem+".biases"]}
		if a.scales == nil || a.biases == nil {
			return nil, fmt.Errorf("%w: %s is packed, and %s or %s is missing from the checkpoint", ErrTensor, t.Name, stem+".scales", stem+".biases")
		}
		if len(t.Shape) != 2 || t.Shape[1]*affineCodes%affineGroup != 0 {
			return nil, fmt.Errorf("%w: %s has shape %v, want rows of groups of %d codes, %d to a word", ErrTensor, t.Name, t.Shape, affineGroup, affineCodes)
		}
		whole := []int64{t.Shape[0], t.Shape[1] * affineCodes}
		for _, p := range []*safetensors.Tensor{a.scales, a.biases} {
			if want := []int64{whole[0], whole[1] / affineGroup}; !p.DType.IsFloat() || !slices.Equal(p.Shape, want) {
				return nil, fmt.Errorf("%w: %s has shape %v and element type %s, want floats of shape %v", ErrTensor, p.Name, p.Shape, p.DType, want)
			}
		}
		if s.packed == nil {
			s.packed = map[string]affine{}
		}
		s.packed[t.Name] = a
		list = append(list, &safetensors.Tensor{Name: t.Name, DType: safetensors.F32, Shape: whole, File: t.File})
	}
	return list, nil
}

// unpack is floats for a packed tensor.
func (s *source) unpack(dst []float32, a affine, first int64) error {
	if len(dst) == 0 {
		return nil
	}
	last := first + int64(len(dst)) - 1
	group := first / affineGroup
	scales, biases := make([]float32, last/affineGroup-group+1), make([]float32, last/affineGroup-group+1)
	if err := s.finiteFloats(scales, a.scales, group); err != nil {
		return err
	}
	if err := s.finiteFloats(biases, a.biases, group); err != nil {
		return err
	}
	for i, d := range scales {
		if biases[i] != -d {
			return fmt.Errorf("%w: %s: the bias of group %d is %v and its scale %v; of ternary weights one is the negative of the other",
				ErrNotTernary, a.codes.Name, group+int64(i), biases[i], d)
		}
	}
	word := first / affineCodes
	f, raw, err := s.open(a.codes, int(4*(last/affineCodes-word+1)))
	if err != nil {
		return err
	}
	if err := readAt(f, a.codes, raw, 4*word); err != nil {
		return err
	}
	for i := range dst {
		e := first + int64(i)
		at := e - affineCodes*word // four codes to a byte, low bits first
		code := raw[at/4] >> (2 * (at % 4)) & 3
		dst[i] = scales[e/affineGroup-group] * float32(int(code)-1)
	}
	return nil
}

// rotationFile describes how the weights of an MLX checkpoint were rotated.
const rotationFile = "hadamard.json"

// rotation sets the keys of a rotation, which hadamard.json has under the names of the
// checkpoint's tensors.
func (p *hfPlan) rotation(dir string, in *source) error {
	var keys map[string]json.RawMessage
	found, err := readJSON(dir, rotationFile, &keys)
	if err != nil {
		return err
	}
	if !found {
		for _, t := range in.checkpoint.Tensors() {
			if strings.HasSuffix(t.Name, signsEnd) {
				return fmt.Errorf("%w: %s is in the checkpoint, so its weights are rotated, and there is no %s that says how", ErrConfig, t.Name, rotationFile)
			}
		}
		if p.hf.ModelType == rotatedType {
			return fmt.Errorf("%w: the model_type is %s, and there is no %s", ErrConfig, rotatedType, filepath.Join(dir, rotationFile))
		}
		return nil
	}
	r := rotation{hfPlan: p, keys: keys, file: map[string]string{}}
	for _, j := range p.jobs {
		if j.source != nil {
			r.file[j.source.Name] = j.name
		}
	}
	if err := r.set(); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrConfig, filepath.Join(dir, rotationFile), err)
	}
	p.report.decide("rotation", rotationFile, "%d matrices take an input that a Hadamard transform rotates", len(r.folded))
	return r.checkSigns(in)
}

// rotation reads the keys of hadamard.json.
type rotation struct {
	*hfPlan
	keys   map[string]json.RawMessage
	file   map[string]string // names in the file by those in the checkpoint
	folded []string          // names in the file
	signs  map[int64][]int32 // by width
}

func (r *rotation) set() error {
	w := metaWriter{meta: r.meta}
	for _, key := range slices.Sorted(maps.Keys(r.keys)) {
		name, ok := strings.CutPrefix(key, model.RotationPrefix)
		if !ok {
			return fmt.Errorf("the key %q is not known", key)
		}
		var value any
		var err error
		switch name {
		case "version", "block_size":
			value, err = decode[uint32](r.keys[key])
		case "transform", "axis", "sign_mode":
			value, err = decode[string](r.keys[key])
		case "gdn_v_grouped", "tied_output":
			value, err = decode[bool](r.keys[key])
		case "sign_widths":
			value, err = decode[[]int32](r.keys[key])
		case "sign_values":
			value, err = r.signValues(r.keys[key])
		case "weight_names", "inverse_weight_names":
			value, err = r.names(r.keys[key])
		default:
			return fmt.Errorf("the key %q is not known", key)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		if name == "weight_names" {
			r.folded = value.([]string)
		}
		w.set(key, value)
	}
	if w.err != nil {
		return w.err
	}
	return r.values()
}

func decode[T any](raw json.RawMessage) (v T, err error) {
	return v, json.Unmarshal(raw, &v)
}

// signValues reads ±1, which may be written as floats.
func (r *rotation) signValues(raw json.RawMessage) ([]int32, error) {
	values, err := decode[[]float64](raw)
	signs := make([]int32, len(values))
	for i, v := range values {
		if v != 1 && v != -1 {
			return nil, fmt.Errorf("element %d is %v, want 1 or -1", i, v)
		}
		signs[i] = int32(v)
	}
	return signs, err
}

// names translates names of tensors.
func (r *rotation) names(raw json.RawMessage) ([]string, error) {
	names, err := decode[[]string](raw)
	for i, name := range names {
		file, ok := r.file[name]
		if !ok {
			return nil, fmt.Errorf("%q is no tensor of the checkpoint that has a place in the file", name)
		}
		names[i] = file
	}
	return names, err
}

// values leaves the columns of rotated projections of value heads in the checkpoint's
// order, which gdn_v_grouped says is theirs: behind the rotation they cannot be moved.
func (r *rotation) values() error {
	grouped, err := r.meta.BoolOr(model.RotationPrefix+"gdn_v_grouped", false)
	if err != nil {
		return err
	}
	for _, j := range r.jobs {
		if j.form == nil || j.form.Cols == nil || !slices.Contains(r.folded, j.name) {
			continue
		}
		if !grouped {
			return fmt.Errorf("gdn_v_grouped is not true, and the columns of %s are rotated in the checkpoint's order", j.source.Name)
		}
		form := *j.form
		form.Cols = nil
		j.form = &form
	}
	widths, err := r.meta.Int32sOr(model.RotationPrefix+"sign_widths", nil)
	if err != nil {
		return err
	}
	values, err := r.meta.Int32sOr(model.RotationPrefix+"sign_values", nil)
	if err != nil {
		return err
	}
	r.signs = map[int64][]int32{}
	for _, width := range widths {
		if width < 1 || int(width) > len(values) {
			return fmt.Errorf("sign_widths has %d, and %d sign_values are left for it", width, len(values))
		}
		r.signs[int64(width)], values = values[:width], values[width:]
	}
	if len(values) > 0 {
		return fmt.Errorf("there are %d sign_values more than sign_widths asks for", len(values))
	}
	return nil
}

// signsEnd ends the names of vectors that repeat the signs of a tensor's input.
const signsEnd = ".signs"

// checkSigns verifies that the signs beside the tensors are those of hadamard.json.
func (r *rotation) checkSigns(in *source) error {
	for _, t := range in.checkpoint.Tensors() {
		stem, ok := strings.CutSuffix(t.Name, signsEnd)
		if !ok {
			continue
		}
		if r.file[stem+".weight"] == "" {
			return fmt.Errorf("%w: %s belongs to no tensor of the file", ErrTensor, t.Name)
		}
		got, err := in.vector(t)
		if err != nil {
			return err
		}
		want := r.signs[int64(len(got))]
		if !slices.EqualFunc(got, want, func(a float32, b int32) bool { return a == float32(b) }) {
			return fmt.Errorf("%w: %s differs from the signs for %d columns in %s", ErrTensor, t.Name, len(got), rotationFile)
		}
	}
	return nil
}
