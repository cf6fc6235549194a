package grammar

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// smallVocabulary has single bytes, whole and torn characters, and tokens that span what
// grammars keep apart.
func smallVocabulary() tokens {
	t := tokens{"<|control|>", "a", "b", "c", "x", "ab", "ba", "aab", "abc", "xx", "xa", "(", ")", "((", "))", "()", ")(", "a)", "(a", ",", "a,", ",b", "ab,ba", "\"", "\"a\"", "a\"", "\",\"",
		"1", "2", "12", "11", "0", "10", "-", "é", "\xc3", "\xa9", "aé", "é\"", "\xc3\xa9\xc3", "日", "\xe6", "\x97", "\x97\xa5", "\xa5", "\xe6\x97", "😀", "\xf0\x9f", "\x98\x80", "\n", " ", "  ", "a", "ab"}
	return t
}

// checkMask compares a state's mask with the oracle's judgement of every token.
func checkMask(t testing.TB, s *State, o *oracle, v *Vocabulary, tok tokens, text []byte) (allowed []int32) {
	t.Helper()
	mask := make([]uint64, v.MaskWords())
	if err := s.Mask(mask); err != nil {
		t.Fatal(err)
	}
	complete, _ := o.judge(text)
	if s.CanEnd() != complete {
		t.Fatalf("after %q: CanEnd %v, expected %v", text, s.CanEnd(), complete)
	}
	for id := range int32(v.Len()) {
		want := complete
		if !tok.IsEOG(id) {
			_, want = o.judge(append(text[:len(text):len(text)], tok.TokenBytes(id)...))
			want = want && len(tok.TokenBytes(id)) > 0
		}
		got := mask[id/64]>>(id%64)&1 != 0
		if got != want {
			t.Fatalf("after %q: token %d (%q) allowed %v, expected %v", text, id, tok.TokenBytes(id), got, want)
		}
		if got != s.Allows(id) {
			t.Fatalf("after %q: token %d (%q): Mask says %v, Accept %v", text, id, tok.TokenBytes(id), got, !got)
		}
		if got && !tok.IsEOG(id) {
			allowed = append(allowed, id)
		}
	}
	return allowed
}

var maskGrammars = []string{
	`root ::= "ab" | "abc" | "ba"`,
	`root ::= [a-c]* "x"`,
	`root ::= a+ "," b?
a ::= "a" | "ab"
b ::= "b" a | "é"`,
	`root ::= "(" root ")" | "a" | ""`,
	`root ::= item ("," item)*
item ::= "a" | "b" | "(" root? ")"`,
	`root ::= "\"" [^"]* "\"" ("," root)?`,
	`root ::= "a" root "b" | "a" root | "x"`,
	`root ::= [é-日]{2,3} | "😀"`,
	`root ::= .{3}`,
	`root ::= ("a" | "ab"){2,100} "x"?`,
	`root ::= ("ab" | "é"){70,} [0-9]+`,
	`root ::= num (" " num){3}
num ::= "-"? ("0" | [1-9] [0-9]{0,2})`,
	`root ::= x{0,200}
x ::= "a" y?
y ::= "," | "(" x{65} ")"`,
	`root ::= (a | b | a b)* "12"
a ::= "a"
b ::= "b" a?`,
	`root ::= "a"? "b"? "c"? root2
root2 ::= "x" | dead
dead ::= "a" dead`,
}

func TestMaskAgainstOracle(t *testing.T) {
	tok := smallVocabulary()
	v := vocabulary(t, tok)
	for i, src := range maskGrammars {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			g, err := ParseGBNF(src)
			if err != nil {
				t.Fatal(err)
			}
			o := newOracle(gbnfRules(t, src))
			m := matcher(t, g, v)
			r := rand.New(rand.NewPCG(1, uint64(i)))
			for range 12 {
				s := m.Start()
				var text []byte
				for range 12 {
					allowed := checkMask(t, s, o, v, tok, text)
					if len(allowed) == 0 {
						break
					}
					id := allowed[r.IntN(len(allowed))]
					if err := s.Accept(id); err != nil {
						t.Fatal(err)
					}
					text = append(text, tok.TokenBytes(id)...)
				}
			}
		})
	}
}

