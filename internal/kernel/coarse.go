package kernel

import (
	"fmt"
	"math"
	"unsafe"

	"trit/gguf"
	"trit/internal/aligned"
	"trit/internal/hugemem"
)

// CoarsePlanes is the number of bit planes of a Coarse.
const CoarsePlanes = 3

// MaxCoarseCols is the largest row length that a Coarse can be made for: up to
// there all its integer sums fit into 32 bits.
const MaxCoarseCols = 1 << 14

// CoarsePanelRows is the number of rows of a panel of a Coarse.
const CoarsePanelRows = 16

// Geometry of the planes.
const (
	coarseBlock     = 64  // bytes
	coarseBlockCols = 8   // columns of a block of the first plane
	coarsePairCols  = 16  // columns of a block of the second plane
	coarseRowBlock  = 256 // columns of a block of the third plane
	coarsePad       = 256 // a multiple of everything above and of 4 first-plane blocks
)

// Coarse is a copy of an output head with 8 bits per weight, cut into planes of
// 4, 2 and 2 bits, from which logits can be told up to a proven error.
//
// With the columns scaled by powers of two t and a centre row m, chosen from a
// sample of the head so that all columns of v_r = w_r/t − m have similar size,
// each row r has a step a_r and codes q in 0…255 with v ≈ a_r·(q − 127.5). The
// first p planes hold the upper bits of q and give an approximation of v with a
// coarser step. By Cauchy and Schwarz the logit that follows from it,
//
//	c_r = m·x' + (approximation of v_r)·x',   x' = x·t,
//
// is off by at most ‖x'‖ times the norm of what is left of v_r. Radius holds that
// norm per row, plus everything that rounding can add: of x' to 16 bits, of the
// float32 arithmetic here, and of the sixteen partial sums of Dot, whose result
// the bound speaks about. So for the first p+1 planes
//
//	|Score_r − HeadRows_r| ≤ in.Norm(t) · Radius(p)[r]
//
// and the two operations that form Score_r ± Norm·Radius in float32 are covered
// too. Rows that are not finite, or of no normal size, have an infinite radius.
//
// Where many states share a pass, arithmetic takes longer than reading. Then x'
// may be rounded to 8 bits (narrow scores), which halves it. What that loses of
// x' is multiplied with the approximation of v_r, so the bound becomes
//
//	Norm·Radius(p)[r] + Loss·Weight[r]
//
// with in.Loss(t), the norm of the loss, and Weight, the norm of any approximation.
//
// Layout. The first plane is made of panels of 16 rows and of blocks of 64 bytes:
// block k covers columns 8k…8k+7; byte 4r+b holds the code of row r and column
// 8k+b in its lower half and that of column 8k+4+b in its upper half. The other
// planes hold one row after the other: block k of a row covers columns
// 256k…256k+255, byte j has column 256k+64f+j in bits 2f and 2f+1.
type Coarse struct {
	Rows, Cols int

	blocks    int // first-plane blocks of a panel, twice those of the second plane
	rowBlocks int // blocks of a row of the third plane
	first     []byte
	second    []byte
	third     []byte

	step   []float32               // a_r·4^2, a_r·4, a_r are the steps of the planes: this is a_r
	radius [CoarsePlanes][]float32 // per row
	most   [CoarsePlanes][]float32 // the largest of each panel
	weight []float32               // per row
	heavy  []float32               // the largest of each panel

	scale, inverse []float32 // t and 1/t, per column, padded with ones
	center         []float32 // m, padded with zeros
	centerNorm     float64
}

// CoarseWorkspace is the memory of one worker that fills a Coarse.
type CoarseWorkspace struct {
	row   []float32
	v     []float32
	codes []byte // 16 rows
}

// coarseSample is the number of rows that the centre and the column scales are
// taken from.
const coarseSample = 2048

