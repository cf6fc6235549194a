package grammar

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"trit/internal/textfile"
)

// Limits on GBNF source.
const (
	maxGBNFDepth = 1000
	maxGBNFBytes = 1 << 20
	// maxCount is the largest repetition count.
	maxCount = 1 << 30
)

// ParseGBNF compiles a grammar in the GBNF format of llama.cpp
// (grammars/README.md there): rules "name ::= …", of which root is the whole text;
// literals, sets such as [a-z] and [^"\\], the dot, groups, alternatives,
// the repetitions ? * + {m} {m,} {,n} {m,n}, the tokens <[id]>, <text> and their
// negations with !, and # comments. A rule ends with its line, except in a group
// or beside |. Sets and the dot match whole characters.
//
// Unlike llama.cpp it allows large repetition counts (up to 2³⁰), an alternative's
// | at the start of the next line, and refuses a rule that is defined twice.
//
// A byte order mark before the source is passed over.
//
// Errors are [*PositionError] or wrap [ErrEmpty], [ErrLeftRecursion] or [ErrTooLarge].
func ParseGBNF(src string) (*Grammar, error) { return Compiler{}.ParseGBNF(src) }

// ParseGBNF is [ParseGBNF] until the context ends.
func (c Compiler) ParseGBNF(src string) (g *Grammar, err error) {
	m := c.meter()
	defer stop(&err)
	src = textfile.Trim(src)
	p := &gbnfParser{src: src, index: map[string]int{}}
	if !utf8.ValidString(src) {
		return nil, fmt.Errorf("%w: the GBNF source is not valid UTF-8", ErrSyntax)
	}
	if len(src) > maxGBNFBytes {
		return nil, fmt.Errorf("%w: the GBNF source has %d bytes, at most %d are possible", ErrTooLarge, len(src),
			maxGBNFBytes)
	}
	rules, err := p.parse()
	if err != nil {
		return nil, err
	}
	return newGrammar(m, rules)
}

type gbnfParser struct {
	src     string
	pos     int
	rules   []production
	index   map[string]int // of rules
	firstAt []int          // per rule: where it is first mentioned
	depth   int
}

// fail reports an error at pos by panicking; parse recovers it.
func (p *gbnfParser) fail(pos int, err error, format string, args ...any) {
	line, column := position(p.src, pos)
	panic(&PositionError{"GBNF", line, column, fmt.Sprintf(format, args...), err})
}

func (p *gbnfParser) parse() (rules []production, err error) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(*PositionError)
			if !ok {
				panic(r)
			}
			err = e
		}
	}()
	for p.space(true); p.pos < len(p.src); p.space(true) {
		p.rule()
	}
	for i, r := range p.rules {
		if r.body == nil {
			p.fail(p.firstAt[i], ErrSyntax, "rule %q is not defined", r.name)
		}
	}
	root, ok := p.index["root"]
	if !ok {
		p.fail(len(p.src), ErrSyntax, "there is no rule \"root\"")
	}
	if root != 0 { // the whole text is rule 0
		p.rules = append([]production{{"root", ruleRef(int32(root + 1))}}, p.rules...)
		seen := map[*expr]bool{}
		for _, r := range p.rules[1:] {
			renumber(r.body, seen)
		}
	}
	return p.rules, nil
}

// renumber makes room for a rule in front of all others.
func renumber(e *expr, seen map[*expr]bool) {
	if seen[e] {
		return
	}
	seen[e] = true
	if e.kind == kindRule {
		e.rule++
	}
	for _, s := range e.sub {
		renumber(s, seen)
	}
}

// space skips blanks and comments, and line ends if newline is set.
func (p *gbnfParser) space(newline bool) {
	for p.pos < len(p.src) {
		switch c := p.src[p.pos]; {
		case c == ' ' || c == '\t' || newline && (c == '\r' || c == '\n'):
			p.pos++
		case c == '#':
			for p.pos < len(p.src) && p.src[p.pos] != '\n' && p.src[p.pos] != '\r' {
				p.pos++
			}
		default:
			return
		}
	}
}

func (p *gbnfParser) peek() byte {
	if p.pos < len(p.src) {
		return p.src[p.pos]
	}
	return 0
}

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

func (p *gbnfParser) name() string {
	start := p.pos
	for isNameByte(p.peek()) {
		p.pos++
	}
	if p.pos == start {
		p.fail(p.pos, ErrSyntax, "expected a rule name, found %s", p.found())
	}
	return p.src[start:p.pos]
}

