package grammar

import "slices"

// maxPatternProperties bounds the distinct patterns of one object: every
// combination of them is a class of names.
const maxPatternProperties = 4

// objectBuilder builds the texts of the objects of one form.
type objectBuilder struct {
	c  *schemaCompiler
	f  *form
	at string

	listed   []listedProperty
	lo, hi   int32 // number of properties
	cap      int32 // more properties than that are not told apart
	extra    *expr // an additional property; never if there are none
	g        *graph
	index    map[objectState]int
	states   []objectState
	finished int // the node after the last property
}

// listedProperty is a property that the schema names.
type listedProperty struct {
	name     string
	required bool
	value    *expr
}

// objectState is a place in an object. Place 'a': property at is next, if it is written; 'c': property at is
// written next; 'x': an additional one is; 'y': after an additional one. n properties are written
// before it (after it, for 'c' and 'x'), up to cap.
type objectState struct {
	place byte
	at    int
	n     int32
}

func (b *objectBuilder) build() *expr {
	if !b.count() {
		return never
	}
	j := b.c.json
	if b.lo == 0 && b.hi == unbounded && len(b.listed) == 0 && b.free() {
		return j.object()
	}
	b.extra = b.additional()
	if b.extra == never && int64(b.hi) >= int64(len(b.listed)) {
		b.hi, b.cap = unbounded, max(b.lo, 1) // the limit cannot be reached
	}
	if b.hi == 0 {
		for _, p := range b.listed {
			if p.required {
				return never
			}
		}
		return seq(lit("{"), j.space(), lit("}"))
	}
	b.g, b.index = &graph{}, map[objectState]int{}
	b.state(objectState{'a', 0, 0})
	b.finished = b.g.node()
	b.g.final = []int{b.finished}
	for i := 0; i < len(b.states); i++ {
		if len(b.states) > maxProductDFA {
			failSchema(b.at, "", ErrTooLarge, "minProperties and maxProperties of an object with many properties")
		}
		b.expand(b.states[i])
	}
	return seq(lit("{"), j.space(), graphExpr(b.g), lit("}"))
}

// count finds the properties and how many there may be. It returns false if there can be
// no such object.
func (b *objectBuilder) count() bool {
	b.lo, b.hi = b.f.propertyRange()
	required := map[string]bool{}
	for _, name := range b.f.required() {
		required[name] = true
	}
	if b.lo > b.hi || int64(len(required)) > int64(b.hi) {
		return false
	}
	if int64(b.lo) <= int64(len(required)) {
		b.lo = 0 // nothing more to demand
	}
	b.cap = 1
	if b.hi != unbounded {
		b.cap = b.hi
	} else if b.lo > 0 {
		b.cap = b.lo
	}
	seen := map[string]bool{}
	add := func(name string) bool {
		if seen[name] {
			return true
		}
		seen[name] = true
		conj := b.f.property(name)
		if !b.c.nameAllowed(b.f, name, certainly) || b.c.isEmpty(conj) {
			return !required[name]
		}
		b.listed = append(b.listed, listedProperty{name, required[name], b.c.value(conj)})
		return true
	}
	for _, s := range b.f.schemas {
		for _, p := range s.properties {
			if !add(p.name) {
				return false
			}
		}
	}
	for _, name := range b.f.required() {
		if !add(name) {
			return false
		}
	}
	return true
}

// free reports whether additional properties may have any name and value.
func (b *objectBuilder) free() bool {
	return b.open() && !slices.ContainsFunc(b.f.schemas, func(s *schema) bool {
		return s.matching != nil || s.additional != nil || s.names != nil || s.properties != nil
	})
}

// open reports whether properties are allowed that neither a name nor a pattern
// mentions.
func (b *objectBuilder) open() bool {
	lists := false
	for _, s := range b.f.schemas {
		if s.additional != nil {
			return true // as it says
		}
		lists = lists || s.matching != nil || slices.ContainsFunc(s.properties, func(p property) bool { return !p.s.never })
	}
	return !lists || b.c.options.OpenObjects
}

