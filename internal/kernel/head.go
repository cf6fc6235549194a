package kernel

import (
	"trit/gguf"
)

// headRowBlock is the number of rows that share a pass over the inputs.
const headRowBlock = 4

// headFormat describes one storage type of an output head or embedding table.
type headFormat struct {
	elems, bytes int // of a block
	// decode widens whole blocks to float32, exactly as package quant does.
	decode func(dst []float32, src []byte)
	// matVec sets y[r] = dot(row r, x) for rows of rowBytes bytes, without
	// scratch memory. Nil means decode and multiply.
	matVec func(y []float32, rows []byte, rowBytes int, x []float32)
}

// The indices of headKernels.formats.
const (
	headF32 = iota
	headF16
	headBF16
	headQ8_0
	headQ6_K
	headQ4_0
	headQ4_K
	headQ5_K
	headFormats
)

type headKernels struct {
	formats [headFormats]headFormat
	// tile sets y[t·yStride+r] = dot(rows[r·cols:], x[t·xStride:]) for up to
	// headRowBlock rows.
	tile func(y []float32, yStride int, rows []float32, nRows, cols int, x []float32, xStride, nTok int)
}

// headIndex returns the index of a type in headKernels.formats, or −1.
func headIndex(t gguf.Type) int {
	switch t {
	case gguf.TypeF32:
		return headF32
	case gguf.TypeF16:
		return headF16
	case gguf.TypeBF16:
		return headBF16
	case gguf.TypeQ8_0:
		return headQ8_0
	case gguf.TypeQ6_K:
		return headQ6_K
	case gguf.TypeQ4_0:
		return headQ4_0
	case gguf.TypeQ4_K:
		return headQ4_K
	case gguf.TypeQ5_K:
		return headQ5_K
	}
	return -1
}

func mustHeadFormat(t gguf.Type, cols int) *headFormat {
	i := headIndex(t)
	if i < 0 {
		panic("kernel: no head kernel for tensor type " + t.String())
	}
	f := &active.head.formats[i]
	if cols%f.elems != 0 {
		panic("kernel: row length is not a multiple of the block of " + t.String())
	}
	return f
}

// HeadSupports reports whether HeadRows and DecodeRow can read rows of type t:
// F32, F16, BF16, Q8_0, Q6_K, Q4_0, Q4_K or Q5_K. They panic for other types.
func HeadSupports(t gguf.Type) bool { return headIndex(t) >= 0 }

// HeadScratch returns the length of the scratch memory that HeadRows needs for
// rows of cols elements.
func HeadScratch(cols int) int { return headRowBlock * cols }

// HeadRows multiplies rows of an output head with hidden states:
//
//	y[t·yStride+r] = dot(row r, x[t·xStride : t·xStride+cols])
//
// for r < nRows and t < nTok, in the order of Dot, on the exact float32 values of
// the stored elements. rows holds nRows consecutive rows of type t, little-endian
// at any alignment; cols is a multiple of the type's block. scratch has at least
// HeadScratch(cols) elements. For one token the rows are streamed through once;
// for several each row is widened once and used for all tokens. The results are
// the same either way.
func HeadRows(y []float32, yStride int, rows []byte, t gguf.Type, nRows, cols int, x []float32, xStride, nTok int, scratch []float32) {
	f := mustHeadFormat(t, cols)
	rowBytes := cols / f.elems * f.bytes
	rows = rows[:nRows*rowBytes]
	if nTok == 1 && f.matVec != nil {
		f.matVec(y[:nRows], rows, rowBytes, x[:cols])
		return
	}
	for r := 0; r < nRows; r += headRowBlock {
		n := min(headRowBlock, nRows-r)
		wide := scratch[:n*cols]
		f.decode(wide, rows[r*rowBytes:(r+n)*rowBytes])
		active.head.tile(y[r:], yStride, wide, n, cols, x, xStride, nTok)
	}
}

// DecodeRow widens one row of type t to float32: the lookup of a token's
// embedding. len(dst) is a multiple of the type's block; row holds at least the
// row's bytes, little-endian at any alignment.
func DecodeRow(dst []float32, row []byte, t gguf.Type) {
	f := mustHeadFormat(t, len(dst))
	f.decode(dst, row[:len(dst)/f.elems*f.bytes])
}