// found describes what is at the current position.
func (p *gbnfParser) found() string {
	if p.pos >= len(p.src) {
		return "the end"
	}
	r, _ := utf8.DecodeRuneInString(p.src[p.pos:])
	return strconv.QuoteRune(r)
}

// ruleIndex returns the number of a rule, which need not be defined yet.
func (p *gbnfParser) ruleIndex(name string, pos int) int {
	i, ok := p.index[name]
	if !ok {
		i = len(p.rules)
		p.index[name] = i
		p.rules = append(p.rules, production{name: name})
		p.firstAt = append(p.firstAt, pos)
	}
	return i
}

func (p *gbnfParser) rule() {
	start := p.pos
	name := p.name()
	p.space(false)
	if !strings.HasPrefix(p.src[p.pos:], "::=") {
		p.fail(p.pos, ErrSyntax, "expected ::= after the rule name %q, found %s", name, p.found())
	}
	p.pos += 3
	p.space(true)
	i := p.ruleIndex(name, start)
	if p.rules[i].body != nil {
		p.fail(start, ErrSyntax, "rule %q is defined twice", name)
	}
	body := p.alternatives(false)
	if p.pos < len(p.src) && p.src[p.pos] != '\n' && p.src[p.pos] != '\r' {
		p.fail(p.pos, ErrSyntax, "expected the end of the line after rule %q, found %s", name, p.found())
	}
	p.rules[i].body = body
}

// alternatives parses what is between two parentheses, or a rule's right side.
func (p *gbnfParser) alternatives(nested bool) *expr {
	if p.depth++; p.depth > maxGBNFDepth {
		p.fail(p.pos, ErrTooLarge, "groups are nested more than %d deep", maxGBNFDepth)
	}
	defer func() { p.depth-- }()
	sub := []*expr{p.sequence(nested)}
	for {
		if !nested { // the line may go on after its end with |
			here := p.pos
			if p.space(true); p.peek() != '|' {
				p.pos = here
			}
		}
		if p.peek() != '|' {
			return alt(sub...)
		}
		p.pos++
		p.space(true)
		sub = append(sub, p.sequence(nested))
	}
}

func (p *gbnfParser) sequence(nested bool) *expr {
	var items []*expr
	for {
		start := p.pos
		var item *expr
		switch c := p.peek(); {
		case c == '"':
			item = p.literal()
		case c == '[':
			item = charsExpr(p.set())
		case c == '.':
			p.pos++
			item = charsExpr(allChars)
		case c == '(':
			p.pos++
			p.space(true)
			item = p.alternatives(true)
			if p.peek() != ')' {
				p.fail(p.pos, ErrSyntax, "expected ) for the ( before, found %s", p.found())
			}
			p.pos++
		case c == '<' || c == '!':
			item = p.token()
		case isNameByte(c):
			name := p.name()
			item = ruleRef(int32(p.ruleIndex(name, start)))
		case strings.IndexByte("*+?{", c) >= 0 && c != 0:
			p.fail(p.pos, ErrSyntax, "%c has nothing before it to repeat", c)
		default:
			return seq(items...)
		}
		p.space(nested)
		items = append(items, p.repetitions(item, nested))
	}
}

func (p *gbnfParser) repetitions(e *expr, nested bool) *expr {
	for {
		switch p.peek() {
		case '*':
			e = star(e)
		case '+':
			e = repeat(e, 1, unbounded)
		case '?':
			e = opt(e)
		case '{':
			lo, hi := p.counts()
			e = repeat(e, lo, hi)
		default:
			return e
		}
		if p.depth++; p.depth > maxGBNFDepth {
			p.fail(p.pos, ErrTooLarge, "repetitions are nested more than %d deep", maxGBNFDepth)
		}
		defer func() { p.depth-- }()
		p.pos++
		p.space(nested)
	}
}

