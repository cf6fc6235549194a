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
	"trit/internal/hugemem"
	"trit/internal/kernel"
	"trit/internal/kernel/autotune"
	"trit/internal/repacked"
	"trit/internal/ternary"
	"trit/quant"
)

// Binder gives a family's Build function its weights.
type Binder struct {
	opts    LoadOptions
	choices *autotune.Choices
	outline *OutlineOptions // not nil: weights have shapes, but no data
	zeros   []float32       // what they have instead
	file    *gguf.File      // nil: an outline without a file
	// transforms are those of the file, nil if there are none.
	transforms *transforms
	model      *Model
	tensors    *TensorTable
	bound      map[string]bool // generic names that a field asked for
	keeper     *keeper         // nil: everything is repacked

	total int64
	done  atomic.Int64
}

// newBinder returns a binder for a model of a family.
func newBinder(arch *Arch, m *Model, o LoadOptions) *Binder {
	if o.Tuner == nil {
		o.Tuner = autotune.New("", nil)
	}
	return &Binder{opts: o, file: m.File, model: m, tensors: arch.Table(m.Config), bound: map[string]bool{}}
}

// Bind fills the fields of the struct that dst points to. Fields are named by
// tags of the form `tensor:"attn_q.weight"`; prefix is put before the name
// ("blk.3." for a layer). The field's type says how the tensor is loaded:
// *Projection (with the bias, scale and norm that belong to it), []*Projection
// for a stack of experts, *Table, or []float32. What the family's tensor table
// does not have for that layer, and missing optional tensors, leave nil.
func (b *Binder) Bind(dst any, prefix string) error {
	v := reflect.ValueOf(dst).Elem()
	for i := range v.NumField() {
		name, ok := v.Type().Field(i).Tag.Lookup("tensor")
		if !ok {
			continue
		}
		spec, ok := b.tensors.Lookup(prefix + name)
		if !ok {
			continue
		}
		t, err := b.tensor(spec)
		if err != nil {
			return err
		}
		if t == nil {
			continue
		}
		value, err := b.value(v.Field(i).Interface(), t, spec)
		if err != nil {
			return fmt.Errorf("%w %s: %w", ErrTensor, t.Name, err)
		}
		v.Field(i).Set(reflect.ValueOf(value))
	}
	return nil
}

// value loads a tensor as the type of a field.
func (b *Binder) value(field any, t *gguf.Tensor, spec TensorSpec) (any, error) {
	_, either := field.(*Linear)
	if spec.Role != RoleProjection && !(either && quant.IsTernary(t.Type)) {
		size, err := t.Type.Size(t.Dims)
		if err != nil {
			return nil, err
		}
		b.model.TableBytes += size
	}
	switch field.(type) {
	case *Projection:
		list, err := b.projections(t, spec)
		if err == nil && len(list) != 1 {
			err = fmt.Errorf("its shape is %v, want a single matrix", t.Dims)
		}
		if err != nil {
			return nil, err
		}
		return list[0], nil
	case []*Projection:
		return b.projections(t, spec)
	case *Table:
		return b.table(t)
	case *Linear:
		if quant.IsTernary(t.Type) {
			list, err := b.projections(t, spec)
			if err != nil {
				return nil, err
			}
			return &Linear{Projection: list[0]}, nil
		}
		if b.transforms.input(t.Name, int(t.Cols())) != nil {
			return nil, fmt.Errorf("its weights are rotated (%s*), which its type %v cannot be", RotationPrefix, t.Type)
		}
		table, err := b.table(t)
		if err == nil && !kernel.HeadSupports(t.Type) {
			err = fmt.Errorf("its type %v cannot be multiplied", t.Type)
		}
		b.model.dense = max(b.model.dense, table.Cols)
		return &Linear{Table: table}, err
	case []float32:
		return b.vector(t)
	}
	panic(fmt.Sprintf("model: the field for %s has a type that Bind does not know", t.Name))
}

// finish checks that the graph has taken all tensors of its family's table: one
// that nobody asks for would be left out of the computation.
func (b *Binder) finish() {
	for _, s := range b.tensors.specs {
		if !b.bound[s.Name] {
			panic(fmt.Sprintf("model: %s is in the tensor table of %s, but its graph has no field for it", s.Name, b.model.Config.Architecture))
		}
	}
}

