package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"trit"
	"trit/chat"
	"trit/hub"
	"trit/internal/tui"
)

// kinds returns the texts of the events of a kind.
func (c *talk) kinds(kind tui.Kind) []string {
	var texts []string
	for _, e := range c.events {
		if e.Kind == kind {
			texts = append(texts, e.Text)
		}
	}
	return texts
}

func contents(messages []chat.Message) []string {
	var list []string
	for _, m := range messages {
		list = append(list, m.Content)
	}
	return list
}

const (
	askFrance = "What is the capital of France?"
	askCow    = "What does a cow say?"
)

// TestChatAliases: what people know from other programs is known here.
func TestChatAliases(t *testing.T) {
	names := map[string]bool{}
	for _, known := range slashCommands() {
		for _, name := range append([]string{known.name}, strings.Fields(known.aliases)...) {
			if names[name] || !strings.HasPrefix(name, "/") {
				t.Errorf("%s stands twice, or has no slash", name)
			}
			names[name] = true
		}
	}
	for _, habit := range []string{"/?", "/bye", "/exit", "/retry", "/models"} {
		if !names[habit] {
			t.Errorf("there is no %s", habit)
		}
	}
	c := newTalk(t)
	c.say("/bye")
	if len(c.events) != 1 || c.events[0].Kind != tui.Quit {
		t.Errorf("/bye gives %v", c.events)
	}
	c.say("/undo now", "takes no argument")
}

// TestChatPage: docs/chat.md lists every command as /help does.
func TestChatPage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "chat.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, known := range slashCommands() {
		names := "`" + strings.ReplaceAll(strings.TrimSpace(known.name+" "+known.args), "|", `\|`) + "`"
		for _, alias := range strings.Fields(known.aliases) {
			names += ", `" + alias + "`"
		}
		if row := "\n| " + names + " | " + known.help + " |\n"; !strings.Contains(string(page), row) {
			t.Errorf("docs/chat.md has no row %q", row)
		}
	}
}

// TestChatUndo: what was taken back is gone for the model, and can be had again.
func TestChatUndo(t *testing.T) {
	c := newTalk(t)
	c.say("/undo", "no message")
	c.say("/versions", "one version")
	c.say(askFrance, "Paris")
	c.say(askCow, "moo")
	first := slices.Clone(c.messages)
	c.say("/undo", "Taken back: "+askCow)
	if got := contents(c.messages); len(got) != 2 || got[0] != askFrance || len(c.window) != 2 {
		t.Fatalf("what is left is %q", got)
	}
	c.say("What is 3 plus 4?", "7")
	second := contents(c.messages)
	c.say("/versions", "* 2    4 messages", "  1    4 messages, the last: "+first[3].Content)
	c.screen = true
	c.say("/versions 1", "version 1")
	if got := c.kinds(tui.Question); !slices.Equal(got, []string{askFrance, askCow}) {
		t.Errorf("the screen shows the questions %q", got)
	}
	if got := contents(c.messages); !slices.Equal(got, contents(first)) {
		t.Errorf("version 1 is %q", got)
	}
	c.say("/versions 2")
	if got := contents(c.messages); !slices.Equal(got, second) {
		t.Errorf("version 2 is %q, want %q", got, second)
	}
	c.say("/versions 3", "versions 1 to 2")
	c.say("/clear")
	c.say("/versions", "one version")
}

func TestVersions(t *testing.T) {
	list := func(texts ...string) []chat.Message {
		var messages []chat.Message
		for _, text := range texts {
			messages = append(messages, chat.Message{Role: "user", Content: text})
		}
		return messages
	}
	var v versions
	v.keep(nil)
	v.keep(list("a", "b"))
	v.keep(list("a"))           // begins the one before
	v.keep(list("a", "b", "c")) // goes on with it
	v.keep(list("a", "x"))
	if len(v) != 2 || len(v[0]) != 3 || v[1][1].Content != "x" {
		t.Errorf("the versions are %v", v)
	}
	for i := range 2 * maxVersions {
		v.keep(list(strings.Repeat("z", i+1)))
	}
	if len(v) != maxVersions || v[maxVersions-1][0].Content != strings.Repeat("z", 2*maxVersions) {
		t.Errorf("%d versions, the last %v", len(v), v[len(v)-1])
	}
}

// TestChatContinue: an answer that was cut and goes on is the same as one that was
// not.
func TestChatContinue(t *testing.T) {
	c := newTalk(t)
	c.say("/continue", "no answer to go on with")
	want := c.say(askFrance).text
	c.say("/clear")
	c.say("/set max-tokens 3")
	begun := c.say(askFrance, "cut after 3 tokens").text
	c.say("/set max-tokens 100")
	rest := c.say("/continue").text
	if begun+rest != want || c.messages[1].Content != want || len(c.messages) != 2 || begun == want {
		t.Errorf("%q goes on with %q; the messages are %q, want %q", begun, rest, contents(c.messages), want)
	}
	if x := c.say("/continue"); !x.empty() || len(c.messages) != 2 || c.messages[1].Content != want {
		t.Errorf("a whole answer goes on with %q: %q", x.text, contents(c.messages))
	}
}

