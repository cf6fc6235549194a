package convert

import (
	"fmt"
	"slices"
	"strings"

	"trit/gguf"
	"trit/internal/model"
	"trit/internal/safetensors"
)

// hfPlan makes the plan for a Hugging Face checkpoint. Its steps, none of which reads
// a file, are model, tensors, texts, scales, weights and activations; their order is
// that of the metadata's keys and of the report's decisions.
type hfPlan struct {
	plan
	o      Options
	hf     *hfConfig
	family *model.Arch
	config *model.Config

	headless    bool                 // it may be for vectors of texts only
	ropeFactors map[string][]float32 // the contents of tensors that config.json describes
}

// newHFPlan finds the family of the model.
func newHFPlan(o Options, config *hfConfig) (*hfPlan, error) {
	family, class, err := config.family()
	if err != nil {
		return nil, err
	}
	p := &hfPlan{o: o, hf: config, family: family, plan: plan{
		output: o.Output, meta: &gguf.Metadata{}, report: &Report{Input: o.Input, Output: o.Output, Class: class},
	}}
	p.rules = rules{
		declared: config.declaredTernary(family), round: o.Round,
		undeclared: fmt.Sprintf("config.json has no quantization_config and its class %s is not a ternary one", class),
	}
	return p, nil
}

// tensors lists the tensors to write, in the order of the family's table: those
// outside the layers, then layer by layer. Their shapes and element types are
// checked; source are the headers of the checkpoint's tensors.
func (p *hfPlan) tensors(source []*safetensors.Tensor) error {
	f := finder{hfPlan: p, all: source, byName: map[string]*safetensors.Tensor{}, used: map[string]bool{}}
	for _, t := range source {
		f.byName[t.Name] = t
		f.mlx = f.mlx || strings.HasSuffix(t.Name, "conv1d.weight") && len(t.Shape) == 3 && t.Shape[1] != 1 && t.Shape[2] == 1
	}
	inner, normed := p.hf.Quantization != nil && p.hf.Quantization.InnerNorm, false
	own := !inner && slices.ContainsFunc(source, func(t *safetensors.Tensor) bool {
		return strings.HasSuffix(t.Name, "_proj"+model.HFOwnNorm)
	})
	for spec := range p.family.Table(p.config).All() {
		if model.IsNormIn(spec.Name) {
			end := model.HFInnerNorm
			switch {
			case own:
				end = model.HFOwnNorm
			case !inner:
				continue // transformers would not use it
			}
			spec.HF = slices.DeleteFunc(slices.Clone(spec.HF), func(name string) bool { return !strings.HasSuffix(name, end) })
			spec.Optional, normed = false, true
		}
		if err := f.add(spec); err != nil {
			return err
		}
	}
	if inner && !normed {
		return fmt.Errorf("%w: quantization_config.use_rms_norm is true in config.json: a norm inside each projection has no place in architecture %s",
			ErrUnsupported, p.config.Architecture)
	}
	if own && p.rules.declared == "" {
		p.rules.declared = "its projections have norms of their own, as those of BitNet models do"
	}
	for name := range p.ropeFactors {
		if !slices.ContainsFunc(p.jobs, func(j *job) bool { return j.name == name }) {
			return fmt.Errorf("%w: %s, which rope_scaling asks for, has no place in architecture %s", ErrUnsupported, name, p.config.Architecture)
		}
	}
	return f.checkUnused()
}

// finder finds the source of every tensor in the family's table.
type finder struct {
	*hfPlan
	all    []*safetensors.Tensor
	byName map[string]*safetensors.Tensor
	used   map[string]bool // names of the checkpoint that have a place
	// mlx: convolutions have MLX's order, by which its programs tell checkpoints that
	// have gone through them: those have 1 added to the weights of centred norms, too.
	mlx bool
}

// find returns the tensor of that name, with or without the prefix that models
// inside a larger module have.
func (f *finder) find(name string) *safetensors.Tensor {
	for _, prefix := range []string{"model.", "", "model.language_model.", "language_model.model.", "language_model."} {
		if t := f.byName[prefix+name]; t != nil {
			return t
		}
	}
	return nil
}

