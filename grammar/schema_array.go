package grammar

import "slices"

const (
	// maxUnique bounds the values that the items of a list with uniqueItems may
	// have.
	maxUnique = 8
	// maxListStates bounds the automaton of a list with contains.
	maxListStates = 1 << 12
)

func (c *schemaCompiler) array(f *form, at string) *expr {
	j := c.json
	lo, hi := f.itemRange()
	if lo > hi {
		return never
	}
	var e *expr
	for _, s := range f.schemas {
		if s.unique && hi > 1 && c.attempt(func() { e = c.uniqueArray(f, lo, hi, s.pointer) }) {
			return e
		}
	}
	for _, s := range f.schemas {
		if s.contains != nil && (s.minContains > 0 || s.maxContains != unbounded) &&
			c.attempt(func() { e = c.containsArray(f, s, lo, hi) }) {
			return e
		}
	}
	prefix := f.prefix()
	if prefix == 0 && len(f.item(0)) == 0 && lo == 0 && hi == unbounded {
		return j.array()
	}
	if prefix == 0 {
		return j.list(c.value(f.item(0)), lo, hi)
	}
	// Items from the last to the first, each with all that follows.
	n := min(prefix, int(hi))
	tail := empty
	if int32(n) < hi {
		more := hi
		if hi != unbounded {
			more -= int32(n)
		}
		tail = repeat(seq(j.comma(), c.value(f.item(prefix))), max(lo-int32(n), 0), more)
	}
	for i := n - 1; i >= 0; i-- {
		tail = seq(c.value(f.item(i)), tail)
		if i > 0 {
			tail = seq(j.comma(), tail)
		} else {
			tail = seq(tail, j.space())
		}
		if int32(i) >= lo {
			tail = opt(tail)
		}
	}
	return seq(lit("["), j.space(), tail, lit("]"))
}

// containsArray is a list with a number of items that satisfy s.contains. Its nodes tell how
// many items there are and how many of them are known to satisfy it, as far as that
// matters.
func (c *schemaCompiler) containsArray(f *form, s *schema, lo, hi int32) *expr {
	for _, t := range f.schemas {
		if t != s && t.contains != nil {
			c.relax(t.pointer, "contains", ErrUnsupported, "two of them for one list cannot be expressed")
		}
	}
	items, found := max(lo, int32(f.prefix()), 1), s.minContains
	if hi != unbounded {
		items = hi
	}
	if s.maxContains != unbounded {
		found = s.maxContains + 1
	}
	if int64(items)*int64(found+1) > maxListStates {
		failSchema(s.pointer, "contains", ErrTooLarge, "it needs more than %d states; lower minItems, maxItems, minContains or maxContains", maxListStates)
	}
	j := c.json
	g := &graph{nodes: 2 * int(items+1) * int(found+1)}
	node := func(n, k, comma int32) int { return int((n*(found+1)+k)*2 + comma) }
	for n := range items + 1 {
		here := f.item(int(n))
		rest := here
		if s.maxContains != unbounded {
			rest = append(slices.Clip(here), c.opposite(s.contains, s.pointer, "contains"))
		}
		for k := range found + 1 {
			if n >= lo && k >= s.minContains && k <= s.maxContains {
				g.final = append(g.final, node(n, k, 0))
			}
			if n == hi {
				continue
			}
			next := min(n+1, items)
			if n == 0 {
				g.edge(node(n, k, 0), node(n, k, 1), nil)
			} else {
				g.edge(node(n, k, 0), node(n, k, 1), j.comma())
			}
			g.edge(node(n, k, 1), node(next, k, 0), c.value(rest))
			if k < found {
				g.edge(node(n, k, 1), node(next, k+1, 0), c.value(append(slices.Clip(here), s.contains)))
			}
		}
	}
	return seq(lit("["), j.space(), graphExpr(g), j.space(), lit("]"))
}

// uniqueArray is a list whose items come from a short list of values, each at most once.
func (c *schemaCompiler) uniqueArray(f *form, lo, hi int32, at string) *expr {
	var values []*jsonValue
	ok := f.prefix() == 0 && !slices.ContainsFunc(f.schemas, func(s *schema) bool { return s.contains != nil })
	for _, x := range c.forms(f.item(0)) {
		switch {
		case x.finite:
			values = append(values, x.sure...)
		case x.types&^(typeNull|typeBoolean) == 0:
			for _, v := range []*jsonValue{{kind: jsonNull}, {kind: jsonBool, truth: true}, {kind: jsonBool}} {
				if x.types.has(v) && !x.excludes(v) {
					values = append(values, v)
				}
			}
		default:
			ok = false
		}
	}
	distinct := distinctValues(values)
	if !ok || len(distinct) > maxUnique {
		failSchema(at, "uniqueItems", ErrUnsupported, "it can be expressed only for at most one item, or for items from at most %d values", maxUnique)
	}
	// A node stands for the set of values used, and one more for it after a comma.
	j := c.json
	n := len(distinct)
	g := &graph{nodes: 2 << n}
	comma := func(set int) int { return set + 1<<n }
	for set := range 1 << n {
		used := int32(popCount([]uint64{uint64(set)}))
		if used >= lo && used <= hi {
			g.final = append(g.final, set)
		}
		if used >= hi {
			continue
		}
		if set == 0 {
			g.edge(0, comma(0), nil)
		} else {
			g.edge(set, comma(set), j.comma())
		}
		for i, v := range distinct {
			if set>>i&1 == 0 {
				g.edge(comma(set), set|1<<i, j.literal(v))
			}
		}
	}
	return seq(lit("["), j.space(), graphExpr(g), j.space(), lit("]"))
}
