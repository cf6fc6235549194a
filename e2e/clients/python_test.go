package clients

import (
	"os"
	"os/exec"
	"testing"
)

// TestPython runs the Python clients with the interpreter that TRIT_PYTHON names, which has the packages of
// python/requirements.txt.
func TestPython(t *testing.T) {
	python := os.Getenv("TRIT_PYTHON")
	if python == "" {
		t.Skip("TRIT_PYTHON names no interpreter with the packages of python/requirements.txt")
	}
	cmd := exec.CommandContext(t.Context(), python, "-W", "ignore", "-m", "unittest", "-v", "test_clients")
	cmd.Dir = "python"
	cmd.Env = append(os.Environ(), "TRIT_SERVER="+baseURL)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
