package sample

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"sync"
)

// A Candidate is a token that may still be drawn, with its current logit.
type Candidate struct {
	ID    int32
	Logit float32
}

// Candidates is the set of tokens that may still be drawn. Stages edit the
// logits and remove candidates. The order of candidates is total: larger
// logit first, and between equal logits the lower id.
//
// A set starts as a dense copy of the logits and turns into a short list when
// a stage truncates it, so the usual chain never sorts a vocabulary. A scale
// (the inverse temperature) multiplies all logits lazily; every method's
// logits are the scaled ones.
//
// A Candidates belongs to the pipeline that hands it to a stage and must not
// be kept after Apply returns.
type Candidates struct {
	vocab int
	n     int // number of candidates

	// While !listed, dense[id] is the unscaled logit of token id, −Inf once
	// removed, and keys[:sorted] caches the largest candidates.
	// When listed, keys[:n] holds all candidates.
	// In both forms keys[:sorted] are the sorted largest, in descending order.
	dense  []float32
	keys   []uint64
	listed bool
	sorted int

	scale float64 // > 0

	top   float32 // largest unscaled logit, when topOK
	topOK bool
	// total is the sum of all weights, surprise that of −exponent·weight, when
	// totalOK.
	total, surprise uint64
	totalOK         bool

	// A partial set also has unlisted candidates, none with an unscaled logit
	// above bound, and together with a mass Σ exp(logit) in [massMin, massMax]
	// (natural logarithms; massOK).
	partial          bool
	bound            float32
	massOK           bool
	massMin, massMax float64

	marks   []int32 // one per token, all zero between uses
	scratch []int32
	bits    []uint64 // one bit per token
}

// candidatesPool shares the vocabulary-sized buffers among pipelines. A set is
// not put back after a panic in a custom stage, whose marks may be left over.
var candidatesPool = sync.Pool{New: func() any { return new(Candidates) }}

// infBits are the exponent bits of float32 infinities and NaNs.
const infBits = 0x7f800000

// load makes c the set of all tokens with a logit above −Inf. Negative zero
// becomes zero, so that equal logits have equal bits.
func (c *Candidates) load(logits []float32) error {
	if len(logits) == 0 {
		return fmt.Errorf("%w: there are none", ErrLogits)
	}
	if len(logits) > maxVocab {
		return fmt.Errorf("%w: %d of them, at most %d are supported", ErrLogits, len(logits), maxVocab)
	}
	c.reset(len(logits))
	c.dense = grow(c.dense, len(logits))
	dense := c.dense[:len(logits)]
	top, n := float32(math.Inf(-1)), len(logits)
	for i, v := range logits {
		v += 0
		dense[i] = v
		if v > top {
			top = v
		}
		if math.Float32bits(v)&infBits == infBits {
			if v < 0 { // −Inf
				n--
				continue
			}
			return fmt.Errorf("%w: token %d has %v", ErrLogits, i, v)
		}
	}
	c.n, c.top, c.topOK = n, top, true
	if n == 0 {
		return fmt.Errorf("%w: every logit is -Inf", ErrNoCandidate)
	}
	return nil
}

func (c *Candidates) reset(vocab int) {
	*c = Candidates{
		vocab: vocab, scale: 1,
		dense: c.dense, keys: c.keys[:0], marks: c.marks, scratch: c.scratch, bits: c.bits,
	}
}

// grow returns s with length n, reusing its memory where it can.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// Len returns the number of candidates. In a partial set (see
// [Pipeline.SampleSelected]) it counts the selected ones only.
func (c *Candidates) Len() int { return c.n }

// Vocab returns the size of the vocabulary.
func (c *Candidates) Vocab() int { return c.vocab }

// Top appends the n largest candidates (or all, if there are fewer) to dst,
// in order.
func (c *Candidates) Top(dst []Candidate, n int) ([]Candidate, error) {
	n = min(n, c.n)
	if err := c.prefix(n); err != nil {
		return dst, err
	}
	for _, k := range c.keys[:n] {
		dst = append(dst, Candidate{keyID(k), c.scaled(keyLogit(k))})
	}
	return dst, nil
}

// Truncate keeps the n largest candidates; n < 1 keeps one.
func (c *Candidates) Truncate(n int) error {
	n = max(n, 1)
	if !c.partial && n >= c.n {
		return nil
	}
	if err := c.prefix(n); err != nil {
		return err
	}
	c.keepRange(0, n)
	return nil
}

// Scale multiplies all logits by factor, which must be positive and finite.
// Dividing by a temperature t is Scale(1/t).
func (c *Candidates) Scale(factor float64) error {
	s := c.scale * factor
	if !(s >= minScale && s <= maxScale) {
		return &OptionError{"temperature", 1 / s, fmt.Sprintf("%g to %g (or 0: greedy)", 1/maxScale, 1/minScale)}
	}
	c.scale = s
	c.totalOK = false
	return nil
}

// Scales beyond these bounds could overflow a scaled float32 logit.
const (
	minScale = 1e-9
	maxScale = 1e9
)

