package grammar

import (
	"math/bits"
	"slices"
	"strconv"
)

// maxNameClasses bounds the classes of names of one object: by which patterns of
// patternProperties they match.
const maxNameClasses = 32

// objectBuilder builds the texts of the objects of one form.
type objectBuilder struct {
	c  *schemaCompiler
	f  *form
	at string

	listed   []listedProperty
	lo, hi   int32 // number of properties
	cap      int32 // more properties than that are not told apart
	extra    *expr // an additional property; never if there are none
	mixed    int   // from this listed property on, additional ones may come between
	leading  *expr // an additional property that may come first even if required ones are to follow
	classes  []nameClass
	kinds    []*expr // additional properties whose names certainly differ from those of the other kinds
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

// objectState is a place in an object. Place 'a': property at is next, or an additional one where they may come; 's':
// property at is next, if it is written; 'c': property at is written next; 'x': an additional one is, before property
// at; 'l': one that may lead is; 'k': one of kind at is; 'y': after an additional one, only such come. n properties
// are written before it (after it, for 'c', 'x', 'l' and 'k'), up to cap. used are the kinds that are written, as long
// as there are too few properties.
type objectState struct {
	place byte
	at    int
	n     int32
	used  uint32
}

func (b *objectBuilder) build() *expr {
	if !b.count() {
		return never
	}
	j := b.c.json
	if b.lo == 0 && b.hi == unbounded && len(b.listed) == 0 && b.free() {
		return j.object()
	}
	if !b.c.attempt(func() { b.extra = b.additional() }) {
		pair := seq(j.string(), j.colon(), j.value())
		b.extra, b.classes = pair, nil
	}
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
	if more := int(b.lo) - len(b.listed); b.extra != never && more > 1 && len(b.distinct()) < more {
		b.c.relax(b.at, "minProperties", ErrTooLarge, "so many names that are not listed cannot be kept apart")
		b.lo = int32(len(b.listed)) + 1
	}
	b.mixed = len(b.listed) + 1
	if b.extra != never && b.lo <= 1 { // otherwise additional ones are of different kinds
		for b.mixed--; b.mixed > 0 && !b.listed[b.mixed-1].required; b.mixed-- {
		}
		b.leading = b.annotations()
	}
	if !b.c.attempt(b.pairs) {
		b.lo, b.hi, b.cap = 0, unbounded, 1
		b.pairs()
	}
	return seq(lit("{"), j.space(), graphExpr(b.g), lit("}"))
}

// pairs builds the graph of what is between the braces.
func (b *objectBuilder) pairs() {
	b.g, b.index, b.states = &graph{}, map[objectState]int{}, nil
	b.state(objectState{place: 'a'})
	b.finished = b.g.node()
	b.g.final = []int{b.finished}
	for i := 0; i < len(b.states); i++ {
		if len(b.states) > maxProductDFA {
			failSchema(b.at, "minProperties", ErrTooLarge, "minProperties and maxProperties of an object with many properties")
		}
		b.expand(b.states[i])
	}
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
		conj := b.f.property(b.c.meter, name)
		if !b.c.nameAllowed(b.f, name, hopefully) || b.c.isEmpty(conj) {
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
		return s.matching != nil || s.additional != nil || s.names != nil || s.properties != nil ||
			s.unevaluatedProps != nil
	})
}

// open reports whether properties are allowed that neither a name nor a pattern
// mentions.
func (b *objectBuilder) open() bool {
	lists := false
	for _, s := range b.f.schemas {
		if s.additional != nil || s.unevaluatedProps != nil && b.f.scopes != nil {
			return true // as it says
		}
		lists = lists || s.matching != nil || slices.ContainsFunc(s.properties, func(p property) bool { return !p.s.never })
	}
	return !lists || b.c.options.OpenObjects
}

// nameClass is the names that match the same patterns.
type nameClass struct {
	names   *dfa
	matched []string // sources of the patterns
	value   *expr
}

