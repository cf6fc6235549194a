package grammar

// What unevaluatedProperties and unevaluatedItems apply to: the properties and items that neither the keywords beside
// them nor the schemas that apply to the same value say anything about.

// evaluators returns the schemas that apply to the same value as s and that v satisfies, which
// is then evaluated by them.
func (c *checker) evaluators(v *jsonValue, s *schema, how verdict) []*schema {
	var out []*schema
	add := func(list ...*schema) {
		for _, x := range list {
			if x != nil && c.valid(v, x, how) {
				out = append(out, x)
			}
		}
	}
	add(s.target)
	add(s.allOf...)
	add(s.anyOf...)
	add(s.oneOf...)
	if s.when != nil && c.valid(v, s.when, how) {
		out = append(out, s.when)
		add(s.then)
	}
	if s.when != nil && !c.valid(v, s.when, how.not()) {
		add(s.other)
	}
	for _, d := range s.dependentSchemas {
		if v.fields[d.name] != nil {
			add(d.s)
		}
	}
	return out
}

// evaluatedProperties returns the properties of v that s, which v satisfies, evaluates apart from its own
// unevaluatedProperties.
func (c *checker) evaluatedProperties(v *jsonValue, s *schema, how verdict) map[string]bool {
	done := map[string]bool{}
	for _, name := range v.keys {
		_, found, sure := s.ownProperty(c.meter, name)
		done[name] = found || s.additional != nil || (!sure || s.unresolved) && how.unknown
	}
	for _, x := range c.evaluators(v, s, how) {
		for name, yes := range c.evaluatedProperties(v, x, how) {
			done[name] = done[name] || yes || x.unevaluatedProps != nil
		}
	}
	return done
}

// evaluatedItems is evaluatedProperties for items.
func (c *checker) evaluatedItems(v *jsonValue, s *schema, how verdict) []bool {
	done := make([]bool, len(v.items))
	for i, x := range v.items {
		done[i] = i < len(s.prefixItems) || s.items != nil || s.contains != nil && c.valid(x, s.contains, how) ||
			s.unresolved && how.unknown
	}
	for _, x := range c.evaluators(v, s, how) {
		for i, yes := range c.evaluatedItems(v, x, how) {
			done[i] = done[i] || yes || x.unevaluatedItems != nil
		}
	}
	return done
}

// scope returns the schemas of a form that say which properties and items are evaluated by s: itself, and those that
// apply to the same value because of it.
func scope(s *schema, links []link) []*schema {
	out := []*schema{s}
	for i := 0; i < len(out); i++ {
		for _, l := range links {
			if l.from == out[i] && !containsSchema(out, l.to) {
				out = append(out, l.to)
			}
		}
	}
	return out
}

func containsSchema(list []*schema, s *schema) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// link says that a schema applies because of another.
type link struct{ from, to *schema }

// evaluates reports whether the schemas of s's scope evaluate a property, given which patterns its name
// matches.
func (f *form) evaluates(s *schema, name string, matched func(pattern) bool) bool {
	for _, x := range f.scopes[s] {
		if x.unresolved || x.additional != nil || x != s && x.unevaluatedProps != nil || x.named[name] != nil {
			return true
		}
		for _, m := range x.matching {
			if matched(m.pattern) {
				return true
			}
		}
	}
	return false
}

// evaluatesItem reports whether the schemas of s's scope evaluate item i. What contains evaluates is
// left out.
func (f *form) evaluatesItem(s *schema, i int) bool {
	for _, x := range f.scopes[s] {
		if x.unresolved || i < len(x.prefixItems) || x.items != nil || x != s && x.unevaluatedItems != nil {
			return true
		}
	}
	return false
}
