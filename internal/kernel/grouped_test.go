package kernel

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"trit/internal/half"
	"trit/internal/ternary"
)

// groupedMatrix returns a matrix of random codes, all that the layout can hold, and
// scales.
func groupedMatrix(t testing.TB, l ternary.Layout, rows, cols int, rng *rand.Rand) *ternary.Matrix {
	t.Helper()
	m, err := ternary.New(l, rows, cols)
	if err != nil {
		t.Fatal(err)
	}
	for p := range m.Panels() {
		codes := make([][]byte, min(ternary.PanelRows, rows-p*ternary.PanelRows))
		for i := range codes {
			codes[i] = make([]byte, cols)
			for c := range codes[i] {
				switch l {
				case ternary.G1:
					codes[i][c] = byte(2 * rng.IntN(2))
				case ternary.G2:
					codes[i][c] = byte(rng.IntN(4))
				default:
					codes[i][c] = byte(rng.IntN(3))
				}
			}
		}
		if err := m.SetPanel(p, codes); err != nil {
			t.Fatal(err)
		}
	}
	scales := make([]float32, rows*m.Groups())
	for i := range scales {
		scales[i] = half.F16ToF32(half.F32ToF16(rng.Float32()*2 - 1))
	}
	if err := m.SetScales(scales, ternary.GroupWidth); err != nil {
		t.Fatal(err)
	}
	return m
}

func groupedActivations(rows, cols int, rng *rand.Rand) *GroupedInt8 {
	x := NewGroupedInt8(rows, cols)
	a := make([]float32, cols)
	for t := range rows {
		for c := range a {
			a[c] = float32(rng.NormFloat64()) * float32(1+c/128)
		}
		QuantizeGroups(x, t, a)
	}
	return x
}

// TestQuantizeGroups compares with the formula, group by group.
func TestQuantizeGroups(t *testing.T) {
	forEachLevel(t, int8Part, func(t *testing.T, _ *kernels) {
		rng := rand.New(rand.NewPCG(1, 2))
		for _, cols := range []int{1, 31, 128, 129, 200, 256, 384, 1000} {
			x := NewGroupedInt8(2, cols)
			a := make([]float32, cols)
			for i := range a {
				a[i] = float32(rng.NormFloat64()) * float32(1+i/128)
			}
			QuantizeGroups(x, 1, a)
			for g := range x.Groups() {
				part := a[128*g : min(128*g+128, cols)]
				var amax float64
				for _, v := range part {
					amax = max(amax, math.Abs(float64(v)))
				}
				s := float32(127 / max(1e-5, amax))
				for i, v := range part {
					q := math.RoundToEven(float64(float32(v * s)))
					if want := float32(q) * float32(1/float64(s)); x.Value(1, 128*g+i) != want {
						t.Fatalf("%d columns: column %d is %v, want %v (from %v)", cols, 128*g+i, x.Value(1, 128*g+i), want, v)
					}
				}
			}
		}
	})
}

// TestMatMulGrouped compares all kernels with a plain evaluation of the sum that
// groupedFunc defines, bit by bit.
func TestMatMulGrouped(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	type product struct {
		w    *ternary.Matrix
		x    *GroupedInt8
		want []float32
	}
	var products []product
	for _, l := range ternary.GroupedLayouts() {
		for _, shape := range [][3]int{{1, 1, 1}, {16, 128, 2}, {17, 300, 3}, {40, 256, 4}, {35, 640, 5}, {33, 512, 6}, {16, 1000, 7},
			{48, 384, 8}, {20, 130, 9}, {31, 896, 13}, {16, 768, 24}, {32, 256, 47}} {
			p := product{w: groupedMatrix(t, l, shape[0], shape[1], rng), x: groupedActivations(shape[2], shape[1], rng)}
			p.want = make([]float32, shape[2]*shape[0])
			trits := make([]int8, shape[1])
			for r := range shape[0] {
				if err := p.w.Row(r, trits); err != nil {
					t.Fatal(err)
				}
				for tok := range shape[2] {
					var y float32
					for g := range p.w.Groups() {
						record := p.x.record(tok, g)
						var sum int32
						for c := 128 * g; c < min(128*g+128, shape[1]); c++ {
							sum += int32(trits[c]) * int32(int8(record[c-128*g]))
						}
						a := math.Float32frombits(binary.LittleEndian.Uint32(record[recordScale:]))
						y += float32(float32(float32(sum)*p.w.ScaleAt(r, 128*g)) * a)
					}
					p.want[tok*shape[0]+r] = y
				}
			}
			products = append(products, p)
		}
	}
	forEachLevel(t, groupedPart, func(t *testing.T, _ *kernels) {
		for _, v := range []Variant{Auto, Basic} {
			ws := NewWorkspace()
			ws.Variant = v
			for _, p := range products {
				rows := p.w.Rows
				y := make([]float32, len(p.want))
				MatMulGrouped(y, rows, p.w, p.x, 0, p.x.MaxRows(), 0, p.w.Panels(), ws)
				// Once more in pieces.
				z := make([]float32, len(p.want))
				for panel := range p.w.Panels() {
					for tok := range p.x.MaxRows() {
						MatMulGrouped(z, rows, p.w, p.x, tok, tok+1, panel, panel+1, ws)
					}
				}
				for i, want := range p.want {
					if math.Float32bits(y[i]) != math.Float32bits(want) || math.Float32bits(z[i]) != math.Float32bits(want) {
						t.Fatalf("%v %d×%d × %d rows: result %d of row %d is %v at once, %v alone, want %v", p.w.Layout, rows, p.w.Cols,
							p.x.MaxRows(), i%rows, i/rows, y[i], z[i], want)
					}
				}
			}
		}
	})
}

