package grammar

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestSchemaDialects: keywords of older drafts and of OpenAPI mean what they meant there.
func TestSchemaDialects(t *testing.T) {
	type list = []string
	for _, tc := range []struct {
		schema  string
		yes, no list
	}{
		{`{"type":"array","items":[{"type":"number"},{"type":"boolean"}],"additionalItems":false}`,
			list{`[]`, `[1]`, `[1,true]`}, list{`[true]`, `[1,true,1]`}},
		{`{"type":"array","items":[{"type":"number"}],"additionalItems":{"type":"null"},"minItems":2}`,
			list{`[1,null]`, `[1,null,null]`}, list{`[1]`, `[1,1]`}},
		{`{"type":"array","items":{"type":"null"},"additionalItems":false}`, list{`[null,null]`}, list{`[1]`}},
		{`{"type":"integer","minimum":3,"exclusiveMinimum":true,"maximum":5,"exclusiveMaximum":false}`, list{`4`, `5`}, list{`3`, `6`}},
		{`{"type":"integer","exclusiveMinimum":true}`, list{`0`}, list{`null`}},
		{`{"type":"string","nullable":true}`, list{`"a"`, `null`}, list{`1`}},
		{`{"type":"string","nullable":false}`, list{`"a"`}, list{`null`}},
		{`{"enum":["a"],"nullable":true}`, list{`"a"`, `null`}, list{`"b"`}},
		{`{"allOf":[{"$ref":"#/$defs/a"}],"nullable":true,"$defs":{"a":{"type":"integer"}}}`, list{`5`, `null`}, list{`"a"`}},
		{`{"type":"object","properties":{"a":true,"b":true,"c":true},"dependencies":{"a":["b"],"c":{"required":["a"]}}}`,
			list{`{}`, `{"b":1}`, `{"a":1,"b":1,"c":1}`}, list{`{"a":1}`, `{"c":1}`, `{"a":1,"c":1}`}},
		{`{"id":"http://example.com/root.json","$ref":"#/definitions/a","definitions":{"a":{"type":"null"}}}`, list{`null`}, list{`1`}},
		{`{"$ref":"#foo","definitions":{"a":{"id":"#foo","type":"null"}}}`, list{`null`}, list{`1`}},
		{`{"$schema":"http://json-schema.org/draft-07/schema#","$ref":"#/definitions/a","type":"string","definitions":{"a":{"type":"null"}}}`, list{`null`}, list{`"a"`}},
		{`{"$id":"http://example.com/a/","$defs":{"x":{"$id":"x.json","$defs":{"y":{"type":"null"}},"$ref":"#/$defs/y"}},"$ref":"x.json"}`, list{`null`}, list{`1`}},
		{`{"$defs":{"x":{"$id":"http://example.com/x","$anchor":"y","type":"null"}},"$ref":"http://example.com/x#y"}`, list{`null`}, list{`1`}},
		{`{"$recursiveRef":"#/$defs/a","$defs":{"a":{"type":"null"}}}`, list{`null`}, list{`1`}},
		{`{"type":"array","items":{"$dynamicRef":"#n"},"$dynamicAnchor":"n"}`, list{`[]`, `[[],[[]]]`}, list{`[1]`}},
		{`{"oneOf":[{"$ref":"#/components/Cat"},{"$ref":"#/components/Dog"}],"discriminator":{"propertyName":"kind","mapping":{"cat":"#/components/Cat","dog":"Dog"}},
			"components":{"Cat":{"type":"object","properties":{"kind":{"type":"string"}}},"Dog":{"type":"object","properties":{"kind":{"type":"string"},"bark":{"type":"null"}}}}}`,
			list{`{"kind":"cat"}`, `{"kind":"dog","bark":null}`}, list{`{"kind":"cat","bark":null}`, `{"kind":"cow"}`, `{}`}},
		{`{"type":"object","properties":{"a":{"type":"null","required":true},"b":{"type":"any"}}}`, list{`{"a":null}`, `{"a":null,"b":1}`}, list{`{}`, `{"b":1}`}},
		{`{"type":"object","properties":{"a":{"type":"null"}},"required":null,"enum":null,"anyOf":[]}`, list{`{}`, `{"a":null}`}, list{`{"b":1}`, `1`}},
		{`{"type":"string","maxLength":9007199254740991}`, list{`"a"`}, list{`1`}},
		{`{"type":"string","format":"password","example":"x","markdownDescription":"y"}`, list{`"a"`}, list{`1`}},
		// What is unevaluated depends on the branch that was taken.
		{`{"type":"object","allOf":[{"properties":{"a":{"type":"null"}}}],"properties":{"b":{"type":"null"}},"unevaluatedProperties":false}`,
			list{`{}`, `{"a":null,"b":null}`}, list{`{"c":1}`, `{"a":1}`}},
		{`{"type":"object","anyOf":[{"properties":{"a":{"const":1}},"required":["a"]},{"properties":{"b":true},"required":["b"]}],"unevaluatedProperties":{"type":"null"}}`,
			list{`{"a":1}`, `{"a":1,"x":null}`, `{"b":2}`}, list{`{"a":1,"x":2}`, `{}`}},
		{`{"type":"object","not":{"not":{"properties":{"a":{"type":"null"}},"required":["a"]}},"unevaluatedProperties":false}`, list{}, list{`{"a":null}`}},
		{`{"type":"array","allOf":[{"prefixItems":[{"type":"null"}]}],"unevaluatedItems":{"type":"integer"}}`, list{`[null,1]`, `[]`}, list{`[1]`, `[null,null]`}},
	} {
		g, err := FromJSONSchema([]byte(tc.schema), SchemaOptions{})
		if err != nil {
			if !errors.Is(err, ErrEmpty) || len(tc.yes) > 0 {
				t.Errorf("%s: %v", tc.schema, err)
			}
			continue
		}
		if r := g.Relaxed(); len(r) > 0 {
			t.Errorf("%s: relaxed %v", tc.schema, r)
		}
		for _, x := range tc.yes {
			if err := g.Check("", []byte(x)); err != nil || !accepts(t, g, x) {
				t.Errorf("%s does not accept %s (%v)", tc.schema, x, err)
			}
		}
		for _, x := range tc.no {
			if accepts(t, g, x) {
				t.Errorf("%s accepts %s", tc.schema, x)
			}
		}
	}
}

