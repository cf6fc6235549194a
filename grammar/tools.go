package grammar

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Tool is a function that the model may call.
type Tool struct {
	Name string
	// Parameters is a JSON Schema for the object of arguments; empty for a
	// function without any.
	Parameters []byte
	// Strict makes the options of the schema strict; see [SchemaOptions].
	Strict bool
}

// ToolFormat is the form in which a model writes calls.
type ToolFormat uint8

const (
	// ToolsHermes: <tool_call>{"name": …, "arguments": {…}}</tool_call>, of Hermes and Qwen.
	ToolsHermes ToolFormat = iota
	// ToolsLlama: the whole answer is {"name": …, "parameters": {…}}, of Llama 3.1.
	ToolsLlama
	// ToolsMistral: [TOOL_CALLS] and a list of {"name": …, "arguments": {…}}.
	ToolsMistral
	// ToolsNamed: a name and an object of arguments between marks.
	ToolsNamed
	// ToolsTagged: a name and the arguments one by one between marks, texts as they are.
	ToolsTagged
)

// ToolMarks are the texts around the parts of calls:
//
//	Before (Open NAME Mid ARGUMENTS Close) Between (Open NAME Mid ARGUMENTS Close) After
//
// where ARGUMENTS are an object of JSON or, of ToolsTagged, any number of ArgOpen NAME ArgMid VALUE ArgClose.
type ToolMarks struct {
	Before, After             string
	Open, Mid, Close          string
	Between                   string
	ArgOpen, ArgMid, ArgClose string
}

// ToolOptions changes what [Tools] allows.
type ToolOptions struct {
	Format ToolFormat
	Marks  ToolMarks // of ToolsNamed and ToolsTagged
	// Optional allows an answer without a call, and, except for ToolsLlama, text before
	// the first one. Otherwise the answer is one call, or several.
	Optional bool
	// Parallel allows several calls.
	Parallel bool
	Schema   SchemaOptions
}

// The marks of calls. A vocabulary may have a control token for one, which is then
// allowed in its place.
const (
	hermesOpen  = "<tool_call>"
	hermesClose = "</tool_call>"
	mistralOpen = "[TOOL_CALLS]"
)

// Tools returns the grammar of answers that call tools. Errors are those of
// [FromJSONSchema] for a tool's parameters, and [ErrSyntax] for a missing or repeated name.
func Tools(tools []Tool, options ToolOptions) (*Grammar, error) {
	return Compiler{}.Tools(tools, options)
}

// Tools is [Tools] until the context ends.
func (c Compiler) Tools(tools []Tool, options ToolOptions) (g *Grammar, err error) {
	s := newSchemaCompiler(options.Schema, c.meter())
	defer stop(&err)
	seen := map[string]bool{}
	roots := map[string]*schema{}
	var calls []*expr
	for i, t := range tools {
		if t.Name == "" || seen[t.Name] || !utf8.ValidString(t.Name) {
			return nil, fmt.Errorf("%w: tool %d is called %q; every tool needs a name of its own", ErrSyntax, i, clip([]byte(t.Name)))
		}
		seen[t.Name] = true
		call, err := s.call(t, &options, roots)
		if err != nil {
			return nil, fmt.Errorf("tool %q: %w", t.Name, err)
		}
		calls = append(calls, call)
	}
	call := s.json.rule("tool call", func() *expr { return alt(calls...) })
	answer, text := options.answer(call, s.json)
	if options.Optional {
		free, err := determinize(s.meter, reCat(reAny, text, reAny))
		if err != nil {
			return nil, err
		}
		before := free.complement().minimize().expr(charsExpr)
		if options.Format == ToolsLlama {
			answer = alt(before, answer)
		} else {
			answer = seq(before, opt(answer))
		}
	}
	s.json.rules[0] = production{"tools", answer}
	return s.grammar(roots)
}

