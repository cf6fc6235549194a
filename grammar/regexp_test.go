package grammar

import (
	"errors"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

func TestCompileRegexp(t *testing.T) {
	for _, tc := range []struct {
		pattern string
		yes, no []string
	}{
		{`abc`, []string{"abc"}, []string{"ab", "abcd", "xabc"}},
		{`^abc$`, []string{"abc"}, []string{"ab", "xabc"}},
		{`a|bc|`, []string{"a", "bc", ""}, []string{"b", "abc"}},
		{`a*b+c?`, []string{"b", "aabbc"}, []string{"a", "bcc"}},
		{`a*?b+?`, []string{"b", "aab"}, []string{"a"}},
		{`(?:ab){2,3}`, []string{"abab", "ababab"}, []string{"ab", "abababab"}},
		{`(?<name>a)(b)`, []string{"ab"}, []string{"a"}},
		{`a{2}`, []string{"aa"}, []string{"a", "aaa"}},
		{`a{2,}`, []string{"aa", "aaaaa"}, []string{"a"}},
		{`a{,2}`, []string{"a{,2}"}, []string{"aa"}},
		{`{a}]`, []string{"{a}]"}, nil},
		{`\d\D\w\W\s\S`, []string{"1a_! x", "0\u3000Z\u00e9\ufeff\u00e9"}, []string{"aa_! x", "11_! x"}},
		{`[\d\-x-z\]]+`, []string{"5-y]"}, []string{"a"}},
		{`[^\d]`, []string{"a", "é"}, []string{"1", ""}},
		{`[^]`, []string{"a", "\n"}, []string{""}},
		{`.`, []string{"a", "😀", "\t"}, []string{"\n", "\r", "\u2028"}},
		{`\t\n\v\f\r\0\cA\x41\u00e9\u{1F600}`, []string{"\t\n\v\f\r\x00\x01Aé😀"}, nil},
		{`\uD83D\uDE00`, []string{"😀"}, nil},
		{`[\b]`, []string{"\b"}, nil},
		{`\/\.\*\-`, []string{"/.*-"}, nil},
		{`\p{Lu}\p{L}\P{L}\p{Script=Greek}\p{General_Category=Decimal_Number}`, []string{"Ab1λ٣"}, []string{"ab1λ٣"}},
		{`(^a|b$)c?`, []string{"a", "ac", "b"}, []string{"bc"}},
		{`(a$|b)(c|$)`, []string{"a", "bc", "b"}, []string{"ac"}},
		{`a^b|c`, []string{"c"}, []string{"ab"}},
		{`^(?=.*[A-Z])(?=.*\d).{3,}$`, []string{"A1b", "xx9Z"}, []string{"abc", "A1", "ABC", "123"}},
		{`(?!foo)[a-z]+`, []string{"bar", "fo", "fofoo"}, []string{"foo", "foobar"}},
		{`^(?!foo\b)\w+$`, []string{"foobar", "fo"}, []string{"foo", ""}},
		{`(?=ab|c)(a|c).*`, []string{"abx", "c"}, []string{"ac", "b"}},
		{`a(?!b)[a-z]*`, []string{"a", "ac", "acb"}, []string{"ab", "abc"}},
		{`(?:a(?=b)|b)b?`, []string{"ab", "b", "bb"}, []string{"a", "aa"}},
		{`x(?:(?=\d)\d[a-z]){0,2}`, []string{"x", "x1a", "x1a2b"}, []string{"xaa", "x1a2b3c"}},
		{`(?!^a$)(?!.*b$)[ab]*`, []string{"", "aa", "ba"}, []string{"a", "ab"}},
		{`(?=(?!a).)..`, []string{"ba"}, []string{"ab", "b"}},
		{`\bab\b.*`, []string{"ab", "ab c"}, []string{"abc"}},
		{`a\Bb\b( c)?`, []string{"ab", "ab c"}, []string{"a b"}},
		{`(\b[a-z]+\b ?)+`, []string{"a", "ab cd "}, []string{""}},
		{`(?i)aé[x-z]`, []string{"aéx", "AÉZ"}, []string{"bÉZ"}},
		{`(?s)a.b`, []string{"a\nb"}, []string{"ab"}},
		{`\A(?P<year>\d+)(?#comment)\Z`, []string{"12"}, []string{"x"}},
		{`[[:alpha:]_]+\_\a\e`, []string{"ab__\a\x1b"}, []string{"1_\a\x1b"}},
		{`a{0,100000}b`, []string{"b", strings.Repeat("a", 5000) + "b"}, []string{"a"}},
	} {
		g, err := CompileRegexp(tc.pattern)
		if err != nil {
			t.Errorf("%s: %v", tc.pattern, err)
			continue
		}
		for _, x := range tc.yes {
			if !accepts(t, g, x) {
				t.Errorf("%s does not accept %q", tc.pattern, x)
			}
		}
		for _, x := range tc.no {
			if accepts(t, g, x) {
				t.Errorf("%s accepts %q", tc.pattern, x)
			}
		}
	}
}

func TestCompileRegexpErrors(t *testing.T) {
	for _, tc := range []struct {
		pattern string
		err     error
		column  int
	}{
		{`(a`, ErrSyntax, 1}, {`a)`, ErrSyntax, 2}, {`[a`, ErrSyntax, 1}, {`[b-a]`, ErrSyntax, 2}, {`[\d-z]`, ErrSyntax, 2},
		{`*a`, ErrSyntax, 1}, {`a**`, ErrSyntax, 3}, {`a{3,2}`, ErrSyntax, 1}, {`^*`, ErrSyntax, 1}, {`{2}`, ErrSyntax, 1}, {`a\`, ErrSyntax, 2}, {`\x4`, ErrSyntax, 1},
		{`\u{110000}`, ErrSyntax, 1}, {`\q`, ErrSyntax, 1}, {`\c1`, ErrSyntax, 1}, {`\p{`, ErrSyntax, 1}, {`(?<n`, ErrSyntax, 1},
		{`(?<!a)b`, ErrUnsupported, 1}, {`(?x)a`, ErrUnsupported, 1}, {`(a)\1`, ErrUnsupported, 4}, {`\k<a>`, ErrUnsupported, 1},
		{`(?i:a)`, ErrUnsupported, 1}, {`\p{Emoji}`, ErrUnsupported, 1}, {`\ud800`, ErrUnsupported, 1}, {`\07`, ErrUnsupported, 1},
		{`a{9999999999}`, ErrTooLarge, 3}, {strings.Repeat("(", 2000), ErrTooLarge, 501}, {`[]`, ErrEmpty, 0}, {`a^b`, ErrEmpty, 0},
		{"\xff", ErrSyntax, 0}, {`(a^|b)` + strings.Repeat(`(a|b)`, 1) + `(a|b){60000}`, ErrTooLarge, 0},
	} {
		_, err := CompileRegexp(tc.pattern)
		if !errors.Is(err, tc.err) {
			t.Errorf("%.40q: %v, expected %v", tc.pattern, err, tc.err)
		}
		var at *PositionError
		if errors.As(err, &at) != (tc.column > 0) || at != nil && at.Column != tc.column {
			t.Errorf("%.40q: %v, expected column %d", tc.pattern, err, tc.column)
		}
	}
}

// TestRegexpAgainstGo compares random expressions, matched as a whole and, by their
// automata, anywhere, with Go's.
func TestRegexpAgainstGo(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	var expr func(depth int) string
	expr = func(depth int) string {
		if depth == 0 || r.IntN(3) == 0 {
			return []string{"a", "b", "é", "[ab]", "[^a]", "^", "$", `\w`, `\d`, "(a|b)", "x{2}"}[r.IntN(11)]
		}
		s := expr(depth-1) + expr(depth-1)
		switch r.IntN(4) {
		case 0:
			return "(?:" + s + ")" + []string{"*", "+", "?", "{0,2}", "{2,}"}[r.IntN(5)]
		case 1:
			return "(" + s + "|" + expr(depth-1) + ")"
		}
		return s
	}
	for range 2000 {
		src := expr(3)
		e, err := parseRegexp(src)
		if err != nil {
			t.Fatalf("%s: %v", src, err)
		}
		anywhere, whole := regexp.MustCompile(src), regexp.MustCompile(`^(?:`+src+`)$`)
		d, err := determinize(nil, reCat(reAny, e, reAny))
		if err != nil {
			t.Fatal(err)
		}
		small, no := d.minimize(), d.complement().minimize()
		g, err := CompileRegexp(src)
		if err != nil && !errors.Is(err, ErrEmpty) {
			t.Fatal(err)
		}
		for range 10 {
			var text string
			for range r.IntN(6) {
				text += []string{"a", "b", "é", "1", "x", "xx", "_", "\n"}[r.IntN(8)]
			}
			want := anywhere.MatchString(text)
			if direct, err := e.matches(nil, text); err != nil || direct != want || d.matches(text) != want || small.matches(text) != want || no.matches(text) == want {
				t.Fatalf("%s in %q: %v %v %v %v, expected %v", src, text, direct, d.matches(text), small.matches(text), no.matches(text), want)
			}
			if want := whole.MatchString(text); g != nil && accepts(t, g, text) != want || g == nil && want {
				t.Fatalf("%s is %q: expected %v", src, text, want)
			}
		}
	}
}