// TestRelaxed: what a grammar cannot hold to is left out in its place, named, and found by Check. Strict
// options refuse it.
func TestRelaxed(t *testing.T) {
	for _, tc := range []struct {
		schema, place    string
		right, wrong, no string // wrong: accepted, but not valid
	}{
		{`{"type":"array","items":{"type":"integer"},"uniqueItems":true}`, "#/uniqueItems", `[1,2]`, `[1,1]`, `["a"]`},
		{`{"type":"object","properties":{"a":{"type":"string","pattern":"^(.)\\1$"}},"required":["a"]}`,
			"#/properties/a/pattern", "", "", `{"a":1}`},
		{`{"$ref":"https://example.com/other.json","type":"integer"}`, "#/$ref", "", "", `"a"`},
		{`{"$ref":"#/$defs/missing","type":"integer"}`, "#/$ref", "", "", `"a"`},
		{`{"oneOf":[{"type":"integer","multipleOf":3},{"type":"integer","multipleOf":5}]}`, "#/oneOf", `6`, `15`, `"a"`},
		{`{"type":"integer","not":{"multipleOf":3}}`, "#/not", `4`, `3`, `"a"`},
		{`{"type":"integer","if":{"multipleOf":3},"then":{"maximum":5},"else":{"maximum":9}}`, "#/if", `3`, `6`, `10`},
		{`{"type":"array","not":{"const":[1]}}`, "#/not", `[2]`, `[1]`, `"a"`},
		{`{"type":"integer","multipleOf":123457}`, "#/multipleOf", `123457`, `5`, `"a"`},
		{`{"type":"array","contains":{"type":"null"},"allOf":[{"contains":{"const":1}}]}`, "#/allOf/0/contains", `[null,1]`, `[null]`, `[]`},
		{`{"type":"string","minlength":3}`, "#/minlength", `"a"`, "", `1`},
	} {
		g, err := FromJSONSchema([]byte(tc.schema), SchemaOptions{})
		if err != nil {
			t.Errorf("%s: %v", tc.schema, err)
			continue
		}
		if r := g.Relaxed(); len(r) != 1 || r[0].Place() != tc.place || r[0].Reason == "" {
			t.Errorf("%s: relaxed %v, expected %s", tc.schema, r, tc.place)
		}
		if tc.right != "" {
			if err := g.Check("", []byte(tc.right)); err != nil || !accepts(t, g, tc.right) {
				t.Errorf("%s does not accept %s (%v)", tc.schema, tc.right, err)
			}
		}
		if tc.wrong != "" {
			if err := g.Check("", []byte(tc.wrong)); !errors.Is(err, ErrInvalid) || !accepts(t, g, tc.wrong) {
				t.Errorf("%s: %s: %v, expected that the grammar accepts it and Check does not", tc.schema, tc.wrong, err)
			}
		}
		if accepts(t, g, tc.no) {
			t.Errorf("%s accepts %s", tc.schema, tc.no)
		}
		if _, err := FromJSONSchema([]byte(tc.schema), SchemaOptions{Strict: true}); !known(err) {
			t.Errorf("%s, strict: %v", tc.schema, err)
		}
	}
}

