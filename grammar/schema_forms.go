package grammar

import "slices"

// form is one of the alternatives that a conjunction stands for: schemas without
// combinators that all must hold, or a list of values.
type form struct {
	types   typeSet
	schemas []*schema
	finite  bool
	values  []*jsonValue // if finite: those that possibly satisfy it
	sure    []*jsonValue // of them, those that certainly do, as far as can be decided
	// scopes are what decides which properties and items are evaluated, by the schemas with unevaluatedProperties or
	// unevaluatedItems.
	scopes map[*schema][]*schema
}

// choice is a set of alternatives, one of which must hold: the branches of an
// anyOf and what is like it.
type choice [][]*schema

// demand is a choice that a schema asks for.
type demand struct {
	from *schema
	choice
}

// forms returns the alternatives of a conjunction; none if it certainly cannot be satisfied.
func (c *schemaCompiler) forms(list []*schema) []*form {
	k := key(list)
	if f, ok := c.formsOf[k]; ok {
		return f
	}
	if len(c.formsOf) >= maxConjuncts {
		failSchema(where(list), "", ErrTooLarge, "there are more than %d combinations of schemas", maxConjuncts)
	}
	b := &formBuilder{c: c, at: where(list), conjunction: list}
	if !c.attempt(func() { b.build(formState{types: typeAll}, nil, list) }) {
		b = &formBuilder{c: c, at: where(list), conjunction: list, flat: true}
		b.build(formState{types: typeAll}, nil, list)
	}
	c.formsOf[k] = b.forms
	return b.forms
}

type formBuilder struct {
	c           *schemaCompiler
	at          string
	conjunction []*schema
	forms       []*form
	flat        bool // leave alternatives out of account: they are too many
}

// formState is a form under construction.
type formState struct {
	types   typeSet
	schemas []*schema
	links   []link // why they apply
	choices []demand
	oneOfs  []*schema // whose oneOf is still to do
	// context is how many of schemas are not what the question is about. They
	// may contain the oneOf that is being decided, so listed values are not checked against them.
	context int
	finite  bool // some schema lists its values
}

// build adds schemas to a state and appends the forms it comes to. from is the schema that has more as its branches,
// nil if there is none.
func (b *formBuilder) build(st formState, from *schema, more []*schema) {
	if b.c.work++; b.c.work > maxFormWork && !b.flat {
		failSchema(b.at, "", ErrTooLarge, "combining the alternatives takes too long")
	}
	st.schemas = slices.Clone(st.schemas)
	st.choices = slices.Clone(st.choices)
	st.oneOfs = slices.Clone(st.oneOfs)
	st.links = slices.Clip(st.links)
	if from != nil {
		own := from.inPlace()
		for _, s := range more {
			if s != from.not && slices.Contains(own, s) { // what was made of a negation evaluates nothing
				st.links = append(st.links, link{from, s})
			}
		}
	}
	for queue := more; len(queue) > 0; queue = queue[1:] {
		s := queue[0]
		if slices.Contains(st.schemas, s) {
			continue
		}
		if s.never {
			return
		}
		st.schemas = append(st.schemas, s)
		st.types &= s.types
		st.finite = st.finite || s.values != nil
		always := s.allOf
		if s.target != nil {
			always = append(slices.Clip(always), s.target)
		}
		for _, x := range always {
			st.links = append(st.links, link{s, x})
		}
		queue = append(slices.Clip(queue), always...)
		if s.oneOf != nil {
			st.oneOfs = append(st.oneOfs, s)
		}
		for _, choice := range b.c.choicesOf(s) {
			st.choices = append(st.choices, demand{s, choice})
		}
	}
	switch {
	case st.types == 0:
	case st.finite:
		b.add(b.c.finiteForm(st))
	case len(st.oneOfs) > 0 && !b.flat:
		s := st.oneOfs[0]
		st.oneOfs = st.oneOfs[1:]
		for _, branch := range b.c.exclusive(s, st) {
			b.build(st, s, branch)
		}
	case len(st.choices) > 0 && !b.flat:
		d := st.choices[0]
		st.choices = st.choices[1:]
		for _, branch := range d.choice {
			b.build(st, d.from, branch)
		}
	default:
		f := &form{types: st.types, schemas: st.schemas}
		if st.types&typeObject != 0 {
			f.schemas = arrange(b.conjunction, st.schemas, st.links)
		}
		for _, s := range st.schemas {
			if !b.flat && (s.unevaluatedProps != nil || s.unevaluatedItems != nil) {
				if f.scopes == nil {
					f.scopes = map[*schema][]*schema{}
				}
				f.scopes[s] = scope(s, st.links)
			}
		}
		b.add(f)
	}
}

