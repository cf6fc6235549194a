package head

import (
	"math"

	"trit/gguf"
	"trit/internal/kernel"
)

// This file holds what was tuned rather than derived: the constants of the exact
// head, and the decisions that follow from what was counted. Nothing of it changes
// a result.

// The sizes of the work.
const (
	// maxGroup is the number of states that share a scan of the copy.
	maxGroup = 16
	// sliceRows is the number of vocabulary rows of one slice of a scan, and
	// logitRows of one that multiplies stored rows: some tens of microseconds of
	// reading. singleRows stored rows from here and there make a slice.
	sliceRows  = 256
	logitRows  = 128
	singleRows = 8
	// refineSlices is the number of slices that are refined together: lists of
	// survivors that are long enough to fetch ahead.
	refineSlices = 8
	// buildSteps selections make the copy.
	buildSteps = 8
	// minCoarseWeights is the least number of weights of a head that Auto makes a
	// coarse copy of. Smaller heads stay in the caches.
	minCoarseWeights = 1 << 23
	// Where a mask allows less than one part in fewBelow of the vocabulary, the
	// logits of all allowed tokens are computed and the copy is not read.
	fewBelow = 16
	// About trials slices are refined first, to know what the others will cost.
	trials = 16
)

// mostWanted returns the largest number of tokens that a request may ask for: to keep
// many of the largest costs more than multiplying.
func mostWanted(vocab int) int { return min(max(256, vocab/256), vocab/8) }

// candidates returns how many of the largest coarse logits are computed exactly
// before the floor is set, for a request for k tokens.
func candidates(k int) int { return k + 16 + k/4 }

// A plan says how the states of a group are scanned.
type plan struct {
	plane  int  // the last plane that is read of all tokens: 0 or 1
	narrow bool // the states are rounded to 8 bits
}

// policy plans scans by what the scans before have found. The zero value plans as if
// these had found the head easy.
type policy struct {
	unsettled float64 // the part of the panels that the first plane did not settle
	survivors float64 // the part of the tokens that the second plane did not settle
	wide      bool    // narrow scans have left too many of these
}

const (
	// Where more than these parts of the panels are unsettled, two planes are read
	// at once: reading the second later means to read the first again, for one
	// state at a time. When many states are multiplied at once both cost the same.
	unsettledMost     = 1.0 / 3
	unsettledMostMany = 1.0 / 20
	manyStates        = 3

	// Narrow scans halve the arithmetic. For fewer states than narrowStates reading
	// takes longer than that. The survivors must not be more than narrowMost of all
	// tokens, which is about what is saved; before they are tried (again), wide
	// scans must have left fewer than narrowLeast.
	narrowStates = 4
	narrowMost   = 1.0 / 10
	narrowLeast  = 1.0 / 40

	// memory is the weight of what was known before against the last scan.
	memory = 0.75
)

// plan returns how to scan for a number of states. narrows says whether the CPU has
// kernels for narrow scans.
func (p *policy) plan(states int, narrows bool) plan {
	var s plan
	most := unsettledMost
	if states >= manyStates {
		most = unsettledMostMany
	}
	if p.unsettled > most {
		s.plane = 1
	}
	if states >= narrowStates && narrows {
		if p.wide {
			p.wide = p.survivors > narrowLeast
		} else {
			p.wide = p.survivors > narrowMost
		}
		s.narrow = !p.wide
	}
	return s
}

// learn takes in the counts of a group's trial.
func (p *policy) learn(c counts) {
	if c.panels > 0 {
		p.unsettled = memory*p.unsettled + (1-memory)*float64(c.unsettled)/float64(c.panels)
		p.survivors = memory*p.survivors + (1-memory)*float64(c.refined[1])/float64(c.tokens)
	}
}

// counts are what refining has met with, of one state or several.
type counts struct {
	tokens            int                          // looked at
	panels, unsettled int                          // surveyed, and those that the first plane does not settle
	refined           [kernel.CoarsePlanes - 1]int // tokens of which the second, the third plane was read
	exact             int                          // tokens of which the stored row was read
}

