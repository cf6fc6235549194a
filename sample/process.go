package sample

import (
	"fmt"
	"math"
)

// Process returns a stage that calls f with the logits of the whole vocabulary,
// to change them in place: what other programs call a logits processor. Tokens
// that are no candidates any more are at −Inf and stay there; others leave at
// −Inf or NaN, and +Inf becomes the largest float32. The logits are valid until
// f returns. f must not depend on how often it is called.
func Process(name string, f func(logits []float32, ctx *Context) error) Stage {
	return &processor{name, f}
}

type processor struct {
	name string
	f    func([]float32, *Context) error
}

// Name implements [Stage].
func (p *processor) Name() string { return p.name }

// Apply implements [Stage].
func (p *processor) Apply(c *Candidates, ctx *Context) error {
	err := c.process(func(logits []float32) error { return p.f(logits, ctx) })
	if err != nil && err != ErrNeedAll {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	return err
}

// process lets f change the logits of all candidates at once.
func (c *Candidates) process(f func(logits []float32) error) error {
	if c.partial {
		return ErrNeedAll
	}
	c.bake()
	dense := grow(c.dense, c.vocab)
	none := float32(math.Inf(-1))
	if c.listed {
		for i := range dense {
			dense[i] = none
		}
		for _, k := range c.keys[:c.n] {
			dense[keyID(k)] = keyLogit(k)
		}
	}
	c.bits = grow(c.bits, (c.vocab+63)/64)
	clear(c.bits)
	for i, v := range dense {
		if v >= -math.MaxFloat32 {
			c.bits[i/64] |= 1 << (i % 64)
		}
	}
	err := f(dense)
	n := 0
	for i, v := range dense {
		if c.bits[i/64]>>(i%64)&1 == 0 {
			dense[i] = none
			continue
		}
		if dense[i] = clampLogit(float64(v)); dense[i] >= -math.MaxFloat32 {
			n++
		}
	}
	c.dense, c.keys, c.listed, c.sorted, c.n = dense, c.keys[:0], false, 0, n
	c.topOK, c.totalOK = false, false
	if err != nil {
		return err
	}
	return c.someLeft()
}
