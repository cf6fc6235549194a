package trit

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"trit/grammar"
)

// Format is what a text must look like. At most one of the fields that say so is
// set; with none any text will do.
type Format struct {
	// Object asks for a JSON object.
	Object bool
	// Schema asks for a JSON value that a JSON Schema describes; [grammar.FromJSONSchema]
	// says what of it a text is held to. The rest is relaxed, and an error if Strict is set.
	Schema json.RawMessage
	Strict bool
	// Regexp asks for a text that a regular expression of ECMA-262 matches as a
	// whole; see [grammar.CompileRegexp].
	Regexp string
	// GBNF asks for a text of a grammar in the notation of llama.cpp; see
	// [grammar.ParseGBNF].
	GBNF string
	// Choice asks for one of these texts.
	Choice []string
	// Phrases asks for a text that contains every one of these, in any order.
	Phrases []string
	// Grammar asks for a text of this grammar.
	Grammar *grammar.Grammar
}

// request returns the constraint that a format asks for, nil if none.
func (f *Format) request() (*constraintRequest, error) {
	var all []constraintRequest
	add := func(what string, key any, compile func(grammar.Compiler) (*grammar.Grammar, error)) {
		all = append(all, constraintRequest{what, key, compile})
	}
	if f.Object {
		add("JSON", constraintKey{"json", ""}, func(grammar.Compiler) (*grammar.Grammar, error) {
			return grammar.JSONObject(grammar.WhitespaceLimited), nil
		})
	}
	if f.Schema != nil {
		schema, o := slices.Clone(f.Schema), grammar.SchemaOptions{Strict: f.Strict}
		kind := "schema"
		if o.Strict {
			kind = "strict schema"
		}
		add("JSON Schema", constraintKey{kind, string(schema)}, func(c grammar.Compiler) (*grammar.Grammar, error) {
			return c.FromJSONSchema(schema, o)
		})
	}
	if expr := f.Regexp; expr != "" {
		add("regular expression", constraintKey{"regexp", expr}, func(c grammar.Compiler) (*grammar.Grammar, error) {
			return c.CompileRegexp(expr)
		})
	}
	if source := f.GBNF; source != "" {
		add("GBNF grammar", constraintKey{"gbnf", source}, func(c grammar.Compiler) (*grammar.Grammar, error) {
			return c.ParseGBNF(source)
		})
	}
	if f.Choice != nil {
		texts := slices.Clone(f.Choice)
		add("choice", constraintKey{"choice", listKey(texts)}, func(c grammar.Compiler) (*grammar.Grammar, error) {
			return c.Choice(texts...)
		})
	}
	if f.Phrases != nil {
		phrases := slices.Clone(f.Phrases)
		add("phrases", constraintKey{"phrases", listKey(phrases)}, func(c grammar.Compiler) (*grammar.Grammar, error) {
			return c.Lexical(phrases...)
		})
	}
	if g := f.Grammar; g != nil {
		add("grammar", g, func(grammar.Compiler) (*grammar.Grammar, error) { return g, nil })
	}
	switch len(all) {
	case 0:
		return nil, nil
	case 1:
		return &all[0], nil
	}
	var names []string
	for _, r := range all {
		names = append(names, r.what)
	}
	return nil, fmt.Errorf("a text can have one format, not %s", strings.Join(names, " and "))
}
