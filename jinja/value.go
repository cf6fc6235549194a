package jinja

import (
	"encoding/json"
	"fmt"
	"reflect"
	"sort"
	"unicode/utf8"
)

// Value is what templates calculate with: nil (None), bool, int64, float64, string, [BigInt],
// [*List], [*Dict], and what only templates make, such as undefined values, namespaces and macros.
type Value = any

// BigInt is an integer beyond 64 bits, in decimal digits. Templates can print and
// compare it, not calculate with it.
type BigInt string

// List is a Python list or, if Tuple is set, a tuple, which prints and compares otherwise.
type List struct {
	Items []Value
	Tuple bool
}

// NewList returns a list of the given items, which are values: [FromGo] makes them of others.
func NewList(items ...Value) *List { return &List{Items: items} }

// Dict is a Python dict: it keeps the order in which keys were first set.
// Keys that Go sets are strings; templates also make dicts with other keys.
type Dict struct {
	keys  []Value
	vals  []Value
	index map[Value]int // built once the dict outgrows linear search
}

// dictIndexAt is the size from which a dict keeps an index.
const dictIndexAt = 9

// NewDict returns an empty dict with room for n keys.
func NewDict(n int) *Dict {
	return &Dict{keys: make([]Value, 0, n), vals: make([]Value, 0, n)}
}

// Len returns the number of keys.
func (d *Dict) Len() int { return len(d.keys) }

// Set stores val under key; a key that is there already keeps its place.
func (d *Dict) Set(key string, val Value) { d.set(key, val) }

// Get returns the value under key.
func (d *Dict) Get(key string) (Value, bool) { return d.get(key) }

// dictKey folds the keys that Python holds equal: True and 1 and 1.0.
func dictKey(k Value) Value {
	switch k := k.(type) {
	case bool:
		if k {
			return int64(1)
		}
		return int64(0)
	case float64:
		if n := int64(k); float64(n) == k {
			return n
		}
	}
	return k
}

func hashable(k Value) bool {
	switch k.(type) {
	case nil, bool, int64, float64, string, BigInt:
		return true
	}
	return false
}

func (d *Dict) find(k Value) int {
	if s, ok := k.(string); ok && d.index == nil {
		for i, e := range d.keys {
			if es, ok := e.(string); ok && es == s {
				return i
			}
		}
		return -1
	}
	if !hashable(k) {
		return -1
	}
	k = dictKey(k)
	if d.index != nil {
		if i, ok := d.index[k]; ok {
			return i
		}
		return -1
	}
	for i, e := range d.keys {
		if dictKey(e) == k {
			return i
		}
	}
	return -1
}

func (d *Dict) get(k Value) (Value, bool) {
	if i := d.find(k); i >= 0 {
		return d.vals[i], true
	}
	return nil, false
}

func (d *Dict) set(k, v Value) {
	if i := d.find(k); i >= 0 {
		d.vals[i] = v
		return
	}
	d.keys = append(d.keys, k)
	d.vals = append(d.vals, v)
	if d.index != nil {
		d.index[dictKey(k)] = len(d.keys) - 1
	} else if len(d.keys) == dictIndexAt {
		d.index = make(map[Value]int, 2*dictIndexAt)
		for i, e := range d.keys {
			d.index[dictKey(e)] = i
		}
	}
}

// undefined is what a missing variable, attribute or item evaluates to.
type undefined struct {
	owner Value // what was asked, or nil for a variable
	key   Value // the name or index
	hint  string
}

func (u *undefined) message() string {
	if u.hint != "" {
		return u.hint
	}
	if u.owner == nil {
		return fmt.Sprintf("'%v' is undefined", u.key)
	}
	if _, ok := u.key.(string); ok {
		return fmt.Sprintf("'%s object' has no attribute '%v'", typeName(u.owner), u.key)
	}
	return fmt.Sprintf("%s object has no element %v", typeName(u.owner), u.key)
}

func isUndefined(v Value) bool { _, ok := v.(*undefined); return ok }

// namespace is the object of namespace(): the one thing templates can assign attributes of.
type namespace struct{ vars *Dict }

// callable is a macro, a global function or a bound method.
type callable struct {
	name string
	fn   func(s *state, a *args) (Value, error)
}

func typeName(v Value) string {
	switch v := v.(type) {
	case nil, noneOwner:
		return "None"
	case bool:
		return "bool"
	case int64, BigInt:
		return "int"
	case float64:
		return "float"
	case string:
		return "str"
	case *List:
		if v.Tuple {
			return "tuple"
		}
		return "list"
	case *Dict:
		return "dict"
	case *undefined:
		return "Undefined"
	case *namespace:
		return "Namespace"
	case *loopVar:
		return "LoopContext"
	case *callable:
		return "function"
	}
	return fmt.Sprintf("%T", v)
}

func truth(v Value) bool {
	switch v := v.(type) {
	case nil, *undefined:
		return false
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v != 0
	case string:
		return v != ""
	case *List:
		return len(v.Items) > 0
	case *Dict:
		return len(v.keys) > 0
	}
	return true
}

