package core

import (
	"encoding/json"
	"fmt"
	"slices"

	"trit/grammar"
	"trit/internal/generate"
)

// Format is what an answer must look like. At most one field is set; none
// means text.
type Format struct {
	Object  bool            // any JSON object
	Schema  json.RawMessage // JSON that validates against this schema
	Loose   bool            // what the schema says in unknown words is ignored
	Gbnf    string          // a grammar in llama.cpp's notation
	Pattern string          // a regular expression
	Choice  []string        // one of these texts

	Param string // the field of the request that asks for it; for errors
}

// Key tells formats apart.
func (f *Format) Key() string {
	switch {
	case f.Object:
		return "object"
	case f.Schema != nil:
		return fmt.Sprint("schema ", f.Loose, string(f.Schema))
	case f.Gbnf != "":
		return "gbnf " + f.Gbnf
	case f.Pattern != "":
		return "pattern " + f.Pattern
	case f.Choice != nil:
		return fmt.Sprintf("choice %q", f.Choice)
	}
	return ""
}

func (f *Format) grammar() (*grammar.Grammar, error) {
	switch {
	case f.Object:
		return grammar.JSONObject(grammar.WhitespaceLimited), nil
	case f.Schema != nil:
		return grammar.FromJSONSchema(f.Schema, grammar.SchemaOptions{IgnoreUnknown: f.Loose})
	case f.Gbnf != "":
		return grammar.ParseGBNF(f.Gbnf)
	case f.Pattern != "":
		return grammar.CompileRegexp(f.Pattern)
	}
	return grammar.Choice(f.Choice...)
}

// Constraint returns what makes an answer of the model look like that, or nil
// for text.
func (l *Lease) Constraint(f Format) (generate.Constraint, error) {
	key := f.Key()
	if key == "" {
		return nil, nil
	}
	c, err := l.constrain(key, f.grammar)
	return c, Blame(err, f.Param)
}

// either is a text that keeps to one of several constraints: which one, the text
// itself decides.
type either struct {
	open []generate.Constraint // those that the text has not left yet
	mask []uint64
}

// MaskWithin implements generate.Constraint. As long as one of the constraints
// fits into what is left, those that do not are left alone.
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

// Accept implements generate.Constraint.
func (c *either) Accept(token int32) error {
	kept := make([]generate.Constraint, 0, len(c.open))
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

// CanEnd implements generate.Constraint.
func (c *either) CanEnd() bool {
	return slices.ContainsFunc(c.open, generate.Constraint.CanEnd)
}

// Done implements generate.Constraint.
func (c *either) Done() bool {
	return !slices.ContainsFunc(c.open, func(o generate.Constraint) bool { return !o.Done() })
}

// Clone implements generate.Constraint.
func (c *either) Clone() generate.Constraint {
	open := make([]generate.Constraint, len(c.open))
	for i, o := range c.open {
		open[i] = o.Clone()
	}
	return &either{open: open}
}

// constrain returns the constraint of a grammar, which build makes if it is
// not known by this key yet.
func (l *Lease) constrain(key string, build func() (*grammar.Grammar, error)) (generate.Constraint, error) {
	return l.Model.ConstraintFor(key, build)
}