// NewCoarse makes an empty copy for a head in type t. Survey then looks at a sample of
// the rows, and Fill reads all of them.
func NewCoarse(t gguf.Type, rows, cols int) (*Coarse, error) {
	if rows < 1 || cols < 1 || cols > MaxCoarseCols {
		return nil, fmt.Errorf("kernel: a coarse copy of %d×%d: at most %d columns are supported", rows, cols, MaxCoarseCols)
	}
	if !HeadSupports(t) {
		return nil, fmt.Errorf("kernel: a coarse copy of rows of type %s: the type has no head kernel", t)
	}
	padded := (cols + coarsePad - 1) / coarsePad * coarsePad
	panels := (rows + CoarsePanelRows - 1) / CoarsePanelRows
	c := &Coarse{
		Rows: rows, Cols: cols,
		blocks:    padded / coarseBlockCols,
		rowBlocks: padded / coarseRowBlock,
		step:      aligned.Float32s(panels * CoarsePanelRows),
		scale:     aligned.Float32s(padded),
		inverse:   aligned.Float32s(padded),
		center:    aligned.Float32s(padded),
	}
	c.first = hugemem.Bytes(panels * c.blocks * coarseBlock)
	c.second = hugemem.Bytes(panels * c.blocks / 2 * coarseBlock)
	c.third = hugemem.Bytes(rows * c.rowBlocks * coarseBlock)
	for p := range c.radius {
		c.radius[p] = aligned.Float32s(panels * CoarsePanelRows)
		c.most[p] = aligned.Float32s(panels)
	}
	c.weight, c.heavy = aligned.Float32s(panels*CoarsePanelRows), aligned.Float32s(panels)
	return c, nil
}

// Panels returns the number of panels of 16 rows.
func (c *Coarse) Panels() int { return len(c.step) / CoarsePanelRows }

// PaddedRows returns the number of rows with the last panel filled up.
func (c *Coarse) PaddedRows() int { return len(c.step) }

// Bytes returns the memory that the copy occupies.
func (c *Coarse) Bytes() int64 {
	n := int64(len(c.first)+len(c.second)+len(c.third)) + 4*int64(len(c.step)+len(c.scale)+len(c.inverse)+len(c.center))
	for p := range c.radius {
		n += 4 * int64(len(c.radius[p])+len(c.most[p]))
	}
	return n + 4*int64(len(c.weight)+len(c.heavy))
}

// RowBytes returns the bytes that are read per row, with its step and radius, by
// Score for plane 0 and 1 and by Refine for plane 2.
func (c *Coarse) RowBytes(plane int) int {
	switch plane {
	case 0:
		return c.blocks*coarseBlock/CoarsePanelRows + 8
	case 1:
		return c.blocks*3/2*coarseBlock/CoarsePanelRows + 8
	}
	return c.rowBlocks*coarseBlock + 8
}

// Radius returns the error bounds for the first plane+1 planes, one per row. The
// slice must not be changed.
func (c *Coarse) Radius(plane int) []float32 { return c.radius[plane] }

// PanelRadius returns the largest radius of each panel. The slice must not be
// changed.
func (c *Coarse) PanelRadius(plane int) []float32 { return c.most[plane] }

// Weight returns what the loss of a narrow score is multiplied with in its bound,
// per row. The slice must not be changed.
func (c *Coarse) Weight() []float32 { return c.weight }

// PanelWeight returns the largest weight of each panel. The slice must not be
// changed.
func (c *Coarse) PanelWeight() []float32 { return c.heavy }

// Planes returns the memory of all panels of the planes that are read for whole panels, in
// their order.
func (c *Coarse) Planes() [][]byte { return [][]byte{c.first, c.second} }

// Survey chooses the centre and the column scales for the rows that lie in data.
func (c *Coarse) Survey(data []byte, t gguf.Type) {
	rowBytes := len(data) / c.Rows
	row := make([]float32, c.Cols)
	sum, squares := make([]float64, c.Cols), make([]float64, c.Cols)
	n := 0.0
	every := max(1, c.Rows/coarseSample)
	for r := 0; r < c.Rows; r += every {
		DecodeRow(row, data[r*rowBytes:(r+1)*rowBytes], t)
		if !(squareSum(row) < 1e30) {
			continue
		}
		n++
		for i, w := range row {
			sum[i] += float64(w)
			squares[i] += float64(float64(w) * float64(w))
		}
	}
	for i := range c.scale {
		c.scale[i], c.inverse[i] = 1, 1
	}
	for i := range sum {
		if n == 0 {
			break
		}
		mean := sum[i] / n
		e := 0
		if variance := squares[i]/n - float64(mean*mean); variance > 0 {
			_, e = math.Frexp(math.Sqrt(variance))
			e = min(max(e, -24), 24)
		}
		c.scale[i] = float32(math.Ldexp(1, e))
		c.inverse[i] = float32(math.Ldexp(1, -e))
		c.center[i] = float32(mean) * c.inverse[i]
		if v := float64(c.center[i]); !(math.Abs(v) < 1e15) {
			c.center[i] = 0
		}
	}
	for _, v := range c.center {
		c.centerNorm += float64(float64(v) * float64(v))
	}
	c.centerNorm = math.Sqrt(c.centerNorm) * (1 + 1e-9)
}