// call returns the texts of a call of t, and adds the schema of its arguments to roots.
func (c *schemaCompiler) call(t Tool, o *ToolOptions, roots map[string]*schema) (call *expr, err error) {
	j := c.json
	c.tool = t.Name
	defer func(strict bool) { c.options.Strict = strict }(c.options.Strict)
	c.options.Strict = c.options.Strict || t.Strict
	var object *schema
	if len(t.Parameters) > 0 {
		root, err := c.add(t.Parameters)
		if err != nil {
			return nil, err
		}
		object = c.newSchema("")
		object.types = typeObject
		object.allOf = []*schema{root}
		roots[t.Name] = object
	}
	m := &o.Marks
	if o.Format == ToolsTagged {
		arguments := empty
		if object != nil {
			if arguments, err = c.tagged(object, m); err != nil {
				return nil, err
			}
		}
		return seq(marks(m.Open), lit(t.Name), marks(m.Mid), arguments, marks(m.Close)), nil
	}
	arguments := seq(lit("{"), j.space(), lit("}"))
	if object != nil {
		if arguments, err = c.expr(object); err != nil {
			return nil, err
		}
	}
	if o.Format == ToolsNamed {
		return seq(marks(m.Open), lit(t.Name), marks(m.Mid), arguments, marks(m.Close)), nil
	}
	key := "arguments"
	if o.Format == ToolsLlama {
		key = "parameters"
	}
	return seq(lit("{"), j.space(), lit(`"name"`), j.colon(), lit(quote(t.Name)), j.comma(),
		lit(quote(key)), j.colon(), arguments, j.space(), lit("}")), nil
}

// answer returns the texts of one or several calls, and what text that is no call must not
// contain.
func (o ToolOptions) answer(call *expr, j *jsonRules) (answer *expr, forbidden *re) {
	several := func(e, separator *expr) *expr {
		if !o.Parallel {
			return e
		}
		return seq(e, star(seq(separator, e)))
	}
	newline := opt(lit("\n"))
	switch o.Format {
	case ToolsLlama:
		start := reCat(&re{op: reBegin}, &re{op: reRepeat, sub: []*re{{op: reSet, set: setSpace}}, max: unbounded},
			&re{op: reAlt, sub: []*re{reLiteral("{"), reLiteral("<|python_tag|>")}})
		return several(call, seq(lit(";"), opt(lit(" ")))), start
	case ToolsMistral:
		list := j.list(call, 1, 1)
		if o.Parallel {
			list = j.list(call, 1, unbounded)
		}
		return seq(mark(mistralOpen), opt(lit(" ")), list), reLiteral(mistralOpen)
	case ToolsNamed, ToolsTagged:
		first := strings.TrimSpace(o.Marks.Before)
		if first == "" {
			first = strings.TrimSpace(o.Marks.Open)
		}
		return seq(marks(o.Marks.Before), several(call, marks(o.Marks.Between)), marks(o.Marks.After)), reLiteral(first)
	default:
		one := seq(mark(hermesOpen), newline, call, newline, mark(hermesClose))
		return several(one, newline), reLiteral(hermesOpen)
	}
}

// marks is a text whose tags, <…> and […], may be control tokens.
func marks(text string) *expr {
	var sub []*expr
	for text != "" {
		n := tagLength(text)
		if n > 0 {
			sub = append(sub, mark(text[:n]))
		} else if n = 1 + strings.IndexAny(text[1:], "<["); n == 0 {
			n = len(text)
			sub = append(sub, lit(text))
		} else {
			sub = append(sub, lit(text[:n]))
		}
		text = text[n:]
	}
	return seq(sub...)
}

// tagLength returns the length of the tag that a text begins with, 0 if there is none.
func tagLength(text string) int {
	for _, pair := range []string{"<>", "[]"} {
		if text[0] == pair[0] {
			if end := strings.IndexAny(text[1:], pair); end > 0 && text[1+end] == pair[1] {
				return end + 2
			}
		}
	}
	return 0
}

// mark is a text, or the control token of that name.
func mark(text string) *expr {
	return alt(lit(text), &expr{kind: kindToken, token: tokenRef{text: text, id: -1, optional: true}})
}
