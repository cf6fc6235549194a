package generate

import (
	"fmt"
	"math"

	"trit/grammar"
	"trit/sample"
)

// Constraint is what a text must keep to: a grammar, a schema. It stands at one
// place of one text. [Grammar] makes one from package grammar.
type Constraint interface {
	// MaskWithin sets bit id%64 of word id/64 of dst, which covers the model's
	// vocabulary, for the tokens that may come next, and clears the others.
	// Tokens that end the text are among them where it is complete. left more
	// tokens can be generated, not counting one that ends the text: near the
	// limit only tokens are allowed from which the text can still be completed.
	// If that is no longer possible, fits is false and left plays no part.
	MaskWithin(dst []uint64, left int) (fits bool, err error)
	// Accept appends a token to the text. It is an error if the token may not
	// come next.
	Accept(token int32) error
	// CanEnd reports whether the text is complete as it is, Done whether
	// nothing can follow it but an end.
	CanEnd() bool
	Done() bool
	// Clone returns an independent copy.
	Clone() Constraint
}

// Grammar returns the constraint to go on from a state of a grammar. The state
// is not changed.
func Grammar(s *grammar.State) Constraint { return grammarConstraint{s.Clone()} }

type grammarConstraint struct{ *grammar.State }

func (c grammarConstraint) Clone() Constraint { return grammarConstraint{c.State.Clone()} }

// mask fills in which tokens row r, behind i guesses, may choose. c is the
// constraint at that place.
func (a *choice) mask(r *row, c Constraint, i int) error {
	early := a.generated+i < a.options.MinTokens
	if f, ok := c.(interface{ free() bool }); ok && f.free() {
		c = nil // a mask of everything would only cost time
	}
	if c == nil && !early {
		return nil
	}
	if words := (a.vocab + 63) / 64; len(r.mask) < words {
		r.mask = make([]uint64, words)
	}
	if c != nil {
		if _, err := c.MaskWithin(r.mask, a.limit-a.generated-i); err != nil {
			return fmt.Errorf("generated token %d: %w", a.generated+i+1, err)
		}
	} else {
		allow(r.mask, a.vocab)
	}
	if early {
		a.forbidEnd(r.mask)
	}
	r.context.Mask = r.mask
	return nil
}

// allow sets the first n bits of a mask and clears the rest.
func allow(mask []uint64, n int) {
	for i := range mask {
		mask[i] = math.MaxUint64
	}
	if n%64 != 0 {
		mask[n/64] = 1<<(n%64) - 1
	}
}

// allows reports whether a row may choose a token.
func allows(c *sample.Context, id int32) bool {
	return c.Mask == nil || c.Mask[id/64]>>(id%64)&1 != 0
}
