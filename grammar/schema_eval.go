package grammar

import (
	"math/big"
	"slices"
	"unicode/utf8"
)

// matches reports whether s contains a match.
func (p pattern) matches(s string) bool {
	ok, err := p.re.matches(p.meter, s)
	if err != nil {
		failSchema("", "pattern", err, "%q", clip([]byte(p.source)))
	}
	return ok
}

// verdict says which question is asked about a value: whether it certainly satisfies a schema,
// or whether it possibly does. They differ because of formats, which some validators do not check
// and which our expressions may be narrower than.
type verdict bool

const (
	certainly verdict = true
	possibly  verdict = false
)

// validAll reports whether a value satisfies all schemas.
func (c *schemaCompiler) validAll(v *jsonValue, list []*schema, how verdict) bool {
	return !slices.ContainsFunc(list, func(s *schema) bool { return !c.valid(v, s, how) })
}

// valid reports whether a value satisfies a schema. It is what decides about the
// values of enum and const, so everything may stand beside them.
func (c *schemaCompiler) valid(v *jsonValue, s *schema, how verdict) bool {
	if c.work++; c.work > maxFormWork {
		failSchema(s.pointer, "", ErrTooLarge, "checking the values of enum takes too long")
	}
	if s.never || !s.types.has(v) || s.values != nil && !containsValue(s.values, v) || containsValue(s.excluded, v) {
		return false
	}
	switch v.kind {
	case jsonNumber:
		if !s.validNumber(v.number) {
			return false
		}
	case jsonString:
		if !s.validString(v.text, how) {
			return false
		}
	case jsonArray:
		if !c.validArray(v.items, s, how) {
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
		s.not != nil && c.valid(v, s.not, !how):
		return false
	}
	if s.oneOf != nil {
		sure, maybe := 0, 0
		for _, x := range s.oneOf {
			if c.valid(v, x, certainly) {
				sure++
			}
			if c.valid(v, x, possibly) {
				maybe++
			}
		}
		if how == certainly && (sure != 1 || maybe != 1) || sure > 1 || maybe == 0 {
			return false
		}
	}
	if s.when == nil {
		return true
	}
	holds := func(branch *schema) bool { return branch == nil || valid(branch) }
	could, must := c.valid(v, s.when, possibly), c.valid(v, s.when, certainly)
	if how == certainly {
		return (!could || holds(s.then)) && (must || holds(s.other))
	}
	return could && holds(s.then) || !must && holds(s.other)
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

func (s *schema) validString(text string, how verdict) bool {
	n := utf8.RuneCountInString(text)
	if n < int(s.minLength) || n > int(s.maxLength) {
		return false
	}
	for _, p := range s.patterns {
		if (how == certainly || !p.format) && !p.matches(text) {
			return false
		}
	}
	for _, p := range s.notPatterns {
		if p.matches(text) {
			return false
		}
	}
	return true
}

func (c *schemaCompiler) validArray(items []*jsonValue, s *schema, how verdict) bool {
	if len(items) < int(s.minItems) || len(items) > int(s.maxItems) {
		return false
	}
	least, most := int32(0), int32(0) // that s.contains holds for, certainly and possibly
	for i, v := range items {
		switch {
		case i < len(s.prefixItems):
			if !c.valid(v, s.prefixItems[i], how) {
				return false
			}
		case s.items != nil && !c.valid(v, s.items, how):
			return false
		}
		if s.unique && containsValue(items[:i], v) {
			return false
		}
		if s.contains != nil && c.valid(v, s.contains, certainly) {
			least++
		}
		if s.contains != nil && c.valid(v, s.contains, possibly) {
			most++
		}
	}
	if how == possibly {
		least, most = most, least
	}
	return s.contains == nil || least >= s.minContains && most <= s.maxContains
}

func (c *schemaCompiler) validObject(v *jsonValue, s *schema, how verdict) bool {
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
	f := &form{schemas: []*schema{s}}
	for _, name := range v.keys {
		if !c.nameAllowed(f, name, how) || !c.validAll(v.fields[name], f.property(name), how) {
			return false
		}
	}
	return true
}
