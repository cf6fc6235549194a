package jinja

import (
	"strings"
)

// expr is a node of the syntax tree that has a value.
type expr interface {
	eval(s *state) (Value, error)
}

type constExpr struct{ v Value }

func (n *constExpr) eval(*state) (Value, error) { return n.v, nil }

type nameExpr struct {
	name string
	line int32
}

func (n *nameExpr) eval(s *state) (Value, error) {
	if err := s.step(1); err != nil {
		return nil, at(err, n.line)
	}
	if v, ok := s.scope.lookup(n.name); ok {
		return v, nil
	}
	if f, ok := globals[n.name]; ok {
		return f, nil
	}
	return &undefined{key: n.name}, nil
}

type listExpr struct {
	elems []expr
	tuple bool
	line  int32
}

func (n *listExpr) eval(s *state) (Value, error) {
	if err := s.allocItems(len(n.elems)); err != nil {
		return nil, at(err, n.line)
	}
	l := &List{Items: make([]Value, len(n.elems)), Tuple: n.tuple}
	for i, e := range n.elems {
		v, err := e.eval(s)
		if err != nil {
			return nil, err
		}
		l.Items[i] = v
	}
	return l, nil
}

type dictExpr struct {
	keys, vals []expr
	line       int32
}

func (n *dictExpr) eval(s *state) (Value, error) {
	if err := s.allocItems(2 * len(n.keys)); err != nil {
		return nil, at(err, n.line)
	}
	d := NewDict(len(n.keys))
	for i := range n.keys {
		k, err := n.keys[i].eval(s)
		if err != nil {
			return nil, err
		}
		if !hashable(k) {
			return nil, at(fail(ErrType, "unhashable type: '%s'", typeName(k)), n.line)
		}
		v, err := n.vals[i].eval(s)
		if err != nil {
			return nil, err
		}
		d.set(k, v)
	}
	return d, nil
}

type condExpr struct {
	test, then, alt expr
	line            int32
}

func (n *condExpr) eval(s *state) (Value, error) {
	v, err := n.test.eval(s)
	if err != nil {
		return nil, err
	}
	if truth(v) {
		return n.then.eval(s)
	}
	if n.alt == nil {
		return &undefined{hint: "the inline if-expression has no else section"}, nil
	}
	return n.alt.eval(s)
}

type logicExpr struct {
	a, b expr
	or   bool
}

func (n *logicExpr) eval(s *state) (Value, error) {
	v, err := n.a.eval(s)
	if err != nil || truth(v) == n.or {
		return v, err
	}
	return n.b.eval(s)
}

type notExpr struct{ e expr }

func (n *notExpr) eval(s *state) (Value, error) {
	v, err := n.e.eval(s)
	if err != nil {
		return nil, err
	}
	return !truth(v), nil
}

type compareLink struct {
	op string
	e  expr
}

type compareExpr struct {
	first expr
	links []compareLink
	line  int32
}

func (n *compareExpr) eval(s *state) (Value, error) {
	a, err := n.first.eval(s)
	if err != nil {
		return nil, err
	}
	for i := range n.links {
		b, err := n.links[i].e.eval(s)
		if err != nil {
			return nil, err
		}
		ok, err := s.compare(n.links[i].op, a, b)
		if err != nil {
			return nil, at(within(err, "operator", n.links[i].op), n.line)
		}
		if !ok {
			return false, nil
		}
		a = b
	}
	return true, nil
}

func (s *state) compare(op string, a, b Value) (bool, error) {
	if err := s.step(1); err != nil {
		return false, err
	}
	switch op {
	case "==":
		return s.equal(a, b, 0)
	case "!=":
		eq, err := s.equal(a, b, 0)
		return !eq, err
	case "in":
		return s.contains(b, a)
	case "not in":
		in, err := s.contains(b, a)
		return !in, err
	}
	c, err := s.order(a, b, 0)
	switch op {
	case "<":
		return c < 0, err
	case "<=":
		return c <= 0, err
	case ">":
		return c > 0, err
	}
	return c >= 0, err
}

type concatExpr struct {
	elems []expr
	line  int32
}

func (n *concatExpr) eval(s *state) (Value, error) {
	var b strings.Builder
	for _, e := range n.elems {
		v, err := e.eval(s)
		if err != nil {
			return nil, err
		}
		text, err := s.str(v)
		if err != nil {
			return nil, at(err, n.line)
		}
		if b.Len()+len(text) > s.limits.Output {
			return nil, at(s.tooLarge(), n.line)
		}
		b.WriteString(text)
	}
	return b.String(), at(s.alloc(b.Len()), n.line)
}

type signExpr struct {
	neg  bool
	e    expr
	line int32
}

func (n *signExpr) eval(s *state) (Value, error) {
	v, err := n.e.eval(s)
	if err != nil {
		return nil, err
	}
	i, f, isFloat, ok := number(v)
	switch {
	case !ok:
		return nil, at(operandError("-", v, v), n.line)
	case !n.neg && isFloat:
		return f, nil
	case !n.neg:
		return i, nil
	case isFloat:
		return -f, nil
	case i == -i && i != 0:
		return nil, at(fail(ErrType, "integer overflow"), n.line)
	}
	return -i, nil
}

// Operators of binaryExpr that have two characters.
const (
	opFloorDiv = 'd'
	opPow      = 'p'
)

type binaryExpr struct {
	op   byte
	a, b expr
	line int32
}

func (n *binaryExpr) eval(s *state) (Value, error) {
	a, err := n.a.eval(s)
	if err != nil {
		return nil, err
	}
	b, err := n.b.eval(s)
	if err != nil {
		return nil, err
	}
	v, err := s.binary(n.op, a, b)
	return v, at(err, n.line)
}

type attrExpr struct {
	e    expr
	name string
	line int32
}

func (n *attrExpr) eval(s *state) (Value, error) {
	v, err := n.e.eval(s)
	if err != nil {
		return nil, err
	}
	if err := s.step(1); err != nil {
		return nil, at(err, n.line)
	}
	r, err := getAttr(v, n.name)
	return r, at(err, n.line)
}

type itemExpr struct {
	e, key expr
	line   int32
}

func (n *itemExpr) eval(s *state) (Value, error) {
	v, err := n.e.eval(s)
	if err != nil {
		return nil, err
	}
	k, err := n.key.eval(s)
	if err != nil {
		return nil, err
	}
	if err := s.step(1); err != nil {
		return nil, at(err, n.line)
	}
	r, err := s.getItem(v, k)
	return r, at(err, n.line)
}

type sliceExpr struct {
	e, start, stop, step expr
	line                 int32
}

func (n *sliceExpr) eval(s *state) (Value, error) {
	v, err := n.e.eval(s)
	if err != nil {
		return nil, err
	}
	var part [3]Value
	for i, e := range []expr{n.start, n.stop, n.step} {
		if e != nil {
			if part[i], err = e.eval(s); err != nil {
				return nil, err
			}
		}
	}
	r, err := s.slice(v, part[0], part[1], part[2])
	return r, at(err, n.line)
}
