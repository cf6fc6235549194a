package trit_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rooms lists the packages from the ground up. A room imports only rooms above
// it in this list, so data flows one way and a newcomer can read downwards. A
// folder belongs to the room with the longest name that it lies in.
var rooms = []string{
	"internal",
	"gguf",
	"internal/safetensors",
	"quant",
	"internal/ternary",
	"internal/parallel",
	"internal/repacked",
	"internal/kernel",
	"tokenizer",
	"internal/model",
	"internal/head",
	"internal/cache",
	"internal/engine",
	"sample",
	"grammar",
	"internal/generate", "internal/eval",
	"jinja",
	"chat",
	"hub",
	"convert",
	"internal/profile",
	"internal/layers",
	"internal/metrics",
	"internal/validate",
	"internal/inside",
	".", // the library
	"server/core",
	"server/openai", // siblings: see strangers
	"server/ollama",
	"server/anthropic",
	"server/llamacpp",
	"server",
	"demo", // below all that a library's user imports, so that only programs which ask for it carry the model
	"cmd",
}

// strangers are rooms beside each other: none imports another of them.
var strangers = []string{"server/openai", "server/ollama", "server/anthropic", "server/llamacpp"}

// alone are rooms that stand by themselves: they import the standard library only.
var alone = []string{"jinja"}

// room returns the room that a folder belongs to, or its first part if it
// belongs to none.
func room(dir string) string {
	for name := filepath.ToSlash(dir); ; {
		if slices.Contains(rooms, name) {
			return name
		}
		cut := strings.LastIndexByte(name, '/')
		if cut < 0 {
			return name
		}
		name = name[:cut]
	}
}

func TestRoomsImportDownwards(t *testing.T) {
	seen := map[string]bool{}
	module := modulePath(t)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			name := d.Name()
			if path != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "gen" || name == "e2e" || name == "deploy" || name == "otel") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		from := room(filepath.Dir(path))
		here := slices.Index(rooms, from)
		if here < 0 {
			t.Errorf("%s: the folder %s is not in the list of rooms", path, from)
			return nil
		}
		seen[from] = true
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			to, ours := strings.CutPrefix(imported, module)
			ours = ours && (to == "" || to[0] == '/')
			if host, _, _ := strings.Cut(imported, "/"); slices.Contains(alone, from) && (ours || strings.Contains(host, ".")) {
				t.Errorf("%s imports %s: %s is to need the standard library only", path, imported, from)
			}
			if !ours {
				continue
			}
			if to == "" {
				to = "."
			} else {
				to = room(to[1:])
			}
			if there := slices.Index(rooms, to); to != from && (there < 0 || there > here) {
				t.Errorf("%s imports %s, which is not above %s in the list of rooms", path, imported, from)
			} else if to != from && slices.Contains(strangers, to) && slices.Contains(strangers, from) {
				t.Errorf("%s imports %s: %s and %s are to know nothing of each other", path, imported, from, to)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(seen) < 10 {
		t.Errorf("only %d rooms were found", len(seen))
	}
}

// modulePath reads the module's name, which may change one day.
func modulePath(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(data), "\n")
	return strings.TrimPrefix(first, "module ")
}

// TestRoomsTable checks that CONTRIBUTING.md describes the rooms of the list, in
// its order.
func TestRoomsTable(t *testing.T) {
	text, err := os.ReadFile("CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "| package | owns |\n|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	called := map[string]string{"internal/…": "internal", "trit": ".", "cmd/trit": "cmd"}
	var described []string
	for _, line := range strings.Split(table, "\n") {
		cell, _, _ := strings.Cut(strings.TrimPrefix(line, "|"), "|")
		for i, name := range strings.Split(cell, "`") {
			if i%2 == 0 {
				continue
			}
			if room, ok := called[name]; ok {
				name = room
			}
			described = append(described, name)
		}
	}
	if !slices.Equal(described, rooms) {
		t.Errorf("CONTRIBUTING.md describes %q\nthe list has %q", described, rooms)
	}
}

// TestFilesAreShort: a file of more than 500 lines holds more than one idea, unless its
// first comment says why it does not. Generated files do not count.
func TestFilesAreShort(t *testing.T) {
	const most = 500
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); path != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		text := string(data)
		lines := strings.Count(text, "\n")
		if head, _, _ := strings.Cut(text, "package "); lines > most && !strings.Contains(head, "Long because") && !strings.Contains(head, "DO NOT EDIT") {
			t.Errorf("%s has %d lines, at most %d are wanted; split it, or begin it with a comment \"Long because …\"", path, lines, most)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
