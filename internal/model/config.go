package model

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"trit/gguf"
	"trit/internal/kernel"
)

// Errors that Load wraps with what was found and where.
var (
	// ErrArchitecture reports an architecture that no family implements.
	ErrArchitecture = errors.New("model: unsupported architecture")
	// ErrConfig reports hyper-parameters that are missing, contradictory or
	// beyond what the kernels can do.
	ErrConfig = errors.New("model: bad configuration")
	// ErrTensor reports a tensor that is missing or has the wrong shape, type
	// or contents.
	ErrTensor = errors.New("model: bad tensor")
)

// HiddenAct is the activation function of the feed-forward network, applied
// to the gate.
type HiddenAct uint8

// The activation functions: SiLU is z·sigmoid(z), ReLU2 is max(z,0)², GELUTanh the
// approximation ½z·(1 + tanh(√(2/π)·(z + 0.044715·z³))).
const (
	SiLU HiddenAct = iota + 1
	ReLU2
	GELUTanh
)

// String returns the name that Hugging Face configurations use.
func (a HiddenAct) String() string {
	switch a {
	case SiLU:
		return "silu"
	case ReLU2:
		return "relu2"
	case GELUTanh:
		return "gelu_pytorch_tanh"
	}
	return fmt.Sprintf("hidden_act(%d)", uint8(a))
}

// ParseHiddenAct reads a name as written in config.json's hidden_act.
func ParseHiddenAct(name string) (HiddenAct, error) {
	switch strings.ToLower(name) {
	case "silu", "swish":
		return SiLU, nil
	case "relu2", "relu_squared", "squared_relu":
		return ReLU2, nil
	case "gelu_pytorch_tanh", "gelu_tanh", "gelu_new":
		return GELUTanh, nil
	}
	return 0, fmt.Errorf("%w: activation function %q, want silu, relu2 or gelu_pytorch_tanh", ErrConfig, name)
}

// Activations says what the input of a ternary projection is rounded to.
type Activations uint8

// Int8 is what BitNet models are trained with: each token's input vector is
// quantised to 8 bits with its own scale. Float leaves it as it is, which is how a
// graph is checked to float accuracy. Int8Groups is for models whose weights alone
// were made ternary: 8 bits with a scale for each 128 columns, which costs them
// nearly nothing.
const (
	Int8 Activations = iota + 1
	Float
	Int8Groups
)

var activationsNames = [...]string{Int8: "int8", Float: "float", Int8Groups: "int8g128"}

// String returns "int8", "float" or "int8g128".
func (a Activations) String() string {
	if a > 0 && int(a) < len(activationsNames) {
		return activationsNames[a]
	}
	return fmt.Sprintf("activations(%d)", uint8(a))
}

// ParseActivations reads "int8", "float" or "int8g128".
func ParseActivations(name string) (Activations, error) {
	if a := slices.Index(activationsNames[:], name); a > 0 {
		return Activations(a), nil
	}
	return 0, fmt.Errorf("%w: activations %q, want int8, int8g128 or float", ErrConfig, name)
}

// Config holds the hyper-parameters of a model.
type Config struct {
	Architecture string // general.architecture
	Name         string // general.name, may be empty

	Vocab   int // tokens
	Context int // positions the model was trained for
	Hidden  int // width of the residual stream, D
	Layers  int
	// MTPLayers is how many layers behind these the file has that guess further tokens
	// (multi-token prediction), MTP how many of them the model is loaded with: see LoadOptions.
	MTPLayers int
	MTP       int
	FFN       int // width of the feed-forward network, F
	Heads     int // query heads, H
	KVHeads   int // key and value heads, G; divides Heads
	HeadDim   int // width of a head, d

	RopeDim   int     // leading elements of a head that are rotated
	RopeBase  float64 // base of the rotation frequencies
	RopeScale float64 // factor on all frequencies (1/rope.scaling.factor)
	RopeStyle RopeStyle
	Yarn      *kernel.Yarn // how the context is stretched; nil if it is not
	// RopeOriginal is the context of the original training, where longer ones are rotated
	// with other frequencies: with LongRope divided by rope_factors_long instead of
	// rope_factors_short, with RopeDynamic, a factor, as DynamicBase says. RopeAttention,
	// if not 0, is a factor on queries and keys.
	RopeOriginal  int
	LongRope      bool
	RopeDynamic   float64
	RopeAttention float32
	// LocalRopeBase is the base of layers with RotateLocal, whose frequencies are not
	// scaled.
	LocalRopeBase float64

	// Sliding says which layers attend to the last Window positions only, the row's own
	// among them; nil means none. Rotations says how layers rotate; nil means all as
	// usual.
	Sliding   []bool
	Window    int
	Rotations []Rotation

	// Recurrent says which layers have a gated delta net in place of attention; nil
	// means none. Such a net has KeyHeads and ValueHeads of StateDim elements, and a
	// convolution over ConvWidth tokens before it.
	Recurrent            []bool
	KeyHeads, ValueHeads int
	StateDim, ConvWidth  int

	Experts Experts // of a feed-forward network; none of them for most models

	NormEps   float32
	AttnScale float32 // factor on attention scores, normally 1/√d
	// Factors that some families have; 0 means none.
	EmbeddingScale float32 // on the vectors of the tokens
	ResidualScale  float32 // on what each block adds to the residual stream
	LogitScale     float32 // on the logits, applied to the final hidden state

	HiddenAct   HiddenAct
	Activations Activations

	// Notes are decisions that the file left open and how they were taken.
	Notes []string
}

