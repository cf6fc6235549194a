package ternary

import (
	"errors"
	"math/rand/v2"
	"testing"
)

// lineCode returns the code at a place of a line by the definition of Lines.
func lineCode(l *Lines, line, block, at, field int) int {
	v := int(l.Data[line*l.LineBytes()+block*BlockBytes+at])
	if l.Layout == T2 {
		return v >> (2 * field) & 3
	}
	for range field {
		v /= 3
	}
	return v % 3
}

func TestLines(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for _, layout := range Layouts() {
		for _, shape := range [][2]int{{1, 1}, {16, 20}, {17, 41}, {64, 320}, {320, 64}, {333, 345}, {700, 259}} {
			m, err := New(layout, shape[0], shape[1])
			if err != nil {
				t.Fatal(err)
			}
			codes := make([][]byte, m.Rows)
			for r := range codes {
				codes[r] = make([]byte, m.Cols)
				for c := range codes[r] {
					codes[r][c] = byte(rng.IntN(3))
				}
			}
			for p := range m.Panels() {
				if err := m.SetPanel(p, codes[p*PanelRows:min(m.Rows, (p+1)*PanelRows)]); err != nil {
					t.Fatal(err)
				}
			}
			checkRowLines(t, m, codes)
			for _, other := range Layouts() {
				checkColumnLines(t, m, other, codes)
			}
		}
	}
}

func checkRowLines(t *testing.T, m *Matrix, codes [][]byte) {
	l, err := RowLines(m)
	if err != nil {
		t.Fatal(err)
	}
	if l.Bytes() != int64(len(l.Data)) || l.Bytes() != LinesBytes(m.Layout, m.Rows, m.Cols) {
		t.Errorf("%d bytes, said to be %d", len(l.Data), l.Bytes())
	}
	for p := range m.Panels() {
		l.SetRows(m, p)
	}
	width := m.Layout.UnitCols()
	for r := range l.Count {
		for j := range l.Blocks() {
			for at := range BlockBytes {
				for f := range l.Fields() {
					c, want := width*(16*j+at/4)+4*f+at%4, 1
					if c < m.Cols {
						want = int(codes[r][c])
					}
					if got := lineCode(l, r, j, at, f); got != want {
						t.Fatalf("%v %d×%d: row %d, column %d: code %d, want %d", m.Layout, m.Rows, m.Cols, r, c, got, want)
					}
				}
			}
		}
	}
}

func checkColumnLines(t *testing.T, m *Matrix, layout Layout, codes [][]byte) {
	l, err := ColumnLines(m, layout)
	if err != nil {
		t.Fatal(err)
	}
	for j := range l.Blocks() {
		l.SetColumns(m, j)
	}
	for c := range l.Count {
		for j := range l.Blocks() {
			for at := range BlockBytes {
				for f := range l.Fields() {
					r, want := j*l.BlockCodes()+64*f+at/4%4*16+at/16*4+at%4, 1
					if r < m.Rows {
						want = int(codes[r][c])
					}
					if got := lineCode(l, c, j, at, f); got != want {
						t.Fatalf("%v in %v %d×%d: row %d, column %d: code %d, want %d", m.Layout, layout, m.Rows, m.Cols, r, c, got, want)
					}
				}
			}
		}
	}
}

func TestLinesRefuseGroups(t *testing.T) {
	m, err := New(G2, 16, 128)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := RowLines(m); !errors.Is(err, ErrLayout) {
		t.Errorf("row lines of groups: %v", err)
	}
	if _, err := ColumnLines(m, T2); !errors.Is(err, ErrLayout) {
		t.Errorf("column lines of groups: %v", err)
	}
	var none *Lines
	if none.Bytes() != 0 {
		t.Error("no lines take memory")
	}
}
