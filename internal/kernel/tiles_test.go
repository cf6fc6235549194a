package kernel

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"trit/internal/ternary"
)

// tiledTwins are the twins with products of tiles.
var tiledTwins = func() kernels {
	k, t, g := generic, blockedTernary, genericGrouped
	t.tiles, g.tiles = &genericTiles, &genericGroupTiles
	k.ternary, k.grouped = &t, &g
	return k
}()

// unpackedTwins are those with groups that are unpacked once.
var unpackedTwins = func() kernels {
	k, g := tiledTwins, genericGrouped
	g.codes = &genericGroupCodes
	k.grouped = &g
	return k
}()

// forEachTiles runs f with the twins of the products of tiles, and with the processor's.
func forEachTiles(t *testing.T, f func(t *testing.T, k *kernels)) {
	t.Run("twins", func(t *testing.T) {
		if !withTiles {
			t.Skip("this build has no tiles")
		}
		useKernels(t, &tiledTwins)
		f(t, &tiledTwins)
	})
	for _, l := range supported() {
		if k := kernelsOf(l); k.ternary.tiles != nil {
			t.Run(l.String(), func(t *testing.T) {
				useKernels(t, k)
				f(t, k)
			})
		}
	}
}

func tilesOrSkip(t *testing.T) *kernels {
	t.Helper()
	if !slices.Contains(supported(), AMX) {
		t.Skip("this processor, system or build has no tiles")
	}
	return kernelsOf(AMX)
}

// TestTiles compares products of tiles with those of the blocked kernels, at sizes
// around the parts that rows, columns and panels are divided into.
func TestTiles(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 9))
	forEachTiles(t, func(t *testing.T, k *kernels) {
		for _, layout := range ternary.Layouts() {
			for _, shape := range [][3]int{{1, 1, 6}, {16, 63, 7}, {17, 64, 15}, {32, 65, 16}, {33, 639, 17}, {50, 640, 31}, {64, 641, 32},
				{47, 700, 33}, {32, 1280, 47}, {16, 1300, 64}, {80, 200, 255}, {49, 100, 256}, {33, 100, 257}, {34, 700, 300}, {16, 6912, 160}} {
				m := testMatrix(t, layout, shape[0], shape[1], randomTrit(rng))
				x := testInt8(shape[2], shape[1], 0, randomCode(rng))
				for _, scale := range []float32{0, -1, 1e30, 1e-30, float32(math.NaN())} {
					want, got := guarded(shape[2]*shape[0]), guarded(shape[2]*shape[0])
					if scale != 0 {
						x.Scale[shape[2]-1] = scale
					}
					MatMulI8(want, m.Rows, m, x, 0, shape[2], 0, m.Panels(), &Workspace{Variant: Blocked})
					MatMulI8(got, m.Rows, m, x, 0, shape[2], 0, m.Panels(), NewWorkspace())
					for i := range want {
						if math.Float32bits(got[i]) != math.Float32bits(want[i]) && (got[i] == got[i] || want[i] == want[i]) {
							t.Fatalf("%v %v, scale %v: result %d of row %d is %v, want %v", layout, shape, scale, i%m.Rows, i/m.Rows, got[i], want[i])
						}
					}
				}
			}
		}
	})
}

// TestGroupTiles does the same for grouped layouts.
func TestGroupTiles(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 9))
	check := func(t *testing.T, k *kernels) {
		for _, layout := range ternary.GroupedLayouts() {
			for _, shape := range [][3]int{{1, 1, 8}, {16, 100, 2}, {64, 2048, 3}, {48, 700, 5}, {16, 128, 9}, {17, 129, 15}, {32, 512, 16}, {33, 513, 17}, {40, 640, 24}, {31, 1100, 31},
				{50, 900, 12}, {64, 1024, 33}, {20, 256, 257}, {48, 300, 300}} {
				m := groupedMatrix(t, layout, shape[0], shape[1], rng)
				x := groupedActivations(shape[2], shape[1], rng)
				for _, row0 := range []int{0, 1, shape[2] / 2} {
					want, got := guarded(shape[2]*shape[0]), guarded(shape[2]*shape[0])
					MatMulGrouped(want, m.Rows, m, x, row0, shape[2], 0, m.Panels(), &Workspace{Variant: Blocked})
					MatMulGrouped(got, m.Rows, m, x, row0, shape[2], 0, m.Panels(), NewWorkspace())
					for i := range want {
						if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
							t.Fatalf("%v %v from row %d: result %d of row %d is %v, want %v", layout, shape, row0, i%m.Rows, i/m.Rows, got[i], want[i])
						}
					}
				}
			}
		}
	}
	forEachTiles(t, check)
	t.Run("unpacked twins", func(t *testing.T) {
		if !withTiles {
			t.Skip("this build has no tiles")
		}
		useKernels(t, &unpackedTwins)
		check(t, &unpackedTwins)
	})
}

