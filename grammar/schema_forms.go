package grammar

import (
	"math/big"
	"slices"
)

// form is one of the alternatives that a conjunction stands for: schemas without
// combinators that all must hold, or a list of values.
type form struct {
	types   typeSet
	schemas []*schema
	finite  bool
	values  []*jsonValue // if finite: those that possibly satisfy it
	sure    []*jsonValue // of them, those that certainly do
}

// choice is a set of alternatives, one of which must hold: the branches of an
// anyOf and what is like it.
type choice [][]*schema

// forms returns the alternatives of a conjunction; none if it certainly cannot be satisfied.
func (c *schemaCompiler) forms(list []*schema) []*form {
	k := key(list)
	if f, ok := c.formsOf[k]; ok {
		return f
	}
	if len(c.formsOf) >= maxConjuncts {
		failSchema(where(list), "", ErrTooLarge, "there are more than %d combinations of schemas", maxConjuncts)
	}
	b := &formBuilder{c: c, at: where(list)}
	b.build(formState{types: typeAll}, list)
	c.formsOf[k] = b.forms
	return b.forms
}

type formBuilder struct {
	c     *schemaCompiler
	at    string
	forms []*form
}

// formState is a form under construction.
type formState struct {
	types   typeSet
	schemas []*schema
	choices []choice
	oneOfs  []*schema // whose oneOf is still to do
	// context is how many of schemas are not what the question is about. They
	// may contain the oneOf that is being decided, so listed values are not checked against them.
	context int
	finite  bool // some schema lists its values
}

// build adds schemas to a state and appends the forms it comes to.
func (b *formBuilder) build(st formState, more []*schema) {
	if b.c.work++; b.c.work > maxFormWork {
		failSchema(b.at, "", ErrTooLarge, "combining the alternatives takes too long")
	}
	st.schemas = slices.Clone(st.schemas)
	st.choices = slices.Clone(st.choices)
	st.oneOfs = slices.Clone(st.oneOfs)
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
		if s.target != nil {
			queue = append(slices.Clip(queue), s.target)
		}
		queue = append(slices.Clip(queue), s.allOf...)
		if s.oneOf != nil {
			st.oneOfs = append(st.oneOfs, s)
		}
		st.choices = append(st.choices, b.c.choicesOf(s)...)
	}
	switch {
	case st.types == 0:
	case st.finite:
		b.add(b.c.finiteForm(st))
	case len(st.oneOfs) > 0:
		s := st.oneOfs[0]
		st.oneOfs = st.oneOfs[1:]
		for _, branch := range b.c.exclusive(s, st) {
			b.build(st, branch)
		}
	case len(st.choices) > 0:
		choice := st.choices[0]
		st.choices = st.choices[1:]
		for _, branch := range choice {
			b.build(st, branch)
		}
	default:
		b.add(&form{types: st.types, schemas: st.schemas})
	}
}

