package ternary

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// pack returns a matrix with the given trits and one scale of 1.
func pack(t testing.TB, layout Layout, trits [][]int8) *Matrix {
	t.Helper()
	m, err := New(layout, len(trits), len(trits[0]))
	if err != nil {
		t.Fatal(err)
	}
	for p := range m.Panels() {
		var codes [][]byte
		for r := p * PanelRows; r < min((p+1)*PanelRows, m.Rows); r++ {
			row := make([]byte, m.Cols)
			for c, v := range trits[r] {
				row[c] = byte(v + 1)
			}
			codes = append(codes, row)
		}
		if err := m.SetPanel(p, codes); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	return m
}

func randomTrits(rng *rand.Rand, rows, cols int) [][]int8 {
	trits := make([][]int8, rows)
	for r := range trits {
		trits[r] = make([]int8, cols)
		for c := range trits[r] {
			trits[r][c] = int8(rng.IntN(3)) - 1
		}
	}
	return trits
}

// naive builds the packed bytes straight from the definition in the package
// comment, element by element.
func naive(layout Layout, trits [][]int8) []byte {
	rows, cols := len(trits), len(trits[0])
	width, fields := 16, 4
	if layout == T5 {
		width, fields = 20, 5
	}
	panels, blocks := (rows+15)/16, (cols+width-1)/width
	data := make([]byte, panels*blocks*64)
	for i := range data {
		p, k, r, b := i/(blocks*64), i/64%blocks, i%64/4, i%4
		weight := 1
		for f := range fields {
			code := 1
			if row, col := 16*p+r, width*k+4*f+b; row < rows && col < cols {
				code = int(trits[row][col]) + 1
			}
			data[i] += byte(code * weight)
			if layout == T5 {
				weight *= 3
			} else {
				weight *= 4
			}
		}
	}
	return data
}

func check(t testing.TB, layout Layout, trits [][]int8) {
	t.Helper()
	m := pack(t, layout, trits)
	want := naive(layout, trits)
	if len(want) != len(m.Data) {
		t.Fatalf("%v %d×%d: %d bytes, want %d", layout, m.Rows, m.Cols, len(m.Data), len(want))
	}
	for i := range want {
		if want[i] != m.Data[i] {
			t.Fatalf("%v %d×%d: byte %d is %#x, want %#x", layout, m.Rows, m.Cols, i, m.Data[i], want[i])
		}
	}
	row := make([]int8, m.Cols)
	for r := range trits {
		if err := m.Row(r, row); err != nil {
			t.Fatal(err)
		}
		for c := range row {
			if row[c] != trits[r][c] {
				t.Fatalf("%v %d×%d: (%d,%d) is %d, want %d", layout, m.Rows, m.Cols, r, c, row[c], trits[r][c])
			}
		}
	}
}

func TestEveryWidth(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, layout := range Layouts() {
		for cols := 1; cols <= 1100; cols++ {
			check(t, layout, randomTrits(rng, 1+cols%19, cols))
		}
		for rows := 1; rows <= 70; rows++ {
			check(t, layout, randomTrits(rng, rows, 1+rows*7%97))
		}
	}
}

func TestRandomShapes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		layout := rapid.SampledFrom(Layouts()).Draw(t, "layout")
		rows := rapid.IntRange(1, 50).Draw(t, "rows")
		cols := rapid.IntRange(1, 200).Draw(t, "cols")
		seed := rapid.Uint64().Draw(t, "seed")
		trits := randomTrits(rand.New(rand.NewPCG(seed, 0)), rows, cols)
		m, err := New(layout, rows, cols)
		if err != nil {
			t.Fatal(err)
		}
		for p := range m.Panels() {
			var codes [][]byte
			for r := p * 16; r < min(p*16+16, rows); r++ {
				row := make([]byte, cols)
				for c := range row {
					row[c] = byte(trits[r][c] + 1)
				}
				codes = append(codes, row)
			}
			if err := m.SetPanel(p, codes); err != nil {
				t.Fatal(err)
			}
		}
		if want := naive(layout, trits); string(want) != string(m.Data) {
			t.Fatalf("%v %d×%d packs differently from its definition", layout, rows, cols)
		}
	})
}

func TestConstantMatrices(t *testing.T) {
	for _, layout := range Layouts() {
		for v := int8(-1); v <= 1; v++ {
			trits := randomTrits(rand.New(rand.NewPCG(0, 0)), 17, 83)
			for _, row := range trits {
				for c := range row {
					row[c] = v
				}
			}
			check(t, layout, trits)
		}
	}
}

