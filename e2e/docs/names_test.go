package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// qualified matches a name of a package in code, or a method of a model m.
var qualified = regexp.MustCompile(`\b([a-z]+)\.([A-Z]\w*)`)

// inCode matches code in prose and blocks.
var inCode = regexp.MustCompile("(?s)```go\n.*?```|`[^`\n]+`")

// TestNames checks that the names of Go that pages use exist.
func TestNames(t *testing.T) {
	exported := exportedNames(t)
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, page := range append(pages, filepath.Join(root, "README.md"), filepath.Join(root, "CONTRIBUTING.md")) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, code := range inCode.FindAllString(string(text), -1) {
			for _, m := range qualified.FindAllStringSubmatch(code, -1) {
				names, ours := exported[m[1]]
				if !ours {
					continue
				}
				found++
				if !names[m[2]] {
					t.Errorf("%s: there is no %s", filepath.Base(page), m[0])
				}
			}
		}
	}
	if found < 40 {
		t.Errorf("only %d names were found", found)
	}
}

// exportedNames returns what the packages of the repository export, by the package's
// name; methods too. What m has are the methods of trit.Model.
func exportedNames(t *testing.T) map[string]map[string]bool {
	t.Helper()
	exported := map[string]map[string]bool{"m": {}}
	eachFile(t, func(path, text string) {
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "e2e/") || strings.HasPrefix(path, "cmd/") {
			return
		}
		tree, err := parser.ParseFile(token.NewFileSet(), path, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		name := tree.Name.Name
		if exported[name] == nil {
			exported[name] = map[string]bool{}
		}
		for _, decl := range tree.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				exported[name][d.Name.Name] = true
				if d.Recv != nil && name == "trit" {
					if star, ok := d.Recv.List[0].Type.(*ast.StarExpr); ok && star.X.(*ast.Ident).Name == "Model" {
						exported["m"][d.Name.Name] = true
					}
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch s := spec.(type) {
					case *ast.TypeSpec:
						exported[name][s.Name.Name] = true
					case *ast.ValueSpec:
						for _, n := range s.Names {
							exported[name][n.Name] = true
						}
					}
				}
			}
		}
	})
	return exported
}

// TestExampleNames checks that the examples that pages name exist.
func TestExampleNames(t *testing.T) {
	exist := map[string]bool{}
	eachFile(t, func(path, text string) {
		if strings.HasSuffix(path, "_test.go") {
			for _, m := range regexp.MustCompile(`(?m)^func (Example\w+)\(\)`).FindAllStringSubmatch(text, -1) {
				exist[m[1]] = true
			}
		}
	})
	page, err := os.ReadFile(filepath.Join(root, "docs", "library.md"))
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile("`(Example\\w+)`").FindAllStringSubmatch(string(page), -1)
	if len(names) < 20 {
		t.Errorf("only %d examples were found", len(names))
	}
	for _, m := range names {
		if !exist[m[1]] {
			t.Errorf("library.md: there is no %s", m[1])
		}
	}
}
