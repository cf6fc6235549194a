package generate

import (
	"slices"
	"strings"

	"trit/tokenizer"
)

// Either returns the constraint of a text that keeps to one of several: which
// one, the text itself decides.
func Either(constraints ...Constraint) Constraint { return &either{open: constraints} }

type either struct {
	open []Constraint // those that the text has not left yet
	mask []uint64
}

// MaskWithin implements Constraint. As long as one of the constraints fits into
// what is left, those that do not are left alone.
func (c *either) MaskWithin(dst []uint64, left int) (bool, error) {
	clear(dst)
	c.mask = append(c.mask[:0], dst...)
	some := false
	for _, o := range c.open {
		fits, err := o.MaskWithin(c.mask, left)
		if err != nil {
			return false, err
		}
		if some && !fits {
			continue
		}
		if fits && !some {
			clear(dst)
			some = true
		}
		for i, word := range c.mask {
			dst[i] |= word
		}
	}
	return some, nil
}

// Accept implements Constraint.
func (c *either) Accept(token int32) error {
	kept := make([]Constraint, 0, len(c.open))
	var first error
	for _, o := range c.open {
		if err := o.Accept(token); err == nil {
			kept = append(kept, o)
		} else if first == nil {
			first = err
		}
	}
	if len(kept) == 0 {
		return first
	}
	c.open = kept
	return nil
}

// CanEnd implements Constraint.
func (c *either) CanEnd() bool { return slices.ContainsFunc(c.open, Constraint.CanEnd) }

// Done implements Constraint.
func (c *either) Done() bool {
	return !slices.ContainsFunc(c.open, func(o Constraint) bool { return !o.Done() })
}

// Clone implements Constraint.
func (c *either) Clone() Constraint {
	open := make([]Constraint, len(c.open))
	for i, o := range c.open {
		open[i] = o.Clone()
	}
	return &either{open: open}
}

// After returns the constraint of a text that is free up to a mark and keeps to
// c behind it, but for white space in the mark's last token. It cannot end
// before the mark.
func After(t *tokenizer.Tokenizer, mark string, c Constraint) Constraint {
	return &after{tokenizer: t, mark: mark, then: c, spill: map[string][]int32{}}
}

type after struct {
	tokenizer *tokenizer.Tokenizer
	mark      string
	tail      string // the end of the text that may begin the mark
	found     bool
	then      Constraint
	// spill holds, by tail, the tokens that complete the mark and go on with
	// more than white space: what they add could not be checked.
	spill map[string][]int32
}

// MaskWithin implements Constraint. How long the free part gets is not known, so
// it is taken to fit.
func (c *after) MaskWithin(dst []uint64, left int) (bool, error) {
	if c.found {
		return c.then.MaskWithin(dst, left)
	}
	clear(dst)
	allow(dst[:(c.tokenizer.Len()+63)/64], c.tokenizer.Len())
	forbid := func(ids []int32) {
		for _, id := range ids {
			dst[id/64] &^= 1 << (id % 64)
		}
	}
	forbid(c.tokenizer.EOG())
	bad, known := c.spill[c.tail]
	if !known {
		for id := range int32(c.tokenizer.Len()) {
			_, rest, ok := strings.Cut(c.tail+c.tokenizer.Piece(id, true), c.mark)
			if ok && strings.TrimSpace(rest) != "" {
				bad = append(bad, id)
			}
		}
		c.spill[c.tail] = bad
	}
	forbid(bad)
	return true, nil
}

// Accept implements Constraint.
func (c *after) Accept(token int32) error {
	if c.found {
		return c.then.Accept(token)
	}
	text := c.tail + c.tokenizer.Piece(token, true)
	c.found = strings.Contains(text, c.mark)
	n := min(len(text), len(c.mark)-1)
	for !strings.HasPrefix(c.mark, text[len(text)-n:]) {
		n--
	}
	c.tail = text[len(text)-n:]
	return nil
}

// CanEnd implements Constraint.
func (c *after) CanEnd() bool { return c.found && c.then.CanEnd() }

// Done implements Constraint.
func (c *after) Done() bool { return c.found && c.then.Done() }

// Clone implements Constraint.
func (c *after) Clone() Constraint {
	clone := *c
	clone.then = c.then.Clone()
	clone.spill = map[string][]int32{}
	return &clone
}
