//go:build !noasm

package kernel

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"unsafe"
)

// TestIllegal: an illegal instruction in a trial is survived, again and again, and one
// outside of trials ends the program as before.
func TestIllegal(t *testing.T) {
	if os.Getenv("TRIT_TEST_ILLEGAL") != "" {
		illegalBy(func() bool { return tryLevel(-1) })
		tryLevel(-1)
		return
	}
	for range 3 {
		if illegalBy(func() bool { return tryLevel(-1) }) == "" {
			t.Fatal("an instruction that no CPU has is legal")
		}
		if reason := illegalBy(func() bool { return tryLevel(int(Generic)) }); reason != "" {
			t.Fatal(reason)
		}
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestIllegal$")
	cmd.Env = append(os.Environ(), "TRIT_TEST_ILLEGAL=1")
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "SIGILL") {
		t.Errorf("an illegal instruction outside of a trial: %v\n%s", err, out)
	}
	if n := unsafe.Sizeof(sigaction{}); n != 32 {
		t.Errorf("struct kernel_sigaction has 32 bytes, this one %d", n)
	}
}
