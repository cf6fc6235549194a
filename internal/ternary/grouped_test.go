package ternary

import (
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"trit/internal/half"
)

// codeOf and scaleOf read an element of a grouped layout straight from the
// definition in the package comment.
func codeOf(m *Matrix, r, c int) byte {
	size, cols := m.Layout.UnitBytes(), m.Layout.UnitCols()
	record := m.Panel(r / 16)[c/cols*size:][:size]
	e := c % cols
	lane := func(block int) []byte { return record[64*block+4*(r%16):][:4] }
	switch m.Layout {
	case G2:
		return lane(e / 16)[e%4] >> (e % 16 / 4 * 2) & 3
	case G5:
		if e < 120 {
			v := lane(e / 20)[e%4]
			for range e % 20 / 4 {
				v /= 3
			}
			return v % 3
		}
		return lane(6)[e%4] >> ((e - 120) / 4 * 2) & 3
	default:
		return lane(e / 32)[e%4] >> (e % 32 / 4) & 1 * 2
	}
}

func scaleOf(m *Matrix, r, c int) float32 {
	size, cols := m.Layout.UnitBytes(), m.Layout.UnitCols()
	record := m.Panel(r / 16)[c/cols*size:][:size]
	lane := record[size-64+4*(r%16):][:4]
	word := binary.LittleEndian.Uint32(lane)
	switch m.Layout {
	case G2:
		return math.Float32frombits(word)
	case G5:
		n := word >> 4 & 0x0F0F0F0F
		return half.F16ToF32(uint16(n&15 | n>>8&15<<4 | n>>16&15<<8 | n>>24<<12))
	default:
		return half.F16ToF32(uint16(word >> (c % 256 / 128 * 16)))
	}
}

// grouped returns a matrix with random codes and scales, and both beside it.
func grouped(t *testing.T, l Layout, rows, cols int, rng *rand.Rand) (*Matrix, [][]byte, []float32) {
	t.Helper()
	m, err := New(l, rows, cols)
	if err != nil {
		t.Fatal(err)
	}
	codes := make([][]byte, rows)
	scales := make([]float32, rows*m.Groups())
	for i := range scales {
		scales[i] = half.F16ToF32(half.F32ToF16(rng.Float32() + .01))
	}
	if err := m.SetScales(scales, GroupWidth); err != nil {
		t.Fatal(err)
	}
	for r := range codes {
		codes[r] = make([]byte, cols)
		for c := range codes[r] {
			switch l {
			case G2:
				codes[r][c] = byte(rng.IntN(4))
			case G5:
				codes[r][c] = byte(rng.IntN(3))
			default:
				codes[r][c] = byte(rng.IntN(2) * 2)
			}
		}
	}
	for p := range m.Panels() {
		if err := m.SetPanel(p, codes[16*p:min(16*p+16, rows)]); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	return m, codes, scales
}

func TestGroupedLayouts(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, l := range GroupedLayouts() {
		for _, shape := range [][2]int{{1, 1}, {3, 127}, {16, 128}, {17, 129}, {20, 255}, {33, 256}, {5, 384}, {16, 500}, {48, 1024}} {
			m, codes, scales := grouped(t, l, shape[0], shape[1], rng)
			row := make([]int8, m.Cols)
			for r := range m.Rows {
				if err := m.Row(r, row); err != nil {
					t.Fatal(err)
				}
				for c := range m.Cols {
					want := scales[r*m.Groups()+c/128]
					if codeOf(m, r, c) != codes[r][c] || row[c] != int8(codes[r][c])-1 || scaleOf(m, r, c) != want || m.ScaleAt(r, c) != want {
						t.Fatalf("%v %v: (%d,%d): code %d stored as %d, read as %d; scale %v stored as %v, read as %v", l, shape, r, c,
							codes[r][c], codeOf(m, r, c), row[c], want, scaleOf(m, r, c), m.ScaleAt(r, c))
					}
				}
			}
			// What is padding must not count: trits of zero, or scales of zero.
			for r := range m.Panels() * 16 {
				for c := range m.Units() * l.UnitCols() {
					if r < m.Rows && c < m.Cols {
						continue
					}
					if l == G1 && (r >= m.Rows || c/128 >= m.Groups()) {
						if scaleOf(m, r, c) != 0 {
							t.Fatalf("%v %v: padding at (%d,%d) has a scale", l, shape, r, c)
						}
					} else if l != G1 && codeOf(m, r, c) != 1 {
						t.Fatalf("%v %v: padding at (%d,%d) has code %d", l, shape, r, c, codeOf(m, r, c))
					}
				}
			}
		}
	}
}

func TestGroupedSizes(t *testing.T) {
	for l, want := range map[Layout]float64{G2: 2.25, G5: 1.75, G1: 1.125} {
		m, err := New(l, 32, 1024)
		if err != nil {
			t.Fatal(err)
		}
		if got := float64(m.Bytes()) * 8 / (32 * 1024); got != want || l.BytesPerWeight()*8 != want {
			t.Errorf("%v takes %v bits a weight, says %v, want %v", l, got, l.BytesPerWeight()*8, want)
		}
	}
}

func TestGroupedScales(t *testing.T) {
	for _, l := range GroupedLayouts() {
		m, err := New(l, 3, 512)
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			scales []float32
			group  int
			at     func(r, c int) float32
		}{
			{[]float32{2}, 0, func(r, c int) float32 { return 2 }},
			{[]float32{1, 2, 3}, 0, func(r, c int) float32 { return float32(r + 1) }},
			{[]float32{1, 2, 3, 4, 5, 6}, 256, func(r, c int) float32 { return float32(2*r + c/256 + 1) }},
		} {
			if err := m.SetScales(tt.scales, tt.group); err != nil {
				t.Fatal(err)
			}
			for r := range 3 {
				for c := range 512 {
					if got := m.ScaleAt(r, c); got != tt.at(r, c) {
						t.Fatalf("%v, %d scales: (%d,%d) has %v, want %v", l, len(tt.scales), r, c, got, tt.at(r, c))
					}
				}
			}
		}
		for _, bad := range []struct{ n, group int }{{2, 0}, {0, 0}, {24, 64}, {12, -128}, {11, 128}, {12, 100}} {
			if err := m.SetScales(make([]float32, bad.n), bad.group); !errors.Is(err, ErrScales) {
				t.Errorf("%v %+v: %v", l, bad, err)
			}
		}
		fine := []float32{1 + 1.0/4096}
		if err := m.SetScales(fine, 0); (err == nil) != (l == G2) || FitsScales(l, fine) != (l == G2) {
			t.Errorf("%v: a scale that binary16 does not hold: %v", l, err)
		}
	}
}

func TestGroupedCodes(t *testing.T) {
	for l, bad := range map[Layout][]byte{G2: {4, 7, 255}, G5: {3, 4, 255}, G1: {1, 3, 4, 255}} {
		for _, code := range bad {
			for _, at := range []int{0, 77, 119, 120, 127, 128, 255, 299} {
				m, err := New(l, 2, 300)
				if err != nil {
					t.Fatal(err)
				}
				rows := [][]byte{make([]byte, 300), make([]byte, 300)}
				rows[1][at] = code
				if err := m.SetPanel(0, rows); !errors.Is(err, ErrCode) || !contains(err.Error(), "row 1, column ") {
					t.Errorf("%v: code %d at %d: %v", l, code, at, err)
				}
			}
		}
	}
}
