package convert

import (
	"fmt"
	"math"
	"strings"
	"sync"

	"trit/gguf"
	"trit/internal/model"
	"trit/quant"
)

// analysis is what a first pass over the float weights of a projection tells.
type analysis struct {
	form Form
	// scale is the scale of all trits; with several, the largest.
	scale float32
	// scales counts the different ones; width is the largest of blockWidths such that
	// no block of so many columns has more than one, 0 if there is none.
	scales int
	width  int64
	// zeros says that some weights are zero.
	zeros bool
	// violation describes, for weights that are not ternary, where that shows.
	violation string
}

// uniform reports whether all trits share one scale.
func (a *analysis) uniform() bool { return a.scales <= 1 }

// groupCols is the smallest number of columns that may share a scale.
const groupCols = 32

// blockWidths are the numbers of columns that share a scale in the ternary types that
// have blocks.
var blockWidths = [...]int64{256, 128, 64}

// maxScales bounds how many different scales are told apart.
const maxScales = 1 << 16

// ternaryScan finds out whether floats are ternary already, and how their scales
// are distributed. Rows are added whole, in order.
type ternaryScan struct {
	cols      int64
	row       int64
	scales    map[uint32]struct{}    // bits of the magnitudes
	largest   uint32                 // bits of the largest of them
	mixed     [len(blockWidths)]bool // some block of that width has two scales
	zeros     bool
	violation string // the first one; the rest is not looked at
}

func newTernaryScan(cols, row int64) *ternaryScan {
	return &ternaryScan{cols: cols, row: row, scales: map[uint32]struct{}{}}
}

// merge takes what another scan has seen, of the rows that follow.
func (s *ternaryScan) merge(o *ternaryScan) {
	if s.violation == "" {
		s.violation = o.violation
	}
	s.zeros = s.zeros || o.zeros
	for i, mixed := range o.mixed {
		s.mixed[i] = s.mixed[i] || mixed
	}
	s.largest = max(s.largest, o.largest)
	for bits := range o.scales {
		if len(s.scales) < maxScales {
			s.scales[bits] = struct{}{}
		}
	}
}

// add takes whole rows.
func (s *ternaryScan) add(rows []float32) {
	width := s.cols // of a group
	if s.cols%groupCols == 0 {
		width = groupCols
	}
	for ; len(rows) > 0 && s.violation == ""; s.row++ {
		row := rows[:s.cols]
		rows = rows[s.cols:]
		var blocks [len(blockWidths)]uint32 // the scale of the current block
		for c := int64(0); c < s.cols; c += width {
			m, zeros, bad := groupMagnitude(row[c : c+width])
			if bad >= 0 {
				s.violation = fmt.Sprintf("row %d, column %d holds %g beside values of ±%g", s.row, c+int64(bad), row[c+int64(bad)], math.Float32frombits(m))
				return
			}
			s.zeros = s.zeros || zeros
			for i, width := range blockWidths {
				if c%width == 0 {
					blocks[i] = 0
				}
				if m == 0 {
					continue
				}
				if blocks[i] != 0 && blocks[i] != m {
					s.mixed[i] = true
				}
				blocks[i] = m
			}
			if m == 0 {
				continue
			}
			s.largest = max(s.largest, m)
			if _, known := s.scales[m]; !known && len(s.scales) < maxScales {
				s.scales[m] = struct{}{}
			}
		}
	}
}

// blockWidth returns the width of an analysis.
func (s *ternaryScan) blockWidth() int64 {
	for i, mixed := range s.mixed {
		if !mixed {
			return blockWidths[i]
		}
	}
	return 0
}

// groupMagnitude returns the bits of the one magnitude besides zero, whether there are
// zeros, and −1 or the index of a value that does not fit.
func groupMagnitude(values []float32) (magnitude uint32, zeros bool, bad int) {
	for i, x := range values {
		a := math.Float32bits(x) &^ (1 << 31)
		if a == 0 {
			zeros = true
			continue
		}
		if a == magnitude {
			continue
		}
		if magnitude != 0 || !finite(x) {
			return magnitude, zeros, i
		}
		magnitude = a
	}
	return magnitude, zeros, -1
}

// analyst looks at the float weights of projections before they become trits.
type analyst struct {
	rows    *rowSource
	rounder *rounder
	rules   *rules
}

