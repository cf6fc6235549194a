package grammar

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// many joins what f returns for 0 … n−1.
func many(n int, separator string, f func(i int) string) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = f(i)
	}
	return strings.Join(parts, separator)
}

// TestCompilingIsBounded compiles sources that are much work for their size.
func TestCompilingIsBounded(t *testing.T) {
	schema := func(s string) func() (*Grammar, error) {
		return func() (*Grammar, error) { return FromJSONSchema([]byte(s), SchemaOptions{Strict: true}) }
	}
	pattern := func(s string) func() (*Grammar, error) { return func() (*Grammar, error) { return CompileRegexp(s) } }
	gbnf := func(s string) func() (*Grammar, error) { return func() (*Grammar, error) { return ParseGBNF(s) } }
	for name, compile := range map[string]func() (*Grammar, error){
		"states":     schema(`{"type":"object","properties":{"a":{"type":"string","pattern":"a[ab]{20}$","minLength":3}}}`),
		"enum":       schema(`{"enum":[` + many(40000, ",", func(i int) string { return fmt.Sprintf(`"v%d"`, i) }) + `]}`),
		"optional":   gbnf("root ::= " + strings.Repeat(`"a"? `, 100000) + `"x"`),
		"groups":     pattern(strings.Repeat(`(a|b|c)?`, 8000)),
		"sets":       pattern("(x^|" + strings.Repeat(`\p{L}`, 13000) + ")"),
		"expression": pattern(strings.Repeat("[a-z]b", 500000)),
		"grammar":    gbnf("root ::= " + strings.Repeat(`"abc" | [a-z] `, 100000) + `"x"`),
		"phrases": func() (*Grammar, error) {
			return Lexical(strings.Fields(many(14, " ", func(i int) string { return fmt.Sprint("word", i) }))...)
		},
		"properties": schema(`{"properties":{` + many(5000, ",", func(i int) string { return fmt.Sprintf(`"v%d":{}`, i) }) + `}}`),
	} {
		if _, err := compile(); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v, want ErrTooLarge", name, err)
		}
	}
}

// TestMeter: what is spent beyond the limit ends a compilation, other panics do not become
// errors.
func TestMeter(t *testing.T) {
	compile := func(n int) (err error) {
		m := newMeter()
		defer m.stop(&err)
		m.spend(n)
		return nil
	}
	if err := compile(maxCompileWork); err != nil {
		t.Error(err)
	}
	if err := compile(maxCompileWork + 1); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%v, want ErrTooLarge", err)
	}
	defer func() {
		if recover() != "other" {
			t.Error("another panic was swallowed")
		}
	}()
	var err error
	defer new(meter).stop(&err)
	panic("other")
}

// TestFollowingIsBounded: a text that takes much work at every token ends with an error, and
// a long ordinary one does not.
func TestFollowingIsBounded(t *testing.T) {
	v := fuzzVocabulary
	mask := make([]uint64, v.MaskWords())
	write := func(g *Grammar, err error, tokens int) error {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		s := matcher(t, g, v).Start()
		for n := range tokens {
			if _, err := s.MaskWithin(mask, tokens-n); err != nil {
				return err
			}
			id := int32(-1)
			for allowed := range bitsOf(mask) {
				if id = allowed; int(allowed)%7 == n%7 {
					break
				}
			}
			if err := s.Accept(id); err != nil {
				return err
			}
			if s.Ended() {
				break
			}
		}
		return nil
	}
	g, err := ParseGBNF(`root ::= ([^x\n]{100,100000}[a-z]{100,100000}){0,1000}`)
	if err := write(g, err, 2000); !errors.Is(err, ErrLimit) {
		t.Errorf("an ambiguous grammar: %v, want ErrLimit", err)
	}
	if err := write(JSON(WhitespaceLimited), nil, 20000); err != nil {
		t.Errorf("JSON: %v", err)
	}
	g, err = FromJSONSchema([]byte(`{"type":"array","minItems":500,"items":{"type":"object","required":["a","b"],
		"properties":{"a":{"type":"string","maxLength":60},"b":{"type":"string","format":"date-time"}}}}`), SchemaOptions{})
	if err := write(g, err, 20000); err != nil {
		t.Errorf("a list of objects: %v", err)
	}
}