// Edit replaces the logit of a candidate by f(logit); a result of −Inf
// or NaN removes it, +Inf becomes the largest float32. Tokens that are no
// candidates stay out. It returns [ErrNeedAll]
// for a token that a partial set does not list, and [ErrToken] for an id
// outside the vocabulary.
func (c *Candidates) Edit(id int32, f func(logit float32) float32) error {
	if uint32(id) >= uint32(c.vocab) {
		return fmt.Errorf("%w: id %d, vocabulary %d", ErrToken, id, c.vocab)
	}
	if c.partial && !slices.ContainsFunc(c.keys[:c.n], func(k uint64) bool { return keyID(k) == id }) {
		return ErrNeedAll
	}
	c.marks = grow(c.marks, c.vocab)
	c.marks[id] = 1
	return c.editMarked([]int32{id}, true, func(_ int32, logit float32) float32 { return f(logit) })
}

// Filter keeps the candidates for which keep returns true. A partial set
// cannot be filtered and returns [ErrNeedAll].
func (c *Candidates) Filter(keep func(Candidate) bool) error {
	if c.partial {
		return ErrNeedAll
	}
	c.list()
	c.filter(func(k uint64) bool { return keep(Candidate{keyID(k), c.scaled(keyLogit(k))}) })
	return nil
}

// Prob returns the probability of a candidate with the given logit.
func (c *Candidates) Prob(logit float32) (float64, error) {
	z, err := c.sum()
	if err != nil {
		return 0, err
	}
	w := weight(float64(logit) - float64(float64(c.top)*c.scale))
	return float64(w) / float64(z), nil
}

func (c *Candidates) scaled(v float32) float32 {
	if c.scale == 1 {
		return v
	}
	return clampLogit(float64(float64(v) * c.scale))
}

// clampLogit rounds a finite or infinite v to a float32 that is not +Inf and,
// unless v is −Inf, not −Inf. NaN becomes −Inf.
func clampLogit(v float64) float32 {
	switch {
	case v > math.MaxFloat32:
		return math.MaxFloat32
	case v >= -math.MaxFloat32:
		return float32(v) + 0 // no negative zero
	case v >= -math.MaxFloat64:
		return -math.MaxFloat32
	}
	return float32(math.Inf(-1))
}

// bake applies the scale to the stored logits.
func (c *Candidates) bake() {
	if c.scale == 1 {
		return
	}
	if c.listed {
		for i, k := range c.keys[:c.n] {
			c.keys[i] = makeKey(keyID(k), c.scaled(keyLogit(k)))
		}
	} else {
		for i, v := range c.dense[:c.vocab] {
			if v >= -math.MaxFloat32 {
				c.dense[i] = c.scaled(v)
			}
		}
	}
	if c.partial {
		c.bound = c.scaled(c.bound)
		c.massOK = false
	}
	c.scale, c.sorted, c.topOK, c.totalOK = 1, 0, false, false
}

// editMarked replaces the logit of every candidate with a nonzero mark by
// f(mark, logit), and zeroes the marks of ids. ids must name every marked
// token and lie in the vocabulary. f must not fall as the logit rises; raises
// says that it may return more than it was given.
func (c *Candidates) editMarked(ids []int32, raises bool, f func(mark int32, logit float32) float32) error {
	c.bake()
	if !c.listed {
		for _, id := range ids {
			m := c.marks[id]
			if m == 0 {
				continue // a repeated id, already done
			}
			c.marks[id] = 0
			if old := c.dense[id]; old >= -math.MaxFloat32 {
				c.setDense(id, old, clampLogit(float64(f(m, old))))
			}
		}
		return c.someLeft()
	}
	w := 0
	changed := false
	for _, k := range c.keys[:c.n] {
		id := keyID(k)
		if m := c.marks[id]; m != 0 {
			c.marks[id] = 0
			changed = true
			v := clampLogit(float64(f(m, keyLogit(k))))
			if v < -math.MaxFloat32 {
				continue
			}
			k = makeKey(id, v)
		}
		c.keys[w] = k
		w++
	}
	var open error
	for _, id := range ids {
		m := c.marks[id]
		if m == 0 {
			continue
		}
		c.marks[id] = 0
		if !c.partial {
			continue
		}
		if f(m, c.bound) > c.bound {
			open = ErrNeedAll
		}
		// The rest's mass changes by an unknown amount.
		c.massMin = math.Inf(-1)
		c.massOK = c.massOK && !raises
	}
	if changed {
		c.n, c.sorted, c.topOK, c.totalOK = w, 0, false, false
		c.keys = c.keys[:w]
	}
	if open != nil {
		return open
	}
	return c.someLeft()
}

func (c *Candidates) setDense(id int32, old, v float32) {
	c.dense[id] = v
	c.sorted, c.totalOK = 0, false
	switch {
	case v < -math.MaxFloat32:
		c.n--
		c.topOK = c.topOK && old < c.top
	case c.topOK && v >= c.top:
		c.top = v
	case c.topOK && old == c.top:
		c.topOK = false
	}
}