func (c *counts) add(o *counts) {
	c.tokens += o.tokens
	c.panels += o.panels
	c.unsettled += o.unsettled
	for i, n := range o.refined {
		c.refined[i] += n
	}
	c.exact += o.exact
}

// Costs are per token of the vocabulary, in units of the time that one row takes when
// all logits of one state are computed. The factors stand for what bytes do not tell
// (measured with F16 rows): short rows that are read here and there, and, of several
// states, the part that each computes for itself.
const (
	panelFactor  = 1.1 // × bytes of whole panels
	planeFactor  = 2.6 // × bytes of the third plane
	exactFactor  = 1.5 // × bytes of a stored row
	sharedFactor = 0.67
	scanShared   = 0.9 // the same of a scan
	// worthwhile is the part of the cost of all logits that a selection should not
	// exceed.
	worthwhile = 0.8
)

// widenFactor is what a byte of a stored row of that type takes beside one that is only
// read: with small elements the arithmetic takes longer than memory.
func widenFactor(t gguf.Type) float64 {
	switch t {
	case gguf.TypeQ8_0:
		return 1.1
	case gguf.TypeQ6_K:
		return 1.7
	case gguf.TypeQ4_0:
		return 1.9
	case gguf.TypeQ4_K, gguf.TypeQ5_K:
		return 3
	}
	return 1
}

// costs knows what a row with so many planes (of the third alone) takes, relative to a
// stored row.
type costs [kernel.CoarsePlanes]float64

// verdict is what a trial says about one state.
type verdict struct {
	cost   float64 // of refining the rest
	giveUp bool    // all logits cost less
	noGain bool    // a scan like this one should not have been begun
}

// judge concludes from the counts of a trial, for one of so many states that were
// scanned together.
func (c *costs) judge(s plan, states int, trial *counts) verdict {
	share := 1 - sharedFactor + sharedFactor/float64(states)
	cost := float64(trial.refined[0])*panelFactor*c[1] +
		float64(trial.refined[1])*planeFactor*c[2]*share +
		float64(trial.exact)*exactFactor
	cost /= float64(trial.tokens)
	scan := panelFactor * c[s.plane] * (1 - scanShared + scanShared/float64(states))
	all := sharedCost(states) / float64(states)
	return verdict{cost: cost, giveUp: cost > all, noGain: cost+scan > all*worthwhile}
}

// sharedCost returns the cost of all logits of several states, which share the reading
// of the head.
func sharedCost(states int) float64 { return math.Sqrt(float64(states)) }

// joinPlain reports whether states that could go on at a cost had better be computed
// plainly with the plain ones.
func joinPlain(cost float64, states, plain int) bool {
	return cost+sharedCost(plain) > sharedCost(plain+states)
}

// backoff spares requests that were no gain further tries. Each failure doubles the
// number of selections that are computed plainly, up to maxBackoff.
type backoff struct {
	wait    int  // selections to go
	penalty int  // length of the last such break
	trying  bool // the last selection was tried and may still prove too small
}

const maxBackoff = 16

// try reports whether to use the coarse copy, if there is one.
func (b *backoff) try() bool {
	if b.trying {
		b.penalty = 0 // the last try was a gain
	}
	b.trying = b.wait == 0
	b.wait = max(b.wait-1, 0)
	return b.trying
}

// fail records that the last try was no gain.
func (b *backoff) fail() {
	if b.trying {
		b.trying = false
		b.penalty = min(max(1, 2*b.penalty), maxBackoff)
		b.wait = b.penalty
	}
}

// The mass of the tail is known between bounds. Planes, and then stored rows, of the
// tokens that make the bounds wide are read until these are massTolerance of the whole
// mass apart, or until more than one part in massExact of the vocabulary would have to
// be computed for that.
const (
	massTolerance = 1.0 / 2048
	massExact     = 8
	// Tokens are told apart by how far their upper bounds are below the largest
	// logit, in steps of 1/massSteps.
	massBuckets = 64
	massSteps   = 2
)
