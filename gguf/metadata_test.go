package gguf

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
)

// numbers has a key for every kind of value the getters tell apart.
func numbers(t *testing.T) *Metadata {
	t.Helper()
	m := &Metadata{}
	for key, v := range map[string]any{
		"u8": uint8(255), "i8": int8(-1), "u32": uint32(7), "i32": int32(-7), "big": uint64(math.MaxUint64), "i64": int64(math.MinInt64),
		"f32": float32(0.5), "f64": 0.1, "f64big": 1e300, "inf": math.Inf(1), "true": true, "text": "x",
		"strings": []string{"a", "", "bc"}, "f32s": []float32{1, 2}, "f64s": []float64{1, 0.1}, "f64sbig": []float64{1e300},
		"i8s": []int8{-1, 2}, "u64s": []uint64{1, math.MaxUint64}, "bools": []bool{true, false}, "empty": []uint8{},
		"arrays": []Value{mustValue(t, []uint8{1})},
	} {
		if err := m.Set(key, v); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func mustValue(t *testing.T, v any) Value {
	t.Helper()
	value, err := NewValue(v)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// call makes getters of different results comparable.
func call[T any](get func(string) (T, error)) func(string) (any, error) {
	return func(key string) (any, error) { return get(key) }
}

func TestGetters(t *testing.T) {
	m := numbers(t)
	type results map[string]any
	for name, g := range map[string]struct {
		get  func(string) (any, error)
		good results // every other key is an ErrType
	}{
		"String":   {call(m.String), results{"text": "x"}},
		"Bool":     {call(m.Bool), results{"true": true}},
		"Uint32":   {call(m.Uint32), results{"u8": uint32(255), "u32": uint32(7)}},
		"Uint64":   {call(m.Uint64), results{"u8": uint64(255), "u32": uint64(7), "big": uint64(math.MaxUint64)}},
		"Int64":    {call(m.Int64), results{"u8": int64(255), "i8": int64(-1), "u32": int64(7), "i32": int64(-7), "i64": int64(math.MinInt64)}},
		"Float32":  {call(m.Float32), results{"f32": float32(0.5), "f64": float32(0.1), "inf": float32(math.Inf(1))}},
		"Float64":  {call(m.Float64), results{"f32": 0.5, "f64": 0.1, "f64big": 1e300, "inf": math.Inf(1)}},
		"Strings":  {call(m.Strings), results{"strings": []string{"a", "", "bc"}, "empty": []string{}}},
		"Float32s": {call(m.Float32s), results{"f32s": []float32{1, 2}, "f64s": []float32{1, 0.1}, "empty": []float32{}}},
		"Int32s":   {call(m.Int32s), results{"i8s": []int32{-1, 2}, "empty": []int32{}}},
		"Uint32s":  {call(m.Uint32s), results{"empty": []uint32{}}},
		"Bools":    {call(m.Bools), results{"bools": []bool{true, false}, "empty": []bool{}}},
	} {
		for _, key := range m.Keys() {
			got, err := g.get(key)
			if want, ok := g.good[key]; ok {
				if err != nil || !reflect.DeepEqual(got, want) {
					t.Errorf("%s(%q) = %v, %v, want %v", name, key, got, err, want)
				}
			} else if !errors.Is(err, ErrType) || !strings.Contains(err.Error(), key) {
				t.Errorf("%s(%q) = %v, %v, want ErrType naming the key", name, key, got, err)
			}
		}
		if _, err := g.get("absent"); !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "absent") {
			t.Errorf("%s of an absent key: %v, want ErrMissing", name, err)
		}
	}
}

// TestErrorsSayEverything checks that a type error names found and wanted.
func TestErrorsSayEverything(t *testing.T) {
	_, err := numbers(t).Uint32("i32")
	for _, part := range []string{`"i32"`, "int32", "-7", "uint32"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v does not name %s", err, part)
		}
	}
}

func TestDefaults(t *testing.T) {
	m := numbers(t)
	check := func(name string, got any, err error, want any) {
		t.Helper()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s = %v, %v, want %v", name, got, err, want)
		}
	}
	s, err := m.StringOr("absent", "d")
	check("StringOr", s, err, "d")
	b, err := m.BoolOr("absent", true)
	check("BoolOr", b, err, true)
	u, err := m.Uint32Or("absent", 3)
	check("Uint32Or", u, err, uint32(3))
	u, err = m.Uint32Or("u32", 3)
	check("Uint32Or, present", u, err, uint32(7))
	u64, err := m.Uint64Or("absent", 3)
	check("Uint64Or", u64, err, uint64(3))
	i, err := m.Int64Or("absent", -3)
	check("Int64Or", i, err, int64(-3))
	f, err := m.Float32Or("absent", 3)
	check("Float32Or", f, err, float32(3))
	f64, err := m.Float64Or("absent", 3)
	check("Float64Or", f64, err, 3.0)
	ss, err := m.StringsOr("absent", []string{"d"})
	check("StringsOr", ss, err, []string{"d"})
	fs, err := m.Float32sOr("absent", nil)
	check("Float32sOr", fs, err, []float32(nil))
	is, err := m.Int32sOr("absent", nil)
	check("Int32sOr", is, err, []int32(nil))
	us, err := m.Uint32sOr("absent", nil)
	check("Uint32sOr", us, err, []uint32(nil))
	if _, err := m.Uint32Or("text", 3); !errors.Is(err, ErrType) {
		t.Errorf("Uint32Or of a string: %v, want ErrType", err)
	}
}

