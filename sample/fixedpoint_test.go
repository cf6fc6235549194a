package sample

import (
	"hash/fnv"
	"math"
	"math/big"
	"testing"
)

func TestExp2Table(t *testing.T) {
	const prec = 200
	root := new(big.Float).SetPrec(prec).SetInt64(2)
	for range 7 {
		root.Sqrt(root)
	}
	x := new(big.Float).SetPrec(prec).SetInt64(1)
	for i, bits := range exp2Table {
		if want, _ := x.Float64(); math.Float64frombits(bits) != want {
			t.Errorf("exp2Table[%d] = %x, want %x", i, math.Float64frombits(bits), want)
		}
		x.Mul(x, root)
	}
}

// ulps returns the distance of got from want in units of want's last place.
func ulps(got, want float64) float64 {
	if got == want || got != got && want != want {
		return 0
	}
	ulp := math.Nextafter(math.Abs(want), math.Inf(1)) - math.Abs(want)
	return math.Abs(got-want) / ulp
}

func TestExpLogAccuracy(t *testing.T) {
	s := NewStream(1, 7)
	for i := range 200000 {
		x := (s.Float64() - 0.5) * 1400
		if i%2 == 0 {
			x = (s.Float64() - 0.5) * 4
		}
		// math.Exp and math.Log are themselves good to one ulp.
		if u := ulps(exp64(x), math.Exp(x)); u > 2 && x > -708 {
			t.Fatalf("exp64(%v) = %x, want %x: %.1f ulp", x, exp64(x), math.Exp(x), u)
		}
		y := math.Exp(x) * s.Float64()
		if u := ulps(log64(y), math.Log(y)); u > 3 {
			t.Fatalf("log64(%v) = %x, want %x: %.1f ulp", y, log64(y), math.Log(y), u)
		}
	}
	inf := math.Inf(1)
	for _, tt := range []struct {
		name      string
		got, want float64
	}{
		{"exp 0", exp64(0), 1},
		{"exp +Inf", exp64(inf), inf},
		{"exp -Inf", exp64(-inf), 0},
		{"exp 710", exp64(710), inf},
		{"exp -750", exp64(-750), 0},
		{"exp NaN", exp64(math.NaN()), math.NaN()},
		{"exp subnormal", exp64(-745), 5e-324},
		{"log 1", log64(1), 0},
		{"log 0", log64(0), -inf},
		{"log -1", log64(-1), math.NaN()},
		{"log +Inf", log64(inf), inf},
		{"log subnormal", log64(5e-324), -744.4400719213812},
		{"pow 0^0", pow64(0, 0), 1},
		{"pow 0^2", pow64(0, 2), 0},
		{"pow 0^-1", pow64(0, -1), inf},
		{"pow 3^1", pow64(3, 1), 3},
		{"powInt", powInt(1.75, 5), 1.75 * 1.75 * 1.75 * 1.75 * 1.75},
	} {
		if ulps(tt.got, tt.want) > 1 {
			t.Errorf("%s = %v, want %v", tt.name, tt.got, tt.want)
		}
	}
	if got := pow64(2, 0.5); math.Abs(got-math.Sqrt2) > 1e-15 {
		t.Errorf("2^0.5 = %v", got)
	}
}

func TestWeight(t *testing.T) {
	if w := weight(0); w != weightOne {
		t.Errorf("weight(0) = %d, want %d", w, int64(weightOne))
	}
	for _, x := range []float64{math.Inf(-1), math.NaN(), -31, -1e300} {
		if w := weight(x); w != 0 {
			t.Errorf("weight(%v) = %d, want 0", x, w)
		}
	}
	s := NewStream(2, 7)
	prev := uint64(weightOne)
	for i := range 100000 {
		x := -s.Float64() * 32
		want := math.Exp(x) * weightOne
		if x <= minExponent {
			want = 0
		}
		if got := float64(weight(x)); math.Abs(got-want) > 0.6+want*2e-14 {
			t.Fatalf("weight(%v) = %v, want %v", x, got, want)
		}
		// Filters rely on weights that do not grow as logits fall.
		x = -float64(i) * 31e-5
		if w := weight(x); w > prev {
			t.Fatalf("weight(%v) = %d, above its predecessor %d", x, w, prev)
		} else {
			prev = w
		}
	}
}

// TestSumWeights compares the written-out loop with weight itself, including
// the values that widen approximates.
func TestSumWeights(t *testing.T) {
	logits := syntheticLogits(5000, 3)
	inf := float32(math.Inf(-1))
	logits = append(logits, 0, inf, math.SmallestNonzeroFloat32, -math.SmallestNonzeroFloat32, 1e-40, -math.MaxFloat32)
	for _, scale := range []float64{1, 0.3, 7} {
		for _, shift := range []float32{0, -15, 100} {
			row := make([]float32, len(logits))
			top := inf
			for i, v := range logits {
				row[i] = v + shift
				top = max(top, row[i])
			}
			z, s := sumWeights(row, top, scale)
			var wantZ, wantS uint64
			for _, v := range row {
				x := float64((float64(v) - float64(top)) * scale)
				w := weight(x)
				wantZ += w
				if w > 0 {
					wantS += surpriseTerm(w, x)
				}
			}
			if z != wantZ || s != wantS {
				t.Errorf("scale %v shift %v: %d, %d, want %d, %d", scale, shift, z, s, wantZ, wantS)
			}
		}
	}
}

// TestSameBits pins the bits of the functions that decide tokens. It must
// pass unchanged on every architecture.
func TestSameBits(t *testing.T) {
	h := fnv.New64a()
	put := func(v uint64) {
		var b [8]byte
		for i := range b {
			b[i] = byte(v >> (8 * i))
		}
		h.Write(b[:])
	}
	s := NewStream(4, 7)
	for range 20000 {
		x := float64(s.Float64() * 40) // not fused with the subtraction below
		put(weight(-x))
		put(math.Float64bits(exp64(x - 20)))
		put(math.Float64bits(log64(x)))
		put(math.Float64bits(pow64(x, 0.3)))
	}
	const want = 0xa160bf8a80d3d4d3
	if got := h.Sum64(); got != want {
		t.Errorf("hash %#x, want %#x", got, uint64(want))
	}
}
