package markdown

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// piece is a part of a paragraph: text, or marks that may begin or end emphasis or a link.
type piece struct {
	text  string
	style Style // of the piece itself
	// turn counts the styles that begin (+1) and end (−1) before the piece.
	turn [styles]int

	mark   byte // '*', '_', '~', '[' or '!' (of an image); 0 for text
	length int  // how many marks there were
	count  int  // how many are left and hence text
	opens  bool
	closes bool
}

// The styles that have a beginning and an end.
const (
	strong = iota
	emphasis
	strike
	link
	image
	styles
)

// inline reads the text of a paragraph.
type inline struct {
	text   string
	pos    int
	plain  strings.Builder // text since the last piece
	pieces []piece
	delims []int       // the pieces that are marks of emphasis
	opened []opening   // brackets that nothing has closed
	ticks  map[int]int // where the last run of so many backticks begins
}

// parseInline returns the spans of a paragraph.
func parseInline(text string) []Span {
	in := inline{text: text}
	for in.pos < len(text) {
		in.step()
	}
	in.flush()
	in.emphasis(0)
	return in.spans()
}

// special are the bytes that may be more than text; the last ones begin addresses.
const special = "\\`*_~[]!<&hw"

// step reads what begins at pos.
func (in *inline) step() {
	rest := in.text[in.pos:]
	n := strings.IndexAny(rest, special)
	if n < 0 {
		n = len(rest)
	}
	in.plain.WriteString(rest[:n])
	in.pos += n
	if in.pos == len(in.text) {
		return
	}
	rest = rest[n:]
	switch c := rest[0]; {
	case c == '\\' && len(rest) > 1 && isPunctuation(rune(rest[1])):
		in.plain.WriteByte(rest[1])
		in.pos += 2
	case c == '`':
		in.code(rest)
	case c == '*' || c == '_' || c == '~':
		in.marks(rest)
	case c == '[':
		in.bracket("[", '[')
	case c == '!' && strings.HasPrefix(rest, "!["):
		in.bracket("![", '!')
	case c == ']':
		in.closeBracket(rest)
	case c == '<' && in.angle(rest):
	case c == '&' && in.entity(rest):
	case (c == 'h' || c == 'w') && in.address(rest):
	default:
		in.plain.WriteByte(c)
		in.pos++
	}
}

// flush makes a piece of the text so far.
func (in *inline) flush() {
	if in.plain.Len() > 0 {
		in.pieces = append(in.pieces, piece{text: in.plain.String()})
		in.plain.Reset()
	}
}

func (in *inline) add(p piece) {
	in.flush()
	in.pieces = append(in.pieces, p)
}

// code reads a span between runs of equally many backticks.
func (in *inline) code(rest string) {
	n := run(rest)
	in.pos += n
	if in.ticks == nil { // so that runs without an end are not looked for again and again
		in.ticks = map[int]int{}
		for i := 0; i < len(in.text); i++ {
			if in.text[i] == '`' {
				k := run(in.text[i:])
				in.ticks[k] = i
				i += k - 1
			}
		}
	}
	if in.ticks[n] < in.pos {
		in.plain.WriteString(rest[:n])
		return
	}
	end := in.pos
	for {
		end += strings.IndexByte(in.text[end:], '`')
		k := run(in.text[end:])
		if k == n {
			break
		}
		end += k
	}
	code := in.text[in.pos:end]
	if len(code) > 2 && code[0] == ' ' && code[len(code)-1] == ' ' && !isBlank(code) {
		code = code[1 : len(code)-1]
	}
	in.add(piece{text: code, style: Verbatim})
	in.pos = end + n
}

// run counts how often the first byte is repeated.
func run(s string) int {
	n := 1
	for n < len(s) && s[n] == s[0] {
		n++
	}
	return n
}