// pair returns the texts of a property with such a name.
func (n nameClass) pair(j *jsonRules) *expr {
	d, name := n.names, j.string()
	if len(d.cuts) > 1 || !d.final[0] || d.next[0] != 0 {
		name = seq(lit(`"`), d.expr(jsonChars), lit(`"`))
	}
	return seq(name, j.colon(), n.value)
}

// kindCharacters are what names begin with, apart from less usual characters.
const kindCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"

// distinct returns kinds of additional properties. The names of two kinds differ in the first character
// that all names do not have in common.
func (b *objectBuilder) distinct() []*expr {
	if b.kinds != nil {
		return b.kinds
	}
	n := 16
	if b.lo > 3 {
		n = 8 // more of them can be combined in too many ways
	}
	common := int32(-1)
	for _, class := range b.classes {
		if p := class.names.prefix(); common < 0 || p < common {
			common = p
		}
	}
	b.kinds = []*expr{}
	for kind := range n {
		var set charSet
		for i, r := range kindCharacters {
			if i%n == kind {
				set = append(set, oneChar(r)...)
			}
		}
		at := &re{op: reRepeat, sub: []*re{{op: reSet, set: allChars}}, min: common, max: common}
		begin, err := determinize(b.c.meter, reCat(at, &re{op: reSet, set: newSet(set...)}, reAny))
		if err != nil {
			failSchema(b.at, "minProperties", err, "the names")
		}
		var sub []*expr
		for _, class := range b.classes {
			d, err := intersectDFA(class.names, begin, maxProductDFA)
			if err != nil {
				failSchema(b.at, "minProperties", err, "the names")
			}
			if class.names = d.minimize(); !class.names.isEmpty() {
				sub = append(sub, class.pair(b.c.json))
			}
		}
		if len(sub) > 0 {
			name := "property " + key(b.f.schemas) + " " + strconv.Itoa(kind)
			b.kinds = append(b.kinds, b.c.json.named(name, "#"+b.at+", additional properties", func() *expr { return alt(sub...) }))
		}
	}
	return b.kinds
}

// additional returns the texts of the properties that are not listed, by the patterns
// that their names match.
func (b *objectBuilder) additional() *expr {
	c, j := b.c, b.c.json
	if !b.open() && !slices.ContainsFunc(b.f.schemas, func(s *schema) bool { return s.matching != nil }) {
		return never
	}
	var sub []*expr
	for _, class := range b.nameClasses() {
		conj := b.valueOf(func(p pattern) bool { return p.re == nil || slices.Contains(class.matched, p.source) })
		if len(class.matched) == 0 && !b.open() || c.isEmpty(conj) {
			continue
		}
		class.value = c.value(conj)
		b.classes = append(b.classes, class)
		sub = append(sub, class.pair(j))
	}
	if len(sub) == 0 {
		return never
	}
	return j.named("property "+key(b.f.schemas), "#"+b.at+", additional properties", func() *expr { return alt(sub...) })
}

// annotations returns the additional properties whose names begin with "$", nil if there are none: "$schema" and its
// like stand first by custom.
func (b *objectBuilder) annotations() *expr {
	dollar, err := determinize(b.c.meter, reCat(&re{op: reSet, set: oneChar('$')}, reAny))
	if err != nil {
		return nil
	}
	var sub []*expr
	for _, class := range b.classes {
		if d, err := intersectDFA(class.names, dollar, maxProductDFA); err == nil {
			if class.names = d.minimize(); !class.names.isEmpty() {
				sub = append(sub, class.pair(b.c.json))
			}
		}
	}
	if len(sub) == 0 {
		return nil
	}
	return alt(sub...)
}

