package layers

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"trit/internal/kernel"
	"trit/internal/model"
)

// Comparison says where two runs part. The distances are those of
// [Record.Distance].
type Comparison struct {
	A           string             `json:"a"`
	B           string             `json:"b"`
	Differences []HeaderDifference `json:"differences"` // of what the traces were made of
	// Tolerance is the fixed one, 0 if it follows the rule of Compare.
	Tolerance float64       `json:"tolerance,omitempty"`
	Stages    []StagesApart `json:"stages"` // in the order they are computed
	Parting   *Parting      `json:"parting"`
	Agree     bool          `json:"agree"`
}

// HeaderDifference is something that is not the same for both traces.
type HeaderDifference struct {
	What string `json:"what"`
	A    string `json:"a"`
	B    string `json:"b"`
}

// StagesApart sums one stage up over the recorded tokens.
type StagesApart struct {
	Stage     string `json:"stage"`
	Tokens    int    `json:"tokens"`
	Equal     int    `json:"equal"`    // tokens whose values have the same bits
	Parted    int    `json:"parted"`   // tokens beyond the tolerance
	Distance  Number `json:"distance"` // the largest
	Token     int    `json:"token"`    // that has it
	Tolerance Number `json:"tolerance"`
}

// Parting is the first stage where two runs part, at the first token that does.
type Parting struct {
	Stage     string `json:"stage"`
	Token     int    `json:"token"`
	Text      string `json:"token_text,omitempty"`
	Distance  Number `json:"distance"`
	Tolerance Number `json:"tolerance"`
	// Structure, if not empty, says what only one of the graphs computes; one
	// of the records is then missing.
	Structure string  `json:"structure,omitempty"`
	Reading   string  `json:"reading"` // how the values differ
	Check     string  `json:"check"`   // what computes the stage
	A         *Record `json:"record_a,omitempty"`
	B         *Record `json:"record_b,omitempty"`
}

// CompareOptions are the parameters of [Compare].
type CompareOptions struct {
	// Tolerance, if not 0, is the distance that every stage may have, instead
	// of the rule of Compare.
	Tolerance float64
}

// Distance says how far two records are apart: the largest of
//
//   - the root mean square of the differences of the samples,
//   - the difference of the root mean squares,
//   - of the means, and
//   - of the standard deviations,
//
// each divided by the larger root mean square of the two. It is 0 if the bits are
// the same, and infinite if the shapes or the numbers of NaN or of infinities
// differ.
func (r *Record) Distance(o *Record) float64 {
	if !slices.Equal(r.Shape, o.Shape) || r.NaN != o.NaN || r.Inf != o.Inf || len(r.First) != len(o.First) || len(r.Spread) != len(o.Spread) {
		return math.Inf(1)
	}
	if r.CRC == o.CRC {
		return 0
	}
	scale := max(float64(r.RMS), float64(o.RMS))
	if !(scale > 0) {
		return 0 // zeros of either sign, or nothing finite in either
	}
	var sum float64
	n := 0
	for _, pair := range [2][2]Values{{r.First, o.First}, {r.Spread, o.Spread}} {
		for i, a := range pair[0] {
			d := float64(a) - float64(pair[1][i])
			if math.IsNaN(d) || math.IsInf(d, 0) {
				continue // counted above
			}
			sum += float64(d * d)
			n++
		}
	}
	d := 0.0
	if n > 0 {
		d = math.Sqrt(sum/float64(n)) / scale
	}
	for _, pair := range [3][2]Number{{r.RMS, o.RMS}, {r.Mean, o.Mean}, {r.Std, o.Std}} {
		d = max(d, math.Abs(float64(pair[0]-pair[1]))/scale)
	}
	return d
}

