package quant

import (
	"fmt"
	"math"
	"sync"

	"trit/gguf"
)

// floatChunk is how many values of a row are decoded at a time: a multiple of
// every block size, small enough for the stack.
const floatChunk = 256

// floatGroups are the group widths that NewTernaryFloat tries, coarsest first,
// when neither the tensor nor its rows have one scale. The last one is the
// granularity of detection.
var floatGroups = [...]int{256, 128, 64, 32}

// NotTernaryError says where values stop being ternary. Value is a number that is
// neither 0 nor ±Magnitude, the magnitude of the values before it in the same
// group (Magnitude is 0 when Value is itself not finite and the first one). It
// matches ErrNotTernary.
type NotTernaryError struct {
	Row, Col  int64
	Value     float32
	Magnitude float32
	// Group is the number of columns that would have to share a magnitude at
	// the finest granularity tried: 32, or the whole row or tensor.
	Group int64
}

// Error describes the first offending value.
func (e *NotTernaryError) Error() string {
	if !isFinite(e.Value) {
		return fmt.Sprintf("%v: row %d, column %d holds %g", ErrNotTernary, e.Row, e.Col, e.Value)
	}
	return fmt.Sprintf("%v: row %d, column %d holds %g beside values of ±%g in the same group of %d",
		ErrNotTernary, e.Row, e.Col, e.Value, e.Magnitude, e.Group)
}

// Is reports whether target is ErrNotTernary.
func (e *NotTernaryError) Is(target error) bool { return target == ErrNotTernary }

// NewTernaryFloat returns a view of a tensor stored in a float or block format
// (F32, F16, BF16, Q4_0, Q4_K, Q5_K, Q6_K, Q8_0) whose decoded values are exactly −s, 0 or +s,
// with one s for the tensor, for each row, or for each group of 256, 128, 64 or 32
// columns, whichever is the coarsest that holds. All values are read here. If no
// granularity fits, the error is a *NotTernaryError.
func NewTernaryFloat(t gguf.Type, data []byte, rows, cols int) (*TernaryView, error) {
	if c := codecs[t]; c == nil || c.trits != nil {
		return nil, fmt.Errorf("%w: %v does not store floats (use NewTernary for ternary types)", ErrType, t)
	}
	if err := checkNotEmpty(rows, cols); err != nil {
		return nil, err
	}
	v := &TernaryView{typ: t, data: data, rows: rows, cols: cols, groupCols: cols}
	if err := v.checkRows(); err != nil {
		return nil, err
	}
	var failure error
	if v.scales, failure = v.detect(0); failure == nil {
		return v, nil
	}
	if v.scales, failure = v.detect(cols); failure == nil {
		return v, nil
	}
	finest := floatGroups[len(floatGroups)-1]
	if cols%finest != 0 {
		return nil, failure
	}
	fine, failure := v.detect(finest)
	if failure != nil {
		return nil, failure
	}
	for _, width := range floatGroups {
		if cols%width != 0 {
			continue
		}
		if merged, ok := mergeScales(fine, width/finest); ok {
			v.scales, v.groupCols = merged, width
			break
		}
	}
	return v, nil
}

// detect returns the scale of every group of width columns, or of the whole
// tensor for width 0. It stops at the first value that does not fit.
func (v *TernaryView) detect(width int) ([]float32, error) {
	var scales []float32
	s := groupScan{width: int64(width)}
	if width == 0 {
		s.width = int64(v.rows) * int64(v.cols)
	} else {
		scales = make([]float32, 0, v.rows*(v.cols/width))
	}
	var values [floatChunk]float32
	widen := widener(v.typ)
	for r := range v.rows {
		row := v.rowData(r)
		for c := 0; c < v.cols; {
			n := min(floatChunk, v.cols-c)
			if widen == nil {
				v.decodeChunk(values[:n], r, c)
			}
			for end := c + n; c < end; {
				n := end - c
				if width > 0 {
					n = min(n, width-c%width)
				}
				var bad int
				if widen != nil {
					bad = s.scanHalves(row[2*c:2*(c+n)], widen)
				} else {
					bad = s.scan(values[c%floatChunk:][:n])
				}
				if bad >= 0 {
					return nil, s.notTernary(int64(r), int64(c+bad))
				}
				c += n
				if width > 0 && c%width == 0 {
					scales = append(scales, math.Float32frombits(s.magnitude))
					s.magnitude, s.half = 0, 0
				}
			}
		}
	}
	if width == 0 {
		scales = []float32{math.Float32frombits(s.magnitude)}
	}
	return scales, nil
}

