package grammar

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// accepts reports whether text is complete under g.
func accepts(t testing.TB, g *Grammar, text string) bool {
	t.Helper()
	s := matcher(t, g, vocabulary(t, byteTokens())).Start()
	err := s.AcceptBytes([]byte(text))
	if err != nil && !errors.Is(err, ErrRejected) {
		t.Fatalf("%q: %v", text, err)
	}
	return err == nil && s.CanEnd()
}

// TestByteOrderMark: a mark before a source is no part of it.
func TestByteOrderMark(t *testing.T) {
	g, err := ParseGBNF("\uFEFFroot ::= \"a\"\n")
	if err != nil || !accepts(t, g, "a") {
		t.Errorf("GBNF: %v", err)
	}
	if g, err = FromJSONSchema([]byte("\uFEFF{\"const\": 1}"), SchemaOptions{}); err != nil || !accepts(t, g, "1") {
		t.Errorf("JSON Schema: %v", err)
	}
}

func TestParseGBNF(t *testing.T) {
	for _, tc := range []struct {
		name, src string
		yes, no   []string
	}{
		{"chess", `# a chess game
root ::= (
    # numbered moves
    "1. " move " " move "\n"
    ([1-9] [0-9]? ". " move " " move "\n")+
)
move ::= (pawn | nonpawn | castle) [+#]?
nonpawn ::= [NBKQR] [a-h]? [1-8]? "x"? [a-h] [1-8]
pawn ::= ([a-h] "x")? [a-h] [1-8] ("=" [NBKQR])?
castle ::= "O-O" "-O"?
`, []string{"1. e4 e5\n2. Nf3 Nc6\n", "1. d4 d5\n2. O-O-O Qxd5+\n10. exd8=Q# Kb1\n"}, []string{"1. e4 e5\n", "1. e9 e5\n2. a1 a1\n"}},
		{"arithmetic", `root  ::= (expr "=" ws term "\n")+
expr  ::= term ([-+*/] term)*
term  ::= ident | num | "(" ws expr ")" ws
ident ::= [a-z] [a-z0-9_]* ws
num   ::= [0-9]+ ws
ws    ::= [ \t\n]*
`, []string{"x*(1+y2)=3\n", "a = b\nc -1= ( 2)\n"}, []string{"=1\n", "x*=3\n", "a=b"}},
		{"counts", `root ::= "a"{2} "b"{1,} "c"{,2} "d"{0,1}`, []string{"aab", "aabbbccd"}, []string{"ab", "aa", "aabccc"}},
		{"escapes", `root ::= "\x41\u00e9\U0001F600\n\t\r\\\"\[\]" [\]\-x-z\n]`, []string{"Aé😀\n\t\r\\\"[]]", "Aé😀\n\t\r\\\"[]-", "Aé😀\n\t\r\\\"[]y"}, []string{"Aé😀\n\t\r\\\"[]w"}},
		{"negated set", `root ::= [^a\n]+`, []string{"b", "é日😀"}, []string{"", "a", "b\n", "\xff", "\xed\xa0\x80"}},
		{"dot", `root ::= .`, []string{"x", "\n", "😀"}, []string{"", "xy", "\xf0\x9f"}},
		{"hyphen at the ends of a set", `root ::= [-a] [b-]`, []string{"-b", "a-"}, []string{"b-"}},
		{"names", "root ::= az-AZ_09 | 9 | Z\naz-AZ_09 ::= \"a\"\n9 ::= \"b\"\nZ ::= \"c\"", []string{"a", "b", "c"}, []string{"az"}},
		{"alternatives over lines", "root ::= a |\n  \"x\"\n  | \"y\" # and\n\na ::= (\n\"b\" |\n\"c\"\n)\n", []string{"b", "c", "x", "y"}, []string{"a"}},
		{"empty alternative", `root ::= "a" (| "b")`, []string{"a", "ab"}, []string{"b"}},
		{"root is not first", "item ::= \"x\"\nroot ::= item item", []string{"xx"}, []string{"x"}},
		{"recursion", `root ::= "(" root ")" root | ""`, []string{"", "()", "(())()"}, []string{"(", ")("}},
		{"large counts", `root ::= ("ab" | "c"){3,1000000}`, []string{"ccc", strings.Repeat("abc", 500)}, []string{"cc", "aba"}},
		{"windows lines", "root ::= a\r\na ::= \"x\"\r\n", []string{"x"}, []string{""}},
		{"unproductive alternative", "root ::= \"a\" | loop\nloop ::= \"b\" loop", []string{"a"}, []string{"b"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g, err := ParseGBNF(tc.src)
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range tc.yes {
				if !accepts(t, g, x) {
					t.Errorf("%q is not accepted", x)
				}
			}
			for _, x := range tc.no {
				if accepts(t, g, x) {
					t.Errorf("%q is accepted", x)
				}
			}
		})
	}
}

