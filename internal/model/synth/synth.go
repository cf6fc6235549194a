package synth

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"trit/gguf"
	"trit/internal/model"
	_ "trit/internal/model/arch" // the tensor tables of all architectures
	"trit/quant"
)

// Options choose how the weights are stored. The zero value is the way that the model
// is published.
type Options struct {
	// Type is the storage type of ternary weights, one of Types; 0 means the shape's.
	Type gguf.Type
	// Head is the storage type of the table that serves as output head, one of
	// HeadTypes; 0 means the shape's, or that of the weights where no other is
	// published, or F16. An embedding table beside it is as published, or F16.
	Head gguf.Type
	// MTP adds a layer that guesses further tokens, with matrices in Q8_0.
	MTP bool
	// Zeros is the share of gates that are not positive, from 0.5 to below 1; 0 means
	// what comes of random weights, which is about a half. So many rows of ffn_gate
	// have no weights as it takes, scattered at random.
	Zeros float64
	// Seed selects the weights.
	Seed uint64
	// Workers is the number of goroutines that generate; 0 means one per CPU.
	Workers int
	// Progress, if not nil, is called with the bytes of tensors written so
	// far and in all, from one goroutine.
	Progress func(done, total int64)
}

// Types lists the storage types for ternary weights.
func Types() []gguf.Type {
	return append([]gguf.Type{gguf.TypeI2S, gguf.TypeTQ1_0, gguf.TypeTQ2_0, gguf.TypeSTQ1_0, gguf.TypeF16}, groupedTypes...)
}

// HeadTypes lists the storage types for the output head.
func HeadTypes() []gguf.Type {
	return append([]gguf.Type{gguf.TypeF16, gguf.TypeQ8_0, gguf.TypeQ6_K, gguf.TypeQ4_K}, groupedTypes...)
}

// groupedTypes have a scale for each 64 or 128 weights of a row. Models that are stored
// in them have no other matrices.
var groupedTypes = []gguf.Type{gguf.TypeQ2_0, gguf.TypePQ2_0, gguf.TypePTQ1_0, gguf.TypeQ1_0}

// Generator makes one model. It may be used several times, by one goroutine.
type Generator struct {
	shape   Shape
	opts    Options
	meta    *gguf.Metadata
	config  *model.Config
	tensors []tensor
	total   int64 // bytes of all tensors
	done    int64
}

// tensor is one tensor of the model to be made.
type tensor struct {
	name string
	dims []int64
	role model.Role
	typ  gguf.Type
	size int64
}

func (t *tensor) elements() int64 {
	n := int64(1)
	for _, d := range t.dims {
		n *= d
	}
	return n
}

// New prepares a model of the given shape. It fails with ErrType or ErrShape when
// the types are unknown or cannot hold rows of the shape's widths.
func New(s Shape, o Options) (*Generator, error) {
	o.Type = cmp.Or(o.Type, s.Type, gguf.TypeI2S)
	if o.Head == 0 {
		o.Head = cmp.Or(s.Head, gguf.TypeF16)
		if s.Type != 0 && slices.Contains(groupedTypes, o.Type) {
			o.Head = o.Type
		}
	}
	if !slices.Contains(Types(), o.Type) {
		return nil, fmt.Errorf("%w: %v for ternary weights (want one of %v)", ErrType, o.Type, Types())
	}
	if !slices.Contains(HeadTypes(), o.Head) {
		return nil, fmt.Errorf("%w: %v for the output head (want one of %v)", ErrType, o.Head, HeadTypes())
	}
	if o.Zeros != 0 && !(o.Zeros >= 0.5 && o.Zeros < 1) {
		return nil, fmt.Errorf("%w: a share of zeros of %g (want 0.5 to below 1)", ErrShape, o.Zeros)
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	g := &Generator{shape: s, opts: o}
	var err error
	if g.meta, err = metadata(s, o); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrShape, s.Name, err)
	}
	arch, err := model.LookupArch(s.Architecture)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrShape, s.Name, err)
	}
	if g.config, err = model.Configure(arch, g.meta, model.LoadOptions{MTP: o.MTP}); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrShape, s.Name, err)
	}
	for spec := range arch.Table(g.config).Rows() {
		if spec.Role == model.RoleHead && s.Tied || spec.Extra && (s.Pooling == 0 || !strings.Contains(spec.Name, "_norm_in.")) {
			continue
		}
		t := tensor{name: spec.Name, dims: spec.Dims, role: spec.Role}
		if t.typ, t.size, err = g.storage(spec); err != nil {
			return nil, err
		}
		g.tensors = append(g.tensors, t)
		g.total += t.size
	}
	if err := g.checkZeros(); err != nil {
		return nil, err
	}
	if s.Rotation > 0 {
		if err := s.setRotation(g.meta, g.tensors, rand.NewPCG(o.Seed, 0)); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrShape, s.Name, err)
		}
	}
	return g, nil
}

