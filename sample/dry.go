package sample

import (
	"math"
	"slices"
)

// DRY ("don't repeat yourself") lowers the logit of every token that would
// continue a repetition of text the sequence already contains. If the last n
// tokens of the history also occur earlier, and token x followed them there,
//
//	logit(x) ← logit(x) − Multiplier·Base^(n − AllowedLength), for n ≥ AllowedLength
//
// with the longest such n for each x. A match does not reach over a sequence
// breaker, and a breaker of one token is never penalised.
//
// Source: p-e-w, text-generation-webui pull request 5677; llama.cpp pull
// request 9702.
type DRY struct {
	multiplier, base float64
	allowed, lastN   int
	breakers         map[int32][][]int32 // by their last token
}

// DRYOptions are the parameters of [DRY].
type DRYOptions struct {
	Multiplier    float64 // 0: off
	Base          float64 // ≥ 1
	AllowedLength int     // the longest repetition that is not penalised, plus one
	PenaltyLastN  int     // how much of the history counts; −1: all, 0: off
	// Breakers are the token sequences that matches do not cross. Whoever
	// resolves strings such as "\n" gives every token (or sequence) that
	// contains them.
	Breakers [][]int32
}

// NewDRY returns a DRY stage. The stage has no state that depends on the
// sequence.
func NewDRY(o DRYOptions) *DRY {
	s := &DRY{multiplier: o.Multiplier, base: o.Base, allowed: max(o.AllowedLength, 1), lastN: o.PenaltyLastN}
	if len(o.Breakers) > 0 {
		s.breakers = make(map[int32][][]int32)
	}
	for _, b := range o.Breakers {
		if len(b) > 0 {
			last := b[len(b)-1]
			s.breakers[last] = append(s.breakers[last], slices.Clone(b))
		}
	}
	return s
}

// Name returns "dry".
func (*DRY) Name() string { return NameDRY }

// Apply implements [Stage]. It takes time linear in the history.
func (s *DRY) Apply(c *Candidates, ctx *Context) error {
	if s.multiplier == 0 || s.lastN == 0 {
		return nil
	}
	h := lastN(ctx.History, s.lastN)
	limit := s.sinceBreaker(h)
	if limit < s.allowed || len(h) <= s.allowed {
		return nil
	}
	// The Z-algorithm on the reversed history: match[k] is how many tokens
	// before (and including) h[len−1−k] equal the last tokens of h.
	n := len(h)
	c.scratch = grow(c.scratch, n)
	match := c.scratch[:n]
	match[0] = 0
	left, right := 0, 0 // the match reaching furthest covers [left, right)
	for k := 1; k < n; k++ {
		m := 0
		if k < right {
			m = min(int(match[k-left]), right-k)
		}
		for k+m < n && h[n-1-m] == h[n-1-k-m] {
			m++
		}
		match[k] = int32(m)
		if k+m > right {
			left, right = k, k+m
		}
	}
	// h[len−k] followed the match that ends at h[len−1−k]. ids reuses match's
	// memory: entry w is written after entry k ≥ w was read.
	c.marks = grow(c.marks, c.vocab)
	ids := match[:0]
	for k := 1; k < n; k++ {
		m := min(int(match[k]), limit)
		id := h[n-k]
		if m < s.allowed || uint32(id) >= uint32(c.vocab) || s.isBreaker(id) {
			continue
		}
		mark := int32(m - s.allowed + 1)
		if c.marks[id] == 0 {
			ids = append(ids, id)
		}
		c.marks[id] = max(c.marks[id], mark)
	}
	if len(ids) == 0 {
		return nil
	}
	return c.editMarked(ids, s.multiplier < 0, s.penalise)
}

func (s *DRY) penalise(mark int32, logit float32) float32 {
	p := float64(s.multiplier * powInt(s.base, int(mark-1)))
	if !(math.Abs(p) <= math.MaxFloat32) {
		p = math.Copysign(math.MaxFloat32, p)
	}
	return clampLogit(float64(logit) - p)
}

// sinceBreaker returns how many tokens follow the last sequence breaker in h.
func (s *DRY) sinceBreaker(h []int32) int {
	if len(s.breakers) == 0 {
		return len(h)
	}
	for end := len(h); end > 0; end-- {
		for _, b := range s.breakers[h[end-1]] {
			if len(b) <= end && slices.Equal(b, h[end-len(b):end]) {
				return len(h) - end
			}
		}
	}
	return len(h)
}

// isBreaker reports whether id alone is a sequence breaker.
func (s *DRY) isBreaker(id int32) bool {
	for _, b := range s.breakers[id] {
		if len(b) == 1 {
			return true
		}
	}
	return false
}
