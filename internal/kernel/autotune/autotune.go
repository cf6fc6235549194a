// Package autotune chooses, by measuring, the fastest kernel and layout for each shape
// of ternary product on a machine. All choices give the same bits.
package autotune

import (
	"errors"
	"slices"
	"sync"
	"time"

	"trit/internal/kernel"
	"trit/internal/parallel"
	"trit/internal/ternary"
)

// Shape describes a product of ternary weights and int8 activations.
type Shape struct {
	Rows, Cols int // of the weights
	Tokens     int // rows of activations per call
	GroupCols  int // as in ternary.Matrix; not 0 rules out layout T5
}

// Choice is how to compute a product: the layout that its weights should have,
// and the variant for Workspace.Variant.
type Choice struct {
	Variant kernel.Variant
	Layout  ternary.Layout
}

// A Tuner chooses between kernels by the time that they take on this machine, and
// remembers what it has measured. It may be used by several goroutines.
type Tuner struct {
	path string
	warn func(error)

	mu     sync.Mutex
	loaded bool                // the file has been read, if there is one
	keep   bool                // the file is ours to write
	times  map[timeKey]float64 // measured arithmetic, seconds per call
	reads  map[int]Reading     // by workers

	// ReadRate returns the bytes per second that the workers of a team read from memory
	// together, 0 if that cannot be measured, and Arithmetic the time of a product whose
	// weights are in the cache. They may be replaced before the first use.
	ReadRate   func(*parallel.Team) float64
	Arithmetic func(s Shape, layout ternary.Layout, v kernel.Variant) time.Duration

	now func() time.Time
}

// New returns a tuner that keeps its measurements in a file, or, where path is "", in
// memory only. A file that cannot be used is reported to warn as an ErrCache and left
// alone; so is a failure to write. warn may be nil.
func New(path string, warn func(error)) *Tuner {
	if warn == nil {
		warn = func(error) {}
	}
	return &Tuner{path: path, warn: warn, ReadRate: measureReading, Arithmetic: measureProduct, now: time.Now}
}

// Choices are a tuner's for the products of one model, which belong to one goroutine.
// What memory gives is looked at once for all of them.
type Choices struct {
	tuner   *Tuner
	team    *parallel.Team
	reading Reading
}

// For returns the choices for products that a team computes.
func (t *Tuner) For(team *parallel.Team) *Choices { return &Choices{tuner: t, team: team} }

// Best returns the fastest way to compute products of a shape on this machine.
// The first call for a shape measures the candidates on scratch data, which
// takes a few milliseconds; the answer is remembered. Weights are kept in one
// layout only: choose it with the Tokens that matter most (1, for generating)
// and ask BestVariant for the rest. Weights that lie in a layout already keep it
// unless another one saves more than changing is worth.
func (c *Choices) Best(s Shape, has ...ternary.Layout) Choice {
	return c.best(s, ternary.Layouts(), has)
}

// BestVariant is Best for weights whose layout is settled.
func (c *Choices) BestVariant(s Shape, layout ternary.Layout) kernel.Variant {
	return c.best(s, []ternary.Layout{layout}, nil).Variant
}

// BestGrouped is Best for weights with a scale for each ternary.GroupWidth columns, which
// layouts with and without base 3 can hold. s.GroupCols is 0.
func (c *Choices) BestGrouped(s Shape, has ...ternary.Layout) ternary.Layout {
	return c.best(s, []ternary.Layout{ternary.G5, ternary.G2}, has).Layout
}

// Reading returns what layouts were chosen by, or zeros if nothing depended on it.
func (c *Choices) Reading() Reading { return c.reading }

// timeKey identifies a measurement: shapes that differ only within a class of
// token counts share it, and rows are not part of it, since time grows with them.
type timeKey struct {
	cols, tokens, groupCols int
	layout                  ternary.Layout
	variant                 kernel.Variant
}

// tokenClass returns the token count that stands for n in measurements.
func tokenClass(n int) int {
	for _, class := range []int{1, 4, 16} {
		if n <= class {
			return class
		}
	}
	return 32
}

// worthwhile is how many times as fast another layout must be to repack weights that
// have one already: what is predicted is not known any better.
const worthwhile = 1.1

