package grammar

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxRegexpDepth bounds how deeply groups nest.
	maxRegexpDepth = 500
	// maxRegexpBytes bounds the source.
	maxRegexpBytes = 1 << 16
)

// The sets of ECMA-262's character class escapes and the dot.
var (
	setDigit = newSet(runeRange{'0', '9'})
	setWord  = newSet(runeRange{'0', '9'}, runeRange{'A', 'Z'}, runeRange{'a', 'z'}, runeRange{'_', '_'})
	setSpace = newSet(runeRange{'\t', '\r'}, runeRange{' ', ' '}, runeRange{0xA0, 0xA0}, runeRange{0x1680, 0x1680},
		runeRange{0x2000, 0x200A}, runeRange{0x2028, 0x2029}, runeRange{0x202F, 0x202F}, runeRange{0x205F, 0x205F},
		runeRange{0x3000, 0x3000}, runeRange{0xFEFF, 0xFEFF})
	setLineEnd = newSet(runeRange{'\n', '\n'}, runeRange{'\r', '\r'}, runeRange{0x2028, 0x2029})
)

type regexpParser struct {
	src    string
	pos    int
	depth  int
	fold   bool // (?i)
	folded int  // characters that were folded
	all    bool // (?s): the dot is any character
}

// parseRegexp parses the syntax that [CompileRegexp] describes.
func parseRegexp(src string) (e *re, err error) {
	if !utf8.ValidString(src) {
		return nil, fmt.Errorf("%w: the regular expression is not valid UTF-8", ErrSyntax)
	}
	if len(src) > maxRegexpBytes {
		return nil, fmt.Errorf("%w: the regular expression has %d bytes, at most %d are possible", ErrTooLarge, len(src),
			maxRegexpBytes)
	}
	p := &regexpParser{src: src}
	defer func() {
		if r := recover(); r != nil {
			pe, ok := r.(*PositionError)
			if !ok {
				panic(r)
			}
			err = pe
		}
	}()
	p.flags()
	e = p.alternatives()
	if p.pos < len(src) {
		p.fail(p.pos, ErrSyntax, "unmatched )")
	}
	return e, nil
}

// fail reports an error at pos by panicking; parseRegexp recovers it.
func (p *regexpParser) fail(pos int, err error, format string, args ...any) {
	line, column := position(p.src, pos)
	panic(&PositionError{"regular expression", line, column, fmt.Sprintf(format, args...), err})
}

func (p *regexpParser) peek() byte {
	if p.pos < len(p.src) {
		return p.src[p.pos]
	}
	return 0
}

func (p *regexpParser) take(prefix string) bool {
	if !strings.HasPrefix(p.src[p.pos:], prefix) {
		return false
	}
	p.pos += len(prefix)
	return true
}

func (p *regexpParser) alternatives() *re {
	if p.depth++; p.depth > maxRegexpDepth {
		p.fail(p.pos, ErrTooLarge, "groups are nested more than %d deep", maxRegexpDepth)
	}
	defer func() { p.depth-- }()
	e := &re{op: reAlt, sub: []*re{p.sequence()}}
	for p.take("|") {
		e.sub = append(e.sub, p.sequence())
	}
	if len(e.sub) == 1 {
		return e.sub[0]
	}
	return e
}

func (p *regexpParser) sequence() *re {
	e := reCat()
	for p.pos < len(p.src) && p.src[p.pos] != '|' && p.src[p.pos] != ')' {
		start := p.pos
		atom := p.atom()
		if lo, hi, ok := p.quantifier(); ok {
			if atom.op == reBegin || atom.op == reEnd || atom.op == reBoundary || atom.op == reLook {
				p.fail(start, ErrSyntax, "an assertion cannot be repeated")
			}
			if p.take("?"); hi < lo { // a lazy quantifier matches the same texts
				p.fail(start, ErrSyntax, "the quantifier's minimum %d exceeds its maximum %d", lo, hi)
			}
			if at := p.pos; p.repeats() {
				p.fail(at, ErrSyntax, "a quantifier follows a quantifier")
			}
			atom = &re{op: reRepeat, sub: []*re{atom}, min: lo, max: hi}
		}
		e.sub = append(e.sub, atom)
	}
	return e
}

// repeats reports whether a quantifier is next.
func (p *regexpParser) repeats() bool {
	here := p.pos
	_, _, ok := p.quantifier()
	p.pos = here
	return ok
}

func (p *regexpParser) quantifier() (lo, hi int32, ok bool) {
	start := p.pos
	switch {
	case p.take("*"):
		return 0, unbounded, true
	case p.take("+"):
		return 1, unbounded, true
	case p.take("?"):
		return 0, 1, true
	case !p.take("{"):
		return 0, 0, false
	}
	lo, ok = p.count()
	hi = lo
	if ok && p.take(",") {
		if hi, ok = p.count(); !ok {
			hi, ok = unbounded, true
		}
	}
	if !ok || !p.take("}") {
		p.pos = start
		return 0, 0, false
	}
	return lo, hi, true
}

