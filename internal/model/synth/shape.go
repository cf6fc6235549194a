package synth

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"trit/internal/model"
	"trit/tokenizer"
)

// Errors of this package, wrapped with details.
var (
	// ErrShape reports an unknown shape, or one that a storage type cannot hold.
	ErrShape = errors.New("synth: bad shape")
	// ErrType reports a storage type that synthetic models cannot have.
	ErrType = errors.New("synth: bad tensor type")
)

// Shape is the geometry of a model.
type Shape struct {
	Name         string // what users call it, "bitnet-2b"
	Model        string // the model that has this shape
	Architecture string // general.architecture

	Layers  int
	Hidden  int // width of the residual stream, D
	FFN     int // width of the feed-forward network, F
	Heads   int // query heads, H
	KVHeads int // key and value heads, G
	HeadDim int // width of a head, d
	Vocab   int // tokens, V
	Context int // positions the model was trained for

	RopeBase float64
	NormEps  float32
	// Tied says that the embedding table is also the output head.
	Tied bool
	// Tokenizer and Pre are the kind of vocabulary and its pre-tokenizer, as in
	// package tokenizer.
	Tokenizer, Pre string
}

// shapes holds the published geometries. The BitNet and Llama 3 rows are from
// their config.json files; the Falcon3 rows from their model cards, and they add
// up to the published parameter counts with an untied head (1.67, 3.23, 7.46 and
// 10.31 billion). falcon-e-3b adds up to the published size of its packed file,
// 999 MB; its RoPE base and epsilon are those of Falcon3. The tiny shapes are for
// tests: every storage type can hold them.
var shapes = []Shape{
	{Name: "bitnet-2b", Model: "BitNet-b1.58-2B-4T", Architecture: "bitnet-b1.58",
		Layers: 30, Hidden: 2560, FFN: 6912, Heads: 20, KVHeads: 5, HeadDim: 128, Vocab: 128256, Context: 4096,
		RopeBase: 500000, NormEps: 1e-5, Tied: true, Tokenizer: tokenizer.ModelBPE, Pre: "llama-bpe"},
	{Name: "bitnet-large", Model: "bitnet_b1_58-large (0.7B)", Architecture: "bitnet",
		Layers: 24, Hidden: 1536, FFN: 4096, Heads: 16, KVHeads: 16, HeadDim: 96, Vocab: 32002, Context: 2048,
		RopeBase: 10000, NormEps: 1e-5, Tied: true, Tokenizer: tokenizer.ModelSPM},
	{Name: "bitnet-3b", Model: "bitnet_b1_58-3B", Architecture: "bitnet",
		Layers: 26, Hidden: 3200, FFN: 8640, Heads: 32, KVHeads: 32, HeadDim: 100, Vocab: 32002, Context: 2048,
		RopeBase: 10000, NormEps: 1e-5, Tied: true, Tokenizer: tokenizer.ModelSPM},
	{Name: "llama3-8b", Model: "Llama3-8B-1.58-100B-tokens", Architecture: "llama",
		Layers: 32, Hidden: 4096, FFN: 14336, Heads: 32, KVHeads: 8, HeadDim: 128, Vocab: 128256, Context: 8192,
		RopeBase: 500000, NormEps: 1e-5, Tokenizer: tokenizer.ModelBPE, Pre: "llama-bpe"},
	{Name: "falcon3-1b", Model: "Falcon3-1B-Instruct-1.58bit", Architecture: "llama",
		Layers: 18, Hidden: 2048, FFN: 8192, Heads: 8, KVHeads: 4, HeadDim: 256, Vocab: 131072, Context: 8192,
		RopeBase: 1000042, NormEps: 1e-6, Tokenizer: tokenizer.ModelBPE, Pre: "falcon3"},
	{Name: "falcon3-3b", Model: "Falcon3-3B-Instruct-1.58bit", Architecture: "llama",
		Layers: 22, Hidden: 3072, FFN: 9216, Heads: 12, KVHeads: 4, HeadDim: 256, Vocab: 131072, Context: 32768,
		RopeBase: 1000042, NormEps: 1e-6, Tokenizer: tokenizer.ModelBPE, Pre: "falcon3"},
	{Name: "falcon3-7b", Model: "Falcon3-7B-Instruct-1.58bit", Architecture: "llama",
		Layers: 28, Hidden: 3072, FFN: 23040, Heads: 12, KVHeads: 4, HeadDim: 256, Vocab: 131072, Context: 32768,
		RopeBase: 1000042, NormEps: 1e-6, Tokenizer: tokenizer.ModelBPE, Pre: "falcon3"},
	{Name: "falcon3-10b", Model: "Falcon3-10B-Instruct-1.58bit", Architecture: "llama",
		Layers: 40, Hidden: 3072, FFN: 23040, Heads: 12, KVHeads: 4, HeadDim: 256, Vocab: 131072, Context: 32768,
		RopeBase: 1000042, NormEps: 1e-6, Tokenizer: tokenizer.ModelBPE, Pre: "falcon3"},
	{Name: "falcon-e-3b", Model: "Falcon-E-3B-Instruct", Architecture: "llama",
		Layers: 32, Hidden: 2048, FFN: 13312, Heads: 16, KVHeads: 2, HeadDim: 128, Vocab: 32768, Context: 32768,
		RopeBase: 1000042, NormEps: 1e-6, Tokenizer: tokenizer.ModelBPE, Pre: "falcon_e"},
	{Name: "tiny", Model: "a small model for tests", Architecture: "bitnet-b1.58",
		Layers: 2, Hidden: 256, FFN: 512, Heads: 4, KVHeads: 2, HeadDim: 64, Vocab: 512, Context: 512,
		RopeBase: 10000, NormEps: 1e-5, Tied: true, Tokenizer: tokenizer.ModelBPE, Pre: "llama-bpe"},
	{Name: "tiny-llama", Model: "a small llama with a head of its own, for tests", Architecture: "llama",
		Layers: 2, Hidden: 256, FFN: 512, Heads: 4, KVHeads: 2, HeadDim: 64, Vocab: 512, Context: 512,
		RopeBase: 10000, NormEps: 1e-5, Tokenizer: tokenizer.ModelSPM},
	{Name: "tiny-qwen3", Model: "a small qwen3 with heads wider than their share, for tests", Architecture: "qwen3",
		Layers: 2, Hidden: 256, FFN: 512, Heads: 8, KVHeads: 2, HeadDim: 64, Vocab: 512, Context: 512,
		RopeBase: 1000000, NormEps: 1e-6, Tied: true, Tokenizer: tokenizer.ModelBPE, Pre: "qwen2"},
}

