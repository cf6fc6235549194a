package sample

import "math"

// TopK keeps the K most likely candidates. K < 1 keeps all.
//
// Source: Fan, Lewis and Dauphin, "Hierarchical Neural Story Generation",
// 2018, arXiv:1805.04833.
type TopK struct {
	K       int
	MinKeep int // never leave fewer; with a larger K it has no effect
}

// Name returns "top_k".
func (TopK) Name() string { return NameTopK }

// Apply implements [Stage].
func (s TopK) Apply(c *Candidates, _ *Context) error {
	if s.K < 1 {
		return nil
	}
	return c.Truncate(max(s.K, s.MinKeep))
}

// TopP keeps the smallest set of most likely candidates whose probabilities
// add up to at least P. P ≥ 1 keeps all.
//
// Source: Holtzman et al., "The Curious Case of Neural Text Degeneration",
// 2020, arXiv:1904.09751 (nucleus sampling).
type TopP struct {
	P       float64
	MinKeep int
}

// Name returns "top_p".
func (TopP) Name() string { return NameTopP }

// Apply implements [Stage].
func (s TopP) Apply(c *Candidates, _ *Context) error {
	if s.P >= 1 {
		return nil
	}
	if c.partial {
		lo, hi, err := c.partialSum()
		if err != nil {
			return err
		}
		m, err := s.cut(c, lo)
		if err != nil {
			return err
		}
		if mHi, err := s.cut(c, hi); err != nil {
			return err
		} else if mHi != m {
			return ErrNeedAll
		}
		return c.Truncate(m)
	}
	z, err := c.sum()
	if err != nil {
		return err
	}
	m, err := s.cut(c, float64(z))
	if err != nil {
		return err
	}
	return c.Truncate(m)
}

// cut returns how many candidates TopP keeps when all weights add up to z.
func (s TopP) cut(c *Candidates, z float64) (int, error) {
	target := s.P * z
	var cum uint64
	for i := range c.n {
		k, err := c.at(i)
		if err != nil {
			return 0, err
		}
		cum += weight(c.exponent(keyLogit(k)))
		if float64(cum) >= target && i+1 >= s.MinKeep {
			return i + 1, nil
		}
	}
	if c.partial {
		return 0, ErrNeedAll
	}
	return c.n, nil
}

// MinP keeps the candidates at least P times as likely as the most likely
// one. P ≤ 0 keeps all.
//
// Source: Nguyen et al., "Turning Up the Heat: Min-p Sampling for Creative
// and Coherent LLM Outputs", 2024, arXiv:2407.01082; llama.cpp pull request
// 3841 by kalomaze.
type MinP struct {
	P       float64
	MinKeep int
}

// Name returns "min_p".
func (MinP) Name() string { return NameMinP }

// Apply implements [Stage].
func (s MinP) Apply(c *Candidates, _ *Context) error {
	if s.P <= 0 {
		return nil
	}
	top, err := c.largest()
	if err != nil {
		return err
	}
	// p ≥ P·p_max  ⇔  scale·(logit − top) ≥ ln P
	return c.keepAbove(float64(top)+log64(min(s.P, 1))/c.scale, max(s.MinKeep, 1))
}

// TopNSigma keeps the candidates whose logit is at most N standard deviations
// of all candidates' logits below the largest logit. N ≤ 0 keeps all. It
// commutes with temperature.
//
// Source: Tang et al., "Top-nσ: Not All Logits Are You Need", 2024,
// arXiv:2411.07641. As in llama.cpp, σ is the population standard deviation
// and excluded tokens do not count.
type TopNSigma struct {
	N       float64
	MinKeep int
}

// Name returns "top_n_sigma".
func (TopNSigma) Name() string { return NameTopNSigma }

// Apply implements [Stage].
func (s TopNSigma) Apply(c *Candidates, _ *Context) error {
	if s.N <= 0 {
		return nil
	}
	sigma, err := c.stddev()
	if err != nil {
		return err
	}
	top, err := c.largest()
	if err != nil {
		return err
	}
	// Logits, σ and threshold all scale alike, so the unscaled ones will do.
	return c.keepAbove(float64(top)-float64(s.N*sigma), max(s.MinKeep, 1))
}

