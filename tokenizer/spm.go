package tokenizer

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"trit/internal/work"
)

// underscore is U+2581, which stands for a space in SentencePiece vocabularies.
const underscore = "\u2581"

// maxMergedToken is the longest token, in bytes, that SentencePiece symbols merge
// to. Real ones have a few dozen; the bound keeps preparing a hostile vocabulary
// cheap.
const maxMergedToken = 1024

// spm is the part of a SentencePiece tokenizer that merges. A symbol ≥ 0 is a
// token id, from Len() on a character that occurs in tokens but is none; a
// symbol < 0 is any other character.
//
// SentencePiece merges two symbols if their joined text is a token. Which symbols
// those can be is known in advance, so that all such pairs fit a merge table,
// with ranks in the order of falling scores.
type spm struct {
	merges *mergeTable
	ascii  [utf8.RuneSelf]int32
	others map[rune]int32
	extra  []rune     // the characters of the symbols from Len() on
	byteID [256]int32 // −1: none

	// beforeSpace has the characters that some token has right before a space, as few
	// tokens do. Behind any other character no merge crosses the start of a word, and
	// the words on both sides merge independently.
	beforeSpace map[rune]bool

	// joined has the pairs of ASCII characters that stand together in some token. No merge
	// crosses the middle of any other pair.
	joined [utf8.RuneSelf][utf8.RuneSelf / 64]uint64
}

// joins reports whether two ASCII characters stand together in some token.
func (m *spm) joins(a, b byte) bool { return m.joined[a][b/64]>>(b%64)&1 != 0 }

// foreign returns the symbol of a character outside the vocabulary, or of the
// byte b if the text is not valid UTF-8 there.
func foreign(r rune, invalid bool, b byte) int32 {
	if invalid {
		return -1 - (utf8.MaxRune + 1) - int32(b)
	}
	return -1 - r
}

func (t *Tokenizer) newSPM() *spm {
	m := &spm{others: map[rune]int32{}, beforeSpace: map[rune]bool{}}
	n := int32(t.Len())
	for i := range m.ascii {
		m.ascii[i] = foreign(rune(i), false, 0)
	}
	set := func(r rune, sym int32) {
		if r < utf8.RuneSelf {
			m.ascii[r] = sym
		} else {
			m.others[r] = sym
		}
	}
	// Characters that are tokens.
	for id := range n {
		text := t.text.str(id)
		if r, size := utf8.DecodeRuneInString(text); size == len(text) && (r != utf8.RuneError || size > 1) {
			set(r, id)
		}
	}
	// Characters that only occur within tokens.
	hasLen := make([]bool, maxMergedToken+1)
	pairs := 0
	for id := range n {
		text := t.text.str(id)
		if len(text) <= maxMergedToken {
			hasLen[len(text)] = true
		}
		before, count := rune(-1), 0
		for i := 0; i < len(text); count++ {
			r, size := utf8.DecodeRuneInString(text[i:])
			if r == utf8.RuneError && size == 1 {
				i++
				before = -1
				continue // matches no symbol
			}
			if text[i:i+size] != underscore {
				if before >= 0 && before < utf8.RuneSelf && r < utf8.RuneSelf {
					m.joined[before][r/64] |= 1 << (r % 64)
				}
				before = r
			} else {
				if before >= 0 {
					m.beforeSpace[before] = true
				}
				before = -1
			}
			if m.char(r) < 0 {
				set(r, n+int32(len(m.extra)))
				m.extra = append(m.extra, r)
			}
			i += size
		}
		if t.types[id] == Normal && count > 1 {
			pairs += 2
		}
	}
	m.merges = newMergeTable(pairs)
	ranks := t.scoreRanks()
	part := func(s string) int32 {
		if r, size := utf8.DecodeRuneInString(s); size == len(s) && (r != utf8.RuneError || size > 1) {
			return m.char(r)
		}
		if !hasLen[len(s)] {
			return -1
		}
		return t.table.find(&t.text, s)
	}
	for id := range n {
		text := t.text.str(id)
		if len(text) > maxMergedToken || t.table.find(&t.text, text) != id {
			continue
		}
		for i := 1; i < len(text); i++ {
			if !utf8.RuneStart(text[i]) {
				continue
			}
			left := part(text[:i])
			if left < 0 {
				continue
			}
			if right := part(text[i:]); right >= 0 {
				m.merges.put(left, right, ranks[id], id)
			}
		}
	}
	for b := range m.byteID {
		m.byteID[b] = t.table.find(&t.text, fmt.Sprintf("<0x%02X>", b))
		if m.byteID[b] < 0 {
			m.byteID[b] = t.table.find(&t.text, string([]byte{byte(b)}))
		}
	}
	return m
}