// TestMaskNearCounts looks at the places where a counted repetition gets near its bounds.
func TestMaskNearCounts(t *testing.T) {
	tok := append(smallVocabulary(), "abab", "ababab", "abx", "xab")
	v := vocabulary(t, tok)
	for _, tc := range []struct {
		src  string
		from int
		to   int
	}{
		{`root ::= ("ab" | "é"){70,75} "x"`, 55, 75},
		{`root ::= ("ab" | "é"){70,} "x"?`, 55, 74},
		{`root ::= ("ab" | "é"){0,70}`, 55, 70},
		{`root ::= ("ab" | "é"){66} ("ab" | "a"){1,70} "x"`, 55, 80},
	} {
		g, err := ParseGBNF(tc.src)
		if err != nil {
			t.Fatal(err)
		}
		o := newOracle(gbnfRules(t, tc.src))
		m := matcher(t, g, v)
		for n := tc.from; n <= tc.to; n++ {
			for _, end := range []string{"", "a"} {
				s := m.Start()
				text := []byte(strings.Repeat("ab", n) + end)
				if err := s.AcceptBytes(text); errors.Is(err, ErrRejected) {
					if _, viable := o.judge(text); viable {
						t.Fatalf("%s: %d times: %v", tc.src, n, err)
					}
					continue
				}
				checkMaskOf(t, tc.src, s, o, v, tok, text)
			}
		}
	}
	// Beyond the minimum of an open repetition all positions are one.
	g, err := ParseGBNF(`root ::= ("ab" | "é"){70,}`)
	if err != nil {
		t.Fatal(err)
	}
	m := matcher(t, g, v)
	a, b := m.Start(), m.Start()
	if err := errors.Join(a.AcceptBytes([]byte(strings.Repeat("ab", 71))), b.AcceptBytes([]byte(strings.Repeat("é", 500)))); err != nil {
		t.Fatal(err)
	}
	if a.config != b.config {
		t.Error("the counter does not stop at its minimum")
	}
}

