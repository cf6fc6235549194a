package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// guideCommand is a command of the guide and the lines that it shows.
type guideCommand struct {
	line  int
	args  []string
	lines []string
}

// TestDebuggingGuide runs every command of docs/debugging.md and checks that it
// prints what the guide shows.
func TestDebuggingGuide(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "debugging.md"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, m := range brokenModels {
		m.write(t, dir)
		if row := fmt.Sprintf("| `%s` |", m.file); !strings.Contains(string(text), row) {
			t.Errorf("the guide has no row %s", row)
		}
	}
	writeOthers(t, dir)
	for _, line := range strings.Split(string(text), "\n") {
		for _, m := range brokenModels {
			if strings.HasPrefix(line, fmt.Sprintf("| `%s` |", m.file)) && !strings.Contains(line, "`"+m.stage+"`") {
				t.Errorf("the row %q does not name %s", line, m.stage)
			}
		}
	}
	commands := guideCommands(t, string(text))
	if len(commands) < 25 {
		t.Fatalf("only %d commands were found", len(commands))
	}
	t.Chdir(dir)
	for _, c := range commands {
		if testing.Short() && c.args[0] == "validate" {
			continue // perplexity takes long on processors without assembly
		}
		r := runTrit(t, c.args...)
		if wrong := mismatch(c.lines, strings.Split(strings.TrimRight(r.out+r.err, "\n"), "\n")); wrong != "" {
			t.Errorf("docs/debugging.md:%d: %s: %s\nit prints\n%s%s", c.line, strings.Join(c.args, " "), wrong, r.out, r.err)
		}
	}
}

// guideCommands finds the commands in the blocks of a guide.
func guideCommands(t *testing.T, text string) []guideCommand {
	t.Helper()
	var commands []guideCommand
	inside := false
	for i, line := range strings.Split(text, "\n") {
		switch {
		case strings.HasPrefix(line, "```"):
			inside = !inside && line == "```console"
		case !inside:
		case strings.HasPrefix(line, "$ trit "):
			commands = append(commands, guideCommand{line: i + 1, args: splitWords(strings.TrimPrefix(line, "$ trit "))})
		case len(commands) == 0:
			t.Fatalf("line %d: %q belongs to no command", i+1, line)
		default:
			c := &commands[len(commands)-1]
			c.lines = append(c.lines, line)
		}
	}
	return commands
}

// splitWords splits a command line as a shell does: double quotes keep spaces,
// a backslash keeps a quote.
func splitWords(line string) []string {
	var words []string
	var word strings.Builder
	quoted, escaped := false, false
	for _, r := range line + " " {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\':
			escaped = true
		case r == '"':
			quoted = !quoted
		case r == ' ' && !quoted:
			if word.Len() > 0 {
				words = append(words, word.String())
			}
			word.Reset()
		default:
			word.WriteRune(r)
		}
	}
	return words
}

// mismatch says which of the wanted lines is missing. The line "…" stands for any
// number of lines; other lines follow each other.
func mismatch(want, got []string) string {
	skip := false
	for _, line := range want {
		if line == "…" {
			skip = true
			continue
		}
		line = strings.TrimRight(line, " ")
		for skip && len(got) > 0 && strings.TrimRight(got[0], " ") != line {
			got = got[1:]
		}
		if len(got) == 0 {
			return fmt.Sprintf("it does not print %q", line)
		}
		if found := strings.TrimRight(got[0], " "); found != line {
			return fmt.Sprintf("it prints %q, the guide shows %q", found, line)
		}
		got, skip = got[1:], false
	}
	if !skip && len(got) > 0 {
		return fmt.Sprintf("it goes on with %q", got[0])
	}
	return ""
}
