package model

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"

	"trit/gguf"
	"trit/internal/kernel"
	"trit/internal/parallel"
	"trit/internal/ternary"
	"trit/quant"
)

// LoadOptions change how a file is read. The zero value takes every decision
// from the file.
type LoadOptions struct {
	// Activations overrides what projections round their input to.
	Activations Activations
	// HiddenAct overrides the activation function.
	HiddenAct HiddenAct
	// I2SLayout is the packing of I2_S tensors, which files do not record.
	I2SLayout quant.I2SLayout
	// Layout chooses the resident layout of a projection of the given shape;
	// nil means the one that kernel.Best finds fastest for generating.
	Layout func(rows, cols int) ternary.Layout
	// Team repacks the weights; nil means one worker.
	Team *parallel.Team
	// Progress, if not nil, is called with the weights repacked so far and in
	// all.
	Progress func(done, total int64)
}

// Load reads a model from an open file. The file then belongs to the model.
// The mapped pages of repacked tensors are given back to the system.
func Load(f *gguf.File, o LoadOptions) (*Model, error) {
	m, err := load(f, o)
	if err != nil && f.Path != "" {
		return nil, fmt.Errorf("%s: %w", f.Path, err)
	}
	return m, err
}

func load(f *gguf.File, o LoadOptions) (*Model, error) {
	name, err := f.Metadata.String("general.architecture")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrArchitecture, err)
	}
	arch, err := LookupArch(name)
	if err != nil {
		return nil, err
	}
	c, err := Configure(arch, f.Metadata, o)
	if err != nil {
		return nil, err
	}
	b := &Binder{file: f, opts: o, config: c, specs: map[string]TensorSpec{}}
	for _, s := range arch.Tensors(c) {
		b.specs[s.Name] = s
	}
	if b.opts.Team == nil {
		if b.opts.Team, err = parallel.NewTeam(1); err != nil {
			return nil, err
		}
		defer b.opts.Team.Close()
	}
	b.countWeights()
	g, err := arch.Build(c, b)
	if err != nil {
		return nil, err
	}
	m := &Model{Config: c, Graph: g, File: f}
	g.Projections(func(_ string, p *Projection) {
		m.TernaryWeights += int64(p.Matrix.Rows) * int64(p.Matrix.Cols)
		m.TernaryBytes += int64(len(p.Matrix.Data)) + 4*int64(len(p.Matrix.Scales))
	})
	return m, nil
}

// Configure reads the complete configuration of a model of a family, with the
// overrides of the options applied.
func Configure(arch *Arch, meta *gguf.Metadata, o LoadOptions) (*Config, error) {
	c, err := ReadConfig(meta)
	if err != nil {
		return nil, err
	}
	c.Activations = Int8
	if key := c.Architecture + ".activations"; has(meta, key) {
		s, err := meta.String(key)
		if err == nil {
			c.Activations, err = ParseActivations(s)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrConfig, key, err)
		}
	}
	if err := arch.Configure(meta, c); err != nil {
		return nil, err
	}
	if key := c.Architecture + ".hidden_act"; has(meta, key) {
		s, err := meta.String(key)
		if err == nil {
			c.HiddenAct, err = ParseHiddenAct(s)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrConfig, key, err)
		}
	}
	if o.Activations != 0 {
		c.Activations = o.Activations
	}
	if o.HiddenAct != 0 {
		c.HiddenAct = o.HiddenAct
	}
	return c, nil
}

// Binder gives a family's Build function its weights.
type Binder struct {
	file   *gguf.File
	opts   LoadOptions
	config *Config
	specs  map[string]TensorSpec

	total int64
	done  atomic.Int64
}

