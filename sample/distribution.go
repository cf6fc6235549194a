package sample

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// A Distribution gives each of a few tokens a probability, Weights[i]/Total;
// all other tokens have probability zero. Tokens are in descending order of
// weight as pipelines make them.
type Distribution struct {
	IDs     []int32
	Weights []uint64
	Total   uint64 // the sum of Weights, below 2^63

	index []indexed // by id, for Residual
}

type indexed struct {
	id   int32
	prob float64
}

// Prob returns the probability of token id.
func (d *Distribution) Prob(id int32) float64 {
	for i, x := range d.IDs {
		if x == id {
			return float64(d.Weights[i]) / float64(d.Total)
		}
	}
	return 0
}

// Top returns the n most likely tokens, the most likely first.
func (d *Distribution) Top(n int) []TokenProb {
	top := make([]TokenProb, min(n, len(d.IDs)))
	for i := range top {
		top[i] = TokenProb{d.IDs[i], float64(d.Weights[i]) / float64(d.Total)}
	}
	return top
}

// Residual stores max(0, p(x) − q(x)), normalised, in d: the distribution to
// draw from when a token speculated from q was rejected against p. When q
// covers p completely, so that no rejection was possible, it stores p. d may
// be p.
//
// Source: Leviathan, Kalman and Matias, "Fast Inference from Transformers via
// Speculative Decoding", 2023, arXiv:2211.17192.
func (d *Distribution) Residual(p, q *Distribution) error {
	if len(p.IDs) == 0 || p.Total == 0 || len(q.IDs) == 0 || q.Total == 0 {
		return fmt.Errorf("%w: a distribution is empty", ErrNoCandidate)
	}
	index := d.index[:0]
	for i, id := range q.IDs {
		index = append(index, indexed{id, float64(q.Weights[i]) / float64(q.Total)})
	}
	slices.SortFunc(index, func(a, b indexed) int { return cmp.Compare(a.id, b.id) })
	d.index = index

	var left float64 // decides whether anything remains, before d = p is overwritten
	rest := func(i int) uint64 {
		prob := float64(p.Weights[i]) / float64(p.Total)
		if j, ok := slices.BinarySearchFunc(index, p.IDs[i], func(x indexed, id int32) int { return cmp.Compare(x.id, id) }); ok {
			prob -= index[j].prob
		}
		if prob <= 0 {
			return 0
		}
		return uint64(int64(prob * 0x1p52))
	}
	for i := range p.IDs {
		left += float64(rest(i))
	}
	ids, weights := d.IDs[:0], d.Weights[:0]
	total := p.Total
	if left > 0 {
		var sum uint64
		for i, id := range p.IDs {
			if w := rest(i); w > 0 {
				ids, weights = append(ids, id), append(weights, w)
				sum += w
			}
		}
		total = sum
	} else {
		ids, weights = append(ids, p.IDs...), append(weights, p.Weights...)
	}
	d.IDs, d.Weights, d.Total = ids, weights, total
	return nil
}

// fill stores the candidates' distribution.
func (d *Distribution) fill(c *Candidates) error {
	z, err := c.sum()
	if err != nil {
		return err
	}
	if err := c.prefix(c.n); err != nil {
		return err
	}
	d.IDs, d.Weights, d.Total = d.IDs[:0], d.Weights[:0], z
	for _, k := range c.keys[:c.n] {
		if w := weight(c.exponent(keyLogit(k))); w > 0 {
			d.IDs, d.Weights = append(d.IDs, keyID(k)), append(d.Weights, w)
		}
	}
	return nil
}

// pick returns the first token whose cumulative weight exceeds
// ⌊u·Total/2^64⌋.
func (d *Distribution) pick(u uint64) int32 {
	r, _ := bits.Mul64(u, d.Total)
	for i, w := range d.Weights {
		if r < w {
			return d.IDs[i]
		}
		r -= w
	}
	return d.IDs[len(d.IDs)-1]
}

// Entropy returns the distribution's entropy in nats.
func (d *Distribution) Entropy() float64 {
	var h float64
	for _, w := range d.Weights {
		if w > 0 {
			p := float64(w) / float64(d.Total)
			h -= float64(p * log64(p))
		}
	}
	return math.Max(h, 0)
}
