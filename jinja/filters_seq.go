package jinja

import (
	"slices"
	"strings"
)

// The filters that take lists apart and put them together.

func batchFilter(s *state, in Value, a *args) (Value, error) {
	p, err := a.bind("linecount", "fill_with")
	if err != nil {
		return nil, err
	}
	n, err := intArg("linecount", p[0], 0)
	if err != nil {
		return nil, err
	}
	items, err := s.items(in)
	if err != nil {
		return nil, err
	}
	if n < 1 || n > int64(s.limits.Output) {
		return nil, fail(ErrType, "linecount %d is out of range", n)
	}
	out := &List{}
	for len(items) > 0 {
		k := min(int(n), len(items))
		if err := s.allocItems(int(n) + 1); err != nil {
			return nil, err
		}
		row := append([]Value{}, items[:k]...)
		for p[1] != absent && p[1] != nil && len(row) < int(n) {
			row = append(row, p[1])
		}
		out.Items = append(out.Items, &List{Items: row})
		items = items[k:]
	}
	return out, nil
}

func sliceFilter(s *state, in Value, a *args) (Value, error) {
	p, err := a.bind("slices", "fill_with")
	if err != nil {
		return nil, err
	}
	n64, err := intArg("slices", p[0], 0)
	if err != nil {
		return nil, err
	}
	items, err := s.items(in)
	if err != nil {
		return nil, err
	}
	if n64 < 1 || n64 > int64(s.limits.Output) {
		return nil, fail(ErrType, "slices %d is out of range", n64)
	}
	n := int(n64)
	if err := s.allocItems(len(items) + 2*n); err != nil {
		return nil, err
	}
	out := &List{Items: make([]Value, n)}
	per, extra := len(items)/n, len(items)%n
	for i := range n {
		k := per
		if i < extra {
			k++
		}
		row := append([]Value{}, items[:k]...)
		items = items[k:]
		if p[1] != absent && p[1] != nil && i >= extra {
			row = append(row, p[1])
		}
		out.Items[i] = &List{Items: row}
	}
	return out, nil
}

// endFilter is first or last.
func endFilter(last bool) filterFunc {
	return func(s *state, in Value, a *args) (Value, error) {
		if _, err := a.bind(); err != nil {
			return nil, err
		}
		if text, ok := in.(string); ok && text != "" {
			if last {
				return s.char(text, -1)
			}
			return s.char(text, 0)
		}
		items, err := s.items(in)
		if err != nil {
			return nil, err
		}
		switch {
		case len(items) == 0:
			return &undefined{hint: "no first or last item, sequence was empty"}, nil
		case last:
			return items[len(items)-1], nil
		}
		return items[0], nil
	}
}

func itemsFilter(s *state, in Value, a *args) (Value, error) {
	switch v := in.(type) {
	case *undefined:
		return NewList(), nil
	case *Dict:
		return s.dictItems(v)
	}
	return nil, fail(ErrType, "can only get item pairs from a mapping, not %s", typeName(in))
}

func joinFilter(s *state, in Value, a *args) (Value, error) {
	p, err := a.bind("d", "attribute")
	if err != nil {
		return nil, err
	}
	items, err := s.items(in)
	if err != nil {
		return nil, err
	}
	sep := ""
	if p[0] != absent {
		if sep, err = s.str(p[0]); err != nil {
			return nil, err
		}
	}
	if p[1] != absent && p[1] != nil {
		get := s.attrGetter(p[1], nil)
		mapped := make([]Value, len(items))
		for i, e := range items {
			if mapped[i], err = get(e); err != nil {
				return nil, err
			}
		}
		items = mapped
	}
	return s.join(sep, items)
}

func listFilter(s *state, in Value, a *args) (Value, error) {
	items, err := s.items(in)
	if err != nil {
		return nil, err
	}
	return &List{Items: items[:len(items):len(items)]}, nil
}

// attrGetter reads an attribute path such as "function.name", or an index. def replaces
// an undefined value unless it is nil.
func (s *state) attrGetter(attr, def Value) func(Value) (Value, error) {
	var parts []Value
	if path, ok := attr.(string); ok {
		for _, part := range strings.Split(path, ".") {
			if n, ok := digits(part); ok {
				parts = append(parts, int64(n))
			} else {
				parts = append(parts, part)
			}
		}
	} else {
		parts = []Value{attr}
	}
	return func(v Value) (Value, error) {
		for _, part := range parts {
			if err := s.step(1); err != nil {
				return nil, err
			}
			var err error
			if v, err = s.getItem(v, part); err != nil {
				return nil, err
			}
			if def != nil && isUndefined(v) {
				v = def
			}
		}
		return v, nil
	}
}

