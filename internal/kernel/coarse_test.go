package kernel

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"trit/gguf"
	"trit/internal/half"
)

func f32Rows(w []float32) []byte {
	b := make([]byte, 0, 4*len(w))
	for _, v := range w {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

func newCoarse(t testing.TB, w []float32, rows, cols int) *Coarse {
	t.Helper()
	data := f32Rows(w)
	c, err := NewCoarse(gguf.TypeF32, rows, cols)
	if err != nil {
		t.Fatal(err)
	}
	c.Survey(data, gguf.TypeF32)
	c.Fill(data, gguf.TypeF32, 0, c.Panels(), c.NewWorkspace())
	return c
}

// coarseRows are kinds of heads.
var coarseRows = map[string]func(r *rand.Rand, w []float32, cols int){
	"gauss": func(r *rand.Rand, w []float32, cols int) { fill(w, r, floatData["normal"]) },
	"trained": func(r *rand.Rand, w []float32, cols int) {
		// A common mean, columns and rows of different size, heavy tails.
		for i := range w {
			c := i % cols
			size := math.Exp2(float64(c%7)-4) * (0.3 + float64(i/cols%5))
			w[i] = float32(size * (0.7*math.Sin(float64(c)) + r.NormFloat64()/(0.2+r.Float64())))
		}
	},
	"one giant row": func(r *rand.Rand, w []float32, cols int) {
		fill(w, r, floatData["normal"])
		for i := range cols {
			w[3*cols+i] *= 1e6
		}
	},
	"constant rows": func(r *rand.Rand, w []float32, cols int) {
		for i := range w {
			w[i] = float32(i/cols) * 0.125
		}
	},
	"equal rows": func(r *rand.Rand, w []float32, cols int) {
		for i := range w {
			w[i] = float32(math.Sin(float64(i % cols)))
		}
	},
	"zero": func(r *rand.Rand, w []float32, cols int) { clear(w) },
	"sparse": func(r *rand.Rand, w []float32, cols int) {
		clear(w)
		for range len(w) / 50 {
			w[r.IntN(len(w))] = float32(r.NormFloat64())
		}
	},
	"tiny":    func(r *rand.Rand, w []float32, cols int) { fill(w, r, floatData["subnormal"]) },
	"any":     func(r *rand.Rand, w []float32, cols int) { fill(w, r, floatData["finite"]) },
	"special": func(r *rand.Rand, w []float32, cols int) { fill(w, r, floatData["mostly normal"]) },
	"not a number": func(r *rand.Rand, w []float32, cols int) {
		fill(w, r, floatData["normal"])
		w[r.IntN(len(w))] = float32(math.NaN())
	},
}

// coarseStates are kinds of hidden states.
var coarseStates = map[string]func(r *rand.Rand, x []float32){
	"gauss": func(r *rand.Rand, x []float32) { fill(x, r, floatData["normal"]) },
	"outlier": func(r *rand.Rand, x []float32) {
		fill(x, r, floatData["normal"])
		x[r.IntN(len(x))] = 3000
	},
	"one": func(r *rand.Rand, x []float32) { clear(x); x[r.IntN(len(x))] = 1 },
	"signs": func(r *rand.Rand, x []float32) {
		for i := range x {
			x[i] = float32(1 - 2*r.IntN(2))
		}
	},
	"ones": func(r *rand.Rand, x []float32) {
		for i := range x {
			x[i] = 1
		}
	},
	"large": func(r *rand.Rand, x []float32) {
		fill(x, r, floatData["normal"])
		for i := range x {
			x[i] *= 1e10
		}
	},
}

// TestCoarseBound compares the logits of all planes with those of the head, for
// all kinds of heads and states, and with a state that is aligned with what the
// first plane leaves of a row, the worst case of the bound.
func TestCoarseBound(t *testing.T) {
	forEachLevel(t, coarsePart, func(t *testing.T, _ *kernels) {
		r := rand.New(rand.NewPCG(1, 2))
		for rowsName, makeRows := range coarseRows {
			for _, cols := range []int{1, 15, 64, 300, 1030} {
				const rows = 37
				w := make([]float32, rows*cols)
				makeRows(r, w, cols)
				c := newCoarse(t, w, rows, cols)
				x := make([]float32, cols)
				worst := 0.0
				for name, makeState := range coarseStates {
					makeState(r, x)
					worst = max(worst, checkCoarse(t, rowsName+" × "+name, c, w, x))
				}
				if rowsName == "gauss" && cols > 16 { // short rows have room for padding and rounding
					row := 5
					left := make([]float32, cols)
					coarseLeft(c, row, 0, w, left)
					if got := checkCoarse(t, "aligned", c, w, left); got < 0.9 {
						t.Errorf("%d columns: a state aligned with what is left of row %d reaches %g of the bound, want nearly 1", cols, row, got)
					}
				}
			}
		}
	})
}

// coarseLeft sets left to what a number of planes leave of a row, in the scale of
// the states.
func coarseLeft(c *Coarse, row, plane int, w, left []float32) {
	for i := range left {
		code := 0.0
		b := c.first[(row/16*c.blocks+i/8)*64+row%16*4+i%4]
		code = 16 * float64(b>>(i/4%2*4)&15)
		if plane != 0 {
			panic("only the first plane")
		}
		v := float64(w[row*c.Cols+i])*float64(c.inverse[i]) - float64(c.center[i])
		left[i] = float32((v - float64(c.step[row])*(code+7.5-127.5)) / float64(c.scale[i]))
	}
}

// TestCoarseNarrowBound rounds a state that loses as much as any can, always in the
// direction of a row: the loss must be in the bound, and little more than it.
func TestCoarseNarrowBound(t *testing.T) {
	const rows, cols, row = 37, 1030, 5
	forEachLevel(t, coarsePart, func(t *testing.T, _ *kernels) {
		r := rand.New(rand.NewPCG(11, 12))
		w := make([]float32, rows*cols)
		coarseRows["trained"](r, w, cols)
		c := newCoarse(t, w, rows, cols)
		left, x := make([]float32, cols), make([]float32, cols)
		coarseLeft(c, row, 0, w, left)
		for i := range x {
			v := w[row*cols+i]*c.inverse[i] - c.center[i] - left[i]*c.scale[i]
			x[i] = float32(256*(r.IntN(200)-100)) + float32(math.Copysign(127, float64(v)))
		}
		x[0] = coarseLevels
		for i := range x {
			x[i] *= c.inverse[i] // x' are integers, and the largest makes them the codes
		}
		checkCoarse(t, "loss", c, w, x)
		in := c.NewInput(1)
		if !in.Set(0, x) {
			t.Fatal("the state is refused")
		}
		for p := range 2 {
			wide, narrow := make([]float32, c.PaddedRows()), make([]float32, c.PaddedRows())
			c.Score(wide, len(wide), p, false, in, 0, 1, 0, c.Panels())
			c.Score(narrow, len(narrow), p, true, in, 0, 1, 0, c.Panels())
			bound := in.Loss(0) * c.Weight()[row]
			if e := math.Abs(float64(wide[row] - narrow[row])); !(e > 0.6*float64(bound) && e <= float64(bound)) {
				t.Errorf("plane %d: rounding costs %g, the bound is %g", p, e, bound)
			}
		}
	})
}

// checkCoarse returns the largest error as a part of its bound.
func checkCoarse(t *testing.T, what string, c *Coarse, w, x []float32) float64 {
	t.Helper()
	in := c.NewInput(1)
	if !in.Set(0, x) {
		if n := math.Sqrt(squareSum(x)); n > 1e-3 && n < 1e3 && what != "any" {
			t.Errorf("%s: the state is refused", what)
		}
		return 0
	}
	want := make([]float32, c.Rows)
	HeadRows(want, c.Rows, f32Rows(w), gguf.TypeF32, c.Rows, c.Cols, x, c.Cols, 1, make([]float32, HeadScratch(c.Cols)))
	y := make([]float32, c.PaddedRows())
	all := make([]int32, c.Rows)
	for r := range all {
		all[r] = int32(r)
	}
	worst := 0.0
	for i := range 2 * CoarsePlanes {
		p, narrow := i%CoarsePlanes, i >= CoarsePlanes
		if p < 2 {
			c.Score(y, len(y), p, narrow, in, 0, 1, 0, c.Panels())
		} else {
			c.Refine(y, in, 0, all)
		}
		for r, radius := range c.Radius(p)[:c.Rows] {
			bound := float32(in.Norm(0) * radius)
			if narrow {
				bound += float32(in.Loss(0) * c.Weight()[r])
			}
			if !(want[r] <= y[r]+bound && want[r] >= y[r]-bound) && !math.IsInf(float64(bound), 1) {
				t.Fatalf("%s, %d columns, plane %d, narrow %t, row %d: %g ± %g, but the head gives %g", what, c.Cols, p, narrow, r, y[r], bound, want[r])
			}
			if e := math.Abs(float64(want[r]) - float64(y[r])); bound > 0 && e < 1e30 {
				worst = max(worst, e/float64(bound))
			}
		}
	}
	return worst
}

// TestCoarseTwins compares every level with the twins, for all row lengths: the
// copy itself, all planes' logits, one and many states.
func TestCoarseTwins(t *testing.T) {
	type result struct {
		c *Coarse
		y [][]float32
	}
	run := func(k *kernels, w []float32, rows, cols int, x [][]float32) result {
		old := active
		active = k
		defer func() { active = old }()
		c := newCoarse(t, w, rows, cols)
		in := c.NewInput(len(x))
		for i := range x {
			if !in.Set(i, x[i]) {
				t.Fatalf("%d columns: the state is refused", cols)
			}
		}
		n := c.PaddedRows()
		y := make([]float32, len(x)*n)
		res := result{c: c}
		for p := range CoarsePlanes {
			if p < 2 {
				c.Score(y, n, p, true, in, 0, len(x), 0, c.Panels())
				res.y = append(res.y, slices.Clone(y))
				c.Score(y, n, p, false, in, 0, len(x), 0, c.Panels())
			} else {
				for i := range x {
					c.Refine(y[i*n:(i+1)*n], in, i, []int32{3, 0, int32(rows - 1), 1, 2}[:1+cols%5])
				}
			}
			res.y = append(res.y, slices.Clone(y))
		}
		return res
	}
	forEachLevel(t, coarsePart, func(t *testing.T, k *kernels) {
		r := rand.New(rand.NewPCG(3, 4))
		for cols := 1; cols <= longest; cols++ {
			rows, states := 5+r.IntN(30), 1+cols%17
			w := make([]float32, rows*cols)
			kind := []string{"gauss", "trained", "sparse", "zero"}[cols%4]
			coarseRows[kind](r, w, cols)
			x := make([][]float32, states)
			for i := range x {
				x[i] = make([]float32, cols)
				coarseStates[[]string{"gauss", "signs", "outlier", "one"}[(cols+i)%4]](r, x[i])
			}
			compareCoarse(t, cols, run(k, w, rows, cols, x), run(&generic, w, rows, cols, x), func(a, b result) string {
				switch {
				case !slices.Equal(a.c.first, b.c.first):
					return "first planes"
				case !slices.Equal(a.c.second, b.c.second) || !slices.Equal(a.c.third, b.c.third):
					return "planes"
				case !slices.Equal(a.c.step, b.c.step):
					return "steps"
				}
				for p := range a.c.radius {
					if i := firstDifference(a.c.radius[p], b.c.radius[p]); i >= 0 {
						return fmt.Sprintf("radii of plane %d", p)
					}
				}
				if firstDifference(a.c.weight, b.c.weight) >= 0 {
					return "weights"
				}
				for p, what := range []string{"4 bits, narrow", "4 bits", "6 bits, narrow", "6 bits", "8 bits"} {
					if i := firstDifference(a.y[p], b.y[p]); i >= 0 {
						return fmt.Sprintf("logits after %s (%d states), index %d: %g and %g", what, states, i, a.y[p][i], b.y[p][i])
					}
				}
				return ""
			})
		}
	})
}

func compareCoarse[R any](t *testing.T, cols int, got, want R, difference func(a, b R) string) {
	t.Helper()
	if d := difference(got, want); d != "" {
		t.Fatalf("%d columns: different %s", cols, d)
	}
}

// TestCoarseSums runs the longest rows with the largest codes and states, where
// the integer sums are at their limits, against exact sums.
func TestCoarseSums(t *testing.T) {
	const cols, rows = MaxCoarseCols, 17
	w := make([]float32, rows*cols)
	fill(w, rand.New(rand.NewPCG(5, 6)), floatData["normal"])
	forEachLevel(t, coarsePart, func(t *testing.T, _ *kernels) {
		c := newCoarse(t, w, rows, cols)
		for _, plane := range [][]byte{c.first, c.second, c.third} {
			for i := range plane {
				plane[i] = 0xff
			}
		}
		for _, sign := range []float32{1, -1} {
			in := c.NewInput(1)
			x := make([]float32, cols)
			for i := range x {
				x[i] = sign * c.inverse[i] // all of x' is 1 or −1
			}
			if !in.Set(0, x) {
				t.Fatal("the state is refused")
			}
			y := make([]float32, c.PaddedRows())
			check := func(plane int, code float64) {
				t.Helper()
				for r := range rows {
					want := float64(sign)*cols*float64(c.step[r])*code + float64(in.terms[0].shift)
					if e := math.Abs(float64(y[r]) - want); !(e < 1e-5*math.Abs(want)) {
						t.Fatalf("plane %d, sign %g, row %d: %g, want %g", plane, sign, r, y[r], want)
					}
				}
			}
			c.Score(y, len(y), 0, false, in, 0, 1, 0, c.Panels())
			check(0, 7.5*16)
			all := []int32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
			c.Score(y, len(y), 1, false, in, 0, 1, 0, c.Panels())
			check(1, 7.5*16+1.5*4)
			c.Refine(y, in, 0, all)
			check(2, 7.5*16+1.5*4+1.5)
		}
	})
}

// TestCoarseStates lists the states that have no proven bounds.
func TestCoarseStates(t *testing.T) {
	w := make([]float32, 20*64)
	fill(w, rand.New(rand.NewPCG(7, 8)), floatData["normal"])
	c := newCoarse(t, w, 20, 64)
	in := c.NewInput(1)
	for name, v := range map[string]float32{
		"zero": 0, "NaN": float32(math.NaN()), "infinity": float32(math.Inf(-1)),
		"huge": 1e30, "tiny": 1e-30,
	} {
		x := make([]float32, 64)
		x[9] = v
		if in.Set(0, x) {
			t.Errorf("a state with %s is accepted", name)
		}
	}
}

func TestNewCoarseErrors(t *testing.T) {
	for _, test := range []struct {
		typ        gguf.Type
		rows, cols int
	}{{gguf.TypeF32, 0, 1}, {gguf.TypeF32, 1, 0}, {gguf.TypeF32, 1, MaxCoarseCols + 1}, {gguf.TypeTQ2_0, 1, 256}} {
		if _, err := NewCoarse(test.typ, test.rows, test.cols); err == nil {
			t.Errorf("%+v: no error", test)
		}
	}
}

func TestCoarseAllocations(t *testing.T) {
	w := make([]float32, 40*300)
	fill(w, rand.New(rand.NewPCG(9, 9)), floatData["normal"])
	c := newCoarse(t, w, 40, 300)
	in, y, list := c.NewInput(3), make([]float32, 3*c.PaddedRows()), []int32{1, 39}
	if n := testing.AllocsPerRun(5, func() {
		for i := range 3 {
			in.Set(i, w[i*300:])
		}
		c.Score(y, c.PaddedRows(), 0, false, in, 0, 3, 0, c.Panels())
		c.Score(y, c.PaddedRows(), 1, true, in, 0, 3, 0, c.Panels())
		c.Refine(y, in, 0, list)
	}); n != 0 {
		t.Errorf("%g allocations", n)
	}
}

// BenchmarkCoarse runs one core over a copy with rows of 2560 columns: 40 MB of
// the first plane from memory, and a part that stays in the L2 cache.
func BenchmarkCoarse(b *testing.B) {
	const cols, rows = 2560, 32768
	w := make([]byte, rows*cols*2)
	r := rand.New(rand.NewPCG(1, 1))
	for i := 0; i < len(w); i += 2 {
		binary.LittleEndian.PutUint16(w[i:], half.F32ToF16(float32(r.NormFloat64())))
	}
	c, err := NewCoarse(gguf.TypeF16, rows, cols)
	if err != nil {
		b.Fatal(err)
	}
	c.Survey(w, gguf.TypeF16)
	ws := c.NewWorkspace()
	b.Run("fill", func(b *testing.B) {
		for b.Loop() {
			c.Fill(w, gguf.TypeF16, 0, c.Panels(), ws)
		}
		b.ReportMetric(float64(rows*cols*b.N)/b.Elapsed().Seconds()/1e9, "Gweights/s")
	})
	in := c.NewInput(16)
	x := make([]float32, cols)
	for i := range 16 {
		fill(x, r, floatData["normal"])
		in.Set(i, x)
	}
	y := make([]float32, 16*rows)
	for _, size := range []struct {
		name         string
		panels, toks int
	}{{"memory", c.Panels(), 1}, {"memory", c.Panels(), 8}, {"L2", 16, 1}, {"L2", 16, 2}, {"L2", 16, 4}, {"L2", 16, 16}} {
		for kind := range 4 {
			plane, narrow := kind/2, kind%2 == 1
			b.Run(fmt.Sprintf("score%d/%s/states%d/narrow=%t", 4+2*plane, size.name, size.toks, narrow), func(b *testing.B) {
				b.SetBytes(int64(size.panels * c.blocks * coarseBlock * (2 + plane) / 2))
				for b.Loop() {
					c.Score(y, rows, plane, narrow, in, 0, size.toks, 0, size.panels)
				}
			})
		}
	}
	list := make([]int32, 256)
	for _, far := range []int{1, 16, 128} {
		b.Run(fmt.Sprintf("refine/every%d", far), func(b *testing.B) {
			b.SetBytes(int64(len(list) * c.rowBlocks * coarseBlock))
			start := 0
			for b.Loop() {
				for i := range list {
					list[i] = int32((start + i*far) % rows)
				}
				start += len(list) * far
				c.Refine(y, in, 0, list)
			}
		})
	}
}