// TestMatMulGroupedHalves covers layout T2 with a scale for each 64 columns.
func TestMatMulGroupedHalves(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	for _, shape := range [][3]int{{1, 1, 1}, {17, 64, 2}, {16, 128, 1}, {35, 192, 3}, {20, 300, 5}, {33, 640, 2}} {
		rows, cols, tokens := shape[0], shape[1], shape[2]
		w := testMatrix(t, ternary.T2, rows, cols, randomTrit(rng))
		scales := make([]float32, rows*((cols-1)/64+1))
		for i := range scales {
			scales[i] = rng.Float32()
		}
		if err := w.SetScales(scales, 64); err != nil {
			t.Fatal(err)
		}
		x := groupedActivations(tokens, cols, rng)
		want := make([]float32, tokens*rows)
		trits := make([]int8, cols)
		for r := range rows {
			if err := w.Row(r, trits); err != nil {
				t.Fatal(err)
			}
			for tok := range tokens {
				for g := range w.Groups() {
					record := x.record(tok, g/2)
					var sum int32
					for c := 64 * g; c < min(64*g+64, cols); c++ {
						sum += int32(trits[c]) * int32(int8(record[c%128]))
					}
					a := math.Float32frombits(binary.LittleEndian.Uint32(record[recordScale:]))
					want[tok*rows+r] += float32(float32(float32(sum)*w.ScaleAt(r, 64*g)) * a)
				}
			}
		}
		eachKernel(func(l Level, v Variant) {
			ws := NewWorkspace()
			ws.Variant = v
			y := make([]float32, len(want))
			MatMulGrouped(y, rows, w, x, 0, tokens, 0, w.Panels(), ws)
			for i := range want {
				if math.Float32bits(y[i]) != math.Float32bits(want[i]) {
					t.Fatalf("%v %v, %v: result %d is %v, want %v", l, v, shape, i, y[i], want[i])
				}
			}
		})
	}
}

// TestMatMulF32Grouped compares layout G2, with codes of 3, against the order that
// MatMulF32 defines.
func TestMatMulF32Grouped(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	for _, shape := range [][3]int{{1, 1, 1}, {16, 128, 2}, {17, 300, 3}, {35, 640, 5}, {20, 131, 4}} {
		w := groupedMatrix(t, ternary.G2, shape[0], shape[1], rng)
		x := make([]float32, shape[1]*shape[2])
		for i := range x {
			x[i] = float32(rng.NormFloat64())
		}
		trits, want := make([]int8, w.Cols), make([]float32, w.Rows*shape[2])
		for r := range w.Rows {
			if err := w.Row(r, trits); err != nil {
				t.Fatal(err)
			}
			for tok := range shape[2] {
				for g := range w.Groups() {
					var a [4]float32
					for c := 128 * g; c < min(128*g+128, w.Cols); c++ {
						a[c%4] += float32(float32(trits[c]) * x[tok*w.Cols+c])
					}
					v := float32(((a[0] + a[1]) + (a[2] + a[3])) * w.ScaleAt(r, 128*g))
					if g > 0 {
						v = want[tok*w.Rows+r] + v
					}
					want[tok*w.Rows+r] = v
				}
			}
		}
		eachKernel(func(l Level, v Variant) {
			ws := NewWorkspace()
			ws.Variant = v
			y := make([]float32, len(want))
			MatMulF32(y, w.Rows, w, x, w.Cols, shape[2], 0, w.Panels(), ws)
			for i := range want {
				if math.Float32bits(y[i]) != math.Float32bits(want[i]) {
					t.Fatalf("%v %v, %v: result %d is %v, want %v", l, v, shape, i, y[i], want[i])
				}
			}
		})
	}
}

func TestQuantizeGroupsNotFinite(t *testing.T) {
	x := NewGroupedInt8(1, 384)
	a := make([]float32, 384)
	a[5], a[200], a[383] = 1, float32(math.Inf(1)), 2
	QuantizeGroups(x, 0, a)
	if x.Value(0, 5) != 127*float32(1/float64(float32(127))) || x.Value(0, 383) == 0 || x.Value(0, 200) == x.Value(0, 200) || x.Value(0, 128) == x.Value(0, 128) {
		t.Errorf("values %v, %v, %v, %v", x.Value(0, 5), x.Value(0, 383), x.Value(0, 200), x.Value(0, 128))
	}
}

// BenchmarkMatMulGrouped is a slice of a product of an 8B model on one core.
func BenchmarkMatMulGrouped(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	const cols = 4096
	for _, l := range ternary.GroupedLayouts() {
		w := groupedMatrix(b, l, 256, cols, rng)
		for _, tokens := range []int{1, 2, 4, 8, 24, 96} {
			x := groupedActivations(tokens, cols, rng)
			y, ws := make([]float32, tokens*w.Rows), NewWorkspace()
			b.Run(fmt.Sprintf("%v/%d", l, tokens), func(b *testing.B) {
				for b.Loop() {
					MatMulGrouped(y, w.Rows, w, x, 0, tokens, 0, w.Panels(), ws)
				}
				b.ReportMetric(float64(w.Rows*cols*tokens)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GMAC/s")
				b.ReportMetric(float64(len(w.Data))*float64(b.N)/b.Elapsed().Seconds()/1e9, "GB/s")
			})
		}
	}
}
