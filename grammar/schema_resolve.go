package grammar

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// schemaDocument is a parsed document, with what is needed to resolve its references.
type schemaDocument struct {
	byPointer map[string]*schema
	all       []*schema
	main      *resource
	resources map[string]*resource // by their URI without a fragment
	dynamic   map[string]int       // schemas by their $dynamicAnchor; "" for $recursiveAnchor
	old       bool                 // of a draft in which $ref hides its siblings

	// The keywords and formats without a known meaning, and the place of the first.
	unknown               []string
	unknownAt, unknownKey string
}

// resource is the document, or a part of it with an $id of its own.
type resource struct {
	base    *url.URL
	pointer string
	value   *jsonValue
	anchors map[string]*schema // "" for $recursiveAnchor
}

func newSchemaDocument(v *jsonValue) *schemaDocument {
	main := &resource{base: &url.URL{}, value: v, anchors: map[string]*schema{}}
	d := &schemaDocument{
		byPointer: map[string]*schema{}, main: main, resources: map[string]*resource{"": main}, dynamic: map[string]int{},
	}
	if s := v.fields["$schema"]; s != nil && s.kind == jsonString {
		d.old = slices.ContainsFunc(oldDrafts, func(prefix string) bool { return strings.HasPrefix(s.text, prefix) })
	}
	return d
}

// enter returns the resource that the schema v belongs to: a new one if it has an $id, otherwise that
// around it. An $id that is only a fragment is an anchor of older drafts.
func (d *schemaDocument) enter(in *resource, pointer string, v *jsonValue) *resource {
	id := v.fields["$id"]
	if id == nil || id.kind != jsonString {
		id = v.fields["id"]
	}
	if id == nil || id.kind != jsonString || id.text == "" || v.fields["$ref"] != nil && d.old {
		return in
	}
	u, err := in.base.Parse(id.text)
	if err != nil {
		return in // an annotation that only looks like one
	}
	if strings.HasPrefix(id.text, "#") {
		in.anchors[id.text[1:]] = d.byPointer[pointer]
		return in
	}
	u.Fragment, u.RawFragment = "", ""
	if in.base.String() == u.String() && in.pointer == pointer {
		return in
	}
	r := d.resources[u.String()]
	if r == nil {
		r = &resource{base: u, pointer: pointer, value: v, anchors: map[string]*schema{}}
		d.resources[u.String()] = r
	}
	if r.pointer != pointer {
		return in // the URI is taken
	}
	if pointer == "" {
		d.main = r
	}
	return r
}

// resolve finds the targets of all references of a document.
func (c *schemaCompiler) resolve(d *schemaDocument) {
	for i := 0; i < len(d.all); i++ { // resolving may add schemas
		s := d.all[i]
		if s.reference == "" || s.target != nil {
			continue
		}
		if s.target = c.targetOf(d, s); s.target == nil {
			s.unresolved = true
		}
	}
	c.findLoops(d)
}

// targetOf returns the schema that s refers to, nil if it is not there.
func (c *schemaCompiler) targetOf(d *schemaDocument, s *schema) *schema {
	keyword := "$ref"
	if s.dynamic {
		keyword = "$dynamicRef"
	}
	base := &url.URL{}
	if s.resource != nil {
		base = s.resource.base
	}
	u, err := base.Parse(s.reference)
	if err != nil {
		failSchema(s.pointer, keyword, ErrSyntax, "%.80q is not a URI reference", s.reference)
	}
	fragment := u.Fragment
	u.Fragment, u.RawFragment = "", ""
	r := d.resources[u.String()]
	if r == nil {
		c.relax(s.pointer, keyword, ErrUnsupported, "%.80q is another document; put its schema under $defs", s.reference)
		return nil
	}
	var t *schema
	switch {
	case fragment == "" || fragment[0] == '/':
		t = c.lookUp(d, r, fragment)
		if t == nil && r != d.main {
			t = c.lookUp(d, d.main, fragment) // many an id is not meant as one
		}
	default:
		t = r.anchors[fragment]
	}
	if t == nil {
		c.relax(s.pointer, keyword, ErrSyntax, "there is nothing at %.80q", s.reference)
		return nil
	}
	if s.dynamic && r.anchors[fragment] == t && d.dynamic[fragment] > 1 {
		c.relax(s.pointer, keyword, ErrUnsupported, "%.80q has several targets in this document", s.reference)
		return nil
	}
	return t
}

// lookUp returns the schema at a JSON pointer within a resource, which may be at a place that no
// keyword leads to; nil if there is none.
func (c *schemaCompiler) lookUp(d *schemaDocument, r *resource, pointer string) *schema {
	if t := d.byPointer[r.pointer+pointer]; t != nil {
		return t
	}
	v, at := r.value, r.pointer
	for _, k := range strings.Split(pointer, "/")[1:] {
		at += "/" + k
		k = strings.ReplaceAll(strings.ReplaceAll(k, "~1", "/"), "~0", "~")
		var next *jsonValue
		if i, err := strconv.Atoi(k); v.kind == jsonArray && err == nil && i >= 0 && i < len(v.items) {
			next = v.items[i]
		} else if v.kind == jsonObject {
			next = v.fields[k]
		}
		if next == nil {
			return nil
		}
		v = next
		r = d.enter(r, at, v)
	}
	if v.kind != jsonObject && v.kind != jsonBool {
		return nil
	}
	return c.parse(d, r, at, v)
}

// inPlace returns the schemas that apply to the same value as s.
func (s *schema) inPlace() []*schema {
	out := slices.Concat(s.allOf, s.anyOf, s.oneOf)
	for _, x := range []*schema{s.target, s.not, s.when, s.then, s.other} {
		if x != nil {
			out = append(out, x)
		}
	}
	for _, x := range s.dependentSchemas {
		out = append(out, x.s)
	}
	return out
}