func TestParseGBNFErrors(t *testing.T) {
	for _, tc := range []struct {
		src          string
		err          error
		line, column int // 0: not a PositionError
	}{
		{"", ErrSyntax, 1, 1},
		{"a ::= \"x\"", ErrSyntax, 1, 10},
		{"root ::= x", ErrSyntax, 1, 10},
		{"root = \"x\"", ErrSyntax, 1, 6},
		{"root ::= \"x", ErrSyntax, 1, 10},
		{"root ::= [a", ErrSyntax, 1, 10},
		{"root ::= [b-a]", ErrSyntax, 1, 11},
		{"root ::= (\"a\"", ErrSyntax, 1, 14},
		{"root ::= \"a\")", ErrSyntax, 1, 13},
		{"root ::= *", ErrSyntax, 1, 10},
		{"root ::= \"a\"{3,2}", ErrSyntax, 1, 13},
		{"root ::= \"a\"{x}", ErrSyntax, 1, 14},
		{"root ::= \"a\"{99999999999}", ErrTooLarge, 1, 14},
		{"root ::= \"é\\q\"", ErrSyntax, 1, 12},
		{"root ::= \"\\ud800\"", ErrSyntax, 1, 11},
		{"\n\nroot ::= \"a\"\nroot ::= \"b\"", ErrSyntax, 4, 1},
		{"root ::= <x", ErrSyntax, 1, 10},
		{"root ::= !x", ErrSyntax, 1, 11},
		{"root ::= <[x]>", ErrSyntax, 1, 10},
		{"root ::= \xff", ErrSyntax, 0, 0},
		{"root ::= root \"a\" | \"b\"", ErrLeftRecursion, 0, 0},
		{"root ::= a root | \"x\"\na ::= \"\"", ErrLeftRecursion, 0, 0},
		{"root ::= a\na ::= b \"x\" | \"y\"\nb ::= (a){0,100} \"z\"", ErrLeftRecursion, 0, 0},
		{"root ::= \"a\" root", ErrEmpty, 0, 0},
		{"root ::= []", ErrEmpty, 0, 0},
		{"root ::= " + strings.Repeat("(", 100000) + strings.Repeat(")", 100000), ErrTooLarge, 1, 1010},
		{"root ::= \"" + strings.Repeat("a", 1<<20) + "\"", ErrTooLarge, 0, 0},
	} {
		_, err := ParseGBNF(tc.src)
		if !errors.Is(err, tc.err) {
			t.Errorf("%.50q: %v, expected %v", tc.src, err, tc.err)
		}
		var at *PositionError
		if errors.As(err, &at) != (tc.line > 0) || at != nil && (at.Line != tc.line || at.Column != tc.column) {
			t.Errorf("%.50q: %v, expected line %d, column %d", tc.src, err, tc.line, tc.column)
		}
	}
}

// TestHostileGrammars feeds texts to grammars that are ambiguous or large. Everything must end
// soon, with a result or with ErrLimit.
func TestHostileGrammars(t *testing.T) {
	long := func(n int, item string) string { return strings.TrimSpace(strings.Repeat(item+" ", n)) }
	for _, tc := range []struct{ name, src, text string }{
		{"exponential ambiguity", "root ::= s\ns ::= \"a\" | \"a\" s | \"a\" s s", strings.Repeat("a", 300)},
		{"nested stars", `root ::= ((("a"*)*)*)* "b"`, strings.Repeat("a", 1000) + "b"},
		{"optional parts", "root ::= " + long(700, `"a"?`), strings.Repeat("a", 60)},
		{"ambiguous counts", `root ::= ("a" | "aa"){1,1000000}`, strings.Repeat("a", 3000)},
		{"counts in counts", `root ::= (("a"{0,1000}){0,1000}){0,1000}`, strings.Repeat("a", 2000)},
		{"many alternatives", "root ::= " + strings.Repeat(`"a" x | `, 20000) + "\"b\"\nx ::= \"y\"", "ay"},
		{"many texts", "root ::= \"0\"" + func() string {
			var b strings.Builder
			for i := range 20000 {
				b.WriteString(" | \"a" + strings.Repeat("b", i%7) + string(rune('c'+i%20)) + "\"")
			}
			return b.String()
		}(), "abbc"},
		{"doubling", func() string {
			src := "root ::= r40\nr0 ::= \"a\"\n"
			for i := 1; i <= 40; i++ {
				src += strings.NewReplacer("N", itoa(i), "M", itoa(i-1)).Replace("rN ::= rM rM\n")
			}
			return src
		}(), strings.Repeat("a", 1000)},
		{"deep rules", func() string {
			src := "root ::= r3000\nr0 ::= \"a\"\n"
			for i := 1; i <= 3000; i++ {
				src += strings.NewReplacer("N", itoa(i), "M", itoa(i-1)).Replace("rN ::= rM \"b\"?\n")
			}
			return src
		}(), "abbb"},
		{"nullable rules", "root ::= " + long(1500, "a") + "\na ::= b?\nb ::= c*\nc ::= \"x\"", strings.Repeat("x", 120)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			start := time.Now()
			g, err := ParseGBNF(tc.src)
			if errors.Is(err, ErrTooLarge) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			v := vocabulary(t, byteTokens("aa", "ab", "aaaaaaaaaaaaaaaa"))
			s := matcher(t, g, v).Start()
			mask := make([]uint64, v.MaskWords())
			for i := range len(tc.text) {
				err := s.AcceptBytes([]byte{tc.text[i]})
				if err == nil && i%100 == 0 {
					err = s.Mask(mask)
				}
				if err == nil && i%500 == 0 {
					_, err = s.MaskWithin(mask, 100)
				}
				if errors.Is(err, ErrLimit) {
					t.Logf("after %d bytes: %v", i, err)
					break
				}
				if err != nil {
					t.Fatalf("byte %d: %v", i, err)
				}
			}
			if d := time.Since(start); d > 5*time.Second {
				t.Errorf("took %v", d)
			}
		})
	}
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}