func squareSum(x []float32) float64 {
	sum := 0.0
	for _, v := range x {
		sum += float64(float64(v) * float64(v))
	}
	return sum
}

// coarseLevels is the largest magnitude of a rounded element of x': the largest
// number whose two bytes are both at most 127.
const coarseLevels = 127*256 + 127

// CoarseInput holds hidden states, prepared for a Coarse.
type CoarseInput struct {
	coarse *Coarse
	panel  []int8 // per state and 8 columns: 4 upper, 4 lower, 4 upper, 4 lower bytes
	flat   []int8 // per state: upper bytes of all columns, lower bytes of all columns
	terms  []coarseTerms
	norm   []float32
	loss   []float32
}

// coarseTerms are the numbers of one state that turn a sum of codes into a logit.
type coarseTerms struct {
	bias1 float32 // 7.5·Σx̂
	gain  float32 // 1/s, x' ≈ x̂/s
	shift float32 // m·x'
	bias3 float32 // 1.5·Σx̂
	bias2 float32 // 31.5·Σx̂

	// The same for narrow scores, where x̂ are the upper bytes times 256.
	narrow1, narrow2 float32
}

// NewInput returns room for a number of states.
func (c *Coarse) NewInput(states int) *CoarseInput {
	n := 2 * len(c.center)
	return &CoarseInput{
		coarse: c,
		panel:  bytesAsInt8(aligned.Bytes(states * n)),
		flat:   bytesAsInt8(aligned.Bytes(states * n)),
		terms:  make([]coarseTerms, states),
		norm:   make([]float32, states),
		loss:   make([]float32, states),
	}
}

func bytesAsInt8(b []byte) []int8 {
	return unsafe.Slice((*int8)(unsafe.Pointer(unsafe.SliceData(b))), len(b))
}

// States returns the number of states that there is room for.
func (in *CoarseInput) States() int { return len(in.norm) }

// Norm returns ‖x'‖ of a state, rounded up.
func (in *CoarseInput) Norm(t int) float32 { return in.norm[t] }

// Loss returns the norm of what a narrow score leaves of x', rounded up.
func (in *CoarseInput) Loss(t int) float32 { return in.loss[t] }

// Set prepares the state x as state t. It returns false for a state that has no
// proven bounds: one that is zero, not finite, or of no normal size.
func (in *CoarseInput) Set(t int, x []float32) bool {
	c := in.coarse
	x = x[:c.Cols]
	scale, center := c.scale[:len(x)], c.center[:len(x)]
	var most float32
	squares, shift := 0.0, 0.0
	for i, v := range x {
		v *= scale[i]
		squares += float64(float64(v) * float64(v))
		shift += float64(float64(v) * float64(center[i]))
		if v < 0 {
			v = -v
		}
		most = max(most, v)
	}
	norm := math.Sqrt(squares) * (1 + 1e-6)
	if !(norm >= coarseLeast && norm <= coarseMost) {
		return false
	}
	in.norm[t] = math.Nextafter32(float32(norm), float32(math.Inf(1)))
	s := coarseLevels / most
	n := len(c.center)
	panel, flat := in.panel[t*2*n:(t+1)*2*n], in.flat[t*2*n:(t+1)*2*n]
	upper, lower := flat[:len(x)], flat[n:n+len(x)]
	sum, upperSum := int64(0), int64(0)
	lost := 0.0
	for i, v := range x {
		// Adding and subtracting 1.5·2^23 rounds to the nearest integer.
		const magic = 0x1.8p23
		scaled := float32(v * scale[i])
		q := int32(float32(scaled*s) + magic - magic)
		sum += int64(q)
		lo := int8(q)
		hi := int8((q - int32(lo)) >> 8)
		upper[i], lower[i] = hi, lo
		upperSum += int64(hi)
		left := float64(float64(scaled)*float64(s)) - 256*float64(hi)
		lost += float64(left * left)
		at := i/4*8 + i%4
		panel[at], panel[at+4] = hi, lo
	}
	in.terms[t] = coarseTerms{
		bias1: float32(7.5 * float64(sum)),
		gain:  1 / s,
		shift: float32(shift),
		bias3: float32(1.5 * float64(sum)),
		bias2: float32(31.5 * float64(sum)),

		narrow1: float32(7.5 * 256 * float64(upperSum)),
		narrow2: float32(31.5 * 256 * float64(upperSum)),
	}
	in.loss[t] = math.Nextafter32(float32(math.Sqrt(lost)/float64(s)*(1+1e-6)), float32(math.Inf(1)))
	return true
}

