package grammar

import "slices"

// negate returns schemas whose union is all that s does not allow. at and keyword say
// who asks. The list is empty if s allows everything.
func (c *schemaCompiler) negate(s *schema, at, keyword string) choice {
	if s.negated == nil {
		n := &negation{c: c, at: at, keyword: keyword, active: map[*schema]bool{}}
		out := n.of(s)
		if out == nil {
			out = choice{}
		}
		s.negated = out
	}
	return s.negated
}

// opposite is negate as one schema.
func (c *schemaCompiler) opposite(s *schema, at, keyword string) *schema {
	x, ok := c.opposites[s]
	if !ok {
		x = c.union(s.pointer, c.negate(s, at, keyword))
		c.opposites[s] = x
	}
	return x
}

// union returns a schema that demands one of some conjunctions.
func (c *schemaCompiler) union(pointer string, of choice) *schema {
	x := c.newSchema(pointer)
	for _, branch := range of {
		y := c.newSchema(pointer)
		y.allOf = branch
		x.anyOf = append(x.anyOf, y)
	}
	x.never = len(x.anyOf) == 0
	return x
}

type negation struct {
	c           *schemaCompiler
	at, keyword string
	active      map[*schema]bool
}

func (n *negation) fail(s *schema, what string) {
	failSchema(n.at, n.keyword, ErrUnsupported, "it needs the opposite of %s at %q, which cannot be expressed", what, "#"+s.pointer)
}

// of negates s, which is all of its keywords: what lacks one of them.
func (n *negation) of(s *schema) choice {
	if n.active[s] {
		n.fail(s, "a recursive schema")
	}
	n.active[s] = true
	defer delete(n.active, s)
	if s.never {
		return choice{{n.c.newSchema(s.pointer)}}
	}
	n.refuse(s)
	var out choice
	// lacks adds values of some types that a keyword does not allow.
	lacks := func(types typeSet, set func(*schema)) {
		x := n.c.newSchema(s.pointer)
		x.types = types
		set(x)
		out = append(out, []*schema{x})
	}
	if s.types != typeAll {
		lacks(typeAll&^s.types, func(*schema) {})
	}
	if s.values != nil {
		lacks(typeAll, func(x *schema) { x.excluded, x.barred = s.values, s.set })
	}
	if s.excluded != nil {
		lacks(typeAll, func(x *schema) { x.values, x.set = s.excluded, s.barred })
	}
	if s.low != nil {
		lacks(typeNumber, func(x *schema) { x.atMost(s.low, !s.lowOpen) })
	}
	if s.high != nil {
		lacks(typeNumber, func(x *schema) { x.atLeast(s.high, !s.highOpen) })
	}
	if s.minLength > 0 {
		lacks(typeString, func(x *schema) { x.maxLength = s.minLength - 1 })
	}
	if s.maxLength != unbounded {
		lacks(typeString, func(x *schema) { x.minLength = s.maxLength + 1 })
	}
	for _, p := range s.patterns {
		if p.format {
			n.fail(s, "format")
		}
		if p.re == nil {
			n.fail(s, "a pattern that is no automaton")
		}
		lacks(typeString, func(x *schema) { x.notPatterns = []pattern{p} })
	}
	for _, p := range s.notPatterns {
		lacks(typeString, func(x *schema) { x.patterns = []pattern{p} })
	}
	if s.minItems > 0 {
		lacks(typeArray, func(x *schema) { x.maxItems = s.minItems - 1 })
	}
	if s.maxItems != unbounded {
		lacks(typeArray, func(x *schema) { x.minItems = s.maxItems + 1 })
	}
	if s.contains != nil && s.minContains > 0 {
		lacks(typeArray, func(x *schema) { x.items = n.schema(s.contains) })
	}
	if s.minProps > 0 {
		lacks(typeObject, func(x *schema) { x.maxProps = s.minProps - 1 })
	}
	if s.maxProps != unbounded {
		lacks(typeObject, func(x *schema) { x.minProps = s.maxProps + 1 })
	}
	for _, name := range s.required {
		without := n.c.without(s, name)
		without.types = typeObject
		out = append(out, []*schema{without})
	}
	for _, p := range s.properties {
		lacks(typeObject, func(x *schema) {
			x.required = []string{p.name}
			no := n.schema(p.s)
			x.properties = []property{{p.name, no}}
			x.named = map[string]*schema{p.name: no}
		})
	}
	return append(out, n.combinators(s)...)
}

// refuse reports keywords without an expressible opposite.
func (n *negation) refuse(s *schema) {
	switch {
	case s.unresolved:
		n.fail(s, "an unknown schema")
	case s.unevaluatedProps != nil || s.unevaluatedItems != nil:
		n.fail(s, "unevaluatedProperties and unevaluatedItems")
	case s.multipleOf != nil:
		n.fail(s, "multipleOf")
	case s.items != nil && len(n.of(s.items)) > 0:
		n.fail(s, "items")
	case slices.ContainsFunc(s.prefixItems, func(x *schema) bool { return len(n.of(x)) > 0 }):
		n.fail(s, "prefixItems")
	case s.unique:
		n.fail(s, "uniqueItems")
	case s.contains != nil && (s.minContains > 1 || s.maxContains != unbounded):
		n.fail(s, "minContains and maxContains")
	case s.matching != nil:
		n.fail(s, "patternProperties")
	case s.additional != nil && len(n.of(s.additional)) > 0:
		n.fail(s, "additionalProperties")
	case s.names != nil:
		n.fail(s, "propertyNames")
	case s.dependentNames != nil || s.dependentSchemas != nil:
		n.fail(s, "dependentRequired and dependentSchemas")
	case s.oneOf != nil:
		n.fail(s, "oneOf")
	case s.when != nil:
		n.fail(s, "if")
	}
}

func (n *negation) combinators(s *schema) choice {
	var out choice
	for _, x := range s.allOf {
		out = append(out, n.of(x)...)
	}
	if s.target != nil {
		out = append(out, n.of(s.target)...)
	}
	if s.not != nil {
		out = append(out, []*schema{s.not})
	}
	if s.anyOf == nil {
		return out
	}
	all := choice{nil} // none of the branches may hold
	for _, x := range s.anyOf {
		var next choice
		for _, a := range all {
			for _, b := range n.of(x) {
				next = append(next, append(slices.Clip(a), b...))
			}
		}
		if all = next; len(all) > maxForms {
			failSchema(n.at, n.keyword, ErrTooLarge, "its opposite comes to more than %d alternatives", maxForms)
		}
	}
	return append(out, all...)
}

// schema returns the negation of s as one schema.
func (n *negation) schema(s *schema) *schema { return n.c.union(s.pointer, n.of(s)) }
