package convert

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"trit/gguf"
	"trit/internal/model"
	"trit/quant"
)

// Method says how real-valued weights are rounded to {−s, 0, +s}.
type Method uint8

// The methods. BitNet b1.58 models are trained with absmean; absmax keeps only
// the weights beyond half of the largest one, and suits weights that are ternary
// up to rounding errors.
const (
	// MethodAuto is AbsMean where the target type asks for ternary weights;
	// float types keep float weights as they are.
	MethodAuto Method = iota
	AbsMean           // s = mean|W|, trit = round(W/s) within −1…1
	AbsMax            // s = max|W|, trit = round(W/s)
)

var methods = [...]string{MethodAuto: "auto", AbsMean: "absmean", AbsMax: "absmax"}

// ParseMethod reads "auto", "absmean" or "absmax".
func ParseMethod(name string) (Method, error) {
	for i, s := range methods {
		if strings.EqualFold(s, name) {
			return Method(i), nil
		}
	}
	return 0, fmt.Errorf("%w: method %q, want auto, absmean or absmax", ErrOptions, name)
}

// String returns the name that ParseMethod reads.
func (m Method) String() string {
	if int(m) < len(methods) {
		return methods[m]
	}
	return fmt.Sprintf("method(%d)", uint8(m))
}

// QuantizeOptions say which types a GGUF file is rewritten with.
type QuantizeOptions struct {
	// Input is the open file. It stays open and is never changed.
	Input *gguf.File
	// Output is the file to write; an existing file is replaced, unless it is
	// the input.
	Output string

	// Type is the storage type of the ternary projections, one of
	// [QuantizeTypes]; nil keeps each as it is.
	Type *gguf.Type
	// Embedding and Head are those of the token embedding and of an output head
	// beside it, of [EmbeddingTypes]; nil keeps them.
	Embedding, Head *gguf.Type

	// Method rounds projections whose values are not ternary already. Those
	// that are keep their values exactly, whatever the method.
	Method Method
	// Round rounds the weights of models that were not trained ternary, which
	// makes them useless except for experiments.
	Round bool
	// I2SLayout is the packing of I2_S tensors of the input, which files do not
	// record. The output has layout A.
	I2SLayout quant.I2SLayout
	// Threads is the number of goroutines that quantise; 0 means one per CPU. It
	// changes neither the file nor the report.
	Threads int

	// Progress, if not nil, is called now and then, from the goroutine that
	// called Quantize.
	Progress func(Progress)
}

// QuantizeTypes lists the storage types that [QuantizeOptions].Type may have:
// those that hold ternary weights exactly, but for the rounding of scales.
func QuantizeTypes() []gguf.Type { return append(Types(), gguf.TypeQ8_0) }

// Quantize writes the model in a GGUF file to another one with other storage
// types. All other tensors and all metadata are kept; only general.file_type and,
// where it is missing, general.quantization_version are set, and what described
// the division of a split model goes.
//
// The report has the error that each changed tensor suffers. Memory does not grow
// with the model. After an error or a cancelled context nothing new is under the
// output's name.
func Quantize(ctx context.Context, o QuantizeOptions) (*Report, error) {
	return quantize(ctx, o, gguf.WriteFile)
}

func quantize(ctx context.Context, o QuantizeOptions, write writeFunc) (*Report, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if err := stopped(ctx); err != nil {
		return nil, err
	}
	t, err := newTeam(o.Threads)
	if err != nil {
		return nil, err
	}
	defer t.close()
	p, err := planQuantize(o)
	if err != nil {
		return nil, err
	}
	w := newWriter(ctx, &p.plan, t, nil, o.Progress)
	forms, err := w.firstForms()
	if err != nil {
		return nil, err
	}
	p.weights(forms)
	if err := w.writeFile(write); err != nil {
		return nil, err
	}
	return p.report, nil
}

func (o *QuantizeOptions) check() error {
	switch {
	case o.Input == nil:
		return fmt.Errorf("%w: no input is given", ErrOptions)
	case o.Output == "":
		return fmt.Errorf("%w: no output is given", ErrOptions)
	case int(o.Method) >= len(methods):
		return fmt.Errorf("%w: %v", ErrOptions, o.Method)
	case o.I2SLayout > quant.LayoutC:
		return fmt.Errorf("%w: %v", ErrOptions, o.I2SLayout)
	case o.Type != nil && !slices.Contains(QuantizeTypes(), *o.Type):
		return fmt.Errorf("%w: projections cannot be stored as %v, want one of %s", ErrOptions, *o.Type, joinTypes(QuantizeTypes()))
	}
	for _, t := range []*gguf.Type{o.Embedding, o.Head} {
		if t != nil && !slices.Contains(EmbeddingTypes(), *t) {
			return fmt.Errorf("%w: embedding and head cannot be stored as %v, want one of %s", ErrOptions, *t, joinTypes(EmbeddingTypes()))
		}
	}
	return checkNotInput(o.Input, o.Output)
}

// checkNotInput refuses to write over a file that is being read.
func checkNotInput(f *gguf.File, output string) error {
	out, err := os.Stat(output)
	if err != nil {
		return nil // it is not there, or writing will tell
	}
	for _, part := range append([]*gguf.File{f}, f.Parts...) {
		if part.Path == "" {
			continue
		}
		if in, err := os.Stat(part.Path); err == nil && os.SameFile(in, out) {
			return fmt.Errorf("%w: the output %s is the input", ErrOptions, output)
		}
	}
	return nil
}

// quantizePlan makes the plan for other types of a GGUF file's tensors, by the
// file's header alone.
type quantizePlan struct {
	plan
	o QuantizeOptions
}

