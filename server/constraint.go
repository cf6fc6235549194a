package server

import (
	"encoding/json"
	"fmt"
	"slices"

	"trit/grammar"
	"trit/internal/generate"
)

// format is what an answer must look like. At most one field is set; none
// means text.
type format struct {
	object  bool            // any JSON object
	schema  json.RawMessage // JSON that validates against this schema
	loose   bool            // what the schema says in unknown words is ignored
	gbnf    string          // a grammar in llama.cpp's notation
	pattern string          // a regular expression
	choice  []string        // one of these texts

	param string // the field of the request that asks for it; for errors
}

// key tells formats apart.
func (f *format) key() string {
	switch {
	case f.object:
		return "object"
	case f.schema != nil:
		return fmt.Sprint("schema ", f.loose, string(f.schema))
	case f.gbnf != "":
		return "gbnf " + f.gbnf
	case f.pattern != "":
		return "pattern " + f.pattern
	case f.choice != nil:
		return fmt.Sprintf("choice %q", f.choice)
	}
	return ""
}

func (f *format) grammar() (*grammar.Grammar, error) {
	switch {
	case f.object:
		return grammar.JSONObject(grammar.WhitespaceLimited), nil
	case f.schema != nil:
		return grammar.FromJSONSchema(f.schema, grammar.SchemaOptions{IgnoreUnknown: f.loose})
	case f.gbnf != "":
		return grammar.ParseGBNF(f.gbnf)
	case f.pattern != "":
		return grammar.CompileRegexp(f.pattern)
	}
	return grammar.Choice(f.choice...)
}

// constraint returns what makes an answer of the model look like that, or nil
// for text.
func (l *lease) constraint(f format) (generate.Constraint, error) {
	key := f.key()
	if key == "" {
		return nil, nil
	}
	c, err := l.constrain(key, f.grammar)
	return c, blame(err, f.param)
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
func (l *lease) constrain(key string, build func() (*grammar.Grammar, error)) (generate.Constraint, error) {
	return l.Model.ConstraintFor(key, build)
}
