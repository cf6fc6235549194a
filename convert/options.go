package convert

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"trit/gguf"
	"trit/internal/model"
	"trit/quant"
)

// Errors that FromHF wraps with the file, key or tensor concerned, what was
// expected and what was found. Errors of the packages below (safetensors,
// tokenizer, gguf, the operating system) and of the context come through wrapped.
var (
	// ErrOptions reports options that make no sense.
	ErrOptions = errors.New("convert: bad option")
	// ErrConfig reports a config.json, or another configuration file, that is
	// malformed, lacks a key, or contradicts itself.
	ErrConfig = errors.New("convert: bad configuration")
	// ErrArchitecture reports a model class that no architecture implements.
	ErrArchitecture = errors.New("convert: unsupported architecture")
	// ErrUnsupported reports something valid that conversion cannot express:
	// another quantisation method, an unknown rotary scaling.
	ErrUnsupported = errors.New("convert: unsupported")
	// ErrTensor reports a tensor that is missing, has no place in the graph, or
	// has the wrong shape, element type or contents.
	ErrTensor = errors.New("convert: bad tensor")
	// ErrType reports a tensor that the chosen storage type cannot hold.
	ErrType = errors.New("convert: tensor does not fit the type")
	// ErrNotTernary reports a model that was not trained with ternary weights.
	ErrNotTernary = errors.New("convert: the model is not ternary")
	// ErrTokenizer reports tokenizer files that are missing or cannot be
	// expressed in a GGUF file.
	ErrTokenizer = errors.New("convert: bad tokenizer")
)

// Options say what to convert and how.
type Options struct {
	// Input is a folder with config.json, tokenizer files and *.safetensors, or
	// one .safetensors or index file in such a folder.
	Input string
	// Output is the file to write; an existing file is replaced.
	Output string

	// Type is the storage type of the ternary projections, one of [Types]; the zero
	// value is F32.
	Type gguf.Type
	// Embedding is the storage type of the token embedding and, where the model
	// has one, the output head, one of [EmbeddingTypes]; the zero value is F32.
	// Ternary types are for tables that are ternary, as those of the Bonsai models.
	// [DefaultEmbedding] gives the usual one.
	Embedding gguf.Type

	// ScaleConvention says what weight_scale means in packed checkpoints. The
	// zero value follows the checkpoint's quantization_config.
	ScaleConvention ScaleConvention
	// Activations overrides whether the inputs of projections are rounded to
	// eight bits. The zero value follows the checkpoint.
	Activations model.Activations
	// Pre overrides tokenizer.ggml.pre, the name of the pre-tokenizer. It is
	// needed when tokenizer.json has one that is not recognised.
	Pre string

	// Name is general.name; empty means the name of the input folder.
	Name string
	// License is general.license, an SPDX identifier in lower case; empty means
	// what the front matter of the checkpoint's README.md says, if anything.
	License string

	// Round converts models that were not trained ternary. Their weights are
	// rounded by absmean, which makes an ordinary model useless; it is meant for
	// experiments and for models whose configuration does not tell.
	Round bool

	// MTP also converts the layer of Qwen3.5 checkpoints that guesses further tokens, in Q8_0
	// where its rows allow it.
	MTP bool

	// Threads is the number of goroutines that convert; 0 means one per CPU. It
	// changes neither the file nor the report.
	Threads int

	// Progress, if not nil, is called now and then, from the goroutine that
	// called FromHF.
	Progress func(Progress)
}

// Progress says how far a conversion is. Byte counts are those of the source
// tensors.
type Progress struct {
	Tensor       string // the tensor being written, "" at the end
	Tensors      int    // tensors written
	TotalTensors int
	Bytes        int64 // of the source, converted
	TotalBytes   int64
}

// ScaleConvention says how the weights of a packed checkpoint follow from codes
// and weight_scale.
type ScaleConvention uint8

