package gguf

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"iter"
	"math"
	"strconv"
	"strings"
)

// ValueType is the type of a metadata value; its numbers are those of the file.
type ValueType uint32

// The types of metadata values.
const (
	ValueUint8   ValueType = 0
	ValueInt8    ValueType = 1
	ValueUint16  ValueType = 2
	ValueInt16   ValueType = 3
	ValueUint32  ValueType = 4
	ValueInt32   ValueType = 5
	ValueFloat32 ValueType = 6
	ValueBool    ValueType = 7
	ValueString  ValueType = 8
	ValueArray   ValueType = 9
	ValueUint64  ValueType = 10
	ValueInt64   ValueType = 11
	ValueFloat64 ValueType = 12
)

var valueTypes = [...]struct {
	name  string
	width int // bytes; 0 where it varies
}{
	{"uint8", 1}, {"int8", 1}, {"uint16", 2}, {"int16", 2}, {"uint32", 4}, {"int32", 4},
	{"float32", 4}, {"bool", 1}, {"string", 0}, {"array", 0}, {"uint64", 8}, {"int64", 8}, {"float64", 8},
}

// String returns the type's name, such as "uint32".
func (t ValueType) String() string {
	if t.known() {
		return valueTypes[t].name
	}
	return fmt.Sprintf("type(%d)", uint32(t))
}

func (t ValueType) known() bool { return t < ValueType(len(valueTypes)) }

// width returns the bytes of a scalar of this type, 0 for strings and arrays.
func (t ValueType) width() int { return valueTypes[t].width }

// Value is one metadata value. The zero Value is the uint8 0.
//
// Values do not refer to the file they came from: they outlive its Close.
// They are immutable; what Any returns belongs to the caller.
type Value struct {
	typ  ValueType
	bits uint64 // scalars: integers sign-extended, floats as their IEEE bits
	str  string
	arr  *array
}

// array holds the elements of an array value in about the bytes that they have
// in the file, because a hostile file can hold very many of them.
type array struct {
	elem ValueType
	len  int
	raw  []byte // scalars: little-endian, back to back; arrays: as in enc
	text string // strings: all of them, back to back
	ends []uint32
	enc  encoding // of raw, when elem is ValueArray
}

// encoding is how the scalars and lengths of a file are stored.
type encoding struct {
	big bool // most significant byte first
	v1  bool // lengths of 32 bits
}

