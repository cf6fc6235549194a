package generate

import "slices"

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
