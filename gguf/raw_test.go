package gguf

import (
	"encoding/binary"
	"math"
)

// rawFile is a GGUF file under construction, byte by byte. It shares no code
// with the package's writer and writes whatever it is told to.
type rawFile struct {
	version uint32
	order   binary.AppendByteOrder
	b       []byte
}

func newRaw(version uint32, order binary.AppendByteOrder) *rawFile {
	r := &rawFile{version: version, order: order, b: []byte("GGUF")}
	return r.u32(version)
}

func (r *rawFile) u8(v uint8) *rawFile    { r.b = append(r.b, v); return r }
func (r *rawFile) u16(v uint16) *rawFile  { r.b = r.order.AppendUint16(r.b, v); return r }
func (r *rawFile) u32(v uint32) *rawFile  { r.b = r.order.AppendUint32(r.b, v); return r }
func (r *rawFile) u64(v uint64) *rawFile  { r.b = r.order.AppendUint64(r.b, v); return r }
func (r *rawFile) f32(v float32) *rawFile { return r.u32(math.Float32bits(v)) }
func (r *rawFile) raw(b ...byte) *rawFile { r.b = append(r.b, b...); return r }

// n appends a count or length.
func (r *rawFile) n(v uint64) *rawFile {
	if r.version == 1 {
		return r.u32(uint32(v))
	}
	return r.u64(v)
}

func (r *rawFile) str(s string) *rawFile {
	r.n(uint64(len(s)))
	return r.raw([]byte(s)...)
}

// counts appends the header's two counts.
func (r *rawFile) counts(tensors, keys uint64) *rawFile { return r.n(tensors).n(keys) }

// key appends a key and a value's type.
func (r *rawFile) key(name string, t ValueType) *rawFile { return r.str(name).u32(uint32(t)) }

// arr appends a key and the beginning of an array.
func (r *rawFile) arr(name string, elem ValueType, n uint64) *rawFile {
	return r.key(name, ValueArray).u32(uint32(elem)).n(n)
}

// tensor appends a tensor's entry.
func (r *rawFile) tensor(name string, id uint32, offset uint64, dims ...uint64) *rawFile {
	r.str(name).u32(uint32(len(dims)))
	for _, d := range dims {
		r.n(d)
	}
	return r.u32(id).u64(offset)
}

// pad appends zeros up to a multiple of align.
func (r *rawFile) pad(align int) *rawFile {
	for len(r.b)%align != 0 {
		r.b = append(r.b, 0)
	}
	return r
}

// scalarKeys is the number of keys that allKeys appends.
func scalarKeys(version uint32) uint64 {
	if version == 1 {
		return 17
	}
	return 20
}

// allKeys appends keys of every type there is in the version.
func (r *rawFile) allKeys() *rawFile {
	r.key(keyArchitecture, ValueString).str("bitnet-b1.58")
	r.key("u8", ValueUint8).u8(200)
	r.key("i8", ValueInt8).u8(0xfe)
	r.key("u16", ValueUint16).u16(60000)
	r.key("i16", ValueInt16).u16(0xfffd)
	r.key("u32", ValueUint32).u32(4000000000)
	r.key("i32", ValueInt32).u32(0xfffffffc)
	r.key("f32", ValueFloat32).f32(1.5)
	r.key("yes", ValueBool).u8(1)
	r.key("no", ValueBool).u8(0)
	r.key("empty", ValueString).str("")
	r.arr("strings", ValueString, 3).str("a").str("").str("czech: ř")
	r.arr("i32s", ValueInt32, 2).u32(7).u32(0xffffffff)
	r.arr("f32s", ValueFloat32, 2).f32(-2).f32(0.25)
	r.arr("u16s", ValueUint16, 3).u16(1).u16(2).u16(0xabcd)
	r.arr("none", ValueString, 0)
	r.arr("nested", ValueArray, 2).u32(uint32(ValueUint16)).n(2).u16(0x0102).u16(3).u32(uint32(ValueString)).n(1).str("in")
	if r.version > 1 {
		r.key("u64", ValueUint64).u64(1 << 63)
		r.key("i64", ValueInt64).u64(math.MaxUint64 - 4)
		r.key("f64", ValueFloat64).u64(math.Float64bits(0.1))
	}
	return r
}

// wantAll is what allKeys means.
func wantAll(version uint32) map[string]any {
	want := map[string]any{
		keyArchitecture: "bitnet-b1.58", "u8": uint8(200), "i8": int8(-2), "u16": uint16(60000), "i16": int16(-3),
		"u32": uint32(4000000000), "i32": int32(-4), "f32": float32(1.5), "yes": true, "no": false, "empty": "",
		"strings": []string{"a", "", "czech: ř"}, "i32s": []int32{7, -1}, "f32s": []float32{-2, 0.25},
		"u16s": []uint16{1, 2, 0xabcd}, "none": []string{},
	}
	if version > 1 {
		want["u64"], want["i64"], want["f64"] = uint64(1<<63), int64(-5), 0.1
	}
	return want
}
