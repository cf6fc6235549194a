package clients

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestNode runs the JavaScript clients.
func TestNode(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed")
	}
	if _, err := os.Stat(filepath.Join("node", "node_modules")); err != nil {
		t.Skip("the packages are not installed; run npm install in the folder node")
	}
	cmd := exec.CommandContext(t.Context(), node, "--test")
	cmd.Dir = "node"
	cmd.Env = append(os.Environ(), "TRIT_SERVER="+baseURL)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