// storage returns the type and size of a tensor.
func (g *Generator) storage(spec model.TensorSpec) (gguf.Type, int64, error) {
	t, block := gguf.TypeF32, int64(1)
	switch spec.Role {
	case model.RoleProjection:
		t, block = g.opts.Type, g.opts.Type.BlockElements() // rows of I2_S may straddle blocks
	case model.RoleHead:
		t, block = g.opts.Head, g.opts.Head.BlockElements()
	case model.RoleEmbedding:
		t = cmp.Or(g.shape.Embedding, gguf.TypeF16)
		if g.shape.Tied || slices.Contains(groupedTypes, g.opts.Head) {
			t = g.opts.Head
		}
		block = t.BlockElements()
	case model.RoleDense:
		if mtp := model.LayerTensor(g.config.Layers, ""); strings.HasPrefix(spec.Name, mtp) {
			t, block = gguf.TypeQ8_0, gguf.TypeQ8_0.BlockElements()
		} else if spec.Dims[0] >= stateDim && g.shape.Experts == 0 { // neither convolution nor router
			t = gguf.TypeBF16
		}
	}
	if spec.Dims[0]%block != 0 {
		return 0, 0, fmt.Errorf("%w: %s: the rows of %s have %d weights, and %v packs %d together; use F16 (or Q8_0 for a head)",
			ErrShape, g.shape.Name, spec.Name, spec.Dims[0], t, block)
	}
	size, err := t.Size(spec.Dims)
	if err != nil {
		return 0, 0, fmt.Errorf("%w: %s: %s: %w", ErrShape, g.shape.Name, spec.Name, err)
	}
	return t, size, nil
}

// metadata returns the keys of the model's file.
func metadata(s Shape, o Options) (_ *gguf.Metadata, err error) {
	m := &gguf.Metadata{}
	set := func(key string, value any) {
		if err == nil {
			err = m.Set(key, value)
		}
	}
	set("general.architecture", s.Architecture)
	set("general.name", "random weights in the shape of "+s.Name)
	description := fmt.Sprintf("synthetic: random weights, seed %d, in the shape of %s", o.Seed, s.Model)
	if o.Zeros != 0 {
		description += fmt.Sprintf(", %.3g %% of all gates zero", 100*o.Zeros)
	}
	set("general.description", description)
	if err == nil {
		err = s.setKeys(m)
	}
	if o.MTP {
		set(s.Architecture+".block_count", uint32(s.Layers+1))
		set(s.Architecture+".nextn_predict_layers", uint32(1))
	}
	if fileType, ok := o.Type.FileType(); ok {
		set("general.file_type", fileType)
	}
	set("general.quantization_version", uint32(2))
	if template, ok := templates[s.Pre]; ok {
		set("tokenizer.chat_template", template)
	}
	if err != nil {
		return nil, err
	}
	tok, err := vocabulary(s)
	if err != nil {
		return nil, err
	}
	return m, tok.AppendMetadata(m, s.Vocab)
}

// Metadata returns the keys of the model's file. They must not be changed.
func (g *Generator) Metadata() *gguf.Metadata { return g.meta }

// Types returns the storage types of the ternary weights and of the head.
func (g *Generator) Types() (weights, head gguf.Type) { return g.opts.Type, g.opts.Head }

// Config returns the model's hyper-parameters. They must not be changed.
func (g *Generator) Config() *model.Config { return g.config }

// TensorBytes returns the size of all tensors, which is nearly that of the file.
func (g *Generator) TensorBytes() int64 { return g.total }

// WriteFile writes the model to a file, in constant memory; the file appears only
// when it is complete.
func (g *Generator) WriteFile(ctx context.Context, path string) error {
	return gguf.WriteFile(path, g.meta, g.specs(ctx))
}

// Write writes the model as a GGUF file, in constant memory.
func (g *Generator) Write(ctx context.Context, w io.Writer) error {
	return gguf.WriteTo(w, g.meta, g.specs(ctx))
}

// Bytes returns the model as a GGUF file in memory, for gguf.Parse.
func (g *Generator) Bytes(ctx context.Context) ([]byte, error) {
	if g.total > math.MaxInt-1<<24 {
		return nil, fmt.Errorf("%w: %s has %d bytes, more than this machine can address", ErrShape, g.shape.Name, g.total)
	}
	var b bytes.Buffer
	b.Grow(int(g.total) + 1<<16)
	err := g.Write(ctx, &b)
	return b.Bytes(), err
}