// ReadConfig reads the hyper-parameters that all architectures share, from
// the keys below the architecture's own name. The family's Configure fills in
// the rest.
func ReadConfig(m *gguf.Metadata) (*Config, error) {
	arch, err := m.String("general.architecture")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	r := keyReader{m: m, prefix: arch + "."}
	c := &Config{Architecture: arch}
	c.Name = r.text("", "general.name")
	c.Context = r.dim("context_length", -1)
	c.Hidden = r.dim("embedding_length", -1)
	c.Layers = r.dim("block_count", -1)
	ffn := "feed_forward_length"
	if !has(m, r.prefix+ffn) && has(m, r.prefix+expertFFN) {
		ffn = expertFFN
	}
	c.FFN = r.dim(ffn, -1)
	c.Heads = r.dim("attention.head_count", -1)
	c.KVHeads = r.dim("attention.head_count_kv", c.Heads)
	if r.err != nil {
		return nil, r.err
	}
	if c.Hidden%c.Heads != 0 && !has(m, r.prefix+"attention.key_length") {
		return nil, fmt.Errorf("%w: %sembedding_length %d is not a multiple of %sattention.head_count %d, and %sattention.key_length is missing",
			ErrConfig, r.prefix, c.Hidden, r.prefix, c.Heads, r.prefix)
	}
	c.HeadDim = r.dim("attention.key_length", max(1, c.Hidden/c.Heads))
	valueDim := r.dim("attention.value_length", c.HeadDim)
	c.RopeDim = r.dim("rope.dimension_count", c.HeadDim)
	c.RopeBase = r.float("rope.freq_base", 10000)
	c.NormEps = float32(r.float("attention.layer_norm_rms_epsilon", -1))
	c.AttnScale = float32(r.float("attention.scale", 1/math.Sqrt(float64(c.HeadDim))))
	r.ropeScaling(c)
	r.window(c)
	c.Vocab = r.vocab()
	if r.err != nil {
		return nil, r.err
	}
	switch {
	case c.Layers > maxLayers:
		err = fmt.Errorf("block_count %d: want at most %d", c.Layers, maxLayers)
	case c.Heads%c.KVHeads != 0:
		err = fmt.Errorf("head_count %d is not a multiple of head_count_kv %d", c.Heads, c.KVHeads)
	case valueDim != c.HeadDim:
		err = fmt.Errorf("value_length %d differs from key_length %d", valueDim, c.HeadDim)
	case c.HeadDim%2 != 0 || c.HeadDim > MaxHeadDim:
		err = fmt.Errorf("head width %d: want an even number up to %d", c.HeadDim, MaxHeadDim)
	case c.RopeDim%2 != 0 || c.RopeDim > c.HeadDim:
		err = fmt.Errorf("rope.dimension_count %d: want an even number up to the head width %d", c.RopeDim, c.HeadDim)
	case !(c.NormEps > 0 && c.NormEps < 1):
		err = fmt.Errorf("layer_norm_rms_epsilon %v: want a number between 0 and 1", c.NormEps)
	case !(c.RopeBase > 1 && c.RopeBase < 1e12):
		err = fmt.Errorf("rope.freq_base %v: want a number between 1 and 1e12", c.RopeBase)
	case !(c.AttnScale > 0 && c.AttnScale < 1e6):
		err = fmt.Errorf("attention.scale %v: want a positive number", c.AttnScale)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrConfig, arch, err)
	}
	return c, nil
}

// Limits on hyper-parameters. They are far beyond every known model and keep
// products of two of them within int64.
const (
	MaxHeadDim = 256
	maxDim     = 1 << 24
	maxLayers  = 1 << 12 // each has names to look for
)

// keyReader reads keys below a prefix and gathers what is wrong with them.
type keyReader struct {
	m      *gguf.Metadata
	prefix string
	err    error
}

func (r *keyReader) fail(format string, args ...any) {
	r.err = errors.Join(r.err, fmt.Errorf("%w: "+format, append([]any{ErrConfig}, args...)...))
}

// Keys reads the keys of one architecture for the Configure of a family.
type Keys struct{ r keyReader }

// ReadKeys returns a reader of the keys below the architecture's name.
func ReadKeys(m *gguf.Metadata, c *Config) *Keys {
	return &Keys{keyReader{m: m, prefix: c.Architecture + "."}}
}

// Dim reads a size of at least 1; def < 0 makes the key required.
func (k *Keys) Dim(key string, def int) int { return k.r.dim(key, def) }

// Factor reads a number above 0; an absent key gives def.
func (k *Keys) Factor(key string, def float32) float32 {
	return float32(k.r.positive(key, float64(def)))
}

// Bool reads yes or no; an absent key gives def.
func (k *Keys) Bool(key string, def bool) bool {
	v, err := k.r.m.BoolOr(k.r.prefix+key, def)
	if err != nil {
		k.r.fail("%w", err)
	}
	return v
}

// Uint reads a number from 0 up to the largest size.
func (k *Keys) Uint(key string) uint64 {
	v, err := k.r.m.Uint64(k.r.prefix + key)
	if err != nil || v > maxDim {
		k.r.fail("%s%s is %d, want 0 to %d (%v)", k.r.prefix, key, v, maxDim, err)
		return 0
	}
	return v
}

// Err returns what was wrong.
func (k *Keys) Err() error { return k.r.err }

// Fail returns an error about the keys.
func (k *Keys) Fail(format string, args ...any) error {
	return fmt.Errorf("%w: %s"+format, append([]any{ErrConfig, k.r.prefix}, args...)...)
}

// text reads a string; an absent key gives def.
func (r *keyReader) text(def, key string) string {
	if !has(r.m, key) {
		return def
	}
	s, err := r.m.String(key)
	if err != nil {
		r.fail("%w", err)
	}
	return s
}

// dim reads a size in [1, maxDim]; def < 0 makes the key required. A key that
// some writers store per layer must hold the same value for all layers.
func (r *keyReader) dim(key string, def int) int {
	key = r.prefix + key
	if def >= 0 && !has(r.m, key) {
		return def
	}
	v, err := r.m.Uint64(key)
	if errors.Is(err, gguf.ErrType) {
		if list, lerr := r.m.Int32s(key); lerr == nil && len(list) > 0 {
			for _, x := range list {
				if x != list[0] {
					r.fail("%s differs between layers (%d and %d); such models are not supported", key, list[0], x)
					return 1
				}
			}
			v, err = uint64(max(list[0], 0)), nil
		}
	}
	if err != nil {
		r.fail("%w", err)
		return 1
	}
	if v < 1 || v > maxDim {
		r.fail("%s is %d, want 1 to %d", key, v, maxDim)
		return 1
	}
	return int(v)
}

// float reads a number; def < 0 makes the key required.
func (r *keyReader) float(key string, def float64) float64 {
	key = r.prefix + key
	if def >= 0 && !has(r.m, key) {
		return def
	}
	v, err := r.m.Float32(key)
	if err != nil {
		r.fail("%w", err)
	}
	return float64(v)
}

// positive reads a number above 0.
func (r *keyReader) positive(key string, def float64) float64 {
	v := r.float(key, def)
	if !(v > 0 && v < 1e6) {
		r.fail("%s%s is %v, want a positive number", r.prefix, key, v)
		return def
	}
	return v
}

// vocab returns the number of tokens, by key or by the tokenizer's list.
func (r *keyReader) vocab() int {
	if has(r.m, r.prefix+"vocab_size") {
		return r.dim("vocab_size", -1)
	}
	tokens, err := r.m.Strings("tokenizer.ggml.tokens")
	if err != nil {
		r.fail("neither %svocab_size nor a token list tells the size of the vocabulary: %w", r.prefix, err)
		return 1
	}
	if len(tokens) < 1 || len(tokens) > maxDim {
		r.fail("tokenizer.ggml.tokens has %d entries, want 1 to %d", len(tokens), maxDim)
		return 1
	}
	return len(tokens)
}

func has(m *gguf.Metadata, key string) bool {
	_, ok := m.Get(key)
	return ok
}