// planQuantize plans a quantization.
func planQuantize(o QuantizeOptions) (*quantizePlan, error) {
	family, config, err := configOf(o.Input)
	if err != nil {
		return nil, err
	}
	p := &quantizePlan{o: o, plan: plan{
		output: o.Output, meta: o.Input.Metadata.Clone(),
		rules: rules{
			method: o.Method, round: o.Round,
			undeclared: fmt.Sprintf("architecture %s does not say that the model is ternary", config.Architecture),
		},
		report: &Report{
			Input: o.Input.Path, Output: o.Output, Architecture: config.Architecture, Name: config.Name,
			HiddenAct: config.HiddenAct.String(), Activations: config.Activations.String(),
		},
	}}
	if slices.Contains(family.Names, "bitnet") {
		p.rules.declared = "its architecture is BitNet"
	}
	if err := p.tensors(family.Table(config)); err != nil {
		return nil, err
	}
	return p, p.metadata()
}

// configOf returns the family and the configuration of the model in a file.
func configOf(f *gguf.File) (*model.Arch, *model.Config, error) {
	name, err := f.Metadata.String("general.architecture")
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	family, err := model.LookupArch(name)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrArchitecture, err)
	}
	config, err := model.Configure(family, f.Metadata, model.LoadOptions{})
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return family, config, nil
}

// tensors plans each tensor.
func (p *quantizePlan) tensors(table *model.TensorTable) error {
	for _, t := range p.o.Input.Tensors {
		spec, _ := table.Lookup(t.Name)
		j := &job{name: t.Name, dims: t.Dims, typ: t.Type, role: spec.Role, tensor: t, layout: p.o.I2SLayout, how: copied}
		switch j.role {
		case model.RoleProjection:
			if err := p.projection(j); err != nil {
				return err
			}
		case model.RoleEmbedding:
			p.table(j, p.o.Embedding)
		case model.RoleHead:
			p.table(j, p.o.Head)
		}
		if j.how != copied {
			if _, err := quant.RowBytes(t.Type, 0); err != nil {
				return fmt.Errorf("%w: %s: %w", ErrType, t.Name, err)
			}
			if err := checkType(j); err != nil {
				return err
			}
		}
		p.add(j)
	}
	return nil
}

// projection decides what happens to ternary weights, or what should be some.
func (p *quantizePlan) projection(j *job) error {
	t := j.tensor
	if len(t.Dims) < 2 {
		return fmt.Errorf("%w: %s has dimensions %v, want two, or three of experts", ErrTensor, t.Name, t.Dims)
	}
	if p.o.Type != nil {
		j.typ = *p.o.Type
	}
	switch {
	case quant.IsTernary(t.Type):
		if j.typ != t.Type || t.Type == gguf.TypeI2S && j.layout != quant.LayoutA {
			j.how = converted
		}
	case quant.IsTernary(j.typ) || p.o.Method != MethodAuto:
		j.how = converted
	case j.typ != t.Type:
		j.how = recoded
	}
	return nil
}

// table decides what happens to an embedding or a head.
func (p *quantizePlan) table(j *job, t *gguf.Type) {
	if t != nil && *t != j.typ {
		j.typ, j.how = *t, recoded
		if quant.IsTernary(*t) {
			j.how = converted
		}
	}
}

// weights says what becomes of the weights, by the forms that the float projections
// of the first layer have.
func (p *quantizePlan) weights(forms map[Form]bool) {
	kept := slices.ContainsFunc(p.jobs, func(j *job) bool { return j.role == model.RoleProjection && j.how == recoded })
	switch master := forms[FormMaster]; {
	case master && p.rules.method == AbsMax:
		p.report.decide("weights", "rounded by absmax", "chosen by the caller")
	case master:
		p.report.decide("weights", "rounded by absmean", "real-valued weights, and BitNet b1.58 models are trained with it")
	case forms[FormTernary]:
		p.report.decide("weights", "taken as they are", "the floats are ternary already")
	}
	if kept {
		p.report.decide("weights", "kept as floats", "the type asked for holds floats; a method would round them to trits")
	}
	if forms[FormMaster] && p.rules.declared == "" {
		p.report.warn("the model was not trained ternary and is rounded all the same: expect nonsense")
	}
}

// quantizationVersion is what llama.cpp calls the current layout of its blocks.
const quantizationVersion = 2

// metadata sets what the new types make untrue.
func (p *quantizePlan) metadata() error {
	w := metaWriter{meta: p.meta}
	cleanMetadata(p.o.Input, &w)
	if p.o.Type != nil {
		fileType, _ := p.o.Type.FileType() // check accepts only types that have one
		w.set("general.file_type", fileType)
	}
	if !p.meta.Has("general.quantization_version") {
		w.set("general.quantization_version", uint32(quantizationVersion))
	}
	for _, j := range p.jobs {
		switch j.role {
		case model.RoleProjection:
			p.report.Type = j.typ.String()
		case model.RoleEmbedding:
			p.report.Embedding = j.typ.String()
		}
	}
	return w.err
}

// maxAlignment is the largest alignment of tensors that is written.
const maxAlignment = 1 << 20

// cleanMetadata brings the keys that describe the container into the form of a
// single version 3 file.
func cleanMetadata(f *gguf.File, w *metaWriter) {
	if w.meta.Has("general.alignment") {
		align := uint32(32)
		if f.Alignment <= maxAlignment {
			align = uint32(f.Alignment)
		}
		w.set("general.alignment", align)
	}
	if len(f.Parts) > 0 {
		for _, key := range []string{"split.no", "split.count", "split.tensors.count"} {
			w.meta.Delete(key)
		}
	}
}
