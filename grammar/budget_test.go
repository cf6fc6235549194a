package grammar

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
)

// fewest returns the least number of tokens that complete a text, by trying all of them.
func fewest(t testing.TB, m *Matcher, limit int) int {
	t.Helper()
	level := []*State{m.Start()}
	for n := 0; n <= limit; n++ {
		seen := map[*config]bool{}
		var next []*State
		for _, s := range level {
			if s.CanEnd() {
				return n
			}
			for id := range int32(m.Vocabulary().Len()) {
				if u := s.Clone(); u.Accept(id) == nil && !u.Ended() && !seen[u.config] {
					seen[u.config] = true
					next = append(next, u)
				}
			}
		}
		level = next
	}
	t.Fatalf("no completion in %d tokens", limit)
	return 0
}

func TestMinTokensToEnd(t *testing.T) {
	for _, tc := range []struct {
		src   string
		tok   tokens
		exact bool // the shortest completion in bytes is that in tokens
	}{
		{`root ::= "abcabc"`, byteTokens("abc", "ca", "bcab"), true},
		{`root ::= "aab" | "abb"`, byteTokens("ab", "abb"), true},
		{`root ::= [a-c]{5,9}`, byteTokens("aa", "bbb", "abc"), true},
		{`root ::= "ab" | "abc"`, byteTokens("abc"), false},
		{`root ::= "é" root | "日本"`, byteTokens("\xe6\x97", "\xa5\xe6\x9c", "日"), true},
		{`root ::= ""`, byteTokens(), true},
		{`root ::= "aaaa" | "b"{6}`, tokens{"aaa", "bb", "b"}, false},
	} {
		g, err := ParseGBNF(tc.src)
		if err != nil {
			t.Fatal(err)
		}
		m := matcher(t, g, vocabulary(t, tc.tok))
		least := int64(fewest(t, m, 9))
		got, err := m.Start().MinTokensToEnd()
		if err != nil || got < least || tc.exact && got != least {
			t.Errorf("%s: %d tokens, %v, at least %d", tc.src, got, err, least)
		}
		text, ids, err := m.Start().ShortestCompletion()
		if err != nil || int64(len(ids)) != got {
			t.Errorf("%s: %d tokens %v, expected %d", tc.src, len(ids), err, got)
		}
		s := m.Start()
		for _, id := range ids {
			if err := s.Accept(id); err != nil {
				t.Fatal(err)
			}
		}
		if !s.CanEnd() || !accepts(t, g, string(text)) {
			t.Errorf("%s: %q is not complete", tc.src, text)
		}
	}
}

// TestMaskWithinExact: with a byte vocabulary the tokens that fit are known.
func TestMaskWithinExact(t *testing.T) {
	g, err := ParseGBNF(`root ::= "(" root ")" | [a-z]*`)
	if err != nil {
		t.Fatal(err)
	}
	tok := byteTokens()
	v := vocabulary(t, tok)
	s := matcher(t, g, v).Start()
	if err := s.AcceptBytes([]byte("((")); err != nil {
		t.Fatal(err)
	}
	mask := make([]uint64, v.MaskWords())
	for left, want := range []struct {
		fits            bool
		open, letter, x bool
	}{{false, false, false, false}, {false, true, true, true}, {true, false, false, true}, {true, false, true, true}, {true, true, true, true}} {
		fits, err := s.MaskWithin(mask, left)
		if err != nil {
			t.Fatal(err)
		}
		has := func(c byte) bool { return mask[c/64]>>(c%64)&1 != 0 }
		if fits != want.fits || has('(') != want.open || has('q') != want.letter || has(')') != want.x {
			t.Errorf("%d left: fits %v, ( %v, letters %v, ) %v; expected %v", left, fits, has('('), has('q'), has(')'), want)
		}
	}
}

// TestNoCompletion: a vocabulary without some bytes.
func TestNoCompletion(t *testing.T) {
	g, err := ParseGBNF(`root ::= "ab" | "cdd" | "x" "y"`)
	if err != nil {
		t.Fatal(err)
	}
	v := vocabulary(t, tokens{"a", "cd", "d", "x"})
	if v.Complete() {
		t.Error("the vocabulary lacks most bytes")
	}
	m := matcher(t, g, v)
	s := m.Start()
	if n, err := s.MinTokensToEnd(); n != 2 || err != nil {
		t.Errorf("%d tokens, %v, expected 2", n, err)
	}
	mask := make([]uint64, v.MaskWords())
	if fits, err := s.MaskWithin(mask, 5); err != nil || !fits || mask[0] != 1<<1 {
		t.Errorf("%v %b %v, expected only token 1", fits, mask, err)
	}
	if text, ids, err := s.ShortestCompletion(); string(text) != "cdd" || len(ids) != 2 || err != nil {
		t.Errorf("%q %v %v", text, ids, err)
	}
	if err := s.Accept(0); err != nil {
		t.Fatal(err)
	}
	if _, err := s.MinTokensToEnd(); !errors.Is(err, ErrNoCompletion) {
		t.Errorf("after a: %v, expected ErrNoCompletion", err)
	}
	if _, _, err := s.ShortestCompletion(); !errors.Is(err, ErrNoCompletion) {
		t.Errorf("after a: %v, expected ErrNoCompletion", err)
	}
	if fits, err := s.MaskWithin(mask, 100); fits || err != nil {
		t.Errorf("after a: %v %v", fits, err)
	}
}

