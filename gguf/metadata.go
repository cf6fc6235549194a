package gguf

import (
	"fmt"
	"iter"
	"math"
	"slices"
)

// Metadata is the ordered list of a file's keys and values. The zero Metadata
// is empty and ready to use. It does not refer to the file it was read from.
//
// The typed getters convert between widths: an integer getter accepts every
// integer type whose value fits, a float getter both float types. They never
// convert between kinds: a string is not a number, and an integer is not a
// float. Their errors wrap ErrMissing or ErrType and name the key, what was
// found and what was wanted. The …Or variants return the default for an absent
// key only; a key that is there with another type is still an error.
//
// Metadata may be read concurrently, but not while it is changed.
type Metadata struct {
	entries []entry
	index   map[string]int
	origin  string // the file's path, for errors
}

type entry struct {
	key   string
	value Value
}

// Len returns the number of keys.
func (m *Metadata) Len() int { return len(m.entries) }

// Keys returns the keys in file order.
func (m *Metadata) Keys() []string {
	keys := make([]string, len(m.entries))
	for i, e := range m.entries {
		keys[i] = e.key
	}
	return keys
}

// All iterates over keys and values in file order.
func (m *Metadata) All() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		for _, e := range m.entries {
			if !yield(e.key, e.value) {
				return
			}
		}
	}
}

// Has reports whether key is present.
func (m *Metadata) Has(key string) bool {
	_, ok := m.index[key]
	return ok
}

// Get returns the value of key, and whether the key is present.
func (m *Metadata) Get(key string) (Value, bool) {
	i, ok := m.index[key]
	if !ok {
		return Value{}, false
	}
	return m.entries[i].value, true
}

// Set gives key the value that [NewValue] makes of v. A key that is present
// keeps its place, a new one goes to the end.
func (m *Metadata) Set(key string, v any) error {
	value, err := NewValue(v)
	if err != nil {
		return fmt.Errorf("key %s: %w", quote(key), err)
	}
	m.put(key, value)
	return nil
}

// Delete removes key and reports whether it was present.
func (m *Metadata) Delete(key string) bool {
	i, ok := m.index[key]
	if !ok {
		return false
	}
	m.entries = slices.Delete(m.entries, i, i+1)
	delete(m.index, key)
	for k, at := range m.index {
		if at > i {
			m.index[k] = at - 1
		}
	}
	return true
}

// Clone returns an independent copy; values, being immutable, are shared.
func (m *Metadata) Clone() *Metadata {
	c := &Metadata{origin: m.origin}
	for _, e := range m.entries {
		c.put(e.key, e.value)
	}
	return c
}

// Equal reports whether both hold the same keys and values in the same order.
func (m *Metadata) Equal(o *Metadata) bool {
	return slices.EqualFunc(m.entries, o.entries, func(a, b entry) bool {
		return a.key == b.key && a.value.Equal(b.value)
	})
}

// String returns the string at key.
func (m *Metadata) String(key string) (string, error) {
	return get(m, key, "string", func(v Value) (string, bool) { return v.str, v.typ == ValueString })
}

// Bool returns the bool at key.
func (m *Metadata) Bool(key string) (bool, error) {
	return get(m, key, "bool", func(v Value) (bool, bool) { return v.bits != 0, v.typ == ValueBool })
}

// Uint32 returns the integer at key, which must fit.
func (m *Metadata) Uint32(key string) (uint32, error) {
	return get(m, key, "uint32", func(v Value) (uint32, bool) {
		n, ok := v.asUint64()
		return uint32(n), ok && n <= math.MaxUint32
	})
}

// Uint64 returns the integer at key, which must fit.
func (m *Metadata) Uint64(key string) (uint64, error) {
	return get(m, key, "uint64", Value.asUint64)
}

// Int64 returns the integer at key, which must fit.
func (m *Metadata) Int64(key string) (int64, error) {
	return get(m, key, "int64", Value.asInt64)
}

// Float32 returns the float at key, rounded to the nearest float32. A finite
// float64 beyond float32's range is an error.
func (m *Metadata) Float32(key string) (float32, error) {
	return get(m, key, "float32", Value.asFloat32)
}

// Float64 returns the float at key.
func (m *Metadata) Float64(key string) (float64, error) {
	return get(m, key, "float64", Value.asFloat64)
}

// Strings returns the array of strings at key as a fresh slice. All its
// strings share one backing, which stays in memory while any of them does.
func (m *Metadata) Strings(key string) ([]string, error) {
	return get(m, key, "array of string", func(v Value) ([]string, bool) {
		if v.arr == nil || v.arr.elem != ValueString && v.arr.len > 0 {
			return nil, false
		}
		if v.arr.len == 0 {
			return []string{}, true
		}
		return v.arr.strings(), true
	})
}

// Float32s returns the array of floats at key as a fresh slice, each rounded
// to the nearest float32.
func (m *Metadata) Float32s(key string) ([]float32, error) {
	return get(m, key, "array of float32", func(v Value) ([]float32, bool) {
		if v.arr != nil && v.arr.elem == ValueFloat32 {
			return slice[float32](v.arr), true
		}
		return elements(v, Value.asFloat32)
	})
}