// CoarseNarrow reports whether this CPU has kernels for narrow scores of many states.
func CoarseNarrow() bool { return len(active.coarse.narrow[0]) > 1 }

// Score sets y[t·yStride+r] to the logit of row r from the first plane, or from the
// first two where plane is 1, for the states state0 ≤ t < state1 and the rows of the
// panels panel0 to panel1−1, the rows that fill up the last panel included. With
// narrow the states are rounded to 8 bits.
func (c *Coarse) Score(y []float32, yStride, plane int, narrow bool, in *CoarseInput, state0, state1, panel0, panel1 int) {
	n := 2 * len(c.center)
	size := c.blocks * coarseBlock
	scores, x := active.coarse.score[plane], in.panel
	if narrow {
		scores, x = active.coarse.narrow[plane], in.flat
	}
	for p := panel0; p < panel1; p++ {
		r := p * CoarsePanelRows
		codes, pairs, step := c.first[p*size:(p+1)*size], c.second[p*size/2:(p+1)*size/2], c.step[r:r+CoarsePanelRows]
		for t := state0; t < state1; {
			k := scores[0]
			for _, larger := range scores[1:] {
				if larger.states <= state1-t {
					k = larger
				}
			}
			_ = y[(t+k.states-1)*yStride+r : (t+k.states-1)*yStride+r+CoarsePanelRows]
			k.run(y[t*yStride+r:], yStride, codes, pairs, c.blocks, x[t*n:(t+k.states)*n], n, step, in.terms[t:t+k.states])
			t += k.states
		}
	}
}

// Refine adds what the third plane says to the logits y[r] of state t for the given
// rows, which come from the first two.
func (c *Coarse) Refine(y []float32, in *CoarseInput, t int, rows []int32) {
	if len(rows) == 0 {
		return
	}
	n := 2 * len(c.center)
	for _, r := range rows {
		_ = y[r]
		_ = c.step[:c.Rows][r]
	}
	active.coarse.refine(y, rows, c.third, c.rowBlocks, in.flat[t*n:(t+1)*n], c.step, in.terms[t].gain, in.terms[t].bias3)
}

// coarseKernels is the table of one level.
type coarseKernels struct {
	// score holds, for the first plane and for the first two, kernels for one panel
	// and a number of states, the first one for one state, larger ones after it:
	// per state and row
	//
	//	H = Σ code·upper, L = Σ code·lower          exact
	//	f = float32(H)·256 + float32(L)
	//	y = (f − bias)·((step·unit)·gain) + shift     each operation rounded
	//
	// with codes of 4 bits, bias1 and unit 16, or codes of 6 bits, bias2 and unit 4.
	score [2][]coarseScore
	// narrow holds the same for the upper bytes alone:
	//
	//	y = (float32(H)·256 − bias)·((step·unit)·gain) + shift
	//
	// with the biases narrow1 and narrow2. They are found at x[t·xStride], one
	// column after the other.
	narrow [2][]coarseScore
	// refine, for each listed row:
	//
	//	S = Σ code·(256·upper + lower)              exact
	//	y += (float32(S) − bias)·(step·factor)      each operation rounded
	refine func(y []float32, rows []int32, plane []byte, blocks int, x []int8, step []float32, factor, bias float32)
	// center sets v = w·inverse − center and returns Σv² in the order of Dot
	// and the largest magnitude. len(v) is a multiple of 16.
	center func(v, w, inverse, center []float32) (squares, most float32)
	// encode sets code = trunc(clamp(v·inv + 128, 0, 255)) and returns, in the
	// order of Dot, the sums of squares of what is left of v after 4, 6 and 8
	// bits: v − step·(code&0xf0 − 120), v − step·(code&0xfc − 126) and
	// v − step·(code − 127.5). len(codes) is a multiple of 16.
	encode func(codes []byte, v []float32, inv, step float32) [CoarsePlanes]float32
}

type coarseScore struct {
	states int
	run    func(y []float32, yStride int, codes, pairs []byte, blocks int, x []int8, xStride int, step []float32, terms []coarseTerms)
}

// CoarseFast reports whether this CPU has vector instructions for a Coarse that
// make it faster than the head itself.
func CoarseFast() bool { return active.coarse != &genericCoarse }
