package head

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"trit/gguf"
	"trit/internal/half"
	"trit/internal/kernel"
	"trit/internal/model"
	"trit/quant"
)

// headTypes are the storage types that a head can have.
var headTypes = []gguf.Type{
	gguf.TypeF32, gguf.TypeF16, gguf.TypeBF16, gguf.TypeQ8_0,
	gguf.TypeQ6_K, gguf.TypeQ5_K, gguf.TypeQ4_K, gguf.TypeQ4_0,
}

// holdsAny reports whether a type can hold numbers that are not finite.
func holdsAny(typ gguf.Type) bool {
	return typ == gguf.TypeF32 || typ == gguf.TypeF16 || typ == gguf.TypeBF16
}

// encodeTable makes a head in any of the types of it.
func encodeTable(t testing.TB, typ gguf.Type, w []float32, rows, cols int) *model.Table {
	t.Helper()
	n, err := quant.RowBytes(typ, cols)
	if err != nil {
		t.Fatal(err)
	}
	table := &model.Table{Type: typ, Rows: rows, Cols: cols, Data: make([]byte, rows*n)}
	switch typ {
	case gguf.TypeQ4_K, gguf.TypeQ5_K:
		encodeRuns(typ, table.Data, w)
	default:
		err = quant.Encode(typ, table.Data, w)
	}
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// encodeRuns rounds to Q4_K or Q5_K, which package quant only reads.
func encodeRuns(typ gguf.Type, dst []byte, w []float32) {
	size, levels, header := 144, 15, 16
	if typ == gguf.TypeQ5_K {
		size, levels, header = 176, 31, 48
	}
	for ; len(w) > 0; w, dst = w[256:], dst[size:] {
		var scale, minimum [8]float64
		for j := range 8 {
			run := w[32*j : 32*j+32]
			minimum[j] = max(0, -float64(slices.Min(run)))
			scale[j] = (float64(slices.Max(run)) + minimum[j]) / float64(levels)
		}
		d, dmin := half.F32ToF16(float32(slices.Max(scale[:])/63)), half.F32ToF16(float32(slices.Max(minimum[:])/63))
		binary.LittleEndian.PutUint16(dst, d)
		binary.LittleEndian.PutUint16(dst[2:], dmin)
		six := func(x float64, unit uint16) byte {
			if x = math.Round(x / float64(half.F16ToF32(unit))); !(x >= 0) {
				return 0
			}
			return byte(min(x, 63))
		}
		for j := range 8 {
			s, m := six(scale[j], d), six(minimum[j], dmin)
			if packed := dst[4:]; j < 4 {
				packed[j], packed[j+4] = packed[j]|s, packed[j+4]|m
			} else {
				packed[j+4] = s&15 | m<<4
				packed[j-4] |= s >> 4 << 6
				packed[j] |= m >> 4 << 6
			}
			ds, dm := float64(half.F16ToF32(d))*float64(s), float64(half.F16ToF32(dmin))*float64(m)
			for i, v := range w[32*j : 32*j+32] {
				code := math.Round((float64(v) + dm) / ds)
				if !(code >= 0) {
					code = 0
				}
				c := byte(min(code, float64(levels)))
				dst[header+j/2*32+i] |= c & 15 << (j & 1 * 4)
				if header > 16 {
					dst[16+i] |= c >> 4 << j
				}
			}
		}
	}
}

// TestEncodeRuns: what the other tests take for a head in Q4_K or Q5_K is close to the
// weights that it was made of.
func TestEncodeRuns(t *testing.T) {
	w := gauss(rand.New(rand.NewPCG(41, 42)), 40*256, 0.02)
	for typ, most := range map[gguf.Type]float64{gguf.TypeQ4_K: 0.1, gguf.TypeQ5_K: 0.05} {
		table := encodeTable(t, typ, w, 40, 256)
		got := make([]float32, len(w))
		if err := quant.Decode(typ, got, table.Data); err != nil {
			t.Fatal(err)
		}
		lost, all := 0.0, 0.0
		for i := range w {
			lost += math.Pow(float64(got[i]-w[i]), 2)
			all += math.Pow(float64(w[i]), 2)
		}
		if e := math.Sqrt(lost / all); !(e < most) {
			t.Errorf("%s: off by %.3f of the norm, want less than %g", typ, e, most)
		}
	}
}

// TestAutoIsCoarse: large heads of all types have a copy, which the estimate of memory
// counts, and small ones have none.
func TestAutoIsCoarse(t *testing.T) {
	if !kernel.CoarseFast() {
		t.Skip("this CPU is not fast at coarse copies")
	}
	const cols = 256
	for _, typ := range headTypes {
		for _, rows := range []int{minCoarseWeights / cols, minCoarseWeights/cols - 1} {
			w := make([]float32, cols)
			table := encodeTable(t, typ, w, 1, cols)
			table.Data, table.Rows = slices.Repeat(table.Data, rows), rows
			h := newHead(t, table, Auto, 2)
			info := h.Info()
			want := Plain
			if rows*cols >= minCoarseWeights {
				want = Coarse
			}
			if info.Mode != want {
				t.Errorf("%s with %d rows: mode %s, want %s", typ, rows, info.Mode, want)
			}
			estimate, _ := Estimate(Auto, typ, rows, cols)
			if estimate < info.Resident || float64(estimate) > 1.05*float64(info.Resident) {
				t.Errorf("%s with %d rows: %d bytes beside the head, the estimate is %d", typ, rows, info.Resident, estimate)
			}
		}
	}
}

// TestEveryTypeGains: heads without structure are the hardest. One sequence and eight
// are still answered from the copy, whatever the type of the rows: what is little to
// read may take long to compute.
func TestEveryTypeGains(t *testing.T) {
	if !kernel.CoarseFast() {
		t.Skip("this CPU is not fast at coarse copies")
	}
	const rows, cols, steps = 1 << 13, 768, 12
	r := rand.New(rand.NewPCG(31, 32))
	w := gauss(r, rows*cols, 0.02)
	for _, typ := range headTypes {
		h := newHead(t, encodeTable(t, typ, w, rows, cols), Coarse, 2)
		for _, n := range []int{1, 8} {
			var states [][]float32
			var sel []*Selector
			for range n {
				states, sel = append(states, gauss(r, cols, 1)), append(sel, &Selector{K: 1})
			}
			before := h.Info().Complete
			for range steps {
				answer(h, rowsOf(states, sel))
			}
			checkRows(t, fmt.Sprintf("%s, %d rows", typ, n), h, rowsOf(states, sel))
			// The first steps find out how much of the copy to read.
			if all := h.Info().Complete - before; all > int64(3*n) {
				t.Errorf("%s: all logits for %d of %d rows", typ, all, steps*n)
			}
		}
	}
}
