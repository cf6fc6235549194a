package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestMark(t *testing.T) {
	source := []byte("package p\n\tif n >= 2 && m {\n\tn++\n")
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

func TestCompare(t *testing.T) {
	r := &result{dir: "p", reached: []string{"a.go"}, survivors: []string{"p/a.go X: 1", "p/a.go X: 1", "p/a.go X: 2"},
		late: []string{"p/a.go X: 4"}}
	news, stale := r.compare(map[string]string{
		"p/a.go X: 2": "why", "p/a.go X: 3": "killed", "p/a.go X: 4": "not known", "p/b.go X: 1": "not reached",
		"p/q/a.go X: 1": "another package",
	})
	if !slices.Equal(news, []string{"p/a.go X: 1"}) || !slices.Equal(stale, []string{"p/a.go X: 3"}) {
		t.Errorf("new %q, stale %q", news, stale)
	}
}

func TestLists(t *testing.T) {
	name := filepath.Join(t.TempDir(), "list.txt")
	if list, found, err := readList(name); err != nil || found || len(list) != 0 {
		t.Errorf("a list that does not exist: %v %v %v", list, found, err)
	}
	if err := writeList(name, map[string]string{"a.go X: n ⟦<⟧ 2": "the same either way"}); err != nil {
		t.Fatal(err)
	}
	list, found, err := readList(name)
	if err != nil || !found || len(list) != 1 || list["a.go X: n ⟦<⟧ 2"] != "the same either way" {
		t.Errorf("%v %v %v", list, found, err)
	}
	for _, bad := range []string{"a\n", "a\nb\n\twhy\n", "a\n\t\n", "\twhy\n"} {
		if err := os.WriteFile(name, []byte(bad), 0o644); err != nil {
			t.Fatal(err)
		}
		if list, _, err := readList(name); err == nil {
			t.Errorf("%q is read as %v", bad, list)
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
		list, _, err := readList(name)
		if err != nil {
			t.Error(err)
		}
		for entry := range list {
			file, _, _ := strings.Cut(entry, " ")
			code := strings.NewReplacer("⟦", "", "⟧", "").Replace(entry[strings.Index(entry, ": ")+2:])
			source, err := os.ReadFile(filepath.Join("..", "..", file))
			if err != nil || !strings.Contains(string(source), code) {
				t.Errorf("%s: %s: the code is not there: %v", name, entry, err)
			}
		}
	}
}