func TestOrder(t *testing.T) {
	m := &Metadata{}
	for i, key := range []string{"c", "a", "b", "d"} {
		if err := m.Set(key, uint32(i)); err != nil {
			t.Fatal(err)
		}
	}
	clone := m.Clone()
	if err := m.Set("a", "replaced"); err != nil {
		t.Fatal(err)
	}
	if !m.Delete("c") || m.Delete("c") || m.Has("c") {
		t.Error("Delete misreports")
	}
	if err := m.Set("c", true); err != nil {
		t.Fatal(err)
	}
	if got := m.Keys(); !reflect.DeepEqual(got, []string{"a", "b", "d", "c"}) {
		t.Errorf("keys %v", got)
	}
	if s, err := m.String("a"); s != "replaced" || err != nil {
		t.Errorf("a is %q, %v", s, err)
	}
	if n, err := m.Uint32("d"); n != 3 || err != nil {
		t.Errorf("d is %d, %v", n, err)
	}
	if got := clone.Keys(); !reflect.DeepEqual(got, []string{"c", "a", "b", "d"}) || clone.Equal(m) || !clone.Equal(clone.Clone()) {
		t.Errorf("the clone has changed: %v", got)
	}
}

func TestNewValueRefuses(t *testing.T) {
	deep := mustValue(t, []uint8{1})
	for range maxArrayDepth - 1 {
		deep = mustValue(t, []Value{deep})
	}
	for _, v := range []any{1, uint(1), nil, struct{}{}, []int{1}, map[string]string{}, []any{1}, complex64(1), []Value{mustValue(t, "x")}, []Value{deep}} {
		if _, err := NewValue(v); !errors.Is(err, ErrInvalid) {
			t.Errorf("NewValue(%T) = %v, want ErrInvalid", v, err)
		}
	}
}

// TestValues checks that every Go type comes back as it went in, equals itself
// and nothing else.
func TestValues(t *testing.T) {
	all := []any{
		uint8(1), int8(-1), uint16(1), int16(-1), uint32(1), int32(-1), uint64(1), int64(-1), float32(1), float64(1), true, false, "", "s",
		[]uint8{1, 2}, []int8{-1}, []uint16{1}, []int16{-1}, []uint32{1}, []int32{-1}, []uint64{1}, []int64{-1}, []float32{1}, []float64{1}, []bool{true},
		[]string{"a", "b"}, []string{"", "ab"}, []string{"ab", ""}, []string{}, []uint8{},
	}
	for i, x := range all {
		v := mustValue(t, x)
		if got := v.Any(); !reflect.DeepEqual(got, x) {
			t.Errorf("%T %v comes back as %T %v", x, x, got, got)
		}
		for j, y := range all {
			if v.Equal(mustValue(t, y)) != (i == j) {
				t.Errorf("%T %v equals %T %v: %v", x, x, y, y, i != j)
			}
		}
		n := 0
		for k, e := range v.All() {
			if k != n || e.Type() != v.Elem() {
				t.Errorf("%v: element %d is number %d, a %v", x, n, k, e.Type())
			}
			n++
		}
		if n != v.Len() {
			t.Errorf("%v: All yields %d elements, Len is %d", x, n, v.Len())
		}
	}
	nest := mustValue(t, []Value{mustValue(t, []string{"x"}), mustValue(t, []Value{mustValue(t, []int8{-5})})})
	if got := nest.String(); got != `[["x"], [[-5]]]` || nest.TypeName() != "array of array" {
		t.Errorf("nested array is %s %s", nest.TypeName(), got)
	}
	if again := mustValue(t, nest.Any()); !again.Equal(nest) || nest.Equal(mustValue(t, []Value{mustValue(t, []string{"y"})})) {
		t.Error("a nested array does not come back as it went in")
	}
	if got := mustValue(t, make([]uint8, 100)).String(); got != "[0, 0, 0, 0, 0, 0, 0, 0, … 92 more]" {
		t.Errorf("long array prints as %s", got)
	}
}