// Bind fills the fields of the struct that dst points to. Fields are named by
// tags of the form `tensor:"attn_q.weight"`; prefix is put before the name
// ("blk.3." for a layer). The field's type says how the tensor is loaded:
// *Projection (with its bias and scale tensors), *Table, or []float32. Missing
// optional tensors leave nil.
func (b *Binder) Bind(dst any, prefix string) error {
	v := reflect.ValueOf(dst).Elem()
	for i := range v.NumField() {
		name, ok := v.Type().Field(i).Tag.Lookup("tensor")
		if !ok {
			continue
		}
		t, spec, err := b.tensor(prefix + name)
		if err != nil {
			return err
		}
		if t == nil {
			continue
		}
		var value any
		switch v.Field(i).Interface().(type) {
		case *Projection:
			value, err = b.projection(t, spec)
		case *Table:
			value, err = b.table(t)
		case []float32:
			value, err = b.vector(t)
		default:
			panic(fmt.Sprintf("model: field %s has a type that Bind does not know", v.Type().Field(i).Name))
		}
		if err != nil {
			return fmt.Errorf("%w %s: %w", ErrTensor, t.Name, err)
		}
		v.Field(i).Set(reflect.ValueOf(value))
	}
	return nil
}

// tensor finds a tensor and checks its shape against the family's table. It
// returns nil without an error for a missing optional tensor.
func (b *Binder) tensor(name string) (*gguf.Tensor, TensorSpec, error) {
	spec, ok := b.specs[GenericName(name)]
	if !ok {
		panic(fmt.Sprintf("model: %s is not in the tensor table", name))
	}
	t, ok := b.file.Tensor(name)
	if !ok {
		if spec.Optional {
			return nil, spec, nil
		}
		return nil, spec, fmt.Errorf("%w %s: it is missing from the file", ErrTensor, name)
	}
	if !slices.Equal(trimDims(t.Dims), trimDims(spec.Dims)) {
		return nil, spec, fmt.Errorf("%w %s: its shape is %v, but the configuration asks for %v", ErrTensor, name, t.Dims, spec.Dims)
	}
	return t, spec, nil
}

// trimDims drops trailing dimensions of 1, which writers may leave out.
func trimDims(dims []int64) []int64 {
	for len(dims) > 1 && dims[len(dims)-1] == 1 {
		dims = dims[:len(dims)-1]
	}
	return dims
}

// vector loads a tensor of any float type as float32.
func (b *Binder) vector(t *gguf.Tensor) ([]float32, error) {
	data, err := t.Data()
	if err != nil {
		return nil, err
	}
	dst := make([]float32, t.Elements())
	if err := quant.Decode(t.Type, dst, data); err != nil {
		return nil, err
	}
	for i, x := range dst {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			return nil, fmt.Errorf("element %d is %v", i, x)
		}
	}
	return dst, nil
}

// table refers to a tensor's rows where they are.
func (b *Binder) table(t *gguf.Tensor) (*Table, error) {
	data, err := t.Data()
	if err != nil {
		return nil, err
	}
	table := &Table{Type: t.Type, Rows: int(t.Rows()), Cols: int(t.Cols()), Data: data}
	// One decoded row proves that the type is known before anything runs.
	if err := table.Row(0, make([]float32, table.Cols)); err != nil {
		return nil, err
	}
	return table, nil
}

// countWeights adds up the projections of the file, for progress reports.
func (b *Binder) countWeights() {
	for _, t := range b.file.Tensors {
		if s, ok := b.specs[GenericName(t.Name)]; ok && s.Role == RoleProjection {
			b.total += t.Elements()
		}
	}
}

