package randschema_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"trit/internal/randschema"
)

// TestDocument: the same seed makes the same schemas, which are of many kinds.
func TestDocument(t *testing.T) {
	a, b := randschema.New(7), randschema.New(7)
	kinds := map[string]bool{}
	for range 500 {
		x, err := json.Marshal(a.Document())
		if err != nil {
			t.Fatal(err)
		}
		if y, err := json.Marshal(b.Document()); err != nil || string(x) != string(y) {
			t.Fatalf("%s and %s (%v)", x, y, err)
		}
		var schema map[string]any
		if err := json.Unmarshal(x, &schema); err != nil {
			t.Fatal(err)
		}
		for keyword := range schema {
			kinds[keyword] = true
		}
	}
	for _, keyword := range []string{"type", "enum", "const", "pattern", "format", "items", "contains", "properties", "required", "anyOf", "not", "if", "$ref", "$defs", "multipleOf"} {
		if !kinds[keyword] {
			t.Errorf("no schema has %q", keyword)
		}
	}
}

func ExampleMaker_Document() {
	fmt.Println(randschema.New(1).Document()["type"])
	// Output: integer
}
