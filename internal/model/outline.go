package model

import (
	"trit/gguf"
	"trit/internal/ternary"
)

// OutlineOptions say how the numbers of a model are kept of which there is only an
// outline. The zero value has tables of F32.
type OutlineOptions struct {
	// Layout is the layout of a projection of the given shape; nil means the largest
	// that the loader may choose: T2, or with scales for groups of columns G1 or G2.
	Layout func(rows, cols int) ternary.Layout
	// Embedding and Head are the types of the tables where no file tells. A
	// model that is Tied has no head of its own.
	Embedding, Head gguf.Type
	Tied            bool
}

// Outline returns a model whose weights have shapes, but no data: enough to
// [Model.Tally] what it would do, but not to run it. It has the usual optional
// tensors of its family.
func Outline(c *Config, o OutlineOptions) (*Model, error) {
	arch, err := LookupArch(c.Architecture)
	if err != nil {
		return nil, err
	}
	return outline(arch, &Model{Config: c}, LoadOptions{}, o)
}

// OutlineFile returns the outline of the model in a file, of which it reads the
// header only. The model does not own the file.
func OutlineFile(f *gguf.File, o LoadOptions) (*Model, error) {
	arch, c, err := configureFile(f, o)
	if err != nil {
		return nil, err
	}
	return outline(arch, &Model{Config: c, File: f}, o, OutlineOptions{})
}

func outline(arch *Arch, m *Model, lo LoadOptions, o OutlineOptions) (*Model, error) {
	b := newBinder(arch, m, lo)
	b.outline = &o
	var err error
	if m.Graph, err = arch.Build(m.Config, b); err != nil {
		return nil, err
	}
	b.finish()
	return m, nil
}

// tensor returns what a file would hold for a line of the tensor table, or nil.
func (o *OutlineOptions) tensor(s TensorSpec) *gguf.Tensor {
	t := &gguf.Tensor{Name: s.Name, Dims: s.Dims}
	switch {
	case s.Extra, s.Role == RoleHead && o.Tied:
		return nil
	case s.Role == RoleEmbedding:
		t.Type = o.Embedding
	case s.Role == RoleHead:
		t.Type = o.Head
	}
	return t
}

// matrix returns a matrix without data, in the largest of the layouts that the
// loader may choose for it.
func (o *OutlineOptions) matrix(c *Config, typ gguf.Type, rows, cols int) *ternary.Matrix {
	m := &ternary.Matrix{Rows: rows, Cols: cols, Scales: []float32{1}}
	switch {
	case o.Layout != nil:
		m.Layout = o.Layout(rows, cols)
	case c.Activations == Int8Groups && typ == gguf.TypeQ1_0:
		m.Layout = ternary.G1
	case c.Activations == Int8Groups:
		m.Layout = ternary.G2
	}
	if m.Layout.Grouped() {
		m.Scales, m.GroupCols = nil, ternary.GroupWidth
	}
	return m
}
