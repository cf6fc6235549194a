package grammar

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// TestTypes compiles what Pydantic, Zod and TypeBox write for one type of every kind. What is written under
// the grammar satisfies the whole schema, unless that says that it is relaxed.
func TestTypes(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "types.json"))
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
	relaxed := map[string]bool{}
	for _, name := range relaxedTypes {
		relaxed[name] = true
	}
	v := vocabulary(t, byteTokens(`":`, `","`, "12", "true", "ab"))
	r := rand.New(rand.NewPCG(7, 8))
	for _, typ := range types {
		name := typ.From + " " + typ.Name
		g, err := FromJSONSchema(typ.Schema, SchemaOptions{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if list := g.Relaxed(); len(list) > 0 != relaxed[name] {
			t.Errorf("%s: relaxed %v, expected %v", name, list, relaxed[name])
		}
		m := matcher(t, g, v)
		for range 3 {
			text := walk(t, m, r, r.IntN(40))
			if err := g.Check("", text); err != nil && (!relaxed[name] || !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrUndecided)) {
				t.Errorf("%s: %s: %v", name, text, err)
			}
		}
	}
}

// relaxedTypes are those that a grammar does not hold to altogether.
var relaxedTypes = []string{
	"pydantic set", "pydantic HttpUrl", "pydantic EmailStr, short", "zod emoji",
}
