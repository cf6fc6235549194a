package model

import (
	"fmt"

	"trit/gguf"
	"trit/internal/kernel"
	"trit/internal/kernel/autotune"
	"trit/internal/ternary"
	"trit/quant"
)

// Projection is a linear layer with ternary weights: y = W·x (+ bias), or with a
// norm of its own y = W·norm(x) (+ bias).
type Projection struct {
	// Name is the name of its tensor within a layer: "attn_q".
	Name   string
	Matrix *ternary.Matrix // [out, in]
	NormIn []float32       // [in], nil if there is none
	// Transform is what the input goes through, after NormIn; nil for nothing.
	Transform *Transform
	Bias      []float32 // [out], nil if there is none
	// Rows and Columns are copies of the matrix, for products that leave some of them
	// out; nil if there are none.
	Rows, Columns *ternary.Lines
	pair          *linePair // what says whether these are copied yet
	largest       float32   // of the scales, if there are Rows
	// Vec and Mat are the fastest kernels for this shape on this machine, for
	// one row and for many.
	Vec, Mat kernel.Variant

	normStage string // the name of the norm's stage: "attn_q_norm_in"
	turnStage string // the name of the transform's: "attn_q_hadamard"
}

// Table is a matrix of rows in one of the storage types, used as embedding
// (one row is looked up) or as output head (all rows are multiplied with one
// vector). Its bytes stay in the file that it was loaded from.
type Table struct {
	Name string // of its tensor
	Type gguf.Type
	Rows int
	Cols int
	Data []byte // Rows × row bytes, possibly unaligned and read-only
	// Rotated, if not nil, is the transform that rows are taken back through.
	Rotated *Transform
}

// RowBytes returns the number of bytes of one row.
func (t *Table) RowBytes() int { return len(t.Data) / t.Rows }

// Bytes returns the size of all rows.
func (t *Table) Bytes() int64 {
	n, err := t.Type.Size([]int64{int64(t.Cols), int64(t.Rows)})
	if err != nil {
		return int64(len(t.Data)) // whoever made a table of such a type knows
	}
	return n
}

// Row decodes row i into dst, which has Cols elements.
func (t *Table) Row(i int, dst []float32) error {
	if i < 0 || i >= t.Rows {
		return fmt.Errorf("%w: row %d of a table with %d rows", ErrTensor, i, t.Rows)
	}
	n := t.RowBytes()
	if row := t.Data[i*n : (i+1)*n]; kernel.HeadSupports(t.Type) {
		kernel.DecodeRow(dst[:t.Cols], row, t.Type)
	} else if err := quant.Decode(t.Type, dst, row); err != nil {
		return err
	}
	if t.Rotated != nil {
		t.Rotated.Invert(dst)
	}
	return nil
}

// Linear is a matrix that may be stored as a ternary one or as numbers.
type Linear struct {
	Projection *Projection // ternary, or
	Table      *Table      // numbers, [out, in]
}

// Buffer holds the values of one stage for all rows of a pass.
type Buffer struct {
	Width int
	Data  []float32 // capacity in rows × Width
}

// Memory is where the buffers of a pass come from.
type Memory interface {
	// Float32s returns n zeros, aligned to a cache line.
	Float32s(n int) []float32
}

// NewBuffer allocates a buffer for the given number of rows.
func NewBuffer(mem Memory, rows, width int) Buffer {
	return Buffer{Width: width, Data: mem.Float32s(rows * width)}
}

// Row returns the values of row i.
func (b Buffer) Row(i int) []float32 {
	return b.Data[i*b.Width : (i+1)*b.Width : (i+1)*b.Width]
}

// Model is a loaded model: configuration, graph and weights. It may be shared by several
// engines, and does not change but for lines, which the first that needs them copies.
type Model struct {
	Config *Config
	Graph  Graph
	// File is the file that the model was loaded from; tables refer to its
	// memory, so it stays open as long as the model is used, unless they are Copied.
	File   *gguf.File
	Copied bool
	// Embedding is what the file says about vectors of texts.
	Embedding Embedding
	// TernaryWeights and TernaryBytes count the weights of all projections
	// and the memory that they occupy. TableBytes is the size of all other tensors
	// of the family's table as the file stores them.
	TernaryWeights int64
	TernaryBytes   int64
	TableBytes     int64
	// LineBytes is the memory of the copies of matrices by rows and columns.
	LineBytes int64

	// Read is what layouts were chosen by.
	Read autotune.Reading

	// Head is the output head as a ternary matrix, where the file stores it as one;
	// nil if it does not. Graph.Head has the rows in any case.
	Head *ternary.Matrix
	// HeadTransform is what hidden states go through before they are multiplied with
	// the head as it is stored; nil for nothing.
	HeadTransform *Transform

	lines       lineSizes   // of the copies
	pairs       []*linePair // which are copied while the model is used
	projections []namedProjection
	dense       int // columns of the widest matrix of numbers in a layer
	keeper      *keeper
}

// namedProjection is a projection with the full name of its tensor.
type namedProjection struct {
	name string
	*Projection
}

// Projections visits all ternary weights, with the names of their tensors.
func (m *Model) Projections(visit func(name string, p *Projection)) {
	for _, p := range m.projections {
		visit(p.name, p.Projection)
	}
}

// Close closes the model's file. The model must not be used afterwards.
func (m *Model) Close() error { return m.File.Close() }
