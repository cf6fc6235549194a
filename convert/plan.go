package convert

import (
	"fmt"
	"slices"
	"strings"

	"trit/gguf"
	"trit/internal/model"
	"trit/internal/safetensors"
	"trit/quant"
)

// job is one tensor of the output.
type job struct {
	name string
	dims []int64 // contiguous dimension first
	typ  gguf.Type
	role model.Role

	source *safetensors.Tensor // nil for values and for tensors of a GGUF file
	values []float32           // of a computed vector

	// For tensors of a GGUF file.
	tensor *gguf.Tensor
	layout quant.I2SLayout // of an I2_S tensor
	how    treatment

	// For projections.
	scale    *safetensors.Tensor // weight_scale of a packed tensor, else nil
	headRows int                 // rows of a head whose order changes, or 0
	analysis *analysis           // of float weights, once it is known

	report *Tensor
}

func (j *job) cols() int64 { return j.dims[0] }

func (j *job) rows() int64 {
	n := int64(1)
	for _, d := range j.dims[1:] {
		n *= d
	}
	return n
}

// sourceBytes is what progress counts.
func (j *job) sourceBytes() int64 {
	switch {
	case j.tensor != nil:
		return j.tensor.Size
	case j.source != nil:
		return j.source.Elements() * j.source.DType.Size()
	}
	return 0
}

// bytesOf returns the share of sourceBytes that n elements of float data take.
func (j *job) bytesOf(n int) int64 {
	if j.tensor == nil {
		return int64(n) * j.source.DType.Size()
	}
	return int64(float64(n) / float64(j.tensor.Elements()) * float64(j.tensor.Size))
}

// from names the source.
func (j *job) from() string {
	if j.source != nil {
		return j.source.Name
	}
	return j.name
}

// planner finds the source of every tensor in the family's table.
type planner struct {
	*converter
	used map[string]bool // names of the checkpoint that have a place
}

// plan lists the tensors to write, in the order of the family's table: those
// outside the layers, then layer by layer. Shapes and element types are checked
// here, before anything is written.
func (c *converter) plan() error {
	p := planner{converter: c, used: map[string]bool{}}
	for spec := range c.family.Table(c.config).All() {
		if err := p.add(spec); err != nil {
			return err
		}
	}
	if c.ropeFactors != nil && !slices.ContainsFunc(c.jobs, func(j *job) bool { return j.values != nil }) {
		return fmt.Errorf("%w: rope_scaling of type llama3 has no place in architecture %s", ErrUnsupported, c.config.Architecture)
	}
	return p.checkUnused()
}

// find returns the tensor of that name, with or without the prefix that models
// inside a larger module have.
func (p *planner) find(name string) *safetensors.Tensor {
	for _, prefix := range []string{"model.", ""} {
		if t, err := p.in.checkpoint.Tensor(prefix + name); err == nil {
			return t
		}
	}
	return nil
}

