package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"trit/internal/ternary"
)

// testMatrix returns a matrix of trits made by gen and one scale per matrix.
func testMatrix(t testing.TB, layout ternary.Layout, rows, cols int, gen func(r, c int) int8) *ternary.Matrix {
	t.Helper()
	m, err := ternary.New(layout, rows, cols)
	if err != nil {
		t.Fatal(err)
	}
	for p := range m.Panels() {
		codes := make([][]byte, min(ternary.PanelRows, rows-p*ternary.PanelRows))
		for i := range codes {
			codes[i] = make([]byte, cols)
			for c := range codes[i] {
				codes[i][c] = byte(gen(p*ternary.PanelRows+i, c) + 1)
			}
		}
		if err := m.SetPanel(p, codes); err != nil {
			t.Fatal(err)
		}
	}
	m.Scales = []float32{0.37}
	return m
}

func randomTrit(rng *rand.Rand) func(r, c int) int8 {
	return func(int, int) int8 { return int8(rng.IntN(3)) - 1 }
}

// testInt8 returns rows of given codes, each with its own scale.
func testInt8(rows, cols, groupCols int, gen func(t, c int) int8) *Int8 {
	x := NewInt8(rows, cols)
	x.Reset(cols, groupCols)
	for t := range rows {
		x.Scale[t] = 3.7 + float32(t)/7
		x.Sum[t] = 0
		if groupCols != 0 {
			clear(x.GroupSums[t*x.Groups():][:x.Groups()])
		}
		for c := range cols {
			q := gen(t, c)
			x.Q[t*x.Stride+c] = q
			x.Sum[t] += int32(q)
			if groupCols != 0 {
				x.GroupSums[t*x.Groups()+c/groupCols] += int32(q)
			}
		}
	}
	return x
}

func randomCode(rng *rand.Rand) func(t, c int) int8 {
	return func(int, int) int8 { return int8(rng.IntN(256) - 128) }
}

// oracleI8 computes one result from the unpacked row of trits.
func oracleI8(m *ternary.Matrix, trits []int8, r int, x *Int8, t int) float32 {
	width := m.GroupCols
	if width == 0 {
		width = m.Cols
	}
	var y float32
	for lo := 0; lo < m.Cols; lo += width {
		var dot int64
		for c := lo; c < min(lo+width, m.Cols); c++ {
			dot += int64(trits[c]) * int64(x.Q[t*x.Stride+c])
		}
		v := float32(dot) / x.Scale[t]
		v = float32(v * m.ScaleAt(r, lo))
		if lo == 0 {
			y = v
		} else {
			y += v
		}
	}
	return y
}

const guardBits = 0x7FC0DEAD

func guarded(n int) []float32 {
	y := make([]float32, n)
	for i := range y {
		y[i] = math.Float32frombits(guardBits)
	}
	return y
}

// checkI8 compares a product over the given panels and rows of activations with the
// oracle, bit for bit, and checks that nothing else was written.
func checkI8(t *testing.T, m *ternary.Matrix, x *Int8, row0, row1, panel0, panel1 int) {
	t.Helper()
	trits := make([][]int8, m.Rows)
	for r := range trits {
		trits[r] = make([]int8, m.Cols)
		if err := m.Row(r, trits[r]); err != nil {
			t.Fatal(err)
		}
	}
	yStride := m.Rows + 3
	want := guarded(x.MaxRows()*yStride + 16)
	for tok := row0; tok < row1; tok++ {
		for r := panel0 * 16; r < min(panel1*16, m.Rows); r++ {
			want[tok*yStride+r] = oracleI8(m, trits[r], r, x, tok)
		}
	}
	ws, y := NewWorkspace(), make([]float32, len(want))
	eachKernel(func(l Level, v Variant) {
		ws.Variant = v
		copy(y, guarded(len(want)))
		MatMulI8(y, yStride, m, x, row0, row1, panel0, panel1, ws)
		for i := range y {
			if math.Float32bits(y[i]) != math.Float32bits(want[i]) {
				t.Fatalf("%v %v %v %d×%d groups %d, activations %d…%d, panels %d…%d: y[%d] (activation %d, row %d) = %v (%#x), want %v (%#x)",
					l, v, m.Layout, m.Rows, m.Cols, m.GroupCols, row0, row1, panel0, panel1, i, i/yStride, i%yStride,
					y[i], math.Float32bits(y[i]), want[i], math.Float32bits(want[i]))
			}
		}
	})
}

