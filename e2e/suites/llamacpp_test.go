//go:build unix

package suites

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestLlamaCpp runs the tests of llama.cpp's server, but for those that they call slow.
func TestLlamaCpp(t *testing.T) {
	dir := filepath.Join(suite(t, "llama.cpp"), "tools", "server", "tests")
	python := os.Getenv("TRIT_SUITES_PYTHON")
	if python == "" {
		t.Skip("TRIT_SUITES_PYTHON names no interpreter with the packages of python/requirements.txt")
	}
	program := build(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	plugin, err := filepath.Abs("python")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("llama.cpp.txt")
	if err != nil {
		t.Fatal(err)
	}
	l, err := readList(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "tmp"), 0o777); err != nil { // where they keep models
		t.Fatal(err)
	}
	work := t.TempDir()
	file := filepath.Join(work, "outcomes")
	args := []string{"-m", "pytest", "-p", "trit_suite", "-p", "no:cacheprovider", "-q", "--tb=no", "-m", "not slow",
		"--timeout=300"}
	for e := range l.ignored {
		args = append(args, "--ignore="+e)
	}
	if chosen := os.Getenv("TRIT_SUITES_ONLY"); chosen != "" {
		args = append(args, "-k", chosen)
	}
	model := os.Getenv(modelVar)
	if model == "" { // noise, which does not end by itself
		model = filepath.Join(work, "noise.gguf")
		cmd := exec.CommandContext(t.Context(), program, "synth", "--shape", "tiny-llama", model)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	cmd := exec.CommandContext(t.Context(), python, args...)
	cmd.Dir = dir
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	cmd.Env = append(os.Environ(), "PYTHONPATH="+plugin, "PYTHONDONTWRITEBYTECODE=1", "TRIT_OUTCOMES="+file,
		"LLAMA_SERVER_BIN_PATH="+self, programVar+"="+program,
		modelVar+"="+model, "TRIT_HOME="+work, "PORT="+freePort(t))
	out, err := cmd.CombinedOutput()
	outcomes, readErr := readOutcomes(file)
	if readErr != nil || len(outcomes) == 0 || cmd.ProcessState == nil || cmd.ProcessState.ExitCode() > 1 {
		t.Fatalf("pytest: %v, %v\n%s", err, readErr, out)
	}
	for i, o := range outcomes {
		outcomes[i].ID = strings.TrimPrefix(o.ID, "unit/")
	}
	judge(t, "llama.cpp.txt", outcomes)
}

// freePort returns a port that was free just now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}
