package grammar

import (
	"math/big"
	"slices"
)

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
	return slices.ContainsFunc(f.schemas, func(s *schema) bool { return s.barred.has(v) })
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
		if s.unevaluatedItems != nil && f.scopes != nil && !f.evaluatesItem(s, i) {
			out = append(out, s.unevaluatedItems)
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
func (f *form) property(m *meter, name string) []*schema {
	var out []*schema
	matched := func(p pattern) bool { return p.re == nil || p.matches(m, name) }
	for _, s := range f.schemas {
		schemas, found, sure := s.ownProperty(m, name)
		out = append(out, schemas...)
		if !found && sure && s.additional != nil {
			out = append(out, s.additional)
		}
		if s.unevaluatedProps != nil && f.scopes != nil && !f.evaluates(s, name, matched) {
			out = append(out, s.unevaluatedProps)
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