// applyMask removes the tokens whose bit is clear in allowed.
func (c *Candidates) applyMask(allowed []uint64) error {
	if len(allowed) < (c.vocab+63)/64 {
		return fmt.Errorf("%w: %d words, the vocabulary of %d needs %d", ErrMask, len(allowed), c.vocab, (c.vocab+63)/64)
	}
	if c.listed {
		c.filter(func(k uint64) bool { return allowed[uint32(k)/64]>>(k%64)&1 != 0 })
		return c.someLeft()
	}
	inf := float32(math.Inf(-1))
	for w, word := range allowed[:(c.vocab+63)/64] {
		if word == math.MaxUint64 {
			continue
		}
		block := c.dense[w*64 : min(w*64+64, c.vocab)]
		for banned := ^word; banned != 0; banned &= banned - 1 {
			i := bits.TrailingZeros64(banned)
			if i >= len(block) {
				break
			}
			if block[i] >= -math.MaxFloat32 {
				block[i] = inf
				c.n--
			}
		}
	}
	c.sorted, c.topOK, c.totalOK = 0, false, false
	return c.someLeft()
}

// keepOnly removes every candidate but id.
func (c *Candidates) keepOnly(id int32) error {
	if c.listed {
		c.filter(func(k uint64) bool { return keyID(k) == id })
		if c.n == 0 && c.partial {
			return ErrNeedAll
		}
		c.partial = false
		return c.someLeft()
	}
	v := c.dense[id]
	if v < -math.MaxFloat32 {
		c.n = 0
		return c.someLeft()
	}
	c.keys = append(c.keys[:0], makeKey(id, v))
	c.listed, c.n, c.sorted = true, 1, 1
	c.topOK, c.totalOK = false, false
	return nil
}

func (c *Candidates) someLeft() error {
	if c.n > 0 {
		return nil
	}
	if c.partial {
		return ErrNeedAll
	}
	return ErrNoCandidate
}

// list turns a dense set into a list.
func (c *Candidates) list() {
	if c.listed {
		return
	}
	c.keys = slices.Grow(c.keys[:0], c.n)
	for id, v := range c.dense[:c.vocab] {
		if v >= -math.MaxFloat32 {
			c.keys = append(c.keys, makeKey(int32(id), v))
		}
	}
	c.listed, c.sorted = true, 0
}

// filter keeps the listed keys for which keep returns true, in their order.
func (c *Candidates) filter(keep func(k uint64) bool) {
	w, sorted := 0, 0
	for i, k := range c.keys[:c.n] {
		if keep(k) {
			c.keys[w] = k
			w++
			if i < c.sorted {
				sorted = w
			}
		}
	}
	if w != c.n {
		c.n, c.sorted, c.topOK, c.totalOK = w, sorted, false, false
		c.keys = c.keys[:w]
	}
}

// keepRange keeps candidates lo ≤ i < hi of the order, which must be sorted.
func (c *Candidates) keepRange(lo, hi int) {
	if lo > 0 {
		copy(c.keys, c.keys[lo:hi])
		c.topOK = false
	}
	c.keys = c.keys[:hi-lo]
	c.listed, c.n, c.sorted = true, hi-lo, hi-lo
	c.partial, c.totalOK = false, false
}

// keepAbove keeps the candidates whose unscaled logit is at least threshold,
// and at least minKeep of them.
func (c *Candidates) keepAbove(threshold float64, minKeep int) error {
	if c.partial {
		if float64(c.bound) >= threshold {
			return ErrNeedAll
		}
		// No unlisted candidate survives; whether minKeep forces some back in
		// shows below.
		kept := 0
		for _, k := range c.keys[:c.n] {
			if float64(keyLogit(k)) >= threshold {
				kept++
			}
		}
		if kept < minKeep {
			return c.Truncate(minKeep)
		}
		c.partial, c.totalOK = false, false
	}
	minKeep = min(minKeep, c.n)
	if !c.listed {
		if c.sorted < minKeep {
			if err := c.prefix(minKeep); err != nil {
				return err
			}
		}
		if minKeep > 0 && float64(keyLogit(c.keys[minKeep-1])) < threshold {
			c.keepRange(0, minKeep)
			return nil
		}
		c.keys, c.sorted = c.keys[:0], 0
		// Comparing with the smallest float32 that is not below the threshold
		// is the same comparison.
		thr := float32(threshold)
		if float64(thr) < threshold {
			thr = math.Nextafter32(thr, math.MaxFloat32)
		}
		for id, v := range c.dense[:c.vocab] {
			if v >= thr && v >= -math.MaxFloat32 {
				c.keys = append(c.keys, makeKey(int32(id), v))
			}
		}
		c.listed, c.n, c.totalOK = true, len(c.keys), false
		return nil
	}
	if minKeep > 0 {
		if err := c.prefix(minKeep); err != nil {
			return err
		}
		if float64(keyLogit(c.keys[minKeep-1])) < threshold {
			c.keepRange(0, minKeep)
			return nil
		}
	}
	c.filter(func(k uint64) bool { return float64(keyLogit(k)) >= threshold })
	return nil
}
