package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"trit"
	"trit/chat"
	"trit/hub"
	"trit/internal/tui"
)

// chatTrit runs a conversation with the demo model, line by line.
func chatTrit(t testing.TB, input string, args ...string) result {
	t.Helper()
	t.Setenv(hub.HomeEnv, t.TempDir())
	var out, errOut bytes.Buffer
	code := run(context.Background(), append([]string{"chat", "--model", "demo"}, args...), strings.NewReader(input), &out, &errOut)
	return result{code, out.String(), errOut.String()}
}

func TestChatLines(t *testing.T) {
	// The first line has the byte order mark of a file.
	r := chatTrit(t, "\uFEFFWhat is the capital of France?\n\nAnd what does a cow say?\r\n//x\nWhat is 3 plus 4?", "--greedy")
	r.expect(t, exitOK, "The capital of France is Paris.\n", "A cow says moo.\n", "3 plus 4 is 7.\n")
	if strings.Contains(r.out, ">") || strings.Contains(r.out, "\x1b") {
		t.Errorf("prompts or colours without a terminal: %q", r.out)
	}
	if r := chatTrit(t, ""); r.code != exitOK || r.out != "" || r.err != "" {
		t.Errorf("an empty input gives %+v", r)
	}
	for _, leave := range []string{"/quit", "quit", "/exit"} {
		if r := chatTrit(t, leave+"\nWhat is the capital of France?\n"); r.code != exitOK || r.out != "" {
			t.Errorf("%s: %+v", leave, r)
		}
	}
}

// TestChatHistory: the model sees what was said before.
func TestChatHistory(t *testing.T) {
	r := chatTrit(t, "What is the capital of France?\nAnd \\\nnow?\n//slash\n", "--greedy", "--debug")
	r.expect(t, exitOK, `Paris.<|eot_id|>User: And \nnow?`, "User: /slash<", "first token", "chosen")
	if strings.Contains(r.out, "first token") {
		t.Error("what --debug shows is in the output")
	}
}

func TestChatJSON(t *testing.T) {
	r := chatTrit(t, "What is the capital of France?\n/stats\nWhat is 3 plus 4?\n"+strings.Repeat("word ", 600)+"\n", "--greedy", "--json", "--seed", "5")
	r.expect(t, exitOK)
	dec := json.NewDecoder(strings.NewReader(r.out))
	var results []chatResult
	for dec.More() {
		var one chatResult
		if err := dec.Decode(&one); err != nil {
			t.Fatalf("%v in %s", err, r.out)
		}
		results = append(results, one)
	}
	if len(results) != 3 || strings.Count(r.out, "\n") != 3 {
		t.Fatalf("%d results: %s", len(results), r.out)
	}
	first := results[0]
	if first.Text != "The capital of France is Paris." || first.Message != "What is the capital of France?" || first.Finish != trit.FinishStop ||
		*first.Seed != 5 || first.Context != 512 || first.ContextUsed < 15 || first.Model != "demo" {
		t.Errorf("result %+v", first)
	}
	if last := results[2]; !strings.Contains(last.Error, "context") || last.Text != "" {
		t.Errorf("a message that is too long gives %+v", last)
	}
}

func TestChatFlags(t *testing.T) {
	chatTrit(t, "Hello\n/set\n", "--temperature", "0.5", "--top-p", "0.9", "--top-k", "7", "--repetition-penalty", "1.1", "--frequency-penalty", "0.25",
		"--presence-penalty", "0.125", "--seed", "1", "--max-tokens", "5", "--system-prompt", "Be kind.", "--ctx-size", "128").
		expect(t, exitOK, "repetition-penalty  1.1 ", "frequency-penalty   0.25 ", "presence-penalty    0.125 ", "top-k               7 ", "max-tokens          5 ")
	// What is not given is the model's recommendation.
	chatTrit(t, "/set temperature\n/set top-p\n").expect(t, exitOK, "temperature is 0.6", "top-p is 0.9")
	for _, args := range [][]string{{"--top-p", "7"}, {"--temperature", "warm"}, {"--seed", "-2"}, {"--max-tokens", "-1"}, {"--repetition-penalty", "0"}, {"extra"}} {
		chatTrit(t, "", args...).expect(t, exitUsage, "--help")
	}
	chatTrit(t, "", "--system-prompt", strings.Repeat("word ", 600)).expect(t, exitFailed, "system prompt has")
}