func (e encoding) order() binary.ByteOrder {
	if e.big {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// NewValue makes a value of a Go value: uint8 … uint64, int8 … int64, float32,
// float64, bool, string, a slice of one of these, a []Value that holds arrays, or
// a Value. Plain int is refused, because it does not say which of the file's
// integer types is meant; most keys want uint32.
//
// A []uint8 is an array of uint8, not a string.
func NewValue(v any) (Value, error) {
	switch v := v.(type) {
	case Value:
		return v, nil
	case uint8:
		return Value{typ: ValueUint8, bits: uint64(v)}, nil
	case int8:
		return Value{typ: ValueInt8, bits: uint64(int64(v))}, nil
	case uint16:
		return Value{typ: ValueUint16, bits: uint64(v)}, nil
	case int16:
		return Value{typ: ValueInt16, bits: uint64(int64(v))}, nil
	case uint32:
		return Value{typ: ValueUint32, bits: uint64(v)}, nil
	case int32:
		return Value{typ: ValueInt32, bits: uint64(int64(v))}, nil
	case uint64:
		return Value{typ: ValueUint64, bits: v}, nil
	case int64:
		return Value{typ: ValueInt64, bits: uint64(v)}, nil
	case float32:
		return Value{typ: ValueFloat32, bits: uint64(math.Float32bits(v))}, nil
	case float64:
		return Value{typ: ValueFloat64, bits: math.Float64bits(v)}, nil
	case bool:
		if v {
			return Value{typ: ValueBool, bits: 1}, nil
		}
		return Value{typ: ValueBool}, nil
	case string:
		return Value{typ: ValueString, str: v}, nil
	case []uint8:
		return scalars(ValueUint8, v)
	case []int8:
		return scalars(ValueInt8, v)
	case []uint16:
		return scalars(ValueUint16, v)
	case []int16:
		return scalars(ValueInt16, v)
	case []uint32:
		return scalars(ValueUint32, v)
	case []int32:
		return scalars(ValueInt32, v)
	case []uint64:
		return scalars(ValueUint64, v)
	case []int64:
		return scalars(ValueInt64, v)
	case []float32:
		return scalars(ValueFloat32, v)
	case []float64:
		return scalars(ValueFloat64, v)
	case []bool:
		return scalars(ValueBool, v)
	case []string:
		return stringArray(v)
	case []Value:
		return nested(v)
	case int, uint:
		return Value{}, fmt.Errorf("gguf: %w: %T does not name one of the file's integer types; convert it, usually to uint32", ErrInvalid, v)
	}
	return Value{}, fmt.Errorf("gguf: %w: metadata cannot hold a %T", ErrInvalid, v)
}

// Type returns the value's type.
func (v Value) Type() ValueType { return v.typ }

// Elem returns the type of an array's elements, and the type of anything else.
func (v Value) Elem() ValueType {
	if v.arr != nil {
		return v.arr.elem
	}
	return v.typ
}

// Len returns the number of an array's elements, and 1 for anything else.
func (v Value) Len() int {
	if v.arr != nil {
		return v.arr.len
	}
	return 1
}

// TypeName describes the value's type for people: "uint32", "array of string".
func (v Value) TypeName() string {
	if v.arr != nil {
		return "array of " + v.arr.elem.String()
	}
	return v.typ.String()
}

// All iterates over the elements of an array in order, or over the value
// itself when it is none. It allocates nothing for elements that are not arrays.
func (v Value) All() iter.Seq2[int, Value] {
	return func(yield func(int, Value) bool) {
		switch {
		case v.arr == nil:
			yield(0, v)
		case v.arr.elem == ValueArray:
			d := decoder{mem: v.arr.raw, size: int64(len(v.arr.raw)), enc: v.arr.enc}
			for i := range v.arr.len {
				// The bytes were checked when the value was made.
				e, err := d.array(label{kind: "nested array"}, 1)
				if err != nil || !yield(i, e) {
					return
				}
			}
		default:
			for i := range v.arr.len {
				if !yield(i, v.arr.at(i)) {
					return
				}
			}
		}
	}
}

// Any returns the value as the Go type that NewValue makes it from: a scalar,
// a string, or a fresh slice. An array of arrays becomes a []Value.
func (v Value) Any() any {
	switch v.typ {
	case ValueUint8:
		return uint8(v.bits)
	case ValueInt8:
		return int8(v.bits)
	case ValueUint16:
		return uint16(v.bits)
	case ValueInt16:
		return int16(v.bits)
	case ValueUint32:
		return uint32(v.bits)
	case ValueInt32:
		return int32(v.bits)
	case ValueUint64:
		return v.bits
	case ValueInt64:
		return int64(v.bits)
	case ValueFloat32:
		return math.Float32frombits(uint32(v.bits))
	case ValueFloat64:
		return math.Float64frombits(v.bits)
	case ValueBool:
		return v.bits != 0
	case ValueString:
		return v.str
	}
	switch v.arr.elem {
	case ValueUint8:
		return slice[uint8](v.arr)
	case ValueInt8:
		return slice[int8](v.arr)
	case ValueUint16:
		return slice[uint16](v.arr)
	case ValueInt16:
		return slice[int16](v.arr)
	case ValueUint32:
		return slice[uint32](v.arr)
	case ValueInt32:
		return slice[int32](v.arr)
	case ValueUint64:
		return slice[uint64](v.arr)
	case ValueInt64:
		return slice[int64](v.arr)
	case ValueFloat32:
		return slice[float32](v.arr)
	case ValueFloat64:
		return slice[float64](v.arr)
	case ValueBool:
		return slice[bool](v.arr)
	case ValueString:
		return v.arr.strings()
	}
	out := make([]Value, 0, v.arr.len)
	for _, e := range v.All() {
		out = append(out, e)
	}
	return out
}

// Equal reports whether two values have the same type and content. Floats are
// compared by their bits.
func (v Value) Equal(w Value) bool {
	if v.typ != w.typ || v.bits != w.bits || v.str != w.str || (v.arr == nil) != (w.arr == nil) {
		return false
	}
	if v.arr == nil {
		return true
	}
	a, b := v.arr, w.arr
	if a.elem != b.elem || a.len != b.len {
		return false
	}
	switch a.elem {
	case ValueString:
		if a.text != b.text {
			return false
		}
		for i := range a.ends {
			if a.ends[i] != b.ends[i] {
				return false
			}
		}
		return true
	case ValueArray:
		next, stop := iter.Pull2(w.All())
		defer stop()
		for _, e := range v.All() {
			if _, f, ok := next(); !ok || !e.Equal(f) {
				return false
			}
		}
		return true
	}
	return bytes.Equal(a.raw, b.raw)
}

// String returns the value for people to read: strings quoted, long strings
// and arrays shortened.
func (v Value) String() string {
	const shown = 8
	switch {
	case v.typ == ValueString:
		return quote(v.str)
	case v.arr == nil:
		return fmt.Sprint(v.Any())
	}
	var b strings.Builder
	b.WriteByte('[')
	for i, e := range v.All() {
		if i == shown {
			b.WriteString(", … " + strconv.Itoa(v.arr.len-shown) + " more")
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(e.String())
	}
	b.WriteByte(']')
	return b.String()
}

// isInt reports whether the value is an integer of any width.
func (v Value) isInt() bool {
	switch v.typ {
	case ValueUint8, ValueInt8, ValueUint16, ValueInt16, ValueUint32, ValueInt32, ValueUint64, ValueInt64:
		return true
	}
	return false
}

func (t ValueType) signed() bool {
	return t == ValueInt8 || t == ValueInt16 || t == ValueInt32 || t == ValueInt64
}

// asUint64 returns an integer value that fits uint64.
func (v Value) asUint64() (uint64, bool) {
	return v.bits, v.isInt() && !(v.typ.signed() && int64(v.bits) < 0)
}

// asInt64 returns an integer value that fits int64.
func (v Value) asInt64() (int64, bool) {
	return int64(v.bits), v.isInt() && (v.typ.signed() || v.bits <= math.MaxInt64)
}

// asFloat64 returns a value of either float type.
func (v Value) asFloat64() (float64, bool) {
	switch v.typ {
	case ValueFloat32:
		return float64(math.Float32frombits(uint32(v.bits))), true
	case ValueFloat64:
		return math.Float64frombits(v.bits), true
	}
	return 0, false
}

// scalar makes a value of a scalar type from its bytes.
func scalar(t ValueType, b []byte, order binary.ByteOrder) Value {
	v := Value{typ: t}
	switch t {
	case ValueInt8:
		v.bits = uint64(int64(int8(b[0])))
	case ValueInt16:
		v.bits = uint64(int64(int16(order.Uint16(b))))
	case ValueInt32:
		v.bits = uint64(int64(int32(order.Uint32(b))))
	case ValueBool:
		if b[0] != 0 {
			v.bits = 1
		}
	default:
		switch t.width() {
		case 1:
			v.bits = uint64(b[0])
		case 2:
			v.bits = uint64(order.Uint16(b))
		case 4:
			v.bits = uint64(order.Uint32(b))
		case 8:
			v.bits = order.Uint64(b)
		}
	}
	return v
}

// at returns element i of an array of scalars or strings.
func (a *array) at(i int) Value {
	if a.elem == ValueString {
		return Value{typ: ValueString, str: a.str(i)}
	}
	w := a.elem.width()
	return scalar(a.elem, a.raw[i*w:(i+1)*w], binary.LittleEndian)
}

// str returns string i, which aliases the array's text.
func (a *array) str(i int) string {
	from := uint32(0)
	if i > 0 {
		from = a.ends[i-1]
	}
	return a.text[from:a.ends[i]]
}

func (a *array) strings() []string {
	out := make([]string, a.len)
	from := uint32(0)
	for i, end := range a.ends {
		out[i] = a.text[from:end]
		from = end
	}
	return out
}

// scalars makes an array value of a slice of fixed-width elements.
func scalars[T any](elem ValueType, v []T) (Value, error) {
	raw, err := binary.Append(make([]byte, 0, len(v)*elem.width()), binary.LittleEndian, v)
	if err != nil {
		return Value{}, fmt.Errorf("gguf: %w: %w", ErrInvalid, err)
	}
	return Value{typ: ValueArray, arr: &array{elem: elem, len: len(v), raw: raw}}, nil
}

// slice is the inverse of scalars.
func slice[T any](a *array) []T {
	out := make([]T, a.len)
	// Cannot fail: raw holds exactly len fixed-width elements.
	_, _ = binary.Decode(a.raw, binary.LittleEndian, out)
	return out
}

func stringArray(v []string) (Value, error) {
	total := uint64(0)
	for _, s := range v {
		total += uint64(len(s))
	}
	if err := checkText(total); err != nil {
		return Value{}, fmt.Errorf("gguf: %w", err)
	}
	a := &array{elem: ValueString, len: len(v), ends: make([]uint32, len(v))}
	var text strings.Builder
	text.Grow(int(total))
	for i, s := range v {
		text.WriteString(s)
		a.ends[i] = uint32(text.Len())
	}
	a.text = text.String()
	return Value{typ: ValueArray, arr: a}, nil
}

// checkText bounds the text of a string array by what its ends can address.
func checkText(total uint64) error {
	if total > min(math.MaxUint32, math.MaxInt) {
		return fmt.Errorf("%w: the strings of one array have %d bytes together, at most %d are supported", ErrUnsupported, total, uint64(math.MaxUint32))
	}
	return nil
}

// nested makes an array of arrays.
func nested(v []Value) (Value, error) {
	a := &array{elem: ValueArray, len: len(v)}
	depth := 0
	for i, e := range v {
		if e.arr == nil {
			return Value{}, fmt.Errorf("gguf: %w: element %d is a %s; an array of values must hold arrays", ErrInvalid, i, e.typ)
		}
		depth = max(depth, e.depth())
		a.raw = appendArray(a.raw, e.arr)
	}
	if depth+1 > maxArrayDepth {
		return Value{}, fmt.Errorf("gguf: %w: arrays nested %d deep, at most %d are supported", ErrInvalid, depth+1, maxArrayDepth)
	}
	return Value{typ: ValueArray, arr: a}, nil
}

// depth returns how deep arrays nest in the value: 1 for an array of scalars.
func (v Value) depth() int {
	if v.arr == nil {
		return 0
	}
	deepest := 0
	if v.arr.elem == ValueArray {
		for _, e := range v.All() {
			deepest = max(deepest, e.depth())
		}
	}
	return deepest + 1
}
