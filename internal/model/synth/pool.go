package synth

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"

	"trit/gguf"
	"trit/internal/half"
	"trit/quant"
)

// poolElems is the number of elements that a pool encodes.
const poolElems = 1 << 19

// i2sTail is how many bytes end an I2_S tensor.
const i2sTail = 32

// pool holds encoded blocks that tensors are put together from, and the bytes
// that end a tensor.
type pool struct {
	block  int // bytes
	blocks []byte
	tail   []byte
}

// ternaryPool encodes trits with the given scale as blocks of a storage type.
// The pool serves tensors of n elements, which decides about the block where the
// type has none of its own.
func ternaryPool(t gguf.Type, scale float32, n int64, rng *rand.PCG) (*pool, error) {
	codes := make([]byte, poolElems)
	for i := range codes {
		if t == gguf.TypeQ1_0 { // −1 or +1
			codes[i] = 2 * byte(below(rng.Uint64(), 2))
			continue
		}
		codes[i] = byte(below(rng.Uint64(), 3))
	}
	if t == gguf.TypeSTQ1_0 {
		oneZeroInFour(codes, rng)
	}
	switch t {
	case gguf.TypeI2S:
		// A tensor is a stream of 128 elements in 32 bytes, and ends with its
		// scale in a tail of 32 bytes.
		const elems = 128
		data, err := encodeCodes(t, codes, scale)
		if err != nil {
			return nil, err
		}
		cut := len(data) - i2sTail
		return &pool{block: cut / (poolElems / elems), blocks: data[:cut], tail: data[cut:]}, nil
	case gguf.TypeTQ1_0, gguf.TypeTQ2_0, gguf.TypeSTQ1_0, gguf.TypeQ1_0, gguf.TypeQ2_0, gguf.TypePQ2_0, gguf.TypePTQ1_0:
		data, err := encodeCodes(t, codes, scale)
		if err != nil {
			return nil, err
		}
		return &pool{block: int(t.BlockBytes()), blocks: data}, nil
	case gguf.TypeF16:
		values := make([]float32, poolElems)
		for i, c := range codes {
			values[i] = scale * float32(int(c)-1)
		}
		return floatPool(t, values, n)
	}
	return nil, fmt.Errorf("%w: %v for ternary weights", ErrType, t)
}

// oneZeroInFour replaces codes by such as STQ1_0 stores: of every four elements that are
// 16 apart in a run of 64 one is zero.
func oneZeroInFour(codes []byte, rng *rand.PCG) {
	for run := 0; run < len(codes); run += 64 {
		for i := range 16 {
			u := rng.Uint64() >> 59 // the place of the zero, and three signs
			for p := range 4 {
				code := &codes[run+i+16*p]
				if uint64(p) == u>>3 {
					*code = 1
					continue
				}
				*code = 2 * byte(u&1)
				u = u&^7 | u&7>>1
			}
		}
	}
}

// gaussianPool encodes values with the given standard deviation.
func gaussianPool(t gguf.Type, deviation float32, n int64, rng *rand.PCG) (*pool, error) {
	values := make([]float32, poolElems)
	for i := range values {
		// Twelve uniform numbers of 16 bits have a sum with the standard
		// deviation 2¹⁶ (1 if they ran from 0 to 1). Integers, because a sum
		// of floats could differ between machines.
		sum := -12 * 0xFFFF / 2
		for range 3 {
			for u := rng.Uint64(); u != 0; u >>= 16 {
				sum += int(u & 0xFFFF)
			}
		}
		values[i] = deviation * (float32(sum) / (1 << 16))
	}
	if t == gguf.TypeQ4_K {
		return q4KPool(values, deviation)
	}
	return floatPool(t, values, n)
}

// q4KPool encodes values in Q4_K with the same step everywhere, so that 15 steps are six
// deviations. That loses more than an encoder which looks at the values would, which
// does not matter to random ones.
func q4KPool(values []float32, deviation float32) (*pool, error) {
	const (
		elems, size    = 256, 144
		scale, minimum = 32, 60 // of 63
	)
	step := deviation * 6 / 15
	var head [16]byte
	binary.LittleEndian.PutUint16(head[:], half.F32ToF16(step/scale))
	binary.LittleEndian.PutUint16(head[2:], half.F32ToF16(step*7.5/minimum))
	for j := range 4 { // runs j and j + 4: six bits each, of which the second has two elsewhere
		head[4+j] = scale | scale>>4<<6
		head[8+j] = minimum | minimum>>4<<6&0xFF
		head[12+j] = scale&15 | minimum&15<<4
	}
	p := &pool{block: size, blocks: make([]byte, len(values)/elems*size)}
	for i, x := range values {
		block, e := p.blocks[i/elems*size:], i%elems
		if e == 0 {
			copy(block, head[:])
		}
		code := byte(min(max(float32(x/step)+8, 0), 15)) // rounds x/step + 7.5
		block[len(head)+e/64*32+e%32] |= code << (e / 32 % 2 * 4)
	}
	return p, nil
}

// floatPool encodes values as blocks. Types without blocks get runs of up to 32
// elements, as many as divide n.
func floatPool(t gguf.Type, values []float32, n int64) (*pool, error) {
	elems := t.BlockElements()
	if elems == 1 {
		elems = gcd(n, 32)
	}
	size, err := quant.RowBytes(t, len(values))
	if err != nil {
		return nil, err
	}
	p := &pool{blocks: make([]byte, size), block: int(int64(size) / (int64(len(values)) / elems))}
	return p, quant.Encode(t, p.blocks, values)
}

func encodeCodes(t gguf.Type, codes []byte, scale float32) ([]byte, error) {
	size, err := quant.TensorBytes(t, 1, len(codes))
	if err != nil {
		return nil, err
	}
	data := make([]byte, size)
	return data, quant.EncodeCodes(t, data, codes, scale)
}

// fill writes whole blocks to dst, drawn with the given generator.
func (p *pool) fill(dst []byte, rng *rand.PCG) {
	count := uint64(len(p.blocks) / p.block)
	for len(dst) > 0 {
		u := rng.Uint64()
		for range 2 {
			if len(dst) == 0 {
				return
			}
			at := int(u&math.MaxUint32*count>>32) * p.block
			dst = dst[copy(dst[:p.block], p.blocks[at:]):]
			u >>= 32
		}
	}
}

// below maps a random word to 0…n−1.
func below(u, n uint64) uint64 { return u >> 32 * n >> 32 }

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
