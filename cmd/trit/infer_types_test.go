package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"trit/grammar"
)

// TestInferTypes writes a text under what Pydantic, Zod and TypeBox write for one type of every kind. It satisfies the
// schema, or the command says to what it was not held.
func TestInferTypes(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "grammar", "testdata", "types.json"))
	if err != nil {
		t.Fatal(err)
	}
	var types []struct {
		From, Name string
		Schema     json.RawMessage
	}
	if err := json.Unmarshal(data, &types); err != nil {
		t.Fatal(err)
	}
	every := 1
	if testing.Short() {
		every = 10 // processors without assembly take long
	}
	for i := 0; i < len(types); i += every {
		typ := types[i]
		name := typ.From + " " + typ.Name
		g, err := grammar.FromJSONSchema(typ.Schema, grammar.SchemaOptions{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		r := inferDemo(t, "A fox: ", "--json-schema", string(typ.Schema), "--max-tokens", "50", "--temperature", "0")
		r.expect(t, exitOK)
		relaxed := len(g.Relaxed()) > 0
		if said := strings.Contains(r.err, "not held to a part of the JSON Schema"); said != relaxed {
			t.Errorf("%s: relaxed %v, and the command says %q", name, relaxed, r.err)
		}
		if err := g.Check("", []byte(r.out)); err != nil && !relaxed {
			t.Errorf("%s: %s: %v", name, r.out, err)
		}
	}
}