// add appends the job for one tensor of the table, and those for what goes with
// it.
func (f *finder) add(spec model.TensorSpec) error {
	name := spec.Name
	if values := f.ropeFactors[name]; values != nil {
		if int64(len(values)) != spec.Dims[0] {
			return fmt.Errorf("%w: rope_scaling in config.json has %d factors, want %d", ErrConfig, len(values), spec.Dims[0])
		}
		f.plan.add(&job{name: name, dims: spec.Dims, typ: gguf.TypeF32, role: spec.Role, values: values})
		return nil
	}
	if len(spec.HF) == 0 {
		return nil
	}
	var t *safetensors.Tensor
	for _, name := range spec.HF {
		if t = f.find(name); t != nil {
			break
		}
	}
	if spec.Role == model.RoleHead {
		keep, err := f.ownHead(t, spec.HF[0])
		if !keep || err != nil {
			return err
		}
	}
	if t == nil {
		if spec.Optional {
			return nil
		}
		return fmt.Errorf("%w: %s (%s) is missing from the checkpoint", ErrTensor, strings.Join(spec.HF, " or "), name)
	}
	f.used[t.Name] = true
	j := &job{name: name, dims: spec.Dims, role: spec.Role, source: t, form: spec.HFForm}
	var err error
	switch spec.Role {
	case model.RoleProjection:
		j.typ = f.o.Type
		err = f.projection(j, spec)
	case model.RoleEmbedding, model.RoleHead:
		j.typ = f.o.Embedding
		err = checkFloat(j, []int64{j.rows(), j.cols()})
	default:
		j.typ = gguf.TypeF32
		shape := slices.Clone(spec.Dims)
		slices.Reverse(shape)
		if spec.Role == model.RoleDense && len(t.Shape) == 3 { // a convolution for each channel
			place := 1
			if f.mlx {
				place = 2 // with the same numbers one after the other
			}
			shape = slices.Insert(shape, place, 1)
		}
		if mtp := model.LayerTensor(f.config.Layers, ""); strings.HasPrefix(name, mtp) && spec.Role == model.RoleDense &&
			spec.Dims[0]%gguf.TypeQ8_0.BlockElements() == 0 {
			j.typ = gguf.TypeQ8_0
		}
		err = checkFloat(j, shape)
		if f.mlx && j.form != nil && j.form.Centred {
			j.form = nil
		}
	}
	if err == nil {
		err = checkType(j)
	}
	if err != nil {
		return err
	}
	f.plan.add(j)
	if spec.Role == model.RoleProjection {
		return f.addBias(j)
	}
	return nil
}

// ownHead decides whether the model has an output head of its own; t is nil when
// the checkpoint holds none.
func (f *finder) ownHead(t *safetensors.Tensor, name string) (bool, error) {
	tied := f.hf.Tied
	switch {
	case t == nil && f.headless:
		f.report.decide("output head", "the token embedding", "the checkpoint has none: it is a model for vectors of texts")
		return false, nil
	case t == nil && tied != nil && !*tied:
		return false, fmt.Errorf("%w: %s is missing from the checkpoint, and tie_word_embeddings is false in config.json", ErrTensor, name)
	case t == nil:
		if tied == nil {
			f.report.decide("output head", "the token embedding", "the checkpoint has no %s", name)
		}
		return false, nil
	case tied != nil && *tied:
		f.used[t.Name] = true
		f.report.decide("output head", "the token embedding", "tie_word_embeddings is true in config.json; %s is left out", t.Name)
		return false, nil
	}
	return true, nil
}

// checkFloat verifies element type and shape (slowest dimension first).
func checkFloat(j *job, shape []int64) error {
	t := j.source
	if !t.DType.IsFloat() {
		return fmt.Errorf("%w: %s has element type %s, want floats", ErrTensor, t.Name, t.DType)
	}
	if !slices.Equal(t.Shape, shape) {
		return fmt.Errorf("%w: %s has shape %v, config.json asks for %v", ErrTensor, t.Name, t.Shape, shape)
	}
	return nil
}

// projection completes the job of a ternary tensor.
func (f *finder) projection(j *job, spec model.TensorSpec) error {
	t := j.source
	if spec.RopeHeads > 0 {
		// The reordering undoes what Hugging Face's own conversion did to the
		// original release; files with the original names have not gone through it.
		if !strings.Contains(t.Name, "_proj") {
			return fmt.Errorf("%w: %s has a name of the original Llama release, whose rows are in another order; start from the checkpoint in Hugging Face form", ErrUnsupported, t.Name)
		}
		j.headRows = int(j.rows() / int64(spec.RopeHeads))
	}
	if j.form != nil && t.DType == safetensors.U8 {
		return fmt.Errorf("%w: %s is packed, and architecture %s has its rows or columns in another order; start from the checkpoint of floats",
			ErrUnsupported, t.Name, f.config.Architecture)
	}
	scaleName := strings.TrimSuffix(t.Name, ".weight") + ".weight_scale"
	scale := f.byName[scaleName]
	if t.DType != safetensors.U8 {
		if scale != nil {
			return fmt.Errorf("%w: %s has element type %s beside %s, want packed codes (U8)", ErrTensor, t.Name, t.DType, scaleName)
		}
		shape := slices.Clone(j.dims)
		slices.Reverse(shape)
		return checkFloat(j, shape)
	}
	if scale == nil {
		return fmt.Errorf("%w: %s is missing from the checkpoint; packed weights mean nothing without it", ErrTensor, scaleName)
	}
	if !scale.DType.IsFloat() {
		return fmt.Errorf("%w: %s has element type %s, want floats", ErrTensor, scaleName, scale.DType)
	}
	if want := []int64{j.rows() / 4, j.cols()}; j.rows()%4 != 0 || !slices.Equal(t.Shape, want) {
		return fmt.Errorf("%w: %s has shape %v; config.json asks for %d rows, which four to a byte are %v", ErrTensor, t.Name, t.Shape, j.rows(), want)
	}
	f.used[scaleName] = true
	j.scale = scale
	return nil
}

