package tokenizer

import (
	"sync"
	"unicode"
	"unicode/utf8"
)

// The Unicode properties the splitters ask for.
const (
	isLetter uint8 = 1 << iota // \p{L}
	isNumber                   // \p{N}
	isSpace                    // White_Space
	isPunct                    // \p{P}
	isMark                     // \p{M}
	isSymbol                   // \p{S}
	isUpper                    // \p{Lu} and \p{Lt}
	isLower                    // \p{Ll}
)

// classTable gives the properties of every code point: page[r>>8] selects a
// row of 256. Most pages are equal to a page that exists already.
type classTable struct {
	page [(unicode.MaxRune >> 8) + 1]uint16
	rows [][256]uint8
}

// charClasses returns the table, built on first use.
var charClasses = sync.OnceValue(func() *classTable {
	t := &classTable{rows: make([][256]uint8, 1, 128)} // row 0: nothing
	mark := func(lo, hi, stride uint32, bit uint8) {
		for r := uint64(lo); r <= uint64(hi); r += uint64(stride) {
			p := r >> 8
			if t.page[p] == 0 {
				t.page[p] = uint16(len(t.rows))
				t.rows = append(t.rows, [256]uint8{})
			}
			t.rows[t.page[p]][r&255] |= bit
		}
	}
	for _, c := range []struct {
		ranges *unicode.RangeTable
		bit    uint8
	}{
		{unicode.L, isLetter},
		{unicode.N, isNumber},
		{unicode.White_Space, isSpace},
		{unicode.P, isPunct},
		{unicode.M, isMark},
		{unicode.S, isSymbol},
		{unicode.Lu, isUpper},
		{unicode.Lt, isUpper},
		{unicode.Ll, isLower},
	} {
		for _, r := range c.ranges.R16 {
			mark(uint32(r.Lo), uint32(r.Hi), uint32(r.Stride), c.bit)
		}
		for _, r := range c.ranges.R32 {
			mark(r.Lo, r.Hi, r.Stride, c.bit)
		}
	}
	// Equal rows share one copy: CJK and Hangul are hundreds of pages of
	// letters.
	seen := make(map[[256]uint8]uint16, len(t.rows))
	rows := t.rows[:0:0]
	remap := make([]uint16, len(t.rows))
	for i, row := range t.rows {
		j, ok := seen[row]
		if !ok {
			j = uint16(len(rows))
			seen[row] = j
			rows = append(rows, row)
		}
		remap[i] = j
	}
	for i := range t.page {
		t.page[i] = remap[t.page[i]]
	}
	t.rows = rows
	return t
})

// ascii is the part of classTable that most text needs.
var asciiClass = func() (a [utf8.RuneSelf]uint8) {
	for r := range rune(utf8.RuneSelf) {
		if unicode.IsLetter(r) {
			a[r] |= isLetter
		}
		if unicode.IsNumber(r) {
			a[r] |= isNumber
		}
		if unicode.Is(unicode.White_Space, r) {
			a[r] |= isSpace
		}
		if unicode.IsPunct(r) {
			a[r] |= isPunct
		}
		if unicode.IsSymbol(r) {
			a[r] |= isSymbol
		}
		if unicode.IsUpper(r) {
			a[r] |= isUpper
		}
		if unicode.IsLower(r) {
			a[r] |= isLower
		}
	}
	return a
}()

// of returns the properties of r, which must be a code point utf8 decoded.
func (t *classTable) of(r rune) uint8 {
	return t.rows[t.page[uint32(r)>>8]][uint32(r)&255]
}
