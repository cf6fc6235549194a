//go:build linux || darwin

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"

	"trit/hub"
)

// keyboard is somebody before a terminal in which a command line runs.
type keyboard struct {
	t    *testing.T
	pty  *os.File
	code chan int

	mu  sync.Mutex
	out bytes.Buffer
}

// startTerminal runs a command line on a pseudo-terminal.
func startTerminal(t *testing.T, args ...string) *keyboard {
	t.Helper()
	return startTerminalOf(t, &pty.Winsize{Cols: 80, Rows: 24}, nil, args...)
}

// startTerminalOf runs a command line on a pseudo-terminal of a size, with further environment variables.
func startTerminalOf(t *testing.T, size *pty.Winsize, variables map[string]string, args ...string) *keyboard {
	t.Helper()
	t.Setenv("TERM", "xterm-256color")
	for name, value := range variables {
		t.Setenv(name, value)
	}
	p, tty, err := pty.Open()
	if err != nil {
		t.Skipf("no pseudo-terminal here: %v", err)
	}
	if err := pty.Setsize(p, size); err != nil {
		t.Fatal(err)
	}
	k := &keyboard{t: t, pty: p, code: make(chan int, 1)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		chunk := make([]byte, 4096)
		for {
			n, err := p.Read(chunk)
			k.mu.Lock()
			k.out.Write(chunk[:n])
			k.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	go func() { k.code <- run(t.Context(), args, tty, tty, tty) }()
	t.Cleanup(func() {
		tty.Close()
		p.Close()
		if !t.Failed() { // a program that still waits for input holds the terminal open
			<-read
		}
	})
	return k
}

// write types a text; what was shown before is forgotten.
func (k *keyboard) write(text string) {
	k.t.Helper()
	k.mu.Lock()
	k.out.Reset()
	k.mu.Unlock()
	if _, err := k.pty.WriteString(text); err != nil {
		k.t.Fatal(err)
	}
}

func (k *keyboard) shown() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.out.String()
}

func (k *keyboard) wait(texts ...string) {
	k.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for _, text := range texts {
		for !strings.Contains(k.shown(), text) {
			if time.Now().After(deadline) {
				k.t.Fatalf("%q does not appear in %q", text, k.shown())
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// command enters a command once the answer before it is complete: before that it is refused, and stays in the input.
func (k *keyboard) command(text string) {
	k.t.Helper()
	k.write(text)
	for deadline := time.Now().Add(10 * time.Second); ; {
		k.write("\r")
		for refused := time.Now().Add(300 * time.Millisecond); !strings.Contains(k.shown(), "is not complete yet"); {
			if time.Now().After(refused) {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
		if time.Now().After(deadline) {
			k.t.Fatalf("%s is refused: %q", text, k.shown())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (k *keyboard) exit() int {
	k.t.Helper()
	select {
	case code := <-k.code:
		return code
	case <-time.After(10 * time.Second):
		k.t.Fatalf("the program goes on and shows %q", k.shown())
		return -1
	}
}

func TestChatTerminal(t *testing.T) {
	home := t.TempDir()
	t.Setenv(hub.HomeEnv, home)
	k := startTerminal(t, "chat", "--model", "demo", "--greedy")
	k.wait("4.7", "/help")
	k.write("What is the capital of France?\r")
	k.wait("Paris", "tokens/s")
	k.command("/help")
	k.wait("/show [template", "Alt-Enter")
	k.write("/clear\r")
	k.wait("empty")
	k.write("\x1b[A") // up: the input before
	k.wait("clear")
	k.write("\x03")
	k.write("\x03")
	k.wait("again")
	k.write("\x03")
	if code := k.exit(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	k.wait("\x1b[?1049l")
	data, err := os.ReadFile(filepath.Join(home, "chat_history"))
	if err != nil || string(data) != "\"What is the capital of France?\"\n\"/help\"\n\"/clear\"\n" {
		t.Errorf("the history is %q, %v", data, err)
	}

	k = startTerminal(t, "chat", "--model", "demo", "--greedy")
	k.wait("4.7")
	k.write("\x1b[A\x1b[A\x1b[A")
	k.wait("France")
	k.write("\r")
	k.wait("Paris")
	k.write("/quit\r")
	if code := k.exit(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

func TestChatPlainTerminal(t *testing.T) {
	t.Setenv(hub.HomeEnv, t.TempDir())
	k := startTerminal(t, "chat", "--model", "demo", "--greedy", "--plain")
	k.wait("> ")
	k.write("What is the capital of France?\n")
	k.wait("Paris.\r\n> ")
	if strings.Contains(k.shown(), "\x1b") {
		t.Errorf("escape sequences in %q", k.shown())
	}
	k.write("\x04")
	if code := k.exit(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// TestChatTerminalKeys: completion, the search among inputs, and an editor that has
// the terminal while it runs.
func TestChatTerminalKeys(t *testing.T) {
	home := t.TempDir()
	t.Setenv(hub.HomeEnv, home)
	editor := filepath.Join(home, "editor")
	script := "#!/bin/sh\necho the editor runs\nprintf 'What does a cow say?' >\"$1\"\n"
	if err := os.WriteFile(editor, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("VISUAL", editor)
	k := startTerminal(t, "chat", "--model", "demo", "--greedy")
	k.wait("4.7", "/help")
	k.write("/vers\t\r")
	k.wait("one version")
	k.write("What is the capital of France?\r")
	k.wait("Paris")
	k.command("/edit")
	k.wait("the editor runs", "moo")
	k.write("\x12capital")
	k.wait("Ctrl-R older")
	k.write("\r\r")
	k.wait("Paris")
	k.write("\x07") // the editor for what is typed
	k.wait("the editor runs", "cow say")
	k.write("\r")
	k.wait("moo")
	k.command("/copy")
	k.wait("\x1b]52;c;QSBjb3cgc2F5cyBtb28u\x07")
	k.write("/undo\r")
	k.wait("Taken back")
	k.write("\"\"\"What does\ra cow say?\"\"\"\r")
	k.wait("a cow say?\"\"\"", "tokens/s")
	k.command("/bye")
	if code := k.exit(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// TestTerminalDimsThoughts: what the model thinks is faint, and the answer is not.
func TestTerminalDimsThoughts(t *testing.T) {
	t.Setenv(hub.HomeEnv, t.TempDir())
	model := thinkingModel(t)
	args := append([]string{"--model", model, "--max-tokens", "60", "--think-budget", "7"}, endless...)
	faint := regexp.MustCompile(`\x1b\[2m[^\x1b]+\x1b\[22m(\r\n){2}[^\x1b]+$`)
	k := startTerminal(t, append([]string{"infer", "--chat", "-p", "Tell me a story about a fox."}, args...)...)
	if code := k.exit(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	k.wait("finish: ")
	if got := k.shown(); !faint.MatchString(got) {
		t.Errorf("infer shows %q", got)
	}
	k = startTerminal(t, append([]string{"chat", "--plain"}, args...)...)
	k.wait("> ")
	k.write("Tell me a story about a fox.\n")
	k.wait("\x1b[22m\r\n\r\n", "\r\n> ")
	if got := k.shown(); !faint.MatchString(got) {
		t.Errorf("chat --plain shows %q", got)
	}
	k.write("\x04")
	k.exit()
	k = startTerminal(t, append([]string{"chat"}, args...)...)
	k.wait("/help")
	k.write("Tell me a story about a fox.\r")
	k.wait("cut after", "\x1b[2m")
	time.Sleep(100 * time.Millisecond) // the notice is shown before the answer has ended
	k.write("/quit\r")
	k.exit()
}
