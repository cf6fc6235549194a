package grammar

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
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

// FuzzTools compiles what the calls of any tools look like: texts that are found to be calls have the name of a tool,
// and arguments that are JSON.
func FuzzTools(f *testing.F) {
	const city = `{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer","minimum":1}},"required":["city"]}`
	f.Add("weather", []byte(city), "now", []byte(nil), uint8(0), uint64(1))
	f.Add("weather", []byte(`true`), "w\"\\\n", []byte(`{"$ref":"#"}`), uint8(7), uint64(2))
	f.Add("</tool_call>", []byte(`{"anyOf":[{"type":"object"},{"type":"null"}]}`), "日本", []byte(`{"additionalProperties":false}`), uint8(13), uint64(3))
	f.Add("a", []byte(`{"enum":[{"a":"</tool_call>"}]}`), "a", []byte(`{`), uint8(2), uint64(4))
	f.Add("[TOOL_CALLS]", []byte(`{"type":"string"}`), "", []byte(`{"pattern":"("}`), uint8(34), uint64(5))
	f.Fuzz(func(t *testing.T, name string, parameters []byte, other string, more []byte, options uint8, seed uint64) {
		tools := []Tool{{Name: name, Parameters: parameters, Strict: options&64 != 0}}
		if options&32 == 0 {
			tools = append(tools, Tool{Name: other, Parameters: more})
		}
		o := ToolOptions{Format: ToolFormat(options % 3), Optional: options&4 != 0, Parallel: options&8 != 0,
			Schema: SchemaOptions{Strict: options&16 != 0}}
		g, err := Tools(tools, o)
		if err != nil {
			if !known(err) {
				t.Fatal(err)
			}
			return
		}
		for _, text := range follow(t, g, seed) {
			if o.Optional || o.Parallel {
				continue
			}
			call := strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(strings.TrimPrefix(string(text), hermesOpen)), hermesClose))
			if o.Format == ToolsMistral {
				call = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(strings.TrimPrefix(call, mistralOpen)), "["), "]")
			}
			var c struct {
				Name                  string
				Arguments, Parameters map[string]any
			}
			if err := json.Unmarshal([]byte(call), &c); err != nil || c.Name != name && c.Name != other {
				t.Fatalf("%q is no call of %q or %q: %v", text, name, other, err)
			}
		}
	})
}
