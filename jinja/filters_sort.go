package jinja

import (
	"slices"
	"strings"
)

// The filters that compare the items of a list.

func dictsortFilter(s *state, in Value, a *args) (Value, error) {
	p, err := a.bind("case_sensitive", "by", "reverse")
	if err != nil {
		return nil, err
	}
	d, ok := in.(*Dict)
	if !ok {
		return nil, argType("value", "a mapping", in)
	}
	pos := int64(0)
	switch p[1] {
	case absent, "key":
	case "value":
		pos = 1
	default:
		return nil, fail(ErrType, "by must be 'key' or 'value'")
	}
	pairs, err := s.dictItems(d)
	if err != nil {
		return nil, err
	}
	fold := p[0] == absent || !truth(p[0])
	out, err := s.sorted(pairs.(*List).Items, p[2] != absent && truth(p[2]), func(v Value) (Value, error) {
		return foldCase(v.(*List).Items[pos], fold), nil
	})
	return &List{Items: out}, err
}

// foldCase prepares a sort key: strings compare without regard to case if fold is set.
func foldCase(v Value, fold bool) Value {
	if text, ok := v.(string); ok && fold {
		return strings.ToLower(text)
	}
	return v
}

// sorted returns items in stable order of their keys (of themselves if key is nil).
func (s *state) sorted(items []Value, reverse bool, key func(Value) (Value, error)) ([]Value, error) {
	if err := s.allocItems(4 * len(items)); err != nil {
		return nil, err
	}
	type keyed struct{ key, val Value }
	list := make([]keyed, len(items))
	for i, e := range items {
		list[i] = keyed{e, e}
		if key != nil {
			k, err := key(e)
			if err != nil {
				return nil, err
			}
			list[i].key = k
		}
	}
	var failure error
	slices.SortStableFunc(list, func(a, b keyed) int {
		if failure != nil {
			return 0
		}
		if failure = s.step(1); failure != nil {
			return 0
		}
		var c int
		c, failure = s.order(a.key, b.key, 0)
		if reverse {
			c = -c
		}
		return c
	})
	out := make([]Value, len(list))
	for i, e := range list {
		out[i] = e.val
	}
	return out, failure
}

// multiKey reads a comma-separated list of attributes as sort key.
func (s *state) multiKey(attr Value, fold bool) func(Value) (Value, error) {
	if attr == absent || attr == nil {
		return func(v Value) (Value, error) { return foldCase(v, fold), nil }
	}
	var gets []func(Value) (Value, error)
	if path, ok := attr.(string); ok {
		for _, part := range strings.Split(path, ",") {
			gets = append(gets, s.attrGetter(part, nil))
		}
	} else {
		gets = append(gets, s.attrGetter(attr, nil))
	}
	return func(v Value) (Value, error) {
		out := &List{Items: make([]Value, len(gets))}
		for i, get := range gets {
			k, err := get(v)
			if err != nil {
				return nil, err
			}
			out.Items[i] = foldCase(k, fold)
		}
		return out, nil
	}
}

func sortFilter(s *state, in Value, a *args) (Value, error) {
	p, err := a.bind("reverse", "case_sensitive", "attribute")
	if err != nil {
		return nil, err
	}
	items, err := s.items(in)
	if err != nil {
		return nil, err
	}
	out, err := s.sorted(items, p[0] != absent && truth(p[0]), s.multiKey(p[2], p[1] == absent || !truth(p[1])))
	return &List{Items: out}, err
}

func uniqueFilter(s *state, in Value, a *args) (Value, error) {
	p, err := a.bind("case_sensitive", "attribute")
	if err != nil {
		return nil, err
	}
	items, err := s.items(in)
	if err != nil {
		return nil, err
	}
	key := func(v Value) (Value, error) { return v, nil }
	if p[1] != absent && p[1] != nil {
		key = s.attrGetter(p[1], nil)
	}
	seen := map[Value]bool{}
	out := &List{}
	for _, e := range items {
		if err := s.step(2); err != nil {
			return nil, err
		}
		k, err := key(e)
		if err != nil {
			return nil, err
		}
		if k = foldCase(k, p[0] == absent || !truth(p[0])); isUndefined(k) {
			k = (*undefined)(nil)
		} else if !hashable(k) {
			return nil, fail(ErrType, "unhashable type: '%s'", typeName(k))
		}
		if k = dictKey(k); !seen[k] {
			seen[k] = true
			out.Items = append(out.Items, e)
		}
	}
	return out, s.allocItems(len(out.Items))
}

func groupbyFilter(s *state, in Value, a *args) (Value, error) {
	p, err := a.bind("attribute", "default", "case_sensitive")
	if err != nil {
		return nil, err
	}
	if p[0] == absent {
		return nil, argType("attribute", "str", absent)
	}
	if p[1] == absent {
		p[1] = nil
	}
	items, err := s.items(in)
	if err != nil {
		return nil, err
	}
	get := s.attrGetter(p[0], p[1])
	fold := p[2] == absent || !truth(p[2])
	key := func(v Value) (Value, error) {
		k, err := get(v)
		return foldCase(k, fold), err
	}
	order, err := s.sorted(items, false, key)
	if err != nil {
		return nil, err
	}
	out := &List{}
	var last Value
	for i, e := range order {
		k, err := key(e)
		if err != nil {
			return nil, err
		}
		same := false
		if i > 0 {
			if same, err = s.equal(k, last, 0); err != nil {
				return nil, err
			}
		}
		if !same {
			shown, err := get(e)
			if err != nil {
				return nil, err
			}
			out.Items = append(out.Items, &List{Items: []Value{shown, &List{}}, Tuple: true})
		}
		members := out.Items[len(out.Items)-1].(*List).Items[1].(*List)
		members.Items = append(members.Items, e)
		last = k
	}
	return out, s.allocItems(3 * len(items))
}

func extremeFilter(sign int) filterFunc {
	return func(s *state, in Value, a *args) (Value, error) {
		p, err := a.bind("case_sensitive", "attribute")
		if err != nil {
			return nil, err
		}
		items, err := s.items(in)
		if err != nil {
			return nil, err
		}
		if len(items) == 0 {
			return &undefined{hint: "no aggregated item, sequence was empty"}, nil
		}
		fold := p[0] == absent || !truth(p[0])
		get := func(v Value) (Value, error) { return v, nil }
		if p[1] != absent && p[1] != nil {
			get = s.attrGetter(p[1], nil)
		}
		var best, bestKey Value
		for i, e := range items {
			k, err := get(e)
			if err != nil {
				return nil, err
			}
			k = foldCase(k, fold)
			c := 1
			if i > 0 {
				if c, err = s.order(k, bestKey, 0); err != nil {
					return nil, err
				}
				c *= sign
			}
			if c > 0 {
				best, bestKey = e, k
			}
			if err := s.step(1); err != nil {
				return nil, err
			}
		}
		return best, nil
	}
}
