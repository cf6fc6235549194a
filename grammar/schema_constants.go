package grammar

import "slices"

// fold turns alternatives of constants into a list of values, of which there may be any number.
func (p *keywordParser) fold() {
	s := p.s
	if lists, ok := constants(s.anyOf); ok {
		p.values(slices.Concat(lists...))
		s.anyOf = nil
	}
	if lists, ok := constants(s.oneOf); ok {
		p.values(once(lists))
		s.oneOf = nil
	}
}

// constants returns the values of branches that each are a list of values; false if one is more than that.
func constants(branches []*schema) (values [][]*jsonValue, ok bool) {
	for _, s := range branches {
		if s.values == nil || s.never || s.target != nil || s.unresolved || s.inPlace() != nil || s.demands() {
			return nil, false
		}
		values = append(values, slices.DeleteFunc(slices.Clone(s.values), func(v *jsonValue) bool { return !s.types.has(v) }))
	}
	return values, len(branches) > 0
}

// once returns the values that are in exactly one of the lists.
func once(lists [][]*jsonValue) []*jsonValue {
	in := map[string]int{}
	var all []*jsonValue
	for _, list := range lists {
		for _, v := range list {
			in[string(v.appendKey(nil))]++
			all = append(all, v)
		}
	}
	return slices.DeleteFunc(distinctValues(all), func(v *jsonValue) bool { return in[string(v.appendKey(nil))] > 1 })
}
