package jinja

// jump says how a statement list was left.
type jump uint8

const (
	jumpNone jump = iota
	jumpBreak
	jumpContinue
)

// stmt is a node of the syntax tree that writes output or changes variables.
type stmt interface {
	exec(s *state) (jump, error)
}

func (s *state) run(body []stmt) (jump, error) {
	for _, n := range body {
		if j, err := n.exec(s); j != jumpNone || err != nil {
			return j, err
		}
	}
	return jumpNone, nil
}

type textStmt struct{ text string }

func (n *textStmt) exec(s *state) (jump, error) {
	if err := s.step(1); err != nil {
		return jumpNone, err
	}
	return jumpNone, s.write(n.text)
}

type printStmt struct {
	e    expr
	line int32
}

func (n *printStmt) exec(s *state) (jump, error) {
	v, err := n.e.eval(s)
	if err != nil {
		return jumpNone, at(err, n.line)
	}
	text, ok := v.(string)
	if !ok {
		if text, err = s.str(v); err != nil {
			return jumpNone, at(err, n.line)
		}
	}
	if err := s.write(text); err != nil {
		return jumpNone, at(err, n.line)
	}
	return jumpNone, nil
}

type ifArm struct {
	test expr
	body []stmt
}

type ifStmt struct {
	arms []ifArm
	alt  []stmt
}

func (n *ifStmt) exec(s *state) (jump, error) {
	for i := range n.arms {
		v, err := n.arms[i].test.eval(s)
		if err != nil {
			return jumpNone, err
		}
		if truth(v) {
			return s.run(n.arms[i].body)
		}
	}
	return s.run(n.alt)
}

type forStmt struct {
	target    *target
	iter      expr
	test      expr
	body, alt []stmt
	recursive bool
	line      int32
}

// loopVar is the variable "loop" of a for block.
type loopVar struct {
	node    *forStmt
	scope   *scope // where the for block stands, for recursive loops
	items   []Value
	index0  int
	depth0  int
	changed []Value // what loop.changed saw last
}

func (n *forStmt) exec(s *state) (jump, error) {
	v, err := n.iter.eval(s)
	if err != nil {
		return jumpNone, at(err, n.line)
	}
	return n.loop(s, v, 0)
}

// loop runs the block over v. depth0 counts the levels of a recursive loop.
func (n *forStmt) loop(s *state, v Value, depth0 int) (jump, error) {
	items, err := s.items(v)
	if err != nil {
		return jumpNone, at(err, n.line)
	}
	outer := s.scope
	defer func() { s.scope = outer }()
	sc := &scope{parent: outer}
	s.scope = sc
	if n.test != nil {
		var kept []Value
		for _, e := range items {
			if err := s.step(1); err != nil {
				return jumpNone, at(err, n.line)
			}
			sc.reset()
			if err := n.target.assign(s, e); err != nil {
				return jumpNone, at(err, n.line)
			}
			ok, err := n.test.eval(s)
			if err != nil {
				return jumpNone, at(err, n.line)
			}
			if truth(ok) {
				kept = append(kept, e)
			}
		}
		items = kept
	}
	if len(items) == 0 {
		s.scope = outer
		if n.alt == nil {
			return jumpNone, nil
		}
		s.scope = &scope{parent: outer}
		return s.run(n.alt)
	}
	loop := &loopVar{node: n, scope: outer, items: items, depth0: depth0}
	for i, e := range items {
		if err := s.step(1); err != nil {
			return jumpNone, at(err, n.line)
		}
		loop.index0 = i
		sc.reset()
		if err := n.target.assign(s, e); err != nil {
			return jumpNone, at(err, n.line)
		}
		sc.set("loop", loop)
		j, err := s.run(n.body)
		if err != nil {
			return jumpNone, err
		}
		if j == jumpBreak {
			break
		}
	}
	return jumpNone, nil
}

