package engine

import (
	"math/bits"
	"time"
)

// While somebody reads along, a step lasts at most passTime, or, where the rows that
// are being read take half of that or more by themselves, twice as long as these: a
// machine that is slow gives prompts half of its time. Without readers a step is as
// large as pays.
const passTime = 120 * time.Millisecond

// patience is how long a reader who has got a token is expected to come back for more.
const patience = time.Second

// A larger step has to save one part in gainFraction of the time of a row to be worth
// that newcomers wait for its end.
const gainFraction = 32

// New observations count for so much. Others' use of the processor only ever adds
// time, so less time is believed sooner than more, and no step counts for more than
// twice what was expected.
const (
	lessWeight = 0.5
	moreWeight = 0.25
	mostTimes  = 2
)

// pace knows from the steps so far what a row costs, and says how many rows the next
// may have. The rows of a step share the reading of the weights, so the cost is kept
// for each power of two: seconds per row in steps of 1, of 2, of 3 and 4, of 5 to 8 rows
// and so on; 0 where there was no step yet.
type pace [15]float64

// sizeClass returns the index of the steps of n rows.
func sizeClass(n int) int { return bits.Len(uint(n - 1)) }

// observe notes the time of a step.
func (p *pace) observe(rows int, took time.Duration) {
	class := sizeClass(rows)
	cost := took.Seconds() / float64(rows)
	switch known := p[class]; {
	case known == 0:
	case cost < known:
		cost = known + (cost-known)*lessWeight
	default:
		cost = known + (min(cost, mostTimes*known)-known)*moreWeight
	}
	p[class] = cost
	// Rows of larger steps are no dearer. Without this a class that has once been too
	// slow would never be tried again.
	for i := class + 1; i < len(p); i++ {
		p[i] = min(p[i], cost)
	}
}

// cost returns the seconds that a row is expected to take in a step of a class, 0 if
// there was no step at all. Where there was none of that class, it is at most what it
// is in the next smaller one, or a larger step takes as long.
func (p *pace) cost(class int) float64 {
	for i := class; i >= 0; i-- {
		if p[i] > 0 {
			return p[i]
		}
	}
	for i := class + 1; i < len(p); i++ {
		if p[i] > 0 {
			return p[i] * float64(int(1)<<(i-class))
		}
	}
	return 0
}

// least returns the seconds that so many rows take at least, as far as is known.
func (p *pace) least(rows int) float64 {
	class := sizeClass(rows)
	if p[class] > 0 {
		return p[class] * float64(rows)
	}
	for class--; class >= 0; class-- {
		if p[class] > 0 {
			return p[class] * float64(int(1)<<class)
		}
	}
	return 0
}

// limit returns the number of rows of the next step, of which running generations have
// so many; there is room for one more at least, up to most. streams says whether
// somebody reads along.
func (p *pace) limit(decoding int, streams bool, most int) int {
	if !streams {
		return p.efficient(most)
	}
	budget := passTime.Seconds()
	if decoding > 0 {
		budget = max(budget, 2*p.least(decoding))
	}
	return min(max(decoding+1, p.within(budget, most)), most)
}

// within returns the largest number of rows that take no longer than so many seconds.
func (p *pace) within(seconds float64, most int) int {
	for class := sizeClass(most); class > 0; class-- {
		cost := p.cost(class)
		if cost*float64(most) <= seconds {
			return most
		}
		if n := min(int(seconds/cost), 1<<class); n > 1<<class/2 {
			return min(n, most)
		}
	}
	return 1
}

// efficient returns the smallest number of rows that is as good as most. Where the
// whole is short, nobody waits long for its end, and it is taken: the times of short
// steps are the least certain.
func (p *pace) efficient(most int) int {
	best := p[sizeClass(most)]
	if best*float64(most) <= passTime.Seconds() {
		return most
	}
	for class := range sizeClass(most) {
		if p[class] > 0 && p[class] <= best*(1+1./gainFraction) {
			return 1 << class
		}
	}
	return most // the best, or never tried
}

// streams reports whether somebody reads along: a running generation is to go on, or
// its client has not come back yet.
func (s *Scheduler) streams() bool {
	for _, r := range s.queue {
		if r.decodes() && !r.waits() {
			return true
		}
	}
	now := s.now()
	for c := range s.sessions {
		if !c.queued && now.Sub(c.spoke) < patience {
			return true
		}
	}
	return false
}
