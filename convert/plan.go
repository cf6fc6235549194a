package convert

import (
	"fmt"

	"trit/gguf"
	"trit/internal/model"
	"trit/internal/safetensors"
	"trit/quant"
)

// plan is what has been decided about a file before its weights are read: what is
// written, under which names and keys and in which types, and what the report says
// about that. It is made of configurations and headers only. A [writer] carries it
// out.
type plan struct {
	output string
	meta   *gguf.Metadata
	jobs   []*job
	rules  rules
	report *Report
}

// rules say how the weights of projections become trits.
type rules struct {
	method     Method          // by which real-valued ones are rounded
	convention ScaleConvention // what weight_scale means
	declared   string          // how the source declares the model ternary, or ""
	undeclared string          // for the message when it does not
	round      bool            // round the weights of any model
}

// multiplier returns what the trits of a packed tensor are multiplied with.
func (r *rules) multiplier(weightScale float32) float32 {
	if r.convention == ScaleDivisor {
		return 1 / weightScale
	}
	return weightScale
}

// add appends a tensor.
func (p *plan) add(j *job) {
	j.report = &Tensor{Name: j.name, Dims: j.dims, Type: j.typ.String()}
	switch {
	case j.source != nil:
		j.report.Source, j.report.SourceType = j.source.Name, string(j.source.DType)
	case j.tensor != nil:
		j.report.Source, j.report.SourceType = j.tensor.Name, j.tensor.Type.String()
	}
	p.jobs = append(p.jobs, j)
}

// sourceBytes is the size of all sources.
func (p *plan) sourceBytes() int64 {
	n := int64(0)
	for _, j := range p.jobs {
		n += j.sourceBytes()
	}
	return n
}

// treatment says how the tensor of a GGUF file is written to another.
type treatment uint8

const (
	converted treatment = iota // projections: as trits, rounded where need be
	recoded                    // the values in another type
	copied                     // byte by byte
	repacked                   // I2_S codes from another layout
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
	parts  int64 // that the tensor is written in, each by a job; 0 for one

	// For projections.
	scale    *safetensors.Tensor // weight_scale of a packed tensor, else nil
	headRows int                 // rows of a head whose order changes, or 0
	form     *model.HFForm       // what else changes, or nil
	analysis *analysis           // of float weights, once they have been read

	report *Tensor // its writer completes it
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
		return j.tensor.Size / max(j.parts, 1)
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

// step returns how many rows make a piece: whole heads where heads are reordered.
func (j *job) step() int64 {
	step := max(1, pieceElems/j.cols())
	if heads := int64(j.headRows); heads > 0 {
		step = max(1, step/heads) * heads
	}
	return step
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
