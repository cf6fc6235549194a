package kernel

import (
	"math"
	"math/rand/v2"
	"testing"

	"trit/internal/ternary"
)

func linesPart(k *kernels) any { return k.lines }

// linesOf returns the rows and the columns of a matrix.
func linesOf(t testing.TB, m *ternary.Matrix, columns ternary.Layout) (rows, cols *ternary.Lines) {
	t.Helper()
	rows, err := ternary.RowLines(m)
	if err != nil {
		t.Fatal(err)
	}
	cols, err = ternary.ColumnLines(m, columns)
	if err != nil {
		t.Fatal(err)
	}
	for p := range m.Panels() {
		rows.SetRows(m, p)
	}
	for j := range cols.Blocks() {
		cols.SetColumns(m, j)
	}
	return rows, cols
}

// TestMulRows compares with the product of all rows.
func TestMulRows(t *testing.T) {
	forEachLevel(t, linesPart, func(t *testing.T, _ *kernels) {
		rng := rand.New(rand.NewPCG(1, 2))
		ws := NewWorkspace()
		for _, layout := range ternary.Layouts() {
			for _, shape := range [][2]int{{1, 1}, {15, 19}, {16, 256}, {33, 257}, {64, 320}, {100, 321}, {1100, 640}, {70, 2560}, {20, 4400}} {
				m := testMatrix(t, layout, shape[0], shape[1], randomTrit(rng))
				x := testInt8(2, m.Cols, 0, randomCode(rng))
				rows, _ := linesOf(t, m, layout)
				spread := make([]int8, SpreadBytes(rows))
				for i := range spread {
					spread[i] = 77 // whatever was there before
				}
				SpreadRow(spread, rows, x, 1)
				want := guarded(m.Rows)[:m.Rows]
				MatMulI8(want, 0, m, rowOf(x, 1), 0, 1, 0, m.Panels(), ws)
				for _, share := range []float64{0, 0.02, 0.5, 1} {
					for _, each := range []bool{false, true} {
						if each {
							scales := make([]float32, m.Rows)
							for i := range scales {
								scales[i] = rng.Float32() + 0.5
							}
							if err := m.SetScales(scales, 0); err != nil {
								t.Fatal(err)
							}
							MatMulI8(want, 0, m, rowOf(x, 1), 0, 1, 0, m.Panels(), ws)
						}
						checkPositive(t, rng, m, rows, x, spread, want, share, ws)
					}
				}
			}
		}
	})
}

// rowOf returns a copy of one row of x.
func rowOf(x *Int8, row int) *Int8 {
	one := NewInt8(1, x.Cols)
	one.CopyRow(0, x, row)
	return one
}

func checkPositive(t *testing.T, rng *rand.Rand, m *ternary.Matrix, rows *ternary.Lines, x *Int8, spread []int8, want []float32, share float64, ws *Workspace) {
	t.Helper()
	gate, y := make([]float32, m.Rows), make([]float32, m.Rows)
	positive := 0
	for i := range gate {
		y[i] = float32(math.NaN())
		gate[i] = -rng.Float32() * float32(rng.IntN(2))
		if rng.Float64() < share {
			gate[i] = rng.Float32() + math.SmallestNonzeroFloat32
			positive++
		}
	}
	list := NewRowList(m.Rows)
	if n := list.Set(rows, gate); n != positive {
		t.Fatalf("%d rows, %d positive gates", n, positive)
	}
	middle := list.Runs() / 3
	MulRows(m, rows, list, x, 1, spread, middle, list.Runs(), ws)
	MulRows(m, rows, list, x, 1, spread, 0, middle, ws)
	list.ExpandRows(y, gate)
	for r, g := range gate {
		if g > 0 && math.Float32bits(y[r]) != math.Float32bits(want[r]) || g <= 0 && math.Float32bits(y[r]) != 0 {
			t.Fatalf("%v %d×%d: row %d behind the gate %g is %g, want %g", m.Layout, m.Rows, m.Cols, r, g, y[r], want[r])
		}
	}
}