// marks reads a run of marks of emphasis.
func (in *inline) marks(rest string) {
	n := run(rest)
	before, _ := utf8.DecodeLastRuneInString(in.text[:in.pos])
	after, _ := utf8.DecodeRuneInString(rest[n:])
	if in.pos == 0 {
		before = ' '
	}
	if n == len(rest) {
		after = ' '
	}
	left, right := flanks(before, after), flanks(after, before)
	p := piece{text: rest[:n], mark: rest[0], count: n, length: n, opens: left, closes: right}
	if p.mark == '_' { // not inside words
		p.opens = left && (!right || isPunctuation(before))
		p.closes = right && (!left || isPunctuation(after))
	}
	in.pos += n
	if p.mark == '~' && n > 2 {
		in.plain.WriteString(p.text)
		return
	}
	in.add(p)
	in.delims = append(in.delims, len(in.pieces)-1)
}

// flanks reports whether marks with that on the outside and that on the inside can be one end of emphasis.
func flanks(outside, inside rune) bool {
	return !unicode.IsSpace(inside) &&
		(!isPunctuation(inside) || unicode.IsSpace(outside) || isPunctuation(outside) || isWide(outside))
}

// isWide reports whether a letter belongs to a script that writes no blanks between words.
func isWide(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Bopomofo)
}

func isPunctuation(r rune) bool { return unicode.IsPunct(r) || unicode.IsSymbol(r) }

// emphasis joins the marks from that delimiter on, as the specification describes; those that stay alone become text.
func (in *inline) emphasis(bottom int) {
	delims := in.delims[bottom:]
	in.delims = in.delims[:bottom]
	// A list of those that may still be joined.
	before, after := make([]int, len(delims)), make([]int, len(delims))
	for i := range delims {
		before[i], after[i] = i-1, i+1
	}
	link := func(a, b int) {
		if a >= 0 {
			after[a] = b
		}
		if b < len(delims) {
			before[b] = a
		}
	}
	floor := map[closerKind]int{} // before this one there is nothing that such a closer could end
	for at := 0; at < len(delims); {
		closer := &in.pieces[delims[at]]
		if !closer.closes {
			at = after[at]
			continue
		}
		kind := closerKind{closer.mark, closer.length % 3, closer.count == 1, closer.opens}
		from := before[at]
		for from >= floor[kind] && !in.pieces[delims[from]].joins(closer) {
			from = before[from]
		}
		if from < floor[kind] {
			floor[kind] = at
			if !closer.opens {
				link(before[at], after[at])
			}
			at = after[at]
			continue
		}
		opener := &in.pieces[delims[from]]
		style, width := emphasis, 1
		switch {
		case closer.mark == '~':
			style, width = strike, closer.count
		case opener.count >= 2 && closer.count >= 2:
			style, width = strong, 2
		}
		opener.count -= width
		closer.count -= width
		// Marks of the opener that are left stand before the text, those of the closer behind it.
		in.pieces[delims[from]+1].turn[style]++
		closer.turn[style]--
		link(from, at)
		if opener.count == 0 {
			link(before[from], at)
		}
		if closer.count == 0 {
			link(before[at], after[at])
			at = after[at]
		}
	}
}

// closerKind is what decides which openers a closer can have.
type closerKind struct {
	mark   byte
	length int // modulo 3
	single bool
	opens  bool
}

// joins reports whether an opener and a closer belong together.
func (p *piece) joins(closer *piece) bool {
	if p.mark != closer.mark || !p.opens || p.count == 0 {
		return false
	}
	if p.mark == '~' {
		return p.count == closer.count
	}
	return !(p.closes || closer.opens) || (p.length+closer.length)%3 != 0 || p.length%3 == 0 && closer.length%3 == 0
}

// spans joins pieces of one style.
func (in *inline) spans() []Span {
	var spans []Span
	var text strings.Builder
	var now Style
	flush := func() {
		if text.Len() > 0 {
			spans = append(spans, Span{text.String(), now})
			text.Reset()
		}
	}
	var on [styles]int
	for _, p := range in.pieces {
		style := p.style
		for i, n := range p.turn {
			if on[i] += n; on[i] > 0 {
				style |= [styles]Style{Strong, Emphasis, Strike, Link, Image}[i]
			}
		}
		if p.style&Address != 0 {
			style &^= Link
		}
		if p.mark != 0 {
			p.text = p.text[:p.count*len(p.text)/p.length]
		}
		if p.text == "" {
			continue
		}
		if style != now || style&Address != 0 {
			flush()
			now = style
		}
		text.WriteString(p.text)
	}
	flush()
	return spans
}