// projection repacks a ternary tensor, whatever its storage type, into the
// resident layout, and takes in its bias and output scale.
func (b *Binder) projection(t *gguf.Tensor, spec TensorSpec) (*Projection, error) {
	data, err := t.Data()
	if err != nil {
		return nil, err
	}
	rows, cols := int(t.Rows()), int(t.Cols())
	var view *quant.TernaryView
	if quant.IsTernary(t.Type) {
		view, err = quant.NewTernary(t.Type, b.opts.I2SLayout, data, rows, cols)
	} else {
		view, err = quant.NewTernaryFloat(t.Type, data, rows, cols)
		if errors.Is(err, quant.ErrNotTernary) {
			err = fmt.Errorf("%w; ternarise the checkpoint first: trit convert --input DIR --output FILE", err)
		}
	}
	if err != nil {
		return nil, err
	}
	scales, group := view.Scales()
	scales = slices.Clone(scales)
	if group == cols {
		group = 0
	}
	m, err := ternary.New(b.layout(rows, cols, group), rows, cols)
	if err != nil {
		return nil, err
	}
	if err := m.SetScales(scales, group); err != nil {
		return nil, err
	}
	if err := b.repack(m, view); err != nil {
		return nil, err
	}
	if err := t.Release(); err != nil {
		return nil, err
	}
	base := strings.TrimSuffix(t.Name, ".weight")
	p := &Projection{Name: base[strings.LastIndexByte(base, '.')+1:], Matrix: m, Vec: variant(m, 1), Mat: variant(m, manyTokens)}
	if err := b.outputScale(m, base+".scale"); err != nil {
		return nil, err
	}
	if bias, ok := b.file.Tensor(base + ".bias"); ok {
		if bias.Elements() != int64(rows) {
			return nil, fmt.Errorf("%s has %d elements, want %d", bias.Name, bias.Elements(), rows)
		}
		if p.Bias, err = b.vector(bias); err != nil {
			return nil, fmt.Errorf("%s: %w", bias.Name, err)
		}
	}
	b.done.Add(int64(rows) * int64(cols))
	if b.opts.Progress != nil {
		b.opts.Progress(b.done.Load(), b.total)
	}
	return p, nil
}

// tunedWeights is the size from which on it is worth measuring which kernel is
// fastest; smaller matrices stay in the processor's cache.
const tunedWeights = 1 << 20

// manyTokens stands for all batches that are more than one row.
const manyTokens = 64

// layout chooses the resident layout of a matrix.
func (b *Binder) layout(rows, cols, group int) ternary.Layout {
	switch {
	case group != 0:
		return ternary.T2 // the only layout with scales per group of columns
	case b.opts.Layout != nil:
		return b.opts.Layout(rows, cols)
	case rows*cols < tunedWeights:
		return ternary.T2
	}
	return kernel.Best(kernel.Shape{Rows: rows, Cols: cols, Tokens: 1}).Layout
}

// variant chooses the kernel for products of a matrix with a number of rows.
func variant(m *ternary.Matrix, tokens int) kernel.Variant {
	if m.Rows*m.Cols < tunedWeights {
		return kernel.Auto
	}
	return kernel.BestVariant(kernel.Shape{Rows: m.Rows, Cols: m.Cols, Tokens: tokens, GroupCols: m.GroupCols}, m.Layout)
}

// outputScale multiplies the scales of a matrix by the tensor of that name,
// if there is one.
func (b *Binder) outputScale(m *ternary.Matrix, name string) error {
	t, ok := b.file.Tensor(name)
	if !ok {
		return nil
	}
	v, err := b.vector(t)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if len(v) != 1 {
		return fmt.Errorf("%s has %d elements, want 1", name, len(v))
	}
	for i := range m.Scales {
		m.Scales[i] *= v[0]
	}
	return nil
}

// repack fills a matrix panel by panel on the team.
func (b *Binder) repack(m *ternary.Matrix, view *quant.TernaryView) error {
	t := &repackTask{m: m, view: view}
	t.rows = make([][ternary.PanelRows][]byte, b.opts.Team.Size())
	for w := range t.rows {
		for r := range t.rows[w] {
			t.rows[w][r] = make([]byte, m.Cols)
		}
	}
	b.opts.Team.Run(t, m.Panels())
	if err := t.err.Load(); err != nil {
		return *err
	}
	return nil
}

type repackTask struct {
	m    *ternary.Matrix
	view *quant.TernaryView
	rows [][ternary.PanelRows][]byte // codes, per worker
	err  atomic.Pointer[error]
}

func (t *repackTask) Do(worker, panel int) {
	rows := &t.rows[worker]
	n := min(ternary.PanelRows, t.m.Rows-panel*ternary.PanelRows)
	for r := range n {
		if err := t.view.Codes(rows[r], panel*ternary.PanelRows+r); err != nil {
			t.err.CompareAndSwap(nil, &err)
			return
		}
	}
	if err := t.m.SetPanel(panel, rows[:n]); err != nil {
		t.err.CompareAndSwap(nil, &err)
	}
}