// tensor finds a tensor and checks its shape against the family's table. It
// returns nil without an error for a missing optional tensor.
func (b *Binder) tensor(spec TensorSpec) (*gguf.Tensor, error) {
	b.bound[GenericName(spec.Name)] = true
	if c := b.opts.Context; c != nil && c.Err() != nil {
		return nil, c.Err()
	}
	if b.file == nil {
		return b.outline.tensor(spec), nil
	}
	t, ok := b.file.Tensor(spec.Name)
	if !ok {
		if spec.Optional {
			return nil, nil
		}
		return nil, fmt.Errorf("%w %s: it is missing from the file", ErrTensor, spec.Name)
	}
	if !slices.Equal(trimDims(t.Dims), trimDims(spec.Dims)) {
		return nil, fmt.Errorf("%w %s: its shape is %v, but the configuration asks for %v", ErrTensor, spec.Name, t.Dims, spec.Dims)
	}
	return t, nil
}

// vector loads a tensor of any float type as float32.
func (b *Binder) vector(t *gguf.Tensor) ([]float32, error) {
	if b.outline != nil {
		// All vectors of an outline share numbers that nobody reads.
		if n := int(t.Elements()); n > len(b.zeros) {
			b.zeros = make([]float32, n)
		}
		return b.zeros[:t.Elements()], nil
	}
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
	table := &Table{Name: t.Name, Type: t.Type, Rows: int(t.Rows()), Cols: int(t.Cols())}
	if b.outline != nil {
		return table, nil
	}
	var err error
	if table.Data, err = t.Data(); err != nil {
		return nil, err
	}
	if b.opts.CopyTables {
		data := hugemem.Bytes(len(table.Data))
		copy(data, table.Data)
		table.Data = data
		if err := t.Release(); err != nil {
			return nil, err
		}
	}
	if b.transforms != nil && b.transforms.embedding && t.Name == "token_embd.weight" {
		table.Rotated = b.transforms.of(table.Cols)
	}
	// One decoded row proves that the type is known before anything runs.
	if err := table.Row(0, make([]float32, table.Cols)); err != nil {
		return nil, err
	}
	return table, nil
}

// countWeights adds up the projections of the file, for progress reports.
func (b *Binder) countWeights() {
	for _, t := range b.file.Tensors {
		if s, ok := b.tensors.Lookup(t.Name); ok && (s.Role == RoleProjection || s.Role == RoleDense && quant.IsTernary(t.Type)) {
			b.total += t.Elements()
		}
	}
}

// projections loads the matrices of a ternary tensor: one, or with a third
// dimension several, which share nothing but their shape.
func (b *Binder) projections(t *gguf.Tensor, spec TensorSpec) ([]*Projection, error) {
	matrices, err := b.matrices(t, spec)
	if err != nil {
		return nil, err
	}
	first := Projection{Name: spec.Kind(), turnStage: spec.Kind() + "_hadamard"}
	if len(matrices) == 1 {
		if err := b.companions(&first, matrices[0], t.Type, strings.TrimSuffix(t.Name, ".weight")); err != nil {
			return nil, err
		}
	} else if b.file != nil {
		for _, name := range []string{".bias", ".scale"} {
			if _, ok := b.file.Tensor(strings.TrimSuffix(t.Name, ".weight") + name); ok {
				return nil, fmt.Errorf("%s%s: experts with biases or scales of their own are not supported; "+
					"use the program that the file was made for", strings.TrimSuffix(t.Name, ".weight"), name)
			}
		}
	}
	var list []*Projection
	for i, m := range matrices {
		p := first
		p.Matrix, p.Transform = m, b.transforms.input(t.Name, m.Cols)
		if b.outline == nil {
			p.Vec, p.Mat = b.variant(m, 1), b.variant(m, manyTokens)
		}
		name := t.Name
		if len(matrices) > 1 {
			name = fmt.Sprintf("%s[%d]", name, i)
		}
		list = append(list, &p)
		b.model.projections = append(b.model.projections, namedProjection{name, &p})
		b.model.TernaryWeights += int64(m.Rows) * int64(m.Cols)
		b.model.TernaryBytes += m.Bytes()
	}
	return list, nil
}

