package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestChatTemplateFlags: a template of the user's takes the place of the model's in all that
// talks, and one that is none is an error that names the flag.
func TestChatTemplateFlags(t *testing.T) {
	const template = `{{ bos_token }}{% for m in messages %}Once upon a {{ m.content }}{% endfor %}`
	file := filepath.Join(t.TempDir(), "own.jinja")
	if err := os.WriteFile(file, []byte(template), 0o666); err != nil {
		t.Fatal(err)
	}
	plain := runTrit(t, "infer", "--model", "demo", "-p", "Once upon a time", "--greedy", "-n", "8")
	plain.expect(t, exitOK)
	for _, flags := range [][]string{{"--chat-template", template}, {"--chat-template-file", file}} {
		got := runTrit(t, append([]string{"infer", "--model", "demo", "--chat", "-p", "time", "--greedy", "-n", "8"}, flags...)...)
		if got.expect(t, exitOK); got.out != plain.out {
			t.Errorf("infer %s: %q, want %q", flags[0], got.out, plain.out)
		}
		got = runTrit(t, append([]string{"run", "demo", "time", "--greedy", "--max-tokens", "8"}, flags...)...)
		if got.expect(t, exitOK); strings.TrimSpace(got.out) != strings.TrimSpace(plain.out) {
			t.Errorf("run %s: %q, want %q", flags[0], got.out, plain.out)
		}
	}
	for _, command := range [][]string{{"infer", "--model", "demo", "-p", "x"}, {"chat", "--model", "demo"}, {"serve", "--model", "demo", "--port", "0"}} {
		for _, test := range []struct {
			flags []string
			want  string
		}{
			{[]string{"--chat-template", "nobody"}, "bitnet"},
			{[]string{"--chat-template", "{% if %}"}, "--chat-template: "},
			{[]string{"--chat-template", "demo", "--chat-template-file", file}, "exclude"},
			{[]string{"--chat-template-file", file + "x"}, "own.jinjax"},
		} {
			r := runTrit(t, append(command, test.flags...)...)
			if r.code == exitOK || !strings.Contains(r.err, test.want) || !strings.Contains(r.err, "--chat-template") {
				t.Errorf("%s %q: exit code %d, %s", command[0], test.flags, r.code, r.err)
			}
		}
	}
}