// TestChatFiles: files come before the message, whole, in fences that hold.
func TestChatFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	notes, spaced := write("notes.txt", "the cow is red\n"), write("my code.md", "```go\nx\n```\n")
	c := newTalk(t)
	c.say("/file", "No file")
	c.say("/file "+notes, "notes.txt, ", " tokens, goes with")
	c.say("/file", "tokens  notes.txt")
	c.say(`What is in @"`+spaced+`"? Mail me@example.org or @nobody.`, "")
	want := "notes.txt:\n```\nthe cow is red\n```\n\nmy code.md:\n````\n```go\nx\n```\n````\n\n" +
		"What is in my code.md? Mail me@example.org or @nobody."
	if len(c.messages) == 0 || c.messages[0].Content != want {
		t.Errorf("the message is %q, want %q", contents(c.messages), want)
	}
	if len(c.attached) != 0 {
		t.Error("the files go with the message after, too")
	}
	c.say("/undo")
	c.say("Read @" + notes + ".")
	if got := c.messages[0].Content; !strings.HasSuffix(got, "Read notes.txt.") || !strings.Contains(got, "red") {
		t.Errorf("at the end of a sentence the message is %q", got)
	}
	before := len(c.messages)
	for path, want := range map[string]string{
		filepath.Join(dir, "none"): "no such file",
		dir:                        "directory",
		write("binary", "a\x00b"):  "no text",
		write("latin", "a\xe4b"):   "no text",
		write("long", strings.Repeat("word ", 600)): "tokens, the context only 512",
	} {
		c.say("/file "+path, want)
	}
	c.say("Read @"+filepath.Join(dir, "binary"), "no text")
	if len(c.messages) != before || len(c.attached) != 0 {
		t.Errorf("files that cannot be sent leave %q, %v", contents(c.messages), c.attached)
	}
	// A message that was not answered keeps its files.
	c.say("/file " + notes)
	ended, end := context.WithCancel(t.Context())
	end()
	c.handle(ended, askCow, func(tui.Event) {})
	if len(c.attached) != 1 {
		t.Error("the file is gone with the message that was not sent")
	}
	c.say("/file off", "No file")
	if len(c.attached) != 0 {
		t.Error("/file off keeps the file")
	}
}

