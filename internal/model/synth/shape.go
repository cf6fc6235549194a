package synth

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"trit/gguf"
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

	// Type is the storage type that the model is published in; 0 means I2_S.
	Type gguf.Type
	// Head and Embedding are those of its tables: of the output head, and of an embedding
	// beside it. 0 means Type where that has a scale for each 64 or 128 weights, or F16.
	Head, Embedding gguf.Type
	// Yarn is the context before it was extended by YaRN to Context; 0 for no YaRN.
	// LongRope is the same of LongRoPE.
	Yarn, LongRope int
	// RopeDim is how much of a head is rotated; 0 means all of it.
	RopeDim int
	// KeyHeads and ValueHeads are those of the delta nets that three of four layers of a
	// hybrid model have in place of attention, of stateDim elements each.
	KeyHeads, ValueHeads int
	// Experts is how many feed-forward networks of width FFN a layer has, of which each
	// token uses UsedExperts; 0 means one.
	Experts, UsedExperts int
	// Window is how many positions three of four layers attend to; 0 means all.
	Window int
	// Rotation is the block size of the Hadamard transform that the inputs of projections
	// go through; 0 for none.
	Rotation int
	// Pooling is that of embedding models, whose projections have norms of their own; 0
	// for other models.
	Pooling model.Pooling
}

// stateDim is the width of a head of a delta net.
const stateDim = 128

