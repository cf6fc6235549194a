package servertest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"trit/server/core"
)

// Every request that any test sends has its type walked: a field that can be large
// and has no limit ends the test.
func init() {
	core.Decoding = func(v any) {
		if missing := FieldsWithoutLimit(v); len(missing) > 0 {
			panic(fmt.Sprintf("fields of requests without a limit in server/core/limits.go: %s (in %T)",
				strings.Join(missing, ", "), v))
		}
		if b, ok := v.(core.Bound); ok {
			if wrong := FieldsWithoutRule(b); len(wrong) > 0 {
				panic(fmt.Sprintf("the fields of %T and the table in server/core/contract.go differ: %s", v,
					strings.Join(wrong, ", ")))
			}
		}
	}
}

// FieldsWithoutLimit returns the fields of a request's type, by their paths, that hold texts,
// lists or objects, and that the table of limits does not have.
func FieldsWithoutLimit(v any) []string {
	var missing []string
	seen := map[reflect.Type]bool{}
	var walk func(t reflect.Type, path, name string)
	walk = func(t reflect.Type, path, name string) {
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		unmarshals := reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]())
		l, known := core.LimitOf(name)
		switch t.Kind() {
		case reflect.Struct:
			if path != "" && unmarshals && !known {
				missing = append(missing, path)
			}
			if seen[t] {
				return
			}
			seen[t] = true
			for i := range t.NumField() {
				f := t.Field(i)
				tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
				switch {
				case tag == "-" || !f.IsExported() && !f.Anonymous:
				case f.Anonymous && tag == "":
					walk(f.Type, path, name)
				case tag != "":
					walk(f.Type, path+"."+tag, tag)
				}
			}
		case reflect.String, reflect.Interface:
			if path != "" && (!known || l.Text == 0) {
				missing = append(missing, path)
			}
		case reflect.Slice, reflect.Map:
			raw := t == reflect.TypeFor[json.RawMessage]()
			if path != "" && (!known || !raw && !unmarshals && l.List == 0) {
				missing = append(missing, path)
			}
			if e := t.Elem(); !raw && e.Kind() == reflect.Struct {
				walk(e, path+"[]", name)
			}
		}
	}
	walk(reflect.TypeOf(v), "", "")
	return missing
}
