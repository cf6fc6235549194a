//go:build unix

package suites

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestOllama runs Ollama's integration tests of the scope that it calls fast.
func TestOllama(t *testing.T) {
	dir := suite(t, "ollama")
	work, port := t.TempDir(), freePort(t)
	server := exec.Command(build(t), "serve", "--port", port, "--allow-pull", "--allow-delete", "--alias", "*=demo")
	server.Env = append(os.Environ(), "TRIT_HOME="+work)
	log, err := os.Create(filepath.Join(work, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	server.Stderr = log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		if err := server.Wait(); err != nil {
			t.Errorf("trit serve: %v", err)
		}
	}()

	cmd := exec.CommandContext(t.Context(), "go", "test", "-json", "-count=1", "-timeout=30m", "-tags=integration,fast",
		"./integration")
	cmd.Dir = dir
	cmd.WaitDelay = time.Minute
	cmd.Env = append(os.Environ(), "OLLAMA_TEST_EXISTING=1", "OLLAMA_TEST_MODEL=demo", "OLLAMA_HOST=127.0.0.1:"+port,
		"HOME="+work, "GOFLAGS=-mod=mod")
	for _, name := range []string{"GOPATH", "GOMODCACHE", "GOCACHE"} { // which are in the home otherwise
		value, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Env = append(cmd.Env, name+"="+strings.TrimSpace(string(value)))
	}
	out, err := cmd.Output()
	outcomes := goOutcomes(out)
	if len(outcomes) == 0 {
		t.Fatalf("go test: %v\n%s", err, out)
	}
	judge(t, "ollama.txt", outcomes)
}

// goOutcomes reads what go test -json writes. Tests that have others within are not among the outcomes.
func goOutcomes(out []byte) (outcomes []outcome) {
	said := map[string]string{}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var e struct{ Action, Test, Output string }
		if json.Unmarshal(lines.Bytes(), &e) != nil || e.Test == "" {
			continue
		}
		switch e.Action {
		case "output":
			if strings.Contains(e.Output, "_test.go:") {
				said[e.Test] += e.Output
			}
		case "pass", "fail", "skip":
			what := map[string]string{"pass": "passed", "fail": "failed", "skip": "skipped"}[e.Action]
			message := said[e.Test]
			outcomes = append(outcomes, outcome{e.Test, what, message[max(0, len(message)-4000):]})
		}
	}
	return slices.DeleteFunc(outcomes, func(o outcome) bool {
		return slices.ContainsFunc(outcomes, func(p outcome) bool { return strings.HasPrefix(p.ID, o.ID+"/") })
	})
}
