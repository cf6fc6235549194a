package head

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"trit/gguf"
	"trit/internal/half"
	"trit/internal/kernel"
	"trit/internal/model"
)

// BenchmarkSelect measures selections on the head of a 2B model, with logits
// without structure and with logits like a trained model's.
func BenchmarkSelect(b *testing.B) {
	const rows, cols = 128256, 2560
	table := &model.Table{Type: gguf.TypeF16, Rows: rows, Cols: cols, Data: make([]byte, rows*cols*2)}
	r := rand.New(rand.NewPCG(1, 1))
	var normal [1 << 16]uint16
	for i := range normal {
		normal[i] = half.F32ToF16(float32(r.NormFloat64() * 0.02))
	}
	for i := 0; i < len(table.Data); i += 8 {
		u := r.Uint64()
		for j := range 4 {
			binary.LittleEndian.PutUint16(table.Data[i+2*j:], normal[u>>(16*j)&0xffff])
		}
	}
	h := newHead(b, table, Coarse, 2)
	row := make([]float32, cols)
	for _, peak := range []float64{0, 6, 9} {
		states := make([][]float32, 16)
		for i := range states {
			states[i] = gauss(r, cols, 1)
			kernel.DecodeRow(row, table.Data[r.IntN(rows)*2*cols:], gguf.TypeF16)
			for j, v := range row {
				// A row with itself: √cols standard deviations times the factor.
				states[i][j] += float32(peak / math.Sqrt(cols) / 0.02 * float64(v))
			}
		}
		for _, n := range []int{1, 4, 16} {
			for _, k := range []int{1, 40, 128} {
				for _, mass := range []bool{false, true} {
					if mass && (k != 128 || n != 1) {
						continue
					}
					b.Run(fmt.Sprintf("peak%g/rows%d/K%d/mass=%t", peak, n, k, mass), func(b *testing.B) {
						benchmarkSelect(b, h, states[:n], Selector{K: k, TailMass: mass})
					})
				}
			}
		}
	}
}

// benchmarkSelect runs a batch of equal requests, and between the runs all
// logits of the same states.
func benchmarkSelect(b *testing.B, h *Head, states [][]float32, request Selector) {
	n := len(states)
	x, all := slices.Concat(states...), make([]float32, n*h.table.Rows)
	var rows []Row
	for _, x := range states {
		s := request
		rows = append(rows, Row{x, &s})
	}
	var bytes int64
	var selecting, plain, rest []int
	for b.Loop() {
		start := time.Now()
		h.Logits(all, x, n)
		middle := time.Now()
		rest = h.Select(rows, rest[:0])
		if len(rest) > 0 {
			h.Logits(all, x, len(rest)) // any states: all take the same time
			for k, i := range rest {
				h.SelectFrom(rows[i].Selector, all[k*h.table.Rows:][:h.table.Rows])
			}
		}
		plain = append(plain, int(middle.Sub(start)))
		selecting = append(selecting, int(time.Since(middle)))
		bytes += h.Info().LastBytes
	}
	slices.Sort(plain)
	slices.Sort(selecting)
	info := h.Info()
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(selecting[len(selecting)/2])/1e6, "ms")
	b.ReportMetric(float64(plain[len(plain)/2])/1e6, "ms-plain")
	b.ReportMetric(float64(bytes)/float64(b.N)/1e6, "MB/row")
	b.ReportMetric(float64(info.LastRefined[0]), "refined1")
	b.ReportMetric(float64(info.LastRefined[1]), "refined2")
	b.ReportMetric(float64(info.LastExact), "exact")
}
