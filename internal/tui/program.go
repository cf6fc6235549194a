package tui

import (
	"io"
	"os/exec"
	"time"

	tea "charm.land/bubbletea/v2"
)

// program is a program that has the terminal while it runs.
type program struct{ *exec.Cmd }

// runProgram hands the terminal to a program, and gives ended how it has ended.
func runProgram(c *exec.Cmd, ended func(error) tea.Msg) tea.Cmd {
	return tea.Exec(program{c}, ended)
}

// Run implements tea.ExecCommand. The clock by which Bubble Tea paints is stopped by a goroutine of its
// own. If that came after a program that ends at once, it would stop the clock that runs again, for good.
func (p program) Run() error {
	time.Sleep(50 * time.Millisecond)
	return p.Cmd.Run()
}

func (p program) SetStdin(r io.Reader)  { p.Stdin = r }
func (p program) SetStdout(w io.Writer) { p.Stdout = w }
func (p program) SetStderr(w io.Writer) { p.Stderr = w }
