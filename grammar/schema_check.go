package grammar

import (
	"errors"
	"fmt"
	"strings"
)

// Relaxed returns the demands of the JSON Schemas that g is made of that texts of g may break.
func (g *Grammar) Relaxed() []Relaxation { return g.relaxed }

// Check reports whether a JSON value satisfies the schema that g is made of: all of it, with what [Grammar.Relaxed]
// lists. tool names the tool whose arguments the value is, "" if g is not made of tools. Of properties of the
// same name the last counts, as parsers of JSON have it. The error wraps
// [ErrInvalid] if the value does not satisfy the schema, [ErrUndecided] if that cannot be told, because of a pattern or
// a reference that is not understood, or of values nested more than 10,000 deep and numbers of more than 16,384 digits
// or with an exponent beyond 400, or [ErrSyntax] if it is not JSON. A grammar without such a schema
// finds nothing wrong.
func (g *Grammar) Check(tool string, value []byte) error { return Compiler{}.Check(g, tool, value) }

// Check is [Grammar.Check] until the context ends; the error is then the context's, too.
func (c Compiler) Check(g *Grammar, tool string, value []byte) (err error) {
	root := g.roots[tool]
	if root == nil {
		return nil
	}
	v, err := jsonReader{repeats: true, depth: maxValueDepth, digits: maxValueDigits}.read("value", value)
	if err != nil {
		return err
	}
	m := c.meter()
	defer func() {
		if errors.Is(err, ErrTooLarge) {
			err = fmt.Errorf("%w: it takes too long", ErrUndecided)
		} else if c.ctx != nil && err != nil && errors.Is(err, c.ctx.Err()) {
			err = fmt.Errorf("%w: %w", ErrUndecided, err)
		}
	}()
	defer recoverSchema(&err)
	defer stop(&err)
	k := &checker{meter: m}
	ask := func(how verdict) bool { return k.valid(v, root, how) }
	switch {
	case ask(certainly):
		return nil
	case ask(possibly):
		return fmt.Errorf("%w%s", ErrUndecided, g.places(tool))
	}
	return fmt.Errorf("%w%s", ErrInvalid, g.places(tool))
}

// places says which demands a text of g may break.
func (g *Grammar) places(tool string) string {
	var at []string
	for _, r := range g.relaxed {
		if r.Tool == tool && len(at) < 8 {
			at = append(at, r.Place())
		}
	}
	if len(at) == 0 {
		return ""
	}
	return "; the grammar does not hold to " + strings.Join(at, ", ")
}
