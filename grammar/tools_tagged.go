package grammar

import "strings"

// taggedBuilder builds the texts of arguments one by one between marks.
type taggedBuilder struct {
	c    *schemaCompiler
	m    *ToolMarks
	free *dfa // the texts without the mark that ends one
}

// tagged returns the texts of an object's properties one by one between marks.
func (c *schemaCompiler) tagged(object *schema, m *ToolMarks) (e *expr, err error) {
	defer recoverSchema(&err)
	end, err := determinize(c.meter, reCat(reAny, reLiteral(strings.TrimSpace(m.ArgClose)), reAny))
	if err != nil {
		return nil, err
	}
	t := &taggedBuilder{c: c, m: m, free: end.complement().minimize()}
	var sub []*expr
	for _, f := range c.forms([]*schema{object}) {
		sub = append(sub, t.object(f))
	}
	return alt(sub...), nil
}

// argument returns the texts of an argument.
func (t *taggedBuilder) argument(name, value *expr) *expr {
	return seq(marks(t.m.ArgOpen), name, marks(t.m.ArgMid), value, marks(t.m.ArgClose))
}

// object returns the texts of the objects of one form.
func (t *taggedBuilder) object(f *form) *expr {
	if f.finite {
		var sub []*expr
		for _, v := range f.sure {
			var arguments []*expr
			for _, k := range v.keys {
				arguments = append(arguments, t.argument(lit(k), t.literal(v.fields[k])))
			}
			sub = append(sub, seq(arguments...))
		}
		return alt(sub...)
	}
	at := where(f.schemas)
	b := &objectBuilder{c: t.c, f: f, at: at}
	if !b.count() {
		return never
	}
	if b.lo > 0 {
		t.c.relax(at, "minProperties", ErrUnsupported, "arguments between marks are not counted")
	}
	if int64(b.hi) < int64(len(b.listed)) || b.hi != unbounded && b.open() {
		t.c.relax(at, "maxProperties", ErrUnsupported, "arguments between marks are not counted")
	}
	var sub []*expr
	for _, p := range b.listed {
		argument := t.argument(lit(p.name), t.value(f.property(t.c.meter, p.name)))
		if !p.required {
			argument = opt(argument)
		}
		sub = append(sub, argument)
	}
	if b.open() {
		name := repeat(charsExpr(argumentName), 1, 64)
		sub = append(sub, star(t.argument(name, t.value(b.valueOf(func(pattern) bool { return false })))))
	}
	return seq(sub...)
}

// argumentName is what names of arguments that no schema lists consist of.
var argumentName = newSet(runeRange{'a', 'z'}, runeRange{'A', 'Z'}, runeRange{'0', '9'}, runeRange{'_', '_'},
	runeRange{'-', '-'}, runeRange{'.', '.'}, runeRange{'$', '$'})

// value returns the texts of values that satisfy a conjunction: texts as they are, others as JSON or, for what
// is no number, as Python writes it.
func (t *taggedBuilder) value(list []*schema) *expr {
	var sub []*expr
	for _, f := range t.c.forms(list) {
		if f.finite {
			for _, v := range f.sure {
				sub = append(sub, t.literal(v))
			}
			continue
		}
		if f.types&typeString != 0 {
			sub = append(sub, t.text(f))
		}
		rest := *f
		if rest.types &^= typeString; rest.types == 0 || f.types == typeAll && f.anything() {
			continue // any text may be written
		}
		sub = append(sub, t.c.form(&rest, where(list)))
		for _, v := range []*jsonValue{{kind: jsonNull}, {kind: jsonBool, truth: true}, {kind: jsonBool}} {
			if rest.types.has(v) && !f.excludes(v) {
				sub = append(sub, lit(pythonName(v)))
			}
		}
	}
	return alt(sub...)
}

// text returns the strings of a form.
func (t *taggedBuilder) text(f *form) *expr {
	lo, hi := f.lengths()
	yes := f.patternsOf(func(s *schema) []pattern { return s.patterns })
	no := f.patternsOf(func(s *schema) []pattern { return s.notPatterns })
	if lo == 0 && hi == unbounded && len(yes)+len(no)+len(f.excludedTexts()) == 0 {
		return t.c.json.rule("text of an argument", func() *expr { return t.free.expr(charsExpr) })
	}
	at := where(f.schemas)
	return t.c.and(t.free, at, "pattern", t.c.stringDFA(f, at), nil).expr(charsExpr)
}

// literal returns the texts of a value.
func (t *taggedBuilder) literal(v *jsonValue) *expr {
	switch v.kind {
	case jsonString:
		if strings.Contains(v.text, strings.TrimSpace(t.m.ArgClose)) {
			return never
		}
		return lit(v.text)
	case jsonNull, jsonBool:
		return alt(t.c.json.literal(v), lit(pythonName(v)))
	}
	return t.c.json.literal(v)
}

// pythonName returns how Python writes null, true and false.
func pythonName(v *jsonValue) string {
	switch {
	case v.kind == jsonNull:
		return "None"
	case v.truth:
		return "True"
	}
	return "False"
}