// attr returns loop's attribute.
func (l *loopVar) attr(name string) (Value, bool) {
	n := len(l.items)
	switch name {
	case "index":
		return int64(l.index0 + 1), true
	case "index0":
		return int64(l.index0), true
	case "revindex":
		return int64(n - l.index0), true
	case "revindex0":
		return int64(n - l.index0 - 1), true
	case "first":
		return l.index0 == 0, true
	case "last":
		return l.index0 == n-1, true
	case "length":
		return int64(n), true
	case "depth":
		return int64(l.depth0 + 1), true
	case "depth0":
		return int64(l.depth0), true
	case "previtem":
		if l.index0 == 0 {
			return &undefined{hint: "there is no previous item"}, true
		}
		return l.items[l.index0-1], true
	case "nextitem":
		if l.index0 == n-1 {
			return &undefined{hint: "there is no next item"}, true
		}
		return l.items[l.index0+1], true
	case "cycle":
		return &callable{"cycle", func(s *state, a *args) (Value, error) {
			if len(a.pos) == 0 {
				return nil, fail(ErrType, "loop.cycle needs values")
			}
			return a.pos[l.index0%len(a.pos)], nil
		}}, true
	case "changed":
		return &callable{"changed", func(s *state, a *args) (Value, error) {
			same := l.changed != nil
			if same {
				eq, err := s.equal(NewList(l.changed...), NewList(a.pos...), 0)
				if err != nil {
					return nil, err
				}
				same = eq
			}
			l.changed = append([]Value{}, a.pos...)
			return !same, nil
		}}, true
	}
	return nil, false
}

// call is loop(items) in a recursive loop: the block's output for the items.
func (l *loopVar) call(s *state, a *args) (Value, error) {
	if !l.node.recursive {
		return nil, fail(ErrType, "the loop must have the 'recursive' marker to be called recursively")
	}
	if len(a.pos) != 1 {
		return nil, fail(ErrType, "loop() takes one argument")
	}
	if err := s.enterCall(); err != nil {
		return nil, err
	}
	defer s.leaveCall()
	out, outer := s.out, s.scope
	s.out, s.scope = nil, l.scope
	_, err := l.node.loop(s, a.pos[0], l.depth0+1)
	text := string(s.out)
	s.out, s.scope = out, outer
	if err != nil {
		return nil, err
	}
	return text, s.alloc(len(text))
}

// target is what set, for and with assign to.
type target struct {
	name  string
	attr  string    // set for namespace.attribute
	elems []*target // set for a tuple
	line  int32
}

func (t *target) assign(s *state, v Value) error {
	switch {
	case t.elems != nil:
		items, err := s.items(v)
		if err == nil && isUndefined(v) {
			err = fail(ErrUndefined, "%s", v.(*undefined).message())
		}
		if err != nil {
			return at(err, t.line)
		}
		if len(items) != len(t.elems) {
			return at(fail(ErrType, "cannot unpack %d values into %d variables", len(items), len(t.elems)), t.line)
		}
		for i, e := range t.elems {
			if err := e.assign(s, items[i]); err != nil {
				return err
			}
		}
	case t.attr != "":
		obj, _ := s.scope.lookup(t.name)
		ns, ok := obj.(*namespace)
		if !ok {
			return at(fail(ErrType, "cannot assign '%s.%s': only namespace() objects have assignable attributes", t.name, t.attr), t.line)
		}
		ns.vars.set(t.attr, v)
	default:
		s.scope.set(t.name, v)
	}
	return nil
}

type setStmt struct {
	target *target
	e      expr
	line   int32
}

func (n *setStmt) exec(s *state) (jump, error) {
	v, err := n.e.eval(s)
	if err != nil {
		return jumpNone, at(err, n.line)
	}
	return jumpNone, at(n.target.assign(s, v), n.line)
}

// captureStmt is {% set x %}…{% endset %}. The innermost input of filter is nil: the captured text.
type captureStmt struct {
	target *target
	filter expr
	body   []stmt
	line   int32
}

func (n *captureStmt) exec(s *state) (jump, error) {
	text, err := s.capture(n.body, &scope{parent: s.scope})
	if err != nil {
		return jumpNone, at(err, n.line)
	}
	var v Value = text
	if n.filter != nil {
		if v, err = n.filter.(*filterExpr).apply(s, text); err != nil {
			return jumpNone, at(err, n.line)
		}
	}
	return jumpNone, at(n.target.assign(s, v), n.line)
}

// filterStmt is {% filter f %}…{% endfilter %}.
type filterStmt struct {
	filter expr
	body   []stmt
	line   int32
}

func (n *filterStmt) exec(s *state) (jump, error) {
	text, err := s.capture(n.body, &scope{parent: s.scope})
	if err != nil {
		return jumpNone, at(err, n.line)
	}
	v, err := n.filter.(*filterExpr).apply(s, text)
	if err != nil {
		return jumpNone, at(err, n.line)
	}
	if text, err = s.str(v); err != nil {
		return jumpNone, at(err, n.line)
	}
	return jumpNone, at(s.write(text), n.line)
}