// FromGo converts a Go value to a template value. Beyond the types of [Value] it takes every
// kind of integer and float, slices, arrays, maps with string keys (their keys sorted, since
// Go maps have no order), pointers, and anything that encoding/json can marshal.
func FromGo(v any) (Value, error) { return fromGo(v, 0) }

func fromGo(v any, depth int) (Value, error) {
	if depth > maxNesting {
		return nil, fail(ErrLimit, "value nests more than %d deep", maxNesting)
	}
	switch v := v.(type) {
	case nil, bool, int64, float64, string, BigInt, *List, *Dict:
		return v, nil
	case json.RawMessage:
		return DecodeJSON(v)
	case json.Marshaler:
		return viaJSON(v)
	}
	r := reflect.ValueOf(v)
	switch r.Kind() {
	case reflect.Bool:
		return r.Bool(), nil
	case reflect.String:
		return r.String(), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return r.Int(), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		if n := int64(r.Uint()); n >= 0 {
			return n, nil
		}
		return BigInt(fmt.Sprint(r.Uint())), nil
	case reflect.Float32, reflect.Float64:
		return r.Float(), nil
	case reflect.Pointer, reflect.Interface:
		if r.IsNil() {
			return nil, nil
		}
		if r.Kind() == reflect.Pointer && r.Elem().Kind() == reflect.Struct {
			return viaJSON(v)
		}
		return fromGo(r.Elem().Interface(), depth+1)
	case reflect.Slice, reflect.Array:
		l := &List{Items: make([]Value, r.Len())}
		for i := range l.Items {
			e, err := fromGo(r.Index(i).Interface(), depth+1)
			if err != nil {
				return nil, err
			}
			l.Items[i] = e
		}
		return l, nil
	case reflect.Map:
		if r.Type().Key().Kind() != reflect.String {
			return nil, fail(ErrType, "map with %s keys cannot be given to a template: use string keys", r.Type().Key())
		}
		keys := r.MapKeys()
		sort.Slice(keys, func(i, j int) bool { return keys[i].String() < keys[j].String() })
		d := NewDict(len(keys))
		for _, k := range keys {
			e, err := fromGo(r.MapIndex(k).Interface(), depth+1)
			if err != nil {
				return nil, err
			}
			d.Set(k.String(), e)
		}
		return d, nil
	case reflect.Struct:
		return viaJSON(v)
	}
	return nil, fail(ErrType, "a Go value of type %T cannot be given to a template", v)
}

func viaJSON(v any) (Value, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fail(ErrType, "a Go value of type %T cannot be given to a template: %v", v, err)
	}
	return DecodeJSON(b)
}

// measure adds the bytes of text in v to size, and refuses what no template can work with: Go values that were put
// into a list or dict as they are. It stops counting at mostInput, so that lists which share their items, or hold
// themselves, take no time.
func measure(v Value, size, depth int) (int, error) {
	if size += 8; size >= mostInput {
		return mostInput, nil
	}
	if depth > maxNesting {
		return 0, fail(ErrLimit, "value nests more than %d deep", maxNesting)
	}
	var err error
	switch v := v.(type) {
	case nil, bool, int64, float64:
	case BigInt:
		size += len(v)
	case string:
		size += len(v)
	case *List:
		for _, e := range v.Items {
			if size, err = measure(e, size, depth+1); err != nil {
				return 0, err
			}
		}
	case *Dict:
		for i, k := range v.keys {
			if size, err = measure(k, size, depth+1); err != nil {
				return 0, err
			}
			if size, err = measure(v.vals[i], size, depth+1); err != nil {
				return 0, err
			}
		}
	default:
		return 0, fail(ErrType, "a list or dict holds a Go value of type %T: convert it with FromGo", v)
	}
	return min(size, mostInput), nil
}

// items lists what iterating over v yields: items of a list, keys of a dict, characters
// of a string. The slice must not be changed.
func (s *state) items(v Value) ([]Value, error) {
	switch v := v.(type) {
	case *List:
		return v.Items, s.step(int64(len(v.Items)) / 8)
	case *Dict:
		return v.keys, s.step(int64(len(v.keys)) / 8)
	case *namespace, *callable, *loopVar:
	case *undefined:
		return nil, nil
	case string:
		if err := s.alloc(24 * len(v)); err != nil {
			return nil, err
		}
		out := make([]Value, 0, utf8.RuneCountInString(v))
		for rest := v; rest != ""; {
			_, n := utf8.DecodeRuneInString(rest)
			out = append(out, rest[:n])
			rest = rest[n:]
		}
		return out, nil
	}
	return nil, fail(ErrType, "'%s' object is not iterable", typeName(v))
}

// length is Python's len.
func length(v Value) (int, error) {
	switch v := v.(type) {
	case string:
		return utf8.RuneCountInString(v), nil
	case *List:
		return len(v.Items), nil
	case *Dict:
		return len(v.keys), nil
	case *undefined:
		return 0, nil
	}
	return 0, fail(ErrType, "object of type '%s' has no len()", typeName(v))
}