// TestCheckUndecided: what is not understood leaves a value open, unless something else decides.
func TestCheckUndecided(t *testing.T) {
	for value, want := range map[string]error{`"aa"`: ErrUndecided, `1`: ErrInvalid, `null`: nil, `{`: ErrSyntax} {
		g := schemaGrammar(t, `{"anyOf":[{"type":"string","pattern":"^(.)\\1$"},{"type":"null"}]}`, SchemaOptions{})
		if err := g.Check("", []byte(value)); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%s: %v, expected %v", value, err, want)
		}
	}
}

// TestConcurrentChecks: several may use the expressions of one grammar.
func TestConcurrentChecks(t *testing.T) {
	g := schemaGrammar(t, `{"type":"array","items":{"type":"string","pattern":"^(a|ab)*c"}}`, SchemaOptions{})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := range 50 {
				item := strings.Repeat("ab", i+n)
				if err := g.Check("", []byte(`["`+item+`c"]`)); err != nil {
					t.Error(err)
				}
				if err := g.Check("", []byte(`["c","`+item+`"]`)); !errors.Is(err, ErrInvalid) {
					t.Errorf("%s: %v", item, err)
				}
			}
		})
	}
	wg.Wait()
}

// TestRepeatedNames: where names are free, a text may have one twice. The last value counts, as parsers have it, so
// that what the grammar accepts satisfies the schema.
func TestRepeatedNames(t *testing.T) {
	type texts map[string]error
	for schema, all := range map[string]texts{
		`{"type":"object","additionalProperties":{"type":"integer"}}`: {`{"a":1,"a":2}`: nil, `{"a":1,"\u0061":2}`: nil},
		`{"type":"object","additionalProperties":{"type":"array","items":{"type":"integer"},"uniqueItems":true}}`: {
			`{"a":[1,1],"b":[],"a":[1,2]}`: nil, `{"a":[1,2],"b":[],"a":[1,1]}`: ErrInvalid, `{"a":[1,1],"a":[],"a":[1,1]}`: ErrInvalid},
		`{"type":"object","additionalProperties":{"type":"null"},"maxProperties":2}`: {`{"a":null,"a":null}`: nil},
		`{"type":"object","properties":{"a":{"type":"null"}},"required":["a"],"additionalProperties":{"type":"object"}}`: {
			`{"a":null,"b":{"c":1,"c":[{"d":1,"d":2}]},"b":{}}`: nil},
	} {
		g := schemaGrammar(t, schema, SchemaOptions{})
		for text, want := range all {
			if err := g.Check("", []byte(text)); !errors.Is(err, want) || want == nil && err != nil {
				t.Errorf("%s: %s: %v, expected %v", schema, text, err, want)
			}
			if !accepts(t, g, text) {
				t.Errorf("%s does not accept %s", schema, text)
			}
		}
	}
	// Those of one name count once.
	g := schemaGrammar(t, `{"type":"object","minProperties":2}`, SchemaOptions{})
	for text, want := range map[string]error{`{"a":1,"a":2,"b":3}`: nil, `{"a":1,"a":2}`: ErrInvalid} {
		if err := g.Check("", []byte(text)); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%s: %v, expected %v", text, err, want)
		}
	}
	if _, err := FromJSONSchema([]byte(`{"type":"null","type":"string"}`), SchemaOptions{}); !errors.Is(err, ErrSyntax) {
		t.Errorf("a schema with a keyword twice: %v", err)
	}
}

