package kernel

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"trit/internal/ternary"
)

// The benchmarks run the ternary layers of a 2-billion-parameter model's block,
// enough of them that no cache holds their weights, on one worker per CPU that
// tests may use (-cpu 1,2). Every iteration also measures the machine's own limit on
// the same workers, since shared machines are never quiet: compare the figures
// of one line. Medians of the iterations are reported, and the best of each.

// benchShapes are the ternary matrices of one block (rows, columns).
var benchShapes = [][2]int{{2560, 2560}, {640, 2560}, {640, 2560}, {2560, 2560}, {6912, 2560}, {6912, 2560}, {2560, 6912}}

// benchLayers blocks take 556 MB in T2 and 444 MB in T5.
const benchLayers = 32

// benchModel returns benchLayers blocks of random weights.
func benchModel(b *testing.B, layout ternary.Layout, layers int) []*ternary.Matrix {
	b.Helper()
	rng := rand.New(rand.NewPCG(1, 1))
	codes := make([][]byte, ternary.PanelRows)
	random := make([]byte, 1<<16)
	for i := range random {
		random[i] = byte(rng.IntN(3))
	}
	var all []*ternary.Matrix
	for range layers {
		for _, s := range benchShapes {
			m, err := ternary.New(layout, s[0], s[1])
			if err != nil {
				b.Fatal(err)
			}
			if layout == ternary.G1 {
				for i := range random {
					random[i] &^= 1
				}
			}
			for p := range m.Panels() {
				for i := range codes {
					codes[i] = random[rng.IntN(len(random)-s[1]):][:s[1]]
				}
				if err := m.SetPanel(p, codes); err != nil {
					b.Fatal(err)
				}
			}
			all = append(all, m)
		}
	}
	return all
}

// benchInt8 returns quantised random activations of both widths.
func benchInt8(tokens int) map[int]*Int8 {
	rng := rand.New(rand.NewPCG(2, 2))
	xs := map[int]*Int8{}
	for _, cols := range []int{2560, 6912} {
		x := NewInt8(tokens, cols)
		for t := range tokens {
			QuantizeRow(x, t, randomFloats(rng, cols))
		}
		xs[cols] = x
	}
	return xs
}

// A benchTeam is a number of workers, each on a CPU of its own.
type benchTeam struct {
	jobs []chan func(i int)
	done sync.WaitGroup
}

func newBenchTeam(b *testing.B, n int) *benchTeam {
	team := &benchTeam{jobs: make([]chan func(int), n)}
	for i := range team.jobs {
		team.jobs[i] = make(chan func(int))
		go func() {
			pinThread(i)
			for f := range team.jobs[i] {
				f(i)
				team.done.Done()
			}
		}()
	}
	b.Cleanup(func() {
		for _, c := range team.jobs {
			close(c)
		}
	})
	return team
}