func (p *regexpParser) count() (int32, bool) {
	start := p.pos
	for p.peek() >= '0' && p.peek() <= '9' {
		p.pos++
	}
	if p.pos == start {
		return 0, false
	}
	n, err := strconv.ParseInt(p.src[start:p.pos], 10, 64)
	if err != nil || n > maxCount {
		p.fail(start, ErrTooLarge, "the repetition count %s exceeds %d", clip([]byte(p.src[start:p.pos])), maxCount)
	}
	return int32(n), true
}

func (p *regexpParser) atom() *re {
	start := p.pos
	switch c := p.src[p.pos]; c {
	case '^':
		p.pos++
		return &re{op: reBegin}
	case '$':
		p.pos++
		return &re{op: reEnd}
	case '.':
		p.pos++
		if p.all {
			return &re{op: reSet, set: allChars}
		}
		return &re{op: reSet, set: setLineEnd.negate()}
	case '(':
		return p.group()
	case '[':
		return p.chars(p.set())
	case '*', '+', '?':
		p.fail(start, ErrSyntax, "%c has nothing before it to repeat", c)
	case '{':
		if p.repeats() {
			p.fail(start, ErrSyntax, "the quantifier has nothing before it to repeat")
		}
	case '\\':
		if e := p.assertion(); e != nil {
			return e
		}
		return p.chars(p.escape(false))
	}
	r, n := utf8.DecodeRuneInString(p.src[p.pos:])
	p.pos += n
	return p.chars(oneChar(r))
}

func (p *regexpParser) group() *re {
	start := p.pos
	look := &re{}
	p.pos++
	if p.take("?") {
		switch {
		case p.take(":"):
		case p.take("="), p.take("!"):
			look.op, look.negate = reLook, p.src[p.pos-1] == '!'
		case p.take("<="), p.take("<!"):
			p.fail(start, ErrUnsupported, "look-behind cannot be turned into a grammar; rewrite the expression without it")
		case p.take("#"):
			end := strings.IndexByte(p.src[p.pos:], ')')
			if end < 0 {
				p.fail(start, ErrSyntax, "the comment has no closing )")
			}
			p.pos += end + 1
			return reCat()
		case p.take("<"), p.take("P<"):
			end := strings.IndexByte(p.src[p.pos:], '>')
			if end <= 0 {
				p.fail(start, ErrSyntax, "the group's name has no closing >")
			}
			p.pos += end + 1
		default:
			p.fail(start, ErrUnsupported, "unknown kind of group (?%s", clip([]byte(p.src[p.pos:])))
		}
	}
	e := p.alternatives()
	if !p.take(")") {
		p.fail(start, ErrSyntax, "the group has no closing )")
	}
	if look.op == reLook {
		look.sub = []*re{e}
		return look
	}
	return reCat(e)
}

// set parses […].
func (p *regexpParser) set() charSet {
	start := p.pos
	p.pos++
	negate := p.take("^")
	var s charSet
	for !p.take("]") {
		if class, ok := p.posixClass(); ok {
			s = append(s, class...)
			continue
		}
		if p.pos >= len(p.src) {
			p.fail(start, ErrSyntax, "the set has no closing ]")
		}
		at := p.pos
		from := p.setAtom()
		if p.peek() == '-' && p.pos+1 < len(p.src) && p.src[p.pos+1] != ']' {
			p.pos++
			to := p.setAtom()
			if !from.single() || !to.single() {
				p.fail(at, ErrSyntax, "a class such as \\d cannot be the end of a range")
			}
			if to[0].lo < from[0].lo {
				p.fail(at, ErrSyntax, "the range %q-%q is backwards", from[0].lo, to[0].lo)
			}
			from = newSet(runeRange{from[0].lo, to[0].lo})
		}
		s = append(s, from...)
	}
	s = newSet(s...)
	if negate {
		s = s.negate()
	}
	return s
}

func (s charSet) single() bool { return len(s) == 1 && s[0].lo == s[0].hi }

func (p *regexpParser) setAtom() charSet {
	if p.peek() == '\\' {
		return p.escape(true)
	}
	if p.pos >= len(p.src) {
		p.fail(p.pos, ErrSyntax, "the set has no closing ]")
	}
	r, n := utf8.DecodeRuneInString(p.src[p.pos:])
	p.pos += n
	return oneChar(r)
}

