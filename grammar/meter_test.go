package grammar

import (
	"context"
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
		"states":     schema(`{"type":"object","properties":{"a":{"type":"string","pattern":"a[ab]{20}$","minLength":30}}}`),
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

// endingContext ends when its error has been asked for a number of times.
type endingContext struct {
	context.Context
	left int
}

func (c *endingContext) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// TestCompilersEnd: compiling stops when the context is first seen to have ended.
func TestCompilersEnd(t *testing.T) {
	schema := []byte(`{"type":"object","properties":{"a":{"type":"string","pattern":"a[ab]{7}$","minLength":30}}}`)
	words := strings.Fields(many(11, " ", func(i int) string { return fmt.Sprint("word", i) }))
	for name, compile := range map[string]func(c Compiler) (*Grammar, error){
		"GBNF": func(c Compiler) (*Grammar, error) {
			return c.ParseGBNF("root ::= " + strings.Repeat(`"abc" | [a-z] `, 5000))
		},
		"regexp": func(c Compiler) (*Grammar, error) { return c.CompileRegexp(strings.Repeat("[a-z]b", 5000)) },
		"choice": func(c Compiler) (*Grammar, error) {
			return c.Choice(strings.Repeat("a", 5000), strings.Repeat("b", 5000))
		},
		"phrases": func(c Compiler) (*Grammar, error) { return c.Lexical(words[:6]...) },
		"schema":  func(c Compiler) (*Grammar, error) { return c.FromJSONSchema(schema, SchemaOptions{Strict: true}) },
		"tools": func(c Compiler) (*Grammar, error) {
			return c.Tools([]Tool{{Name: "f", Parameters: schema}}, ToolOptions{})
		},
	} {
		whole := &endingContext{t.Context(), 1 << 30}
		if _, err := compile(Until(whole)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		looks := 1<<30 - whole.left
		if looks < 4 {
			t.Errorf("%s: looks at its context %d times", name, looks)
		}
		for _, n := range []int{0, looks / 2, looks - 1} {
			ctx := &endingContext{t.Context(), n}
			if _, err := compile(Until(ctx)); !errors.Is(err, context.Canceled) || ctx.left != -1 {
				t.Errorf("%s: %v after %d looks, want the error of the context after %d", name, err, n-ctx.left, n+1)
			}
		}
	}
}

// TestCheckEnds: whether a value satisfies its schema is left undecided when the context ends.
func TestCheckEnds(t *testing.T) {
	list := many(2000, ",", func(i int) string { return fmt.Sprint(i) })
	g, err := FromJSONSchema([]byte(`{"type":"array","uniqueItems":true,"items":{"not":{"enum":["`+strings.Repeat("a", 99)+`"]}}}`), SchemaOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := Until(t.Context()).Check(g, "", []byte("["+list+"]")); err != nil {
		t.Error(err)
	}
	ctx := &endingContext{t.Context(), 0}
	if err := Until(ctx).Check(g, "", []byte("["+list+"]")); !errors.Is(err, ErrUndecided) || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that it is undecided", err)
	}
}

// TestLongEnums: an enum, or what it excludes, may have thousands of values.
func TestLongEnums(t *testing.T) {
	values := many(20000, ",", func(i int) string { return fmt.Sprintf(`"v%d"`, i) })
	g, err := FromJSONSchema([]byte(`{"enum":[`+values+`,"v"],"not":{"enum":[`+values+`]}}`), SchemaOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for text, valid := range map[string]bool{`"v"`: true, `"v7"`: false, `"w"`: false} {
		if err := g.Check("", []byte(text)); (err == nil) != valid {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestMeter: what is spent beyond the limit ends a compilation, other panics do not become
// errors.
func TestMeter(t *testing.T) {
	compile := func(n int) (err error) {
		m := newMeter()
		defer stop(&err)
		m.Spend(n)
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
	defer stop(&err)
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
