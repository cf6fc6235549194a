//go:build linux || darwin

package tui

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
)

// terminal is a pseudo-terminal with somebody before it.
type terminal struct {
	t        *testing.T
	pty, tty *os.File

	mu  sync.Mutex
	out bytes.Buffer
}

func openTerminal(t *testing.T) *terminal {
	t.Helper()
	p, tty, err := pty.Open()
	if err != nil {
		t.Skipf("no pseudo-terminal here: %v", err)
	}
	term := &terminal{t: t, pty: p, tty: tty}
	term.resize(80, 24)
	read := make(chan struct{})
	go func() {
		defer close(read)
		chunk := make([]byte, 4096)
		for {
			n, err := p.Read(chunk)
			term.mu.Lock()
			term.out.Write(chunk[:n])
			term.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		tty.Close()
		p.Close()
		if !t.Failed() { // a program that still waits for input holds the terminal open
			<-read
		}
	})
	return term
}

func (x *terminal) resize(width, height uint16) {
	if err := pty.Setsize(x.pty, &pty.Winsize{Cols: width, Rows: height}); err != nil {
		x.t.Fatal(err)
	}
}

func (x *terminal) write(text string) {
	if _, err := x.pty.WriteString(text); err != nil {
		x.t.Error(err)
	}
}

// mark forgets what was written so far.
func (x *terminal) mark() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.out.Reset()
}

func (x *terminal) output() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.out.String()
}

// wait waits until the output contains texts, one after the other.
func (x *terminal) wait(texts ...string) {
	x.t.Helper()
	missing := func() string {
		rest := x.output()
		for _, text := range texts {
			var ok bool
			if _, rest, ok = strings.Cut(rest, text); !ok {
				return text
			}
		}
		return ""
	}
	for deadline := time.Now().Add(10 * time.Second); missing() != ""; {
		if time.Now().After(deadline) {
			x.t.Fatalf("%q does not appear in %q", missing(), x.output())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestTerminal(t *testing.T) {
	for _, test := range []struct {
		name    string
		environ []string
		colours bool
	}{
		{"colours", []string{"TERM=xterm-256color", "COLORTERM=truecolor"}, true},
		{"no colours", []string{"TERM=xterm-256color", "NO_COLOR=1"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			x := openTerminal(t)
			h := newTalker()
			done := make(chan error, 1)
			go func() {
				done <- Run(t.Context(), Options{Handler: h, Input: x.tty, Output: x.tty, Environ: test.environ, Greeting: "welcome"})
			}()
			x.wait("welcome")
			x.write("hello\r")
			x.wait("HELLO")
			x.write("\x1b[200~pasted\rtext\x1b[201~\r")
			for _, want := range []string{"hello", "pasted\ntext"} {
				if got := <-h.inputs; got != want {
					t.Errorf("the handler got %q, want %q", got, want)
				}
			}
			x.wait("TEXT")
			x.write("count\r")
			x.wait("number5")
			x.write("\x03")
			x.wait("stopped")
			if got := colour.MatchString(x.output()); got != test.colours {
				t.Errorf("colours are %v in %q", got, x.output())
			}
			x.mark()
			x.resize(50, 12)
			if err := syscall.Kill(os.Getpid(), syscall.SIGWINCH); err != nil {
				t.Fatal(err)
			}
			x.wait(strings.Repeat("─", 50))
			x.write("\x04")
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			x.wait("\x1b[?1049l", "HELLO") // what was said stays when the screen is gone
		})
	}
}

// TestTerminalContext: the end of the context ends the program and its answer.
func TestTerminalContext(t *testing.T) {
	x := openTerminal(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, Options{Handler: newTalker(), Input: x.tty, Output: x.tty, Environ: []string{"TERM=xterm"}})
	}()
	x.wait("/help")
	x.write("count\r")
	x.wait("number2")
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the error is %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the program goes on")
	}
}

// TestWindowsKeys: terminals of Windows tell keys in codes of their own (win32-input-mode), presses and releases.
func TestWindowsKeys(t *testing.T) {
	x := openTerminal(t)
	h := newTalker()
	done := make(chan error, 1)
	go func() {
		done <- Run(t.Context(), Options{Handler: h, Input: x.tty, Output: x.tty, Environ: []string{"TERM=xterm-256color"}, Greeting: "welcome"})
	}()
	x.wait("welcome")
	// key types one: its virtual key code, scan code, character, and modifiers (8 is the left Ctrl).
	key := func(code, scan, character, modifiers int) {
		for _, down := range []int{1, 0} {
			x.write(fmt.Sprintf("\x1b[%d;%d;%d;%d;%d;1_", code, scan, character, down, modifiers))
		}
	}
	for _, c := range "hiü" {
		key(0, 0, int(c), 0)
	}
	key(74, 36, 10, 8) // Ctrl-J: another line
	key(88, 45, 'x', 0)
	key(65, 30, 'a', 0)
	key(8, 14, 8, 0)   // Backspace
	key(13, 28, 13, 0) // Enter
	select {
	case got := <-h.inputs:
		if got != "hiü\nx" {
			t.Errorf("the handler got %q", got)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("nothing is sent; the screen shows %q", x.output())
	}
	x.wait("HIÜ")
	key(68, 32, 4, 8) // Ctrl-D
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