// TestLongCompletion: beyond the limit of the search, bytes count as tokens.
func TestLongCompletion(t *testing.T) {
	g := schemaGrammar(t, `{"type":"string","minLength":10000}`, SchemaOptions{})
	v := vocabulary(t, byteTokens("aaaaaaaa"))
	m := matcher(t, g, v)
	s := m.Start()
	if n, err := s.MinTokensToEnd(); n != 10002 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	text, ids, err := s.ShortestCompletion()
	if err != nil || len(text) != 10002 || len(ids) > 3000 || !accepts(t, g, string(text)) {
		t.Errorf("%d bytes, %d tokens, %v", len(text), len(ids), err)
	}
	mask := make([]uint64, v.MaskWords())
	for _, left := range []int{10001, 10002, math.MaxInt} {
		if fits, err := s.MaskWithin(mask, left); fits != (left > 10001) || err != nil {
			t.Errorf("%d left: %v, %v", left, fits, err)
		}
	}
	g = schemaGrammar(t, `{"type":"string","minLength":1000000000}`, SchemaOptions{})
	if _, _, err := matcher(t, g, v).Start().ShortestCompletion(); !errors.Is(err, ErrLimit) {
		t.Errorf("%v, expected ErrLimit", err)
	}
}

const personSchema = `{"type":"object","properties":{"name":{"type":"string","maxLength":40},"email":{"type":"string","format":"email"},"age":{"type":"integer","minimum":0,"maximum":150},
"tags":{"type":"array","items":{"type":"string"},"maxItems":5},"address":{"type":"object","properties":{"street":{"type":"string"},"zip":{"type":"string","pattern":"^\\d{5}$"}},"required":["street","zip"]},
"kind":{"enum":["customer","supplier","partner"]},"score":{"type":"number","minimum":0,"maximum":1},"active":{"type":"boolean"}},
"required":["name","email","age","tags","address","kind","score","active"],"additionalProperties":false}`

// TestRealVocabularies steers random texts to their end with published vocabularies.
func TestRealVocabularies(t *testing.T) {
	for name, load := range map[string]func(testing.TB) *Vocabulary{"byte-level": llamaBPE, "SentencePiece": llamaSPM} {
		t.Run(name, func(t *testing.T) {
			v := load(t)
			if !v.Complete() {
				t.Error("some byte has no token")
			}
			r := rand.New(rand.NewPCG(9, 9))
			for _, schema := range []string{personSchema, `{"type":"array","items":{"type":"string","minLength":1},"minItems":2}`} {
				g := schemaGrammar(t, schema, SchemaOptions{})
				m := matcher(t, g, v)
				for _, extra := range []int{0, 1, 10, 60} {
					text := walk(t, m, r, extra)
					if !json.Valid(text) {
						t.Errorf("not JSON: %s", text)
					}
				}
			}
		})
	}
}

// TestRealMasks compares masks with what Accept says of every token.
func TestRealMasks(t *testing.T) {
	v := llamaBPE(t)
	m := matcher(t, schemaGrammar(t, personSchema, SchemaOptions{}), v)
	s := m.Start()
	mask := make([]uint64, v.MaskWords())
	for _, piece := range []string{"", `{"name": "Zoë`, ` O'Neill 日`, `", "email": "a.b@c.de", "age": 3`, `, "tags": ["x", "`, `y"], "address": {"street": "`, `S", "zip": "12`} {
		if err := s.AcceptBytes([]byte(piece)); err != nil {
			t.Fatal(err)
		}
		if err := s.Mask(mask); err != nil {
			t.Fatal(err)
		}
		for id := range int32(v.Len()) {
			if got := mask[id/64]>>(id%64)&1 != 0; got != s.Allows(id) {
				t.Fatalf("after %q: token %d (%q): Mask %v, Accept %v", piece, id, v.bytes(id), got, !got)
			}
		}
	}
}

// TestTornCharacters writes characters by the byte tokens of a SentencePiece vocabulary.
func TestTornCharacters(t *testing.T) {
	v := llamaSPM(t)
	g, err := CompileRegexp(`[😀-😂]é?`)
	if err != nil {
		t.Fatal(err)
	}
	s := matcher(t, g, v).Start()
	mask := make([]uint64, v.MaskWords())
	for _, want := range []string{"\xf0", "\x9f", "\x98", "\x80\x81\x82"} {
		if err := s.Mask(mask); err != nil {
			t.Fatal(err)
		}
		got := ""
		var last int32
		for id := range bitsOf(mask) {
			if b := v.bytes(id); len(b) == 1 {
				got, last = got+string(b), id
			}
		}
		if got != want {
			t.Errorf("%q, expected %q", got, want)
		}
		if err := s.Accept(last); err != nil {
			t.Fatal(err)
		}
	}
	if !s.CanEnd() || s.Done() {
		t.Error("é may follow")
	}
}