// eachKernel calls f for every different implementation: the portable variants,
// and SIMD at every level that this CPU supports, which it selects.
func eachKernel(f func(Level, Variant)) {
	for _, v := range []Variant{Basic, Blocked, LUT} {
		f(Generic, v)
	}
	old := active
	defer func() { active = old }()
	for _, l := range supported() {
		if l != Generic {
			active = kernelsOf(l)
			f(l, SIMD)
		}
	}
}

func TestMatMulI8EveryLength(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, layout := range ternary.Layouts() {
		for cols := 1; cols <= 1100; cols++ {
			m := testMatrix(t, layout, 1+cols%40, cols, randomTrit(rng))
			if cols%3 == 0 {
				m.Scales = make([]float32, m.Rows)
				for r := range m.Scales {
					m.Scales[r] = rng.Float32() - 0.5
				}
			}
			tokens := 1 + cols%5
			x := testInt8(tokens, cols, 0, randomCode(rng))
			checkI8(t, m, x, 0, tokens, 0, m.Panels())
			if tokens > 1 {
				checkI8(t, m, x, tokens-1, tokens, 0, m.Panels())
			}
		}
	}
}

func TestMatMulI8EveryTokenCount(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 1))
	for _, layout := range ternary.Layouts() {
		for tokens := 1; tokens <= 70; tokens++ {
			m := testMatrix(t, layout, 33+tokens%16, 100+tokens*5, randomTrit(rng))
			x := testInt8(tokens+2, m.Cols, 0, randomCode(rng))
			checkI8(t, m, x, 1, tokens+1, 0, m.Panels())
		}
	}
}

func TestMatMulI8ManyPanels(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 1))
	for _, layout := range ternary.Layouts() {
		m := testMatrix(t, layout, 2*chunkRows+21, 40, randomTrit(rng))
		x := testInt8(3, m.Cols, 0, randomCode(rng))
		for _, p := range [][2]int{{0, m.Panels()}, {0, 1}, {5, 8}, {m.Panels() - 1, m.Panels()}, {1, m.Panels() - 1}, {4, 4}} {
			checkI8(t, m, x, 1, 2, p[0], p[1])
			checkI8(t, m, x, 0, 3, p[0], p[1])
			checkI8(t, m, x, 2, 2, p[0], p[1])
		}
	}
}

func TestMatMulI8Extremes(t *testing.T) {
	trit := map[string]func(r, c int) int8{
		"all +1": func(int, int) int8 { return 1 }, "all −1": func(int, int) int8 { return -1 }, "all 0": func(int, int) int8 { return 0 },
		"alternating": func(r, c int) int8 { return int8((r+c)%2)*2 - 1 }, "by column": func(_, c int) int8 { return int8(c%3) - 1 },
	}
	code := map[string]func(t, c int) int8{
		"all 127": func(int, int) int8 { return 127 }, "all −128": func(int, int) int8 { return -128 }, "all 0": func(int, int) int8 { return 0 },
		"alternating": func(t, c int) int8 { return int8(127 - (t+c)%2*255) }, "first only": func(_, c int) int8 { return int8(127 * max(0, 1-c)) },
	}
	for _, layout := range ternary.Layouts() {
		for _, cols := range []int{1, 255, 256, 257, 1024, 4111, 7040} {
			for tn, trits := range trit {
				for cn, codes := range code {
					t.Run(fmt.Sprintf("%v/%d/%s/%s", layout, cols, tn, cn), func(t *testing.T) {
						m := testMatrix(t, layout, 17, cols, trits)
						x := testInt8(6, cols, 0, codes)
						checkI8(t, m, x, 0, 6, 0, 2)
						checkI8(t, m, x, 0, 1, 0, 2)
					})
				}
			}
		}
	}
}

func TestMatMulI8Groups(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 1))
	for _, group := range []int{16, 32, 48, 128, 256} {
		for _, cols := range []int{1, 15, 16, 17, 100, 128, 256, 511, 1100, 1200} {
			m := testMatrix(t, ternary.T2, 37, cols, randomTrit(rng))
			scales := make([]float32, m.Rows*((cols-1)/group+1))
			for i := range scales {
				scales[i] = rng.Float32() - 0.3
			}
			if err := m.SetScales(scales, group); err != nil {
				t.Fatal(err)
			}
			x := testInt8(35, cols, group, randomCode(rng))
			for _, rows := range [][2]int{{0, 1}, {3, 4}, {0, 2}, {1, 35}} {
				checkI8(t, m, x, rows[0], rows[1], 0, m.Panels())
			}
			checkI8(t, m, x, 0, 1, 1, 2)
		}
	}
}

