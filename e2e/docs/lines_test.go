package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// columns is how long a line of a page or of a comment may be. A tab counts as
// four.
const columns = 120

// root is the folder of the repository.
const root = "../.."

// TestLines checks that the lines of all pages and comments fit. Tables and what
// a program prints cannot be wrapped, generated files are nobody's to wrap.
func TestLines(t *testing.T) {
	pages, comments := 0, 0
	eachFile(t, func(path string, text string) {
		switch filepath.Ext(path) {
		case ".md":
			pages++
			for _, line := range longProse(text) {
				t.Errorf("%s:%d: more than %d columns", path, line, columns)
			}
		case ".go":
			file := token.NewFileSet()
			tree, err := parser.ParseFile(file, path, text, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if ast.IsGenerated(tree) {
				return
			}
			comments += len(tree.Comments)
			for _, line := range longComments(file, tree, text) {
				t.Errorf("%s:%d: a comment goes beyond %d columns", path, line, columns)
			}
		}
	})
	if pages < 10 || comments < 1000 {
		t.Errorf("only %d pages and %d comments were found", pages, comments)
	}
}

// eachFile calls f for the files of the repository that people write.
func eachFile(t *testing.T, f func(path, text string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if name == ".git" || name == "node_modules" || name == "testdata" {
				return fs.SkipDir
			}
			return nil
		}
		if ext := filepath.Ext(name); ext != ".md" && ext != ".go" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		f(filepath.ToSlash(rel), string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// longProse returns the numbers of the lines of a Markdown page that are too long
// and neither of a table nor printed by a program (in a block ```console).
func longProse(text string) []int {
	var long []int
	console := false
	for i, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(line, "```") {
			console = line == "```console"
		}
		printed := console && !strings.HasPrefix(line, "$ ")
		if !printed && !strings.HasPrefix(line, "|") && width(line) > columns {
			long = append(long, i+1)
		}
	}
	return long
}

// longComments returns the numbers of the lines in which a comment is too long.
// Directives and the output of examples are not prose.
func longComments(file *token.FileSet, tree *ast.File, text string) []int {
	lines := strings.Split(text, "\n")
	var long []int
	for _, group := range tree.Comments {
		output := false
		for _, comment := range group.List {
			output = output || strings.HasPrefix(comment.Text, "// Output:") || strings.HasPrefix(comment.Text, "// Unordered output:")
			if output || strings.HasPrefix(comment.Text, "//go:") {
				continue
			}
			for n := file.Position(comment.Pos()).Line; n <= file.Position(comment.End()).Line; n++ {
				if width(lines[n-1]) > columns {
					long = append(long, n)
				}
			}
		}
	}
	return long
}

// width returns the number of columns of a line.
func width(line string) int {
	return utf8.RuneCountInString(strings.TrimRight(line, "\r")) + 3*strings.Count(line, "\t")
}

func TestLongLinesAreFound(t *testing.T) {
	long := strings.Repeat("x", columns+1)
	page := long + "\n| " + long + "\n```console\n$ " + long + "\n" + long + "\n```\n" + long
	if got := longProse(page); len(got) != 3 || got[0] != 1 || got[1] != 4 || got[2] != 7 {
		t.Errorf("long lines of a page: %v", got)
	}
	source := "package p\n\n//go:generate " + long + "\n\n// " + long + "\nvar s = \"" + long + "\"\n\nvar a = 1 // " + long +
		"\n\n// Output:\n// " + long + "\n\n/*\n" + long + "\n*/\n"
	file := token.NewFileSet()
	tree, err := parser.ParseFile(file, "p.go", source, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	if got := longComments(file, tree, source); len(got) != 3 || got[0] != 5 || got[1] != 8 || got[2] != 14 {
		t.Errorf("long comments: %v", got)
	}
}
