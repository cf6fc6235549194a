package model

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"

	"trit/gguf"
)

// Arch describes one family of architectures.
type Arch struct {
	// Names are the values of general.architecture that the family serves.
	Names []string
	// HFNames are the entries of config.json's "architectures" that convert
	// to the family.
	HFNames []string
	// WeightOnly: usual models of the family were trained with full activations.
	WeightOnly bool
	// ValueOrder, if not nil, is the order into which a rotated ssm_out wants its
	// input brought; see Transform.
	ValueOrder func(c *Config) []int32
	// Refuse, if not nil, returns what keys ask for that the family's graph does not have.
	Refuse func(m *gguf.Metadata, architecture string) error
	// Configure completes the configuration from the family's own keys.
	Configure func(m *gguf.Metadata, c *Config) error
	// Tensors lists the tensors of a model with that configuration.
	Tensors func(c *Config) []TensorSpec
	// Build binds the weights to a graph.
	Build func(c *Config, b *Binder) (Graph, error)
}

// Role says what a tensor is for, and with that which types it may have.
type Role uint8

// The roles. A Projection is ternary, a matrix or with a third dimension a stack of
// them, one for each expert; an Embedding is a table of rows that also serves as
// output head when the model has no Head of its own; a Vector is a norm weight, a
// bias or a list of frequencies; Dense is whatever else a layer has that is not
// ternary: a router, a convolution, the small matrices of a recurrence.
const (
	RoleProjection Role = iota + 1
	RoleEmbedding
	RoleHead
	RoleVector
	RoleDense
)

// TensorSpec is one line of a family's tensor table.
type TensorSpec struct {
	// Name is the name in GGUF files; a %d stands for the layer.
	Name string
	// HF are the names in Hugging Face checkpoints, without the optional
	// prefix "model."; empty for tensors that checkpoints do not have.
	HF []string
	// Role says what the tensor is for.
	Role Role
	// Dims is the expected shape, contiguous dimension first.
	Dims []int64
	// Optional tensors may be missing. Extra ones are optional, and usual models of
	// the family do not have them.
	Optional, Extra bool
	// In says which layers have the tensor; nil means all.
	In func(layer int) bool
	// RopeHeads, if not zero, is the number of heads whose rows a converter
	// reorders from the half-split rotation of Hugging Face checkpoints to
	// the interleaved rotation of this family.
	RopeHeads int
	// HFForm says what else a converter changes; nil means nothing.
	HFForm *HFForm
}

// HFForm says how a tensor of a Hugging Face checkpoint becomes that of a GGUF file.
type HFForm struct {
	// Rows and Cols, if not nil, say where in the checkpoint each row and each column
	// (element, of a vector) of the tensor is.
	Rows, Cols []int32
	// Value, if not nil, is what becomes of a number.
	Value func(float32) float32
	// Inverse undoes Value, up to its rounding.
	Inverse func(float32) float32
	// Centred: numbers of the checkpoint are around 0, and Value is 1 more. Checkpoints
	// that programs of MLX have written have that added.
	Centred bool
}

// Invert returns a number that Value makes y of, or, if there is none, one that comes
// close.
func (f *HFForm) Invert(y float32) float32 {
	x := f.Inverse(y)
	below, above := x, x
	for range 4 {
		for _, near := range []float32{below, above} {
			if f.Value(near) == y {
				return near
			}
		}
		below, above = math.Nextafter32(below, float32(math.Inf(-1))), math.Nextafter32(above, float32(math.Inf(1)))
	}
	return x
}

// PerLayer reports whether the tensor exists once per layer.
func (s TensorSpec) PerLayer() bool { return strings.Contains(s.Name, "%d") }

// Matrices returns how many matrices the tensor holds: as many as there are experts.
func (s TensorSpec) Matrices() int {
	if len(s.Dims) < 3 {
		return 1
	}
	return int(s.Dims[2])
}

// Kind returns what the tensor is called within its layer: "attn_q".
func (s TensorSpec) Kind() string {
	name := strings.TrimSuffix(s.Name, ".weight")
	return name[strings.LastIndexByte(name, '.')+1:]
}

// at returns the tensor of a layer.
func (s TensorSpec) at(layer int) TensorSpec {
	number := strconv.Itoa(layer)
	s.Name, s.In = strings.Replace(s.Name, "%d", number, 1), nil
	hf := make([]string, len(s.HF))
	for i, name := range s.HF {
		hf[i] = strings.Replace(name, "%d", number, 1)
	}
	s.HF = hf
	return s
}

// Graph is a model's weights bound to its computation.
type Graph interface {
	// NewRun allocates the buffers for passes of up to maxRows rows.
	NewRun(mem Memory, maxRows int) Run
	// Embedding is the table of token vectors.
	Embedding() *Table
	// Head is the table whose rows are multiplied with the final hidden state
	// to give the logits.
	Head() *Table
	// RopeFactors divide the rotation frequencies; nil means no correction. long says
	// that the context is longer than that of the original training.
	RopeFactors(long bool) []float32
	// StateSize is how many numbers a sequence keeps beside its keys and values:
	// what the recurrences of Pass.Recur carry from row to row. It is 0 for most.
	StateSize() int
	// RecordSize is how many numbers a row's record has; see Recurrence.
	RecordSize() int
}

// Run is a graph together with the buffers of a pass.
type Run interface {
	// Forward computes the pass and returns the final hidden states, after
	// the output norm, of the rows that the pass keeps: [kept, D].
	Forward(p *Pass) Buffer
	// Guess is Forward for the layer that guesses further tokens, of models with
	// Config.MTP: the rows are tokens of which states [rows, D] are the hidden states
	// before them, of the model or of Guess itself. What it returns stands for the
	// hidden states of the tokens: [rows, D].
	Guess(p *Pass, states []float32) Buffer
}

var families []*Arch

// Register adds a family. It is meant to be called from init functions and
// panics when a name is taken.
func Register(a *Arch) {
	for _, name := range a.Names {
		if _, err := LookupArch(name); err == nil {
			panic(fmt.Sprintf("model: architecture %q registered twice", name))
		}
	}
	families = append(families, a)
}

// LookupArch returns the family of an architecture.
func LookupArch(name string) (*Arch, error) {
	for _, a := range families {
		if slices.Contains(a.Names, name) {
			return a, nil
		}
	}
	return nil, fmt.Errorf("%w %q (supported: %s)", ErrArchitecture, name, strings.Join(Architectures(), ", "))
}

// Architectures lists the names of all registered architectures.
func Architectures() []string {
	var names []string
	for _, a := range families {
		names = append(names, a.Names...)
	}
	sort.Strings(names)
	return names
}