// scoreRanks numbers the scores from the highest down; equal scores share a
// number, so that of equal pairs the leftmost merges first.
func (t *Tokenizer) scoreRanks() []int32 {
	ranks := make([]int32, t.Len())
	if t.scores == nil {
		return ranks
	}
	order := make([]int32, t.Len())
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int {
		switch x, y := t.scores[a], t.scores[b]; {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	rank := int32(0)
	for i, id := range order {
		if i > 0 && t.scores[id] != t.scores[order[i-1]] {
			rank++
		}
		ranks[id] = rank
	}
	return ranks
}

// char returns the symbol of a valid character.
func (m *spm) char(r rune) int32 {
	if r < utf8.RuneSelf {
		return m.ascii[r]
	}
	if sym, ok := m.others[r]; ok {
		return sym
	}
	return foreign(r, false, 0)
}

// appendSPM appends the tokens of a fragment without special tokens. Between two
// fragments there is always a special token, so that add_space_prefix applies to
// every fragment.
func (t *Tokenizer) appendSPM(dst []int32, text string, s *scratch) []int32 {
	m := t.spm()
	s.text = slices.Grow(s.text[:0], len(text)+len(underscore)+(len(underscore)-1)*strings.Count(text, " "))
	if t.addSpacePrefix {
		s.text = append(s.text, underscore...)
	}
	s.text = appendEscaped(s.text, text, s.work)
	// The text is passed on as a view of s.text, which nothing below changes.
	rest := view(s.text)
	unknown := false
	for rest != "" {
		end := min(m.wordEnd(rest, s.work), maxPiece)
		dst, unknown = t.appendWord(dst, rest[:end], unknown, m, s)
		rest = rest[end:]
	}
	return dst
}

// wordEnd returns the end of the spaces and the following non-spaces that text starts
// with, as far as merges may join these, and of further words that they may join to them,
// up to about maxPiece.
func (m *spm) wordEnd(text string, work *work.Meter) int {
	p := 0
	for {
		for strings.HasPrefix(text[p:], underscore) {
			work.Spend(1)
			p += len(underscore)
		}
		for before := byte(utf8.RuneSelf); ; p++ {
			if p == len(text) || p > maxPiece {
				return p
			}
			c := text[p]
			if c >= utf8.RuneSelf {
				if c == underscore[0] && strings.HasPrefix(text[p:], underscore) {
					break
				}
			} else if before < utf8.RuneSelf && !m.joins(before, c) {
				return p
			}
			before = c
		}
		if last, size := utf8.DecodeLastRuneInString(text[:p]); last == utf8.RuneError && size == 1 || !m.beforeSpace[last] {
			return p
		}
	}
}

func (t *Tokenizer) appendWord(dst []int32, word string, unknown bool, m *spm, s *scratch) ([]int32, bool) {
	s.work.Spend(1)
	known, place, padded := s.memo.find(word)
	if known != nil {
		return append(dst, known...), false
	}
	if len(word) <= maxMergedToken {
		if id := t.table.find(&t.text, word); id >= 0 && t.isCanonical(id, s) {
			place.keep(padded, len(word), []int32{id})
			return append(dst, id), false
		}
	}
	first, alone := len(dst), true // alone: the tokens do not depend on the word before
	for _, sym := range t.mergeWord(word, m, s) {
		s.work.Spend(1)
		alone = alone && t.valid(sym)
		dst, unknown = t.appendSPMSymbol(dst, sym, unknown, m)
	}
	if alone {
		place.keep(padded, len(word), dst[first:])
	}
	return dst, unknown
}

// mergeWord returns the symbols that the characters of a word merge to. The
// result is valid until s is used again.
func (t *Tokenizer) mergeWord(word string, m *spm, s *scratch) []int32 {
	syms := s.syms[:0]
	for i := 0; i < len(word); {
		s.work.Spend(1)
		if c := word[i]; c < utf8.RuneSelf {
			syms = append(syms, m.ascii[c])
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(word[i:])
		if r == utf8.RuneError && size == 1 {
			syms = append(syms, foreign(r, true, word[i]))
		} else {
			syms = append(syms, m.char(r))
		}
		i += size
	}
	s.syms = syms
	return syms[:m.merges.merge(syms, &s.long)]
}

// appendSPMSymbol appends a token, or spells a character outside the vocabulary
// in byte tokens. If those are missing the character becomes the UNK token, one
// for a run of such characters.
func (t *Tokenizer) appendSPMSymbol(dst []int32, sym int32, unknown bool, m *spm) ([]int32, bool) {
	if t.valid(sym) {
		return append(dst, sym), false
	}
	var buf [utf8.UTFMax]byte
	var spelling []byte
	switch first := -1 - (int32(utf8.MaxRune) + 1); {
	case sym >= 0:
		spelling = utf8.AppendRune(buf[:0], m.extra[sym-int32(t.Len())])
	case sym <= first:
		spelling = append(buf[:0], byte(first-sym))
	default:
		spelling = utf8.AppendRune(buf[:0], -1-sym)
	}
	for _, b := range spelling {
		if m.byteID[b] < 0 {
			if id := t.special[RoleUNK]; id >= 0 && !unknown {
				dst = append(dst, id)
			}
			return dst, true
		}
	}
	for _, b := range spelling {
		dst = append(dst, m.byteID[b])
	}
	return dst, false
}

// appendEscaped appends text with every space as U+2581.
func appendEscaped(dst []byte, text string, m *work.Meter) []byte {
	for {
		m.Spend(1)
		i := strings.IndexByte(text, ' ')
		if i < 0 {
			return append(dst, text...)
		}
		dst = append(dst, text[:i]...)
		dst = append(dst, underscore...)
		text = text[i+1:]
	}
}

// appendUnescaped appends text with every U+2581 as a space.
func appendUnescaped(dst []byte, text string) []byte {
	for {
		i := strings.Index(text, underscore)
		if i < 0 {
			return append(dst, text...)
		}
		dst = append(dst, text[:i]...)
		dst = append(dst, ' ')
		text = text[i+len(underscore):]
	}
}

// parseByteToken returns the byte of a token text <0xHH>.
func parseByteToken(text string) (byte, bool) {
	if len(text) != 6 || text[:3] != "<0x" || text[5] != '>' {
		return 0, false
	}
	hi := bytes.IndexByte([]byte(hexDigits), text[3])
	lo := bytes.IndexByte([]byte(hexDigits), text[4])
	if hi < 0 || lo < 0 {
		return 0, false
	}
	return byte(hi<<4 | lo), true
}

const hexDigits = "0123456789ABCDEF"