// shapes holds the published geometries. The BitNet and Llama 3 rows are from their
// config.json files; the Falcon3 rows from their model cards, and they add up to the
// published parameter counts with an untied head (1.67, 3.23, 7.46 and 10.31 billion).
// falcon-e-3b adds up to the published size of its packed file, 999 MB; its RoPE base
// and epsilon are those of Falcon3. maple-20b is from its model card and adds up to the
// published 4.98 GB. The first Bonsai models have the geometry of Qwen3; those of Bonsai 2
// that of Qwen3.5 and Qwen3.8, and they add up to the published sizes of 0.43, 0.95, 2.0
// and 5.9 GB. bitcpm-8b is MiniCPM4 8B, whose published 2.37 GB tell the types of its
// tables; hy-mt-1.8b adds up to the published 436 MiB with a table in Q6_K. The
// embedding models have the geometry of Qwen3 0.6B and Gemma 3 270M, and add up to 428
// and 367 MB. The tiny shapes are for tests: every storage type can hold them.
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
	{Name: "bonsai-1.7b", Model: "Ternary-Bonsai-1.7B", Architecture: "qwen3",
		Layers: 28, Hidden: 2048, FFN: 6144, Heads: 16, KVHeads: 8, HeadDim: 128, Vocab: 151936, Context: 32768,
		RopeBase: 1e6, NormEps: 1e-6, Tied: true, Tokenizer: tokenizer.ModelBPE, Pre: "qwen2",
		Type: gguf.TypePQ2_0, Yarn: 8192},
	{Name: "bonsai-4b", Model: "Ternary-Bonsai-4B", Architecture: "qwen3",
		Layers: 36, Hidden: 2560, FFN: 9728, Heads: 32, KVHeads: 8, HeadDim: 128, Vocab: 151936, Context: 32768,
		RopeBase: 1e6, NormEps: 1e-6, Tied: true, Tokenizer: tokenizer.ModelBPE, Pre: "qwen2",
		Type: gguf.TypePQ2_0, Yarn: 8192},
	{Name: "bonsai-8b", Model: "Ternary-Bonsai-8B", Architecture: "qwen3",
		Layers: 36, Hidden: 4096, FFN: 12288, Heads: 32, KVHeads: 8, HeadDim: 128, Vocab: 151936, Context: 65536,
		RopeBase: 1e6, NormEps: 1e-6, Tokenizer: tokenizer.ModelBPE, Pre: "qwen2",
		Type: gguf.TypePQ2_0, Yarn: 16384},
	{Name: "bonsai2-2b", Model: "Ternary-Bonsai-2-2B", Architecture: "qwen35",
		Layers: 24, Hidden: 2048, FFN: 6144, Heads: 8, KVHeads: 2, HeadDim: 256, Vocab: 248320, Context: 262144,
		RopeBase: 1e7, NormEps: 1e-6, Tied: true, Tokenizer: tokenizer.ModelBPE, Pre: "qwen35",
		Type: gguf.TypePTQ1_0, RopeDim: 64, KeyHeads: 16, ValueHeads: 16, Rotation: 512},
	{Name: "bonsai2-4b", Model: "Ternary-Bonsai-2-4B", Architecture: "qwen35",
		Layers: 32, Hidden: 2560, FFN: 9216, Heads: 16, KVHeads: 4, HeadDim: 256, Vocab: 248320, Context: 262144,
		RopeBase: 1e7, NormEps: 1e-6, Tied: true, Tokenizer: tokenizer.ModelBPE, Pre: "qwen35",
		Type: gguf.TypePTQ1_0, RopeDim: 64, KeyHeads: 16, ValueHeads: 32, Rotation: 512},
	{Name: "bonsai2-9b", Model: "Ternary-Bonsai-2-9B", Architecture: "qwen35",
		Layers: 32, Hidden: 4096, FFN: 12288, Heads: 16, KVHeads: 4, HeadDim: 256, Vocab: 248320, Context: 262144,
		RopeBase: 1e7, NormEps: 1e-6, Tokenizer: tokenizer.ModelBPE, Pre: "qwen35",
		Type: gguf.TypePTQ1_0, RopeDim: 64, KeyHeads: 16, ValueHeads: 32, Rotation: 1024},
	{Name: "bonsai2-27b", Model: "Ternary-Bonsai-2-27B", Architecture: "qwen35",
		Layers: 64, Hidden: 5120, FFN: 17408, Heads: 24, KVHeads: 4, HeadDim: 256, Vocab: 248320, Context: 262144,
		RopeBase: 1e7, NormEps: 1e-6, Tokenizer: tokenizer.ModelBPE, Pre: "qwen35",
		Type: gguf.TypePTQ1_0, RopeDim: 64, KeyHeads: 16, ValueHeads: 48, Rotation: 1024},
	{Name: "bitnet-embeddings-0.6b", Model: "bitnet-embedding-0.6b", Architecture: "qwen3",
		Layers: 28, Hidden: 1024, FFN: 3072, Heads: 16, KVHeads: 8, HeadDim: 128, Vocab: 151669, Context: 32768,
		RopeBase: 1e6, NormEps: 1e-6, Tied: true, Tokenizer: tokenizer.ModelBPE, Pre: "qwen2", Pooling: model.PoolMean},
	{Name: "bitnet-embeddings-270m", Model: "bitnet-embedding-270m", Architecture: "gemma3",
		Layers: 18, Hidden: 640, FFN: 2048, Heads: 4, KVHeads: 1, HeadDim: 256, Vocab: 262144, Context: 32768,
		RopeBase: 1e6, NormEps: 1e-6, Tied: true, Tokenizer: tokenizer.ModelSPM, Pooling: model.PoolMean},
	{Name: "tiny", Model: "a small model for tests", Architecture: "bitnet-b1.58",
		Layers: 2, Hidden: 256, FFN: 512, Heads: 4, KVHeads: 2, HeadDim: 64, Vocab: 512, Context: 512,
		RopeBase: 10000, NormEps: 1e-5, Tied: true, Tokenizer: tokenizer.ModelBPE, Pre: "llama-bpe"},
	{Name: "maple-20b", Model: "Maple 20B-A1B", Architecture: "maple",
		Layers: 24, Hidden: 2048, FFN: 512, Heads: 16, KVHeads: 4, HeadDim: 128, Vocab: 151936, Context: 131072,
		RopeBase: 10000, NormEps: 1e-6, Tokenizer: tokenizer.ModelBPE, Pre: "qwen2",
		Type: gguf.TypeTQ1_0, Head: gguf.TypeQ4_K, RopeDim: 64, Experts: 256, UsedExperts: 8, Window: 512},
	{Name: "bitcpm-8b", Model: "BitCPM-CANN-8B", Architecture: "minicpm",
		Layers: 32, Hidden: 4096, FFN: 16384, Heads: 32, KVHeads: 2, HeadDim: 128, Vocab: 73448, Context: 32768,
		RopeBase: 10000, NormEps: 1e-6, Tokenizer: tokenizer.ModelSPM,
		Type: gguf.TypeTQ2_0, Head: gguf.TypeQ6_K, Embedding: gguf.TypeQ4_K, LongRope: 32768},
	{Name: "hy-mt-1.8b", Model: "Hy-MT 1.8B", Architecture: "hunyuan-dense",
		Layers: 32, Hidden: 2048, FFN: 6144, Heads: 16, KVHeads: 4, HeadDim: 128, Vocab: 120818, Context: 262144,
		RopeBase: 11158840, NormEps: 1e-5, Tied: true, Tokenizer: tokenizer.ModelBPE, Pre: "hunyuan-dense",
		Type: gguf.TypeSTQ1_0, Head: gguf.TypeQ6_K},
	{Name: "tiny-llama", Model: "a small llama with a head of its own, for tests", Architecture: "llama",
		Layers: 2, Hidden: 256, FFN: 512, Heads: 4, KVHeads: 2, HeadDim: 64, Vocab: 512, Context: 512,
		RopeBase: 10000, NormEps: 1e-5, Tokenizer: tokenizer.ModelSPM},
	{Name: "tiny-qwen3", Model: "a small qwen3 with heads wider than their share, for tests", Architecture: "qwen3",
		Layers: 2, Hidden: 256, FFN: 512, Heads: 8, KVHeads: 2, HeadDim: 64, Vocab: 512, Context: 512,
		RopeBase: 1000000, NormEps: 1e-6, Tied: true, Tokenizer: tokenizer.ModelBPE, Pre: "qwen2"},
	{Name: "tiny-gemma3", Model: "a small gemma3 embedding model, for tests", Architecture: "gemma3",
		Layers: 2, Hidden: 256, FFN: 512, Heads: 4, KVHeads: 1, HeadDim: 128, Vocab: 512, Context: 512,
		RopeBase: 1000000, NormEps: 1e-6, Tied: true, Tokenizer: tokenizer.ModelSPM, Pooling: model.PoolMean},
	{Name: "tiny-qwen35", Model: "a small hybrid model with rotated weights, for tests", Architecture: "qwen35",
		Layers: 4, Hidden: 256, FFN: 512, Heads: 2, KVHeads: 1, HeadDim: 128, Vocab: 512, Context: 512,
		RopeBase: 1e7, NormEps: 1e-6, Tied: true, Tokenizer: tokenizer.ModelBPE, Pre: "qwen35",
		Type: gguf.TypePTQ1_0, RopeDim: 32, KeyHeads: 1, ValueHeads: 2, Rotation: 256},
	{Name: "tiny-maple", Model: "a small mixture of experts with sliding windows, for tests", Architecture: "maple",
		Layers: 4, Hidden: 256, FFN: 256, Heads: 4, KVHeads: 2, HeadDim: 64, Vocab: 512, Context: 512,
		RopeBase: 10000, NormEps: 1e-6, Tokenizer: tokenizer.ModelBPE, Pre: "qwen2",
		Type: gguf.TypeTQ1_0, RopeDim: 32, Experts: 8, UsedExperts: 2, Window: 40},
	{Name: "tiny-minicpm", Model: "a small model with factors and LongRoPE, for tests", Architecture: "minicpm",
		Layers: 2, Hidden: 512, FFN: 256, Heads: 4, KVHeads: 1, HeadDim: 128, Vocab: 512, Context: 512,
		RopeBase: 10000, NormEps: 1e-6, Tokenizer: tokenizer.ModelSPM, Type: gguf.TypeTQ2_0, LongRope: 128},
	{Name: "tiny-hunyuan", Model: "a small model whose heads are normed after the rotation, for tests", Architecture: "hunyuan-dense",
		Layers: 2, Hidden: 256, FFN: 512, Heads: 4, KVHeads: 2, HeadDim: 64, Vocab: 512, Context: 512,
		RopeBase: 11158840, NormEps: 1e-5, Tied: true, Tokenizer: tokenizer.ModelBPE, Pre: "hunyuan-dense", Type: gguf.TypeTQ1_0},
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
	arch, c, err := s.config()
	if err != nil {
		return nil
	}
	var list []Projection
	index := map[string]int{}
	for spec := range arch.Table(c).Rows() {
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

// config returns the family and the configuration of the shape.
func (s Shape) config() (*model.Arch, *model.Config, error) {
	arch, err := model.LookupArch(s.Architecture)
	if err != nil {
		return nil, nil, err
	}
	m := &gguf.Metadata{}
	if err := s.setKeys(m); err != nil {
		return nil, nil, err
	}
	c, err := model.Configure(arch, m, model.LoadOptions{})
	return arch, c, err
}

// setKeys sets the keys that say what the graph looks like.
func (s Shape) setKeys(m *gguf.Metadata) error {
	keys := []struct {
		key   string
		value any
	}{
		{"vocab_size", uint32(s.Vocab)},
		{"context_length", uint32(s.Context)},
		{"embedding_length", uint32(s.Hidden)},
		{"block_count", uint32(s.Layers)},
		{"feed_forward_length", uint32(s.FFN)},
		{"rope.dimension_count", uint32(cmp.Or(s.RopeDim, s.HeadDim))},
		{"attention.head_count", uint32(s.Heads)},
		{"attention.head_count_kv", uint32(s.KVHeads)},
		{"attention.key_length", uint32(s.HeadDim)},
		{"attention.value_length", uint32(s.HeadDim)},
		{"attention.layer_norm_rms_epsilon", s.NormEps},
		{"rope.freq_base", float32(s.RopeBase)},
	}
	add := func(key string, value any) {
		keys = append(keys, struct {
			key   string
			value any
		}{key, value})
	}
	if s.Pooling != 0 {
		add(model.KeyPooling, uint32(s.Pooling))
	}
	if s.Yarn > 0 {
		add("rope.scaling.type", "yarn")
		add("rope.scaling.factor", float32(s.Context/s.Yarn))
		add("rope.scaling.original_context_length", uint32(s.Yarn))
	}
	if s.LongRope > 0 {
		add("rope.scaling.type", "longrope")
		add("rope.scaling.original_context_length", uint32(s.LongRope))
	}
	if s.ValueHeads > 0 {
		add("full_attention_interval", uint32(4))
		add("ssm.conv_kernel", uint32(4))
		add("ssm.state_size", uint32(stateDim))
		add("ssm.group_count", uint32(s.KeyHeads))
		add("ssm.time_step_rank", uint32(s.ValueHeads))
		add("ssm.inner_size", uint32(s.ValueHeads*stateDim))
	}
	if s.Experts > 0 {
		add("expert_count", uint32(s.Experts))
		add("expert_used_count", uint32(s.UsedExperts))
		add("expert_feed_forward_length", uint32(s.FFN))
	}
	if s.Window > 0 {
		sliding := make([]bool, s.Layers)
		for i := range sliding {
			sliding[i] = i%4 != 3
		}
		add("attention.sliding_window", uint32(s.Window))
		add("attention.sliding_window_pattern", sliding)
	}
	if err := m.Set("general.architecture", s.Architecture); err != nil {
		return err
	}
	for _, kv := range keys {
		if err := m.Set(s.Architecture+"."+kv.key, kv.value); err != nil {
			return err
		}
	}
	return nil
}

// setRotation sets the keys of the Hadamard transform for the projections among the
// tensors, and the head if it is one, with signs from a generator.
func (s Shape) setRotation(m *gguf.Metadata, tensors []tensor, rng *rand.PCG) error {
	var names []string
	var widths, signs []int32
	for _, t := range tensors {
		if t.role != model.RoleProjection && t.role != model.RoleHead {
			continue
		}
		names = append(names, t.name)
		if width := int32(t.dims[0]); !slices.Contains(widths, width) {
			widths = append(widths, width)
			for range width {
				signs = append(signs, int32(below(rng.Uint64(), 2))*2-1)
			}
		}
	}
	version := uint32(1)
	if s.Tied {
		version = 2
	}
	for _, kv := range []struct {
		key   string
		value any
	}{
		{"version", version},
		{"block_size", uint32(s.Rotation)},
		{"transform", "normalized-sylvester-walsh-hadamard"},
		{"axis", "input-last-dimension"},
		{"sign_mode", "explicit"},
		{"sign_widths", widths},
		{"sign_values", signs},
		{"weight_names", names},
		{"inverse_weight_names", []string{"token_embd.weight"}},
		{"gdn_v_grouped", true},
		{"tied_output", s.Tied},
	} {
		if err := m.Set("prism.hadamard."+kv.key, kv.value); err != nil {
			return err
		}
	}
	return nil
}
