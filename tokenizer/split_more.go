package tokenizer

import (
	"slices"
	"sort"
	"unicode/utf8"
)

// The splitters of younger vocabularies. With
//
//	U = \p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}   and   W = \p{Ll}\p{Lm}\p{Lo}\p{M}
//
// they are
//
//	tekken   [^\r\n\p{L}\p{N}]?[U]*[W]+|[^\r\n\p{L}\p{N}]?[U]+[W]*|\p{N}|
//	          ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
//	o200k    the same with \p{N}{1,3}, and (?i:'s|'t|'re|'ve|'m|'ll|'d)? after each word
//	deepseek3      \p{N}{1,3}  then [一-龥぀-ゟ゠-ヿ]+  then
//	               [!-/:-@[-`{-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|
//	                ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
//	deepseek-coder [\r\n]  then \s?\p{L}+  then \s?\p{P}+  then [一-龥ࠀ-一가-퟿]+  then \p{N}
//	deepseek-llm   [\r\n]  then \s?[deepSeekLetters]+  then \s?[deepSeekSigns]+  then \s+$
//	               then [一-龥ࠀ-一가-퟿]+  then \p{N}

// cased returns the end of the piece at p of o200k or tekken.
func (s scanner) cased(text string, p int, o200k bool) int {
	r, class, n := s.at(text, p)
	prefix := class&(isLetter|isNumber) == 0 && r != '\r' && r != '\n'
	for _, word := range [...]func(string, int) int{s.endsLower, s.beginsUpper} {
		e := -1
		if prefix {
			e = word(text, p+n)
		}
		if e < 0 {
			e = word(text, p)
		}
		if e < 0 {
			continue
		}
		if o200k && e < len(text) && text[e] == '\'' {
			e += contraction(text, e, 0x20)
		}
		return e
	}
	if class&isNumber != 0 {
		p += n
		for more := 2; o200k && more > 0; more-- {
			_, class, n = s.at(text, p)
			if class&isNumber == 0 {
				break
			}
			p += n
		}
		return p
	}
	start := p
	if r == ' ' {
		if _, next, nn := s.at(text, p+1); nn > 0 {
			start, class = p+1, next
		}
	}
	if known := isLetter | isNumber | isSpace; class&known == 0 {
		e := s.others(text, start, known)
		for e < len(text) && (text[e] == '\r' || text[e] == '\n' || text[e] == '/') {
			e++
		}
		return e
	}
	return s.spaces(text, p)
}

// inUpper and inLower report whether a code point is in U and in W.
func inUpper(class uint8) bool { return class&(isLetter|isMark) != 0 && class&isLower == 0 }
func inLower(class uint8) bool { return class&(isLetter|isMark) != 0 && class&isUpper == 0 }

// run returns the end of the run from p of code points of a class.
func (s scanner) run(text string, p int, in func(class uint8) bool) int {
	for {
		_, class, n := s.at(text, p)
		if n == 0 || !in(class) {
			return p
		}
		p += n
	}
}

// endsLower matches [U]*[W]+ at p, or returns -1.
func (s scanner) endsLower(text string, p int) int {
	upper := s.run(text, p, inUpper)
	if e := s.run(text, upper, inLower); e > upper {
		return e
	}
	// What is in both sets may also end the word: the last such code point does.
	for e := upper; e > p; {
		r, n := utf8.DecodeLastRuneInString(text[p:e])
		if inLower(s.class(r)) {
			return e
		}
		e -= n
	}
	return -1
}

// beginsUpper matches [U]+[W]* at p, or returns -1.
func (s scanner) beginsUpper(text string, p int) int {
	upper := s.run(text, p, inUpper)
	if upper == p {
		return -1
	}
	return s.run(text, upper, inLower)
}

// class returns the properties of a code point.
func (s scanner) class(r rune) uint8 {
	if r < utf8.RuneSelf {
		return asciiClass[r]
	}
	return s.classes.of(r)
}

// matches yields the matches of an expression in the text, and the gaps between them.
// match returns the end of a match at p, or p if there is none.
func matches(text string, match func(text string, p int) int, yield func(string)) {
	start := 0
	for p := 0; p < len(text); {
		e := match(text, p)
		if e == p {
			_, n := utf8.DecodeRuneInString(text[p:])
			p += n
			continue
		}
		if p > start {
			yield(text[start:p])
		}
		yield(text[p:e])
		p, start = e, e
	}
	if start < len(text) {
		yield(text[start:])
	}
}

// list applies expressions one after the other, each to every piece of the one before.
func list(text string, yield func(string), expressions ...func(text string, p int) int) {
	if len(expressions) == 0 {
		yield(text)
		return
	}
	matches(text, expressions[0], func(piece string) { list(piece, yield, expressions[1:]...) })
}

func (s scanner) deepSeek3(text string, yield func(string)) {
	list(text, yield, s.upToThreeNumbers, runOf(isKanaOrHan), s.deepSeek3Word)
}