// nameClasses returns the classes of names that are not listed.
func (b *objectBuilder) nameClasses() []nameClass {
	classes := []nameClass{{names: b.names()}}
	patterns := b.f.patternsOf(func(s *schema) []pattern {
		var out []pattern
		for _, m := range s.matching {
			out = append(out, m.pattern)
		}
		return out
	})
	for _, p := range patterns {
		yes, err := b.c.search(p)
		if err != nil {
			failSchema(b.at, "patternProperties", err, "%q", clip([]byte(p.source)))
		}
		no := yes.complement()
		var next []nameClass
		for _, class := range classes {
			for _, side := range []*dfa{yes, no} {
				d, err := intersectDFA(class.names, side, maxProductDFA)
				if err != nil {
					failSchema(b.at, "patternProperties", err, "%q", clip([]byte(p.source)))
				}
				if d = d.minimize(); d.isEmpty() {
					continue
				}
				matched := slices.Clip(class.matched)
				if side == yes {
					matched = append(matched, p.source)
				}
				next = append(next, nameClass{names: d, matched: matched})
			}
		}
		if classes = next; len(classes) > maxNameClasses {
			failSchema(b.at, "patternProperties", ErrTooLarge, "the patterns make more than %d classes of names", maxNameClasses)
		}
	}
	return classes
}

// valueOf returns what applies to the value of a property that is not listed.
func (b *objectBuilder) valueOf(matched func(pattern) bool) []*schema {
	var out []*schema
	for _, s := range b.f.schemas {
		found := false
		for _, m := range s.matching {
			if matched(m.pattern) {
				found = true
				if m.pattern.re != nil {
					out = append(out, m.s)
				}
			}
		}
		if !found && s.additional != nil {
			out = append(out, s.additional)
		}
		if s.unevaluatedProps != nil && b.f.scopes != nil && !b.f.evaluates(s, "", matched) {
			out = append(out, s.unevaluatedProps)
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
		if texts, err := textsDFA(b.c.meter, listed); err == nil {
			d = texts.complement()
		} else {
			b.c.relax(b.at, "properties", err, "additional names may be those of properties")
		}
	}
	for _, s := range b.f.schemas {
		if s.names == nil {
			continue
		}
		both, err := intersectDFA(d, b.c.namesDFA([]*schema{s.names}), maxProductDFA)
		if err != nil {
			b.c.relax(s.pointer, "propertyNames", err, "the names")
			continue
		}
		d = both.minimize()
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
	case 'a', 's':
		if s.place == 'a' && !full && b.extra != never && (s.at == len(b.listed) || s.at >= b.mixed) {
			b.more(s, next)
		} else if s.at == 0 && !full && b.leading != nil {
			next(objectState{place: 'l', n: s.n + 1})
		}
		if s.at == len(b.listed) {
			if s.n >= b.lo {
				end()
			}
			return
		}
		if !full {
			next(objectState{place: 'c', at: s.at, n: s.n + 1})
		}
		if !b.listed[s.at].required {
			skip := objectState{place: s.place, at: s.at + 1, n: s.n}
			if s.at >= b.mixed {
				skip.place = 's'
			}
			b.g.edge(from, b.state(skip), nil)
		}
	case 'c':
		p := b.listed[s.at]
		b.g.edge(from, b.state(objectState{place: 'a', at: s.at + 1, n: s.n}), seq(lit(quote(p.name)), j.colon(), p.value))
	case 'l':
		b.g.edge(from, b.state(objectState{place: 'a', n: s.n}), b.leading)
	case 'x':
		after := objectState{place: 'a', at: s.at, n: s.n}
		if s.at < b.mixed {
			after = objectState{place: 'y', n: s.n}
		}
		b.g.edge(from, b.state(after), b.extra)
	case 'k':
		b.g.edge(from, b.state(objectState{place: 'y', n: s.n, used: s.used}), b.kinds[s.at])
	case 'y':
		if s.n >= b.lo {
			end()
		}
		if !full {
			b.more(s, next)
		}
	}
}

// more goes on to an additional property. Additional names may repeat, so together they count as one, unless they
// are of different kinds.
func (b *objectBuilder) more(s objectState, next func(objectState)) {
	missing := int(b.lo - s.n)
	if missing <= 1 && s.used == 0 || missing <= 0 {
		next(objectState{place: 'x', at: s.at, n: s.n + 1})
		return
	}
	kinds := b.distinct()
	if len(kinds)-bits.OnesCount32(s.used) < missing {
		return
	}
	for i := range kinds {
		if s.used>>i&1 == 0 {
			next(objectState{place: 'k', at: i, n: s.n + 1, used: s.used | 1<<i})
		}
	}
}
