package ternary_test

import (
	"bytes"
	"errors"
	"testing"

	"trit/internal/aligned"
	"trit/internal/ternary"
)

// ends are a home whose nodes read so many parts of each matrix, of as many as the last says.
type ends []int

func (e ends) Nodes() int { return len(e) }

func (e ends) Share(n, node int) (from, to int) {
	if node > 0 {
		from = n * e[node-1] / e[len(e)-1]
	}
	return from, n * e[node] / e[len(e)-1]
}

func (e ends) Bytes(_, n int) []byte { return aligned.Bytes(n) }

// TestParts: a matrix in parts holds what one in a piece does.
func TestParts(t *testing.T) {
	for _, layout := range []ternary.Layout{ternary.T2, ternary.T5, ternary.G2, ternary.G5} {
		for _, home := range []ends{{1}, {1, 2}, {1, 4}, {2, 3, 7}, {1, 2, 3, 4, 5, 6, 7, 8, 9}} {
			whole, err := ternary.New(layout, 100, 300)
			if err != nil {
				t.Fatal(err)
			}
			parts, err := ternary.NewAt(home, layout, 100, 300)
			if err != nil {
				t.Fatal(err)
			}
			if (len(home) == 1) != (parts.Parts == nil) || (parts.Data == nil) != (parts.Parts != nil) {
				t.Errorf("%v: %d parts beside %d bytes", home, len(parts.Parts), len(parts.Data))
			}
			codes := make([][]byte, 16)
			for i := range codes {
				codes[i] = make([]byte, 300)
			}
			for p := range whole.Panels() {
				for i := range codes {
					for c := range codes[i] {
						codes[i][c] = byte((p + i*c) % 3)
					}
				}
				rows := codes[:min(16, 100-16*p)]
				if err := errors.Join(whole.SetPanel(p, rows), parts.SetPanel(p, rows)); err != nil {
					t.Fatal(err)
				}
			}
			if err := errors.Join(whole.SetScales([]float32{0.5}, 0), parts.SetScales([]float32{0.5}, 0), parts.MultiplyScales(2), whole.MultiplyScales(2)); err != nil {
				t.Fatal(err)
			}
			if err := parts.Validate(); err != nil {
				t.Error(err)
			}
			if !bytes.Equal(parts.Packed(), whole.Data) || parts.Bytes() != whole.Bytes() {
				t.Errorf("%v in %v: other panels", layout, home)
			}
			size := whole.PanelBytes()
			for p := range whole.Panels() {
				for _, n := range []int{1, 2, whole.Panels() - p} {
					run := parts.Run(p, n)
					if len(run) < size || len(run) > n*size || len(run)%size != 0 || !bytes.Equal(run, whole.Data[p*size:][:len(run)]) {
						t.Errorf("%v in %v: %d bytes for %d panels from %d on", layout, home, len(run), n, p)
					}
				}
			}
			again, err := ternary.NewAt(home, layout, 100, 300)
			if err != nil {
				t.Fatal(err)
			}
			for off := 0; off < len(whole.Data); off += 1000 {
				again.Fill(off, whole.Data[off:min(off+1000, len(whole.Data))])
			}
			if !bytes.Equal(again.Packed(), whole.Data) {
				t.Errorf("%v in %v: filled with something else", layout, home)
			}
			if again.Parts == nil {
				continue
			}
			last := &again.Parts[len(again.Parts)-1]
			if last.End--; again.Validate() == nil {
				t.Errorf("%v: a part is short of a panel", home)
			}
			if last.End, last.Data = last.End+1, last.Data[1:]; again.Validate() == nil {
				t.Errorf("%v: a part is short of a byte", home)
			}
		}
	}
}
