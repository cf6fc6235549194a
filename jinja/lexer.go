package jinja

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

type tokenKind uint8

const (
	tokEOF tokenKind = iota
	tokData
	tokVarBegin
	tokVarEnd
	tokBlockBegin
	tokBlockEnd
	tokName
	tokString
	tokInt
	tokFloat
	tokOp
)

type token struct {
	kind tokenKind
	line int32
	text string // data, name, decoded string, number as written, or operator
}

func (t token) describe() string {
	switch t.kind {
	case tokEOF:
		return "end of template"
	case tokData:
		return "text"
	case tokVarBegin:
		return "'{{'"
	case tokVarEnd:
		return "'}}'"
	case tokBlockBegin:
		return "'{%'"
	case tokBlockEnd:
		return "'%}'"
	case tokString:
		return "string " + strconv.Quote(clip(t.text))
	}
	return "'" + clip(t.text) + "'"
}

func clip(s string) string {
	if len(s) <= 40 {
		return s
	}
	cut := 40
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// lexer splits a template into tokens and applies trim_blocks and lstrip_blocks,
// following jinja2's rules for white space around tags exactly.
type lexer struct {
	src       string
	pos       int
	line      int32
	lineStart bool // the last consumed character ended a line
	toks      []token
}

// lex returns the tokens of src, ending in tokEOF.
func lex(src string) ([]token, error) {
	src = strings.ReplaceAll(src, "\r\n", "\n")
	src = strings.ReplaceAll(src, "\r", "\n")
	src = strings.TrimSuffix(src, "\n") // jinja2's keep_trailing_newline=False
	l := &lexer{src: src, line: 1, lineStart: true}
	for l.pos < len(l.src) {
		if err := l.next(); err != nil {
			return nil, err
		}
	}
	l.emit(tokEOF, "")
	return l.toks, nil
}

func (l *lexer) emit(kind tokenKind, text string) {
	l.toks = append(l.toks, token{kind, l.line, text})
}

func (l *lexer) syntax(format string, args ...any) error {
	return &Error{Line: int(l.line), Kind: ErrSyntax, Msg: fmt.Sprintf(format, args...)}
}

// advance consumes n bytes and keeps count of lines.
func (l *lexer) advance(n int) {
	s := l.src[l.pos : l.pos+n]
	if n > 0 {
		l.line += int32(strings.Count(s, "\n"))
		l.lineStart = s[n-1] == '\n'
	}
	l.pos += n
}

func (l *lexer) rest() string { return l.src[l.pos:] }

// next lexes text up to the next tag, and the tag.
func (l *lexer) next() error {
	rest := l.rest()
	i := 0
	for {
		j := strings.IndexByte(rest[i:], '{')
		if j < 0 || i+j+1 >= len(rest) {
			l.emit(tokData, rest)
			l.advance(len(rest))
			return nil
		}
		i += j
		if c := rest[i+1]; c == '{' || c == '%' || c == '#' {
			break
		}
		i++
	}
	tag := rest[i+1]
	n := i + 2
	var sign byte
	if n < len(rest) && (rest[n] == '-' || rest[n] == '+') {
		sign = rest[n]
		n++
	}
	l.text(rest[:i], sign, tag != '{')
	l.advance(n - i)
	switch tag {
	case '#':
		return l.comment()
	case '%':
		if done, err := l.raw(); done || err != nil {
			return err
		}
		l.emit(tokBlockBegin, "")
		return l.inside("%}", tokBlockEnd)
	}
	l.emit(tokVarBegin, "")
	return l.inside("}}", tokVarEnd)
}

// text emits the text before a tag, stripped as the tag's sign and lstrip_blocks ask,
// and consumes it.
func (l *lexer) text(s string, sign byte, lstrip bool) {
	kept := s
	switch {
	case sign == '-':
		kept = strings.TrimRightFunc(s, isSpace)
	case sign != '+' && lstrip:
		start := strings.LastIndexByte(s, '\n') + 1
		if (start > 0 || l.lineStart) && strings.TrimLeftFunc(s[start:], isSpace) == "" {
			kept = s[:start]
		}
	}
	if kept != "" {
		l.emit(tokData, kept)
	}
	l.advance(len(s))
}

// endTag consumes a closing delimiter with its sign at the current position, including the
// white space or newline that belongs to it. trim says that a plain delimiter eats one newline.
func (l *lexer) endTag(delim string, trim bool) bool {
	rest := l.rest()
	switch {
	case strings.HasPrefix(rest, "-"+delim):
		n := len(delim) + 1
		n += len(rest[n:]) - len(strings.TrimLeftFunc(rest[n:], isSpace))
		l.advance(n)
	case delim != "}}" && strings.HasPrefix(rest, "+"+delim):
		l.advance(len(delim) + 1)
	case strings.HasPrefix(rest, delim):
		n := len(delim)
		if trim && n < len(rest) && rest[n] == '\n' {
			n++
		}
		l.advance(n)
	default:
		return false
	}
	return true
}

func (l *lexer) comment() error {
	end := strings.Index(l.rest(), "#}")
	if end < 0 {
		return l.syntax("comment '{#' is never closed")
	}
	if end > 0 && (l.rest()[end-1] == '-' || l.rest()[end-1] == '+') {
		end--
	}
	l.advance(end)
	l.endTag("#}", true)
	return nil
}

// raw handles {% raw %} … {% endraw %}, after the opening "{%" and its sign.
func (l *lexer) raw() (bool, error) {
	body := strings.TrimLeftFunc(l.rest(), isSpace)
	after, ok := strings.CutPrefix(body, "raw")
	if !ok {
		return false, nil
	}
	after = strings.TrimLeftFunc(after, isSpace)
	if !strings.HasPrefix(after, "%}") && !strings.HasPrefix(after, "-%}") {
		return false, nil
	}
	l.advance(len(l.rest()) - len(after))
	l.endTag("%}", false)
	rest := l.rest()
	for i := 0; ; {
		j := strings.Index(rest[i:], "{%")
		if j < 0 {
			return true, l.syntax("'raw' block is never closed with 'endraw'")
		}
		i += j
		n := i + 2
		var sign byte
		if n < len(rest) && (rest[n] == '-' || rest[n] == '+') {
			sign = rest[n]
			n++
		}
		inner := strings.TrimLeftFunc(rest[n:], isSpace)
		if tail, ok := strings.CutPrefix(inner, "endraw"); ok {
			tail = strings.TrimLeftFunc(tail, isSpace)
			if strings.HasPrefix(tail, "%}") || strings.HasPrefix(tail, "-%}") || strings.HasPrefix(tail, "+%}") {
				l.text(rest[:i], sign, true)
				l.advance(len(l.rest()) - len(tail))
				l.endTag("%}", true)
				return true, nil
			}
		}
		i += 2
	}
}

var operators = []string{"**", "//", "==", "!=", ">=", "<=",
	"+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".", ":", "|", ",", ";"}

// inside lexes the contents of a tag up to its closing delimiter. Delimiters inside brackets
// are ordinary characters, so that {{ {'a': {}} }} works.
func (l *lexer) inside(delim string, end tokenKind) error {
	var stack []byte
	open := l.line
	for l.pos < len(l.src) {
		if len(stack) == 0 {
			line := l.line
			if l.endTag(delim, end == tokBlockEnd) {
				l.toks = append(l.toks, token{end, line, ""})
				return nil
			}
		}
		c, size := utf8.DecodeRuneInString(l.rest())
		switch {
		case isSpace(c):
			l.advance(size)
		case c == '\'' || c == '"':
			if err := l.str(byte(c)); err != nil {
				return err
			}
		case c >= '0' && c <= '9':
			l.number()
		case c == '_' || unicode.IsLetter(c):
			rest := l.rest()
			n := strings.IndexFunc(rest, func(r rune) bool {
				return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.Is(unicode.Mn, r) && !unicode.Is(unicode.Mc, r)
			})
			if n < 0 {
				n = len(rest)
			}
			l.emit(tokName, rest[:n])
			l.advance(n)
		default:
			op := ""
			for _, o := range operators {
				if strings.HasPrefix(l.rest(), o) {
					op = o
					break
				}
			}
			switch op {
			case "":
				return l.syntax("unexpected character %q", c)
			case "(", "[", "{":
				stack = append(stack, op[0])
			case ")", "]", "}":
				want := map[string]byte{")": '(', "]": '[', "}": '{'}[op]
				if len(stack) == 0 || stack[len(stack)-1] != want {
					return l.syntax("unexpected '%s'", op)
				}
				stack = stack[:len(stack)-1]
			}
			l.emit(tokOp, op)
			l.advance(len(op))
		}
	}
	return &Error{Line: int(open), Kind: ErrSyntax, Msg: fmt.Sprintf("tag is never closed with '%s'", delim)}
}

// number lexes an integer or float. After a dot (a.1.2) only the integer is taken.
func (l *lexer) number() {
	rest := l.rest()
	afterDot := len(l.toks) > 0 && l.toks[len(l.toks)-1].kind == tokOp && l.toks[len(l.toks)-1].text == "."
	digits := func(i int, ok func(byte) bool) int {
		for i < len(rest) && (ok(rest[i]) || rest[i] == '_' && i > 0 && i+1 < len(rest) && ok(rest[i+1])) {
			i++
		}
		return i
	}
	decimal := func(c byte) bool { return c >= '0' && c <= '9' }
	if rest[0] == '0' && len(rest) > 2 {
		var ok func(byte) bool
		switch rest[1] | 0x20 {
		case 'x':
			ok = func(c byte) bool { return decimal(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }
		case 'o':
			ok = func(c byte) bool { return c >= '0' && c <= '7' }
		case 'b':
			ok = func(c byte) bool { return c == '0' || c == '1' }
		}
		if ok != nil {
			if n := digits(2, ok); n > 2 {
				l.emit(tokInt, rest[:n])
				l.advance(n)
				return
			}
		}
	}
	n := digits(0, decimal)
	kind := tokInt
	if !afterDot {
		if n+1 < len(rest) && rest[n] == '.' && decimal(rest[n+1]) {
			n = digits(n+1, decimal)
			kind = tokFloat
		}
		if n < len(rest) && rest[n]|0x20 == 'e' {
			m := n + 1
			if m < len(rest) && (rest[m] == '+' || rest[m] == '-') {
				m++
			}
			if m < len(rest) && decimal(rest[m]) {
				n = digits(m, decimal)
				kind = tokFloat
			}
		}
	}
	l.emit(kind, strings.ReplaceAll(rest[:n], "_", ""))
	l.advance(n)
}

// str lexes a quoted string and decodes Python's escapes.
func (l *lexer) str(quote byte) error {
	rest := l.rest()
	var b strings.Builder
	i, plain := 1, 1
	for i < len(rest) && rest[i] != quote {
		if rest[i] != '\\' {
			i++
			continue
		}
		b.WriteString(rest[plain:i])
		n, err := unescape(&b, rest[i:])
		if err != nil {
			return l.syntax("%v", err)
		}
		i += n
		plain = i
	}
	if i >= len(rest) {
		return l.syntax("string is never closed with %c", quote)
	}
	if plain == 1 {
		l.emit(tokString, rest[1:i])
	} else {
		b.WriteString(rest[plain:i])
		l.emit(tokString, b.String())
	}
	l.advance(i + 1)
	return nil
}

// unescape decodes the escape at the start of s (a backslash) and returns its length.
func unescape(b *strings.Builder, s string) (int, error) {
	if len(s) < 2 {
		return 1, nil
	}
	hex := func(digits int) (int, error) {
		if len(s) < 2+digits {
			return 0, fmt.Errorf("truncated escape %q in a string", clip(s))
		}
		v, err := strconv.ParseUint(s[2:2+digits], 16, 32)
		if err != nil || v > unicode.MaxRune {
			return 0, fmt.Errorf("invalid escape %q in a string", s[:2+digits])
		}
		b.WriteRune(rune(v))
		return 2 + digits, nil
	}
	const from, to = "ntrabfv\\'\"", "\n\t\r\a\b\f\v\\'\""
	switch c := s[1]; {
	case strings.IndexByte(from, c) >= 0:
		b.WriteByte(to[strings.IndexByte(from, c)])
	case c == '\n': // a backslash at the end of a line joins it with the next
	case c >= '0' && c <= '7':
		n, v := 1, 0
		for n < 4 && n < len(s) && s[n] >= '0' && s[n] <= '7' {
			v = v*8 + int(s[n]-'0')
			n++
		}
		b.WriteRune(rune(v))
		return n, nil
	case c == 'x':
		return hex(2)
	case c == 'u':
		return hex(4)
	case c == 'U':
		return hex(8)
	case c == 'N':
		return 0, fmt.Errorf("named characters (\\N{…}) in strings are not supported: use \\u")
	default: // Python keeps the backslash of an unknown escape
		b.WriteByte('\\')
		return 1, nil
	}
	return 2, nil
}
