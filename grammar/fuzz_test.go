package grammar

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"testing"

	"trit/internal/randschema"
)

// known reports whether err wraps a sentinel error of the package.
func known(err error) bool {
	for _, e := range []error{ErrSyntax, ErrUnsupported, ErrEmpty, ErrLeftRecursion, ErrTooLarge, ErrVocabulary, ErrLimit, ErrNoCompletion} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// follow writes the shortest text of a grammar and a random one, and returns those that were
// finished.
func follow(t *testing.T, g *Grammar, seed uint64) (texts [][]byte) {
	v := fuzzVocabulary
	m, err := NewMatcher(g, v)
	if err != nil {
		if !known(err) {
			t.Fatal(err)
		}
		return nil
	}
	text, ids, err := m.Start().ShortestCompletion()
	if err != nil {
		if !known(err) {
			t.Fatal(err)
		}
		return nil
	}
	s := m.Start()
	for _, id := range ids {
		if err := s.Accept(id); err != nil {
			t.Fatalf("token %d of the shortest completion %q: %v", id, text, err)
		}
	}
	if !s.CanEnd() {
		t.Fatalf("the shortest completion %q is not complete", text)
	}
	texts = append(texts, text)

	r := rand.New(rand.NewPCG(seed, 0))
	s = m.Start()
	mask := make([]uint64, v.MaskWords())
	text = nil
	least, err := s.MinTokensToEnd() // more than len(ids) where that is long
	if err != nil {
		t.Fatal(err)
	}
	for left := int(least) + 20; !s.Done() && len(text) < 2000; left-- {
		fits, err := s.MaskWithin(mask, left)
		if errors.Is(err, ErrLimit) {
			return texts
		}
		if err != nil || !fits {
			t.Fatalf("after %q: fits %v, %v", text, fits, err)
		}
		var allowed []int32
		for id := range bitsOf(mask) {
			allowed = append(allowed, id)
		}
		if len(allowed) == 0 {
			t.Fatalf("after %q: nothing is allowed", text)
		}
		id := allowed[r.IntN(len(allowed))]
		if err := s.Accept(id); err != nil {
			if errors.Is(err, ErrLimit) {
				return texts
			}
			t.Fatal(err)
		}
		text = append(text, v.bytes(id)...)
	}
	if s.Done() {
		texts = append(texts, text)
	}
	return texts
}

var fuzzVocabulary, _ = NewVocabulary(byteTokens("ab", "aa", `":`, `","`, "é", "日本", "\x97\xa5", "  ", "12", "true"))

func FuzzParseGBNF(f *testing.F) {
	for _, src := range maskGrammars {
		f.Add(src, uint64(1))
	}
	f.Add("root ::= \"\\x41\\u00e9\\U0001F600\" [^a-z\\n] . (\"b\" | ) a{2,} a{,3} a{4} <[3]> !<a>\na ::= \"x\"? # c", uint64(2))
	f.Add("root ::= root \"a\"", uint64(3))
	f.Fuzz(func(t *testing.T, src string, seed uint64) {
		g, err := ParseGBNF(src)
		if err != nil {
			if !known(err) {
				t.Fatal(err)
			}
			return
		}
		follow(t, g, seed)
	})
}

func FuzzCompileRegexp(f *testing.F) {
	for _, src := range []string{`^a|b$`, `(?:a{2,3}|[^\d-z])*?`, `\p{Lu}\u{1F600}\uD83D\uDE00\x41\cA`, `(a^|b$)+`, `.{0,1000}x`, `[^]`, `a(?=b)b`, `\bfoo`, `^(?=.*[A-Z])(?!b).{2,}$`, `(?i)[[:alpha:]]`} {
		f.Add(src, uint64(1))
	}
	f.Fuzz(func(t *testing.T, src string, seed uint64) {
		g, err := CompileRegexp(src)
		if err != nil {
			if !known(err) {
				t.Fatal(err)
			}
			return
		}
		e, err := parseRegexp(src)
		if err != nil {
			t.Fatal(err)
		}
		if e.has(reLook) {
			if e, err = withoutLooks(nil, reCat(&re{op: reBegin}, e, &re{op: reEnd})); err != nil {
				t.Fatal(err)
			}
		}
		for _, text := range follow(t, g, seed) {
			if len(text) > 200 {
				continue
			}
			if ok, err := reMatches(e, string(text)); err == nil && !ok {
				t.Fatalf("%q does not match %q", text, src)
			}
		}
	})
}

// reMatches reports whether e matches a text as a whole.
func reMatches(e *re, text string) (bool, error) {
	return reCat(&re{op: reBegin}, e, &re{op: reEnd}).matches(nil, text)
}

func FuzzFromJSONSchema(f *testing.F) {
	g := randschema.New(1)
	for range 60 {
		schema, err := json.Marshal(g.Document())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(schema, uint64(1))
	}
	f.Add([]byte(personSchema), uint64(2))
	f.Add([]byte(`{"$id":"x","$ref":"x#/$defs/a","$defs":{"a":{"$anchor":"b","unevaluatedItems":false}}}`), uint64(3))
	f.Fuzz(func(t *testing.T, schema []byte, seed uint64) {
		if len(schema) > 1<<12 {
			return
		}
		g, err := FromJSONSchema(schema, SchemaOptions{})
		if err != nil {
			if !known(err) {
				t.Fatal(err)
			}
			return
		}
		for _, text := range follow(t, g, seed) {
			if !json.Valid(text) {
				t.Fatalf("not JSON: %s", text)
			}
		}
	})
}
