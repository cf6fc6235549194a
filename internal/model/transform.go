package model

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"trit/gguf"
	"trit/internal/kernel"
)

// Transform is what the input of some matrices goes through before they are
// multiplied with it, because their weights have been rotated: a change of signs and
// a Hadamard transform of consecutive blocks (see kernel.Hadamard). Rotated weights
// round better; without the transform they give noise that may look like text.
type Transform struct {
	Block int
	Signs []float32 // [in], +1 or −1; nil for all +1
	// Order, if not nil, is applied first: element i of the input is taken from
	// element Order[i].
	Order []int32
}

// Apply transforms src into dst.
func (t *Transform) Apply(dst, src []float32) {
	if t.Order == nil {
		copy(dst, src)
	} else {
		for i, from := range t.Order {
			dst[i] = src[from]
		}
	}
	kernel.Hadamard(dst, t.Signs, t.Block)
}

// Invert undoes Apply for a transform without an order.
func (t *Transform) Invert(x []float32) { kernel.HadamardInverse(x, t.Signs, t.Block) }

// transforms are those of a file.
type transforms struct {
	block  int
	signs  map[int][]float32 // by width; nil for all +1
	shared map[int]*Transform
	// folded are the tensors whose input is transformed, ordered those whose input
	// is also brought into another order.
	folded  map[string]bool
	ordered map[string]*Transform
	// embedding: the rows of token_embd are to be transformed back.
	embedding bool
	// tied: the output head is token_embd, with its input transformed.
	tied bool
}

// RotationPrefix begins the keys of a file that describe how weights are rotated.
const RotationPrefix = "prism.hadamard."

// What the values of some keys must be.
const (
	hadamardKind = "normalized-sylvester-walsh-hadamard"
	hadamardAxis = "input-last-dimension"
)

var hadamardKeys = []string{
	"version", "block_size", "transform", "axis", "sign_mode", "sign_widths", "sign_values", "weight_names", "inverse_weight_names",
	"gdn_v_grouped", "tied_output",
}

// foldable are the tensors that a file may name, without layer and ".weight".
var foldable = []string{
	"attn_q", "attn_k", "attn_v", "attn_qkv", "attn_gate", "attn_output", "ffn_gate", "ffn_up", "ffn_down", "ffn_gate_exps", "ffn_up_exps",
	"ffn_down_exps", "ffn_gate_shexp", "ffn_up_shexp", "ffn_down_shexp", "ssm_out", "ssm_alpha", "ssm_beta", "output",
}

// readTransforms reads the keys of a file. It returns nil without them, and reports
// everything that is wrong with them at once.
func readTransforms(f *gguf.File, arch *Arch, c *Config) (*transforms, error) {
	r := &transformReader{keyReader: keyReader{m: f.Metadata, prefix: RotationPrefix}, file: f}
	var present []string
	for _, key := range f.Metadata.Keys() {
		if name, ok := strings.CutPrefix(key, RotationPrefix); ok {
			present = append(present, name)
			if !slices.Contains(hadamardKeys, name) {
				r.report("the key %s is not known", key)
			}
		}
	}
	if len(present) == 0 {
		return nil, nil
	}
	t := &transforms{shared: map[int]*Transform{}, folded: map[string]bool{}, ordered: map[string]*Transform{}}
	r.read(t)
	if r.grouped && arch.ValueOrder == nil {
		r.report("gdn_v_grouped is true, but architecture %s has no heads to reorder", c.Architecture)
	}
	if len(r.problems) > 0 {
		return nil, fmt.Errorf("%w: the weights are rotated (%s*), and the keys of that contradict: %w; download or convert the file again",
			ErrConfig, RotationPrefix, errors.Join(r.problems...))
	}
	for name := range t.folded {
		if r.grouped && strings.HasSuffix(name, "ssm_out.weight") {
			tensor, _ := f.Tensor(name)
			width := int(tensor.Dims[0])
			own := *t.of(width)
			own.Order = arch.ValueOrder(c)
			if len(own.Order) != width {
				return nil, fmt.Errorf("%w: %s has rows of %d elements, its heads have %d values", ErrConfig, name, width, len(own.Order))
			}
			t.ordered[name] = &own
		}
	}
	return t, nil
}

// of returns the transform of inputs of a width.
func (t *transforms) of(width int) *Transform {
	s, ok := t.shared[width]
	if !ok {
		s = &Transform{Block: t.block, Signs: t.signs[width]}
		t.shared[width] = s
	}
	return s
}

// input returns the transform of a tensor's input, nil if there is none.
func (t *transforms) input(name string, width int) *Transform {
	switch {
	case t == nil || !t.folded[name]:
		return nil
	case t.ordered[name] != nil:
		return t.ordered[name]
	}
	return t.of(width)
}

// transformReader reads the keys and collects what is wrong with them.
type transformReader struct {
	keyReader
	file     *gguf.File
	problems []error
	version  uint64
	grouped  bool
}

func (r *transformReader) report(format string, args ...any) {
	r.problems = append(r.problems, fmt.Errorf(format, args...))
}

// get reads a key with one of the accessors of gguf.Metadata. A missing key gives the
// zero value, or is reported if it is required.
func get[T any](r *transformReader, key string, required bool, read func(string) (T, error)) T {
	var zero T
	if !required && !has(r.m, r.prefix+key) {
		return zero
	}
	v, err := read(r.prefix + key)
	if err != nil {
		r.problems = append(r.problems, err)
		return zero
	}
	return v
}

