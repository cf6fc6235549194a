package kernel

import (
	"math"
	"math/rand/v2"
	"testing"

	"trit/internal/ternary"
)

// oracleF32 follows the definition of the sum column by column.
func oracleF32(m *ternary.Matrix, trits []int8, r int, x []float32) float32 {
	width := m.GroupCols
	if width == 0 {
		width = m.Cols
	}
	var y float32
	for lo := 0; lo < m.Cols; lo += width {
		var acc [4]float32
		for c := lo; c < min(lo+width, m.Cols); c++ {
			p := float32(float32(trits[c]) * x[c])
			acc[c%4] = acc[c%4] + p
		}
		s01, s23 := acc[0]+acc[1], acc[2]+acc[3]
		v := float32((s01 + s23) * m.ScaleAt(r, lo))
		if lo == 0 {
			y = v
		} else {
			y = y + v
		}
	}
	return y
}

func checkF32(t *testing.T, m *ternary.Matrix, x []float32, xStride, tokens, panel0, panel1 int) {
	t.Helper()
	yStride := m.Rows + 2
	want := guarded(tokens*yStride + 16)
	trits := make([]int8, m.Cols)
	for r := panel0 * 16; r < min(panel1*16, m.Rows); r++ {
		if err := m.Row(r, trits); err != nil {
			t.Fatal(err)
		}
		for i := range tokens {
			want[i*yStride+r] = oracleF32(m, trits, r, x[i*xStride:])
		}
	}
	eachKernel(func(l Level, v Variant) {
		if v == Blocked || v == LUT {
			return // the same as Basic
		}
		y := guarded(len(want))
		MatMulF32(y, yStride, m, x, xStride, tokens, panel0, panel1, &Workspace{Variant: v})
		for i := range y {
			if math.Float32bits(y[i]) != math.Float32bits(want[i]) && (y[i] == y[i] || want[i] == want[i]) {
				t.Fatalf("%v %v %v %d×%d groups %d, %d tokens: y[%d] = %v, want %v", l, v, m.Layout, m.Rows, m.Cols, m.GroupCols, tokens, i, y[i], want[i])
			}
		}
	})
}

func randomFloats(rng *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64() * math.Exp(rng.NormFloat64()*2))
	}
	return x
}

func TestMatMulF32EveryLength(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 1))
	for _, layout := range ternary.Layouts() {
		for cols := 1; cols <= 1100; cols++ {
			m := testMatrix(t, layout, 1+cols%33, cols, randomTrit(rng))
			tokens := 1 + cols%4
			// The last row ends where the slice ends: reading
			// past it is caught by the bounds of the slice.
			xStride := cols + 1
			checkF32(t, m, randomFloats(rng, tokens*xStride-1), xStride, tokens, 0, m.Panels())
		}
	}
}

func TestMatMulF32TokensAndGroups(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 1))
	for tokens := 1; tokens <= 11; tokens++ {
		for _, cols := range []int{7, 64, 129, 300} {
			for _, group := range []int{0, 16, 64, 128} {
				m := testMatrix(t, ternary.T2, 35, cols, randomTrit(rng))
				if group != 0 {
					scales := randomFloats(rng, m.Rows*((cols-1)/group+1))
					if err := m.SetScales(scales, group); err != nil {
						t.Fatal(err)
					}
				}
				x := randomFloats(rng, tokens*cols)
				checkF32(t, m, x, cols, tokens, 0, m.Panels())
				checkF32(t, m, x, cols, tokens, 1, 2)
			}
		}
	}
}

func TestMatMulF32Extremes(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	tiny := math.Float32frombits(1)
	rng := rand.New(rand.NewPCG(8, 1))
	for _, layout := range ternary.Layouts() {
		for _, values := range [][]float32{{inf}, {nan}, {tiny}, {-tiny, tiny}, {float32(math.Copysign(0, -1))}, {math.MaxFloat32}, {inf, 1, 2}, {0, 0, 0, nan, 0}} {
			m := testMatrix(t, layout, 17, 93, randomTrit(rng))
			x := make([]float32, 93)
			for i := range x {
				x[i] = values[i%len(values)]
			}
			checkF32(t, m, x, 93, 1, 0, 2)
		}
	}
}
