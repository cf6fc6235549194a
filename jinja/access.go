package jinja

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// Attributes, items and slices of values.

// getAttr is v.name: an attribute, else an item, else undefined.
func getAttr(v Value, name string) (Value, error) {
	switch v := v.(type) {
	case *Dict:
		if m, ok := dictMethods[name]; ok {
			return bound(name, v, m), nil
		}
		if e, ok := v.Get(name); ok {
			return e, nil
		}
	case string:
		if m, ok := stringMethods[name]; ok {
			return bound(name, v, m), nil
		}
	case *List:
		if m, ok := listMethods[name]; ok && !(v.Tuple && m.listOnly) {
			return bound(name, v, m.fn), nil
		}
	case *namespace:
		if e, ok := v.vars.Get(name); ok {
			return e, nil
		}
	case *loopVar:
		if e, ok := v.attr(name); ok {
			return e, nil
		}
	case *callable:
		if name == "name" {
			return v.name, nil
		}
	case *undefined:
		return nil, fail(ErrUndefined, "%s, so it has no '%s'", v.message(), name)
	}
	kind := typeName(v)
	if slices.Contains(mutators[kind], name) {
		return &undefined{hint: fmt.Sprintf("access to attribute '%s' of '%s' object is unsafe: templates cannot change values", name, kind)}, nil
	}
	return &undefined{owner: orNone(v), key: name}, nil
}

// noneOwner stands for None where nil would mean a variable.
type noneOwner struct{}

func orNone(v Value) Value {
	if v == nil {
		return noneOwner{}
	}
	return v
}

func bound[T Value](name string, v T, m func(s *state, self T, a *args) (Value, error)) *callable {
	return &callable{name, func(s *state, a *args) (Value, error) { return m(s, v, a) }}
}

// getItem is v[key]: an item, else an attribute if key is a string, else undefined.
func (s *state) getItem(v, key Value) (Value, error) {
	switch x := v.(type) {
	case *Dict:
		if e, ok := x.get(key); ok {
			return e, nil
		}
	case *List:
		if i, ok := index(key, len(x.Items)); ok {
			return x.Items[i], nil
		}
	case string:
		if i, _, isFloat, ok := number(key); ok && !isFloat {
			return s.char(x, i)
		}
	case *undefined:
		return nil, fail(ErrUndefined, "%s, so it cannot be indexed", x.message())
	}
	if name, ok := key.(string); ok {
		return getAttr(v, name)
	}
	return &undefined{owner: orNone(v), key: shortKey(key)}, nil
}

func shortKey(k Value) Value {
	switch k.(type) {
	case int64, float64, bool:
		return k
	}
	return typeName(k)
}

func index(key Value, n int) (int, bool) {
	i, _, isFloat, ok := number(key)
	if !ok || isFloat {
		return 0, false
	}
	if i < 0 {
		i += int64(n)
	}
	return int(i), i >= 0 && i < int64(n)
}

// char returns the i-th character of x, counted from the end if negative.
func (s *state) char(x string, i int64) (Value, error) {
	if err := s.step(min(max(i, -i), int64(len(x))) / 16); err != nil {
		return nil, err
	}
	n := i
	rest := x
	for rest != "" {
		if n >= 0 {
			_, w := utf8.DecodeRuneInString(rest)
			if n == 0 {
				return rest[:w], nil
			}
			rest = rest[w:]
			n--
			continue
		}
		_, w := utf8.DecodeLastRuneInString(rest)
		if n == -1 {
			return rest[len(rest)-w:], nil
		}
		rest = rest[:len(rest)-w]
		n++
	}
	return &undefined{owner: x, key: i}, nil
}

// slice is v[start:stop:step].
func (s *state) slice(v, start, stop, step Value) (Value, error) {
	by := int64(1)
	if step != nil {
		i, _, isFloat, ok := number(step)
		if !ok || isFloat {
			return nil, fail(ErrType, "slice step must be an integer, not %s", typeName(step))
		}
		if i == 0 {
			return nil, fail(ErrType, "slice step cannot be zero")
		}
		by = i
	}
	str, isString := v.(string)
	var list *List
	n := len(str)
	ascii := true
	switch x := v.(type) {
	case string:
		for i := 0; i < len(x) && ascii; i++ {
			ascii = x[i] < utf8.RuneSelf
		}
		if err := s.step(int64(len(x)) / 64); err != nil {
			return nil, err
		}
	case *List:
		list, n = x, len(x.Items)
	case *undefined:
		return nil, fail(ErrUndefined, "%s, so it cannot be sliced", x.message())
	default:
		return nil, fail(ErrType, "'%s' object cannot be sliced", typeName(v))
	}
	if isString && !ascii {
		chars, err := s.items(str)
		if err != nil {
			return nil, err
		}
		list, n = &List{Items: chars}, len(chars)
	}
	lo, hi := int64(0), int64(n)
	first, last := lo, hi
	if by < 0 {
		lo, hi = -1, int64(n)-1
		first, last = hi, lo
	}
	bound := func(v Value, def int64) (int64, error) {
		if v == nil {
			return def, nil
		}
		i, _, isFloat, ok := number(v)
		if !ok || isFloat {
			if u, ok := v.(*undefined); ok {
				return 0, fail(ErrUndefined, "slice index: %s", u.message())
			}
			return 0, fail(ErrType, "slice indices must be integers, not %s", typeName(v))
		}
		if i < 0 {
			i += int64(n)
		}
		return max(lo, min(i, hi)), nil
	}
	from, err := bound(start, first)
	if err != nil {
		return nil, err
	}
	to, err := bound(stop, last)
	if err != nil {
		return nil, err
	}
	count := 0
	if by > 0 && to > from {
		count = int((to-from-1)/by) + 1
	} else if by < 0 && from > to {
		count = int((from-to-1)/-max(by, -math.MaxInt64)) + 1
	}
	if list == nil {
		if by == 1 {
			return str[from : from+int64(count)], nil
		}
		if err := s.alloc(count); err != nil {
			return nil, err
		}
		b := make([]byte, count)
		for k := range b {
			b[k] = str[from+int64(k)*by]
		}
		return string(b), nil
	}
	if err := s.allocItems(count); err != nil {
		return nil, err
	}
	out := &List{Items: make([]Value, count), Tuple: list.Tuple}
	for k := range out.Items {
		out.Items[k] = list.Items[from+int64(k)*by]
	}
	if isString {
		return s.join("", out.Items)
	}
	return out, nil
}

// join concatenates the str() of all items with sep between them.
func (s *state) join(sep string, items []Value) (Value, error) {
	var b strings.Builder
	for i, e := range items {
		if err := s.step(1); err != nil {
			return nil, err
		}
		if i > 0 {
			b.WriteString(sep)
		}
		text, err := s.str(e)
		if err != nil {
			return nil, err
		}
		b.WriteString(text)
		if b.Len() > s.limits.Output {
			return nil, s.tooLarge()
		}
	}
	return b.String(), s.alloc(b.Len())
}