// TestStrictList: strict options name all unknown keywords and formats at once.
func TestStrictList(t *testing.T) {
	_, err := FromJSONSchema([]byte(`{"type":"object","properties":{"a":{"type":"string","format":"cuid","links":1}},"javaType":"x"}`), SchemaOptions{Strict: true})
	var at *SchemaError
	if !errors.As(err, &at) || !errors.Is(err, ErrUnsupported) ||
		at.Msg != `strict schemas may have no unknown keywords and formats: format "cuid", "links", "javaType"` {
		t.Error(err)
	}
}

// TestManyConstants: a choice of any number of constants is an enum.
func TestManyConstants(t *testing.T) {
	for _, k := range []string{"anyOf", "oneOf"} {
		src := `{"` + k + `":[`
		for i := range 1000 {
			src += fmt.Sprintf(`{"const":"v%d","title":"x"},`, i)
		}
		g := schemaGrammar(t, src+`{"type":"string","enum":["w",5]}]}`, SchemaOptions{Strict: true})
		for text, want := range map[string]bool{`"v0"`: true, `"v999"`: true, `"w"`: true, `5`: false, `"v1000"`: false} {
			if accepts(t, g, text) != want {
				t.Errorf("%s: %s: expected %v", k, text, want)
			}
		}
	}
	g := schemaGrammar(t, `{"oneOf":[{"enum":[1,2]},{"enum":[2,3]}]}`, SchemaOptions{Strict: true})
	for text, want := range map[string]bool{`1`: true, `2`: false, `3`: true} {
		if accepts(t, g, text) != want {
			t.Errorf("%s: expected %v", text, want)
		}
	}
}

// TestToolsRelaxed: one tool's schema is relaxed without touching the others', and strictness is up to each.
func TestToolsRelaxed(t *testing.T) {
	tools := []Tool{
		{Name: "a", Parameters: []byte(`{"type":"object","properties":{"x":{"type":"array","uniqueItems":true}},"required":["x"]}`)},
		{Name: "b", Parameters: []byte(`{"type":"object","properties":{"y":{"type":"null"}}}`), Strict: true},
	}
	g, err := Tools(tools, ToolOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if r := g.Relaxed(); len(r) != 1 || r[0].Tool != "a" || r[0].Place() != "#/properties/x/uniqueItems" {
		t.Error(r)
	}
	if err := g.Check("a", []byte(`{"x":[1,1]}`)); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
	for _, tool := range []string{"a", "b", "c"} {
		if err := g.Check(tool, []byte(`{"x":[1,2]}`)); err != nil {
			t.Error(tool, err)
		}
	}
	tools[0].Strict = true
	var at *SchemaError
	if _, err := Tools(tools, ToolOptions{}); !errors.As(err, &at) || !slices.Contains([]string{"uniqueItems"}, at.Keyword) {
		t.Error(err)
	}
}

// TestCheckLarge: values are judged by what they mean, as far as that is bearable; beyond, they are undecided, not
// wrong.
func TestCheckLarge(t *testing.T) {
	g := schemaGrammar(t, `{"$ref":"#/$defs/a","$defs":{"a":{"anyOf":[{"type":"array","items":{"$ref":"#/$defs/a"}},
		{"type":"integer","minimum":5}]}}}`, SchemaOptions{})
	nested := func(n int, inside string) string { return strings.Repeat("[", n) + inside + strings.Repeat("]", n) }
	long := strings.Repeat("9", 1000)
	for _, tc := range []struct {
		value string
		err   error
	}{
		{nested(5000, "7"), nil}, {nested(5000, "3"), ErrInvalid}, {nested(10001, "7"), ErrUndecided},
		{nested(5000, "7") + "]", ErrSyntax},
		{long, nil}, {"-" + long, ErrInvalid}, {long + ".5", ErrInvalid}, {"1e400", nil}, {"1e401", ErrUndecided},
		{"1e99999999999999999999", ErrUndecided}, {strings.Repeat("9", 16385), ErrUndecided}, {"9e", ErrSyntax},
	} {
		err := g.Check("", []byte(tc.value))
		if !errors.Is(err, tc.err) || errors.Is(err, ErrSyntax) != (tc.err == ErrSyntax) {
			t.Errorf("%.20s: %.200v, expected %v", tc.value, err, tc.err)
		}
	}
}