// TestTileFinish compares quotients that are made by an inverse with divisions, for
// sums and scales in which both have many bits.
func TestTileFinish(t *testing.T) {
	k := tilesOrSkip(t)
	rng := rand.New(rand.NewPCG(3, 9))
	const tokens = 64
	acc, sums, s := make([]int32, tokens*pairRows), make([]int32, tokens), make([]float32, tokens)
	ones := slices.Repeat([]float32{1}, pairRows)
	want, got := make([]float32, tokens*pairRows), make([]float32, tokens*pairRows)
	for round := range 2000 {
		for i := range acc {
			acc[i] = rng.Int32() >> rng.IntN(31)
			acc[i] -= rng.Int32() >> rng.IntN(31)
		}
		for i := range s {
			sums[i] = rng.Int32N(1000) - 500
			s[i] = float32(math.Ldexp(1+rng.Float64(), rng.IntN(2*tileScaleBits-1)-tileScaleBits))
			if round%4 == 0 { // just below or above a power of two
				s[i] = math.Float32frombits(math.Float32bits(s[i])&0xFF800000 + uint32(rng.IntN(9)-4))
			}
		}
		if !moderate(s) {
			s[0] = 1
		}
		rows := 1 + round%pairRows
		finishI8Generic(want, pairRows, acc, pairRows, sums, 1, s, ones, tokens, rows, false)
		k.ternary.tiles.finish(got, pairRows, acc, sums, s, ones, tokens, rows)
		for i := range want {
			if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
				t.Fatalf("(%d − %d) / %v is %v, want %v", acc[i], sums[i/pairRows], s[i/pairRows], got[i], want[i])
			}
		}
	}
}

// TestTilesUnderPreemption has more goroutines multiply tiles than there are
// processors, while the garbage collector interrupts them: what is in the tiles of
// one must survive the others.
func TestTilesUnderPreemption(t *testing.T) {
	useKernels(t, tilesOrSkip(t))
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4 * runtime.NumCPU()))
	rng := rand.New(rand.NewPCG(4, 9))
	m := testMatrix(t, ternary.T5, 64, 3000, randomTrit(rng))
	g := groupedMatrix(t, ternary.G2, 64, 1024, rng)
	deadline := time.Now().Add(time.Second)
	var wg sync.WaitGroup
	for i := range 8 * runtime.NumCPU() {
		x := testInt8(100, m.Cols, 0, randomCode(rng))
		groups := groupedActivations(40, g.Cols, rng)
		wg.Go(func() {
			want, wantGroups := make([]float32, 100*m.Rows), make([]float32, 40*g.Rows)
			MatMulI8(want, m.Rows, m, x, 0, 100, 0, m.Panels(), &Workspace{Variant: Blocked})
			MatMulGrouped(wantGroups, g.Rows, g, groups, 0, 40, 0, g.Panels(), &Workspace{Variant: Blocked})
			for time.Now().Before(deadline) {
				got, ws := make([]float32, len(want)), NewWorkspace()
				MatMulI8(got, m.Rows, m, x, 0, 100, 0, m.Panels(), ws)
				gotGroups := make([]float32, len(wantGroups))
				MatMulGrouped(gotGroups, g.Rows, g, groups, 0, 40, 0, g.Panels(), ws)
				if !slices.Equal(got, want) || !slices.Equal(gotGroups, wantGroups) {
					t.Errorf("goroutine %d got other results than alone", i)
					return
				}
				if i%4 == 0 {
					runtime.GC()
				}
			}
		})
	}
	wg.Wait()
}
