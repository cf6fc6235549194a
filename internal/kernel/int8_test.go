package kernel

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// oracleQuantize follows the formula with arbitrary precision where it rounds.
func oracleQuantize(a []float32) (q []int8, s float32, sum int32) {
	amax := 1e-5
	for _, v := range a {
		amax = math.Max(amax, math.Abs(float64(v)))
	}
	s = float32(127 / amax)
	q = make([]int8, len(a))
	for i, v := range a {
		product, _ := new(big.Float).Mul(big.NewFloat(float64(v)), big.NewFloat(float64(s))).Float32()
		n := math.RoundToEven(float64(product))
		q[i] = int8(math.Max(-128, math.Min(127, n)))
		sum += int32(q[i])
	}
	return q, s, sum
}

func checkQuantize(t *testing.T, x *Int8, row int, a []float32) {
	t.Helper()
	for i := range x.Q {
		x.Q[i] = 99
	}
	QuantizeRow(x, row, a)
	q, s, sum := oracleQuantize(a)
	if x.Scale[row] != s || x.Sum[row] != sum {
		t.Fatalf("%d columns: scale %v and sum %d, want %v and %d", len(a), x.Scale[row], x.Sum[row], s, sum)
	}
	for i := range x.Q {
		want := int8(99)
		if c := i - row*x.Stride; c >= 0 && c < x.Stride {
			want = 0
			if c < len(a) {
				want = q[c]
			}
		}
		if x.Q[i] != want {
			t.Fatalf("%d columns: code %d of row %d is %d, want %d", len(a), i-row*x.Stride, row, x.Q[i], want)
		}
	}
	if x.GroupCols == 0 {
		return
	}
	for g := range x.Groups() {
		var want int32
		for c := g * x.GroupCols; c < min((g+1)*x.GroupCols, len(a)); c++ {
			want += int32(q[c])
		}
		if got := x.GroupSums[row*x.Groups()+g]; got != want {
			t.Fatalf("%d columns: group %d sums to %d, want %d", len(a), g, got, want)
		}
	}
}

func TestQuantizeRowEveryLength(t *testing.T) {
	forEachLevel(t, int8Part, func(t *testing.T, _ *kernels) {
		rng := rand.New(rand.NewPCG(9, 1))
		x := NewInt8(3, 1100)
		for cols := 1; cols <= 1100; cols++ {
			x.Reset(cols, []int{0, 16, 128}[cols%3])
			a := randomFloats(rng, cols)
			if cols%7 == 0 {
				// Multiples of 1/2 with scale 1: ties everywhere.
				for i := range a {
					a[i] = float32(rng.IntN(508)-254) / 2
				}
				a[cols-1] = 127
			}
			checkQuantize(t, x, cols%3, a)
		}
	})
}

func TestQuantizeRowExtremes(t *testing.T) {
	forEachLevel(t, int8Part, func(t *testing.T, _ *kernels) {
		x := NewInt8(1, 40)
		for _, values := range [][]float32{
			{0}, {float32(math.Copysign(0, -1))}, {1e-5, -1e-5}, {9e-6, 1e-7}, {math.MaxFloat32, -math.MaxFloat32, 1},
			{math.SmallestNonzeroFloat32}, {1, -1}, {127, 0.5, 1.5, 2.5, -0.5, -1.5}, {1e-30, 1e30}, {3, -3, 0},
		} {
			a := make([]float32, 40)
			for i := range a {
				a[i] = values[i%len(values)]
			}
			checkQuantize(t, x, 0, a)
		}
	})
}

func TestQuantizeRowNotFinite(t *testing.T) {
	forEachLevel(t, int8Part, func(t *testing.T, _ *kernels) {
		for _, bad := range []float32{float32(math.NaN()), -float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
			for at := range 40 {
				x := NewInt8(1, 40)
				x.Reset(40, 16)
				a := make([]float32, 40)
				for i := range a {
					a[i] = 1
				}
				QuantizeRow(x, 0, a)
				a[at] = bad
				QuantizeRow(x, 0, a)
				if s := x.Scale[0]; s == s || x.Sum[0] != 0 || x.GroupSums[0] != 0 || x.GroupSums[2] != 0 {
					t.Fatalf("%v at %d: scale %v, sums %d %v", bad, at, s, x.Sum[0], x.GroupSums)
				}
				for _, q := range x.Q {
					if q != 0 {
						t.Fatalf("%v at %d: codes %v", bad, at, x.Q)
					}
				}
			}
		}
	})
}

func TestInt8Reset(t *testing.T) {
	x := NewInt8(2, 1000)
	for cols := 1; cols <= 1000; cols++ {
		x.Reset(cols, 0)
		if x.Stride < cols || x.Stride%320 != 0 || x.Stride/320%2 != 1 {
			t.Fatalf("%d columns have stride %d", cols, x.Stride)
		}
	}
	for name, f := range map[string]func(){
		"too wide":  func() { x.Reset(2000, 0) },
		"no column": func() { x.Reset(0, 0) },
		"group":     func() { x.Reset(10, 8) },
		"no rows":   func() { NewInt8(0, 1) },
		"row":       func() { QuantizeRow(x, 2, make([]float32, x.Cols)) },
		"length":    func() { QuantizeRow(x, 0, make([]float32, x.Cols+1)) },
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
