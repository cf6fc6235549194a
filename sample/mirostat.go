package sample

import "math"

// Mirostat keeps the surprise of the text, −log2 p per token, near Tau bits
// by feedback: a bound μ on the surprise, 2·Tau at first, changes by
// −Eta·(observed surprise − Tau) with every accepted token.
//
// Version 2 removes candidates whose surprise exceeds μ, but never the most
// likely one. Version 1 estimates the Zipf exponent
//
//	ŝ = Σ tᵢbᵢ / Σ tᵢ², tᵢ = ln((i+2)/(i+1)), bᵢ = ln(pᵢ/pᵢ₊₁)
//
// from the 100 most likely of N tokens and keeps the
// k = ((ŝ−1)·2^μ / (1 − N^(1−ŝ)))^(1/ŝ) most likely (rounded, at least 1).
//
// Source: Basu et al., "Mirostat: A Neural Text Decoding Algorithm that
// Directly Controls Perplexity", 2021, arXiv:2007.14966, and the authors' code
// at github.com/basusourya/mirostat. As there, the observed surprise is that
// of the distribution before the cut; llama.cpp takes it after.
//
// It must be a pipeline's last stage.
type Mirostat struct {
	Version  int // 1 or 2
	Tau, Eta float64

	mu    float64
	keys  []uint64 // the candidates of the last Apply after the cut
	top   float32
	scale float64
	lnZ   float64
}

// NewMirostat returns a Mirostat stage; version is 1 or 2.
func NewMirostat(version int, tau, eta float64) *Mirostat {
	s := &Mirostat{Version: version, Tau: tau, Eta: eta}
	s.Reset()
	return s
}

// Name returns "mirostat".
func (*Mirostat) Name() string { return NameMirostat }

// Mu returns the current bound on the surprise, in bits.
func (s *Mirostat) Mu() float64 { return s.mu }

// Apply implements [Stage].
func (s *Mirostat) Apply(c *Candidates, _ *Context) error {
	z, err := c.sum()
	if err != nil {
		return err
	}
	s.top, s.scale = c.top, c.scale
	s.lnZ = log64(float64(z) / weightOne)
	if s.Version == 1 {
		k, err := s.zipfCut(c)
		if err != nil {
			return err
		}
		if err := c.Truncate(k); err != nil {
			return err
		}
	} else {
		// −log2 p ≤ μ  ⇔  x ≥ ln Z − μ·ln 2
		x := s.lnZ - float64(s.mu*ln2)
		if err := c.keepAbove(float64(c.top)+x/c.scale, 1); err != nil {
			return err
		}
	}
	c.list()
	s.keys = append(s.keys[:0], c.keys[:c.n]...)
	return nil
}

// zipfCut returns version 1's k.
func (s *Mirostat) zipfCut(c *Candidates) (int, error) {
	m := min(100, c.n)
	var tb, tt float64
	for i := range m - 1 {
		a, err := c.at(i)
		if err != nil {
			return 0, err
		}
		b, err := c.at(i + 1)
		if err != nil {
			return 0, err
		}
		t := log64(float64(i+2) / float64(i+1))
		// The logarithm of a ratio of probabilities is a difference of logits.
		tb += float64(t * float64((float64(keyLogit(a))-float64(keyLogit(b)))*c.scale))
		tt += float64(t * t)
	}
	if tt == 0 || tb == 0 {
		return c.n, nil // one candidate, or all alike: no exponent to estimate
	}
	zipf := tb / tt
	eps := zipf - 1
	lnN := log64(float64(c.vocab))
	// ln(eps/(1 − N^−eps)), whose limit at eps = 0 is −ln ln N.
	var lnRatio float64
	if y := float64(eps * lnN); math.Abs(y) < 1e-9 {
		lnRatio = -log64(lnN)
	} else {
		lnRatio = log64(eps / (1 - exp64(-y)))
	}
	k := exp64((float64(s.mu*ln2) + lnRatio) / zipf)
	switch {
	case !(k >= 1):
		return 1, nil
	case k >= float64(c.n):
		return c.n, nil
	}
	return int(math.RoundToEven(k)), nil
}

// Accept implements [Stateful]. A token that was no candidate of the last
// Apply leaves μ alone.
func (s *Mirostat) Accept(token int32) {
	for _, k := range s.keys {
		if keyID(k) == token {
			x := float64((float64(keyLogit(k)) - float64(s.top)) * s.scale)
			surprise := float64((s.lnZ - x) * invLn2)
			s.mu -= float64(s.Eta * (surprise - s.Tau))
			break
		}
	}
	s.keys = s.keys[:0]
}

// Reset implements [Stateful].
func (s *Mirostat) Reset() {
	s.mu = float64(2 * s.Tau)
	s.keys = s.keys[:0]
}

// Clone implements [Stateful].
func (s *Mirostat) Clone() Stage {
	t := *s
	t.keys = append([]uint64(nil), s.keys...)
	return &t
}
