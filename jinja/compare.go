package jinja

import (
	"slices"
	"strings"
)

// Equality, order and membership as Python defines them.

// number returns v as int64 or float64; bools count as 0 and 1.
func number(v Value) (i int64, f float64, isFloat, ok bool) {
	switch v := v.(type) {
	case bool:
		if v {
			return 1, 1, false, true
		}
		return 0, 0, false, true
	case int64:
		return v, float64(v), false, true
	case float64:
		return 0, v, true, true
	}
	return 0, 0, false, false
}

// equal is Python's ==.
func (s *state) equal(a, b Value, depth int) (bool, error) {
	if depth > maxNesting {
		return false, fail(ErrLimit, "compared values nest more than %d deep", maxNesting)
	}
	switch x := a.(type) {
	case nil:
		return b == nil, nil
	case string:
		y, ok := b.(string)
		return ok && x == y, s.step(int64(len(x)) / 64)
	case *undefined:
		return isUndefined(b), nil
	case *List:
		y, ok := b.(*List)
		if !ok || x.Tuple != y.Tuple || len(x.Items) != len(y.Items) {
			return false, nil
		}
		for i := range x.Items {
			if err := s.step(1); err != nil {
				return false, err
			}
			if eq, err := s.equal(x.Items[i], y.Items[i], depth+1); !eq || err != nil {
				return false, err
			}
		}
		return true, nil
	case *Dict:
		y, ok := b.(*Dict)
		if !ok || len(x.keys) != len(y.keys) {
			return false, nil
		}
		for i, k := range x.keys {
			if err := s.step(1); err != nil {
				return false, err
			}
			v, ok := y.get(k)
			if !ok {
				return false, nil
			}
			if eq, err := s.equal(x.vals[i], v, depth+1); !eq || err != nil {
				return false, err
			}
		}
		return true, nil
	case BigInt:
		y, ok := b.(BigInt)
		return ok && x == y, nil
	}
	ai, af, aFloat, ok := number(a)
	if !ok {
		return a == b, nil // identity of namespaces, macros, loops
	}
	bi, bf, bFloat, ok := number(b)
	if !ok {
		return false, nil
	}
	if aFloat || bFloat {
		return af == bf, nil
	}
	return ai == bi, nil
}

// order is Python's ordering of a and b: negative, zero or positive.
func (s *state) order(a, b Value, depth int) (int, error) {
	if depth > maxNesting {
		return 0, fail(ErrLimit, "compared values nest more than %d deep", maxNesting)
	}
	if x, ok := a.(string); ok {
		if y, ok := b.(string); ok {
			return strings.Compare(x, y), s.step(int64(min(len(x), len(y))) / 64)
		}
	}
	if x, ok := a.(*List); ok {
		if y, ok := b.(*List); ok && x.Tuple == y.Tuple {
			for i := range min(len(x.Items), len(y.Items)) {
				if err := s.step(1); err != nil {
					return 0, err
				}
				eq, err := s.equal(x.Items[i], y.Items[i], depth+1)
				if err != nil {
					return 0, err
				}
				if !eq {
					return s.order(x.Items[i], y.Items[i], depth+1)
				}
			}
			return len(x.Items) - len(y.Items), nil
		}
	}
	ai, af, aFloat, aok := number(a)
	bi, bf, bFloat, bok := number(b)
	if !aok || !bok {
		for _, v := range []Value{a, b} {
			if u, ok := v.(*undefined); ok {
				return 0, fail(ErrUndefined, "%s", u.message())
			}
		}
		return 0, fail(ErrType, "'%s' and '%s' have no order", typeName(a), typeName(b))
	}
	if aFloat || bFloat {
		switch {
		case af < bf:
			return -1, nil
		case af > bf:
			return 1, nil
		}
		return 0, nil
	}
	switch {
	case ai < bi:
		return -1, nil
	case ai > bi:
		return 1, nil
	}
	return 0, nil
}

// contains is Python's "needle in hay".
func (s *state) contains(hay, needle Value) (bool, error) {
	switch h := hay.(type) {
	case string:
		n, ok := needle.(string)
		if !ok {
			return false, fail(ErrType, "'in <string>' requires string as left operand, not %s", typeName(needle))
		}
		return strings.Contains(h, n), s.step(int64(len(h)) / 64)
	case *List:
		if n, ok := needle.(string); ok { // the common case, without a call per item
			return slices.ContainsFunc(h.Items, func(e Value) bool { v, ok := e.(string); return ok && v == n }),
				s.step(int64(len(h.Items)))
		}
		for _, e := range h.Items {
			if err := s.step(1); err != nil {
				return false, err
			}
			if eq, err := s.equal(e, needle, 0); eq || err != nil {
				return eq, err
			}
		}
		return false, nil
	case *Dict:
		if !hashable(needle) && !isUndefined(needle) {
			return false, fail(ErrType, "unhashable type: '%s'", typeName(needle))
		}
		return h.find(needle) >= 0, nil
	case *undefined:
		return false, nil
	}
	return false, fail(ErrType, "argument of type '%s' is not iterable", typeName(hay))
}