// run calls f(i) on every worker and returns the time until all are done.
func (t *benchTeam) run(f func(i int)) time.Duration {
	start := time.Now()
	t.done.Add(len(t.jobs))
	for _, c := range t.jobs {
		c <- f
	}
	t.done.Wait()
	return time.Since(start)
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// BenchmarkTernaryDecode measures products with few rows of activations, which are
// bound by reading the weights: GB/s of packed weights, beside plain reads of
// the same memory.
func BenchmarkTernaryDecode(b *testing.B) {
	for _, layout := range slices.Concat(ternary.Layouts(), ternary.GroupedLayouts()) {
		model := benchModel(b, layout, benchLayers)
		for _, tokens := range []int{1, 2, 4, 8, 16} {
			for workers := 1; workers <= 2; workers++ {
				b.Run(fmt.Sprintf("%v/tokens=%d/workers=%d", layout, tokens, workers), func(b *testing.B) {
					benchDecode(b, model, tokens, workers)
				})
			}
		}
	}
}

func benchDecode(b *testing.B, model []*ternary.Matrix, tokens, workers int) {
	xs := benchInt8(tokens)
	groups := map[int]*GroupedInt8{}
	for cols := range xs {
		groups[cols] = groupedActivations(tokens, cols, rand.New(rand.NewPCG(3, 3)))
	}
	bytes, weights := 0.0, 0.0
	for _, m := range model {
		bytes += float64(len(m.Data))
		weights += float64(m.Rows) * float64(m.Cols)
	}
	ys, spaces := make([][]float32, workers), make([]*Workspace, workers)
	for i := range ys {
		ys[i], spaces[i] = make([]float32, tokens*6912), NewWorkspace()
	}
	share := func(i int, m *ternary.Matrix) (lo, hi int) {
		return m.Panels() * i / workers, m.Panels() * (i + 1) / workers
	}
	team := newBenchTeam(b, workers)
	var speed, stream, ratio []float64
	for b.Loop() {
		read := team.run(func(i int) {
			for _, m := range model {
				lo, hi := share(i, m)
				StreamRead(m.Data[lo*m.PanelBytes() : hi*m.PanelBytes()])
			}
		})
		product := team.run(func(i int) {
			for _, m := range model {
				lo, hi := share(i, m)
				if m.Layout.Grouped() {
					MatMulGrouped(ys[i], 6912, m, groups[m.Cols], 0, tokens, lo, hi, spaces[i])
				} else {
					MatMulI8(ys[i], 6912, m, xs[m.Cols], 0, tokens, lo, hi, spaces[i])
				}
			}
		})
		speed = append(speed, bytes/float64(product.Nanoseconds()))
		stream = append(stream, bytes/float64(read.Nanoseconds()))
		ratio = append(ratio, 100*float64(read)/float64(product))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(speed), "GB/s")
	b.ReportMetric(median(stream), "stream-GB/s")
	b.ReportMetric(median(ratio), "%stream")
	b.ReportMetric(slices.Max(speed), "best-GB/s")
	b.ReportMetric(slices.Max(stream), "best-stream-GB/s")
	// Milliseconds for the 2.084 G weights of a 2B model's ternary layers.
	b.ReportMetric(2.084e9/weights*bytes/median(speed)/1e6, "ms/2.084G")
}

// BenchmarkTernaryPrefill measures products with many rows of activations, which are
// bound by arithmetic: G multiply-accumulates per second, beside the peak of
// the int8 instructions.
func BenchmarkTernaryPrefill(b *testing.B) {
	const tokens = 256
	xs := benchInt8(tokens)
	for _, layout := range ternary.Layouts() {
		model := benchModel(b, layout, 1)
		for workers := 1; workers <= 2; workers++ {
			b.Run(fmt.Sprintf("%v/workers=%d", layout, workers), func(b *testing.B) {
				ys, spaces := make([][]float32, workers), make([]*Workspace, workers)
				for i := range ys {
					ys[i], spaces[i] = make([]float32, tokens*6912), NewWorkspace()
				}
				macs := 0.0
				for _, m := range model {
					macs += tokens * float64(m.Rows) * float64(m.Cols)
				}
				team := newBenchTeam(b, workers)
				var speed, peak, ratio []float64
				for b.Loop() {
					done := make([]int64, workers)
					limit := team.run(func(i int) { done[i] = Int8Peak(200_000) })
					var all float64
					for _, n := range done {
						all += float64(n)
					}
					product := team.run(func(i int) {
						for _, m := range model {
							// Slices of four panels, as the engine splits work.
							lo, hi := m.Panels()*i/workers, m.Panels()*(i+1)/workers
							for p := lo; p < hi; p += 4 {
								MatMulI8(ys[i], 6912, m, xs[m.Cols], 0, tokens, p, min(p+4, hi), spaces[i])
							}
						}
					})
					speed = append(speed, macs/float64(product.Nanoseconds()))
					peak = append(peak, all/float64(limit.Nanoseconds()))
					ratio = append(ratio, 100*speed[len(speed)-1]/peak[len(peak)-1])
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(median(speed), "GMAC/s")
				b.ReportMetric(median(peak), "peak-GMAC/s")
				b.ReportMetric(median(ratio), "%peak")
				b.ReportMetric(slices.Max(speed), "best-GMAC/s")
				b.ReportMetric(slices.Max(peak), "best-peak-GMAC/s")
			})
		}
	}
}

// BenchmarkTernaryVariants measures one worker with weights in its cache.
func BenchmarkTernaryVariants(b *testing.B) {
	const cols, panels = 2560, 16
	for _, layout := range ternary.Layouts() {
		w := testMatrix(b, layout, panels*ternary.PanelRows, cols, randomTrit(rand.New(rand.NewPCG(4, 4))))
		for _, tokens := range []int{1, 32} {
			x := testInt8(tokens, cols, 0, randomCode(rand.New(rand.NewPCG(5, 5))))
			y := make([]float32, tokens*w.Rows)
			floats := randomFloats(rand.New(rand.NewPCG(6, 6)), tokens*cols)
			ws := NewWorkspace()
			macs := float64(tokens * w.Rows * cols)
			eachKernel(func(l Level, v Variant) {
				ws.Variant = v
				b.Run(fmt.Sprintf("%v/tokens=%d/%v-%v", layout, tokens, v, l), func(b *testing.B) {
					for b.Loop() {
						MatMulI8(y, w.Rows, w, x, 0, tokens, 0, panels, ws)
					}
					b.ReportMetric(macs*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GMAC/s")
				})
				if v == Blocked || v == LUT {
					return
				}
				b.Run(fmt.Sprintf("%v/tokens=%d/float-%v-%v", layout, tokens, v, l), func(b *testing.B) {
					for b.Loop() {
						MatMulF32(y, w.Rows, w, floats, cols, tokens, 0, panels, ws)
					}
					b.ReportMetric(macs*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GMAC/s")
				})
			})
		}
	}
}

func BenchmarkQuantizeRow(b *testing.B) {
	for _, cols := range []int{2560, 6912} {
		b.Run(fmt.Sprint(cols), func(b *testing.B) {
			x := NewInt8(1, cols)
			a := randomFloats(rand.New(rand.NewPCG(3, 3)), cols)
			for b.Loop() {
				QuantizeRow(x, 0, a)
			}
			b.ReportMetric(float64(cols)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "Gvalue/s")
		})
	}
}