func (b *formBuilder) add(f *form) {
	if f.finite && len(f.values) == 0 {
		return
	}
	if b.forms = append(b.forms, f); len(b.forms) > maxForms {
		failSchema(b.at, "", ErrTooLarge, "it comes to more than %d alternatives", maxForms)
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
				if !slices.ContainsFunc(choice, func(branch []*schema) bool { return c.validAll(v, branch, how) }) {
					return false
				}
			}
			return true
		}
		if containsValue(f.values, v) || !holds(possibly) {
			continue
		}
		f.values = append(f.values, v)
		if holds(certainly) {
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
		out = append(out, c.negate(s.not, s.pointer, "not"))
	}
	if s.when != nil && (s.then != nil || s.other != nil) {
		yes := []*schema{s.when}
		if s.then != nil {
			yes = append(yes, s.then)
		}
		ch := choice{yes}
		for _, no := range c.negate(s.when, s.pointer, "if") {
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
func (c *schemaCompiler) exclusive(s *schema, st formState) choice {
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
	b.build(formState{types: st.types, schemas: st.schemas, context: len(st.schemas)}, []*schema{x, y})
	for _, f := range b.forms {
		if !c.emptyForm(f) {
			return false
		}
	}
	return true
}

// isEmpty reports whether a conjunction certainly cannot be satisfied.
func (c *schemaCompiler) isEmpty(list []*schema) bool {
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
// objects are open.
func (c *schemaCompiler) emptyForm(f *form) bool {
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
			if lo > hi || !c.nameAllowed(f, name, possibly) || c.isEmpty(f.property(name)) {
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

// has reports whether v is of one of the types.
func (t typeSet) has(v *jsonValue) bool { return t&v.types() != 0 }

// types returns the type of a value.
func (v *jsonValue) types() typeSet {
	switch v.kind {
	case jsonNull:
		return typeNull
	case jsonBool:
		return typeBoolean
	case jsonString:
		return typeString
	case jsonArray:
		return typeArray
	case jsonObject:
		return typeObject
	}
	if v.number.IsInt() {
		return typeInteger
	}
	return typeFraction
}

// excludes reports whether v is among the values that a negated enum forbids.
func (f *form) excludes(v *jsonValue) bool {
	return slices.ContainsFunc(f.schemas, func(s *schema) bool { return containsValue(s.excluded, v) })
}

// numbers merges what is demanded of numbers.
func (f *form) numbers() numberSpec {
	n := &schema{}
	for _, s := range f.schemas {
		if s.low != nil {
			n.atLeast(s.low, s.lowOpen)
		}
		if s.high != nil {
			n.atMost(s.high, s.highOpen)
		}
		for _, m := range s.multipleOf {
			if !slices.ContainsFunc(n.multipleOf, func(x *big.Rat) bool { return x.Cmp(m) == 0 }) {
				n.multipleOf = append(n.multipleOf, m)
			}
		}
	}
	return numberSpec{low: n.low, high: n.high, lowOpen: n.lowOpen, highOpen: n.highOpen, multipleOf: n.multipleOf, types: f.types & typeNumber}
}

// itemRange returns the least and the greatest number of items.
func (f *form) itemRange() (lo, hi int32) {
	hi = unbounded
	for _, s := range f.schemas {
		lo, hi = max(lo, s.minItems), min(hi, s.maxItems)
	}
	return lo, hi
}

// prefix returns the number of items that may have schemas of their own.
func (f *form) prefix() int {
	n := 0
	for _, s := range f.schemas {
		n = max(n, len(s.prefixItems))
	}
	return n
}

// item returns what applies to item i.
func (f *form) item(i int) []*schema {
	var out []*schema
	for _, s := range f.schemas {
		if i < len(s.prefixItems) {
			out = append(out, s.prefixItems[i])
		} else if s.items != nil {
			out = append(out, s.items)
		}
	}
	return out
}

func (f *form) propertyRange() (lo, hi int32) {
	hi = unbounded
	for _, s := range f.schemas {
		lo, hi = max(lo, s.minProps), min(hi, s.maxProps)
	}
	return lo, hi
}

// required returns the names that must be there, in order.
func (f *form) required() []string {
	var out []string
	seen := map[string]bool{}
	for _, s := range f.schemas {
		for _, name := range s.required {
			if !seen[name] {
				seen[name] = true
				out = append(out, name)
			}
		}
	}
	return out
}

// property returns what applies to the value of a property.
func (f *form) property(name string) []*schema {
	var out []*schema
	for _, s := range f.schemas {
		found := false
		if x := s.named[name]; x != nil {
			out, found = append(out, x), true
		}
		for _, m := range s.matching {
			if m.pattern.matches(name) {
				out, found = append(out, m.s), true
			}
		}
		if !found && s.additional != nil {
			out = append(out, s.additional)
		}
	}
	return out
}

// nameAllowed reports whether propertyNames allows a name.
func (c *schemaCompiler) nameAllowed(f *form, name string, how verdict) bool {
	v := &jsonValue{kind: jsonString, text: name}
	for _, s := range f.schemas {
		if s.names != nil && !c.valid(v, s.names, how) {
			return false
		}
	}
	return true
}
