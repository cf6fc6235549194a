package tokenizer

import "unicode/utf8"

// The splitters below are the regular expressions of llama.cpp's pre-tokenizer
// lists, written as scanners because Go's regexp has no look-ahead and a
// backtracking engine is ten times slower. In a list each expression runs over
// every piece the previous one left, matches and gaps alike; look-ahead sees
// only that piece. All of them expect valid UTF-8.
//
//	llama3   (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|
//	          ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
//	qwen2    the same with \p{N}
//	qwen35   qwen2 with [\p{L}\p{M}]+ for \p{L}+ and [^\s\p{L}\p{M}\p{N}]+ for [^\s\p{L}\p{N}]+
//	gpt2     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//	default  [\p{P}$+<=>^~|]+   then gpt2   then \p{N}+   then [0-9][0-9][0-9]
//	falcon   [\p{P}$+<=>^~|`]+  then gpt2   then [0-9][0-9][0-9]
//	digits   \p{N}              then gpt2
//
// The splitters of split_more.go are described there.

// split calls yield with the pieces of text in order. Joined they are text.
func split(kind splitKind, text string, yield func(piece string)) {
	s := scanner{charClasses()}
	switch kind {
	case splitLlama3:
		for p := 0; p < len(text); {
			e := s.llama3(text, p, 3, isLetter)
			yield(text[p:e])
			p = e
		}
	case splitQwen2:
		for p := 0; p < len(text); {
			e := s.llama3(text, p, 1, isLetter)
			yield(text[p:e])
			p = e
		}
	case splitQwen35:
		for p := 0; p < len(text); {
			e := s.llama3(text, p, 1, isLetter|isMark)
			yield(text[p:e])
			p = e
		}
	case splitGPT2:
		s.gpt2All(text, yield)
	case splitO200k, splitTekken:
		for p := 0; p < len(text); {
			e := s.cased(text, p, kind == splitO200k)
			yield(text[p:e])
			p = e
		}
	case splitDeepSeekLLM:
		s.deepSeekLLM(text, yield)
	case splitDeepSeekCoder:
		s.deepSeekCoder(text, yield)
	case splitDeepSeek3:
		s.deepSeek3(text, yield)
	case splitDefault:
		s.runs(text, s.defaultSymbols, func(piece string) {
			s.gpt2All(piece, func(piece string) {
				s.runs(piece, s.numbers, func(piece string) {
					tripleDigits(piece, yield)
				})
			})
		})
	case splitFalcon:
		s.runs(text, s.falconSymbols, func(piece string) {
			s.gpt2All(piece, func(piece string) {
				tripleDigits(piece, yield)
			})
		})
	case splitDigitsGPT2:
		s.runs(text, s.numbers, func(piece string) {
			if _, class, n := s.at(piece, 0); class&isNumber != 0 {
				for ; piece != ""; _, _, n = s.at(piece, 0) {
					yield(piece[:n])
					piece = piece[n:]
				}
				return
			}
			s.gpt2All(piece, yield)
		})
	}
}

type scanner struct{ classes *classTable }

// at returns the code point at p, its properties and its length in bytes; all
// are zero at the end of the text.
func (s scanner) at(text string, p int) (r rune, class uint8, n int) {
	if p >= len(text) {
		return 0, 0, 0
	}
	if c := text[p]; c < utf8.RuneSelf {
		return rune(c), asciiClass[c], 1
	}
	r, n = utf8.DecodeRuneInString(text[p:])
	return r, s.classes.of(r), n
}

// while returns the end of the run from p whose code points have a property in
// mask.
func (s scanner) while(text string, p int, mask uint8) int {
	for p < len(text) {
		if c := text[p]; c < utf8.RuneSelf {
			if asciiClass[c]&mask == 0 {
				return p
			}
			p++
			continue
		}
		r, n := utf8.DecodeRuneInString(text[p:])
		if s.classes.of(r)&mask == 0 {
			return p
		}
		p += n
	}
	return p
}

// others returns the end of the run from p of code points that have no property in
// mask.
func (s scanner) others(text string, p int, mask uint8) int {
	for p < len(text) {
		_, class, n := s.at(text, p)
		if class&mask != 0 {
			return p
		}
		p += n
	}
	return p
}

// contraction returns the length of the English contraction ('s, 're, …) at p,
// or 0. A set fold accepts either case.
func contraction(text string, p int, fold byte) int {
	if p+1 >= len(text) {
		return 0
	}
	switch text[p+1] | fold {
	case 's', 't', 'm', 'd':
		return 2
	}
	if p+2 >= len(text) {
		return 0
	}
	a, b := text[p+1]|fold, text[p+2]|fold
	if a == 'r' && b == 'e' || a == 'v' && b == 'e' || a == 'l' && b == 'l' {
		return 3
	}
	return 0
}