// WriteTemp writes the model to a new temporary file in dir ("" for the system's
// folder) and returns its path; the caller removes it. Unlike WriteFile it does not
// wait for the disk. Opened and mapped, such a file behaves as one that was
// downloaded: the head occupies page cache and not the program's own memory.
func (g *Generator) WriteTemp(ctx context.Context, dir string) (path string, err error) {
	f, err := os.CreateTemp(dir, "trit-synth-*.gguf")
	if err != nil {
		return "", fmt.Errorf("synth: %w", err)
	}
	err = g.Write(ctx, f)
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		os.Remove(f.Name()) // the error that matters is the first
		return "", fmt.Errorf("synth: a temporary file of %.2f GB in %s: %w", float64(g.total)/1e9, filepath.Dir(f.Name()), err)
	}
	return f.Name(), nil
}

// specs describes the tensors for the GGUF writer.
func (g *Generator) specs(ctx context.Context) []gguf.TensorSpec {
	g.done = 0
	pools := map[poolKey]*pool{}
	specs := make([]gguf.TensorSpec, len(g.tensors))
	for i, t := range g.tensors {
		specs[i] = gguf.TensorSpec{Name: t.name, Dims: t.dims, Type: t.typ, Write: func(w io.Writer) error {
			if t.typ == gguf.TypeF32 {
				return g.writeVector(w, t)
			}
			key := poolKey{t.role == model.RoleProjection || quant.IsTernary(t.typ), t.typ, t.dims[0], t.elements() % 32}
			if pools[key] == nil {
				p, err := g.newPool(t, key)
				if err != nil {
					return err
				}
				pools[key] = p
			}
			empty, err := g.emptyRows(t)
			if err != nil {
				return err
			}
			return g.writeBlocks(ctx, w, t, pools[key], empty)
		}}
	}
	return specs
}

// poolKey tells which tensors share a pool: the columns decide about the scale,
// the number of elements about the block of types without one.
type poolKey struct {
	ternary bool
	typ     gguf.Type
	cols    int64
	rest    int64
}

func (g *Generator) newPool(t tensor, key poolKey) (*pool, error) {
	n := t.elements()
	rng := rand.NewPCG(g.opts.Seed, uint64(key.cols)<<32|uint64(key.typ))
	if key.ternary {
		return ternaryPool(t.typ, float32(math.Sqrt(1.5/float64(key.cols))), n, rng)
	}
	return gaussianPool(t.typ, float32(2/math.Sqrt(float64(key.cols))), n, rng)
}

// random returns the generator for a part of a tensor.
func (g *Generator) random(t tensor, part int64) *rand.PCG {
	h := fnv.New64a()
	io.WriteString(h, t.name) // never fails
	return rand.NewPCG(g.opts.Seed^h.Sum64(), uint64(part))
}

// writeVector writes the weights of a norm or of a convolution.
func (g *Generator) writeVector(w io.Writer, t tensor) error {
	rng := g.random(t, 0)
	data := make([]byte, 0, t.size)
	sign := float32(1)
	if strings.HasSuffix(t.name, ".ssm_a") {
		sign = -1 // a state that only decays
	}
	for range t.elements() {
		x := sign * (0.75 + float32(below(rng.Uint64(), 1024))/2048)
		data = appendFloat(data, x)
	}
	_, err := w.Write(data)
	g.advance(t.size)
	return err
}

func appendFloat(b []byte, x float32) []byte {
	u := math.Float32bits(x)
	return append(b, byte(u), byte(u>>8), byte(u>>16), byte(u>>24))
}

// chunkBytes is about what one worker generates at a time.
const chunkBytes = 1 << 20

// writeBlocks writes a tensor, generated a few chunks at a time.
func (g *Generator) writeBlocks(ctx context.Context, w io.Writer, t tensor, p *pool, empty *emptyRows) error {
	chunk := max(1, chunkBytes/p.block) * p.block
	left := t.size - int64(len(p.tail))
	buf := make([]byte, min(left, int64(2*g.opts.Workers*chunk)))
	for part := int64(0); left > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		piece := buf[:min(left, int64(len(buf)))]
		var group sync.WaitGroup
		for at := 0; at < len(piece); at += chunk {
			rng := g.random(t, part)
			part++
			group.Go(func() { p.fill(piece[at:min(at+chunk, len(piece))], rng) })
		}
		group.Wait()
		empty.clear(piece, t.size-int64(len(p.tail))-left)
		if _, err := w.Write(piece); err != nil {
			return err
		}
		left -= int64(len(piece))
		g.advance(int64(len(piece)))
	}
	_, err := w.Write(p.tail)
	g.advance(int64(len(p.tail)))
	return err
}

// advance reports progress.
func (g *Generator) advance(n int64) {
	g.done += n
	if g.opts.Progress != nil {
		g.opts.Progress(g.done, g.total)
	}
}
