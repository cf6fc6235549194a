package grammar

import (
	"fmt"
	"slices"
	"unicode/utf8"
)

// value returns the texts of values that satisfy a conjunction.
func (c *schemaCompiler) value(list []*schema) *expr {
	list = standsFor(list)
	return c.json.named("schema "+key(list), "#"+where(list), func() *expr {
		var sub []*expr
		for _, f := range c.forms(list) {
			sub = append(sub, c.form(f, where(list)))
		}
		return alt(sub...)
	})
}

// anything reports whether f demands nothing beyond types.
func (f *form) anything() bool { return !slices.ContainsFunc(f.schemas, (*schema).demands) }

// demands reports whether s itself demands something beyond types and values.
func (s *schema) demands() bool {
	return s.excluded != nil || s.low != nil || s.high != nil || s.multipleOf != nil ||
		s.minLength > 0 || s.maxLength != unbounded || s.patterns != nil || s.notPatterns != nil ||
		s.prefixItems != nil || s.items != nil || s.minItems > 0 || s.maxItems != unbounded || s.unique || s.contains != nil ||
		s.properties != nil || s.matching != nil || s.additional != nil || s.names != nil ||
		s.required != nil || s.minProps > 0 || s.maxProps != unbounded || s.dependentNames != nil ||
		s.unevaluatedProps != nil || s.unevaluatedItems != nil
}

// form returns the texts of one alternative.
func (c *schemaCompiler) form(f *form, at string) *expr {
	j := c.json
	if f.finite {
		var sub []*expr
		for _, v := range f.sure {
			sub = append(sub, j.literal(v))
		}
		return alt(sub...)
	}
	if f.types == typeAll && f.anything() {
		return j.value()
	}
	var sub []*expr
	for _, v := range []*jsonValue{{kind: jsonNull}, {kind: jsonBool, truth: true}, {kind: jsonBool}} {
		if f.types.has(v) && !f.excludes(v) {
			sub = append(sub, j.literal(v))
		}
	}
	if f.types&typeNumber != 0 {
		sub = append(sub, c.number(f, at))
	}
	if f.types&typeString != 0 {
		sub = append(sub, c.string(f, at))
	}
	for _, s := range f.schemas {
		for _, v := range s.excluded {
			if (v.kind == jsonArray || v.kind == jsonObject) && f.types.has(v) {
				c.relax(s.pointer, "", ErrUnsupported, "excluding lists and objects by value cannot be expressed")
			}
		}
	}
	if f.types&typeArray != 0 {
		sub = append(sub, c.array(f, at))
	}
	if f.types&typeObject != 0 {
		o := &objectBuilder{c: c, f: f, at: at}
		sub = append(sub, o.build())
	}
	return alt(sub...)
}

func (c *schemaCompiler) number(f *form, at string) *expr {
	n := f.numbers()
	switch {
	case n.empty():
		return never
	case n.low != nil || n.high != nil || n.multipleOf != nil || n.types == typeFraction:
	case n.types == typeInteger:
		return c.json.integer()
	default:
		return c.json.number()
	}
	if e := c.json.signed(n); e != nil {
		return e
	}
	e, err := n.expr()
	if err != nil {
		c.relax(at, "multipleOf", err, "the range or multipleOf")
		n.multipleOf = nil
		if e, err = n.expr(); err != nil {
			c.relax(at, "minimum", err, "the range")
			return c.json.number()
		}
	}
	return e
}

// lengths returns the least and the greatest number of characters.
func (f *form) lengths() (lo, hi int32) {
	hi = unbounded
	for _, s := range f.schemas {
		lo, hi = max(lo, s.minLength), min(hi, s.maxLength)
	}
	return lo, hi
}

// patternsOf returns the distinct patterns that pick selects, without those that are no
// automata.
func (f *form) patternsOf(pick func(*schema) []pattern) []pattern {
	var out []pattern
	for _, s := range f.schemas {
		for _, p := range pick(s) {
			if p.re == nil {
				continue // relaxed when it was parsed
			}
			if !slices.ContainsFunc(out, func(x pattern) bool { return x.source == p.source && x.format == p.format }) {
				out = append(out, p)
			}
		}
	}
	return out
}

