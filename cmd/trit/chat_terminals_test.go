//go:build linux || darwin

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"trit/hub"
)

var (
	escapes = regexp.MustCompile(`\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\^_=>])`)
	colours = regexp.MustCompile(`\x1b\[[0-9;]*\b(3[0-8]|4[0-8]|9[0-7]|10[0-7])[0-9;]*m`)
	asks    = regexp.MustCompile(`^([^/]|/edit|/regenerate|/continue)`) // the model
	blanks  = regexp.MustCompile(`[\s│▌>]+`)
)

// squeeze leaves out escapes, spaces and line ends, so that a text is found however it was broken.
func squeeze(text string) string {
	return blanks.ReplaceAllString(escapes.ReplaceAllString(text, ""), "")
}

// settle waits until nothing has been written for a while, as when an answer is complete.
func (k *keyboard) settle() {
	k.t.Helper()
	before, since := -1, time.Now()
	for deadline := time.Now().Add(20 * time.Second); time.Since(since) < 120*time.Millisecond; time.Sleep(5 * time.Millisecond) {
		if now := len(k.shown()); now != before {
			before, since = now, time.Now()
		}
		if time.Now().After(deadline) {
			k.t.Fatalf("it goes on and on: %q", k.shown())
		}
	}
}

// TestChatTerminals: every command of the chat, on terminals of all kinds.
func TestChatTerminals(t *testing.T) {
	for _, terminal := range []struct {
		name       string
		cols, rows uint16
		variables  map[string]string
		screen     bool
	}{
		{"80x24", 80, 24, nil, true},
		{"12x4", 12, 4, nil, true},
		{"no colours", 80, 24, map[string]string{"NO_COLOR": "1"}, true},
		{"dumb", 80, 24, map[string]string{"TERM": "dumb"}, false},
	} {
		if testing.Short() || os.Getenv("TRIT_LONG") == "" && (terminal.name == "80x24" || terminal.name == "no colours") {
			continue // other tests have parts of these
		}
		t.Run(terminal.name, func(t *testing.T) {
			home := t.TempDir()
			t.Setenv(hub.HomeEnv, home)
			files := map[string]string{"notes.txt": "red\n", "schema": `{"type": "object", "properties": {"a": {"type": "integer"}}}`,
				"tools": `[{"type": "function", "function": {"name": "weather"}}]`, "editor": "#!/bin/sh\nprintf 'What does a cow say?' >\"$1\"\n"}
			for name, text := range files {
				files[name] = filepath.Join(home, name)
				if err := os.WriteFile(files[name], []byte(text), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv("VISUAL", files["editor"])
			t.Setenv("NO_COLOR", "")
			k := startTerminalOf(t, &pty.Winsize{Cols: terminal.cols, Rows: terminal.rows}, terminal.variables, "chat", "--model", "demo", "--greedy")
			k.settle()
			var all strings.Builder
			enter := func(text string) {
				t.Helper()
				k.write(text)
				for {
					k.write(map[bool]string{true: "\r", false: "\n"}[terminal.screen])
					k.settle()
					if asks.MatchString(text) {
						k.settle() // what an answer took is shown when it is complete
						k.settle()
					}
					all.WriteString(k.shown())
					if !strings.Contains(squeeze(k.shown()), "isnotcompleteyet") {
						return
					}
				}
			}
			steps := []struct{ input, want string }{
				// These show the conversation anew, and of a small screen the end of it.
				{"What is the capital of Italy?", "Rome."},
				{"/save " + filepath.Join(home, "kept.json"), ""},
				{"/clear", ""},
				{"/load " + filepath.Join(home, "kept.json"), ""}, // /versions tells that there was something to load
				{"/edit", "moo."},
				{"/undo", "cow say?"},
				// These stay to the end.
				{"What is the capital of France?", "The capital of France is Paris."},
				{"/regenerate", "The capital of France is Paris."},
				{"/versions", "messages, the last: The capital of Italy is Rome."},
				{"/help", "forget the conversation"},
				{"/system Be brief.", "The system prompt is set."},
				{"/file " + files["notes.txt"], "goes with the next message"},
				{"/file off", "No file goes with the next message."},
				{"What does a dog say?", "A dog says"},
				{"/continue", "The model has nothing to add."},
				{"/copy", "clipboard"},
				{"/json on", "JSON"},
				{"/json off", "Answers have any form."},
				{"/schema " + files["schema"], "schema"},
				{"/schema off", "Answers have any form."},
				{"/tools " + files["tools"], "weather"},
				{"/tools off", "no functions"},
				{"/result sunny", "/result: "},
				{"/model", "demo"},
				{"/show", "parameters"},
				{"/think off", "think"},
				{"/set temperature 0.5", "0.5"},
				{"/stats", "tokens"},
				{"/nonsense", "No command /nonsense"},
			}
			for _, known := range slashCommands() {
				if !slices.ContainsFunc(steps, func(s struct{ input, want string }) bool { return strings.HasPrefix(s.input, known.name) }) && known.name != "/quit" {
					t.Errorf("%s is not tried", known.name)
				}
			}
			seen := map[string]bool{}
			for _, step := range steps {
				enter(step.input)
				seen[step.input] = strings.Contains(squeeze(k.shown()), squeeze(step.want))
			}
			k.write("/quit")
			k.write(map[bool]string{true: "\r", false: "\n"}[terminal.screen])
			if code := k.exit(); code != exitOK {
				t.Errorf("exit code %d", code)
			}
			k.settle()
			if !terminal.screen {
				defer k.write("\n") // for whoever still waits for a line
			}
			shown := k.shown()
			if at := strings.LastIndex(shown, "\x1b[?1049l"); terminal.screen && at >= 0 {
				shown = shown[at:] // the whole conversation, for those who look back
			} else if terminal.screen {
				t.Errorf("the screen is not given back: %q", shown)
			} else {
				shown = all.String()
			}
			text := squeeze(shown)
			for _, step := range steps {
				if !seen[step.input] && !strings.Contains(text, squeeze(step.want)) {
					t.Errorf("%s: %q is missing", step.input, step.want)
				}
			}
			all.WriteString(k.shown())
			coloured := colours.MatchString(all.String())
			if want := terminal.variables == nil; coloured != want {
				t.Errorf("colours: %v, want %v", coloured, want)
			}
			if !terminal.screen && strings.Contains(all.String(), "\x1b") {
				t.Errorf("a dumb terminal gets escapes: %q", all.String())
			}
			if t.Failed() {
				t.Logf("%s", text)
			}
		})
	}
}
