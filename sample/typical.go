package sample

import "math"

// TypicalP keeps the smallest set of candidates that are most typical, that
// is, whose surprise −ln p is closest to the entropy H of the distribution,
// and whose probabilities add up to at least P. P ≥ 1 keeps all. Among equally
// typical candidates the more likely one is kept first.
//
// Source: Meister et al., "Locally Typical Sampling", 2022, arXiv:2202.00666.
type TypicalP struct {
	P       float64
	MinKeep int
}

// Name returns "typical_p".
func (TypicalP) Name() string { return NameTypicalP }

// Apply implements [Stage].
//
// With x = logit − largest logit, −ln p = ln Z − x and H = ln Z − E[x], so the
// distance |−ln p − H| is |x − E[x]|: typical candidates lie around a centre
// in the order of logits, and two pointers walk outward from it.
func (s TypicalP) Apply(c *Candidates, _ *Context) error {
	if s.P >= 1 {
		return nil
	}
	mean, z, err := c.meanExponent()
	if err != nil {
		return err
	}
	target := s.P * float64(z)

	distance := func(i int) (float64, error) {
		k, err := c.at(i)
		if err != nil {
			return 0, err
		}
		return math.Abs(c.exponent(keyLogit(k)) - mean), nil
	}
	// hi is the first candidate below the centre, lo = hi.
	hi := 0
	for ; hi < c.n; hi++ {
		k, err := c.at(hi)
		if err != nil {
			return err
		}
		if c.exponent(keyLogit(k)) < mean {
			break
		}
	}
	lo := hi
	var cum uint64
	kept := 0
	take := func(i int) bool { // whether the set is complete
		cum += weight(c.exponent(keyLogit(c.keys[i])))
		kept++
		return float64(cum) >= target && kept >= s.MinKeep
	}
	for lo > 0 || hi < c.n {
		up, down := math.Inf(1), math.Inf(1)
		if lo > 0 {
			if up, err = distance(lo - 1); err != nil {
				return err
			}
		}
		if hi < c.n {
			if down, err = distance(hi); err != nil {
				return err
			}
		}
		if up > down {
			hi++
			if take(hi - 1) {
				break
			}
			continue
		}
		// Equal logits above the centre are taken with the lowest id first, so
		// a set that ends among them has a gap, which is closed here.
		first := lo - 1
		for first > 0 && keyLogit(c.keys[first-1]) == keyLogit(c.keys[lo-1]) {
			first--
		}
		for i := first; i < lo; i++ {
			if take(i) {
				gap := copy(c.keys[i+1:], c.keys[lo:hi])
				c.keepRange(first, i+1+gap)
				return nil
			}
		}
		lo = first
	}
	if lo == 0 && hi == c.n {
		return nil
	}
	c.keepRange(lo, hi)
	return nil
}