// llama3 returns the end of the piece at p. Numbers come in groups of at most
// maxNumbers; words are made of what has a property in letters.
func (s scanner) llama3(text string, p, maxNumbers int, letters uint8) int {
	r, class, n := s.at(text, p)
	if r == '\'' {
		if k := contraction(text, p, 0x20); k > 0 {
			return p + k
		}
	}
	if class&letters != 0 {
		return s.while(text, p+n, letters)
	}
	if class&isNumber != 0 {
		for p += n; maxNumbers > 1; maxNumbers-- {
			_, class, n = s.at(text, p)
			if class&isNumber == 0 {
				break
			}
			p += n
		}
		return p
	}
	_, next, nn := s.at(text, p+n)
	if next&letters != 0 && r != '\r' && r != '\n' {
		return s.while(text, p+n+nn, letters)
	}
	start := p
	if r == ' ' && nn > 0 {
		start, class = p+1, next
	}
	if known := letters | isNumber | isSpace; class&known == 0 {
		return lineEnds(text, s.others(text, start, known))
	}
	return s.spaces(text, p)
}

// lineEnds returns the end of the run of line ends from p.
func lineEnds(text string, p int) int {
	for p < len(text) && (text[p] == '\r' || text[p] == '\n') {
		p++
	}
	return p
}

// spaces applies \s*[\r\n]+|\s+(?!\S)|\s+ to the run of spaces at p.
func (s scanner) spaces(text string, p int) int {
	e := s.while(text, p, isSpace)
	for i := e - 1; i >= p; i-- {
		if text[i] == '\r' || text[i] == '\n' {
			return i + 1
		}
	}
	return beforeLastSpace(text, p, e)
}

// gpt2 returns the end of the piece at p.
func (s scanner) gpt2(text string, p int) int {
	r, class, n := s.at(text, p)
	if r == '\'' {
		if k := contraction(text, p, 0); k > 0 {
			return p + k
		}
	}
	start := p
	if r == ' ' {
		if _, next, nn := s.at(text, p+1); nn > 0 {
			start, class, n = p+1, next, nn
		}
	}
	switch {
	case class&isLetter != 0:
		return s.while(text, start+n, isLetter)
	case class&isNumber != 0:
		return s.while(text, start+n, isNumber)
	case class&isSpace == 0:
		return s.others(text, start+n, isLetter|isNumber|isSpace)
	}
	return beforeLastSpace(text, p, s.while(text, p, isSpace))
}

// beforeLastSpace applies \s+(?!\S)|\s+ to the run of spaces [p, e): a run that
// something follows leaves its last space to the next piece.
func beforeLastSpace(text string, p, e int) int {
	if e < len(text) {
		if _, n := utf8.DecodeLastRuneInString(text[p:e]); e-n > p {
			return e - n
		}
	}
	return e
}

func (s scanner) gpt2All(text string, yield func(string)) {
	for p := 0; p < len(text); {
		e := s.gpt2(text, p)
		yield(text[p:e])
		p = e
	}
}

// runs yields the maximal runs of code points that are in the set, and the gaps
// between them.
func (s scanner) runs(text string, in func(r rune, class uint8) bool, yield func(string)) {
	start, inside := 0, false
	for p := 0; p < len(text); {
		r, class, n := s.at(text, p)
		if i := in(r, class); i != inside {
			if p > start {
				yield(text[start:p])
			}
			start, inside = p, i
		}
		p += n
	}
	if start < len(text) {
		yield(text[start:])
	}
}

func (scanner) numbers(_ rune, class uint8) bool { return class&isNumber != 0 }

func (scanner) defaultSymbols(r rune, class uint8) bool {
	if class&isPunct != 0 {
		return true
	}
	switch r {
	case '$', '+', '<', '=', '>', '^', '~', '|':
		return true
	}
	return false
}

func (s scanner) falconSymbols(r rune, class uint8) bool {
	return r == '`' || s.defaultSymbols(r, class)
}

// tripleDigits yields every three ASCII digits in a row, and the gaps between.
func tripleDigits(text string, yield func(string)) {
	digit := func(i int) bool { return text[i]-'0' <= 9 }
	start := 0
	for p := 0; p+3 <= len(text); {
		if !digit(p) || !digit(p+1) || !digit(p+2) {
			p++
			continue
		}
		if p > start {
			yield(text[start:p])
		}
		yield(text[p : p+3])
		p += 3
		start = p
	}
	if start < len(text) {
		yield(text[start:])
	}
}
