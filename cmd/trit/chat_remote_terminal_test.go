//go:build linux || darwin

package main

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"trit/hub"
)

// TestChatServerTerminal: a model of a server is chosen, and what the server says does not command the terminal.
func TestChatServerTerminal(t *testing.T) {
	t.Setenv(hub.HomeEnv, t.TempDir())
	evil := `a \u001b]52;c;ZXZpbA==\u0007\u009b31m\u001b]0;title\u0007z`
	f := newFakeServer(t, `{"choices":[{"delta":{"reasoning":"`+evil+`"}}]}`+"\n"+
		strings.Replace(says("@"), `"@"`, `"The answer `+evil+`."`, 1),
		`400!{"error":{"message":"refused `+evil+`"}}`, says("Fine."),
		`{"choices":[{"delta":{"content":"Once upon"}}]}`+"\nHANG", says("There."))
	f.known = []string{"continue_final_message", "add_generation_prompt"}
	k := startTerminal(t, "chat", "--server", f.URL)
	k.wait("1  small", "2  big", "Which model?")
	k.write("2\n")
	k.wait("big of "+f.URL, "/help")
	k.write("Hello\r")
	k.wait("The answer a", "z.", "context 27", "big")
	shown := k.shown()
	k.write("Again\r")
	k.wait("says:", "refused a")
	shown += k.shown()
	for _, command := range []string{"\x1b]52", "\u009b31m", "\x9b31m", "]0;title\x07"} {
		if strings.Contains(shown, command) {
			t.Errorf("the terminal gets %q", command)
		}
	}
	time.Sleep(100 * time.Millisecond) // what is said of a failure is shown before the answer has ended
	k.write("Again\r")
	k.wait("Fine.")
	k.command("/copy")
	k.wait("\x1b]52;c;" + base64.StdEncoding.EncodeToString([]byte("Fine.")) + "\x07")
	k.command("/model sm\t")
	k.wait("small answers from now on")
	k.write("Tell me\r")
	k.wait("Once upon", "Ctrl-C stops")
	k.write("\x03")
	k.wait("Stopped; /continue goes on.")
	<-f.gone
	time.Sleep(100 * time.Millisecond)
	k.command("/continue")
	k.wait("There.")
	if got := f.last()["model"]; got != "small" {
		t.Errorf("the model is %v", got)
	}
	k.command("/bye")
	if code := k.exit(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// TestChatServerPlainTerminal: the same with lines.
func TestChatServerPlainTerminal(t *testing.T) {
	t.Setenv(hub.HomeEnv, t.TempDir())
	f := newFakeServer(t, `{"choices":[{"delta":{"reasoning_content":"Hm\u001b[5m"}}]}`+"\n"+says(`Fi\u001b]0;x\u0007ne.`))
	f.answers[0] = strings.ReplaceAll(f.answers[0], `\\u`, `\u`)
	k := startTerminal(t, "chat", "--server", f.URL, "--plain", "small")
	k.wait("> ")
	k.write("Hello\n")
	k.wait("\x1b[2mHm[5m\x1b[22m", "Fi]0;xne.\r\n> ")
	if shown := k.shown(); strings.Contains(shown, "\x1b]0") || strings.Contains(shown, "\x1b[5m") {
		t.Errorf("the terminal gets %q", shown)
	}
	k.write("\x04")
	if code := k.exit(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}
