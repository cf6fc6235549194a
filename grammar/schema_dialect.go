package grammar

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// annotations are the keywords that are known to constrain nothing.
var annotations = []string{
	"$comment", "$vocabulary", "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly",
	"contentEncoding", "contentMediaType", "contentSchema", "example", "externalDocs", "xml", "propertyOrdering",
}

// constraints are the keywords that one may mean when writing them in another case.
var constraints = []string{
	"type", "enum", "const", "multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength",
	"maxLength", "pattern", "format", "items", "prefixItems", "additionalItems", "unevaluatedItems", "minItems", "maxItems",
	"uniqueItems", "contains", "minContains", "maxContains", "properties", "patternProperties", "additionalProperties",
	"unevaluatedProperties", "propertyNames", "required", "minProperties", "maxProperties", "dependencies",
	"dependentRequired", "dependentSchemas", "allOf", "anyOf", "oneOf", "not", "nullable",
}

// oldDrafts are how the names of those drafts begin in which $ref hides its siblings.
var oldDrafts = []string{"http://json-schema.org/draft-0", "https://json-schema.org/draft-0"}

// unknown is called for keywords that this package knows no meaning of. They are
// annotations.
func (p *keywordParser) unknown(k string) {
	if slices.Contains(annotations, k) || strings.HasPrefix(k, "x-") {
		return
	}
	p.d.foreign(p.s, k, "")
	known := slices.IndexFunc(constraints, func(x string) bool { return strings.EqualFold(x, k) })
	if known >= 0 && !p.c.options.Strict {
		p.c.relax(p.s.pointer, k, ErrUnsupported, "unknown keyword, while %q is known", constraints[known])
	}
}

// maxForeign bounds what a strict schema's error lists.
const maxForeign = 16

// foreign remembers an unknown keyword, or the unknown value of one.
func (d *schemaDocument) foreign(s *schema, keyword, value string) {
	if len(d.unknown) == 0 {
		d.unknownAt, d.unknownKey = s.pointer, keyword
	}
	name := fmt.Sprintf("%.40q", keyword)
	if value != "" {
		name = fmt.Sprintf("%s %.40q", keyword, value)
	}
	if len(d.unknown) < maxForeign && !slices.Contains(d.unknown, name) {
		d.unknown = append(d.unknown, name)
	}
}

// refuseUnknown fails for unknown keywords and formats if the options are strict.
func (c *schemaCompiler) refuseUnknown(d *schemaDocument) error {
	if !c.options.Strict || len(d.unknown) == 0 {
		return nil
	}
	return &SchemaError{d.unknownAt, d.unknownKey, "strict schemas may have no unknown keywords and formats: " +
		strings.Join(d.unknown, ", "), ErrUnsupported}
}

// bound adds one end of a range. Up to draft 4 an exclusive bound was a truth value that says how the other
// keyword is meant.
func (p *keywordParser) bound(k string, v *jsonValue) {
	s := p.s
	switch {
	case k == "minimum":
		x := p.v.fields["exclusiveMinimum"]
		s.atLeast(p.number(k, v), x != nil && x.kind == jsonBool && x.truth)
	case k == "maximum":
		x := p.v.fields["exclusiveMaximum"]
		s.atMost(p.number(k, v), x != nil && x.kind == jsonBool && x.truth)
	case v.kind == jsonBool: // see above
	case k == "exclusiveMinimum":
		s.atLeast(p.number(k, v), true)
	default:
		s.atMost(p.number(k, v), true)
	}
}

// tuple parses items that is a list, as it was up to draft 2019-09: the schemas of the first
// items; additionalItems has that of the others.
func (p *keywordParser) tuple(v *jsonValue) {
	if len(p.s.prefixItems) == 0 {
		p.s.prefixItems = p.list("items", v)
	}
	if more := p.v.fields["additionalItems"]; more != nil {
		p.s.items = p.sub(more, "additionalItems")
	}
}