func (c *Choices) best(s Shape, layouts, has []ternary.Layout) Choice {
	variants := kernel.Variants()
	switch {
	case layouts[0].Grouped():
		variants = []kernel.Variant{kernel.Auto}
	case s.GroupCols != 0:
		layouts = []ternary.Layout{ternary.T2}
	}
	if s.Cols < 1 || len(variants)*len(layouts) == 1 {
		return Choice{variants[len(variants)-1], layouts[0]}
	}
	t := c.tuner
	t.mu.Lock()
	defer t.mu.Unlock()
	t.load()
	changed, rate := false, 0.0
	if len(layouts) > 1 { // all kernels read the same of one layout
		rate, changed = c.rate()
	}
	var best, kept Choice
	fastest, stays := -1.0, -1.0
	for _, layout := range layouts {
		// The fastest variant comes last in Variants; measuring it first
		// lets the others give up early.
		for i := len(variants) - 1; i >= 0; i-- {
			choice := Choice{variants[i], layout}
			arithmetic, fresh := t.time(s, choice)
			changed = changed || fresh
			seconds := arithmetic
			if rate > 0 {
				bytes := ((s.Cols-1)/layout.UnitCols() + 1) * layout.UnitBytes()
				seconds = predict(arithmetic, float64(bytes)/rate)
			}
			if fastest < 0 || seconds < fastest {
				fastest, best = seconds, choice
			}
			if slices.Contains(has, layout) && (stays < 0 || seconds < stays) {
				stays, kept = seconds, choice
			}
		}
	}
	if changed {
		t.save()
	}
	if stays > 0 && stays < worthwhile*fastest {
		return kept
	}
	return best
}

// predict returns the seconds that a product takes: the larger of the time for its
// arithmetic and the time for reading its weights from memory, and a quarter of the
// smaller, which is about what does not hide behind the larger.
func predict(arithmetic, reading float64) float64 {
	return max(arithmetic, reading) + min(arithmetic, reading)/4
}

// time returns the seconds that the arithmetic of a panel takes.
func (t *Tuner) time(s Shape, c Choice) (seconds float64, fresh bool) {
	key := timeKey{s.Cols, tokenClass(s.Tokens), s.GroupCols, c.Layout, c.Variant}
	seconds, ok := t.times[key]
	if !ok {
		measured := Shape{ternary.PanelRows, key.cols, key.tokens, key.groupCols}
		seconds = t.Arithmetic(measured, c.Layout, c.Variant).Seconds()
		t.times[key] = seconds
	}
	return seconds, !ok
}

// measureProduct returns the time of one panel's product, from data in the cache.
func measureProduct(s Shape, layout ternary.Layout, v kernel.Variant) time.Duration {
	// As many panels as a worker gets at a time, within reason.
	panels := max(1, 32/s.Tokens)
	w, err := ternary.New(layout, panels*ternary.PanelRows, s.Cols)
	if err != nil {
		return 0
	}
	state := uint32(1)
	next := func() uint32 { // xorshift: any mixture of weights will do
		state ^= state << 13
		state ^= state >> 17
		state ^= state << 5
		return state
	}
	codes := make([][]byte, ternary.PanelRows)
	for i := range codes {
		codes[i] = make([]byte, s.Cols)
		for c := range codes[i] {
			codes[i][c] = byte(next() % 3)
		}
	}
	for p := range panels {
		if err := w.SetPanel(p, codes); err != nil {
			return 0
		}
	}
	a := make([]float32, s.Cols)
	for i := range a {
		a[i] = float32(int32(next())) / (1 << 31)
	}
	y := make([]float32, s.Tokens*w.Rows)
	ws := kernel.NewWorkspace()
	ws.Variant = v
	var product func()
	if layout.Grouped() {
		x := kernel.NewGroupedInt8(s.Tokens, s.Cols)
		for t := range s.Tokens {
			kernel.QuantizeGroups(x, t, a)
		}
		product = func() { kernel.MatMulGrouped(y, w.Rows, w, x, 0, s.Tokens, 0, panels, ws) }
	} else {
		if s.GroupCols != 0 {
			w.GroupCols = s.GroupCols
			w.Scales = make([]float32, w.Rows*w.Groups())
		}
		x := kernel.NewInt8(s.Tokens, s.Cols)
		x.Reset(s.Cols, s.GroupCols)
		for t := range s.Tokens {
			kernel.QuantizeRow(x, t, a)
		}
		product = func() { kernel.MatMulI8(y, w.Rows, w, x, 0, s.Tokens, 0, panels, ws) }
	}

	const budget = 300 * time.Microsecond
	best, spent := time.Duration(0), time.Duration(0)
	for runs := 0; runs < 3 || spent < budget; runs++ {
		start := time.Now()
		product()
		d := time.Since(start)
		if spent += d; runs == 0 || d < best {
			best = d
		}
		if best > budget {
			break // slow enough to be told from the others after one run
		}
	}
	return max(1, best/time.Duration(panels))
}

// ErrCache reports a file of measurements that cannot be read or written.
var ErrCache = errors.New("autotune: unusable file of measurements")