// escape parses a backslash and what belongs to it, in a set or outside.
func (p *regexpParser) escape(inSet bool) charSet {
	start := p.pos
	p.pos++
	if p.pos >= len(p.src) {
		p.fail(start, ErrSyntax, `the expression ends with \`)
	}
	r, n := utf8.DecodeRuneInString(p.src[p.pos:])
	p.pos += n
	switch r {
	case 'd':
		return setDigit
	case 'D':
		return setDigit.negate()
	case 'w':
		return setWord
	case 'W':
		return setWord.negate()
	case 's':
		return setSpace
	case 'S':
		return setSpace.negate()
	case 't':
		return oneChar('\t')
	case 'n':
		return oneChar('\n')
	case 'v':
		return oneChar('\v')
	case 'f':
		return oneChar('\f')
	case 'r':
		return oneChar('\r')
	case 'b':
		if inSet {
			return oneChar('\b')
		}
	case 'a':
		return oneChar('\a')
	case 'e':
		return oneChar(0x1b)
	case '_':
		return oneChar('_')
	case '0':
		if c := p.peek(); c >= '0' && c <= '9' {
			p.fail(start, ErrUnsupported, "octal escapes are not supported")
		}
		return oneChar(0)
	case '1', '2', '3', '4', '5', '6', '7', '8', '9', 'k':
		p.fail(start, ErrUnsupported, `the back-reference \%c cannot be turned into a grammar`, r)
	case 'c':
		c := p.peek()
		if c|0x20 < 'a' || c|0x20 > 'z' {
			p.fail(start, ErrSyntax, `\c needs a letter`)
		}
		p.pos++
		return oneChar(rune(c & 31))
	case 'x':
		return oneChar(p.hex(start, 2))
	case 'u':
		return oneChar(p.unicode(start))
	case 'p', 'P':
		s := p.property(start)
		if r == 'P' {
			s = s.negate()
		}
		return s
	}
	if r >= '0' && r <= '9' || r|0x20 >= 'a' && r|0x20 <= 'z' && r < utf8.RuneSelf {
		p.fail(start, ErrSyntax, `unknown escape \%c`, r)
	}
	return oneChar(r)
}

func (p *regexpParser) hex(start, digits int) rune {
	text := p.src[p.pos:min(p.pos+digits, len(p.src))]
	v, err := strconv.ParseUint(text, 16, 32)
	if err != nil || len(text) < digits {
		p.fail(start, ErrSyntax, "the escape needs %d hexadecimal digits", digits)
	}
	p.pos += digits
	return rune(v)
}

// unicode parses what follows \u.
func (p *regexpParser) unicode(start int) rune {
	if p.take("{") {
		end := strings.IndexByte(p.src[p.pos:], '}')
		if end < 0 {
			p.fail(start, ErrSyntax, `\u{ has no closing }`)
		}
		v, err := strconv.ParseUint(p.src[p.pos:p.pos+end], 16, 32)
		if err != nil || v > utf8.MaxRune || !utf8.ValidRune(rune(v)) {
			p.fail(start, ErrSyntax, `\u{%s} is not a Unicode character`, clip([]byte(p.src[p.pos:p.pos+end])))
		}
		p.pos += end + 1
		return rune(v)
	}
	r := p.hex(start, 4)
	if r >= surrogateMin && r <= 0xDBFF && p.take(`\u`) {
		if low := p.hex(start, 4); low >= 0xDC00 && low <= surrogateMax {
			return 0x10000 + (r-surrogateMin)<<10 + (low - 0xDC00)
		}
	}
	if !utf8.ValidRune(r) {
		p.fail(start, ErrUnsupported, `a lone surrogate such as \u%04X is not a character`, r)
	}
	return r
}

// property parses what follows \p.
func (p *regexpParser) property(start int) charSet {
	end := strings.IndexByte(p.src[p.pos:], '}')
	if p.peek() != '{' || end < 0 {
		p.fail(start, ErrSyntax, `\p needs a property in braces`)
	}
	text := p.src[p.pos+1 : p.pos+end]
	p.pos += end + 1
	name, value, ok := strings.Cut(text, "=")
	if !ok {
		value = name
		name = "General_Category"
		switch value {
		case "Any":
			return allChars
		case "ASCII":
			return newSet(runeRange{0, 0x7F})
		case "White_Space":
			return tableSet(unicode.White_Space)
		}
	}
	var table *unicode.RangeTable
	switch name {
	case "General_Category", "gc":
		if alias, ok := unicode.CategoryAliases[value]; ok {
			value = alias
		}
		table = unicode.Categories[value]
	case "Script", "sc":
		table = unicode.Scripts[value]
	}
	if table == nil {
		p.fail(start, ErrUnsupported, `unknown property \p{%s}; general categories, scripts, Any, ASCII and White_Space are known`, clip([]byte(text)))
	}
	return tableSet(table)
}

func tableSet(t *unicode.RangeTable) charSet {
	var ranges []runeRange
	add := func(lo, hi, stride rune) {
		if stride == 1 {
			ranges = append(ranges, runeRange{lo, hi})
			return
		}
		for r := lo; r <= hi; r += stride {
			ranges = append(ranges, runeRange{r, r})
		}
	}
	for _, r := range t.R16 {
		add(rune(r.Lo), rune(r.Hi), rune(r.Stride))
	}
	for _, r := range t.R32 {
		add(rune(r.Lo), rune(r.Hi), rune(r.Stride))
	}
	return newSet(ranges...)
}