// dependencies parses what draft 2019-09 split into dependentRequired and
// dependentSchemas.
func (p *keywordParser) dependencies(v *jsonValue) {
	const k = "dependencies"
	p.object(k, v)
	for _, name := range v.keys {
		if x := v.fields[name]; x.kind == jsonArray {
			p.s.dependentNames = append(p.s.dependentNames, dependentNames{name, p.texts(k, x)})
		} else {
			p.s.dependentSchemas = append(p.s.dependentSchemas, property{name, p.sub(x, k, name)})
		}
	}
}

// openAPI does what OpenAPI 3.0 adds: nullable allows null besides, and the mapping of
// discriminator says which value of a property belongs to which branch.
func (p *keywordParser) openAPI() {
	s := p.s
	if v := p.v.fields["discriminator"]; v != nil {
		p.discriminate(v)
	}
	if v := p.v.fields["nullable"]; v == nil || v.kind != jsonBool || !v.truth {
		return
	}
	if s.values == nil && s.reference == "" && len(s.inPlace()) == 0 {
		s.types |= typeNull
		return
	}
	// The schema without nullable, and null.
	inner := *s
	inner.id = p.c.nextID
	p.c.nextID++
	p.d.all = append(p.d.all, &inner)
	null := p.c.newSchema(s.pointer)
	null.types = typeNull
	fresh := p.c.newSchema(s.pointer)
	fresh.id, fresh.resource = s.id, s.resource
	fresh.anyOf = []*schema{&inner, null}
	*s = *fresh
}

// discriminate demands of branches that are references the values that the mapping has for
// them.
func (p *keywordParser) discriminate(v *jsonValue) {
	if v.kind != jsonObject || v.fields["propertyName"] == nil || v.fields["mapping"] == nil {
		return
	}
	mapping := v.fields["mapping"]
	if mapping.kind != jsonObject || v.fields["propertyName"].kind != jsonString {
		return
	}
	name := v.fields["propertyName"].text
	for _, k := range []string{"oneOf", "anyOf"} {
		list := p.v.fields[k]
		if list == nil || list.kind != jsonArray {
			continue
		}
		branches := p.s.oneOf
		if k == "anyOf" {
			branches = p.s.anyOf
		}
		for i, branch := range list.items {
			if branch.kind != jsonObject || branch.fields["$ref"] == nil {
				continue
			}
			var values []*jsonValue
			for _, value := range mapping.keys {
				if to := mapping.fields[value]; to.kind == jsonString && refersTo(branch.fields["$ref"].text, to.text) {
					values = append(values, &jsonValue{kind: jsonString, text: value})
				}
			}
			if len(values) == 0 {
				continue
			}
			kind := p.c.newSchema(p.s.pointer + "/" + k + "/" + strconv.Itoa(i))
			kind.values, kind.set = values, newValueSet(values)
			both := p.c.newSchema(kind.pointer)
			both.required = []string{name}
			both.properties = []property{{name, kind}}
			both.named = map[string]*schema{name: kind}
			both.allOf = []*schema{branches[i]}
			both.resource = p.s.resource
			branches[i] = both
		}
	}
}

// refersTo reports whether a value of a mapping means a reference: as it is written, or by its name.
func refersTo(reference, value string) bool {
	return reference == value || value != "" && strings.HasSuffix(reference, "/"+value)
}

// absent reports whether a keyword is as good as not there: programs write null for a list that
// they do not have, and up to draft 3 a property said itself that it is required.
func (p *keywordParser) absent(k string, v *jsonValue) bool {
	if p.c.options.Strict {
		return false
	}
	switch k {
	case "const":
		return false
	case "required":
		return v.kind == jsonNull || v.kind == jsonBool
	case "allOf", "anyOf", "oneOf", "prefixItems":
		return v.kind == jsonNull || v.kind == jsonArray && len(v.items) == 0
	}
	return v.kind == jsonNull
}