// add appends the job for one tensor of the table, and those for what goes with
// it.
func (p *planner) add(spec model.TensorSpec) error {
	name := spec.Name
	if name == "rope_freqs.weight" && p.ropeFactors != nil {
		p.append(&job{name: name, dims: spec.Dims, typ: gguf.TypeF32, role: spec.Role, values: p.ropeFactors})
		return nil
	}
	if len(spec.HF) == 0 {
		return nil
	}
	var t *safetensors.Tensor
	for _, name := range spec.HF {
		if t = p.find(name); t != nil {
			break
		}
	}
	if spec.Role == model.RoleHead {
		keep, err := p.ownHead(t, spec.HF[0])
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
	p.used[t.Name] = true
	j := &job{name: name, dims: spec.Dims, role: spec.Role, source: t}
	var err error
	switch spec.Role {
	case model.RoleProjection:
		j.typ = p.opts.Type
		err = p.projection(j, spec)
	case model.RoleEmbedding, model.RoleHead:
		j.typ = p.opts.Embedding
		err = p.checkFloat(j, []int64{j.rows(), j.cols()})
	default:
		j.typ = gguf.TypeF32
		shape := slices.Clone(spec.Dims)
		slices.Reverse(shape)
		err = p.checkFloat(j, shape)
	}
	if err == nil {
		err = checkType(j)
	}
	if err != nil {
		return err
	}
	p.append(j)
	if spec.Role == model.RoleProjection {
		return p.addBias(j)
	}
	return nil
}

func (p *planner) append(j *job) {
	r := &Tensor{Name: j.name, Dims: j.dims, Type: j.typ.String()}
	if j.source != nil {
		r.Source, r.SourceType = j.source.Name, string(j.source.DType)
	}
	j.report = r
	p.jobs = append(p.jobs, j)
	p.total += j.sourceBytes()
}

// ownHead decides whether the model has an output head of its own; t is nil when
// the checkpoint holds none.
func (p *planner) ownHead(t *safetensors.Tensor, name string) (bool, error) {
	tied := p.hf.Tied
	switch {
	case t == nil && tied != nil && !*tied:
		return false, fmt.Errorf("%w: %s is missing from the checkpoint, and tie_word_embeddings is false in config.json", ErrTensor, name)
	case t == nil:
		if tied == nil {
			p.report.decide("output head", "the token embedding", "the checkpoint has no %s", name)
		}
		return false, nil
	case tied != nil && *tied:
		p.used[t.Name] = true
		p.report.decide("output head", "the token embedding", "tie_word_embeddings is true in config.json; %s is left out", t.Name)
		return false, nil
	}
	return true, nil
}

// checkFloat verifies element type and shape (slowest dimension first).
func (p *planner) checkFloat(j *job, shape []int64) error {
	t := j.source
	if !isFloat(t.DType) {
		return fmt.Errorf("%w: %s has element type %s, want floats", ErrTensor, t.Name, t.DType)
	}
	if !slices.Equal(t.Shape, shape) {
		return fmt.Errorf("%w: %s has shape %v, config.json asks for %v", ErrTensor, t.Name, t.Shape, shape)
	}
	return nil
}

// projection completes the job of a ternary tensor.
func (p *planner) projection(j *job, spec model.TensorSpec) error {
	t := j.source
	if spec.RopeHeads > 0 {
		// The reordering undoes what Hugging Face's own conversion did to the
		// original release; files with the original names have not gone through it.
		if !strings.Contains(t.Name, "_proj") {
			return fmt.Errorf("%w: %s has a name of the original Llama release, whose rows are in another order; start from the checkpoint in Hugging Face form", ErrUnsupported, t.Name)
		}
		j.headRows = int(j.rows() / int64(spec.RopeHeads))
	}
	scaleName := strings.TrimSuffix(t.Name, ".weight") + ".weight_scale"
	scale, _ := p.in.checkpoint.Tensor(scaleName)
	if t.DType != safetensors.U8 {
		if scale != nil {
			return fmt.Errorf("%w: %s has element type %s beside %s, want packed codes (U8)", ErrTensor, t.Name, t.DType, scaleName)
		}
		return p.checkFloat(j, []int64{j.rows(), j.cols()})
	}
	if scale == nil {
		return fmt.Errorf("%w: %s is missing from the checkpoint; packed weights mean nothing without it", ErrTensor, scaleName)
	}
	if !isFloat(scale.DType) {
		return fmt.Errorf("%w: %s has element type %s, want floats", ErrTensor, scaleName, scale.DType)
	}
	if want := []int64{j.rows() / 4, j.cols()}; j.rows()%4 != 0 || !slices.Equal(t.Shape, want) {
		return fmt.Errorf("%w: %s has shape %v; config.json asks for %d rows, which four to a byte are %v", ErrTensor, t.Name, t.Shape, j.rows(), want)
	}
	p.used[scaleName] = true
	j.scale = scale
	return nil
}

// addBias appends the job for the bias of a projection, if it has one.
func (p *planner) addBias(w *job) error {
	t, err := p.in.checkpoint.Tensor(strings.TrimSuffix(w.source.Name, ".weight") + ".bias")
	if err != nil {
		return nil // most models have none
	}
	p.used[t.Name] = true
	j := &job{
		name: strings.TrimSuffix(w.name, ".weight") + ".bias", dims: []int64{w.rows()},
		typ: gguf.TypeF32, role: model.RoleVector, source: t, headRows: w.headRows,
	}
	if err := p.checkFloat(j, j.dims); err != nil {
		return err
	}
	p.append(j)
	return nil
}

// ignored are the endings of tensors that older libraries saved although they
// follow from the configuration.
var ignored = []string{"rotary_emb.inv_freq", ".attention.masked_bias", ".attention.bias"}

// checkUnused refuses a checkpoint with tensors that have no place: the model
// would compute something else.
func (p *planner) checkUnused() error {
	for _, t := range p.in.checkpoint.Tensors() {
		if p.used[t.Name] || slices.ContainsFunc(ignored, func(end string) bool { return strings.HasSuffix(t.Name, end) }) {
			continue
		}
		return fmt.Errorf("%w: %s has no place in a model of architecture %s with %d layers; without it the model would compute something else",
			ErrTensor, t.Name, p.config.Architecture, p.config.Layers)
	}
	return nil
}

// maxPiece bounds the elements that are converted at a time: a row, or the rows of
// a head. The widest known models stay below a tenth of it.
const maxPiece = 1 << 26

// checkType verifies that the tensor's width fits its type, and says what else
// would.
func checkType(j *job) error {
	if n := j.step() * j.cols(); n > maxPiece {
		return fmt.Errorf("%w: %s has dimensions %v; its rows are too wide to be converted (%d elements at a time, at most %d)", ErrUnsupported, j.from(), j.dims, n, maxPiece)
	}
	if fits(j.typ, j.dims) {
		return nil
	}
	candidates := Types()
	if j.role != model.RoleProjection {
		candidates = EmbeddingTypes()
	}
	var others []gguf.Type
	for _, t := range candidates {
		if fits(t, j.dims) {
			others = append(others, t)
		}
	}
	if j.typ == gguf.TypeI2S {
		return fmt.Errorf("%w: %s has %d rows of %d columns, and I2_S needs a multiple of 128 elements; use %s", ErrType, j.name, j.rows(), j.cols(), joinTypes(others))
	}
	return fmt.Errorf("%w: %s has rows of %d columns, and %v needs a multiple of %d; use %s", ErrType, j.name, j.cols(), j.typ, j.typ.BlockElements(), joinTypes(others))
}

func fits(t gguf.Type, dims []int64) bool {
	_, err := t.Size(dims)
	return err == nil
}