// head repacks an output head that is ternary: multiplying with it is a product
// like any other.
func (b *Binder) head() error {
	table := b.model.Graph.Head()
	if b.transforms != nil && b.transforms.tied {
		b.model.HeadTransform = b.transforms.of(table.Cols)
	} else {
		b.model.HeadTransform = b.transforms.input(table.Name, table.Cols)
	}
	if !quant.IsTernary(table.Type) {
		return nil
	}
	t, ok := b.file.Tensor(table.Name)
	if !ok {
		return fmt.Errorf("%w %s: it is missing from the file", ErrTensor, table.Name)
	}
	list, err := b.matrices(t, TensorSpec{Name: t.Name, Dims: []int64{int64(table.Cols), int64(table.Rows)}})
	if err != nil {
		return fmt.Errorf("%w %s: %w", ErrTensor, t.Name, err)
	}
	b.model.Head = list[0]
	return nil
}

// companions loads what belongs to a projection beside its weights. Its bias need
// not be in the family's table.
func (b *Binder) companions(p *Projection, m *ternary.Matrix, typ gguf.Type, base string) error {
	var err error
	if spec, ok := b.tensors.Lookup(NormIn(base)); ok {
		if p.NormIn, err = b.companion(spec); err != nil {
			return err
		}
		p.normStage = strings.TrimSuffix(NormIn(p.Name), ".weight")
	}
	bias, ok := b.tensors.Lookup(base + ".bias")
	if !ok {
		bias = TensorSpec{Name: base + ".bias", Role: RoleVector, Dims: []int64{int64(m.Rows)}, Optional: true, Extra: true}
	}
	if p.Bias, err = b.companion(bias); err != nil || b.file == nil {
		return err
	}
	return b.outputScale(m, typ, base+".scale")
}

// companion loads a vector, if there is one.
func (b *Binder) companion(spec TensorSpec) ([]float32, error) {
	t, err := b.tensor(spec)
	if err != nil || t == nil {
		return nil, err
	}
	v, err := b.value([]float32(nil), t, spec)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.Name, err)
	}
	return v.([]float32), nil
}

// matrices repacks a ternary tensor, whatever its storage type, into the
// resident layout.
func (b *Binder) matrices(t *gguf.Tensor, spec TensorSpec) ([]*ternary.Matrix, error) {
	cols, rows, n := int(spec.Dims[0]), int(spec.Dims[1]), spec.Matrices()
	if b.outline != nil {
		return slices.Repeat([]*ternary.Matrix{b.outline.matrix(b.model.Config, t.Type, rows, cols)}, n), nil
	}
	if list := b.kept(t, rows, cols, n); list != nil {
		b.report(int64(n) * int64(rows) * int64(cols))
		return list, t.Release()
	}
	data, err := t.Data()
	if err != nil {
		return nil, err
	}
	var view *quant.TernaryView
	if quant.IsTernary(t.Type) {
		view, err = quant.NewTernary(t.Type, b.opts.I2SLayout, data, n*rows, cols)
	} else if t.Type == gguf.TypeQ2SEQ {
		err = fmt.Errorf("its type %v stores -3, -1, +1 and +3 times a scale, which is not ternary; use the model's file in %v",
			t.Type, gguf.TypeSTQ1_0)
	} else {
		view, err = quant.NewTernaryFloat(t.Type, data, n*rows, cols)
		if errors.Is(err, quant.ErrNotTernary) {
			err = fmt.Errorf("%w; ternarise the checkpoint first with convert.FromHF", err)
		}
	}
	if err != nil {
		return nil, err
	}
	scales, group := view.Scales()
	if group == cols {
		group = 0
	}
	half := ternary.FitsScales(ternary.G5, scales)
	wanted := b.layout(rows, cols, group, t.Type, half)
	var list []*ternary.Matrix
	for i := range n {
		own := scales // of this matrix: the one of all, or those of its rows
		if len(scales) > 1 {
			own = scales[i*len(scales)/n : (i+1)*len(scales)/n]
		}
		m, err := b.matrix(wanted, view, i*rows, rows, own, group, n)
		if errors.Is(err, quant.ErrCode) && group%ternary.GroupWidth == 0 && b.model.Config.Activations != Int8 {
			// A code that stands for +2 is no trit, but this layout holds it.
			m, err = b.matrix(ternary.G2, view, i*rows, rows, own, group, n)
		}
		if err != nil {
			return nil, err
		}
		list = append(list, m)
		b.report(int64(rows) * int64(cols))
	}
	b.keep(t, list, wanted, group, half)
	return list, t.Release()
}

