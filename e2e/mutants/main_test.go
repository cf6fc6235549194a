package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestMark(t *testing.T) {
	const source = "package p\n\tif n >= 2 && m {\n\tn++\n"
	for _, c := range []struct {
		row, column int
		want        string
	}{
		{2, 7, "if n ⟦>=⟧ 2 && m {"},
		{2, 12, "if n >= 2 ⟦&&⟧ m {"},
		{3, 3, "n⟦++⟧"},
	} {
		if got, err := mark(source, c.row, c.column); err != nil || got != c.want {
			t.Errorf("%d:%d: %q, %v, want %q", c.row, c.column, got, err, c.want)
		}
	}
	for _, at := range [][2]int{{0, 1}, {9, 1}, {1, 40}} {
		if got, err := mark(source, at[0], at[1]); err == nil {
			t.Errorf("%v: %q", at, got)
		}
	}
}

var all = sample{1, regexp.MustCompile("")}

// inAndOut returns lines that are in a sample of a file and that are not.
func inAndOut(t *testing.T, choice sample, file string) (in, out []string) {
	for i := range 1000 {
		line := fmt.Sprintf("n := %d", i)
		if choice.has(file, line) {
			in = append(in, line)
		} else {
			out = append(out, line)
		}
	}
	if len(in) < 2 || len(out) < 2 {
		t.Fatalf("%d lines are in the sample, %d are not", len(in), len(out))
	}
	return in, out
}

func TestSample(t *testing.T) {
	choice := sample{5, regexp.MustCompile("^a")}
	in, out := inAndOut(t, choice, "p/a.go")
	if n := len(in); n < 150 || n > 250 {
		t.Errorf("one line in 5 of 1000 is %d", n)
	}
	if !choice.has("p/a.go", "\t"+in[0]+" ") || choice.has("p/a.go", "\t"+out[0]) {
		t.Error("the indentation changes the sample")
	}
	if choice.has("p/b.go", in[0]) {
		t.Error("a file that was not asked for is in the sample")
	}
	other, _ := inAndOut(t, choice, "q/a.go")
	if slices.Equal(in, other) {
		t.Error("the sample is the same in all files")
	}

	text := strings.Join([]string{out[0], "\t" + in[0], "", out[1], in[1], ""}, "\n")
	got, n := choice.others("p/a.go", text)
	want := strings.Join([]string{out[0], "changed: \t" + in[0], "", out[1], "changed: " + in[1], ""}, "\n")
	if got != want || n != 2 {
		t.Errorf("%d lines: %q, want %q", n, got, want)
	}
}

func TestRead(t *testing.T) {
	r := &result{dir: "p", sample: all}
	err := r.read([]byte(`Starting...
      KILLED CONDITIONALS_NEGATION at a.go:1:3
       LIVED CONDITIONALS_BOUNDARY at a.go:1:3
   TIMED OUT INCREMENT_DECREMENT at a.go:2:2
 NOT COVERED INCREMENT_DECREMENT at a.go:2:2
     SKIPPED INCREMENT_DECREMENT at a.go:2:2

Killed: 1, Lived: 1, Not covered: 1
`), map[string]string{"a.go": "n > 2\nn++\n"})
	if err != nil || r.mutants != 4 || r.uncovered != 1 ||
		!slices.Equal(r.survivors, []string{"p/a.go CONDITIONALS_BOUNDARY: n ⟦>⟧ 2"}) ||
		!slices.Equal(r.late, []string{"p/a.go INCREMENT_DECREMENT: n⟦++⟧"}) {
		t.Errorf("%+v, %v", r, err)
	}
	r = &result{dir: "p", sample: sample{5, all.files}}
	_, out := inAndOut(t, r.sample, "p/a.go")
	if err := r.read([]byte("KILLED INCREMENT_DECREMENT at a.go:1:1\n"), map[string]string{"a.go": out[0]}); err == nil {
		t.Error("a mutant outside the sample is taken")
	}
	if err := r.read([]byte("KILLED INCREMENT_DECREMENT at b.go:1:1\n"), nil); err == nil {
		t.Error("a mutant of a file that is not there is taken")
	}
}

func TestCompare(t *testing.T) {
	r := &result{dir: "p", sample: all, complete: true, survivors: []string{"p/a.go X: 1", "p/a.go X: 1", "p/a.go X: 2"},
		late: []string{"p/a.go X: 4"}}
	accepted := &list{1, map[string]string{"p/a.go X: 2": "why", "p/a.go X: 3": "killed", "p/a.go X: 4": "not known"}}
	news, stale := r.compare(accepted)
	if !slices.Equal(news, []string{"p/a.go X: 1"}) || !slices.Equal(stale, []string{"p/a.go X: 3"}) {
		t.Errorf("new %q, stale %q", news, stale)
	}
	r.complete = false
	if news, stale = r.compare(accepted); len(news) != 1 || stale != nil {
		t.Errorf("new %q, stale %q, and not all was tried", news, stale)
	}

	r = &result{dir: "p", sample: sample{5, all.files}, complete: true}
	in, out := inAndOut(t, r.sample, "p/a.go")
	mark := func(line string) string { return "p/a.go X: " + strings.Replace(line, ":=", "⟦:=⟧", 1) }
	_, stale = r.compare(&list{5, map[string]string{mark(in[0]): "killed", mark(out[0]): "not tried"}})
	if !slices.Equal(stale, []string{mark(in[0])}) {
		t.Errorf("stale %q", stale)
	}
}

func TestLists(t *testing.T) {
	name := filepath.Join(t.TempDir(), "list.txt")
	if l, found, err := readList(name); err != nil || found || len(l.reasons) != 0 || l.every != 1 {
		t.Errorf("a list that does not exist: %v %v %v", l, found, err)
	}
	for _, every := range []int{1, 7} {
		if err := (&list{every, map[string]string{"a.go X: n ⟦<⟧ 2": "the same either way"}}).write(name); err != nil {
			t.Fatal(err)
		}
		l, found, err := readList(name)
		if err != nil || !found || len(l.reasons) != 1 || l.every != every ||
			l.reasons["a.go X: n ⟦<⟧ 2"] != "the same either way" {
			t.Errorf("%v %v %v", l, found, err)
		}
	}
	for _, bad := range []string{"a\n", "a\nb\n\twhy\n", "a\n\t\n", "\twhy\n", "every 0\n", "every x\n"} {
		if err := os.WriteFile(name, []byte(bad), 0o644); err != nil {
			t.Fatal(err)
		}
		if l, _, err := readList(name); err == nil {
			t.Errorf("%q is read as %v", bad, l)
		}
	}
}

// TestAccepted reads the lists of the repository.
func TestAccepted(t *testing.T) {
	names, err := filepath.Glob("accepted/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatalf("%q, %v", names, err)
	}
	for _, name := range names {
		l, _, err := readList(name)
		if err != nil {
			t.Error(err)
			continue
		}
		for entry := range l.reasons {
			file, code := split(entry)
			source, err := os.ReadFile(filepath.Join("..", "..", file))
			if err != nil || !strings.Contains(string(source), code) {
				t.Errorf("%s: %s: the code is not there: %v", name, entry, err)
			}
			if !(sample{l.every, all.files}).has(file, code) {
				t.Errorf("%s: %s is not in the list's sample", name, entry)
			}
		}
	}
}
