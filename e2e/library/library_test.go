// Package library tests that programs outside the module can use its public face.
package library

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestPrograms builds the programs in the folders beside this file and runs them.
func TestPrograms(t *testing.T) {
	models := filepath.Join("embedded", "models", "model.gguf")
	synth := exec.Command("go", "run", "./cmd/trit", "synth", "--shape", "tiny", filepath.Join("e2e", "library", models))
	synth.Dir = filepath.Join("..", "..")
	if _, err := os.Stat(models); err != nil {
		output(t, synth)
	}
	bin := t.TempDir()
	output(t, exec.Command("go", "build", "-o", bin+string(filepath.Separator), "./..."))
	for program, want := range map[string][]string{
		"stream":       {"there was", "(length)"},
		"conversation": {"call: capital {", `"country": "Italy"}`, "result: Rome", "answer: ", "moo"},
		"answer":       {"an animal of ", "cut: "},
		"neighbours":   {"nearest: Once upon a time"},
		"sampler":      {"text: ", "without foxes: "},
		"embedded":     {"models/model.gguf: 8 tokens"},
	} {
		t.Run(program, func(t *testing.T) {
			name := filepath.Join(bin, program)
			if runtime.GOOS == "windows" {
				name += ".exe"
			}
			out := output(t, exec.Command(name))
			for _, text := range want {
				if !strings.Contains(out, text) {
					t.Errorf("it does not print %q:\n%s", text, out)
				}
			}
			if program == "sampler" {
				checkSampler(t, out)
			}
		})
	}
}

// checkSampler looks at what the samplers of one's own have left.
func checkSampler(t *testing.T, out string) {
	for line := range strings.Lines(out) {
		if text, found := strings.CutPrefix(line, "text: "); found && (len(text) < 10 || strings.ContainsAny(text, "eE")) {
			t.Errorf("a text without e: %q", text)
		}
		if text, found := strings.CutPrefix(line, "without foxes: "); found && strings.Contains(text, "fox") {
			t.Errorf("a text without foxes: %q", text)
		}
	}
}

// TestDemoIsLeftOut: a program that does not import the demo does not carry it.
func TestDemoIsLeftOut(t *testing.T) {
	if deps := output(t, exec.Command("go", "list", "-deps", "./stream")); !strings.Contains(deps, "trit/demo\n") {
		t.Errorf("a program with the demo imports\n%s", deps)
	}
	if deps := output(t, exec.Command("go", "list", "-deps", "./embedded")); strings.Contains(deps, "trit/demo\n") {
		t.Error("a program that does not import the demo carries it")
	}
}

func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return string(out)
}
