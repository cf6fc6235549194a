package jinja

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The methods of str and what filters share with them.

func mapString(f func(string) string) stringMethod {
	return func(s *state, self string, a *args) (Value, error) {
		if _, err := a.bind(); err != nil {
			return nil, err
		}
		return f(self), s.alloc(len(self))
	}
}

func capitalize(v string) string {
	_, n := utf8.DecodeRuneInString(v)
	if n == 0 {
		return v
	}
	return strings.ToTitle(v[:n]) + strings.ToLower(v[n:])
}

// pyTitle is Python's str.title: a letter after a non-letter is upper case.
func pyTitle(v string) string {
	inWord := false
	return strings.Map(func(r rune) rune {
		letter := unicode.IsLetter(r)
		defer func() { inWord = letter }()
		if inWord {
			return unicode.ToLower(r)
		}
		return unicode.ToTitle(r)
	}, v)
}

func swapCase(v string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsUpper(r) {
			return unicode.ToLower(r)
		}
		return unicode.ToUpper(r)
	}, v)
}

func isASCII(v string) bool {
	for i := range len(v) {
		if v[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// isSpace is Python's str.isspace of one character: the separators U+001C to U+001F are white space too.
func isSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }

func trim(v string, chars Value, left, right bool) (string, error) {
	var drop func(rune) bool
	switch c := chars.(type) {
	case nil, absentValue:
		drop = isSpace
	case string:
		drop = func(r rune) bool { return strings.ContainsRune(c, r) }
	default:
		return "", argType("chars", "str", chars)
	}
	if left {
		v = strings.TrimLeftFunc(v, drop)
	}
	if right {
		v = strings.TrimRightFunc(v, drop)
	}
	return v, nil
}

func stripMethod(left, right bool) stringMethod {
	return func(s *state, self string, a *args) (Value, error) {
		p, err := a.bind("chars")
		if err != nil {
			return nil, err
		}
		v, err := trim(self, p[0], left, right)
		if err != nil {
			return nil, err
		}
		return v, s.step(int64(len(self)-len(v)) / 8)
	}
}

func splitMethod(fromRight bool) stringMethod {
	return func(s *state, self string, a *args) (Value, error) {
		p, err := a.bind("sep", "maxsplit")
		if err != nil {
			return nil, err
		}
		limit, err := intArg("maxsplit", p[1], -1)
		if err != nil {
			return nil, err
		}
		var parts []string
		switch sep := p[0].(type) {
		case nil, absentValue:
			parts = splitSpace(self, limit, fromRight)
		case string:
			if sep == "" {
				return nil, fail(ErrType, "empty separator")
			}
			parts = splitOn(self, sep, limit, fromRight)
		default:
			return nil, argType("sep", "str", sep)
		}
		return s.stringList(parts, len(self))
	}
}

// stringList makes a list of strings that share size bytes of an existing string.
func (s *state) stringList(parts []string, size int) (Value, error) {
	if err := s.step(int64(size) / 16); err != nil {
		return nil, err
	}
	if err := s.allocItems(len(parts)); err != nil {
		return nil, err
	}
	l := &List{Items: make([]Value, len(parts))}
	for i, part := range parts {
		l.Items[i] = part
	}
	return l, nil
}

func splitOn(v, sep string, limit int64, fromRight bool) []string {
	if limit < 0 || limit >= int64(len(v))+1 {
		return strings.Split(v, sep)
	}
	if !fromRight {
		return strings.SplitN(v, sep, int(limit)+1)
	}
	var parts []string
	for ; limit > 0; limit-- {
		i := strings.LastIndex(v, sep)
		if i < 0 {
			break
		}
		parts = append(parts, v[i+len(sep):])
		v = v[:i]
	}
	parts = append(parts, v)
	slices.Reverse(parts)
	return parts
}

func splitSpace(v string, limit int64, fromRight bool) []string {
	if limit < 0 || limit > int64(len(v)) {
		return strings.FieldsFunc(v, isSpace)
	}
	var parts []string
	if !fromRight {
		v = strings.TrimLeftFunc(v, isSpace)
		for ; v != "" && limit > 0; limit-- {
			i := strings.IndexFunc(v, isSpace)
			if i < 0 {
				break
			}
			parts = append(parts, v[:i])
			v = strings.TrimLeftFunc(v[i:], isSpace)
		}
		if v != "" {
			parts = append(parts, v)
		}
		return parts
	}
	v = strings.TrimRightFunc(v, isSpace)
	for ; v != "" && limit > 0; limit-- {
		i := strings.LastIndexFunc(v, isSpace)
		if i < 0 {
			break
		}
		_, w := utf8.DecodeRuneInString(v[i:])
		parts = append(parts, v[i+w:])
		v = strings.TrimRightFunc(v[:i], isSpace)
	}
	if v != "" {
		parts = append(parts, v)
	}
	slices.Reverse(parts)
	return parts
}

// splitLines splits as Python's str.splitlines does, at every kind of line end.
func splitLines(v string, keep bool) []string {
	var out []string
	for v != "" {
		i := strings.IndexAny(v, "\n\r\v\f\x1c\x1d\x1e\u0085\u2028\u2029")
		if i < 0 {
			return append(out, v)
		}
		_, w := utf8.DecodeRuneInString(v[i:])
		if strings.HasPrefix(v[i:], "\r\n") {
			w = 2
		}
		if keep {
			out = append(out, v[:i+w])
		} else {
			out = append(out, v[:i])
		}
		v = v[i+w:]
	}
	return out
}

func splitLinesMethod(s *state, self string, a *args) (Value, error) {
	p, err := a.bind("keepends")
	if err != nil {
		return nil, err
	}
	return s.stringList(splitLines(self, p[0] != absent && truth(p[0])), len(self))
}

func partitionMethod(find func(v, sep string) int) stringMethod {
	return func(s *state, self string, a *args) (Value, error) {
		p, err := a.strings("sep")
		if err != nil {
			return nil, err
		}
		if p[0] == "" {
			return nil, fail(ErrType, "empty separator")
		}
		out := &List{Items: []Value{self, "", ""}, Tuple: true}
		if i := find(self, p[0]); i >= 0 {
			out.Items = []Value{self[:i], p[0], self[i+len(p[0]):]}
		} else if find("aa", "a") == 1 { // rpartition puts the whole string last
			out.Items = []Value{"", "", self}
		}
		return out, s.step(int64(len(self)) / 16)
	}
}

func affixMethod(has func(v, affix string) bool) stringMethod {
	return func(s *state, self string, a *args) (Value, error) {
		if len(a.pos) > 1 {
			return nil, fail(ErrUnsupported, "start and end positions")
		}
		p, err := a.bind("affix")
		if err != nil {
			return nil, err
		}
		switch x := p[0].(type) {
		case string:
			return has(self, x), nil
		case *List:
			if !x.Tuple {
				break
			}
			for _, e := range x.Items {
				text, ok := e.(string)
				if !ok {
					return nil, argType("affix", "str or a tuple of str", e)
				}
				if has(self, text) {
					return true, nil
				}
			}
			return false, s.step(int64(len(x.Items)))
		}
		return nil, argType("affix", "str or a tuple of str", p[0])
	}
}

func findMethod(find func(v, sub string) int, orMinusOne bool) stringMethod {
	return func(s *state, self string, a *args) (Value, error) {
		if len(a.pos) > 1 {
			return nil, fail(ErrUnsupported, "start and end positions")
		}
		p, err := a.strings("sub")
		if err != nil {
			return nil, err
		}
		i := find(self, p[0])
		if i < 0 {
			if orMinusOne {
				return int64(-1), nil
			}
			return nil, fail(ErrType, "substring not found")
		}
		return int64(utf8.RuneCountInString(self[:i])), s.step(int64(len(self)) / 16)
	}
}

func replaceMethod(s *state, self string, a *args) (Value, error) {
	p, err := a.bind("old", "new", "count")
	if err != nil {
		return nil, err
	}
	from, ok := p[0].(string)
	if !ok {
		return nil, argType("old", "str", p[0])
	}
	to, ok := p[1].(string)
	if !ok {
		return nil, argType("new", "str", p[1])
	}
	n, err := intArg("count", p[2], -1)
	if err != nil {
		return nil, err
	}
	return s.replaceAll(self, from, to, n)
}

// replaceAll replaces up to n (all if negative) occurrences, after checking the result's size.
func (s *state) replaceAll(v, from, to string, n int64) (Value, error) {
	k := strings.Count(v, from)
	if n >= 0 && int64(k) > n {
		k = int(n)
	}
	if err := s.step(int64(len(v)) / 16); err != nil || k == 0 {
		return v, err
	}
	size := int64(len(v)) + int64(k)*int64(len(to)-len(from))
	if size > int64(s.limits.Output) {
		return nil, s.tooLarge()
	}
	if err := s.alloc(int(size)); err != nil {
		return nil, err
	}
	return strings.Replace(v, from, to, k), nil
}

// formatMethod is str.format with {}, {0}, {name} and attribute or item access left out.
func formatMethod(s *state, self string, a *args) (Value, error) {
	var b strings.Builder
	next := 0
	for i := 0; i < len(self); i++ {
		c := self[i]
		if c != '{' && c != '}' {
			b.WriteByte(c)
			continue
		}
		if i+1 < len(self) && self[i+1] == c {
			b.WriteByte(c)
			i++
			continue
		}
		end := strings.IndexByte(self[i:], '}')
		if c == '}' || end < 0 {
			return nil, fail(ErrType, "single '%c' in format string", c)
		}
		field := self[i+1 : i+end]
		i += end
		var v Value
		switch n, isIndex := digits(field); {
		case strings.ContainsAny(field, ":!.["):
			return nil, fail(ErrUnsupported, "format field {%s}: only {}, {0} and {name}", clip(field))
		case field == "" || isIndex:
			if field == "" {
				n = next
				next++
			}
			if n >= len(a.pos) {
				return nil, fail(ErrType, "format field {%s} has no argument", clip(field))
			}
			v = a.pos[n]
		default:
			var ok bool
			if v, ok = a.kwValue(field); !ok {
				return nil, fail(ErrType, "format field {%s} has no argument", clip(field))
			}
		}
		text, err := s.str(v)
		if err != nil {
			return nil, err
		}
		b.WriteString(text)
		if b.Len() > s.limits.Output {
			return nil, s.tooLarge()
		}
	}
	return b.String(), s.alloc(b.Len())
}

func digits(v string) (int, bool) {
	n := 0
	for i := range len(v) {
		if v[i] < '0' || v[i] > '9' || n > 1<<20 {
			return 0, false
		}
		n = n*10 + int(v[i]-'0')
	}
	return n, v != ""
}

func padMethod(kind string) stringMethod {
	return func(s *state, self string, a *args) (Value, error) {
		p, err := a.bind("width", "fillchar")
		if err != nil {
			return nil, err
		}
		if p[0] == absent {
			return nil, argType("width", "int", absent)
		}
		width, err := intArg("width", p[0], 0)
		if err != nil {
			return nil, err
		}
		fill := " "
		if p[1] != absent {
			var ok bool
			if fill, ok = p[1].(string); !ok || utf8.RuneCountInString(fill) != 1 {
				return nil, argType("fillchar", "one character", p[1])
			}
		}
		return s.pad(self, kind, width, fill)
	}
}

func (s *state) pad(v, kind string, width int64, fill string) (Value, error) {
	n := width - int64(utf8.RuneCountInString(v))
	if n <= 0 {
		return v, nil
	}
	if n > int64(s.limits.Output) {
		return nil, s.tooLarge()
	}
	if err := s.alloc(len(v) + int(n)*len(fill)); err != nil {
		return nil, err
	}
	left := 0
	switch kind {
	case "zfill":
		sign := ""
		if v != "" && (v[0] == '+' || v[0] == '-') {
			sign, v = v[:1], v[1:]
		}
		return sign + strings.Repeat("0", int(n)) + v, nil
	case "rjust":
		left = int(n)
	case "center": // Python's rounding: the odd blank goes left when the width is odd
		left = int(n/2 + n&width&1)
	}
	return strings.Repeat(fill, left) + v + strings.Repeat(fill, int(n)-left), nil
}

func allRunes(f func(rune) bool) stringMethod {
	return func(s *state, self string, a *args) (Value, error) {
		for _, r := range self {
			if !f(r) {
				return false, s.step(int64(len(self)) / 16)
			}
		}
		return self != "", s.step(int64(len(self)) / 16)
	}
}

// casedMethod is islower or isupper: at least one letter of the case, none of the other.
func casedMethod(want, other func(rune) bool) stringMethod {
	return func(s *state, self string, a *args) (Value, error) {
		return cased(self, want, other), s.step(int64(len(self)) / 16)
	}
}

func cased(v string, want, other func(rune) bool) bool {
	return strings.IndexFunc(v, want) >= 0 && strings.IndexFunc(v, other) < 0
}

func isIdentifier(s *state, self string, a *args) (Value, error) {
	for i, r := range self {
		if r != '_' && !unicode.IsLetter(r) && (i == 0 || !unicode.IsDigit(r)) {
			return false, nil
		}
	}
	return self != "", s.step(int64(len(self)) / 16)
}