func (r *transformReader) read(t *transforms) {
	r.version = get(r, "version", true, r.m.Uint64)
	if len(r.problems) > 0 && !has(r.m, r.prefix+"version") {
		return // nothing else means anything
	}
	if r.version != 1 && r.version != 2 {
		r.report("version is %d, want 1 or 2: a newer release may know it", r.version)
		return
	}
	if kind := get(r, "transform", true, r.m.String); kind != hadamardKind {
		r.report("transform is %q, want %q", kind, hadamardKind)
	}
	if axis := get(r, "axis", true, r.m.String); axis != hadamardAxis {
		r.report("axis is %q, want %q", axis, hadamardAxis)
	}
	t.block = int(min(get(r, "block_size", true, r.m.Uint64), maxDim))
	if !kernel.HadamardBlock(t.block) {
		r.report("block_size is %d, want a power of two", t.block)
		t.block = 1
	}
	r.grouped = get(r, "gdn_v_grouped", false, r.m.Bool)
	t.tied = get(r, "tied_output", false, r.m.Bool)
	r.signs(t)
	r.names(t)
	r.output(t)
}

func (r *transformReader) signs(t *transforms) {
	mode := get(r, "sign_mode", true, r.m.String)
	widths := get(r, "sign_widths", false, r.m.Int32s)
	values := get(r, "sign_values", false, r.m.Int32s)
	switch mode {
	case "identity":
		if len(widths) > 0 || len(values) > 0 {
			r.report("sign_mode is identity, but there are %d sign_widths and %d sign_values", len(widths), len(values))
		}
		return
	case "explicit":
	default:
		r.report("sign_mode is %q, want explicit or identity", mode)
		return
	}
	if len(widths) == 0 {
		r.report("sign_mode is explicit, but sign_widths is empty")
	}
	t.signs = map[int][]float32{}
	bad := len(r.problems)
	defer func() {
		if len(r.problems) > bad {
			t.signs = nil // which tensors they are missing for follows from that
		}
	}()
	var total int64
	for _, w := range widths {
		total += max(int64(w), 0)
	}
	if total != int64(len(values)) {
		r.report("sign_widths add up to %d, but there are %d sign_values", total, len(values))
		return
	}
	for _, w := range widths {
		width := int(w)
		switch {
		case width < 1 || width%t.block != 0:
			r.report("sign_widths has %d, which block_size %d does not divide", width, t.block)
			values = values[max(width, 0):]
			continue
		case t.signs[width] != nil:
			r.report("sign_widths has %d twice", width)
		}
		signs := make([]float32, width)
		for i, v := range values[:width] {
			if v != 1 && v != -1 {
				r.report("sign_values has %d for element %d of width %d, want 1 or -1", v, i, width)
				break
			}
			signs[i] = float32(v)
		}
		t.signs[width] = signs
		values = values[width:]
	}
}

func (r *transformReader) names(t *transforms) {
	list := get(r, "weight_names", true, r.m.Strings)
	if len(list) == 0 && has(r.m, r.prefix+"weight_names") {
		r.report("weight_names is empty")
	}
	for _, name := range list {
		tensor, ok := r.file.Tensor(name)
		base, isWeight := strings.CutSuffix(name, ".weight")
		base = base[strings.LastIndexByte(base, '.')+1:]
		switch {
		case t.folded[name]:
			r.report("weight_names has %q twice", name)
		case !ok:
			r.report("weight_names has %q, which the file does not hold", name)
		case !isWeight || !slices.Contains(foldable, base):
			r.report("weight_names has %q, which is no matrix that can be rotated", name)
		case tensor.Dims[0]%int64(t.block) != 0:
			r.report("%s has rows of %d elements, which block_size %d does not divide", name, tensor.Dims[0], t.block)
		case t.signs != nil && t.signs[int(tensor.Dims[0])] == nil:
			r.report("%s has rows of %d elements, for which there are no signs", name, tensor.Dims[0])
		}
		t.folded[name] = true
	}
}

// output checks what becomes of the embedding and the output head.
func (r *transformReader) output(t *transforms) {
	const embedding, output = "token_embd.weight", "output.weight"
	for _, name := range get(r, "inverse_weight_names", false, r.m.Strings) {
		if name != embedding || t.embedding {
			r.report("inverse_weight_names has %q, want %s, once", name, embedding)
			continue
		}
		t.embedding = true
		if tensor, ok := r.file.Tensor(name); !ok {
			r.report("the file does not hold %s", name)
		} else if width := int(tensor.Dims[0]); width%t.block != 0 || t.signs != nil && t.signs[width] == nil {
			r.report("%s has rows of %d elements, which block_size %d does not divide or for which there are no signs", name, width, t.block)
		}
	}
	_, own := r.file.Tensor(output)
	switch {
	case t.tied != (r.version == 2):
		r.report("version %d with tied_output %t: version 2 is for a tied output head, and version 1 for one of its own", r.version, t.tied)
	case t.tied && own:
		r.report("tied_output is true, but the file holds %s", output)
	case t.tied && !t.embedding:
		r.report("tied_output is true, but inverse_weight_names does not have %s", embedding)
	case !t.tied && t.embedding && !own:
		r.report("%s is rotated, and the file holds no %s beside it", embedding, output)
	}
}