// The conventions. A checkpoint whose quantization_config has the linear_class
// "autobitlinear" multiplies (BitNet b1.58 2B-4T); "bitlinear", or none, divides
// (Llama3-8B-1.58, Falcon3-1.58bit, Falcon-E).
const (
	ScaleAuto       ScaleConvention = iota // as the checkpoint's configuration says
	ScaleMultiplier                        // weight = trit · weight_scale
	ScaleDivisor                           // weight = trit / weight_scale
)

var scaleConventions = [...]string{ScaleAuto: "auto", ScaleMultiplier: "multiplier", ScaleDivisor: "divisor"}

// ParseScaleConvention reads "auto", "multiplier" or "divisor".
func ParseScaleConvention(name string) (ScaleConvention, error) {
	for i, s := range scaleConventions {
		if strings.EqualFold(s, name) {
			return ScaleConvention(i), nil
		}
	}
	return 0, fmt.Errorf("%w: scale convention %q, want auto, multiplier or divisor", ErrOptions, name)
}

// String returns "auto", "multiplier" or "divisor".
func (s ScaleConvention) String() string {
	if int(s) < len(scaleConventions) {
		return scaleConventions[s]
	}
	return fmt.Sprintf("scale_convention(%d)", uint8(s))
}

// MarshalText returns what String returns.
func (s ScaleConvention) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText accepts what ParseScaleConvention accepts.
func (s *ScaleConvention) UnmarshalText(text []byte) (err error) {
	*s, err = ParseScaleConvention(string(text))
	return err
}

// Types lists the storage types that [Options].Type may have.
func Types() []gguf.Type {
	return slices.Concat([]gguf.Type{gguf.TypeI2S, gguf.TypeTQ1_0, gguf.TypeTQ2_0}, groupTypes,
		[]gguf.Type{gguf.TypeF16, gguf.TypeBF16, gguf.TypeF32})
}

// groupTypes are the ternary types, and the binary one, with a scale for each 64 or 128
// columns. Models stored in them have their tables in them too.
var groupTypes = []gguf.Type{gguf.TypeQ2_0, gguf.TypePQ2_0, gguf.TypePTQ1_0, gguf.TypeQ1_0}

// EmbeddingTypes lists the storage types that [Options].Embedding may have.
func EmbeddingTypes() []gguf.Type {
	return append([]gguf.Type{gguf.TypeF16, gguf.TypeQ8_0, gguf.TypeQ6_K, gguf.TypeQ4_0, gguf.TypeBF16, gguf.TypeF32}, groupTypes...)
}

// floatTypes returns those of the types that hold any values.
func floatTypes(types []gguf.Type) []gguf.Type {
	return slices.DeleteFunc(types, quant.IsTernary)
}

// DefaultEmbedding returns the usual type of the embedding beside projections of
// type t: the same for float types, otherwise F16.
func DefaultEmbedding(t gguf.Type) gguf.Type {
	switch t {
	case gguf.TypeF32, gguf.TypeBF16:
		return t
	}
	return gguf.TypeF16
}

func (o *Options) check() error {
	switch {
	case o.Input == "":
		return fmt.Errorf("%w: no input is given", ErrOptions)
	case o.Output == "":
		return fmt.Errorf("%w: no output is given", ErrOptions)
	case o.ScaleConvention > ScaleDivisor:
		return fmt.Errorf("%w: %v", ErrOptions, o.ScaleConvention)
	case o.Activations > model.Int8Groups:
		return fmt.Errorf("%w: %v", ErrOptions, o.Activations)
	}
	if !slices.Contains(Types(), o.Type) {
		return fmt.Errorf("%w: projections cannot be stored as %v, want one of %s", ErrOptions, o.Type, joinTypes(Types()))
	}
	if !slices.Contains(EmbeddingTypes(), o.Embedding) {
		return fmt.Errorf("%w: the embedding cannot be stored as %v, want one of %s", ErrOptions, o.Embedding, joinTypes(EmbeddingTypes()))
	}
	return nil
}

func joinTypes(types []gguf.Type) string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = t.String()
	}
	return strings.Join(names, ", ")
}
