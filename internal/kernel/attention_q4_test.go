package kernel

import (
	"math"
	"math/rand/v2"
	"testing"

	"trit/internal/half"
)

// TestQ4Codes compares the code of every integer with a search through all of them.
func TestQ4Codes(t *testing.T) {
	for i := math.MinInt8; i <= math.MaxInt8; i++ {
		nearest, best := uint8(0), math.Inf(1)
		for code, v := range q4Values {
			if d := math.Abs(float64(i - int(v))); d < best {
				nearest, best = uint8(code), d
			}
		}
		if got := q4Nearest[uint8(i)]; got != nearest || q4Numbers[uint8(i)] != float32(q4Values[nearest]) {
			t.Errorf("%v has code %d, %v; want %d", i, got, q4Numbers[uint8(i)], nearest)
		}
	}
}

// TestStoreQ4 stores keys and values at every slot of a page and reads all of them back:
// no slot touches another one, and what is read is as near as four bits allow.
func TestStoreQ4(t *testing.T) {
	r := rand.New(rand.NewPCG(31, 32))
	for _, d := range []int{2, 30, 32, 34, 64, 80, 128, 256} {
		page := KVPage{Type: KVQ4, K: make([]byte, KVQ4.PageBytes(d)), V: make([]byte, KVQ4.PageBytes(d))}
		var keys, values [PageTokens][]float32
		for _, slot := range r.Perm(PageTokens) {
			k, v := make([]float32, d), make([]float32, d)
			fill(k, r, floatData["normal"])
			fill(v, r, floatData["normal"])
			keys[slot], values[slot] = append(k[:0:0], k...), v
			PrepareKeys(KVQ4, k, d)
			StoreK(&page, slot, k)
			StoreV(&page, slot, v)
		}
		for slot := range PageTokens {
			k, v := loadKV(&page, slot, d)
			for i, pair := range [][2][]float32{{k, keys[slot]}, {v, values[slot]}} {
				var e, all float64
				for i, want := range pair[1] {
					e += math.Pow(float64(pair[0][i]-want), 2)
					all += math.Pow(float64(want), 2)
				}
				if e > 0.02*all { // 0.007 with many dimensions
					t.Errorf("d=%d slot %d, %d: an error of %v", d, slot, i, math.Sqrt(e/all))
				}
			}
		}
	}
}

// TestQ4LargeDimension: one dimension of the keys that is thirty times as large as the
// others costs far less with the rotation of keys than without.
func TestQ4LargeDimension(t *testing.T) {
	const d = 128
	r := rand.New(rand.NewPCG(33, 34))
	var rotated, plain float64 // squares of the errors of scores
	for range 200 {
		k, q := make([]float32, d), make([]float32, d)
		fill(k, r, floatData["normal"])
		fill(q, r, floatData["normal"])
		k[37], q[37] = 30+k[37]/10, 0 // what a large dimension itself contributes is alike for all positions
		want := 0.0
		for i := range k {
			want += float64(k[i]) * float64(q[i])
		}
		page := KVPage{Type: KVQ4, K: make([]byte, KVQ4.PageBytes(d)), V: make([]byte, KVQ4.PageBytes(d))}
		StoreV(&page, 0, k)
		PrepareKeys(KVQ4, k, d)
		StoreK(&page, 0, k)
		got, unrotated := loadKV(&page, 0, d)
		var a, b float64
		for i := range got {
			a += float64(got[i]) * float64(q[i])
			b += float64(unrotated[i]) * float64(q[i])
		}
		rotated, plain = rotated+(a-want)*(a-want), plain+(b-want)*(b-want)
	}
	if !(rotated < plain/2) {
		t.Errorf("errors of %v with the rotation, %v without", math.Sqrt(rotated/200), math.Sqrt(plain/200))
	}
	t.Logf("errors of %v with the rotation, %v without", math.Sqrt(rotated/200), math.Sqrt(plain/200))
}

// TestMulAddExact: the products that kernels fuse into sums are exact, so that fused or
// not the bits are the same.
func TestMulAddExact(t *testing.T) {
	r := rand.New(rand.NewPCG(35, 36))
	for range 200000 {
		x, sum := cutMantissa(math.Float32frombits(r.Uint32())), math.Float32frombits(r.Uint32())
		c := float32(q4Values[r.IntN(16)])
		product := x * c
		if float64(product) != float64(x)*float64(c) && x == x && product-product == 0 {
			t.Fatalf("%g times %g is not exact", x, c)
		}
		if want, got := sum+product, mulAdd(sum, x, c); got != want && want-want == 0 && product-product == 0 {
			t.Fatalf("%g + %g·%g is %g, want %g", sum, x, c, got, want)
		}
	}
}

// TestQ4ScaleRefit: the scale is the one with which the codes of the first step come
// nearest to the elements.
func TestQ4ScaleRefit(t *testing.T) {
	x := [q4Width]float32{-127, 111, 70, 53.5, 12.2}
	var codes [q4Width]uint8
	scale := half.F16ToF32(q4Group(&codes, &x))
	c := [q4Width]float32{-127, 114, 70, 53, 12}
	var dot, norm float32
	for i := range x {
		dot, norm = dot+x[i]*c[i], norm+c[i]*c[i]
	}
	if want := half.F16ToF32(half.F32ToF16(dot / norm)); scale != want {
		t.Errorf("a scale of %v, want %v", scale, want)
	}
}
