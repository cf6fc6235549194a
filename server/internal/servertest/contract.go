package servertest

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"trit/server/core"
)

// FieldsWithoutRule compares the fields of a request's type with the table of contracts: what the
// type has must be kept or followed, or refused by the handler, and the other way round.
func FieldsWithoutRule(v core.Bound) []string {
	c := core.ContractOf(v.API())
	var wrong []string
	decoded := map[string]bool{}
	for _, path := range wireFields(reflect.TypeOf(v), "") {
		decoded[path] = true
		switch rule := c.Rule(path); {
		case rule == nil:
			wrong = append(wrong, path+" has no rule")
		case rule.Treatment == core.Ignored, rule.Treatment == core.Inert, rule.Treatment == core.Refused && rule.Remedy != "":
			wrong = append(wrong, path+" is decoded although the table says that nothing reads it")
		}
	}
	for _, t := range []core.Treatment{core.Kept, core.Followed, core.Refused} {
		for _, path := range c.Fields(t) {
			if !decoded[path] && (t != core.Refused || c.Rule(path).Remedy == "") {
				wrong = append(wrong, path+" is in the table and nothing decodes it")
			}
		}
	}
	slices.Sort(wrong)
	return wrong
}

// wireFields returns the paths of the fields of a type, those of objects within it included, but
// not those of elements of lists.
func wireFields(t reflect.Type, path string) []string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || path != "" && reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return nil
	}
	var out []string
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported() && !f.Anonymous:
		case f.Anonymous && name == "":
			out = append(out, wireFields(f.Type, path)...)
		case name != "":
			out = append(out, path+name)
			out = append(out, wireFields(f.Type, path+name+".")...)
		}
	}
	return out
}