func (s scanner) deepSeekCoder(text string, yield func(string)) {
	letter := func(r rune) bool { return s.class(r)&isLetter != 0 }
	punct := func(r rune) bool { return s.class(r)&isPunct != 0 }
	list(text, yield, lineEnd, s.afterSpace(letter), s.afterSpace(punct), runOf(isCJK), s.number)
}

func (s scanner) deepSeekLLM(text string, yield func(string)) {
	list(text, yield, lineEnd, s.afterSpace(deepSeekLetters.has), s.afterSpace(deepSeekSigns.has), s.spacesAtEnd, runOf(isCJK), s.number)
}

// lineEnd matches [\r\n].
func lineEnd(text string, p int) int {
	if text[p] == '\r' || text[p] == '\n' {
		return p + 1
	}
	return p
}

// number matches \p{N}.
func (s scanner) number(text string, p int) int {
	if _, class, n := s.at(text, p); class&isNumber != 0 {
		return p + n
	}
	return p
}

// upToThreeNumbers matches \p{N}{1,3}.
func (s scanner) upToThreeNumbers(text string, p int) int {
	for range 3 {
		p = s.number(text, p)
		if p == len(text) {
			break
		}
	}
	return p
}

// spacesAtEnd matches \s+$.
func (s scanner) spacesAtEnd(text string, p int) int {
	if e := s.while(text, p, isSpace); e == len(text) {
		return e
	}
	return p
}

// runOf returns a match of one or more code points of a set.
func runOf(in func(rune) bool) func(text string, p int) int {
	return func(text string, p int) int {
		for p < len(text) {
			r, n := utf8.DecodeRuneInString(text[p:])
			if !in(r) {
				break
			}
			p += n
		}
		return p
	}
}

// afterSpace returns a match of \s?[set]+.
func (s scanner) afterSpace(in func(rune) bool) func(text string, p int) int {
	run := runOf(in)
	return func(text string, p int) int {
		if _, class, n := s.at(text, p); class&isSpace != 0 {
			if e := run(text, p+n); e > p+n {
				return e
			}
		}
		return run(text, p) // a set may have spaces, too
	}
}

// deepSeek3Word matches the last expression of deepseek3.
func (s scanner) deepSeek3Word(text string, p int) int {
	const letters, signs = isLetter | isMark, isPunct | isSymbol
	r, class, n := s.at(text, p)
	if r < utf8.RuneSelf && class&signs != 0 {
		if e := asciiLetters(text, p+1); e > p+1 {
			return e
		}
	}
	if class&letters != 0 {
		return s.while(text, p+n, letters)
	}
	_, next, nn := s.at(text, p+n)
	if next&letters != 0 && class&signs == 0 && r != '\r' && r != '\n' {
		return s.while(text, p+n+nn, letters)
	}
	start := p
	if r == ' ' && nn > 0 {
		start, class = p+1, next
	}
	switch {
	case class&signs != 0:
		return lineEnds(text, s.while(text, start, signs))
	case class&isSpace != 0 || r == ' ':
		return s.spaces(text, p)
	}
	return p
}

// asciiLetters returns the end of the run of ASCII letters from p.
func asciiLetters(text string, p int) int {
	for p < len(text) && text[p]|0x20-'a' <= 'z'-'a' {
		p++
	}
	return p
}

func isKanaOrHan(r rune) bool { return '一' <= r && r <= '龥' || 0x3040 <= r && r <= 0x30ff }
func isCJK(r rune) bool       { return 0x0800 <= r && r <= '龥' || '가' <= r && r <= 0xd7ff }

// A runeSet is a set of code points, as the first ones and those behind the last ones of
// its ranges in rising order.
type runeSet []rune

// newRuneSet reads a set as it stands between the brackets of a regular expression.
func newRuneSet(ranges string) runeSet {
	var set runeSet
	runes := []rune(ranges)
	for i := 0; i < len(runes); i++ {
		first, last := runes[i], runes[i]
		if i+2 < len(runes) && runes[i+1] == '-' {
			last = runes[i+2]
			i += 2
		}
		set = append(set, first, last+1)
	}
	slices.Sort(set) // ranges do not overlap
	return set
}

func (s runeSet) has(r rune) bool {
	return sort.Search(len(s), func(i int) bool { return s[i] > r })%2 == 1
}

// deepSeekLetters are the letters of scripts that have upper and lower case, as an older
// version of Unicode had them.
var deepSeekLetters = newRuneSet(deepSeekLetterRanges)

const deepSeekLetterRanges = "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚ" +
	"\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4" +
	"\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc" +
	"ℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212a-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳ" +
	"Ꙁ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃"

// deepSeekSigns are signs, and the ASCII letters between them.
var deepSeekSigns = newRuneSet(deepSeekSignRanges)

const deepSeekSignRanges = "!-/:-~！-／：-～‘-‟\u3000-。"