func (b *formBuilder) add(f *form) {
	if f.finite && len(f.values) == 0 {
		return
	}
	if f.finite && len(b.forms) > 0 {
		if last := b.forms[len(b.forms)-1]; last.finite { // lists of values are one list
			b.forms[len(b.forms)-1] = last.merge(f)
			return
		}
	}
	if b.forms = append(b.forms, f); len(b.forms) > maxForms {
		failSchema(b.at, "", ErrTooLarge, "it comes to more than %d alternatives", maxForms)
	}
}

// merge returns the values of two lists.
func (f *form) merge(g *form) *form {
	return &form{
		types: f.types | g.types, schemas: f.schemas, finite: true,
		values: distinctValues(slices.Concat(f.values, g.values)), sure: distinctValues(slices.Concat(f.sure, g.sure)),
	}
}

// finiteForm keeps those of the listed values that may satisfy all schemas.
func (c *schemaCompiler) finiteForm(st formState) *form {
	f := &form{types: st.types, schemas: st.schemas, finite: true}
	var values []*jsonValue
	for _, s := range st.schemas {
		if s.values != nil {
			values = s.values
			break
		}
	}
	for _, v := range values {
		holds := func(how verdict) bool {
			if !c.validAll(v, st.schemas[st.context:], how) {
				return false
			}
			for _, choice := range st.choices {
				if !slices.ContainsFunc(choice.choice, func(branch []*schema) bool { return c.validAll(v, branch, how) }) {
					return false
				}
			}
			return true
		}
		if !holds(possibly) {
			continue
		}
		f.values = append(f.values, v)
		if holds(hopefully) {
			f.sure = append(f.sure, v)
		}
	}
	return f
}

// choicesOf returns the alternatives that s demands, apart from oneOf.
func (c *schemaCompiler) choicesOf(s *schema) []choice {
	if s.values != nil {
		return nil // its values are checked one by one
	}
	out, ok := c.choices[s]
	if !ok {
		out = c.findChoices(s)
		c.choices[s] = out
	}
	return out
}

func (c *schemaCompiler) findChoices(s *schema) []choice {
	var out []choice
	if s.anyOf != nil {
		var ch choice
		for _, x := range s.anyOf {
			ch = append(ch, []*schema{x})
		}
		out = append(out, ch)
	}
	if s.not != nil {
		c.attempt(func() { out = append(out, c.negate(s.not, s.pointer, "not")) })
	}
	if s.when != nil && (s.then != nil || s.other != nil) {
		yes := []*schema{s.when}
		if s.then != nil {
			yes = append(yes, s.then)
		}
		ch := choice{yes}
		not := choice{nil}
		c.attempt(func() { not = c.negate(s.when, s.pointer, "if") })
		for _, no := range not {
			if s.other != nil {
				no = append(slices.Clip(no), s.other)
			}
			ch = append(ch, no)
		}
		out = append(out, ch)
	}
	for _, d := range s.dependentSchemas {
		out = append(out, choice{{c.without(s, d.name)}, {c.with(s, d.name), d.s}})
	}
	for _, d := range s.dependentNames {
		out = append(out, choice{{c.without(s, d.name)}, {c.with(s, append([]string{d.name}, d.required...)...)}})
	}
	for _, v := range s.excluded {
		if v.kind == jsonNumber && s.types&typeNumber != 0 {
			rest, below, above := c.newSchema(s.pointer), c.newSchema(s.pointer), c.newSchema(s.pointer)
			rest.types &^= typeNumber
			below.types, above.types = typeNumber, typeNumber
			below.atMost(v.number, true)
			above.atLeast(v.number, true)
			out = append(out, choice{{rest}, {below}, {above}})
		}
	}
	return out
}