// analyse makes the first pass over a projection of floats.
func (a *analyst) analyse(j *job) (*analysis, error) {
	if j.analysis != nil {
		return j.analysis, nil
	}
	scan := newTernaryScan(j.cols(), 0)
	var mean quant.AbsMeanStats
	largest := float32(0)
	err := a.rows.each(j, func(first int64, rows []float32) error {
		var group sync.WaitGroup
		group.Go(func() { mean.Add(rows) }) // in one order, beside the rest
		if a.rules.method == AbsMax {
			group.Go(func() {
				for _, x := range rows {
					largest = max(largest, x, -x)
				}
			})
		}
		err := a.scanRows(scan, first, rows)
		group.Wait()
		return err
	})
	if err != nil {
		return nil, err
	}
	found := &analysis{form: FormTernary, scales: len(scan.scales), width: scan.blockWidth(), zeros: scan.zeros}
	if scan.violation != "" {
		found = &analysis{form: FormMaster, scales: 1, width: blockWidths[0], zeros: true, violation: scan.violation}
		if found.scale, err = mean.Scale(); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrTensor, j.from(), err)
		}
		if a.rules.method == AbsMax {
			found.scale = largest
		}
	}
	if found.form == FormTernary {
		found.scale = math.Float32frombits(scan.largest)
	}
	if err := a.judge(j, found); err != nil {
		return nil, err
	}
	j.analysis = found
	return found, nil
}

// scanRows adds whole rows to a scan, unless it has found what it looks for.
func (a *analyst) scanRows(scan *ternaryScan, first int64, rows []float32) error {
	if scan.violation != "" {
		return nil
	}
	cols := int(scan.cols)
	scans := make([]*ternaryScan, parts(len(rows), cols))
	err := a.rows.team.split(len(rows), cols, func(part, lo, hi int) error {
		scans[part] = newTernaryScan(scan.cols, first+int64(lo/cols))
		scans[part].add(rows[lo:hi])
		return nil
	})
	for _, s := range scans {
		scan.merge(s)
	}
	return err
}

// judge refuses weights that were not trained ternary, and scales that the
// target type cannot hold.
func (a *analyst) judge(j *job, found *analysis) error {
	stored := j.tensor != nil && quant.IsTernary(j.tensor.Type)
	if found.form == FormMaster && stored {
		return fmt.Errorf("%w: %s of type %v has values beside {−d, 0, +d}: %s; only F32 and the type that it has keep them",
			ErrNotTernary, j.from(), j.tensor.Type, found.violation)
	}
	if found.form == FormMaster && j.role != model.RoleProjection && !a.rules.round {
		return fmt.Errorf("%w: %s is no projection, which models round when they run, and its values are not ternary: %s; use one of %s for it",
			ErrNotTernary, j.from(), found.violation, joinTypes(floatTypes(EmbeddingTypes())))
	}
	if found.form == FormMaster && a.rules.declared == "" && !a.rules.round {
		cosine, err := a.cosine(j, found.scale)
		if err != nil {
			return err
		}
		return fmt.Errorf("%w: %s, and the weights are not ternary either: %s: %s (the cosine with the nearest ternary matrix is %.3f); rounding an ordinary model to three values destroys it; option round does so nevertheless",
			ErrNotTernary, a.rules.undeclared, j.from(), found.violation, cosine)
	}
	if !holds(j.typ, found) {
		detail := fmt.Sprintf("%d different scales", found.scales)
		if n := j.typ.BlockElements(); quant.IsTernary(j.typ) && found.width < n {
			detail += fmt.Sprintf(", several of them within %d columns", n)
		}
		if j.typ == gguf.TypeQ1_0 && found.zeros {
			detail = "zeros"
		}
		var others []string
		for _, t := range Types() {
			if fits(t, j.dims) && holds(t, found) {
				others = append(others, t.String())
			}
		}
		return fmt.Errorf("%w: %s has %s, which %v has no room for; of the types only %s keep them all", ErrType, j.from(), detail, j.typ, strings.Join(others, ", "))
	}
	return nil
}

// holds reports whether tensors of the type have room for the scales.
func holds(t gguf.Type, a *analysis) bool {
	switch {
	case t == gguf.TypeI2S:
		return a.uniform()
	case t == gguf.TypeQ1_0 && a.zeros:
		return false
	}
	return !quant.IsTernary(t) || a.width >= t.BlockElements()
}

// cosine compares master weights with their ternary form.
func (a *analyst) cosine(j *job, scale float32) (float64, error) {
	var f quant.Fidelity
	err := a.rows.each(j, func(_ int64, rows []float32) error {
		return a.rounder.ternarize(rows, nil, scale, scale, &f)
	})
	return f.Cosine(), err
}