// Compare finds the first stage where two runs part. The error is
// ErrNotComparable if they ran on different tokens or different things were
// recorded, and ErrFile if a file is damaged.
//
// Two correct runs need not have the same bits: sums may be taken in another
// order, and one value that int8 rounding sends the other way moves all that
// follow. So what a stage may differ by depends on what is before it. With ε the
// largest distance of any stage before it,
//
//   - if everything before has the same bits, the tolerance is 1e-5: the same
//     input must give the same output, but for the order of sums;
//   - with float activations it is 10·ε, at least 1e-5 and at most 0.05;
//   - with int8 activations it is 1e-5 + 5·√(δ·(ε + 4δ/n)), where δ = 0.03 is how
//     far rounding to int8 moves a model's values at most, n the width of the
//     narrowest stage, and the second term stands for four values that round
//     the other way; at most 0.25;
//   - if the runs' KV caches have different element types, it is from the first
//     attention on at least what the coarser type rounds by: 0.002 for f16, 0.05
//     for int8;
//   - if one rounds activations to int8 and the other does not, it is 0.25.
//
// A side may also be a reference implementation's dump: a JSON array of
//
//	{"stage": "0.q_rope", "offset": 8192, "width": 256}
//
// named NAME.stages.json, with the values in NAME.stages.f32: little-endian
// float32, for each stage rows × width from its offset on, a row for each token. If a
// manifest.json beside them has "tokens", the trace must be of these; other
// than a trace the dump says nothing about KV cache and activations, which are
// taken to be float32 and the trace's.
func Compare(a, b *Source, o CompareOptions) (*Comparison, error) {
	if o.Tolerance < 0 || math.IsNaN(o.Tolerance) {
		return nil, fmt.Errorf("%w: tolerance %v", ErrOptions, o.Tolerance)
	}
	c := &comparer{
		driver: a, other: b, fixed: o.Tolerance, index: map[string]int{},
		result: &Comparison{A: a.path, B: b.path, Tolerance: o.Tolerance, Differences: []HeaderDifference{}},
		best:   math.MaxInt,
	}
	if a.dump != nil && b.dump == nil {
		c.driver, c.other, c.swapped = b, a, true
	}
	if err := c.comparable(); err != nil {
		return nil, err
	}
	if err := c.walk(); err != nil {
		return nil, err
	}
	c.interpret()
	c.result.Agree = c.result.Parting == nil
	return c.result, nil
}

// comparer compares what driver gives with other, record by record.
type comparer struct {
	driver, other *Source
	swapped       bool // driver is B
	fixed         float64
	result        *Comparison

	int8, mixed bool // activations
	kvFloor     float64
	attended    bool // an attention stage has been seen
	narrowest   int
	index       map[string]int // stage → its place in result.Stages
	noise       []float64      // largest distance of agreeing tokens, by stage
	current     int            // stage
	eps         float64        // largest noise before it
	best        int            // stage of the parting
}

// Constants of the rule.
const (
	exactDistance  = 1e-5
	int8Distance   = 0.03 // δ
	int8Cap        = 0.25
	floatGrowth    = 10
	floatCap       = 0.05
	int8Growth     = 5
	int8Flips      = 4
	unseenDistance = 1e-9 // other bits, but none of them among the samples
)

// kvRounding is what the element types of the KV cache round by.
var kvRounding = map[string]float64{kernel.KVF32.String(): exactDistance, kernel.KVF16.String(): 0.002, kernel.KVI8.String(): 0.05, kernel.KVQ4.String(): 0.3}

func (c *comparer) walk() error {
	for {
		a, b, err := c.next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		switch {
		case a == nil && b == nil:
			continue
		case a == nil || b == nil || a.Stage != b.Stage || a.Token != b.Token:
			return c.structure(a, b)
		}
		c.compare(a, b)
	}
}

// next returns the next pair of records, of which one may be missing. Both are
// nil for a stage that need not be compared.
func (c *comparer) next() (a, b *Record, err error) {
	a, err = c.driver.next()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, c.driver.in(err)
	}
	if c.other.dump == nil {
		b, errB := c.other.next()
		if errB != nil && !errors.Is(errB, io.EOF) {
			return nil, nil, c.other.in(errB)
		}
		if a == nil && b == nil {
			return nil, nil, io.EOF
		}
		return a, b, nil
	}
	d := c.other.dump
	if a == nil {
		for _, name := range c.expected() {
			if _, seen := c.index[name]; !seen {
				r, err := d.record(name, c.positions()[0], c.samples())
				return nil, r, err
			}
		}
		return nil, nil, io.EOF
	}
	b, err = d.record(a.Stage, a.Token, c.samples())
	if err != nil {
		return nil, nil, err
	}
	if _, name := splitStage(a.Stage); b == nil && name == LogitsStage {
		return nil, nil, nil // no stage of the pass
	}
	return a, b, nil
}

// next returns the next record of a source.
func (s *Source) next() (*Record, error) {
	if s.reader != nil {
		return s.reader.Next()
	}
	return s.dump.next()
}

// in says which file an error is about.
func (s *Source) in(err error) error { return fmt.Errorf("%s: %w", s.path, err) }