// talk feeds inputs to a conversation and collects the events.
type talk struct {
	t *testing.T
	*conversation
	events []tui.Event
}

func newTalk(t *testing.T, opts ...trit.Option) *talk {
	t.Helper()
	m, err := trit.Open("demo", opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	c := newConversation(&localModel{model: m, source: "demo", base: newSettings(m)}, false)
	c.settings.sampling.Temperature = 0
	return &talk{t: t, conversation: c}
}

// say handles an input and checks what is shown.
func (c *talk) say(input string, wants ...string) *exchange {
	c.t.Helper()
	c.events = nil
	x := c.handle(c.t.Context(), input, func(e tui.Event) { c.events = append(c.events, e) })
	shown := ""
	for _, e := range c.events {
		if e.Kind == tui.Answer {
			shown += e.Text
		} else {
			shown += fmt.Sprintf("\n[%d] %s\n", e.Kind, e.Text)
		}
	}
	for _, want := range wants {
		if !strings.Contains(shown, want) {
			c.t.Errorf("%q shows %q, which does not contain %q", input, shown, want)
		}
	}
	return x
}

func (c *talk) has(kind tui.Kind) bool {
	return slices.ContainsFunc(c.events, func(e tui.Event) bool { return e.Kind == kind })
}

func TestChatCommands(t *testing.T) {
	c := newTalk(t)
	c.say("/regenerate", "no message to answer")
	c.say("What is the capital of France?", "Paris.")
	c.say("/stats", "last answer", "8 generated", "finish stop", "messages     2, of which the model sees 2", "/512")
	if status := strings.Join(c.Status(), "|"); !strings.Contains(status, "tokens/s") || !strings.Contains(status, "context 2") || !strings.Contains(status, "demo") {
		t.Errorf("status %q", status)
	}
	c.say("/help", "/system", "/clear", "/save", "/load", "/regenerate", "/set", "/stats", "/help", "Ctrl-C")
	c.say("/system", "no system prompt")
	c.say("/system Be kind.", "is set")
	c.say("/system", "Be kind.")
	c.say("/system off", "removed")
	c.say("/clear", "empty")
	if len(c.messages)+len(c.window) != 0 || !c.has(tui.Clear) {
		t.Error("/clear did not clear")
	}
	c.say("/clear now", "takes no argument")
	c.say("/unknown", "No command /unknown", "/help")
	c.say("/quit")
	if !c.has(tui.Quit) {
		t.Error("/quit does not leave")
	}

	c.say("/set", "temperature", "seed", "max-tokens")
	c.say("/set top_k 12", "top-k is 12.")
	c.say("/set top-p=0.5", "top-p is 0.5.")
	c.say("/set top-p 1.5", "want 0 to 1")
	c.say("/set top-k many", "want a whole number")
	c.say("/set nothing 1", "no setting")
	c.say("/set seed 1 2", "a name and a value")
	c.say("/set seed 7", "seed is 7.")
	c.say("/set seed random", "seed is random.")
	if c.settings.sampling.TopP != 0.5 || c.settings.sampling.TopK != 12 {
		t.Errorf("the settings are %+v", c.settings.sampling)
	}
	c.say("/set max-tokens 3", "max-tokens is 3.")
	if x := c.say("Tell me a story about a fox.", "cut after 3 tokens"); x.generated != 3 || x.finish != trit.FinishLength {
		t.Errorf("%+v", x)
	}
}

func TestChatRegenerate(t *testing.T) {
	c := newTalk(t)
	c.say("/set temperature 1")
	c.say("/set seed 10")
	first := c.say("Tell me a story about a fox.")
	second := c.say("/regenerate")
	if first.text == second.text || *second.seed != 11 || len(c.messages) != 2 || c.messages[1].Content != second.text {
		t.Errorf("seed %d answers %q; the messages are %v", *second.seed, second.text, c.messages)
	}
	c.say("/set seed 11")
	c.say("/clear")
	if again := c.say("Tell me a story about a fox."); again.text != second.text {
		t.Errorf("seed 11 gives %q, and %q as a second answer", again.text, second.text)
	}
	// An answer that fails leaves the one before.
	before := c.messages[1].Content
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if x := c.handle(ctx, "/regenerate", func(tui.Event) {}); x.finish != trit.FinishCancelled {
		t.Errorf("%+v", x)
	}
	if len(c.messages) != 2 || c.messages[1].Content != before {
		t.Errorf("the messages are %v", c.messages)
	}
}

func TestChatSaveLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "talk.json")
	c := newTalk(t)
	c.say("/system Be kind.")
	c.say("What is the capital of France?")
	c.say("/save "+path, "3 messages")
	c.say("/save", "name of a file is missing")
	c.say("/save "+filepath.Join(path, "below", "a", "file"), "/save:")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var list []chat.Message
	if err := json.Unmarshal(data, &list); err != nil || len(list) != 3 || list[0].Role != "system" || list[2].Content != "The capital of France is Paris." {
		t.Fatalf("%v in %s", err, data)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); err != nil || len(left) != 1 {
		t.Errorf("the folder has %v, %v", left, err)
	}

	d := newTalk(t)
	d.say("/load "+path, "What is the capital of France?", "Paris.", "2 messages", "system prompt is set")
	if d.system != "Be kind." || len(d.messages) != 2 || !d.has(tui.Question) || d.used == 0 {
		t.Errorf("loaded %q, %v, %d tokens", d.system, d.messages, d.used)
	}

	write := func(content string) string {
		file := filepath.Join(t.TempDir(), "other.json")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	d.say("/load "+write(`{"model": "x", "messages": [{"role": "user", "content": [{"type": "text", "text": "What is 3 plus 4?"}]}]}`), "/regenerate gives it one")
	d.say("/regenerate", "3 plus 4 is 7.")
	for content, want := range map[string]string{
		`[{"content": "x"}]`:              `no "role"`,
		`{"model": "x"}`:                  `no "messages"`,
		`nonsense`:                        "JSON list",
		``:                                "JSON list",
		`[{"role": "user", "content": 3}`: "JSON list",
	} {
		d.say("/load "+write(content), want)
	}
	d.say("/load "+filepath.Join(t.TempDir(), "nowhere.json"), "/load:", "nowhere.json")
	if len(d.messages) != 2 || !strings.Contains(d.messages[1].Content, "7") {
		t.Errorf("a failed /load changed the conversation to %v", d.messages)
	}
}