func (f *form) excludedTexts() []string {
	var out []string
	for _, s := range f.schemas {
		for _, v := range s.excluded {
			if v.kind == jsonString {
				out = append(out, v.text)
			}
		}
	}
	return out
}

func (c *schemaCompiler) string(f *form, at string) *expr {
	lo, hi := f.lengths()
	if lo > hi {
		return never
	}
	yes, no := f.patternsOf(func(s *schema) []pattern { return s.patterns }), f.patternsOf(func(s *schema) []pattern { return s.notPatterns })
	if len(yes) == 0 && len(no) == 0 && len(f.excludedTexts()) == 0 {
		return c.json.stringOf(lo, hi)
	}
	if len(yes) == 1 && lo > 0 {
		if least, ok := yes[0].re.shortest(); ok && least >= lo {
			lo = 0 // nothing more to demand
		}
	}
	if len(yes) == 1 && len(no) == 0 && len(f.excludedTexts()) == 0 && lo == 0 && hi == unbounded {
		name := "pattern "
		if yes[0].format {
			name = ""
		}
		return c.json.rule(name+yes[0].source, func() *expr {
			e, err := c.patternExpr(yes[0])
			if err != nil {
				c.relax(at, "pattern", err, "%q", clip([]byte(yes[0].source)))
				return c.json.string()
			}
			return seq(lit(`"`), e, lit(`"`))
		})
	}
	if len(f.excludedTexts()) > 0 {
		return c.strictString(f, at, lo, hi)
	}
	// Documents repeat such strings, and making them can be much work.
	name := fmt.Sprintf("strings of %d to %d", lo, hi)
	for _, p := range yes {
		name += fmt.Sprintf(" %t %q", p.format, p.source)
	}
	for _, p := range no {
		name += fmt.Sprintf(" not %q", p.source)
	}
	if e := c.stringRules[name]; e != nil {
		return e
	}
	relaxed := len(c.relaxed)
	e := c.strictString(f, at, lo, hi)
	if len(c.relaxed) == relaxed { // otherwise each place is reported
		e = c.json.rule(name, func() *expr { return e })
		c.stringRules[name] = e
	}
	return e
}

// strictString returns the texts of strings of lo to hi characters for which an automaton is needed.
func (c *schemaCompiler) strictString(f *form, at string, lo, hi int32) *expr {
	d := c.patternDFA(f, at, true)
	if least, most := d.lengths(); lo > least || hi < most {
		if e, ok := d.counted(lo, hi, c.json.charactersOf); ok {
			return seq(lit(`"`), e, lit(`"`))
		}
	}
	d = c.stringDFA(f, at)
	return seq(lit(`"`), c.chars(d), lit(`"`))
}

// manyStates is the number of states above which the edges of an automaton share the bytes of characters.
const manyStates = 256

// stringsKey identifies the strings that a conjunction allows.
type stringsKey struct {
	conjunction      string
	formats, lengths bool
}

// stringDFA returns the automaton of the strings that f allows.
func (c *schemaCompiler) stringDFA(f *form, at string) *dfa {
	k := stringsKey{key(f.schemas), true, true}
	if d, ok := c.strings[k]; ok {
		return d
	}
	d := c.patternDFA(f, at, true)
	lo, hi := f.lengths()
	if lo > hi {
		d = noText()
	}
	if least, most := d.lengths(); lo <= hi && (lo > least || hi < most) {
		keyword := "maxLength"
		if most <= hi {
			hi, keyword = unbounded, "minLength" // the patterns see to the other
		}
		e, err := lengthDFA(lo, hi, maxProductDFA)
		d = c.and(d, at, keyword, e, err)
	}
	c.strings[k] = d
	return d
}

// and returns the automaton of what d and e match, unless there was an error making e, or it is too large:
// then it is d, and keyword is relaxed.
func (c *schemaCompiler) and(d *dfa, at, keyword string, e *dfa, err error) *dfa {
	var both *dfa
	if err == nil && d.anything() {
		return e.minimize()
	}
	if err == nil {
		both, err = intersectDFA(d, e, maxProductDFA)
	}
	if err != nil {
		c.relax(at, keyword, err, "the strings")
		return d
	}
	return both.minimize()
}

