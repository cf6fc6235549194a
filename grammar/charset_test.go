package grammar

import (
	"math/rand/v2"
	"testing"
	"unicode/utf8"
)

// TestUTF8Sequences checks the byte sequences of random ranges at and around all their ends.
func TestUTF8Sequences(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	edges := []rune{0, 0x3F, 0x7F, 0x80, 0xBF, 0x7FF, 0x800, 0xFFF, 0x1000, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x3FFFF, 0x40000, 0xFFFFF, utf8.MaxRune}
	char := func() rune {
		if r.IntN(2) == 0 {
			return edges[r.IntN(len(edges))]
		}
		return rune(r.IntN(utf8.MaxRune+1)) >> r.IntN(18)
	}
	for range 5000 {
		a, b := char(), char()
		s := newSet(runeRange{min(a, b), max(a, b)})
		sequences := s.utf8()
		for _, c := range append([]rune{a - 1, a, a + 1, b - 1, b, b + 1, (a + b) / 2, char(), char()}, edges...) {
			if !utf8.ValidRune(c) {
				continue
			}
			text := utf8.AppendRune(nil, c)
			matches := 0
			for _, q := range sequences {
				if len(q) == len(text) {
					ok := true
					for i, x := range q {
						ok = ok && text[i] >= x.lo && text[i] <= x.hi
					}
					if ok {
						matches++
					}
				}
			}
			want := 0
			if c >= min(a, b) && c <= max(a, b) {
				want = 1
			}
			if matches != want || s.contains(c) != (want == 1) || s.negate().contains(c) != (want == 0) {
				t.Fatalf("%U in %U-%U: %d sequences match, expected %d", c, min(a, b), max(a, b), matches, want)
			}
		}
	}
}
