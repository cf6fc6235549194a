package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"trit/hub"
)

// TestCreate makes a model of the demo and of what was made of that, and asks them.
func TestCreate(t *testing.T) {
	newStore(t)
	path := filepath.Join(t.TempDir(), "Modelfile")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("FROM demo\nSYSTEM Be kind.\nPARAMETER temperature 0\nPARAMETER stop \" Paris\"\nMESSAGE user Hello!\nMESSAGE assistant Hi.\n")
	runStore(t, "create", "fox", "-f", path).expect(t, exitOK, "fox: made of demo")
	var out, errOut bytes.Buffer
	code := run(t.Context(), []string{"chat", "--model", "fox", "--debug"}, strings.NewReader("What is the capital of France?"), &out, &errOut)
	if result := (result{code, out.String(), errOut.String()}); code != exitOK || strings.Contains(result.out, "Paris") {
		t.Errorf("the answer does not end before the stop text: %+v", result)
	} else {
		result.expect(t, exitOK, "Be kind.", "Hello!")
	}
	runStore(t, "models").expect(t, exitOK, "fox", "from demo")
	runStore(t, "show", "fox").expect(t, exitOK, "from demo", "bitnet-b1.58")
	runStore(t, "cp", "demo", "fox").expect(t, exitFailed, "fox is a model of the store (from demo)")
	runStore(t, "cp", "fox", "twin").expect(t, exitOK, "twin")
	runStore(t, "rm", "fox", "--force").expect(t, exitOK, "removed fox")

	// A file is found from the folder of the Modelfile, and weighs nothing in the store.
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "m.gguf"), demoFile(t), 0o600); err != nil {
		t.Fatal(err)
	}
	write("FROM ./m.gguf\nTEMPLATE \"\"\"{% for m in messages %}<{{ m.content }}>{% endfor %}\"\"\"\n")
	runStore(t, "create", "mine", "--file", path).expect(t, exitOK, "m.gguf")
	runStore(t, "show", "mine", "--template").expect(t, exitOK, "<{{ m.content }}>")

	write("FROM demo\nTEMPLATE {{ .Prompt }}\n")
	runStore(t, "create", "x", "-f", path).expect(t, exitFailed, "Go template")
	write("FROM demo\nSYSTEMS x\n")
	runStore(t, "create", "x", "-f", path).expect(t, exitFailed, "line 2")
	runStore(t, "create", "x", "-f", path+"x").expect(t, exitFailed, "no such file")
	runStore(t, "create").expect(t, exitUsage, "is to be called")
}

// TestChatSaveModel makes a model of a conversation.
func TestChatSaveModel(t *testing.T) {
	newStore(t)
	c := newTalk(t)
	c.say("/system Be kind.")
	c.say("/set top-k 7")
	c.say("What is the capital of France?")
	c.say("/save friend", "friend begins with these 2 messages")
	m, err := hub.Resolve("friend")
	if err != nil {
		t.Fatal(err)
	}
	d := m.Derived
	if d.System != "Be kind." || d.Parameters["top_k"] != 7.0 || len(d.Messages) != 2 || d.Messages[0].Role != "user" || d.From != "demo" {
		t.Errorf("%+v", d)
	}
	c.say("/save demo", "embedded model")
	for name, want := range map[string]bool{"fox": true, "v1.2": true, "a.json": false, "a.txt": false, "./a": false, `a\b`: false, "": false} {
		if isModelName(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
	if !slices.ContainsFunc(slashCommands(), func(s slashCommand) bool { return strings.Contains(s.args, "NAME") && s.name == "/save" }) {
		t.Error("/help does not say that /save takes a name")
	}
}