// decodeChunk decodes the columns from col on of one row; col is a multiple of
// floatChunk. The lengths have been checked, and these types have no invalid
// codes, so it cannot fail.
func (v *TernaryView) decodeChunk(dst []float32, row, col int) {
	lo, hi := v.codec.offset(col), v.codec.offset(col+len(dst))
	if err := Decode(v.typ, dst, v.rowData(row)[lo:hi]); err != nil {
		panic("quant: checked chunk does not decode: " + err.Error())
	}
}

// floatCodes is Codes for the float formats.
func (v *TernaryView) floatCodes(dst []byte, row int) error {
	if widener(v.typ) != nil {
		codesFromHalves(dst, v.rowData(row))
		return nil
	}
	values := chunks.Get().(*[floatChunk]float32)
	defer chunks.Put(values)
	for c := 0; c < v.cols; c += floatChunk {
		chunk := values[:min(floatChunk, v.cols-c)]
		v.decodeChunk(chunk, row, c)
		codesFromFloats(dst[c:c+len(chunk)], chunk)
	}
	return nil
}

// chunks are buffers of decodeChunk, whose destination would not stay on the stack.
var chunks = sync.Pool{New: func() any { return new([floatChunk]float32) }}

// codesFromFloats writes 0, 1 or 2 for a negative, zero or positive value.
func codesFromFloats(dst []byte, src []float32) {
	dst = dst[:len(src)]
	for i, x := range src {
		u := math.Float32bits(x)
		nonzero := ((u << 1) | -(u << 1)) >> 31 // 1 unless x is ±0
		dst[i] = byte(1 + nonzero - 2*(nonzero&(u>>31)))
	}
}

// groupScan checks that values share one magnitude besides zero.
type groupScan struct {
	magnitude uint32  // bits of the magnitude seen so far; 0 for none
	half      uint16  // the same in its stored form, where that is a 16-bit float
	bad       float32 // the value that did not fit
	width     int64   // for the error
}

// scan returns the index of the first value that does not fit, or −1.
func (s *groupScan) scan(values []float32) int {
	magnitude := s.magnitude
	for i, x := range values {
		a := math.Float32bits(x) &^ (1 << 31)
		// One predictable branch for "zero or the magnitude": trits are random.
		if uint64(a)*uint64(a^magnitude) == 0 {
			continue
		}
		if magnitude != 0 || !isFinite(x) {
			s.magnitude, s.bad = magnitude, x
			return i
		}
		magnitude = a
	}
	s.magnitude = magnitude
	return -1
}

func (s *groupScan) notTernary(row, col int64) error {
	return &NotTernaryError{
		Row: row, Col: col, Value: s.bad,
		Magnitude: math.Float32frombits(s.magnitude), Group: s.width,
	}
}

// mergeScales joins every run of k scales whose non-zero members agree. A zero
// scale belongs to a group without non-zero values.
func mergeScales(fine []float32, k int) ([]float32, bool) {
	merged := make([]float32, len(fine)/k)
	for i := range merged {
		for _, s := range fine[i*k : (i+1)*k] {
			if s == 0 || s == merged[i] {
				continue
			}
			if merged[i] != 0 {
				return nil, false
			}
			merged[i] = s
		}
	}
	return merged, true
}
