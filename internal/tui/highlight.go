package tui

import (
	"strings"
	"unicode"
	"unicode/utf8"

	xansi "github.com/charmbracelet/x/ansi"

	"trit/internal/markdown"
)

// tokenKind is what a part of a program is.
type tokenKind int

const (
	tokenText tokenKind = iota
	tokenComment
	tokenString
	tokenNumber
	tokenWord // of the language
	tokenCall // the name of a function that is called or declared
	tokenAdded
	tokenRemoved
	tokenKinds
)

// findLanguage returns the language that the line after a fence names.
func findLanguage(info string) (l language, name string, ok bool) {
	name, _, _ = strings.Cut(strings.ToLower(info), " ")
	name = strings.Trim(name, "{}.")
	if alias, ok := aliases[name]; ok {
		name = alias
	}
	l, ok = languages[name]
	return l, name, ok
}

// paintCode returns the lines of a program, broken at width.
func (p *painter) paintCode(b markdown.Block, width int) []string {
	c := codeLines{width: width}
	l, name, known := findLanguage(b.Info)
	switch {
	case !known || !p.look.colours:
		c.add(nil, b.Text)
	case name == "diff":
		for i, line := range strings.Split(b.Text, "\n") {
			if i > 0 {
				c.end()
			}
			c.add(p.palette.tokens[diffKind(line)], line)
		}
	default:
		l.scan(b.Text, func(kind tokenKind, text string) { c.add(p.palette.tokens[kind], text) })
	}
	c.end()
	return c.lines
}

func diffKind(line string) tokenKind {
	switch {
	case strings.HasPrefix(line, "@@"):
		return tokenWord
	case strings.HasPrefix(line, "+"):
		return tokenAdded
	case strings.HasPrefix(line, "-"):
		return tokenRemoved
	}
	return tokenText
}

// codeLines are lines of at most width cells; blanks in them are kept.
type codeLines struct {
	width int
	lines []string
	line  strings.Builder
	used  int
}

// end ends a line.
func (c *codeLines) end() {
	c.lines = append(c.lines, c.line.String())
	c.line.Reset()
	c.used = 0
}

// add appends text in a style, which may have several lines.
func (c *codeLines) add(style xansi.Style, text string) {
	for i, line := range strings.Split(text, "\n") {
		if i > 0 {
			c.end()
		}
		for line != "" {
			part := xansi.Truncate(line, c.width-c.used, "")
			if part == "" && c.used == 0 {
				break // marks without a letter, which take no cell
			}
			if part == "" {
				c.end()
				continue
			}
			c.line.WriteString(styled(style, part))
			c.used += xansi.StringWidth(part)
			line = line[len(part):]
		}
	}
}

// scan tells code apart into tokens.
func (l language) scan(code string, emit func(tokenKind, string)) {
	plain := 0 // where text that is not yet emitted begins
	for at := 0; at < len(code); {
		kind, n := l.token(code, at)
		if kind == tokenText {
			at += n
			continue
		}
		if at > plain {
			emit(tokenText, code[plain:at])
		}
		emit(kind, code[at:at+n])
		at += n
		plain = at
	}
	if plain < len(code) {
		emit(tokenText, code[plain:])
	}
}

// token reads the token at a place; n is at least 1.
func (l language) token(code string, at int) (kind tokenKind, n int) {
	rest := code[at:]
	for _, b := range l.blocks {
		if strings.HasPrefix(rest, b[0]) {
			n = len(rest)
			if end := strings.Index(rest[len(b[0]):], b[1]); end >= 0 {
				n = len(b[0]) + end + len(b[1])
			}
			if b[0] == b[1] || b[0] == "[[" {
				return tokenString, n
			}
			return tokenComment, n
		}
	}
	for _, c := range l.comments {
		// In shells and their like a # inside a word is none.
		if strings.HasPrefix(rest, c) && (c != "#" || at == 0 || strings.ContainsRune(" \n\t;(", rune(code[at-1]))) {
			return tokenComment, lineEnd(rest)
		}
	}
	switch c := rest[0]; {
	case strings.IndexByte(l.quotes, c) >= 0:
		return quoted(rest)
	case c >= '0' && c <= '9':
		n = wordEnd(rest, ".")
		return tokenNumber, n
	}
	r, size := utf8.DecodeRuneInString(rest)
	if !isWordRune(r) {
		return tokenText, size
	}
	n = wordEnd(rest, "")
	word := rest[:n]
	if l.fold {
		word = strings.ToLower(word)
	}
	switch {
	case l.words[word]:
		return tokenWord, n
	case l.words == nil && at > 0 && (code[at-1] == '<' || code[at-1] == '/' && at > 1 && code[at-2] == '<'):
		return tokenWord, n // the name of an element
	case n < len(rest) && rest[n] == '(':
		return tokenCall, n
	}
	return tokenText, n
}

// quoted reads a text that ends in its line; an apostrophe without an end is no text.
func quoted(s string) (tokenKind, int) {
	for i := 1; i < len(s) && s[i] != '\n'; i++ {
		switch s[i] {
		case '\\':
			i++
		case s[0]:
			return tokenString, i + 1
		}
	}
	if s[0] == '"' {
		return tokenString, lineEnd(s)
	}
	return tokenText, 1
}

func lineEnd(s string) int {
	if n := strings.IndexByte(s, '\n'); n >= 0 {
		return n
	}
	return len(s)
}

// wordEnd returns the length of the word that s begins with; its letters may be of more as well.
func wordEnd(s, more string) int {
	n := strings.IndexFunc(s, func(r rune) bool { return !isWordRune(r) && !strings.ContainsRune(more, r) })
	if n < 0 {
		return len(s)
	}
	return n
}

func isWordRune(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }
