package grammar

import (
	"math/big"
	"slices"
	"unicode/utf8"
)

// matches reports whether s contains a match.
func (p pattern) matches(m *meter, s string) bool {
	ok, err := p.re.matches(m, s)
	if err != nil {
		failSchema("", "pattern", err, "%q", clip([]byte(p.source)))
	}
	return ok
}

// verdict says which question is asked about a value: whether it certainly satisfies a schema, or whether it possibly
// does. They differ because of formats, which some validators do not check and which our expressions
// may be narrower than, and because of what cannot be decided here: patterns that are no
// automata, and references to other documents.
type verdict struct {
	formats bool // values must be of their format
	unknown bool // what cannot be decided is taken for satisfied
}

var (
	certainly = verdict{formats: true}
	possibly  = verdict{unknown: true}
	hopefully = verdict{formats: true, unknown: true} // certainly, as far as can be decided
)

// not is the question about a schema to ask one about its negation.
func (v verdict) not() verdict { return verdict{!v.formats, !v.unknown} }

// checker checks values against schemas.
type checker struct {
	meter   *meter
	matched map[patternText]bool // what patterns were found to match
}

type patternText struct {
	re   *re
	text string
}

// matches is pattern.matches for a text that may be asked about again, for another question or by another schema.
func (c *checker) matches(p pattern, text string) bool {
	k := patternText{p.re, text}
	yes, ok := c.matched[k]
	if !ok {
		yes = p.matches(c.meter, text)
		if c.matched == nil {
			c.matched = map[patternText]bool{}
		}
		c.matched[k] = yes
	}
	return yes
}

// among reports whether a set has a value.
func (c *checker) among(set valueSet, v *jsonValue) bool {
	key := v.appendKey(nil)
	c.meter.Spend(len(key) / 64)
	_, ok := set[string(key)]
	return ok
}

// validAll reports whether a value satisfies all schemas.
func (c *checker) validAll(v *jsonValue, list []*schema, how verdict) bool {
	return !slices.ContainsFunc(list, func(s *schema) bool { return !c.valid(v, s, how) })
}

// valid reports whether a value satisfies a schema. It is what decides about the
// values of enum and const, so everything may stand beside them.
func (c *checker) valid(v *jsonValue, s *schema, how verdict) bool {
	c.meter.Spend(1)
	if s.never || !s.types.has(v) || s.values != nil && !c.among(s.set, v) || s.barred != nil && c.among(s.barred, v) ||
		s.unresolved && !how.unknown {
		return false
	}
	switch v.kind {
	case jsonNumber:
		if !s.validNumber(v.number) {
			return false
		}
	case jsonString:
		if !c.validString(v.text, s, how) {
			return false
		}
	case jsonArray:
		if !c.validArray(v, s, how) {
			return false
		}
	case jsonObject:
		if !c.validObject(v, s, how) {
			return false
		}
	}
	valid := func(x *schema) bool { return c.valid(v, x, how) }
	switch {
	case s.target != nil && !valid(s.target),
		!c.validAll(v, s.allOf, how),
		s.anyOf != nil && !slices.ContainsFunc(s.anyOf, valid),
		s.not != nil && c.valid(v, s.not, how.not()):
		return false
	}
	if s.oneOf != nil && !c.validOneOf(v, s, how) {
		return false
	}
	if s.when == nil {
		return true
	}
	holds := func(branch *schema) bool { return branch == nil || valid(branch) }
	could, must := c.valid(v, s.when, how.not()), c.valid(v, s.when, how)
	if how.unknown {
		return must && holds(s.then) || !could && holds(s.other)
	}
	return (!could || holds(s.then)) && (must || holds(s.other))
}

// validOneOf reports whether a value satisfies exactly one branch.
func (c *checker) validOneOf(v *jsonValue, s *schema, how verdict) bool {
	some, others := 0, 0 // that hold by this question and by the opposite one
	for _, x := range s.oneOf {
		if c.valid(v, x, how) {
			some++
		}
		if c.valid(v, x, how.not()) {
			others++
		}
	}
	if how.unknown {
		return some > 0 && others <= 1
	}
	return some == 1 && others == 1
}

func (s *schema) validNumber(n *big.Rat) bool {
	if s.low != nil {
		if cmp := n.Cmp(s.low); cmp < 0 || cmp == 0 && s.lowOpen {
			return false
		}
	}
	if s.high != nil {
		if cmp := n.Cmp(s.high); cmp > 0 || cmp == 0 && s.highOpen {
			return false
		}
	}
	for _, m := range s.multipleOf {
		if !new(big.Rat).Quo(n, m).IsInt() {
			return false
		}
	}
	return true
}

func (c *checker) validString(text string, s *schema, how verdict) bool {
	n := utf8.RuneCountInString(text)
	if n < int(s.minLength) || n > int(s.maxLength) {
		return false
	}
	for _, p := range s.patterns {
		switch {
		case p.re == nil && how.unknown, p.format && !how.formats:
		case p.re == nil || !c.matches(p, text):
			return false
		}
	}
	for _, p := range s.notPatterns {
		if c.matches(p, text) {
			return false
		}
	}
	return true
}

func (c *checker) validArray(v *jsonValue, s *schema, how verdict) bool {
	items := v.items
	if len(items) < int(s.minItems) || len(items) > int(s.maxItems) {
		return false
	}
	if s.unique && len(distinctValues(items)) < len(items) {
		return false
	}
	some, others := int32(0), int32(0) // that s.contains holds for, by this question and by the opposite one
	for i, x := range items {
		switch {
		case i < len(s.prefixItems):
			if !c.valid(x, s.prefixItems[i], how) {
				return false
			}
		case s.items != nil && !c.valid(x, s.items, how):
			return false
		}
		if s.contains != nil && c.valid(x, s.contains, how) {
			some++
		}
		if s.contains != nil && c.valid(x, s.contains, how.not()) {
			others++
		}
	}
	if s.contains != nil && (some < s.minContains || others > s.maxContains) {
		return false
	}
	if s.unevaluatedItems != nil {
		done := c.evaluatedItems(v, s, how)
		for i, x := range items {
			if !done[i] && !c.valid(x, s.unevaluatedItems, how) {
				return false
			}
		}
	}
	return true
}

func (c *checker) validObject(v *jsonValue, s *schema, how verdict) bool {
	if len(v.keys) < int(s.minProps) || len(v.keys) > int(s.maxProps) {
		return false
	}
	has := func(name string) bool { return v.fields[name] != nil }
	lacks := func(name string) bool { return !has(name) }
	if slices.ContainsFunc(s.required, lacks) {
		return false
	}
	for _, d := range s.dependentNames {
		if has(d.name) && slices.ContainsFunc(d.required, lacks) {
			return false
		}
	}
	for _, d := range s.dependentSchemas {
		if has(d.name) && !c.valid(v, d.s, how) {
			return false
		}
	}
	for _, name := range v.keys {
		if s.names != nil && !c.valid(&jsonValue{kind: jsonString, text: name}, s.names, how) {
			return false
		}
		x := v.fields[name]
		schemas, found, sure := s.ownProperty(c.meter, name)
		if !sure && !how.unknown || !c.validAll(x, schemas, how) {
			return false
		}
		if !found && sure && s.additional != nil && !c.valid(x, s.additional, how) {
			return false
		}
	}
	if s.unevaluatedProps != nil {
		done := c.evaluatedProperties(v, s, how)
		for _, name := range v.keys {
			if !done[name] && !c.valid(v.fields[name], s.unevaluatedProps, how) {
				return false
			}
		}
	}
	return true
}

// ownProperty returns the schemas that properties and patternProperties have for a property, and whether there is
// one. sure is false if a pattern is no automaton, so that it cannot be told.
func (s *schema) ownProperty(m *meter, name string) (schemas []*schema, found, sure bool) {
	sure = true
	if x := s.named[name]; x != nil {
		schemas, found = append(schemas, x), true
	}
	for _, x := range s.matching {
		switch {
		case x.pattern.re == nil:
			sure = false
		case x.pattern.matches(m, name):
			schemas, found = append(schemas, x.s), true
		}
	}
	return schemas, found, sure
}