// TestChatContext: the oldest turns make room, the system prompt stays.
func TestChatContext(t *testing.T) {
	c := newTalk(t, trit.ContextSize(128))
	c.say("/system Be kind.")
	for i := range 12 {
		x := c.say(fmt.Sprintf("What is %d plus 4?", i), " plus 4 is ")
		if x.prompt+x.generated > 128 {
			t.Errorf("%d tokens in a context of 128", x.prompt+x.generated)
		}
		if x.dropped > 0 && !c.has(tui.Notice) {
			t.Error("messages were left out silently")
		}
	}
	if len(c.messages) != 24 || len(c.window) >= 24 || c.window[0].Role != "user" || c.totals.dropped == 0 {
		t.Errorf("%d messages, of which %d are seen, %d left out", len(c.messages), len(c.window), c.totals.dropped)
	}
	if sent := c.withSystem(c.window); sent[0].Content != "Be kind." {
		t.Errorf("the model sees %v", sent)
	}
	// A message that fits only without the room for an answer.
	before := len(c.messages)
	if x := c.say(strings.Repeat("a ", 100)); x.err != nil || x.prompt < 100 {
		t.Errorf("%+v", x)
	}
	if x := c.say(strings.Repeat("word ", 200), "context"); x.err == nil || len(c.messages) > before+2 {
		t.Errorf("%+v", x)
	}
	c.say("What is 1 plus 4?", "1 plus 4 is 5")
}

func TestChatStop(t *testing.T) {
	whole := newTalk(t).say("Tell me a story about a fox.").text
	c := newTalk(t)
	ctx, cancel := context.WithCancel(t.Context())
	pieces := 0
	x := c.handle(ctx, "Tell me a story about a fox.", func(e tui.Event) {
		if pieces++; pieces == 5 {
			cancel()
		}
	})
	if x.finish != trit.FinishCancelled || x.text == "" || !strings.HasPrefix(whole, x.text) || len(x.text) >= len(whole) {
		t.Errorf("stopped with %q after %q", x.finish, x.text)
	}
	if len(c.messages) != 2 || c.messages[1].Content != x.text {
		t.Errorf("the messages are %v", c.messages)
	}
	c.say("What is the capital of France?", "Paris")
}