// addBias appends the job for the bias of a projection, if it has one.
func (f *finder) addBias(w *job) error {
	t := f.byName[strings.TrimSuffix(w.source.Name, ".weight")+".bias"]
	if t == nil {
		return nil // most models have none
	}
	f.used[t.Name] = true
	j := &job{
		name: strings.TrimSuffix(w.name, ".weight") + ".bias", dims: []int64{w.rows()},
		typ: gguf.TypeF32, role: model.RoleVector, source: t, headRows: w.headRows,
	}
	if err := checkFloat(j, j.dims); err != nil {
		return err
	}
	f.plan.add(j)
	return nil
}

// ignored are the endings of tensors that older libraries saved although they
// follow from the configuration.
var ignored = []string{"rotary_emb.inv_freq", ".attention.masked_bias", ".attention.bias"}

// otherParts are the beginnings of names in parts of a model that a file of text does
// without, and what the parts are called.
var otherParts = [...]struct{ prefix, name string }{
	{"model.visual.", "vision tower"}, {"visual.", "vision tower"}, {"vision_tower.", "vision tower"}, {"mtp.", "layers that guess further tokens"},
}

// otherPart names the part of the model that a tensor belongs to if the file has no
// place for all of it, or is empty.
func (f *finder) otherPart(name string) string {
	if f.hf.Text == nil && f.hf.LinearValueHeads == nil {
		return ""
	}
	for _, p := range otherParts {
		if strings.HasPrefix(name, p.prefix) {
			return p.name
		}
	}
	return ""
}

// checkUnused refuses a checkpoint with tensors that have no place: the model
// would compute something else.
func (f *finder) checkUnused() error {
	left := map[string]bool{}
	for _, t := range f.all {
		if part := f.otherPart(t.Name); part != "" && !f.used[t.Name] {
			if !left[part] {
				left[part] = true
				f.report.decide(part, "left out", "only the text model is converted")
			}
			continue
		}
		if f.used[t.Name] || f.hf.Affine != nil && strings.HasSuffix(t.Name, signsEnd) || slices.ContainsFunc(ignored, func(end string) bool { return strings.HasSuffix(t.Name, end) }) {
			continue
		}
		return fmt.Errorf("%w: %s has no place in a model of architecture %s with %d layers; without it the model would compute something else",
			ErrTensor, t.Name, f.config.Architecture, f.config.Layers)
	}
	return nil
}

// weights says what becomes of the weights, by the forms that the projections of the
// first layer, and all packed ones, have.
func (p *hfPlan) weights(forms map[Form]bool) {
	for _, d := range []struct {
		form           Form
		choice, reason string
	}{
		{FormPacked, "taken as they are", "some projections hold packed codes"},
		{FormTernary, "taken as they are", "some projections hold floats that are ternary already"},
		{FormMaster, "rounded by absmean", "some projections hold real-valued master weights"},
	} {
		if forms[d.form] {
			p.report.decide("weights", d.choice, "%s", d.reason)
		}
	}
	if forms[FormMaster] && p.rules.declared == "" {
		p.report.warn("the model was not trained ternary and is rounded all the same: expect nonsense")
	}
}

// activations decides whether the inputs of projections are rounded to
// eight bits, and writes it down where they are not.
func (p *hfPlan) activations() error {
	activations, reason := p.o.Activations, "chosen by the caller"
	if activations == 0 {
		activations, reason = model.Int8, p.rules.declared
		switch {
		case p.config.Activations == model.Int8Groups && p.rules.declared == "":
			p.report.Activations = p.config.Activations.String()
			p.report.decide("activations", p.report.Activations, "models of this kind are trained with ternary weights alone")
			if p.o.Type != gguf.TypeI2S {
				return nil
			}
			w := metaWriter{meta: p.meta} // without the key a reader takes I2_S for a BitNet model
			w.set(p.config.Architecture+".activations", p.report.Activations)
			return w.err
		case p.rules.declared == "":
			activations = model.Float
			reason = "config.json says nothing of quantisation, as with TriLM models, which are trained with float activations"
		}
	}
	p.report.Activations = activations.String()
	p.report.decide("activations", activations.String(), "%s", reason)
	if activations == model.Int8 && (p.config.Activations == model.Int8 || p.o.Type == gguf.TypeI2S) {
		return nil // as a reader takes it without the key
	}
	w := metaWriter{meta: p.meta}
	w.set(p.config.Architecture+".activations", activations.String())
	return w.err
}
