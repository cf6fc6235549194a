package kernel

import (
	"fmt"
	"math"
	"unsafe"
)

// Sizes of the key/value store, in positions.
const (
	// PageTokens is the number of positions in a KVPage.
	PageTokens = 32
	// ChunkTokens is the number of positions over which one softmax block runs.
	// Chunks start at absolute positions that are multiples of it.
	ChunkTokens = 256
	// MaxHeadDim is the largest head size that attention supports.
	MaxHeadDim = 256
)

// KVType is the element type of a KVPage.
type KVType uint8

// The element types of pages.
const (
	KVF32 KVType = iota
	KVF16        // IEEE binary16, rounded to nearest even
	KVI8         // int8 with one float32 scale per position for K and one for V
	KVQ4         // four bits with a binary16 scale for each 32 elements; see attention_q4.go
	kvTypes
)

// String returns the type's name: "f32", "f16", "int8" or "q4".
func (t KVType) String() string {
	switch t {
	case KVF32:
		return "f32"
	case KVF16:
		return "f16"
	case KVI8:
		return "int8"
	case KVQ4:
		return "q4"
	}
	return fmt.Sprintf("kvtype(%d)", uint8(t))
}

// ParseKVType returns the type called name, as String writes it.
func ParseKVType(name string) (KVType, error) {
	for t := range kvTypes {
		if t.String() == name {
			return t, nil
		}
	}
	return 0, fmt.Errorf("kernel: unknown element type %q of the KV cache; want f32, f16, int8 or q4", name)
}

// elemBytes returns the bytes of one element of the types that have whole ones: 4, 2 or 1.
func (t KVType) elemBytes() int { return 4 >> t }

// Scaled reports whether pages of the type have scales beside K and V.
func (t KVType) Scaled() bool { return t == KVI8 }

// PageBytes returns the bytes of K, and again of V, in a page of heads of size d.
func (t KVType) PageBytes(d int) int {
	if t == KVQ4 {
		return (d + q4Width - 1) / q4Width * q4Bytes
	}
	return PageTokens * d * t.elemBytes()
}

// KVPage holds the keys and values of PageTokens consecutive positions for one
// layer and one key/value head of size d. It only refers to memory; whoever owns
// the cache allocates it.
type KVPage struct {
	Type KVType
	// K is [d][PageTokens] and V is [PageTokens][d], elements of Type in the
	// machine's byte order, or groups of them with KVQ4, Type.PageBytes(d) bytes
	// each. They start at a multiple of the element size; a multiple of 64 is
	// fastest.
	K, V []byte
	// KScale and VScale are [PageTokens]; only KVI8 has them.
	KScale, VScale []float32
}

// StoreK writes the key of one position, of d = len(k) dimensions, to slot
// (0…PageTokens−1) of the page. It stores what later reads will see: binary16
// rounds to nearest even, int8 uses scale = max|k|/127 and rounds
// k·(127/max|k|) to the nearest integer, halves to even. A key whose magnitudes
// are all below 2⁻¹²⁰ becomes zero in int8, one with an infinity or NaN becomes
// NaN. q4Group says what four bits hold. The key is as PrepareKeys left it.
func StoreK(page *KVPage, slot int, k []float32) {
	checkSlot(slot)
	const n = PageTokens
	switch page.Type {
	case KVF32:
		dst := view[float32](page.K, n*len(k))
		for i, v := range k {
			dst[i*n+slot] = v
		}
	case KVF16:
		dst := view[uint16](page.K, n*len(k))
		active.attend.laneF16(dst[slot:], k)
	case KVI8:
		dst := view[int8](page.K, n*len(k))
		inverse, scale := int8Scale(k)
		page.KScale[slot] = scale
		for i, v := range k {
			dst[i*n+slot] = roundInt8(float32(v * inverse))
		}
	case KVQ4:
		storeKQ4(page.K, slot, k)
	default:
		panic("kernel: unknown KV type " + page.Type.String())
	}
}

// StoreV writes the value of one position as StoreK writes its key.
func StoreV(page *KVPage, slot int, v []float32) {
	checkSlot(slot)
	d := len(v)
	switch page.Type {
	case KVF32:
		copy(view[float32](page.V, PageTokens*d)[slot*d:], v)
	case KVF16:
		active.attend.rowF16(view[uint16](page.V, PageTokens*d)[slot*d:][:d], v)
	case KVI8:
		dst := view[int8](page.V, PageTokens*d)[slot*d:][:d]
		inverse, scale := int8Scale(v)
		page.VScale[slot] = scale
		for i, x := range v {
			dst[i] = roundInt8(float32(x * inverse))
		}
	case KVQ4:
		storeVQ4(page.V, slot, v)
	default:
		panic("kernel: unknown KV type " + page.Type.String())
	}
}

func checkSlot(slot int) {
	if uint(slot) >= PageTokens {
		panic(fmt.Sprintf("kernel: slot %d of a page of %d positions", slot, PageTokens))
	}
}

// int8Scale returns the factor that maps x to ±127 and the scale that maps it
// back.
func int8Scale(x []float32) (inverse, scale float32) {
	var largest uint32 // magnitudes order like their bits, NaN above infinity
	for _, v := range x {
		largest = max(largest, math.Float32bits(v)&^(1<<31))
	}
	absMax := math.Float32frombits(largest)
	switch {
	case largest >= 0x7f800000:
		return 0, float32(math.NaN())
	case absMax < 0x1p-120:
		return 0, 0
	}
	return 127 / absMax, absMax / 127
}

// roundInt8 rounds a number of magnitude up to 127.5 to an integer, halves to
// even. Whatever it makes of NaN is multiplied by a NaN scale.
func roundInt8(x float32) int8 {
	return int8(math.Float32bits(x + roundMagic))
}

// view returns the first n elements of type T that data holds.
func view[T float32 | uint16 | int8](data []byte, n int) []T {
	var zero T
	data = data[:n*int(unsafe.Sizeof(zero))]
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(data))), n)
}