// report adds weights to those that are loaded.
func (b *Binder) report(n int64) {
	b.done.Add(n)
	if b.opts.Progress != nil {
		b.opts.Progress(b.done.Load(), b.total)
	}
}

// matrix repacks rows of a view from first on, for one of count matrices.
func (b *Binder) matrix(layout ternary.Layout, view *quant.TernaryView, first, rows int, scales []float32, group, count int) (*ternary.Matrix, error) {
	m, err := repacked.NewMatrix(b.opts.Team, layout, rows, view.Cols(), count)
	if err != nil {
		return nil, err
	}
	if !layout.Grouped() {
		if err := m.SetScales(slices.Clone(scales), group); err != nil {
			return nil, err
		}
	}
	return m, b.repack(m, view, first, scales, group)
}

// tunedWeights is the size from which on it is worth measuring which kernel is
// fastest; smaller matrices stay in the processor's cache.
const tunedWeights = 1 << 20

// manyTokens stands for all batches that are more than one row.
const manyTokens = 64

// layout chooses the resident layout of a matrix with scales for each group columns,
// or for whole rows if that is 0. half says that binary16 holds all scales.
// A copy on the disk has the weights in a layout already.
func (b *Binder) layout(rows, cols, group int, typ gguf.Type, half bool, has ...ternary.Layout) ternary.Layout {
	wide := group%ternary.GroupWidth == 0 // the scales fit grouped layouts
	switch a := b.model.Config.Activations; {
	case a == Int8Groups && wide && typ == gguf.TypeQ1_0:
		return ternary.G1
	case a == Int8Groups && wide && half && kernel.Decodes(ternary.G5):
		if rows*cols < tunedWeights {
			return ternary.G5
		}
		return b.choices.BestGrouped(autotune.Shape{Rows: rows, Cols: cols, Tokens: 1}, has...)
	case a == Int8Groups && wide, a == Float && wide && group != 0:
		return ternary.G2
	case group != 0 || a == Int8Groups:
		return ternary.T2 // the only layout with scales of any other groups
	case b.opts.Layout != nil:
		return b.opts.Layout(rows, cols)
	case rows*cols < tunedWeights:
		return ternary.T2
	}
	return b.choices.Best(autotune.Shape{Rows: rows, Cols: cols, Tokens: 1}, has...).Layout
}

// variant chooses the kernel for products of a matrix with a number of rows.
func (b *Binder) variant(m *ternary.Matrix, tokens int) kernel.Variant {
	if m.Rows*m.Cols < tunedWeights || kernel.TakesGroups(m) {
		return kernel.Auto
	}
	return b.choices.BestVariant(autotune.Shape{Rows: m.Rows, Cols: m.Cols, Tokens: tokens, GroupCols: m.GroupCols}, m.Layout)
}

// outputScale multiplies the scales of a matrix by the tensor of that name, if there is
// one. Types without scales need it.
func (b *Binder) outputScale(m *ternary.Matrix, typ gguf.Type, name string) error {
	t, ok := b.file.Tensor(name)
	if b.outline != nil {
		return nil
	}
	if !ok {
		if typ == gguf.TypeIQ1BNBare || typ == gguf.TypeIQ2BNBare {
			return fmt.Errorf("its type %v has no scales, and %s, which would have one, is missing", typ, name)
		}
		return nil
	}
	v, err := b.vector(t)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if len(v) != 1 {
		return fmt.Errorf("%s has %d elements, want 1", name, len(v))
	}
	if err := quant.CheckScale(v[0]); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return m.MultiplyScales(v[0])
}
