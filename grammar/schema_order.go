package grammar

import (
	"slices"

	"trit/internal/order"
)

// The order of properties is the one in which a reader meets them: "properties" where it stands among "allOf", "anyOf",
// "oneOf" and "$ref". What only holds on a condition ("if", "dependentSchemas", negations) comes last: it
// mentions properties that are described elsewhere.

// arrange returns the schemas of a form of a conjunction in the order of their properties.
func arrange(conjunction, schemas []*schema, links []link) []*schema {
	if len(links) == 0 {
		return schemas
	}
	a := arranger{seen: make(map[*schema]bool, len(schemas)), because: map[*schema][]link{}}
	for _, l := range links {
		a.because[l.from] = append(a.because[l.from], l)
	}
	for _, s := range conjunction {
		a.visit(s)
	}
	for len(a.later) > 0 {
		s := a.later[0]
		a.later = a.later[1:]
		a.visit(s)
	}
	for _, s := range schemas {
		a.visit(s)
	}
	return a.out
}

type arranger struct {
	out     []*schema
	seen    map[*schema]bool
	because map[*schema][]link // by where they come from
	later   []*schema
}

func (a *arranger) visit(s *schema) {
	if a.seen[s] {
		return
	}
	a.seen[s] = true
	after := a.because[s]
	order.Stable(after, func(x, y link) int { return x.place() - y.place() })
	own := -1
	if len(s.properties) > 0 {
		own = s.properties[0].s.id
	}
	written := false
	for _, l := range after {
		if !written && l.place() > own {
			a.out, written = append(a.out, s), true
		}
		if l.conditional() {
			a.later = append(a.later, l.to)
		} else {
			a.visit(l.to)
		}
	}
	if !written {
		a.out = append(a.out, s)
	}
}

// place returns where in the document l.from leads to l.to, in the order of schemas' ids.
func (l link) place() int {
	if l.to == l.from.target {
		return l.from.referredAt
	}
	return l.to.id
}

// conditional reports whether l.to holds only if something else does.
func (l link) conditional() bool {
	return l.to != l.from.target && !slices.Contains(l.from.allOf, l.to) && !slices.Contains(l.from.anyOf, l.to) &&
		!slices.Contains(l.from.oneOf, l.to)
}
