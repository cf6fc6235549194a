package sample

import (
	"fmt"
	"math"
)

// A Need says which logits suffice, in most cases, to choose the next token.
// An engine that can tell the largest logits apart without computing them all
// answers it with a [Selected]. It is a request, not a promise: SampleSelected
// decides whether the answer was enough.
type Need struct {
	// All: every logit is needed and the other fields are empty.
	All bool
	// K: the K largest logits among the tokens that Mask allows.
	K int
	// Window: also every logit less than Window below the largest.
	Window float64
	// IDs: also the logits of these tokens, which a stage may raise. They may
	// repeat, and Mask may exclude them.
	IDs []int32
	// TailMass: also bounds on the mass of the tokens that are left out.
	TailMass bool
	// Mask: the tokens that may be chosen, as in [Context].Mask; nil for all.
	Mask []uint64
}

// A Selected is a selection of a vocabulary's logits and what is known of the
// others.
type Selected struct {
	Vocab  int // size of the vocabulary
	IDs    []int32
	Logits []float32 // of IDs, exact
	// TailMax is not below the logit of any token that is allowed (by Need.Mask)
	// and not in IDs; −Inf if there is none.
	TailMax float32
	// HasTailMass says that ln Σ exp(logit) over those tokens lies between
	// TailLogMassMin and TailLogMassMax.
	HasTailMass                    bool
	TailLogMassMin, TailLogMassMax float64
}

// massCandidates is how many logits are asked for when top-p comes first.
const massCandidates = 128

// drySlack is how many of the largest logits DRY may lower before a selection
// falls short.
const drySlack = 16

// Need returns what the next Sample needs for a vocabulary of the given size.
// The result is valid until the pipeline's next call. ctx may be nil.
func (p *Pipeline) Need(ctx *Context, vocab int) Need {
	if ctx == nil {
		ctx = &emptyContext
	}
	words := (vocab + 63) / 64
	if p.logProb || vocab < 1 || ctx.Mask != nil && len(ctx.Mask) < words {
		return Need{All: true}
	}
	n := Need{Mask: ctx.Mask}
	own := false // whether n.Mask is p.mask
	ownMask := func() []uint64 {
		if !own {
			own = true
			p.mask = grow(p.mask, words)
			for i := range p.mask {
				p.mask[i] = math.MaxUint64
			}
			copy(p.mask, n.Mask)
			n.Mask = p.mask
		}
		return n.Mask
	}
	inVocab := func(id int32) bool { return uint32(id) < uint32(vocab) }
	p.ids = p.ids[:0]
	slack := 0
	done := func(k int) Need {
		n.K = min(max(k, 1)+slack, vocab)
		n.IDs = p.ids
		return n
	}
	scale := 1.0
	for _, s := range p.stages {
		switch s := s.(type) {
		case *LogitBias:
			for i, id := range s.ids {
				switch b := s.bias[i]; {
				case !inVocab(id) || b == 0:
				case b > 0:
					p.ids = append(p.ids, id)
				case math.IsInf(float64(b), -1):
					ownMask()[id/64] &^= 1 << (id % 64)
				default:
					slack++
				}
			}
		case *Allowed:
			mask := ownMask()
			at := 0
			for w := range mask {
				var word uint64
				for ; at < len(s.ids) && int(s.ids[at]/64) <= w; at++ {
					word |= 1 << (s.ids[at] % 64)
				}
				mask[w] &= word
			}
		case *BadWords:
			for _, w := range s.words {
				if last := w[len(w)-1]; inVocab(last) && endsWith(ctx.History, w[:len(w)-1]) {
					ownMask()[last/64] &^= 1 << (last % 64)
				}
			}
		case *Forced:
			if id, ok := s.next(ctx); ok {
				p.ids = append(p.ids, id)
				return done(1)
			}
		case Penalties:
			if s.neutral() {
				continue
			}
			window := lastN(ctx.History, s.LastN)
			slack += min(len(window), vocab)
			if s.raises() {
				for _, id := range window {
					if inVocab(id) {
						p.ids = append(p.ids, id)
					}
				}
			}
		case *DRY:
			slack += min(drySlack, len(ctx.History))
		case Greedy:
			return done(1)
		case Temperature:
			switch {
			case s.T == 0:
				return done(1)
			case s.Range > 0:
				return Need{All: true}
			}
			scale /= s.T
		case TopK:
			if s.K > 0 {
				return done(max(s.K, s.MinKeep))
			}
		case MinP:
			if s.P > 0 {
				n.Window = -log64(min(s.P, 1)) / scale
				return done(s.MinKeep)
			}
		case TopP:
			if s.P >= 1 {
				continue
			}
			if scale != 1 {
				return Need{All: true}
			}
			n.TailMass = true
			return done(max(massCandidates, s.MinKeep))
		default:
			return Need{All: true}
		}
	}
	return Need{All: true}
}

