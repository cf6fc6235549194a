package docs

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// page is a text with commands, in the order in which they are printed.
type page struct {
	name     string
	commands []command
}

// command is one command of a page, which may have several lines.
type command struct {
	line int // in the page, from 1
	text string
	// mention says that the command is not meant to be run as it is.
	mention bool
}

// languages are those that a block of a page may have.
var languages = []string{"sh", "console", "text", "go", "diff", "json", "yaml", "python", "js", "toml", "powershell", "xml"}

// inlineCode matches code in prose, which may go on in the next line.
var inlineCode = regexp.MustCompile("`([^`]+)`")

// inlineCommand matches what is a command among the code in prose.
var inlineCommand = regexp.MustCompile(`^([A-Z_]+=\S* )*(trit|go|\.ci/\w+)( |$)`)

// complete matches those that can be run.
var complete = regexp.MustCompile(`(^| )(go|\.ci/\w+|demo)( |$)`)

// placeholder matches what a reader replaces.
var placeholder = regexp.MustCompile(`(^|[ =:])[A-Z]+\b|…`)

// readPage finds the commands of a Markdown page.
func readPage(name, text string) (page, error) {
	p := page{name: name}
	var prose strings.Builder
	first := 1 // line of prose's beginning
	flush := func(next int) {
		p.addInline(prose.String(), first)
		prose.Reset()
		first = next
	}
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		language, fence := strings.CutPrefix(lines[i], "```")
		if !fence {
			if strings.HasPrefix(lines[i], "    ") && (i == 0 || lines[i-1] == "") {
				return p, fmt.Errorf("%s:%d: an indented block; write ```sh or what else it is", name, i+1)
			}
			prose.WriteString(lines[i] + "\n")
			continue
		}
		if !slices.Contains(languages, language) {
			return p, fmt.Errorf("%s:%d: a block in %q, which is none of %s", name, i+1, language, strings.Join(languages, ", "))
		}
		flush(i + 1)
		from := i + 1
		for i++; i < len(lines) && lines[i] != "```"; i++ {
		}
		if i == len(lines) {
			return p, fmt.Errorf("%s:%d: the block has no end", name, from)
		}
		if language == "sh" {
			p.commands = append(p.commands, splitCommands(lines[from:i], from+1)...)
		}
		first = i + 2
	}
	flush(0)
	return p, nil
}