// someItems is items for the filters that Python's jinja2 gives an empty result of anything that is not
// true, None included.
func (s *state) someItems(v Value) ([]Value, error) {
	if v == nil || v == false {
		return nil, nil
	}
	return s.items(v)
}

func mapFilter(s *state, in Value, a *args) (Value, error) {
	var f func(Value) (Value, error)
	if len(a.pos) == 0 {
		p, err := a.bind("", "attribute", "default")
		if err != nil {
			return nil, err
		}
		if p[1] == absent {
			return nil, fail(ErrType, "needs a filter name or an attribute")
		}
		if p[2] == absent {
			p[2] = nil
		}
		f = s.attrGetter(p[1], p[2])
	} else {
		name, ok := a.pos[0].(string)
		if !ok {
			return nil, argType("filter", "str", a.pos[0])
		}
		fn := filters[name]
		if fn == nil {
			return nil, fail(ErrUnsupported, "there is no filter '%s'", name)
		}
		rest := &args{a.pos[1:], a.kw}
		f = func(v Value) (Value, error) { return fn(s, v, rest) }
	}
	items, err := s.someItems(in)
	if err != nil {
		return nil, err
	}
	if err := s.allocItems(len(items)); err != nil {
		return nil, err
	}
	out := make([]Value, len(items))
	for i, e := range items {
		if err := s.step(2); err != nil {
			return nil, err
		}
		if out[i], err = f(e); err != nil {
			return nil, err
		}
	}
	return &List{Items: out}, nil
}

// selectFilter is select, reject, selectattr or rejectattr.
func selectFilter(keep, byAttr bool) filterFunc {
	return func(s *state, in Value, a *args) (Value, error) {
		pos := a.pos
		get := func(v Value) (Value, error) { return v, nil }
		if byAttr {
			if len(pos) == 0 {
				return nil, fail(ErrType, "needs an attribute name")
			}
			get = s.attrGetter(pos[0], nil)
			pos = pos[1:]
		}
		check := func(v Value) (bool, error) { return truth(v), nil }
		if len(pos) > 0 {
			name, ok := pos[0].(string)
			if !ok {
				return nil, argType("test", "str", pos[0])
			}
			fn := tests[name]
			if fn == nil {
				return nil, fail(ErrUnsupported, "there is no test '%s'", name)
			}
			rest := &args{pos[1:], a.kw}
			check = func(v Value) (bool, error) { return fn(s, v, rest) }
		}
		items, err := s.someItems(in)
		if err != nil {
			return nil, err
		}
		if err := s.allocItems(len(items)); err != nil {
			return nil, err
		}
		out := &List{Items: make([]Value, 0, len(items))}
		for _, e := range items {
			if err := s.step(2); err != nil {
				return nil, err
			}
			v, err := get(e)
			if err != nil {
				return nil, err
			}
			ok, err := check(v)
			if err != nil {
				return nil, err
			}
			if ok == keep {
				out.Items = append(out.Items, e)
			}
		}
		return out, nil
	}
}

func reverseFilter(s *state, in Value, a *args) (Value, error) {
	if text, ok := in.(string); ok {
		return s.slice(text, nil, nil, int64(-1))
	}
	items, err := s.items(in)
	if err != nil {
		return nil, err
	}
	if err := s.allocItems(len(items)); err != nil {
		return nil, err
	}
	out := slices.Clone(items)
	slices.Reverse(out)
	return &List{Items: out}, nil
}

func sumFilter(s *state, in Value, a *args) (Value, error) {
	p, err := a.bind("attribute", "start")
	if err != nil {
		return nil, err
	}
	items, err := s.items(in)
	if err != nil {
		return nil, err
	}
	var total Value = int64(0)
	if p[1] != absent {
		total = p[1]
	}
	get := func(v Value) (Value, error) { return v, nil }
	if p[0] != absent && p[0] != nil {
		get = s.attrGetter(p[0], nil)
	}
	for _, e := range items {
		v, err := get(e)
		if err != nil {
			return nil, err
		}
		if total, err = s.binary('+', total, v); err != nil {
			return nil, err
		}
	}
	return total, nil
}
