package grammar

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// resolve finds the targets of all references of a document.
func (c *schemaCompiler) resolve(d *schemaDocument, root *jsonValue) {
	for i := 0; i < len(d.all); i++ { // resolving may add schemas
		s := d.all[i]
		if s.reference == "" {
			continue
		}
		base, fragment, _ := strings.Cut(s.reference, "#")
		if base != "" && base != d.id {
			failSchema(s.pointer, "$ref", ErrUnsupported, "%q is another document; put its schema under $defs", clip([]byte(s.reference)))
		}
		fragment, err := url.PathUnescape(fragment)
		if err != nil {
			failSchema(s.pointer, "$ref", ErrSyntax, "%q is not a URI reference", clip([]byte(s.reference)))
		}
		if fragment == "" || fragment[0] == '/' {
			s.target = c.lookUp(d, s, fragment, root)
		} else if s.target = d.anchors[fragment]; s.target == nil {
			failSchema(s.pointer, "$ref", ErrSyntax, "there is no $anchor %q", clip([]byte(fragment)))
		}
	}
	c.findLoops(d)
}

// lookUp returns the schema at a JSON pointer, which may be at a place that no
// keyword leads to.
func (c *schemaCompiler) lookUp(d *schemaDocument, s *schema, pointer string, v *jsonValue) *schema {
	if t := d.byPointer[pointer]; t != nil {
		return t
	}
	for _, k := range strings.Split(pointer, "/")[1:] {
		k = strings.ReplaceAll(strings.ReplaceAll(k, "~1", "/"), "~0", "~")
		var next *jsonValue
		if i, err := strconv.Atoi(k); v.kind == jsonArray && err == nil && i >= 0 && i < len(v.items) {
			next = v.items[i]
		} else if v.kind == jsonObject {
			next = v.fields[k]
		}
		if next == nil {
			failSchema(s.pointer, "$ref", ErrSyntax, "there is nothing at %q", clip([]byte(s.reference)))
		}
		v = next
	}
	return c.parse(d, pointer, v)
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

// findLoops refuses schemas that refer to themselves without consuming anything.
func (c *schemaCompiler) findLoops(d *schemaDocument) {
	mark := map[*schema]int{} // 1: on the way, 2: done
	var visit func(s *schema)
	visit = func(s *schema) {
		mark[s] = 1
		for _, x := range s.inPlace() {
			switch mark[x] {
			case 0:
				visit(x)
			case 1:
				failSchema(s.pointer, "", ErrSyntax, "it leads back to %q without a property or item in between", "#"+x.pointer)
			}
		}
		mark[s] = 2
	}
	for _, s := range d.all {
		if mark[s] == 0 {
			visit(s)
		}
	}
}
