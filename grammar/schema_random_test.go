package grammar

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"

	"trit/internal/randschema"
)

// walk chooses tokens at random within a limit of min+extra tokens, where min is the least
// possible, and returns the text.
func walk(t testing.TB, m *Matcher, r *rand.Rand, extra int) []byte {
	t.Helper()
	s := m.Start()
	least, err := s.MinTokensToEnd()
	if err != nil {
		t.Fatal(err)
	}
	v := m.Vocabulary()
	mask := make([]uint64, v.MaskWords())
	var text []byte
	var allowed []int32
	for left := int(least) + extra; !s.Done(); left-- {
		fits, err := s.MaskWithin(mask, left)
		if err != nil {
			t.Fatal(err)
		}
		if !fits {
			t.Fatalf("after %q: no completion fits into %d tokens", text, left)
		}
		allowed = allowed[:0]
		for id := range bitsOf(mask) {
			allowed = append(allowed, id)
		}
		if len(allowed) == 0 {
			t.Fatalf("after %q: no token is allowed, %d left", text, left)
		}
		id := allowed[r.IntN(len(allowed))]
		if err := s.Accept(id); err != nil {
			t.Fatal(err)
		}
		text = append(text, v.bytes(id)...)
	}
	return text
}

// randomSchemas is how many random schemas the test goes through.
const randomSchemas = 1000

// TestRandomSchemas has random texts written under masks, near their limits, and
// checks them with another implementation of JSON Schema.
func TestRandomSchemas(t *testing.T) {
	v := vocabulary(t, byteTokens(`":`, `","`, `"}`, `{"`, "123", "true", "null", "[]", "é\"", "ab", "aa", "  ", ": ", ", ", "\n ", "0.", "-1", "20", `\u00`, "日本"))
	r := rand.New(rand.NewPCG(4, 5))
	g := randschema.New(4)
	count := map[string]int{}
	for n := range randomSchemas {
		schema, err := json.Marshal(g.Document())
		if err != nil {
			t.Fatal(err)
		}
		options := SchemaOptions{Whitespace: Whitespace(r.IntN(2)), OpenObjects: r.IntN(2) == 0, Strict: r.IntN(2) == 0}
		grammar, err := FromJSONSchema(schema, options)
		switch {
		case errors.Is(err, ErrUnsupported), errors.Is(err, ErrEmpty), errors.Is(err, ErrTooLarge), errors.Is(err, ErrSyntax):
			for _, e := range []error{ErrUnsupported, ErrEmpty, ErrTooLarge, ErrSyntax} {
				if errors.Is(err, e) {
					count[e.Error()]++
				}
			}
			continue
		case err != nil:
			t.Fatalf("%v\n%s", err, schema)
		}
		if _, err := FromJSONSchema(schema, SchemaOptions{Strict: true}); errors.Is(err, ErrSyntax) {
			count["leads back to itself"]++
			continue // the other validator would never end
		}
		var js jsonschema.Schema
		if err := json.Unmarshal(schema, &js); err != nil {
			t.Fatal(err)
		}
		validator, err := js.Resolve(nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, schema)
		}
		count["compiled"]++
		m := matcher(t, grammar, v)
		for range 3 {
			text := walk(t, m, r, r.IntN(60))
			var value any
			if err := json.Unmarshal(text, &value); err != nil {
				t.Fatalf("schema %d: %v\n%s\n%s", n, err, schema, text)
			}
			wrong, checked := validator.Validate(value), grammar.Check("", text)
			if wrong != nil && len(grammar.Relaxed()) == 0 || wrong == nil && errors.Is(checked, ErrInvalid) || wrong != nil && checked == nil {
				t.Fatalf("schema %d: %v, while Check says %v\n%s\n%s", n, wrong, checked, schema, text)
			}
			if wrong != nil {
				count["relaxed and wrong"]++
			}
			count["texts"]++
		}
	}
	t.Log(count)
	if count["compiled"] < randomSchemas/2 {
		t.Errorf("only %d of %d schemas could be compiled: %v", count["compiled"], randomSchemas, count)
	}
}
