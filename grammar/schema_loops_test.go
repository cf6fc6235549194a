package grammar

import (
	"errors"
	"testing"
)

// TestSchemaLoops: what a schema demands of the value that it is itself demanded of is demanded once, from wherever the
// loop is entered.
func TestSchemaLoops(t *testing.T) {
	for _, tc := range []struct {
		schema  string
		yes, no []string
	}{
		{`{"$ref":"#"}`, []string{`1`, `{"a":[]}`}, nil},
		{`{"type":"string","allOf":[{"$ref":"#"},{"minLength":2}]}`, []string{`"ab"`}, []string{`"a"`, `1`}},
		{`{"properties":{"a":{"$ref":"#/$defs/a"},"b":{"$ref":"#/$defs/b"},"c":{"$ref":"#/$defs/c"}},"$defs":{
			"a":{"minLength":2,"$ref":"#/$defs/b"},"b":{"maxLength":3,"$ref":"#/$defs/c"},
			"c":{"type":"string","$ref":"#/$defs/a"}}}`,
			[]string{`{"a":"ab"}`, `{"b":"abc"}`, `{"c":"ab"}`},
			[]string{`{"a":"a"}`, `{"b":"a"}`, `{"c":"a"}`, `{"a":"abcd"}`, `{"b":"abcd"}`, `{"c":"abcd"}`,
				`{"a":12}`, `{"b":12}`}},
		{`{"type":"object","allOf":[{"$ref":"#"}],"properties":{"a":{"type":"null"}},"required":["a"]}`,
			[]string{`{"a":null}`}, []string{`{}`, `{"a":1}`}},
	} {
		g := schemaGrammar(t, tc.schema, SchemaOptions{})
		for _, x := range tc.yes {
			if !accepts(t, g, x) || g.Check("", []byte(x)) != nil {
				t.Errorf("%s does not accept %s: %v", tc.schema, x, g.Check("", []byte(x)))
			}
		}
		for _, x := range tc.no {
			if accepts(t, g, x) || !errors.Is(g.Check("", []byte(x)), ErrInvalid) {
				t.Errorf("%s accepts %s: %v", tc.schema, x, g.Check("", []byte(x)))
			}
		}
	}
	for _, schema := range []string{`{"anyOf":[{"$ref":"#"},{"type":"null"}]}`, `{"not":{"$ref":"#"}}`,
		`{"allOf":[{"$ref":"#"}],"unevaluatedProperties":false}`} {
		if _, err := FromJSONSchema([]byte(schema), SchemaOptions{}); !errors.Is(err, ErrSyntax) {
			t.Errorf("%s: %v, expected %v", schema, err, ErrSyntax)
		}
	}
}

// TestReferencesShareRules: properties that only refer to the same schema are written by one rule, so that a long list
// of references to a large schema stays small.
func TestReferencesShareRules(t *testing.T) {
	doc := func(n int) []byte {
		s := `{"$schema":"http://json-schema.org/draft-04/schema#","type":"object","properties":{"$x":{"type":"null"}`
		for i := range n {
			name := string(rune('a'+i/26)) + string(rune('a'+i%26))
			s += `,"` + name + `":{"description":"` + name + `","$ref":"#"}`
		}
		return []byte(s + `}}`)
	}
	nodes := func(n int) int {
		g, err := FromJSONSchema(doc(n), SchemaOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if n > 1 && (!accepts(t, g, `{"aa":{"ab":{}}}`) || accepts(t, g, `{"aa":{"zz":{}}}`)) {
			t.Errorf("%d properties: wrong texts", n)
		}
		return len(g.net.nodes)
	}
	few, many := nodes(50), nodes(200)
	if many > 6*few {
		t.Errorf("%d nodes with 50 properties, %d with 200", few, many)
	}
}