// randomGrammar writes a small grammar.
func randomGrammar(r *rand.Rand) string {
	names := []string{"root", "a", "b", "c"}[:1+r.IntN(4)]
	var item func(depth int) string
	item = func(depth int) string {
		switch n := r.IntN(12); {
		case n < 4:
			return []string{`"a"`, `"b"`, `"ab"`, `"("`, `")"`, `","`, `"é"`, `"x"`}[r.IntN(8)]
		case n < 5:
			return []string{`[ab]`, `[^a]`, `.`, `[a-c1-2]`, `[é日]`}[r.IntN(5)]
		case n < 8:
			return names[r.IntN(len(names))]
		case depth == 0:
			return `"x"`
		}
		inner := "(" + item(depth-1) + " " + item(depth-1)
		if r.IntN(2) == 0 {
			inner += " | " + item(depth-1)
		}
		return inner + ")" + []string{"", "*", "+", "?", "{2}", "{1,3}", "{0,70}", "{66,}"}[r.IntN(8)]
	}
	var b strings.Builder
	for _, n := range names {
		fmt.Fprintf(&b, "%s ::= %s %s", n, item(2), item(1))
		for range r.IntN(3) {
			fmt.Fprintf(&b, " | %s %s", item(1), item(2))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestMaskRandomGrammars(t *testing.T) {
	tok := smallVocabulary()
	v := vocabulary(t, tok)
	r := rand.New(rand.NewPCG(2, 3))
	compiled := 0
	for range 400 {
		src := randomGrammar(r)
		g, err := ParseGBNF(src)
		if errors.Is(err, ErrLeftRecursion) || errors.Is(err, ErrEmpty) {
			continue
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, src)
		}
		compiled++
		o := newOracle(gbnfRules(t, src))
		m := matcher(t, g, v)
		for range 3 {
			s := m.Start()
			var text []byte
			for range 7 {
				allowed := checkMaskOf(t, src, s, o, v, tok, text)
				if len(allowed) == 0 {
					break
				}
				id := allowed[r.IntN(len(allowed))]
				if err := s.Accept(id); err != nil {
					t.Fatal(err)
				}
				text = append(text, tok.TokenBytes(id)...)
			}
		}
	}
	if compiled < 80 {
		t.Fatalf("only %d of the random grammars could be compiled", compiled)
	}
}

// checkMaskOf is checkMask that shows the grammar when it fails.
func checkMaskOf(t testing.TB, src string, s *State, o *oracle, v *Vocabulary, tok tokens, text []byte) []int32 {
	t.Helper()
	done := false
	defer func() {
		if !done {
			t.Logf("grammar:\n%s", src)
		}
	}()
	allowed := checkMask(t, s, o, v, tok, text)
	done = true
	return allowed
}

// TestCacheReset has the caches emptied all the time; states must live on.
func TestCacheReset(t *testing.T) {
	tok := smallVocabulary()
	v := vocabulary(t, tok)
	src := maskGrammars[4]
	g, err := ParseGBNF(src)
	if err != nil {
		t.Fatal(err)
	}
	o := newOracle(gbnfRules(t, src))
	m := matcher(t, g, v)
	s := m.Start()
	m.e.memory.limit = 1 << 11
	var text []byte
	other := s.Clone()
	for _, piece := range []string{"(a", ",b", ")", ",", "((", "a)", ",b", ")"} {
		if err := s.AcceptBytes([]byte(piece)); err != nil {
			t.Fatal(err)
		}
		text = append(text, piece...)
		checkMask(t, s, o, v, tok, text)
		checkMask(t, other, o, v, tok, nil)
	}
	if m.gen == 0 {
		t.Fatal("the cache was never emptied")
	}
}

// TestDepthLimit nests deeper than frames may: closing must still be possible.
func TestDepthLimit(t *testing.T) {
	g, err := ParseGBNF(`root ::= "(" root ")" | "a"`)
	if err != nil {
		t.Fatal(err)
	}
	tok := byteTokens("((", "))", "((((((((")
	v := vocabulary(t, tok)
	m := matcher(t, g, v)
	s := m.Start()
	mask := make([]uint64, v.MaskWords())
	depth := 0
	open, _ := tok.ID("(")
	for ; depth < 2*maxDepth; depth++ {
		if depth > maxDepth-20 {
			if err := s.Mask(mask); err != nil {
				t.Fatal(err)
			}
			for _, id := range []string{"(", "((", "((((((((", "a", ")"} {
				n, _ := tok.ID(id)
				if got := mask[n/64]>>(n%64)&1 != 0; got != s.Allows(n) {
					t.Fatalf("depth %d: Mask allows %q: %v, Accept %v", depth, id, got, !got)
				}
			}
			if mask[open/64]>>(open%64)&1 == 0 {
				break
			}
		}
		if err := s.Accept(open); err != nil {
			t.Fatal(depth, err)
		}
	}
	if depth < maxDepth-2 || depth > maxDepth+2 {
		t.Fatalf("%d levels, expected about %d", depth, maxDepth)
	}
	text, _, err := s.ShortestCompletion()
	if err != nil || string(text) != "a"+strings.Repeat(")", depth) {
		t.Fatalf("%.20q… (%d bytes), %v", text, len(text), err)
	}
}

func TestTokenEdges(t *testing.T) {
	tok := append(byteTokens("<|think|>", "<|end|>", "hello"), "<|other|>")
	v := vocabulary(t, tok)
	id := func(s string) int32 {
		n, ok := tok.ID(s)
		if !ok {
			t.Fatal(s)
		}
		return n
	}
	g, err := ParseGBNF(`root ::= <|think|> thought* <|end|> [a-z]+
thought ::= !<|end|>`)
	if err != nil {
		t.Fatal(err)
	}
	m := matcher(t, g, v)
	s := m.Start()
	if s.Allows(id("hello")) || !s.Allows(id("<|think|>")) || s.Allows(id("<|other|>")) {
		t.Error("only <|think|> may come first")
	}
	for _, x := range []int32{id("<|think|>"), id("hello"), id("Z"), id("<|end|>"), id("hello")} {
		mask := make([]uint64, v.MaskWords())
		if err := s.Mask(mask); err != nil {
			t.Fatal(err)
		}
		for n := range int32(v.Len()) {
			if got := mask[n/64]>>(n%64)&1 != 0; got != s.Allows(n) {
				t.Fatalf("token %d: Mask %v, Accept %v", n, got, !got)
			}
		}
		if err := s.Accept(x); err != nil {
			t.Fatal(err)
		}
	}
	if !s.CanEnd() {
		t.Error("the text is complete")
	}
	s = m.Start()
	text, ids, err := s.ShortestCompletion()
	if err != nil || len(ids) != 3 || ids[0] != id("<|think|>") || ids[1] != id("<|end|>") || len(text) != 1 {
		t.Errorf("%q %v %v", text, ids, err)
	}
	if n, err := s.MinTokensToEnd(); n != 3 || err != nil {
		t.Errorf("%d tokens, %v", n, err)
	}
	for _, src := range []string{"root ::= <nothing>", "root ::= <[9999]>"} {
		g, err := ParseGBNF(src)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := NewMatcher(g, v); !errors.Is(err, ErrVocabulary) {
			t.Errorf("%s: %v", src, err)
		}
	}
	g, err = ParseGBNF("root ::= <[" + fmt.Sprint(id("hello")) + "]> | \"he\"")
	if err != nil {
		t.Fatal(err)
	}
	s = matcher(t, g, v).Start()
	if err := s.Accept(id("hello")); err != nil || !s.Done() {
		t.Error(err)
	}
}