func TestBadCodes(t *testing.T) {
	for _, layout := range Layouts() {
		for _, bad := range []byte{3, 4, 0x80, 0xFE, 0xFF} {
			for at := range 41 {
				m, err := New(layout, 1, 41)
				if err != nil {
					t.Fatal(err)
				}
				row := make([]byte, 41)
				for i := range row {
					row[i] = byte(i % 3)
				}
				row[at] = bad
				err = m.SetPanel(0, [][]byte{row})
				if !errors.Is(err, ErrCode) {
					t.Fatalf("%v: code %d at %d: error %v", layout, bad, at, err)
				}
				if want := fmt.Sprintf("%d in row 0, column %d ", bad, at); !contains(err.Error(), want) {
					t.Fatalf("error %q does not name the place %q", err, want)
				}
			}
		}
	}
}

func contains(s, sub string) bool {
	for i := 0; i+len(sub) <= len(s); i++ {
		if s[i:i+len(sub)] == sub {
			return true
		}
	}
	return false
}

func TestShapeErrors(t *testing.T) {
	for _, s := range [][2]int{{0, 1}, {1, 0}, {-1, 5}, {5, -1}, {1, maxCols + 1}, {int(^uint(0) >> 1), maxCols}} {
		if _, err := New(T2, s[0], s[1]); !errors.Is(err, ErrShape) {
			t.Errorf("New(%v): error %v", s, err)
		}
	}
	if _, err := New(Layout(9), 1, 1); !errors.Is(err, ErrLayout) {
		t.Errorf("unknown layout: %v", err)
	}
	m, err := New(T2, 17, 5)
	if err != nil {
		t.Fatal(err)
	}
	rows := make([][]byte, 16)
	for i := range rows {
		rows[i] = make([]byte, 5)
	}
	for name, err := range map[string]error{
		"panel −1":  m.SetPanel(-1, rows),
		"panel 2":   m.SetPanel(2, rows),
		"15 rows":   m.SetPanel(0, rows[:15]),
		"16 of 1":   m.SetPanel(1, rows),
		"short row": m.SetPanel(1, [][]byte{{1, 1}}),
		"row 17":    m.Row(17, make([]int8, 5)),
		"row −1":    m.Row(-1, make([]int8, 5)),
		"short dst": m.Row(0, make([]int8, 4)),
	} {
		if !errors.Is(err, ErrShape) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	m.Data = m.Data[:64]
	if err := m.Validate(); !errors.Is(err, ErrShape) {
		t.Errorf("short data: error %v", err)
	}
}

func TestScales(t *testing.T) {
	m, err := New(T2, 3, 40)
	if err != nil {
		t.Fatal(err)
	}
	if got := m.ScaleAt(2, 39); got != 1 {
		t.Errorf("a new matrix has scale %v", got)
	}
	if err := m.SetScales([]float32{1, 2, 3}, 0); err != nil {
		t.Fatal(err)
	}
	if got := m.ScaleAt(2, 5); got != 3 {
		t.Errorf("per row: %v", got)
	}
	grouped := []float32{0, 1, 2, 10, 11, 12, 20, 21, 22}
	if err := m.SetScales(grouped, 16); err != nil {
		t.Fatal(err)
	}
	for r := range 3 {
		for c := range 40 {
			if got, want := m.ScaleAt(r, c), float32(10*r+c/16); got != want {
				t.Fatalf("scale at (%d,%d) is %v, want %v", r, c, got, want)
			}
		}
	}
	for _, bad := range []struct {
		n, group int
	}{{2, 0}, {0, 0}, {9, 15}, {9, -16}, {8, 16}, {3, 16}} {
		if err := m.SetScales(make([]float32, bad.n), bad.group); !errors.Is(err, ErrScales) {
			t.Errorf("%+v: error %v", bad, err)
		}
	}
	if m.GroupCols != 16 || len(m.Scales) != 9 {
		t.Error("a refused SetScales changed the matrix")
	}
	five, err := New(T5, 3, 40)
	if err != nil {
		t.Fatal(err)
	}
	if err := five.SetScales(grouped, 16); !errors.Is(err, ErrScales) {
		t.Errorf("groups in T5: error %v", err)
	}
}

func TestParseLayout(t *testing.T) {
	for _, l := range Layouts() {
		if got, err := ParseLayout(l.String()); err != nil || got != l {
			t.Errorf("ParseLayout(%v) = %v, %v", l, got, err)
		}
	}
	if _, err := ParseLayout("t3"); !errors.Is(err, ErrLayout) {
		t.Errorf("t3: error %v", err)
	}
}

func BenchmarkSetPanel(b *testing.B) {
	for _, layout := range Layouts() {
		b.Run(layout.String(), func(b *testing.B) {
			const cols = 2560
			m, err := New(layout, 16, cols)
			if err != nil {
				b.Fatal(err)
			}
			rng := rand.New(rand.NewPCG(1, 1))
			codes := make([][]byte, 16)
			for r := range codes {
				codes[r] = make([]byte, cols)
				for c := range codes[r] {
					codes[r][c] = byte(rng.IntN(3))
				}
			}
			for b.Loop() {
				if err := m.SetPanel(0, codes); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(16*cols*float64(b.N)/b.Elapsed().Seconds()/1e9, "Gtrit/s")
		})
	}
}
