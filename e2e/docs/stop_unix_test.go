//go:build unix

package docs

import (
	"os/exec"
	"syscall"
	"time"
)

// stopAll makes the end of a command that was cut short that of all that it
// started.
func stopAll(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
}