// withStmt gives its body a scope of its own, with variables evaluated outside it.
type withStmt struct {
	targets []*target
	values  []expr
	body    []stmt
	line    int32
}

func (n *withStmt) exec(s *state) (jump, error) {
	vals := make([]Value, len(n.values))
	for i, e := range n.values {
		v, err := e.eval(s)
		if err != nil {
			return jumpNone, at(err, n.line)
		}
		vals[i] = v
	}
	outer := s.scope
	s.scope = &scope{parent: outer}
	defer func() { s.scope = outer }()
	for i, t := range n.targets {
		if err := t.assign(s, vals[i]); err != nil {
			return jumpNone, at(err, n.line)
		}
	}
	return s.run(n.body)
}

type jumpStmt struct {
	to   jump
	line int32
}

func (n *jumpStmt) exec(s *state) (jump, error) { return n.to, s.step(1) }

// Macros.

type param struct {
	name string
	def  expr
}

type macroBody struct {
	name                    string
	params                  []param
	body                    []stmt
	line                    int32
	varargs, kwargs, caller bool // the body uses the variable of that name
}

type macroStmt struct{ m *macroBody }

func (n *macroStmt) exec(s *state) (jump, error) {
	s.scope.set(n.m.name, n.m.bind(s.scope))
	return jumpNone, s.step(1)
}

// bind makes the macro callable; its body sees the variables of the scope it was defined in.
func (m *macroBody) bind(sc *scope) *callable {
	return &callable{m.name, func(s *state, a *args) (Value, error) {
		if err := s.enterCall(); err != nil {
			return nil, err
		}
		defer s.leaveCall()
		inner := &scope{parent: sc}
		if len(a.pos) > len(m.params) && !m.varargs {
			return nil, fail(ErrType, "macro '%s' takes not more than %d argument(s), %d given", m.name, len(m.params), len(a.pos))
		}
		used := 0
		outer := s.scope
		s.scope = inner
		defer func() { s.scope = outer }()
		explicitCaller := false
		for i, p := range m.params {
			explicitCaller = explicitCaller || p.name == "caller"
			v, ok := a.kwValue(p.name)
			switch {
			case i < len(a.pos):
				if ok {
					return nil, fail(ErrType, "macro '%s' got two values for argument '%s'", m.name, p.name)
				}
				v = a.pos[i]
			case ok:
				used++
			case p.def != nil:
				var err error
				if v, err = p.def.eval(s); err != nil {
					return nil, err
				}
			default:
				v = &undefined{hint: "parameter '" + p.name + "' was not provided"}
			}
			inner.set(p.name, v)
		}
		rest := NewDict(0)
		for _, kw := range a.kw {
			switch {
			case kw.name == "caller" && m.caller && !explicitCaller:
				inner.set("caller", kw.val)
				used++
			case m.kwargs && !m.takes(kw.name):
				rest.set(kw.name, kw.val)
				used++
			}
		}
		if used < len(a.kw) {
			for _, kw := range a.kw {
				if !m.takes(kw.name) && !(kw.name == "caller" && m.caller) {
					return nil, fail(ErrType, "macro '%s' takes no keyword argument '%s'", m.name, kw.name)
				}
			}
		}
		if m.caller && !explicitCaller {
			if _, ok := a.kwValue("caller"); !ok {
				inner.set("caller", &undefined{hint: "no caller defined"})
			}
		}
		if m.kwargs {
			inner.set("kwargs", rest)
		}
		if m.varargs {
			inner.set("varargs", &List{Items: a.pos[min(len(a.pos), len(m.params)):], Tuple: true})
		}
		return s.capture(m.body, inner)
	}}
}

func (m *macroBody) takes(name string) bool {
	for _, p := range m.params {
		if p.name == name {
			return true
		}
	}
	return false
}

// callStmt is {% call f() %}…{% endcall %}: it calls f with the body as "caller".
type callStmt struct {
	call *callExpr
	m    *macroBody
	line int32
}

func (n *callStmt) exec(s *state) (jump, error) {
	caller := n.m.bind(s.scope)
	v, err := n.call.invoke(s, &kwArg{"caller", caller})
	if err != nil {
		return jumpNone, at(err, n.line)
	}
	text, err := s.str(v)
	if err != nil {
		return jumpNone, at(err, n.line)
	}
	return jumpNone, at(s.write(text), n.line)
}