// TestAddColumns compares with the product of all columns.
func TestAddColumns(t *testing.T) {
	forEachLevel(t, linesPart, func(t *testing.T, _ *kernels) {
		rng := rand.New(rand.NewPCG(3, 4))
		ws := NewWorkspace()
		for _, layout := range ternary.Layouts() {
			for _, shape := range [][2]int{{1, 1}, {19, 15}, {256, 16}, {257, 33}, {320, 64}, {321, 100}, {640, 1100}, {2560, 70}} {
				m := testMatrix(t, ternary.T2, shape[0], shape[1], randomTrit(rng))
				_, cols := linesOf(t, m, layout)
				for _, share := range []float64{0, 0.02, 0.5, 1} {
					code := randomCode(rng)
					x := testInt8(2, m.Cols, 0, func(t, c int) int8 {
						if rng.Float64() >= share {
							return 0
						}
						return code(t, c)
					})
					want, y := make([]float32, m.Rows), make([]float32, m.Rows)
					MatMulI8(want, 0, m, rowOf(x, 1), 0, 1, 0, m.Panels(), ws)
					var sums [][]int32
					nonzero := 0
					for _, v := range x.Q[x.Stride:][:x.Cols] {
						if v != 0 {
							nonzero++
						}
					}
					list := NewColumnList(m.Cols)
					if got := list.Set(cols, x, 1); got != nonzero {
						t.Fatalf("%d activations are not zero, want %d", got, nonzero)
					}
					for i := range 3 {
						sums = append(sums, make([]int32, ColumnSums(cols)))
						AddColumns(sums[i], cols, list, i*list.Runs()/3, (i+1)*list.Runs()/3)
					}
					FinishColumns(y, sums, m, x, 1, ws)
					for r := range y {
						if math.Float32bits(y[r]) != math.Float32bits(want[r]) {
							t.Fatalf("%v %d×%d, %g of all columns: row %d is %g, want %g", layout, m.Rows, m.Cols, share, r, y[r], want[r])
						}
					}
				}
			}
		}
	})
}

// TestBounded checks where a product could overflow.
func TestBounded(t *testing.T) {
	m := testMatrix(t, ternary.T2, 16, 16, func(int, int) int8 { return 1 })
	x := NewInt8(1, 16)
	for _, c := range []struct {
		a, scale float32
		bounded  bool
	}{
		{1, 1, true}, {1e30, 1, true}, {1e30, -1e10, false}, {3e38, 1, false}, {float32(math.Inf(1)), 1, false}, {float32(math.NaN()), 1, false}, {0, 1, true},
	} {
		a := make([]float32, 16)
		a[3] = c.a
		QuantizeRow(x, 0, a)
		m.Scales[0] = c.scale
		if got := Bounded(m.Cols, LargestScale(m), x, 0); got != c.bounded {
			t.Errorf("activations up to %g, scale %g: bounded is %v", c.a, c.scale, got)
		}
	}
}

// BenchmarkLines measures one worker on the shapes of a 2-billion-parameter model, with
// weights that no cache holds.
func BenchmarkLines(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	ws := NewWorkspace()
	var ups, downs []*ternary.Lines
	var up, down *ternary.Matrix
	for range 30 {
		up = testMatrix(b, ternary.T5, 6912, 2560, func(r, c int) int8 { return int8((r*7+c*c)%3) - 1 })
		down = testMatrix(b, ternary.T5, 2560, 6912, func(r, c int) int8 { return int8((r*7+c*c)%3) - 1 })
		rows, _ := linesOf(b, up, ternary.T5)
		_, cols := linesOf(b, down, ternary.T5)
		ups, downs = append(ups, rows), append(downs, cols)
	}
	h := testInt8(1, 2560, 0, randomCode(rng))
	spread := make([]int8, SpreadBytes(ups[0]))
	SpreadRow(spread, ups[0], h, 0)
	y, sums := make([]float32, 6912), make([]int32, ColumnSums(downs[0]))
	for _, share := range []float64{0.1, 0.2, 0.5, 1} {
		gate := make([]float32, 6912)
		for i := range gate {
			if rng.Float64() < share {
				gate[i] = 1
			}
		}
		x := testInt8(1, 6912, 0, func(_, c int) int8 { return int8(gate[c]) * int8(1+c%100) })
		b.Run("rows/"+percent(share), func(b *testing.B) {
			list := NewRowList(6912)
			for i := range b.N {
				list.Set(ups[i%30], gate)
				MulRows(up, ups[i%30], list, h, 0, spread, 0, list.Runs(), ws)
				list.ExpandRows(y, gate)
			}
			b.ReportMetric(share*6912*512*float64(b.N)/b.Elapsed().Seconds()/1e9, "GB/s")
		})
		b.Run("columns/"+percent(share), func(b *testing.B) {
			list := NewColumnList(6912)
			for i := range b.N {
				clear(sums)
				list.Set(downs[i%30], x, 0)
				AddColumns(sums, downs[i%30], list, 0, list.Runs())
			}
			b.ReportMetric(share*6912*512*float64(b.N)/b.Elapsed().Seconds()/1e9, "GB/s")
		})
	}
	b.Run("dense", func(b *testing.B) {
		w := make([]*ternary.Matrix, 8)
		for i := range w {
			w[i] = testMatrix(b, ternary.T5, 6912, 2560, func(r, c int) int8 { return int8((r*7+c*c)%3) - 1 })
		}
		b.ResetTimer()
		for i := range b.N {
			MatMulI8(y, 0, w[i%8], h, 0, 1, 0, up.Panels(), ws)
		}
		b.ReportMetric(6912*512*float64(b.N)/b.Elapsed().Seconds()/1e9, "GB/s")
	})
}

func percent(share float64) string {
	return string(rune('0'+int(share*10)/10)) + string(rune('0'+int(share*10)%10)) + "0"
}
