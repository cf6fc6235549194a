package sample

// Temperature divides all logits by T; T = 0 is [Greedy]. With a Range it
// chooses the temperature by how uncertain the model is:
//
//	t = lo + (hi − lo)·(H/ln n)^Exponent, lo = max(0, T − Range), hi = T + Range
//
// where H is the entropy of the n remaining candidates in nats.
//
// Source: dynamic temperature by kalomaze, llama.cpp pull request 4972
// (llama_sampler_temp_ext); the idea of an entropy-dependent temperature also in
// Zhang, Bao and Huang, "EDT: Improving Large Language Models' Generation by
// Entropy-based Dynamic Temperature Sampling", 2024, arXiv:2403.14541.
type Temperature struct {
	T        float64
	Range    float64 // 0: the fixed temperature T
	Exponent float64
}

// Name returns "temperature".
func (Temperature) Name() string { return NameTemperature }

// Apply implements [Stage].
func (s Temperature) Apply(c *Candidates, _ *Context) error {
	t := s.T
	if s.T > 0 && s.Range > 0 {
		if c.n <= 1 && !c.partial {
			return nil
		}
		mean, z, err := c.meanExponent()
		if err != nil {
			return err
		}
		entropy := log64(float64(z)/weightOne) - mean
		relative := min(max(entropy/log64(float64(c.n)), 0), 1)
		lo, hi := max(0, s.T-s.Range), s.T+s.Range
		t = lo + float64((hi-lo)*pow64(relative, s.Exponent))
	}
	if t < 1/maxScale {
		return c.Truncate(1)
	}
	return c.Scale(1 / t)
}

// Greedy keeps only the largest candidate.
type Greedy struct{}

// Name returns "greedy".
func (Greedy) Name() string { return "greedy" }

// Apply implements [Stage].
func (Greedy) Apply(c *Candidates, _ *Context) error { return c.Truncate(1) }