// Int32s returns the array of integers at key as a fresh slice; all must fit.
func (m *Metadata) Int32s(key string) ([]int32, error) {
	return get(m, key, "array of int32", func(v Value) ([]int32, bool) {
		if v.arr != nil && v.arr.elem == ValueInt32 {
			return slice[int32](v.arr), true
		}
		return elements(v, func(e Value) (int32, bool) {
			n, ok := e.asInt64()
			return int32(n), ok && n >= math.MinInt32 && n <= math.MaxInt32
		})
	})
}

// Uint32s returns the array of integers at key as a fresh slice; all must fit.
func (m *Metadata) Uint32s(key string) ([]uint32, error) {
	return get(m, key, "array of uint32", func(v Value) ([]uint32, bool) {
		return elements(v, func(e Value) (uint32, bool) {
			n, ok := e.asUint64()
			return uint32(n), ok && n <= math.MaxUint32
		})
	})
}

// Bools returns the array of bools at key as a fresh slice.
func (m *Metadata) Bools(key string) ([]bool, error) {
	return get(m, key, "array of bool", func(v Value) ([]bool, bool) {
		return elements(v, func(e Value) (bool, bool) { return e.bits != 0, e.typ == ValueBool })
	})
}

// StringOr is String with a default for an absent key.
func (m *Metadata) StringOr(key, def string) (string, error) { return or(m, key, def, m.String) }

// BoolOr is Bool with a default for an absent key.
func (m *Metadata) BoolOr(key string, def bool) (bool, error) { return or(m, key, def, m.Bool) }

// Uint32Or is Uint32 with a default for an absent key.
func (m *Metadata) Uint32Or(key string, def uint32) (uint32, error) { return or(m, key, def, m.Uint32) }

// Uint64Or is Uint64 with a default for an absent key.
func (m *Metadata) Uint64Or(key string, def uint64) (uint64, error) { return or(m, key, def, m.Uint64) }

// Int64Or is Int64 with a default for an absent key.
func (m *Metadata) Int64Or(key string, def int64) (int64, error) { return or(m, key, def, m.Int64) }

// Float32Or is Float32 with a default for an absent key.
func (m *Metadata) Float32Or(key string, def float32) (float32, error) {
	return or(m, key, def, m.Float32)
}

// Float64Or is Float64 with a default for an absent key.
func (m *Metadata) Float64Or(key string, def float64) (float64, error) {
	return or(m, key, def, m.Float64)
}

// StringsOr is Strings with a default for an absent key.
func (m *Metadata) StringsOr(key string, def []string) ([]string, error) {
	return or(m, key, def, m.Strings)
}

// Float32sOr is Float32s with a default for an absent key.
func (m *Metadata) Float32sOr(key string, def []float32) ([]float32, error) {
	return or(m, key, def, m.Float32s)
}

// Int32sOr is Int32s with a default for an absent key.
func (m *Metadata) Int32sOr(key string, def []int32) ([]int32, error) {
	return or(m, key, def, m.Int32s)
}

// Uint32sOr is Uint32s with a default for an absent key.
func (m *Metadata) Uint32sOr(key string, def []uint32) ([]uint32, error) {
	return or(m, key, def, m.Uint32s)
}

// put sets key without checks.
func (m *Metadata) put(key string, v Value) {
	if i, ok := m.index[key]; ok {
		m.entries[i].value = v
		return
	}
	if m.index == nil {
		m.index = make(map[string]int)
	}
	m.index[key] = len(m.entries)
	m.entries = append(m.entries, entry{key, v})
}

// get looks key up and converts its value to T, which want names.
func get[T any](m *Metadata, key, want string, convert func(Value) (T, bool)) (T, error) {
	var zero T
	v, ok := m.Get(key)
	if !ok {
		return zero, m.fail(ErrMissing, fmt.Sprintf("%s (want %s)", quote(key), want))
	}
	out, ok := convert(v)
	if !ok {
		return zero, m.fail(ErrType, fmt.Sprintf("%s is %s %v, want %s", quote(key), v.TypeName(), v, want))
	}
	return out, nil
}

func or[T any](m *Metadata, key string, def T, get func(string) (T, error)) (T, error) {
	if !m.Has(key) {
		return def, nil
	}
	return get(key)
}

// fail wraps a sentinel with the file's path, if there is one.
func (m *Metadata) fail(err error, what string) error {
	if m.origin == "" {
		return fmt.Errorf("gguf: %w: %s", err, what)
	}
	return fmt.Errorf("gguf: %s: %w: %s", m.origin, err, what)
}

// asFloat32 returns a float value as a float32.
func (v Value) asFloat32() (float32, bool) {
	f, ok := v.asFloat64()
	return float32(f), ok && (math.IsInf(f, 0) || !math.IsInf(float64(float32(f)), 0))
}

// elements converts an array element by element. An empty array has no
// element to be of the wrong type.
func elements[T any](v Value, convert func(Value) (T, bool)) ([]T, bool) {
	if v.arr == nil {
		return nil, false
	}
	if v.arr.len > 0 && v.arr.elem == ValueArray {
		return nil, false
	}
	out := make([]T, v.arr.len)
	for i := range out {
		e, ok := convert(v.arr.at(i))
		if !ok {
			return nil, false
		}
		out[i] = e
	}
	return out, true
}