// Shapes lists the known shapes.
func Shapes() []Shape { return slices.Clone(shapes) }

// ShapeNames lists the names of the known shapes.
func ShapeNames() []string {
	var names []string
	for _, s := range shapes {
		names = append(names, s.Name)
	}
	return names
}

// LookupShape returns the shape of that name, in any case. The error is ErrShape.
func LookupShape(name string) (Shape, error) {
	for _, s := range shapes {
		if strings.EqualFold(s.Name, name) {
			return s, nil
		}
	}
	return Shape{}, fmt.Errorf("%w: %q is not known (known: %s)", ErrShape, name, strings.Join(ShapeNames(), ", "))
}

// Projection is one kind of ternary matrix of a model.
type Projection struct {
	Name       string // as in tensor names: "ffn_down"
	Rows, Cols int    // outputs, inputs
	Count      int    // how many the model has: one per layer, or per layer and expert
}

// Projections lists the ternary matrices of a model of that shape, as the tensor table
// of its architecture has them. There are none of an unknown architecture.
func (s Shape) Projections() []Projection {
	arch, err := model.LookupArch(s.Architecture)
	if err != nil {
		return nil
	}
	var list []Projection
	index := map[string]int{}
	for spec := range arch.Table(s.config()).Rows() {
		if spec.Role != model.RoleProjection {
			continue
		}
		name := spec.Kind()
		i, ok := index[name]
		if !ok {
			i = len(list)
			index[name] = i
			list = append(list, Projection{Name: name, Rows: int(spec.Dims[1]), Cols: int(spec.Dims[0])})
		}
		list[i].Count += spec.Matrices()
	}
	return list
}

// config returns the sizes of the shape, all that a tensor table asks for.
func (s Shape) config() *model.Config {
	return &model.Config{
		Architecture: s.Architecture, Vocab: s.Vocab, Context: s.Context, Hidden: s.Hidden, Layers: s.Layers, FFN: s.FFN,
		Heads: s.Heads, KVHeads: s.KVHeads, HeadDim: s.HeadDim, RopeDim: s.HeadDim, RopeBase: s.RopeBase, NormEps: s.NormEps,
	}
}