// record is a stream that is read while it is written.
type record struct {
	mu   sync.Mutex
	text strings.Builder
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// wait waits until a text has been written a number of times.
func (r *record) wait(t *testing.T, text string, times int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); strings.Count(r.String(), text) < times; {
		if time.Now().After(deadline) {
			t.Fatalf("%q is not %d times in %q", text, times, r.String())
		}
		time.Sleep(time.Millisecond)
	}
}

// TestChatSignals: on a terminal Ctrl-C stops the answer, and leaves when it
// comes twice at the prompt.
func TestChatSignals(t *testing.T) {
	var log, prompt record
	pieces := 0
	signals := make(chan os.Signal, 1)
	in, keyboard := io.Pipe()
	defer keyboard.Close()
	out := writerFunc(func(p []byte) (int, error) {
		if pieces++; pieces == 3 {
			signals <- os.Interrupt
			time.Sleep(50 * time.Millisecond) // as a slow terminal
		}
		return log.Write(p)
	})
	l := &lineChat{app: &app{in: in, out: out, err: &log}, conversation: newTalk(t).conversation, signals: signals, prompt: &prompt}
	done := make(chan error, 1)
	go func() { done <- l.run(t.Context()) }()
	for i, line := range []string{"Tell me a story about a fox.\n", "What is the capital of France?\n", "/set seed 1\n"} {
		prompt.wait(t, "> ", i+1)
		if _, err := io.WriteString(keyboard, line); err != nil {
			t.Fatal(err)
		}
	}
	prompt.wait(t, "> ", 4)
	signals <- os.Interrupt
	prompt.wait(t, "Ctrl-C again", 1)
	signals <- os.Interrupt
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the second Ctrl-C does not leave")
	}
	for _, want := range []string{"Stopped; /continue goes on.", "Paris.", "seed is 1"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q does not contain %q", log.String(), want)
		}
	}
}

// TestChatInterrupted: without a terminal an interrupt ends the program.
func TestChatInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	out := writerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil })
	var errOut bytes.Buffer
	if code := run(ctx, []string{"chat", "--model", "demo"}, strings.NewReader("Tell me a story about a fox.\nAgain\n"), out, &errOut); code != exitInterrupted {
		t.Errorf("exit code %d, stderr %q", code, errOut.String())
	}
	broken := writerFunc(func([]byte) (int, error) { return 0, io.ErrClosedPipe })
	if code := run(t.Context(), []string{"chat", "--model", "demo"}, strings.NewReader("Hello\n"), broken, &errOut); code != exitFailed {
		t.Errorf("exit code %d with an output that cannot be written", code)
	}
}

func TestChatInputHistory(t *testing.T) {
	t.Setenv(hub.HomeEnv, filepath.Join(t.TempDir(), "new"))
	h, err := openInputHistory()
	if err != nil {
		t.Fatal(err)
	}
	if entries, err := h.load(); err != nil || len(entries) != 0 {
		t.Fatalf("%v, %v", entries, err)
	}
	for _, input := range []string{"one", "two\nlines <&>", strings.Repeat("x", historyEntry+1)} {
		if err := h.add(input); err != nil {
			t.Fatal(err)
		}
	}
	if entries, err := h.load(); err != nil || !slices.Equal(entries, []string{"one", "two\nlines <&>"}) {
		t.Errorf("%v, %v", entries, err)
	}
	if err := os.WriteFile(h.path, []byte(strings.Repeat("\"old\"\n", 2*historyEntries)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := h.add("new"); err != nil {
		t.Fatal(err)
	}
	if entries, err := h.load(); err != nil || len(entries) != historyEntries || entries[historyEntries-1] != "new" {
		t.Errorf("%d entries, %v", len(entries), err)
	}
	if err := os.WriteFile(h.path, []byte("\"good\"\nbad\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := h.load(); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("a spoilt history gives %v", err)
	}
}

// sized is a partner of which only the size of the context is known.
type sized struct {
	partner
	room int
}

func (s sized) Context() int { return s.room }

// TestChatUnknowns: what is not known is not said.
func TestChatUnknowns(t *testing.T) {
	for room, want := range map[int]string{0: "The context", 1: "The context of 1 tokens", 512: "The context of 512 tokens"} {
		c := &conversation{partner: sized{room: room}}
		if got := c.contextName(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for rate, want := range map[float64]string{0: "", 2.54: " at 2.5/s"} {
		if got := atRate(rate); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