// stddev returns the population standard deviation of the unscaled logits.
// A dense set is summed in four interleaved stripes by token id, a list in
// descending order: one order each, so the bits do not depend on anything
// else.
func (c *Candidates) stddev() (float64, error) {
	if c.partial {
		return 0, ErrNeedAll
	}
	if c.listed {
		if err := c.prefix(c.n); err != nil {
			return 0, err
		}
		var sum, sq float64
		for _, k := range c.keys[:c.n] {
			sum += float64(keyLogit(k))
		}
		mean := sum / float64(c.n)
		for _, k := range c.keys[:c.n] {
			d := float64(keyLogit(k)) - mean
			sq += float64(d * d)
		}
		return math.Sqrt(sq / float64(c.n)), nil
	}
	var sum, sq [4]float64
	for i, v := range c.dense[:c.vocab] {
		if v >= -math.MaxFloat32 {
			sum[i&3] += float64(v)
		}
	}
	mean := ((sum[0] + sum[1]) + (sum[2] + sum[3])) / float64(c.n)
	for i, v := range c.dense[:c.vocab] {
		if v >= -math.MaxFloat32 {
			d := float64(v) - mean
			sq[i&3] += float64(d * d)
		}
	}
	return math.Sqrt(((sq[0] + sq[1]) + (sq[2] + sq[3])) / float64(c.n)), nil
}

// XTC ("exclude top choices") removes, with the given probability, every
// candidate that is at least as likely as Threshold except the least likely
// of them, so that a viable choice always remains. A Threshold above 0.5 never
// removes anything, since no two tokens can reach it. It removes nothing that
// would leave fewer than MinKeep candidates.
//
// Source: p-e-w, text-generation-webui pull request 6335; llama.cpp pull
// request 9742.
//
// It tosses one coin per Apply with a generator of its own ([NewXTC]).
type XTC struct {
	Probability float64
	Threshold   float64
	MinKeep     int

	seed uint64
	rng  Stream
}

// NewXTC returns an XTC stage whose coin is seeded with seed.
func NewXTC(probability, threshold float64, minKeep int, seed uint64) *XTC {
	s := &XTC{Probability: probability, Threshold: threshold, MinKeep: minKeep}
	s.Seed(seed)
	return s
}

// Name returns "xtc".
func (*XTC) Name() string { return NameXTC }

// Apply implements [Stage].
func (s *XTC) Apply(c *Candidates, _ *Context) error {
	if s.Probability <= 0 || s.Threshold > 0.5 {
		return nil
	}
	if c.partial {
		return ErrNeedAll // before the coin is tossed
	}
	if s.rng.Float64() >= s.Probability {
		return nil
	}
	z, err := c.sum()
	if err != nil {
		return err
	}
	above := 0
	target := s.Threshold * float64(z)
	for above < c.n {
		k, err := c.at(above)
		if err != nil {
			return err
		}
		if float64(weight(c.exponent(keyLogit(k)))) < target {
			break
		}
		above++
	}
	if above < 2 || c.n-(above-1) < s.MinKeep {
		return nil
	}
	c.list()
	if err := c.prefix(above); err != nil {
		return err
	}
	sorted := c.sorted
	c.keepRange(above-1, c.n)
	c.sorted = sorted - (above - 1)
	return nil
}

// Accept implements [Stateful]; XTC does not depend on the chosen tokens.
func (*XTC) Accept(int32) {}

// Reset implements [Stateful]: it starts the coin's generator anew.
func (s *XTC) Reset() { s.Seed(s.seed) }

// Clone implements [Stateful].
func (s *XTC) Clone() Stage {
	t := *s
	return &t
}

// Seed implements [Seeded].
func (s *XTC) Seed(seed uint64) {
	s.seed = seed
	s.rng = NewStream(seed, streamXTC)
}