// counts parses {m}, {m,}, {,n} or {m,n} up to the closing brace.
func (p *gbnfParser) counts() (lo, hi int32) {
	start := p.pos
	p.pos++
	number := func() (int32, bool) {
		p.space(false)
		digits := p.pos
		for p.peek() >= '0' && p.peek() <= '9' {
			p.pos++
		}
		if p.pos == digits {
			return 0, false
		}
		n, err := strconv.ParseInt(p.src[digits:p.pos], 10, 64)
		if err != nil || n > maxCount {
			p.fail(digits, ErrTooLarge, "the repetition count %s exceeds %d", clip([]byte(p.src[digits:p.pos])), maxCount)
		}
		p.space(false)
		return int32(n), true
	}
	lo, ok := number()
	hi = lo
	if p.peek() == ',' {
		p.pos++
		var bounded bool
		if hi, bounded = number(); !bounded {
			hi = unbounded
		}
		ok = ok || bounded
	}
	if !ok || p.peek() != '}' {
		p.fail(p.pos, ErrSyntax, "expected counts such as {2,5} and }, found %s", p.found())
	}
	if hi < lo {
		p.fail(start, ErrSyntax, "the repetition's minimum %d exceeds its maximum %d", lo, hi)
	}
	return lo, hi
}

func (p *gbnfParser) literal() *expr {
	start := p.pos
	p.pos++
	var b strings.Builder
	for p.peek() != '"' || p.pos >= len(p.src) {
		if p.pos >= len(p.src) {
			p.fail(start, ErrSyntax, "the literal has no closing quote")
		}
		b.WriteRune(p.char())
	}
	p.pos++
	return lit(b.String())
}

func (p *gbnfParser) set() charSet {
	start := p.pos
	p.pos++
	negate := p.peek() == '^'
	if negate {
		p.pos++
	}
	var ranges []runeRange
	for p.peek() != ']' || p.pos >= len(p.src) {
		if p.pos >= len(p.src) {
			p.fail(start, ErrSyntax, "the set has no closing ]")
		}
		at := p.pos
		lo := p.char()
		hi := lo
		if p.peek() == '-' && p.pos+1 < len(p.src) && p.src[p.pos+1] != ']' {
			p.pos++
			if hi = p.char(); hi < lo {
				p.fail(at, ErrSyntax, "the range %q-%q is backwards", lo, hi)
			}
		}
		ranges = append(ranges, runeRange{lo, hi})
	}
	p.pos++
	s := newSet(ranges...)
	if negate {
		s = s.negate()
	}
	return s
}

// char parses one character of a literal or set, escaped or not.
func (p *gbnfParser) char() rune {
	start := p.pos
	r, n := utf8.DecodeRuneInString(p.src[p.pos:])
	p.pos += n
	if r != '\\' {
		return r
	}
	c := p.peek()
	p.pos++
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case '\\', '"', '[', ']', '-', '^':
		return rune(c)
	case 'x', 'u', 'U':
		digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
		text := p.src[min(p.pos, len(p.src)):min(p.pos+digits, len(p.src))]
		v, err := strconv.ParseUint(text, 16, 32)
		if len(text) < digits || err != nil {
			p.fail(start, ErrSyntax, `\%c needs %d hexadecimal digits`, c, digits)
		}
		if v > math.MaxInt32 || !utf8.ValidRune(rune(v)) {
			p.fail(start, ErrSyntax, `\%c%s is not a Unicode character`, c, text)
		}
		p.pos += digits
		return rune(v)
	}
	p.pos = start + 1
	p.fail(start, ErrSyntax, `unknown escape: \ and %s`, p.found())
	return 0
}

// token parses <[id]>, <text> or either with a leading !.
func (p *gbnfParser) token() *expr {
	start := p.pos
	t := tokenRef{id: -1}
	if p.peek() == '!' {
		t.negate = true
		if p.pos++; p.peek() != '<' {
			p.fail(p.pos, ErrSyntax, "expected a token such as <text> or <[12]> after !, found %s", p.found())
		}
	}
	end := strings.IndexByte(p.src[p.pos:], '>')
	if end < 0 || slices.Contains([]byte(p.src[p.pos:p.pos+end]), '\n') {
		p.fail(start, ErrSyntax, "the token has no closing >")
	}
	t.text = p.src[p.pos : p.pos+end+1]
	if number, ok := strings.CutPrefix(t.text, "<["); ok && strings.HasSuffix(number, "]>") {
		id, err := strconv.ParseInt(strings.TrimSuffix(number, "]>"), 10, 32)
		if err != nil || id < 0 {
			p.fail(start, ErrSyntax, "%s is not a token id", clip([]byte(t.text)))
		}
		t.id = int32(id)
	}
	p.pos += end + 1
	return &expr{kind: kindToken, token: t}
}