func TestMatMulI8Random(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 1))
	for range 60 {
		layout := ternary.Layout(rng.IntN(2))
		m := testMatrix(t, layout, 1+rng.IntN(90), 1+rng.IntN(3000), randomTrit(rng))
		tokens := 1 + rng.IntN(50)
		x := testInt8(tokens, m.Cols, 0, randomCode(rng))
		row0, panel0 := rng.IntN(tokens), rng.IntN(m.Panels())
		checkI8(t, m, x, row0, row0+1+rng.IntN(tokens-row0), panel0, panel0+1+rng.IntN(m.Panels()-panel0))
	}
}

// TestGoldenTernaryLinear reproduces the published figures for a row of 256 trits,
// computed with bitnet.cpp's own quantiser.
func TestGoldenTernaryLinear(t *testing.T) {
	forEachLevel(t, ternaryPart, func(t *testing.T, _ *kernels) {
		a := make([]float32, 256)
		for i := range a {
			a[i] = float32(37*i%101-50) / 16
		}
		x := NewInt8(1, 256)
		QuantizeRow(x, 0, a)
		if x.Scale[0] != 40.6399994 {
			t.Errorf("scale %v", x.Scale[0])
		}
		if got, want := fmt.Sprint(x.Q[:8]), "[-127 -33 61 -102 -8 86 -76 18]"; got != want {
			t.Errorf("codes %v, want %v", got, want)
		}
		if x.Sum[0] != -131 {
			t.Errorf("sum %d", x.Sum[0])
		}
		for _, layout := range ternary.Layouts() {
			m := testMatrix(t, layout, 1, 256, func(_, i int) int8 { return int8((i*i+i/7)%3) - 1 })
			m.Scales[0] = 0.75
			for _, v := range []Variant{SIMD, Basic, Blocked, LUT} {
				y := []float32{0}
				MatMulI8(y, 1, m, x, 0, 1, 0, 1, &Workspace{Variant: v})
				if y[0] != -3.22957659 {
					t.Errorf("%v %v: %v", layout, v, y[0])
				}
			}
		}
	})
}

func TestMatMulI8NotFinite(t *testing.T) {
	m := testMatrix(t, ternary.T2, 5, 30, func(int, int) int8 { return 0 })
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
		x := NewInt8(1, 30)
		a := make([]float32, 30)
		a[29] = bad
		QuantizeRow(x, 0, a)
		y := make([]float32, 5)
		MatMulI8(y, 5, m, x, 0, 1, 0, 1, NewWorkspace())
		for r := range y {
			if y[r] == y[r] {
				t.Errorf("an input of %v gives %v", bad, y[r])
			}
		}
	}
}

func TestMatMulI8Panics(t *testing.T) {
	m := testMatrix(t, ternary.T2, 20, 40, func(int, int) int8 { return 1 })
	x, ws, y := NewInt8(2, 40), NewWorkspace(), make([]float32, 40)
	other := NewInt8(2, 41)
	for name, f := range map[string]func(){
		"columns":      func() { MatMulI8(y, 20, m, other, 0, 1, 0, 1, ws) },
		"rows":         func() { MatMulI8(y, 20, m, x, 0, 3, 0, 1, ws) },
		"panels":       func() { MatMulI8(y, 20, m, x, 0, 1, 0, 3, ws) },
		"negative":     func() { MatMulI8(y, 20, m, x, 0, 1, -1, 1, ws) },
		"short result": func() { MatMulI8(y[:19], 20, m, x, 0, 1, 0, 2, ws) },
		"stride":       func() { MatMulI8(y, 19, m, x, 0, 2, 0, 2, ws) },
		"float input":  func() { MatMulF32(y, 20, m, y[:39], 40, 1, 0, 2, ws) },
		"float result": func() { MatMulF32(y[:19], 20, m, y, 40, 1, 0, 2, ws) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

func TestMatMulAllocatesNothing(t *testing.T) {
	m := testMatrix(t, ternary.T5, 40, 200, func(r, c int) int8 { return int8((r*c)%3) - 1 })
	x, ws, y, a := NewInt8(9, 200), NewWorkspace(), make([]float32, 9*40), make([]float32, 9*200)
	if n := testing.AllocsPerRun(10, func() {
		for t := range 9 {
			QuantizeRow(x, t, a[t*200:][:200])
		}
		MatMulI8(y, 40, m, x, 0, 1, 0, 3, ws)
		MatMulI8(y, 40, m, x, 0, 9, 0, 3, ws)
		MatMulF32(y, 40, m, a, 200, 9, 0, 3, ws)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestParseVariant(t *testing.T) {
	for v := Auto; v <= SIMD; v++ {
		if got, err := ParseVariant(v.String()); err != nil || got != v {
			t.Errorf("%v: %v, %v", v, got, err)
		}
	}
	if _, err := ParseVariant("fast"); err == nil {
		t.Error("no error for an unknown name")
	}
}