// SampleSelected chooses the next token from a selection of logits. It returns
// exactly the Result (without log-probabilities) that [Pipeline.Sample] would
// have returned for all of them, or [ErrNeedAll] if the selection leaves a
// decision open; then nothing was drawn, and Sample with all logits goes on
// from there. Other errors wrap [ErrSelection] or are those of Sample.
func (p *Pipeline) SampleSelected(sel *Selected, ctx *Context) (Result, error) {
	c := candidatesPool.Get().(*Candidates)
	r, err := p.sampleSelected(c, sel, ctx)
	candidatesPool.Put(c)
	return r, err
}

func (p *Pipeline) sampleSelected(c *Candidates, sel *Selected, ctx *Context) (Result, error) {
	if p.logProb {
		return Result{}, ErrNeedAll
	}
	if err := c.loadSelected(sel); err != nil {
		return Result{}, err
	}
	if err := p.apply(c, ctx); err != nil {
		return Result{}, err
	}
	return p.choose(c)
}

// loadSelected makes c the set of the selected tokens, partial unless nothing
// was left out. An error leaves c to the next load.
func (c *Candidates) loadSelected(sel *Selected) error {
	if sel.Vocab < 1 || sel.Vocab > maxVocab || len(sel.IDs) != len(sel.Logits) || len(sel.IDs) > sel.Vocab {
		return fmt.Errorf("%w: %d ids, %d logits, vocabulary %d", ErrSelection, len(sel.IDs), len(sel.Logits), sel.Vocab)
	}
	if !(sel.TailMax <= math.MaxFloat32) {
		return fmt.Errorf("%w: the tail is bounded by %v", ErrSelection, sel.TailMax)
	}
	if sel.HasTailMass && !(sel.TailLogMassMin <= sel.TailLogMassMax) {
		return fmt.Errorf("%w: mass between %v and %v", ErrSelection, sel.TailLogMassMin, sel.TailLogMassMax)
	}
	c.reset(sel.Vocab)
	c.bits = grow(c.bits, (sel.Vocab+63)/64)
	clear(c.bits)
	for i, id := range sel.IDs {
		if uint32(id) >= uint32(sel.Vocab) {
			return fmt.Errorf("%w: id %d, vocabulary %d", ErrSelection, id, sel.Vocab)
		}
		if c.bits[id/64]>>(id%64)&1 != 0 {
			return fmt.Errorf("%w: id %d is listed twice", ErrSelection, id)
		}
		c.bits[id/64] |= 1 << (id % 64)
		if v := sel.Logits[i]; !(v <= math.MaxFloat32) {
			return fmt.Errorf("%w: token %d has %v", ErrLogits, id, v)
		}
	}
	if sel.TailMax < -math.MaxFloat32 || len(sel.IDs) == sel.Vocab {
		// Nothing is left out: the dense form, as Sample would have it.
		c.dense = grow(c.dense, sel.Vocab)
		for i := range c.dense {
			c.dense[i] = float32(math.Inf(-1))
		}
		for i, id := range sel.IDs {
			c.dense[id] = sel.Logits[i] + 0
			if c.dense[id] >= -math.MaxFloat32 {
				c.n++
			}
		}
		return c.someLeft()
	}
	for i, id := range sel.IDs {
		if v := sel.Logits[i] + 0; v >= -math.MaxFloat32 {
			c.keys = append(c.keys, makeKey(id, v))
		}
	}
	c.listed, c.n = true, len(c.keys)
	c.partial, c.bound = true, sel.TailMax
	c.massOK, c.massMin, c.massMax = sel.HasTailMass, sel.TailLogMassMin, sel.TailLogMassMax
	return c.someLeft()
}

// partialSum returns bounds on the sum of all weights of a partial set.
func (c *Candidates) partialSum() (lo, hi float64, err error) {
	if !c.massOK || c.scale != 1 {
		return 0, 0, ErrNeedAll
	}
	top, err := c.largest()
	if err != nil {
		return 0, 0, err
	}
	var z uint64
	for _, k := range c.keys[:c.n] {
		z += weight(c.exponent(keyLogit(k)))
	}
	// Each token's weight is rounded by less than one unit, and the
	// exponentials and conversions by far less than one part in 10^12.
	const slack = 1e-12
	units := float64(c.vocab)
	lo = float64(z) + max(0, float64(exp64(c.massMin-float64(top))*weightOne)-units)
	hi = float64(z) + float64(exp64(c.massMax-float64(top))*weightOne) + units
	if !(hi < 0x1p62) {
		return 0, 0, ErrNeedAll
	}
	return float64(lo * (1 - slack)), float64(hi * (1 + slack)), nil
}