func TestConcurrentStates(t *testing.T) {
	g := schemaGrammar(t, personSchema, SchemaOptions{})
	m := matcher(t, g, vocabulary(t, byteTokens(`":`, `","`)))
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			if text := walk(t, m, r, 50); !json.Valid(text) {
				t.Errorf("%s", text)
			}
		})
	}
	wg.Wait()
}

func TestStateEnds(t *testing.T) {
	g, err := Choice("yes", "yes!", "no")
	if err != nil {
		t.Fatal(err)
	}
	tok := tokens{"yes", "no", "!", "n", "o"}
	v := vocabulary(t, tok)
	s := matcher(t, g, v).Start()
	eog := int32(len(tok))
	if s.CanEnd() || s.Allows(eog) || s.Done() || s.MinBytesToEnd() != 2 {
		t.Error("nothing is written yet")
	}
	if err := s.Accept(eog); !errors.Is(err, ErrRejected) {
		t.Error(err)
	}
	for _, id := range []int32{-1, 99} {
		if err := s.Accept(id); !errors.Is(err, ErrRejected) {
			t.Error(err)
		}
	}
	if err := s.Accept(0); err != nil {
		t.Fatal(err)
	}
	fork := s.Clone()
	if err := fork.Accept(2); err != nil || !fork.Done() || fork.Ended() {
		t.Error(err, "nothing can follow yes!")
	}
	if s.Done() || !s.CanEnd() || !s.Allows(2) || s.Allows(1) {
		t.Error("a clone changed its original, or yes is not complete")
	}
	mask := make([]uint64, v.MaskWords())
	if err := s.Mask(mask); err != nil || mask[0] != 1<<2|1<<eog {
		t.Errorf("%b %v", mask, err)
	}
	if err := s.Accept(eog); err != nil || !s.Done() || !s.Ended() || s.CanEnd() {
		t.Error(err)
	}
	if err := s.Mask(mask); err != nil || mask[0] != 0 {
		t.Errorf("%b %v after the end", mask, err)
	}
	if err := s.AcceptBytes([]byte("!")); !errors.Is(err, ErrRejected) {
		t.Error(err)
	}
	if err := s.Mask(nil); !errors.Is(err, ErrMask) {
		t.Error(err)
	}
	if err := s.AcceptBytes(nil); err != nil {
		t.Error(err)
	}
}

func TestLexical(t *testing.T) {
	g, err := Lexical("red fox", "fox hound", "é")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{"a red fox hound é": true, "é fox hound, red fox": true, "red fox é": false, "": false, "red fo fox hound é": false} {
		if accepts(t, g, text) != want {
			t.Errorf("%q: expected %v", text, want)
		}
	}
	v := vocabulary(t, byteTokens("fox", " hound", "red"))
	text := walk(t, matcher(t, g, v), rand.New(rand.NewPCG(1, 1)), 5)
	if !strings.Contains(string(text), "red fox") || !strings.Contains(string(text), "fox hound") || !strings.Contains(string(text), "é") {
		t.Errorf("%q", text)
	}
	var many []string
	for i := range 30 {
		many = append(many, strings.Repeat(string(rune('a'+i%26)), 5)+itoa(i))
	}
	if _, err := Lexical(many...); !errors.Is(err, ErrTooLarge) {
		t.Errorf("30 phrases: %v", err)
	}
	if _, err := Lexical("\xff"); !errors.Is(err, ErrSyntax) {
		t.Error(err)
	}
	if _, err := Choice(); !errors.Is(err, ErrEmpty) {
		t.Error(err)
	}
	if _, err := Choice("a", "\xff"); !errors.Is(err, ErrSyntax) {
		t.Error(err)
	}
}

func TestVocabularyErrors(t *testing.T) {
	if _, err := NewVocabulary(tokens{strings.Repeat("x", maxTokenBytes+1)}); !errors.Is(err, ErrVocabulary) {
		t.Error(err)
	}
	if _, err := NewVocabulary(tokens{"a"}, 7); !errors.Is(err, ErrVocabulary) {
		t.Error(err)
	}
	if _, err := vocabulary(t, tokens{"a"}).Restrict([]int32{-1}); !errors.Is(err, ErrVocabulary) {
		t.Error(err)
	}
	v, err := NewVocabulary(tokens{"a", "b", "ab", "c"}, 2)
	if err != nil {
		t.Fatal(err)
	}
	mask := make([]uint64, v.MaskWords())
	if err := matcher(t, Text(), v).Start().Mask(mask); err != nil || mask[0] != 0b11011 {
		t.Errorf("%b %v", mask, err)
	}
	if v, err = v.Restrict([]int32{0, 2, 3}); err != nil {
		t.Fatal(err)
	}
	if err := matcher(t, Text(), v).Start().Mask(mask); err != nil || mask[0] != 0b11001 {
		t.Errorf("%b %v", mask, err)
	}
}