// patternDFA is stringDFA apart from lengths and, if they do not matter, from formats.
func (c *schemaCompiler) patternDFA(f *form, at string, formats bool) *dfa {
	k := stringsKey{key(f.schemas), formats, false}
	if d, ok := c.strings[k]; ok {
		return d
	}
	d := anyText()
	and := func(keyword string, e *dfa, err error) { d = c.and(d, at, keyword, e, err) }
	for _, p := range f.patternsOf(func(s *schema) []pattern { return s.patterns }) {
		if p.format && !formats {
			continue
		}
		e, err := c.search(p)
		and("pattern", e, err)
	}
	for _, p := range f.patternsOf(func(s *schema) []pattern { return s.notPatterns }) {
		e, err := c.search(p)
		if err == nil {
			e = e.complement()
		}
		and("not", e, err)
	}
	if texts := f.excludedTexts(); len(texts) > 0 {
		e, err := textsDFA(c.meter, texts)
		if err == nil {
			e = e.complement()
		}
		and("not", e, err)
	}
	c.strings[k] = d
	return d
}

// search returns the automaton of the texts that contain a match of a pattern, with as few states as possible.
// Documents repeat patterns.
func (c *schemaCompiler) search(p pattern) (*dfa, error) {
	k := patternKey{p.source, p.format}
	if d, ok := c.searches[k]; ok {
		return d, nil
	}
	d, err := determinize(c.meter, reCat(reAny, p.re, reAny))
	if err != nil {
		return nil, err
	}
	d = d.minimize()
	c.searches[k] = d
	return d, nil
}

// patternExpr returns the inside of the strings that contain a match.
func (c *schemaCompiler) patternExpr(p pattern) (*expr, error) {
	if x, ok := unanchoredExpr(p.re, jsonChars); ok {
		return x, nil
	}
	d, err := c.search(p)
	if err != nil {
		return nil, err
	}
	return c.chars(d), nil
}

// chars returns the texts of an automaton within a string.
func (c *schemaCompiler) chars(d *dfa) *expr {
	if len(d.final) <= manyStates {
		return d.expr(jsonChars)
	}
	return d.expr(func(set charSet) *expr {
		if set[0].lo >= utf8.RuneSelf && len(set) > 4 || !setPlain.contains(set[0].lo) { // of many byte sequences
			return c.json.charactersOf(set)
		}
		return jsonChars(set)
	})
}

// stringsEmpty reports whether f certainly allows no string. Formats are left out: not every
// validator checks them, and ours are narrow. An expression alone needs no automaton.
func (c *schemaCompiler) stringsEmpty(f *form) bool {
	lo, hi := f.lengths()
	if lo > hi {
		return true
	}
	yes := f.patternsOf(func(s *schema) []pattern { return s.patterns })
	yes = slices.DeleteFunc(yes, func(p pattern) bool { return p.format })
	no := f.patternsOf(func(s *schema) []pattern { return s.notPatterns })
	switch {
	case len(yes) == 0:
		return false
	case len(yes) == 1 && len(no) == 0:
		least, ok := yes[0].re.shortest()
		return !ok || least > hi
	}
	return !c.patternDFA(f, where(f.schemas), false).hasLength(lo, hi)
}

// namesDFA returns the automaton of the strings that a conjunction allows.
func (c *schemaCompiler) namesDFA(list []*schema) *dfa {
	all := noText()
	for _, f := range c.forms(list) {
		if f.types&typeString == 0 {
			continue
		}
		var d *dfa
		var err error
		if f.finite {
			var texts []string
			for _, v := range f.sure {
				if v.kind == jsonString {
					texts = append(texts, v.text)
				}
			}
			d, err = textsDFA(c.meter, texts)
		} else {
			d = c.stringDFA(f, where(list))
		}
		if err == nil {
			// The union is the complement of the complements' intersection.
			d, err = intersectDFA(all.complement(), d.complement(), maxProductDFA)
		}
		if err != nil {
			c.relax(where(list), "", err, "the property names")
			return anyText()
		}
		all = d.complement().minimize()
	}
	return all
}
