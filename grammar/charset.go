package grammar

import (
	"slices"
	"unicode/utf8"
)

// runeRange is a range of code points, both ends included.
type runeRange struct{ lo, hi rune }

// charSet is a set of Unicode scalar values (no surrogates): ascending ranges that
// neither overlap nor touch.
type charSet []runeRange

const (
	surrogateMin = 0xD800
	surrogateMax = 0xDFFF
)

// newSet returns the set of all scalar values in ranges.
func newSet(ranges ...runeRange) charSet {
	s := make(charSet, 0, len(ranges)+1)
	for _, r := range ranges {
		r.lo, r.hi = max(r.lo, 0), min(r.hi, utf8.MaxRune)
		if r.lo < surrogateMin && r.hi >= surrogateMin {
			s = append(s, runeRange{r.lo, surrogateMin - 1})
			r.lo = surrogateMin
		}
		if r.lo >= surrogateMin && r.lo <= surrogateMax {
			r.lo = surrogateMax + 1
		}
		if r.lo <= r.hi {
			s = append(s, r)
		}
	}
	slices.SortFunc(s, func(a, b runeRange) int { return int(a.lo - b.lo) })
	out := s[:0]
	for _, r := range s {
		if n := len(out); n > 0 && r.lo <= out[n-1].hi+1 {
			out[n-1].hi = max(out[n-1].hi, r.hi)
		} else {
			out = append(out, r)
		}
	}
	return out
}

// allChars is every Unicode scalar value.
var allChars = newSet(runeRange{0, utf8.MaxRune})

func oneChar(r rune) charSet { return newSet(runeRange{r, r}) }

func (s charSet) union(t charSet) charSet { return newSet(append(slices.Clone(s), t...)...) }

// negate returns all scalar values outside s.
func (s charSet) negate() charSet {
	var out []runeRange
	next := rune(0)
	for _, r := range s {
		if r.lo > next {
			out = append(out, runeRange{next, r.lo - 1})
		}
		next = r.hi + 1
	}
	return newSet(append(out, runeRange{next, utf8.MaxRune})...)
}

func (s charSet) intersect(t charSet) charSet {
	var out charSet
	for i, j := 0, 0; i < len(s) && j < len(t); {
		if lo, hi := max(s[i].lo, t[j].lo), min(s[i].hi, t[j].hi); lo <= hi {
			out = append(out, runeRange{lo, hi})
		}
		if s[i].hi < t[j].hi {
			i++
		} else {
			j++
		}
	}
	return out
}

func (s charSet) minus(t charSet) charSet { return s.intersect(t.negate()) }

func (s charSet) contains(r rune) bool {
	_, ok := slices.BinarySearchFunc(s, r, func(x runeRange, r rune) int {
		switch {
		case x.hi < r:
			return -1
		case x.lo > r:
			return 1
		}
		return 0
	})
	return ok
}

// byteRange is a range of bytes, both ends included.
type byteRange struct{ lo, hi byte }

// appendUTF8 appends the byte sequences of the characters lo … hi: each
// sequence stands for all combinations of its ranges.
func appendUTF8(dst [][]byteRange, lo, hi rune) [][]byteRange {
	for _, last := range [...]rune{0x7F, 0x7FF, 0xFFFF} {
		if lo <= last && hi > last {
			return appendUTF8(appendUTF8(dst, lo, last), last+1, hi)
		}
	}
	// Both ends now have the same length. A range of leading bytes needs every
	// continuation below it: cut off incomplete ends.
	var a, b [utf8.UTFMax]byte
	n := utf8.EncodeRune(a[:], lo)
	for i := 1; i < n; i++ {
		low := rune(1)<<(6*i) - 1 // what i continuation bytes hold
		if lo&^low == hi&^low {
			continue
		}
		if lo&low != 0 {
			return appendUTF8(appendUTF8(dst, lo, lo|low), lo|low+1, hi)
		}
		if hi&low != low {
			return appendUTF8(appendUTF8(dst, lo, hi&^low-1), hi&^low, hi)
		}
	}
	utf8.EncodeRune(b[:], hi)
	seq := make([]byteRange, n)
	for i := range seq {
		seq[i] = byteRange{a[i], b[i]}
	}
	return append(dst, seq)
}

// utf8 returns the byte sequences of the characters in s.
func (s charSet) utf8() [][]byteRange {
	var out [][]byteRange
	for _, r := range s {
		out = appendUTF8(out, r.lo, r.hi)
	}
	return out
}