// additional returns the texts of the properties that are not listed, by the patterns
// that their names match.
func (b *objectBuilder) additional() *expr {
	c, j := b.c, b.c.json
	patterns := b.f.patternsOf(func(s *schema) []pattern {
		var out []pattern
		for _, m := range s.matching {
			out = append(out, m.pattern)
		}
		return out
	})
	if len(patterns) > maxPatternProperties {
		failSchema(b.at, "patternProperties", ErrTooLarge, "at most %d patterns are possible", maxPatternProperties)
	}
	var sub []*expr
	var names *dfa // that are not listed and that propertyNames allows
	for set := range 1 << len(patterns) {
		if set == 0 && !b.open() {
			continue
		}
		matched := func(p pattern) bool {
			i := slices.IndexFunc(patterns, func(x pattern) bool { return x.source == p.source })
			return set>>i&1 != 0
		}
		conj := b.valueOf(matched)
		if c.isEmpty(conj) {
			continue
		}
		if names == nil {
			names = b.names()
		}
		d := names
		for _, p := range patterns {
			e, err := determinize(c.meter, reCat(reAny, p.re, reAny))
			if err == nil {
				if !matched(p) {
					e = e.complement()
				}
				d, err = intersectDFA(d, e, maxProductDFA)
			}
			if err != nil {
				failSchema(b.at, "patternProperties", err, "%q", clip([]byte(p.source)))
			}
			d = d.minimize()
		}
		name := j.string()
		if len(d.cuts) > 1 || !d.final[0] || d.next[0] != 0 {
			name = seq(lit(`"`), d.expr(jsonChars), lit(`"`))
		}
		if !d.isEmpty() {
			sub = append(sub, seq(name, j.colon(), c.value(conj)))
		}
	}
	if len(sub) == 0 {
		return never
	}
	return j.named("property "+key(b.f.schemas), "#"+b.at+", additional properties", func() *expr { return alt(sub...) })
}

// valueOf returns what applies to the value of a property that is not listed.
func (b *objectBuilder) valueOf(matched func(pattern) bool) []*schema {
	var out []*schema
	for _, s := range b.f.schemas {
		found := false
		for _, m := range s.matching {
			if matched(m.pattern) {
				out, found = append(out, m.s), true
			}
		}
		if !found && s.additional != nil {
			out = append(out, s.additional)
		}
	}
	return out
}

// names returns the automaton of the names that are not listed and that propertyNames
// allows.
func (b *objectBuilder) names() *dfa {
	var listed []string
	for _, s := range b.f.schemas {
		for _, p := range s.properties {
			listed = append(listed, p.name)
		}
		listed = append(listed, s.required...)
	}
	d := anyText()
	if len(listed) > 0 {
		d = b.c.textsDFA(listed).complement().minimize()
	}
	for _, s := range b.f.schemas {
		if s.names == nil {
			continue
		}
		var err error
		if d, err = intersectDFA(d, b.c.namesDFA([]*schema{s.names}), maxProductDFA); err != nil {
			failSchema(s.pointer, "propertyNames", err, "the names")
		}
		d = d.minimize()
	}
	return d
}

func (b *objectBuilder) state(s objectState) int {
	s.n = min(s.n, b.cap)
	i, ok := b.index[s]
	if !ok {
		i = b.g.node()
		b.index[s] = i
		b.states = append(b.states, s)
	}
	return i
}

// expand adds the edges out of a state.
func (b *objectBuilder) expand(s objectState) {
	j := b.c.json
	from := b.state(s)
	full := b.hi != unbounded && s.n >= b.hi
	// next goes on to write a property: after a comma, unless it is the first.
	next := func(to objectState) {
		if s.n == 0 {
			b.g.edge(from, b.state(to), nil)
		} else {
			b.g.edge(from, b.state(to), j.comma())
		}
	}
	end := func() {
		if s.n == 0 {
			b.g.edge(from, b.finished, nil)
		} else {
			b.g.edge(from, b.finished, j.space())
		}
	}
	switch s.place {
	case 'a':
		if s.at == len(b.listed) {
			if s.n >= b.lo {
				end()
			}
			// Additional names may repeat: together they count as one.
			if b.extra != never && !full && s.n+1 >= b.lo {
				next(objectState{'x', 0, s.n + 1})
			}
			return
		}
		if !full {
			next(objectState{'c', s.at, s.n + 1})
		}
		if !b.listed[s.at].required {
			b.g.edge(from, b.state(objectState{'a', s.at + 1, s.n}), nil)
		}
	case 'c':
		p := b.listed[s.at]
		b.g.edge(from, b.state(objectState{'a', s.at + 1, s.n}), seq(lit(quote(p.name)), j.colon(), p.value))
	case 'x':
		b.g.edge(from, b.state(objectState{'y', 0, s.n}), b.extra)
	case 'y':
		end()
		if !full {
			next(objectState{'x', 0, s.n + 1})
		}
	}
}
