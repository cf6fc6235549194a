package clients

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestSchemathesis sends requests that are made of the server's document, right and wrong ones, and has the answers
// compared with what it says. With TRIT_LONG there are more of them.
func TestSchemathesis(t *testing.T) {
	python := os.Getenv("TRIT_PYTHON")
	if python == "" {
		t.Skip("TRIT_PYTHON names no interpreter with the packages of python/requirements.txt")
	}
	if program == "" {
		t.Skip("TRIT_SERVER names a server, which this test would change")
	}
	t.Setenv("HF_ENDPOINT", "http://127.0.0.1:9") // nothing is downloaded
	url, stop, err := startServer(program, t.TempDir(), "--alias", "*=demo", "--allow-pull", "--allow-delete",
		"--max-tokens", "8", "--slot-save-path", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	config, err := filepath.Abs("python/schemathesis.toml")
	if err != nil {
		t.Fatal(err)
	}
	phases, examples := "fuzzing", "6"
	if os.Getenv("TRIT_LONG") != "" {
		phases, examples = "coverage,fuzzing", "40"
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(filepath.Dir(python), "schemathesis"),
		"--config-file", config, "run", url+"/openapi.json", "--phases", phases, "--max-examples", examples,
		"--seed", "1", "--generation-database", "none", "--suppress-health-check", "all", "--continue-on-failure",
		"--workers", "2", "--request-timeout", "60", "--no-color", "--warnings", "off", "--checks",
		"not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"+
			"response_headers_conformance,unsupported_method")
	cmd.Dir = t.TempDir() // it leaves files
	cmd.WaitDelay = time.Minute
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