// addInline adds the commands among the code in prose that begins in a line.
func (p *page) addInline(prose string, line int) {
	for _, m := range inlineCode.FindAllStringSubmatchIndex(prose, -1) {
		text := strings.Join(strings.Fields(prose[m[2]:m[3]]), " ")
		if text == "trit" || text == "go" || !inlineCommand.MatchString(text) {
			continue
		}
		p.commands = append(p.commands, command{
			line:    line + strings.Count(prose[:m[2]], "\n"),
			text:    text,
			mention: !complete.MatchString(text) || placeholder.MatchString(strings.TrimLeft(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_")),
		})
	}
}

// heredoc matches the mark that ends lines of input.
var heredoc = regexp.MustCompile(`<<'?([A-Z]+)'?`)

// splitCommands joins the lines of each command of a block. line is that of the
// first.
func splitCommands(lines []string, line int) []command {
	var commands []command
	for i := 0; i < len(lines); i++ {
		from := i
		switch m := heredoc.FindStringSubmatch(lines[i]); {
		case strings.TrimSpace(lines[i]) == "" || strings.HasPrefix(lines[i], "#"):
			continue
		case m != nil:
			for i++; i < len(lines)-1 && lines[i] != m[1]; i++ {
			}
		default:
			for i < len(lines)-1 && (strings.HasSuffix(lines[i], `\`) || strings.HasSuffix(lines[i], "|")) {
				i++
			}
		}
		commands = append(commands, command{line: line + from, text: strings.Join(lines[from:i+1], "\n")})
	}
	return commands
}

// helpExamples finds the commands among the examples of a help text.
func helpExamples(name, help string) (page, error) {
	p := page{name: name}
	lines := strings.Split(help, "\n")
	start := slices.Index(lines, "Examples:")
	if start < 0 {
		return p, fmt.Errorf("%s shows no examples", name)
	}
	end := start + 1
	for end < len(lines) && strings.HasPrefix(lines[end], "  ") {
		end++
	}
	for i, line := range lines[start+1 : end] {
		p.commands = append(p.commands, command{line: start + 2 + i, text: strings.TrimPrefix(line, "  ")})
	}
	return p, nil
}

// readPages reads the pages of the repository.
func readPages(t *testing.T) []page {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	var pages []page
	for _, path := range append([]string{filepath.Join(root, "README.md"), filepath.Join(root, "CONTRIBUTING.md")}, names...) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			t.Fatal(err)
		}
		p, err := readPage(filepath.ToSlash(name), string(text))
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, p)
	}
	return pages
}

func TestReadPage(t *testing.T) {
	p, err := readPage("a.md", "Try `trit info\n--model demo`, `trit`, `go build ./cmd/trit`, `trit info --model M`,\n`trit.Open` or `K=v trit demo`.\n\n"+
		"```sh\ntrit a \\\n  b\n\n# why\ncat >f <<'END'\n{\nEND\ntrit c |\n  d # e\n```\n```text\ntrit no\n```\n`trit serve`\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []command{
		{1, "trit info --model demo", false}, {2, "go build ./cmd/trit", false}, {2, "trit info --model M", true}, {3, "K=v trit demo", false},
		{6, "trit a \\\n  b", false}, {10, "cat >f <<'END'\n{\nEND", false}, {13, "trit c |\n  d # e", false}, {19, "trit serve", true},
	}
	if !slices.Equal(p.commands, want) {
		t.Errorf("got  %+v\nwant %+v", p.commands, want)
	}
	for _, bad := range []string{"text\n\n    trit demo\n", "```\ntrit demo\n```\n", "```bash\ntrit demo\n```\n", "```sh\ntrit demo\n"} {
		if p, err := readPage("a.md", bad); err == nil {
			t.Errorf("%q is read as %v", bad, p)
		}
	}
	p, err = helpExamples("x", "Usage:\n  x\n\nExamples:\n  trit a\n  trit b\n\nFlags:\n  -h\n")
	if want := []command{{5, "trit a", false}, {6, "trit b", false}}; err != nil || !slices.Equal(p.commands, want) {
		t.Errorf("got %v, %v", p.commands, err)
	}
}

var update = flag.Bool("update", false, "write the diff of docs/architecture.md anew")

// family is the file of the family that docs/architecture.md shows.
const family = "internal/model/arch/qwen3/qwen3.go"

// TestFamilyDiff checks that docs/architecture.md shows the file of a family as it
// is.
func TestFamilyDiff(t *testing.T) {
	page := filepath.Join(root, "docs", "architecture.md")
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join(root, family))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(source), "\n"), "\n")
	if len(lines) >= 80 {
		t.Errorf("%s has %d lines; a plain family has less than 80", family, len(lines))
	}
	diff := fmt.Sprintf("--- /dev/null\n+++ b/%s\n@@ -0,0 +1,%d @@\n+%s\n", family, len(lines), strings.Join(lines, "\n+"))
	before, rest, found := strings.Cut(string(text), "```diff\n")
	shown, after, ends := strings.Cut(rest, "--- a/internal/model/arch/arch.go\n")
	switch {
	case !found || !ends:
		t.Fatal("docs/architecture.md shows no diff of a family and the list of families")
	case shown == diff:
	case *update:
		text := before + "```diff\n" + diff + "--- a/internal/model/arch/arch.go\n" + after
		if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("docs/architecture.md shows another %s; go test ./e2e/docs -update writes the page anew", family)
	}
}