// TestChatFormats: answers keep to what was asked for, until they need not.
func TestChatFormats(t *testing.T) {
	c := newTalk(t)
	c.say("/schema", "any form")
	c.say(`/schema {"const": 7}`, "Answers are JSON of the schema")
	if x := c.say(askFrance); x.text != "7" {
		t.Errorf("the answer is %q", x.text)
	}
	c.say("/schema off", "any form")
	c.say("/clear")
	c.say(askFrance, "Paris")
	c.say("/json", "Answers are a JSON object.")
	c.say("/set max-tokens 40")
	if x := c.say(askCow); !strings.HasPrefix(x.text, "{") {
		t.Errorf("the answer is %q", x.text)
	}
	c.say("/json perhaps", "want on or off")
	c.say("/schema nofile.json", "nofile.json")
	c.say(`/schema {"type": 7}`, "type")
	c.say("/schema", "Answers are a JSON object.") // what failed has changed nothing
	c.say("/json off", "any form")
	path := filepath.Join(t.TempDir(), "schema.json")
	if err := os.WriteFile(path, []byte(`{"enum": ["red"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	c.say("/schema "+path, "schema in "+path)
	if x := c.say(askCow); x.text != `"red"` {
		t.Errorf("the answer is %q", x.text)
	}
}

const weatherTools = `[{"type": "function", "function": {"name": "get_weather", "description": "Tells the weather.", "parameters":
{"type": "object", "properties": {"city": {"enum": ["Paris"]}}, "required": ["city"], "additionalProperties": false}}}]`

// TestChatTools: calls are shown and wait for what somebody says they give.
func TestChatTools(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "tools.json")
	for content, want := range map[string]string{
		"[]": "no tools", "{}": "no tools", "[{}]": "no function with a name", "x": "JSON list of tools",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		newTalk(t).say("/tools "+path, want)
	}
	if err := os.WriteFile(path, []byte(`{"tools": `+weatherTools+`}`), 0o600); err != nil {
		t.Fatal(err)
	}
	c := newTalk(t)
	c.say("/tools", "no functions")
	c.say("/result sunny", "has called nothing")
	c.say("/tools "+path, "get_weather  Tells the weather.")
	// The demo calls nothing unasked: what it is made to say stands for that.
	call := chat.ToolCall{ID: "a", Type: "function", Function: chat.FunctionCall{Name: "get_weather", Arguments: `{"city": "Paris"}`}}
	second := call
	second.ID = "b"
	c.messages = []chat.Message{{Role: "user", Content: askFrance}, {Role: "assistant", ToolCalls: []chat.ToolCall{call, second}}}
	c.window = c.messages
	c.events = nil
	c.called(&exchange{calls: []chat.ToolCall{call, second}}, func(e tui.Event) { c.events = append(c.events, e) })
	if got := c.kinds(tui.Notice); len(got) != 3 || got[0] != `The model calls get_weather {"city": "Paris"}` {
		t.Errorf("the notices are %q", got)
	}
	if x := c.say(askCow, "/result TEXT", "/undo"); x != nil {
		t.Errorf("a message before the result gives %+v", x)
	}
	if x := c.say("/result sunny", "waits for what get_weather gives"); x != nil {
		t.Errorf("the first of two results gives %+v", x)
	}
	if x := c.say("/result rainy"); x == nil || len(c.pending) != 0 {
		t.Fatalf("the last result gives %+v", x)
	}
	got := c.messages[2:4]
	if got[0].Role != "tool" || got[0].Content != "sunny" || got[0].ToolCallID != "a" || got[1].Content != "rainy" || got[1].ToolCallID != "b" {
		t.Errorf("the results are %+v", got)
	}
	if left := unanswered(c.messages[:3]); len(left) != 1 || left[0].ID != "b" {
		t.Errorf("after one result %v have none", left)
	}
	if left := unanswered(c.messages[:1]); left != nil {
		t.Errorf("a question leaves %v", left)
	}
	c.say("/tools off", "no functions")
}

// TestChatModel: the conversation goes on with another model, or with the same one
// where that cannot be opened.
func TestChatModel(t *testing.T) {
	t.Setenv(hub.HomeEnv, t.TempDir())
	c := newTalk(t)
	local := c.partner.(*localModel)
	local.base = c.settings
	c.say("/model", "* demo")
	c.say("/model demo", "cannot be changed")
	var opened []string
	local.reopen = func(ctx context.Context, name string, progress func(done, total int64)) (*trit.Model, chatSettings, error) {
		opened = append(opened, name)
		progress(1, 4)
		if got := c.Status()[0]; got != "loading 25 %" {
			t.Errorf("the status while loading is %q", got)
		}
		m, err := trit.OpenContext(ctx, name)
		if err != nil {
			return nil, chatSettings{}, err
		}
		t.Cleanup(func() { m.Close() })
		base := newSettings(m)
		base.sampling.Temperature = 0
		return m, base, nil
	}
	c.say(askFrance, "Paris")
	c.say("/set max-tokens 77")
	c.say("/model demo", "demo, loaded in", "settings of /set are kept")
	if c.settings.maxTokens != 77 {
		t.Errorf("the answers have at most %d tokens", c.settings.maxTokens)
	}
	c.say("What does a cow say?", "moo")
	if len(c.messages) != 4 {
		t.Errorf("the messages are %q", contents(c.messages))
	}
	c.say("/model nosuchmodel", "nosuchmodel")
	broken := filepath.Join(t.TempDir(), "broken.gguf")
	if err := os.WriteFile(broken, []byte("GGUF"), 0o600); err != nil {
		t.Fatal(err)
	}
	opened = nil
	c.say("/model "+broken, "demo goes on")
	if !slices.Equal(opened, []string{broken, "demo"}) {
		t.Errorf("opened %q", opened)
	}
	c.say("What is 3 plus 4?", "7")
}

func TestChatShow(t *testing.T) {
	c := newTalk(t)
	c.say("/show", "architecture", "context")
	c.say("/show template", "{%")
	c.say("/show license")
	c.say("/show weights", "want template, license")
}

func TestChatCopy(t *testing.T) {
	c := newTalk(t)
	c.say("/copy", "no answer to copy")
	c.say(askFrance)
	c.say("/copy", "characters for the clipboard")
	if got := c.kinds(tui.Copy); len(got) != 1 || got[0] != "The capital of France is Paris." {
		t.Errorf("copied %q", got)
	}
	c.say("/copy code", "no code to copy")
	c.say("/copy all", "want code")
	for text, want := range map[string]string{
		"see\n```go\na\n\nb\n```\nand\n```\nc\n```\nend": "c\n",
		"````md\n```\nx\n```\n````":                      "```\nx\n```\n",
		"```\ncut":                                       "cut",
		"no code":                                        "",
	} {
		if got := lastCode(text); got != want {
			t.Errorf("the code of %q is %q, want %q", text, got, want)
		}
	}
}

// TestChatEdit: the message is asked again as the editor leaves it.
func TestChatEdit(t *testing.T) {
	c := newTalk(t)
	c.say("/edit", "no message to edit")
	c.say(askFrance, "Paris")
	edit := func(text string) []string {
		t.Helper()
		c.events = nil
		c.handle(t.Context(), "/edit", func(e tui.Event) {
			if e.Kind == tui.Exec {
				path := e.Command.Args[len(e.Command.Args)-1]
				if data, err := os.ReadFile(path); err != nil || string(data) != c.messages[len(c.messages)-2].Content {
					t.Errorf("the editor finds %q, %v", data, err)
				}
				e.Done <- os.WriteFile(path, []byte(text), 0o600)
				t.Cleanup(func() {
					if _, err := os.Stat(path); !os.IsNotExist(err) {
						t.Errorf("%s is still there: %v", path, err)
					}
				})
			}
			c.events = append(c.events, e)
		})
		return contents(c.messages)
	}
	t.Setenv("VISUAL", "")
	t.Setenv("EDITOR", "go version") // any program that is there; the test does its work
	if got := edit(askFrance); len(got) != 2 || got[0] != askFrance || len(c.kinds(tui.Answer)) != 0 {
		t.Errorf("unchanged: %q, %v", got, c.events)
	}
	if got := edit("\n"); len(got) != 2 || got[0] != askFrance {
		t.Errorf("emptied: %q", got)
	}
	if got := edit(askCow + "\n"); len(got) != 2 || got[0] != askCow || got[1] != "A cow says moo." {
		t.Errorf("edited: %q", got)
	}
	c.say("/versions", "the last: The capital of France is Paris.")
	t.Setenv("EDITOR", "no-such-editor")
	c.say("/edit", "no-such-editor", "set EDITOR")
}

// TestChatBlocks: lines between three quotation marks are one message, in which a
// slash is no command.
func TestChatBlocks(t *testing.T) {
	r := chatTrit(t, "\"\"\"/help\nWhat is the capital of France?\n\"\"\"\nWhat does a cow say?\n", "--greedy", "--json")
	r.expect(t, exitOK, `"message":"/help\nWhat is the capital of France?"`, "A cow says moo.")
	r = chatTrit(t, "\"\"\"\nWhat is the capital of France?\n", "--greedy", "--json")
	r.expect(t, exitOK, `no """ at its end`)
	if r.out != "" {
		t.Errorf("an unclosed message is answered: %s", r.out)
	}
	chatTrit(t, "What is the capital of France?\n/copy\n/edit\n", "--greedy").expect(t, exitOK, "no terminal")
}

// TestChatComplete: commands, models, settings and files.
func TestChatComplete(t *testing.T) {
	t.Setenv(hub.HomeEnv, t.TempDir())
	dir := t.TempDir()
	for _, name := range []string{"one.txt", "other.txt", ".hidden"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	in := dir + string(filepath.Separator)
	c := newTalk(t)
	for _, test := range []struct {
		input string
		from  int
		want  []string
	}{
		{"/mod", 0, []string{"/model", "/models"}},
		{"/model de", 7, []string{"demo"}},
		{"/set tempe", 5, []string{"temperature"}},
		{"/json o", 6, []string{"on", "off"}},
		{"/stats ", 7, nil},
		{"/nothing ", 9, nil},
		{"/load " + in + "o", 6, []string{in + "one.txt", in + "other.txt"}},
		{"/load " + in, 6, []string{in + "folder" + string(filepath.Separator), in + "one.txt", in + "other.txt"}},
		{"/load " + in + ".h", 6, []string{in + ".hidden"}},
		{"/load " + in + "none" + string(filepath.Separator), 6, nil},
		{"see @" + in + "on", 5, []string{in + "one.txt"}},
		{"just a word", 11, nil},
	} {
		from, got := c.complete(test.input)
		if from != test.from || !slices.Equal(got, test.want) {
			t.Errorf("%q: from %d, %q, want from %d, %q", test.input, from, got, test.from, test.want)
		}
	}
}

// TestChatClipboard: a terminal is told by the escape sequence that it has for it.
func TestChatClipboard(t *testing.T) {
	var out bytes.Buffer
	l := &lineChat{app: &app{out: &out, err: &out}, terminal: true}
	t.Setenv("TERM", "xterm")
	l.show(tui.Event{Kind: tui.Copy, Text: "moo"})
	if got := out.String(); got != "\x1b]52;c;bW9v\x07" {
		t.Errorf("the terminal gets %q", got)
	}
	out.Reset()
	t.Setenv("TERM", "dumb")
	l.show(tui.Event{Kind: tui.Copy, Text: "moo"})
	if got := out.String(); strings.Contains(got, "\x1b") || !strings.Contains(got, "no terminal") {
		t.Errorf("a dumb terminal gets %q", got)
	}
}
