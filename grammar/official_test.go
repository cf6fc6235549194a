package grammar

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"trit/internal/fixtures"
)

var update = flag.Bool("update", false, "rewrite testdata/official.txt")

// officialDrafts are the drafts of the official suite, with the $schema that says so.
var officialDrafts = []struct{ folder, schema string }{
	{"draft4", "http://json-schema.org/draft-04/schema#"}, {"draft6", "http://json-schema.org/draft-06/schema#"},
	{"draft7", "http://json-schema.org/draft-07/schema#"}, {"draft2019-09", "https://json-schema.org/draft/2019-09/schema"},
	{"draft2020-12", "https://json-schema.org/draft/2020-12/schema"},
}

// The outcomes of an instance that are not simply right.
const (
	outcomeRefused   = "refused"         // the schema has no grammar
	outcomeNarrow    = "valid, rejected" // the grammar says no
	outcomeUndecided = "undecided"       // accepted where relaxed, and Check cannot tell
	outcomeChecked   = "found by Check"  // invalid, accepted where relaxed, and Check says so
	outcomeWrong     = "invalid, accepted"
)

// TestOfficialSuite runs the official JSON Schema Test Suite: its required files, and those on
// formats. Nothing invalid may be accepted unless it is relaxed, nothing may be judged wrongly by
// Check, and what is not right otherwise stands in testdata/official.txt.
func TestOfficialSuite(t *testing.T) {
	root := fixtures.Path(t, "suites", "json-schema")
	var report strings.Builder
	for _, d := range officialDrafts {
		for _, kind := range []string{"", "optional/format"} {
			files, err := filepath.Glob(filepath.Join(root, d.folder, kind, "*.json"))
			if err != nil {
				t.Fatal(err)
			}
			total, right := 0, 0
			counts := map[string]int{}
			var lines []string
			for _, file := range files {
				for _, group := range officialGroups(t, file) {
					total += len(group.Tests)
					found := map[string]int{}
					for _, outcome := range group.run(t, d.schema, kind == "" && filepath.Base(file) != "vocabulary.json", filepath.Join(d.folder, kind, filepath.Base(file))) {
						if outcome == "" || outcome == outcomeChecked {
							right++
						}
						if outcome != "" {
							found[outcome]++
							counts[outcome]++
						}
					}
					for outcome, n := range found {
						lines = append(lines, fmt.Sprintf("  %s: %s: %d %s", strings.TrimSuffix(filepath.Base(file), ".json"), group.Description, n, outcome))
					}
				}
			}
			slices.Sort(lines)
			fmt.Fprintf(&report, "%s %s: %d instances, %d right\n", d.folder, kind, total, right)
			for _, outcome := range []string{outcomeRefused, outcomeNarrow, outcomeUndecided, outcomeChecked, outcomeWrong} {
				fmt.Fprintf(&report, "  %d %s\n", counts[outcome], outcome)
			}
			report.WriteString(strings.Join(append(lines, ""), "\n"))
			t.Logf("%s %s: %d of %d right, %v", d.folder, kind, right, total, counts)
			if kind == "" && counts[outcomeWrong] > 0 {
				t.Errorf("%s: %d instances are wrongly accepted", d.folder, counts[outcomeWrong])
			}
		}
	}
	golden := filepath.Join("testdata", "official.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(report.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if report.String() != string(want) {
		t.Errorf("the outcomes differ from %s; if they are better, write it anew with -update", golden)
	}
}

// officialGroup is a schema with its instances.
type officialGroup struct {
	Description string
	Schema      json.RawMessage
	Tests       []struct {
		Description string
		Data        json.RawMessage
		Valid       bool
	}
}

func officialGroups(t *testing.T, file string) (groups []officialGroup) {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &groups); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return groups
}

// run returns the outcome of each instance. Without strict a wrong verdict is one of them.
func (g *officialGroup) run(t *testing.T, dialect string, strict bool, file string) []string {
	schema := bytes.TrimSpace(g.Schema)
	if schema[0] == '{' && !bytes.Contains(schema, []byte(`"$schema"`)) {
		comma := ","
		if bytes.HasPrefix(bytes.TrimSpace(schema[1:]), []byte("}")) {
			comma = ""
		}
		schema = []byte(fmt.Sprintf(`{"$schema":%q%s%s`, dialect, comma, schema[1:]))
	}
	out := make([]string, len(g.Tests))
	grammar, err := FromJSONSchema(schema, SchemaOptions{OpenObjects: true})
	for i, test := range g.Tests {
		name := fmt.Sprintf("%s: %s: %s", file, g.Description, test.Description)
		switch {
		case errors.Is(err, ErrEmpty):
			if test.Valid {
				out[i] = outcomeNarrow
			}
			continue
		case err != nil:
			out[i] = outcomeRefused
			continue
		}
		accepted := acceptsAnyOrder(t, grammar, test.Data)
		checked := grammar.Check("", test.Data)
		relaxed := len(grammar.Relaxed()) > 0
		switch {
		case !strict && !test.Valid && checked == nil: // a format that is an annotation here
			out[i] = outcomeWrong
		case !strict && test.Valid && errors.Is(checked, ErrInvalid): // a dialect of another document
			out[i] = outcomeNarrow
		case test.Valid && errors.Is(checked, ErrInvalid), !test.Valid && checked == nil:
			t.Errorf("%s: Check says %v", name, checked)
		case test.Valid && !accepted:
			out[i] = outcomeNarrow
			t.Logf("%s: rejected", name)
		case errors.Is(checked, ErrUndecided) && accepted && relaxed:
			out[i] = outcomeUndecided
		case !test.Valid && accepted && relaxed:
			out[i] = outcomeChecked
		case !test.Valid && accepted:
			out[i] = outcomeWrong
			t.Logf("%s: accepted", name)
		}
	}
	return out
}

// acceptsAnyOrder reports whether a grammar accepts a value, with the keys of the outer object in any
// order.
func acceptsAnyOrder(t *testing.T, g *Grammar, data []byte) bool {
	var compact bytes.Buffer
	if err := json.Compact(&compact, data); err != nil {
		t.Fatal(err)
	}
	v, err := parseJSON("instance", data)
	if err != nil {
		t.Fatal(err)
	}
	if accepts(t, g, compact.String()) {
		return true
	}
	if v.kind != jsonObject || len(v.keys) < 2 || len(v.keys) > 5 {
		return false
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		t.Fatal(err)
	}
	var try func(text string, left []string) bool
	try = func(text string, left []string) bool {
		if len(left) == 0 {
			return accepts(t, g, text+"}")
		}
		for i, k := range left {
			var value bytes.Buffer
			if err := json.Compact(&value, fields[k]); err != nil {
				t.Fatal(err)
			}
			separator := ","
			if text == "{" {
				separator = ""
			}
			if try(text+separator+quote(k)+":"+value.String(), slices.Concat(left[:i], left[i+1:])) {
				return true
			}
		}
		return false
	}
	return try("{", v.keys)
}