// compare enters a pair of records of the same stage and token.
func (c *comparer) compare(a, b *Record) {
	i, known := c.index[a.Stage]
	if !known {
		i = len(c.noise)
		c.index[a.Stage] = i
		c.noise = append(c.noise, 0)
		c.result.Stages = append(c.result.Stages, StagesApart{Stage: a.Stage, Token: a.Token})
		if _, name := splitStage(a.Stage); name == model.StageAttention {
			c.attended = true
		}
	}
	if i != c.current {
		c.advance(i)
	}
	s := &c.result.Stages[i]
	s.Tokens++
	d := a.Distance(b)
	tolerance := c.tolerance(a)
	equal := a.CRC == b.CRC && d == 0
	if equal {
		s.Equal++
	}
	if d > float64(s.Distance) || s.Tokens == 1 {
		s.Distance, s.Token, s.Tolerance = Number(d), a.Token, Number(tolerance)
	}
	if d > tolerance {
		s.Parted++
		if i < c.best {
			c.best = i
			c.part(a, b, d, tolerance)
		}
		return
	}
	if !equal {
		c.noise[i] = max(c.noise[i], d, unseenDistance)
	}
	if c.narrowest == 0 || a.Shape[0] < c.narrowest {
		c.narrowest = a.Shape[0]
	}
}

// advance moves on to another stage, and for the next pass back to the first.
func (c *comparer) advance(to int) {
	if to < c.current {
		c.current, c.eps = 0, 0
	}
	for ; c.current < to; c.current++ {
		c.eps = max(c.eps, c.noise[c.current])
	}
}

// tolerance is the rule of Compare.
func (c *comparer) tolerance(r *Record) float64 {
	if c.fixed > 0 {
		return c.fixed
	}
	floor := exactDistance
	if c.attended {
		floor = max(floor, c.kvFloor)
	}
	layer, name := splitStage(r.Stage)
	switch {
	case c.mixed && layer != layerName(model.LayerIn) && !(c.eps == 0 && c.origin(name).Kind == model.OpKindNorm):
		return int8Cap
	case c.eps == 0:
		return floor
	case !c.int8:
		return max(floor, min(floatGrowth*c.eps, floatCap))
	}
	flips := int8Flips * int8Distance / float64(max(1, c.narrowest))
	return max(floor, min(exactDistance+int8Growth*math.Sqrt(int8Distance*(c.eps+flips)), int8Cap))
}

// part records where the runs part.
func (c *comparer) part(a, b *Record, distance, tolerance float64) {
	p := &Parting{Stage: a.Stage, Token: a.Token, Distance: Number(distance), Tolerance: Number(tolerance)}
	p.A, p.B = c.order(a, b)
	p.Text = c.text(a.Token)
	c.result.Parting = p
}

// structure records that the graphs are different, unless the values parted
// before. It reads on to find out which side has a stage that the other lacks.
func (c *comparer) structure(a, b *Record) error {
	if c.result.Parting != nil {
		return nil
	}
	extra, has, lacks := a, "A", "B"
	if a == nil {
		extra, has, lacks = b, "B", "A"
	}
	instead := ""
	if a != nil && b != nil {
		instead = b.Stage
		for later := b; later != nil; {
			next, err := c.other.next()
			if err != nil && !errors.Is(err, io.EOF) {
				return c.other.in(err)
			}
			if later = next; later != nil && later.Stage == a.Stage && later.Token == a.Token {
				extra, has, lacks, instead = b, "B", "A", a.Stage
				break
			}
		}
	}
	if c.swapped {
		has, lacks = lacks, has
	}
	p := &Parting{Stage: extra.Stage, Token: extra.Token, Text: c.text(extra.Token), Distance: Number(math.Inf(1)), Tolerance: exactDistance}
	p.A, p.B = c.order(a, b)
	p.Structure = fmt.Sprintf("%s computes %s, %s does not", has, extra.Stage, lacks)
	if instead != "" {
		p.Structure = fmt.Sprintf("%s computes %s where %s computes %s", has, extra.Stage, lacks, instead)
	}
	c.result.Parting = p
	return nil
}

// order returns what the driver and the other side gave as A's and B's.
func (c *comparer) order(a, b *Record) (*Record, *Record) {
	if c.swapped {
		return b, a
	}
	return a, b
}

func (c *comparer) text(token int) string {
	if c.driver.reader == nil || token >= len(c.driver.reader.header.Texts) {
		return ""
	}
	return c.driver.reader.header.Texts[token]
}
