package half

import (
	"math"
	"math/rand/v2"
	"sort"
	"testing"
)

// format describes a 16-bit float for the oracle, which knows only the
// definition: sign, biased exponent, mantissa.
type format struct {
	name                string
	exponent, mantissa  int
	widen               func(uint16) float32
	narrow              func(float32) uint16
	decode              func([]float32, []byte)
	encode              func([]byte, []float32)
	infinity, quietBits uint16
}

var formats = []format{
	{"F16", 5, 10, F16ToF32, F32ToF16, DecodeF16, EncodeF16, 0x7c00, 0x0200},
	{"BF16", 8, 7, BF16ToF32, F32ToBF16, DecodeBF16, EncodeBF16, 0x7f80, 0x0040},
}

// value evaluates a finite number of the format from its definition.
func (f format) value(h uint16) float64 {
	bias := 1<<(f.exponent-1) - 1
	e := int(h) >> f.mantissa & (1<<f.exponent - 1)
	m := float64(int(h) & (1<<f.mantissa - 1))
	v := math.Ldexp(m, 1-bias-f.mantissa)
	if e > 0 {
		v = math.Ldexp(m+math.Ldexp(1, f.mantissa), e-bias-f.mantissa)
	}
	if h&0x8000 != 0 {
		v = -v
	}
	return v
}

// nearest searches the sorted table of all finite magnitudes, extended by the
// value one step past the largest, which stands for infinity.
func (f format) nearest(table []float64, x float64) uint16 {
	var sign uint16
	if math.Signbit(x) {
		sign, x = 0x8000, -x
	}
	if x >= table[len(table)-1] {
		return sign | f.infinity
	}
	i := sort.SearchFloat64s(table, x) // table[i-1] < x <= table[i]
	if table[i] == x {
		return sign | uint16(i)
	}
	below, above := x-table[i-1], table[i]-x
	if below < above || below == above && (i-1)%2 == 0 {
		return sign | uint16(i-1)
	}
	return sign | uint16(i)
}

func (f format) table() []float64 {
	table := make([]float64, int(f.infinity)+1)
	for h := range f.infinity {
		table[h] = f.value(h)
	}
	last := int(f.infinity) - 1
	table[last+1] = 2*table[last] - table[last-1]
	return table
}

func TestWidenEveryHalf(t *testing.T) {
	for _, f := range formats {
		for i := range 1 << 16 {
			h := uint16(i)
			got := f.widen(h)
			switch {
			case h&0x7fff > f.infinity:
				if got == got {
					t.Fatalf("%s %#04x: got %g, want NaN", f.name, h, got)
				}
				if back := f.narrow(got); back != h|f.quietBits {
					t.Fatalf("%s NaN %#04x comes back as %#04x, want %#04x", f.name, h, back, h|f.quietBits)
				}
				continue
			case h&0x7fff == f.infinity:
				if !math.IsInf(float64(got), 1-2*int(h>>15)) {
					t.Fatalf("%s %#04x: got %g, want infinity", f.name, h, got)
				}
			default:
				want := f.value(h)
				if float64(got) != want || math.Signbit(float64(got)) != math.Signbit(want) {
					t.Fatalf("%s %#04x: got %g, want %g", f.name, h, got, want)
				}
			}
			if back := f.narrow(got); back != h {
				t.Fatalf("%s %#04x comes back as %#04x", f.name, h, back)
			}
		}
	}
}

// TestNarrowRoundsToNearestEven checks every boundary between neighbours (the
// midpoint and the float32 on either side of it) and random bit patterns.
func TestNarrowRoundsToNearestEven(t *testing.T) {
	for _, f := range formats {
		table := f.table()
		check := func(x float32) {
			t.Helper()
			for _, x := range []float32{x, -x} {
				if got, want := f.narrow(x), f.nearest(table, float64(x)); got != want {
					t.Fatalf("%s(%g = %#08x): got %#04x, want %#04x", f.name, x, math.Float32bits(x), got, want)
				}
			}
		}
		// The boundary to infinity lies halfway to the value after the largest.
		last := len(table) - 1
		for h := range last {
			mid64 := (table[h] + table[h+1]) / 2
			mid := float32(mid64)
			if float64(mid) != mid64 {
				t.Fatalf("%s: midpoint %g after %#04x is not a float32", f.name, mid64, h)
			}
			if h == last-1 {
				if got := f.narrow(mid); got != f.infinity {
					t.Fatalf("%s(%g): got %#04x, want infinity", f.name, mid, got)
				}
				if got := f.narrow(math.Nextafter32(mid, 0)); got != f.infinity-1 {
					t.Fatalf("%s below %g: got %#04x, want the largest number", f.name, mid, got)
				}
				continue
			}
			check(mid)
			check(math.Nextafter32(mid, 0))
			check(math.Nextafter32(mid, math.MaxFloat32))
		}
		random := rand.New(rand.NewPCG(1, 2))
		limit := (table[last] + table[last-1]) / 2
		for range 200_000 {
			x := math.Float32frombits(random.Uint32())
			if x == x && math.Abs(float64(x)) < limit {
				check(x)
			}
		}
		if got := f.narrow(float32(math.Inf(-1))); got != 0x8000|f.infinity {
			t.Errorf("%s(-Inf) = %#04x", f.name, got)
		}
		if got := f.narrow(math.Float32frombits(0xff800001)); got&0x7fff <= f.infinity || got&0x8000 == 0 {
			t.Errorf("%s(-sNaN) = %#04x, want a negative NaN", f.name, got)
		}
	}
}

func TestSlicesMatchScalars(t *testing.T) {
	for _, f := range formats {
		for n := range 35 {
			for offset := range 3 {
				buffer := make([]byte, offset+2*n+1)
				src, want := make([]float32, n), make([]float32, n)
				for i := range src {
					src[i] = float32(i*i)*0.37 - 11
					want[i] = f.widen(f.narrow(src[i]))
				}
				f.encode(buffer[offset:], src)
				if buffer[offset+2*n] != 0 {
					t.Fatalf("%s: encoding %d values wrote past them", f.name, n)
				}
				got := make([]float32, n)
				f.decode(got, buffer[offset:])
				for i := range got {
					if got[i] != want[i] {
						t.Fatalf("%s n=%d offset=%d: element %d is %g, want %g", f.name, n, offset, i, got[i], want[i])
					}
				}
			}
		}
	}
}

func BenchmarkDecodeF16(b *testing.B) {
	dst, src := make([]float32, 4096), make([]byte, 8192)
	for i := range src {
		src[i] = byte(i * 37)
	}
	b.SetBytes(int64(len(src)))
	for b.Loop() {
		DecodeF16(dst, src)
	}
}