// without is a schema that forbids a property, with one that demands some.
func (c *schemaCompiler) without(s *schema, name string) *schema {
	no := c.newSchema(s.pointer)
	no.never = true
	out := c.newSchema(s.pointer)
	out.properties = []property{{name, no}}
	out.named = map[string]*schema{name: no}
	return out
}

func (c *schemaCompiler) with(s *schema, names ...string) *schema {
	out := c.newSchema(s.pointer)
	out.types = typeObject
	out.required = names
	return out
}

// exclusive returns the alternatives of s.oneOf, given st: exactly one of its branches may
// hold.
func (c *schemaCompiler) exclusive(s *schema, st formState) (out choice) {
	if !c.attempt(func() { out = c.apart(s, st) }) {
		out = nil
		for _, x := range s.oneOf {
			out = append(out, []*schema{x})
		}
	}
	return out
}

// apart is exclusive where that can be expressed.
func (c *schemaCompiler) apart(s *schema, st formState) choice {
	var out choice
	for i, x := range s.oneOf {
		branches := choice{{x}}
		for j, y := range s.oneOf {
			if i == j || c.disjoint(st, x, y) {
				continue
			}
			// Take away what the other branch allows too.
			no := c.negate(y, s.pointer, "oneOf")
			var next choice
			for _, b := range branches {
				for _, n := range no {
					next = append(next, append(slices.Clip(b), n...))
				}
			}
			if branches = next; len(branches) > maxForms {
				failSchema(s.pointer, "oneOf", ErrTooLarge, "keeping its branches apart comes to more than %d alternatives; use \"anyOf\"", maxForms)
			}
		}
		out = append(out, branches...)
	}
	return out
}

// disjoint reports whether two branches certainly exclude each other.
func (c *schemaCompiler) disjoint(st formState, x, y *schema) bool {
	b := &formBuilder{c: c, at: x.pointer}
	b.build(formState{types: st.types, schemas: st.schemas, context: len(st.schemas)}, nil, []*schema{x, y})
	for _, f := range b.forms {
		if !c.emptyForm(f) {
			return false
		}
	}
	return true
}

// isEmpty reports whether a conjunction certainly cannot be satisfied.
func (c *schemaCompiler) isEmpty(list []*schema) bool {
	list = standsFor(list)
	k := key(list)
	if e, ok := c.emptyOf[k]; ok {
		return e
	}
	if c.active[k] {
		return false // recursion decides nothing
	}
	c.active[k] = true
	defer delete(c.active, k)
	empty := true
	for _, f := range c.forms(list) {
		if !c.emptyForm(f) {
			empty = false
			break
		}
	}
	c.emptyOf[k] = empty
	return empty
}

// emptyForm is isEmpty for one alternative. It goes by JSON Schema's meaning, in which
// objects are open, and leaves out what is unevaluated, of which a form knows less than there
// may be.
func (c *schemaCompiler) emptyForm(f *form) bool {
	if f.scopes != nil {
		plain := *f
		plain.scopes = nil
		f = &plain
	}
	if f.finite {
		return len(f.values) == 0
	}
	if f.types&(typeNull|typeBoolean) != 0 {
		for _, v := range []*jsonValue{{kind: jsonNull}, {kind: jsonBool}, {kind: jsonBool, truth: true}} {
			if f.types.has(v) && !f.excludes(v) {
				return false
			}
		}
	}
	if f.types&typeNumber != 0 && !f.numbers().empty() {
		return false
	}
	if f.types&typeString != 0 && !c.stringsEmpty(f) {
		return false
	}
	if f.types&typeArray != 0 {
		lo, hi := f.itemRange()
		for i := range min(lo, int32(f.prefix())+1) {
			if c.isEmpty(f.item(int(i))) {
				lo, hi = 1, 0
				break
			}
		}
		if lo <= hi {
			return false
		}
	}
	if f.types&typeObject != 0 {
		lo, hi := f.propertyRange()
		required := f.required()
		if int64(len(required)) > int64(hi) {
			lo, hi = 1, 0
		}
		for _, name := range required {
			if lo > hi || !c.nameAllowed(f, name, possibly) || c.isEmpty(f.property(c.meter, name)) {
				lo, hi = 1, 0
				break
			}
		}
		if lo <= hi {
			return false
		}
	}
	return true
}
