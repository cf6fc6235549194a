package kernel

import (
	"math"
	"slices"

	"trit/gguf"
	"trit/internal/aligned"
)

// NewWorkspace returns the memory for one worker that calls Fill.
func (c *Coarse) NewWorkspace() *CoarseWorkspace {
	n := len(c.center)
	return &CoarseWorkspace{
		row:   aligned.Float32s(n),
		v:     aligned.Float32s(n),
		codes: aligned.Bytes(CoarsePanelRows * n),
	}
}

// Fill encodes the rows of the panels panel0 to panel1−1; rows holds those rows
// of the head. Workers may fill different panels at once.
func (c *Coarse) Fill(rows []byte, t gguf.Type, panel0, panel1 int, ws *CoarseWorkspace) {
	n := len(c.center)
	from := panel0 * CoarsePanelRows
	rowBytes := len(rows) / (min(panel1*CoarsePanelRows, c.Rows) - from)
	for p := panel0; p < panel1; p++ {
		for i := range CoarsePanelRows {
			codes := ws.codes[i*n : (i+1)*n]
			r := p*CoarsePanelRows + i
			if r >= c.Rows {
				clear(codes)
				continue
			}
			DecodeRow(ws.row[:c.Cols], rows[(r-from)*rowBytes:(r-from+1)*rowBytes], t)
			c.encode(r, codes, ws)
			size := c.rowBlocks * coarseBlock
			packPairs(c.third[r*size:(r+1)*size], codes)
		}
		for plane := range c.radius {
			c.most[plane][p] = slices.Max(c.radius[plane][p*CoarsePanelRows : (p+1)*CoarsePanelRows])
		}
		c.heavy[p] = slices.Max(c.weight[p*CoarsePanelRows : (p+1)*CoarsePanelRows])
		size := c.blocks * coarseBlock
		packPanel(c.first[p*size:(p+1)*size], ws.codes, n)
		packPanelPairs(c.second[p*size/2:(p+1)*size/2], ws.codes, n)
	}
}

// The magnitudes that rows and states must have, so that nothing overflows and
// what underflows does not count.
const (
	coarseLeast = 0x1p-40
	coarseMost  = 0x1p40
)

// encode chooses the step of the row in ws.row and writes its codes, step and
// radii.
func (c *Coarse) encode(r int, codes []byte, ws *CoarseWorkspace) {
	const u = 0x1p-24 // the relative error of one float32 operation
	n := (c.Cols + 15) &^ 15
	squares, most := active.coarse.center(ws.v[:n], ws.row, c.inverse, c.center)
	norm := math.Sqrt(float64(squares)) * 1.001
	inf := float32(math.Inf(1))
	if !(norm+c.centerNorm < coarseMost) || most != 0 && norm < coarseLeast {
		clear(codes)
		c.step[r] = 0
		for p := range c.radius {
			c.radius[p][r] = inf
		}
		c.weight[r] = 0
		return
	}
	rms := float32(norm / math.Sqrt(float64(c.Cols)))
	var best [CoarsePlanes]float32
	var chosen, last float32
	// Clipping a few large weights makes the step finer for all others. What
	// is best depends on the row's tails; the product of the errors after 4
	// and 6 bits is what decides how many rows are read again.
	for _, reach := range [...]float32{3.1, 4.2, 6, math.MaxFloat32} {
		half := min(rms*reach, most)
		last = half / 128
		e := active.coarse.encode(codes[:n], ws.v, inverseStep(last), last)
		if chosen == 0 || float64(e[0])*float64(e[1]) < float64(best[0])*float64(best[1]) {
			best, chosen = e, last
		}
		if half == most {
			break
		}
	}
	if last != chosen {
		best = active.coarse.encode(codes[:n], ws.v, inverseStep(chosen), chosen)
	}
	c.step[r] = chosen

	cols := float64(c.Cols)
	root := math.Sqrt(cols)
	dot := (cols/16 + 6) * u * 1.01
	rowNorm := norm + c.centerNorm
	for p := range c.radius {
		left := math.Sqrt(float64(best[p])) * 1.001
		approx := norm + left
		bound := left +
			approx*1.6e-5*root + // rounding x' to 16 bits
			rowNorm*dot + // the partial sums of Dot
			16*u*(rowNorm+c.centerNorm+approx+left) + // sums around the result
			400*u*root*(1+float64(128*root)/coarseLevels)*16*float64(chosen) // sums of codes as float32
		c.radius[p][r] = math.Nextafter32(float32(bound*1.0001), inf)
	}
	// Of all planes the first leaves the most.
	c.weight[r] = math.Nextafter32(float32((norm+math.Sqrt(float64(best[0]))*1.001)*1.0001), inf)
	if most == 0 && c.centerNorm == 0 {
		c.weight[r] = 0
		for p := range c.radius {
			c.radius[p][r] = 0
		}
	}
}

func inverseStep(step float32) float32 {
	if step == 0 {
		return 0
	}
	return 1 / step
}

// packPanel packs the upper four bits of 16 rows of codes, stride apart.
func packPanel(dst, codes []byte, stride int) {
	const low = 0x0f0f0f0f
	for r := range CoarsePanelRows {
		row := codes[r*stride : (r+1)*stride]
		out := dst[4*r:]
		for len(row) >= 8 {
			a, b := le32(row)>>4&low, le32(row[4:])&^low
			putLE32(out, a|b)
			row = row[8:]
			if len(row) > 0 {
				out = out[coarseBlock:]
			}
		}
	}
}

// packPanelPairs packs bits 2 and 3 of 16 rows of codes, stride apart.
func packPanelPairs(dst, codes []byte, stride int) {
	const pair = 0x03030303
	for r := range CoarsePanelRows {
		row := codes[r*stride : (r+1)*stride]
		out := dst[4*r:]
		for len(row) >= coarsePairCols {
			v := le32(row)>>2&pair | le32(row[4:])>>2&pair<<2 | le32(row[8:])>>2&pair<<4 | le32(row[12:])>>2&pair<<6
			putLE32(out, v)
			row = row[coarsePairCols:]
			if len(row) > 0 {
				out = out[coarseBlock:]
			}
		}
	}
}

// packPairs packs bits 0 and 1 of a row of codes.
func packPairs(dst, codes []byte) {
	const pair = 0x0303030303030303
	for k := 0; k < len(dst); k += coarseBlock {
		block := codes[4*k : 4*k+coarseRowBlock]
		for j := 0; j < coarseBlock; j += 8 {
			v := le64(block[j:])&pair |
				le64(block[j+64:])&pair<<2 |
				le64(block[j+128:])&pair<<4 |
				le64(block[j+192:])&pair<<6
			putLE64(dst[k+j:], v)
		}
	}
}
