// Package randschema makes random JSON Schemas of draft 2020-12, for tests. They
// use nearly all keywords of the validation vocabulary, alone and combined. Some
// are satisfied by nothing, and some by what no grammar describes.
package randschema

import (
	"fmt"
	"math/rand/v2"
)

// Maker makes random schemas.
type Maker struct {
	r    *rand.Rand
	defs int
}

// New returns a maker; the same seed gives the same schemas.
func New(seed uint64) *Maker { return &Maker{r: rand.New(rand.NewPCG(seed, 5))} }

type object = map[string]any

func (g *Maker) pick(list ...any) any { return list[g.r.IntN(len(list))] }

// some adds a keyword half of the time.
func (g *Maker) some(s object, keyword string, value any) {
	if g.r.IntN(2) == 0 {
		s[keyword] = value
	}
}

// Document returns the next schema, with the definitions that it refers to.
func (g *Maker) Document() map[string]any {
	g.defs = g.r.IntN(3)
	s := g.schema(3)
	if g.defs > 0 {
		defs := object{}
		for i := range g.defs {
			defs[fmt.Sprintf("d%d", i)] = g.schema(2)
		}
		s["$defs"] = defs
	}
	return s
}

func (g *Maker) schema(depth int) object {
	n := g.r.IntN(16)
	if depth <= 0 {
		n = g.r.IntN(7)
	}
	switch n {
	case 0:
		return object{"type": g.pick("null", "boolean", []any{"string", "null"}, []any{"integer", "boolean"})}
	case 1:
		return g.integer()
	case 2:
		return g.number()
	case 3, 4:
		return g.text()
	case 5:
		return object{"enum": []any{g.value(), g.value(), g.value()}}
	case 6:
		return object{"const": g.value()}
	case 7, 8:
		return g.array(depth)
	case 9, 10, 11:
		return g.object(depth)
	case 12:
		s := g.schema(depth - 1)
		s[g.pick("anyOf", "oneOf", "allOf").(string)] = []any{g.schema(depth - 1), g.schema(depth - 1)}
		return s
	case 13:
		s := g.schema(depth - 1)
		s["not"] = g.schema(0)
		return s
	case 14:
		s := g.object(depth)
		s["if"] = object{"properties": object{g.name(): g.schema(0)}, "required": []any{g.name()}}
		g.some(s, "then", g.object(depth-1))
		g.some(s, "else", g.object(depth-1))
		return s
	}
	if g.defs > 0 {
		return object{"$ref": fmt.Sprintf("#/$defs/d%d", g.r.IntN(g.defs))}
	}
	return object{}
}

func (g *Maker) integer() object {
	s := object{"type": "integer"}
	g.some(s, "minimum", g.r.IntN(2000)-1000)
	g.some(s, "maximum", g.r.IntN(30000)-1000)
	if g.r.IntN(4) == 0 {
		s["exclusiveMinimum"] = float64(g.r.IntN(200)) / 4
	}
	if g.r.IntN(4) == 0 {
		s["multipleOf"] = g.pick(2, 3, 7, 10, 0.5, 1.5)
	}
	return s
}

func (g *Maker) number() object {
	s := object{"type": "number"}
	g.some(s, g.pick("minimum", "exclusiveMinimum").(string), g.pick(-1000.25, -3, -0.001, 0, 0.5, 1e-7, 10, 99.95))
	g.some(s, g.pick("maximum", "exclusiveMaximum").(string), g.pick(-999, -0.5, 0, 1, 10.5, 1e6, 100, 12345.678))
	if g.r.IntN(5) == 0 {
		s["multipleOf"] = g.pick(0.25, 0.5, 2, 5)
	}
	return s
}

func (g *Maker) text() object {
	s := object{"type": "string"}
	switch g.r.IntN(4) {
	case 0:
		s["pattern"] = g.pick("^a+$", "b", "^[a-f0-9]{2,8}$", "^(x|yy)*$", "[é-日]", "^\\w+-\\d{1,3}", "q$", "^\"\\\\$|^\\n", "^.{3}$", "^[^a-z]*$|z", "(^a|b$)")
	case 1:
		s["format"] = g.pick("date", "time", "date-time", "uuid", "ipv4", "ipv6", "email", "hostname", "uri", "json-pointer", "duration")
	}
	g.some(s, "minLength", g.r.IntN(5))
	g.some(s, "maxLength", g.pick(2, 3, 5, 20, 300))
	return s
}

func (g *Maker) value() any {
	return g.pick(nil, true, false, 0, 1, -3, 2.5, 1e3, "", "a", "ab", "é\"\\\n日", "z", []any{}, []any{1, "a"}, object{}, object{"a": 1, "b": []any{nil}})
}

func (g *Maker) array(depth int) object {
	s := object{"type": "array"}
	g.some(s, "items", g.schema(depth-1))
	if g.r.IntN(3) == 0 {
		s["prefixItems"] = []any{g.schema(depth - 1), g.schema(depth - 1)}
	}
	g.some(s, "minItems", g.r.IntN(4))
	g.some(s, "maxItems", g.r.IntN(6))
	if g.r.IntN(5) == 0 {
		s["uniqueItems"] = true
	}
	if g.r.IntN(5) == 0 {
		s["contains"] = g.schema(0)
		g.some(s, "minContains", g.r.IntN(3))
		g.some(s, "maxContains", g.r.IntN(4))
	}
	return s
}

func (g *Maker) name() string { return g.pick("a", "b", "ab", "c", "x-1", "é\"").(string) }

func (g *Maker) object(depth int) object {
	depth = max(depth, 1)
	s := object{"type": "object"}
	properties := object{}
	for range g.r.IntN(4) {
		properties[g.name()] = g.schema(depth - 1)
	}
	if len(properties) > 0 {
		s["properties"] = properties
	}
	if g.r.IntN(2) == 0 {
		s["required"] = []any{g.name()}
	}
	switch g.r.IntN(5) {
	case 0:
		s["additionalProperties"] = g.schema(depth - 1)
	case 1:
		s["additionalProperties"] = g.r.IntN(2) == 0
	}
	if g.r.IntN(5) == 0 {
		s["patternProperties"] = object{g.pick("^a", "b", "^x-").(string): g.schema(depth - 1)}
	}
	if g.r.IntN(6) == 0 {
		s["propertyNames"] = g.pick(object{"maxLength": 2}, object{"pattern": "^[a-z]+$"}, object{"enum": []any{"a", "b", "zz"}})
	}
	if g.r.IntN(5) == 0 {
		s["minProperties"] = g.r.IntN(3)
	}
	if g.r.IntN(5) == 0 {
		s["maxProperties"] = g.r.IntN(4)
	}
	if g.r.IntN(6) == 0 {
		s["dependentRequired"] = object{g.name(): []any{g.name()}}
	}
	if g.r.IntN(8) == 0 {
		s["dependentSchemas"] = object{g.name(): g.object(depth - 1)}
	}
	return s
}
