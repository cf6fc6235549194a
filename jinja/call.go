package jinja

// Calls of functions, methods, filters and tests.

type kwExpr struct {
	name string
	e    expr
}

// argList is the arguments of a call as written.
type argList struct {
	pos            []expr
	kw             []kwExpr
	star, starStar expr
}

func (l *argList) empty() bool {
	return len(l.pos) == 0 && len(l.kw) == 0 && l.star == nil && l.starStar == nil
}

type kwArg struct {
	name string
	val  Value
}

// args is the arguments of a call, evaluated.
type args struct {
	pos []Value
	kw  []kwArg
}

var noArgs = &args{}

func (a *args) kwValue(name string) (Value, bool) {
	for i := range a.kw {
		if a.kw[i].name == name {
			return a.kw[i].val, true
		}
	}
	return nil, false
}

// bind returns the values of the named parameters, in order; missing ones are absent.
func (a *args) bind(names ...string) ([]Value, error) {
	if len(a.pos) > len(names) {
		return nil, fail(ErrType, "takes at most %d argument(s), %d given", len(names), len(a.pos))
	}
	out := make([]Value, len(names))
	for i := range out {
		out[i] = absent
	}
	copy(out, a.pos)
next:
	for _, kw := range a.kw {
		for i, n := range names {
			if n == kw.name {
				if i < len(a.pos) {
					return nil, fail(ErrType, "got two values for argument '%s'", n)
				}
				out[i] = kw.val
				continue next
			}
		}
		return nil, fail(ErrType, "takes no keyword argument '%s'", kw.name)
	}
	return out, nil
}

type absentValue struct{}

// absent marks a parameter that a call gave no value for.
var absent Value = absentValue{}

func (l *argList) eval(s *state) (*args, error) {
	if l.empty() {
		return noArgs, nil
	}
	a := &args{pos: make([]Value, 0, len(l.pos))}
	for _, e := range l.pos {
		v, err := e.eval(s)
		if err != nil {
			return nil, err
		}
		a.pos = append(a.pos, v)
	}
	for _, kw := range l.kw {
		v, err := kw.e.eval(s)
		if err != nil {
			return nil, err
		}
		a.kw = append(a.kw, kwArg{kw.name, v})
	}
	if l.star != nil {
		v, err := l.star.eval(s)
		if err != nil {
			return nil, err
		}
		items, err := s.items(v)
		if err != nil {
			return nil, err
		}
		if err := s.allocItems(len(items)); err != nil {
			return nil, err
		}
		a.pos = append(a.pos, items...)
	}
	if l.starStar != nil {
		v, err := l.starStar.eval(s)
		if err != nil {
			return nil, err
		}
		d, ok := v.(*Dict)
		if !ok {
			return nil, fail(ErrType, "argument after ** must be a mapping, not %s", typeName(v))
		}
		for i, k := range d.keys {
			name, ok := k.(string)
			if !ok {
				return nil, fail(ErrType, "keywords must be strings, not %s", typeName(k))
			}
			a.kw = append(a.kw, kwArg{name, d.vals[i]})
		}
	}
	seen := map[string]bool(nil)
	if len(a.kw) > 1 {
		seen = make(map[string]bool, len(a.kw))
	}
	for _, kw := range a.kw {
		if seen[kw.name] {
			return nil, fail(ErrType, "keyword argument '%s' given twice", kw.name)
		}
		if seen != nil {
			seen[kw.name] = true
		}
	}
	return a, nil
}

type callExpr struct {
	fn   expr
	args argList
	line int32
}

func (n *callExpr) eval(s *state) (Value, error) { return n.invoke(s, nil) }

// invoke calls with one more keyword argument, if any.
func (n *callExpr) invoke(s *state, extra *kwArg) (Value, error) {
	if err := s.step(2); err != nil {
		return nil, at(err, n.line)
	}
	if m, ok := n.fn.(*attrExpr); ok { // a method, or a callable attribute
		obj, err := m.e.eval(s)
		if err != nil {
			return nil, err
		}
		if str, ok := obj.(string); ok {
			if fn, ok := stringMethods[m.name]; ok {
				a, err := n.args.eval(s)
				if err != nil {
					return nil, at(err, n.line)
				}
				v, err := fn(s, str, a)
				return v, at(within(err, "method", m.name), n.line)
			}
		}
		fn, err := getAttr(obj, m.name)
		if err != nil {
			return nil, at(err, n.line)
		}
		return n.apply(s, fn, extra)
	}
	fn, err := n.fn.eval(s)
	if err != nil {
		return nil, err
	}
	return n.apply(s, fn, extra)
}

func (n *callExpr) apply(s *state, fn Value, extra *kwArg) (Value, error) {
	a, err := n.args.eval(s)
	if err != nil {
		return nil, at(err, n.line)
	}
	if extra != nil {
		a = &args{a.pos, append(a.kw[:len(a.kw):len(a.kw)], *extra)}
	}
	switch fn := fn.(type) {
	case *callable:
		v, err := fn.fn(s, a)
		return v, at(within(err, "function", fn.name), n.line)
	case *loopVar:
		v, err := fn.call(s, a)
		return v, at(err, n.line)
	case *undefined:
		return nil, at(fail(ErrUndefined, "call of %s", fn.message()), n.line)
	}
	return nil, at(fail(ErrType, "'%s' object is not callable", typeName(fn)), n.line)
}

type filterExpr struct {
	in   expr // nil: the text of a filter or set block
	name string
	fn   filterFunc // nil: there is no such filter
	args argList
	line int32
}

func (n *filterExpr) eval(s *state) (Value, error) {
	in, err := n.in.eval(s)
	if err != nil {
		return nil, err
	}
	return n.on(s, in)
}

// apply runs a chain of filters whose innermost input is text.
func (n *filterExpr) apply(s *state, text Value) (Value, error) {
	if inner, ok := n.in.(*filterExpr); ok {
		v, err := inner.apply(s, text)
		if err != nil {
			return nil, err
		}
		text = v
	}
	return n.on(s, text)
}

func (n *filterExpr) on(s *state, in Value) (Value, error) {
	if n.fn == nil {
		return nil, at(fail(ErrUnsupported, "there is no filter '%s'", n.name), n.line)
	}
	if err := s.step(2); err != nil {
		return nil, at(err, n.line)
	}
	a, err := n.args.eval(s)
	if err != nil {
		return nil, at(err, n.line)
	}
	v, err := n.fn(s, in, a)
	if err != nil {
		return nil, at(within(err, "filter", n.name), n.line)
	}
	return v, nil
}

type testExpr struct {
	in     expr
	name   string
	fn     testFunc // nil: there is no such test
	args   argList
	negate bool
	line   int32
}

func (n *testExpr) eval(s *state) (Value, error) {
	in, err := n.in.eval(s)
	if err != nil {
		return nil, err
	}
	if n.fn == nil {
		return nil, at(fail(ErrUnsupported, "there is no test '%s'", n.name), n.line)
	}
	if err := s.step(1); err != nil {
		return nil, at(err, n.line)
	}
	a, err := n.args.eval(s)
	if err != nil {
		return nil, at(err, n.line)
	}
	ok, err := n.fn(s, in, a)
	if err != nil {
		return nil, at(within(err, "test", n.name), n.line)
	}
	return ok != n.negate, nil
}
