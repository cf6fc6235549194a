//go:build unix

package suites

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var outcomesFile = flag.String("outcomes", "", "write what becomes of each test to this file, as JSON lines")

func TestMain(m *testing.M) {
	if program := os.Getenv(programVar); program != "" {
		fmt.Fprintln(os.Stderr, shim(program, os.Args[1:]))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// suite returns the folder of a suite, or skips the test.
func suite(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(os.Getenv("TRIT_SUITES"), name)
	if _, err := os.Stat(dir); os.Getenv("TRIT_SUITES") == "" || err != nil {
		t.Skipf("TRIT_SUITES names no folder with a checkout of %s", name)
	}
	return dir
}

// build returns the path of the program.
func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "trit")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./cmd/trit")
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building trit: %v\n%s", err, out)
	}
	return program
}

// An outcome is what became of a test.
type outcome struct {
	ID      string
	Outcome string // passed, failed or skipped
	Message string `json:",omitempty"`
}

// A list is what is expected to fail.
type list struct {
	groups  []string                  // the reasons, in the order of the file
	says    map[string]*regexp.Regexp // what failures of a group say, if it has that
	reason  map[string]string         // of tests, whose names may end in *
	either  map[string]bool           // those that chance decides
	ignored map[string]bool           // those that are not run
}

// readList reads a file of expected failures. README.md says how it is written.
func readList(text string) (list, error) {
	l := list{says: map[string]*regexp.Regexp{},
		reason: map[string]string{}, either: map[string]bool{}, ignored: map[string]bool{}}
	for i, line := range strings.Split(text, "\n") {
		group, isGroup := strings.CutPrefix(line, "== ")
		switch {
		case strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#"):
		case isGroup:
			group, pattern, ok := strings.Cut(group, " ~ ")
			l.groups = append(l.groups, group)
			if ok {
				says, err := regexp.Compile(pattern)
				if err != nil {
					return l, fmt.Errorf("line %d: %w", i+1, err)
				}
				l.says[group] = says
			}
		case len(l.groups) == 0:
			return l, fmt.Errorf("line %d: %q is in no group", i+1, line)
		default:
			id, either := strings.CutPrefix(line, "? ")
			id, ignored := strings.CutPrefix(id, "- ")
			if l.reason[id] != "" {
				return l, fmt.Errorf("line %d: %q is here twice", i+1, id)
			}
			l.reason[id] = l.groups[len(l.groups)-1]
			if either {
				l.either[id] = true
			}
			if ignored {
				l.ignored[id] = true
			}
		}
	}
	return l, nil
}

// entry returns the entry of a test: its own, or else the longest that it begins with.
func (l list) entry(id string) string {
	if l.reason[id] != "" {
		return id
	}
	best := ""
	for e := range l.reason {
		if prefix, ok := strings.CutSuffix(e, "*"); ok && strings.HasPrefix(id, prefix) && len(e) > len(best) {
			best = e
		}
	}
	return best
}

// compare returns what is wrong, failures that the list does not have and entries that nothing came of, and a table of
// what failed.
func (l list) compare(outcomes []outcome) (table string, err error) {
	var wrong []error
	seen, counts, passed, skipped := map[string]bool{}, map[string]int{}, 0, 0
	for _, o := range outcomes {
		e := l.entry(o.ID)
		switch {
		case o.Outcome == "skipped":
			skipped++
		case o.Outcome == "passed":
			passed++
			if l.either[e] {
				seen[e] = true
			}
		case e == "" || l.says[l.reason[e]] != nil && !l.says[l.reason[e]].MatchString(o.Message):
			seen[e] = true
			wrong = append(wrong, fmt.Errorf("new failure: %s\n\t%s", o.ID, o.Message))
		default:
			seen[e] = true
			counts[l.reason[e]]++
		}
	}
	for _, e := range slices.Sorted(maps.Keys(l.reason)) {
		if !seen[e] && !l.ignored[e] {
			wrong = append(wrong, fmt.Errorf("no failure any more, take it from the list: %s", e))
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%5d tests\n%5d passed\n%5d skipped\n", len(outcomes), passed, skipped)
	for _, g := range l.groups {
		if counts[g] > 0 {
			fmt.Fprintf(&b, "%5d failed as expected: %s\n", counts[g], g)
		}
	}
	return b.String(), errors.Join(wrong...)
}

// judge compares outcomes with the list in a file.
func judge(t *testing.T, file string, outcomes []outcome) {
	t.Helper()
	if *outcomesFile != "" {
		if err := writeOutcomes(*outcomesFile, outcomes); err != nil {
			t.Error(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	l, err := readList(string(text))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	table, err := l.compare(outcomes)
	t.Logf("%s", table)
	if err != nil {
		t.Errorf("%s:\n%v", file, err)
	}
}

func writeOutcomes(file string, outcomes []outcome) error {
	var b strings.Builder
	for _, o := range outcomes {
		if err := json.NewEncoder(&b).Encode(o); err != nil {
			return err
		}
	}
	return os.WriteFile(file, []byte(b.String()), 0o666)
}

// readOutcomes reads JSON lines.
func readOutcomes(file string) (outcomes []outcome, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var o outcome
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			return nil, err
		}
		outcomes = append(outcomes, o)
	}
	return outcomes, lines.Err()
}
