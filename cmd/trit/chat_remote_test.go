package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"trit"
	"trit/hub"
	"trit/internal/tui"
)

// chatServer runs a chat with a server, line by line.
func chatServer(t testing.TB, url, input string, args ...string) result {
	t.Helper()
	t.Setenv(hub.HomeEnv, t.TempDir())
	var out, errOut bytes.Buffer
	args = append([]string{"chat", "--server", url}, args...)
	return result{run(context.Background(), args, strings.NewReader(input), &out, &errOut), out.String(), errOut.String()}
}

// newRemoteTalk talks with the model of a server.
func newRemoteTalk(t *testing.T, url string, args ...string) *talk {
	t.Helper()
	t.Setenv(hub.HomeEnv, t.TempDir())
	a := &app{in: strings.NewReader(""), out: io.Discard, err: io.Discard}
	cmd := a.chatCommand()
	var f chatFlags
	cmd.ResetFlags()
	f.add(cmd)
	if err := cmd.ParseFlags(append([]string{"--server", url}, args...)); err != nil {
		t.Fatal(err)
	}
	if err := f.settings.check(cmd); err != nil {
		t.Fatal(err)
	}
	cmd.SetContext(t.Context())
	p, err := f.remotely(a, cmd)
	if err != nil {
		t.Fatal(err)
	}
	return &talk{t: t, conversation: newConversation(p, false)}
}

// TestChatServerAlike: what needs only the conversation is the same with a server as with the model itself.
func TestChatServerAlike(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	notes, tools := write("notes.txt", "the cow is red"), write("tools.json", weatherTools)
	saved := filepath.Join(dir, "saved.json")
	lines := []string{
		askFrance, askCow, "/undo", "/versions", "What is 3 plus 4?", "/versions", "/versions 1", "/retry",
		"/system Be kind.", "/system", askFrance, "/system off", "/clear",
		"Read @" + notes + " please", "/undo", "/file " + notes, "/file off",
		"/set max-tokens 3", "Tell me a story about a fox.", "/set max-tokens 20", "/continue", "/set max-tokens 100",
		"/clear", "/schema {\"const\": 7}", askFrance, "/schema off", "/json", askCow, "/json off", "/clear",
		`"""What does\`, `a cow say?"""`, "//slash", "/clear", askFrance,
		"/tools " + tools, "/think off", askCow, "/think auto", "/tools off",
		"/set seed 5", "/set temperature 1", "/set top-k 40", "/set min-p 0.05", "Tell me a story about a dog.", "/regen",
		"/save " + saved, "/clear", "/load " + saved, "/copy code", "/nonsense", "quit", "never",
	}
	if testing.Short() {
		lines = append(lines[:18:18], "/nonsense", "quit", "never")
	}
	script := strings.Join(lines, "\n")
	t.Setenv("TRIT_HOST", "")
	local := chatTrit(t, script, "--greedy", "--top-p", "1", "--repetition-penalty", "1")
	url, _, _ := startServe(t, "--model", "demo")
	served := chatServer(t, url+"/v1/", script, "--greedy", "--top-p", "1", "--repetition-penalty", "1")
	counts := strings.NewReplacer("notes.txt, 5 tokens, goes", "notes.txt, 14 bytes, goes")
	if served.code != exitOK || served.out != counts.Replace(local.out) || served.err != local.err {
		t.Errorf("the server says %d\n%s\n%s\nthe model\n%s\n%s", served.code, served.out, served.err, local.out, local.err)
	}
	if !strings.Contains(local.out, "Paris") || !strings.Contains(local.out, "moo") {
		t.Errorf("the script shows %s", local.out)
	}

	served = chatServer(t, url, askFrance+"\n/stats\n", "--json", "--greedy", "demo")
	var r chatResult
	if err := json.Unmarshal([]byte(served.out), &r); err != nil {
		t.Fatalf("%v in %s", err, served.out)
	}
	if r.Model != "demo" || r.Context != 512 || r.Stats.GeneratedTokens != 8 || r.ContextUsed != 21 || r.Seed != nil ||
		r.Finish != trit.FinishStop || r.PromptRate == 0 {
		t.Errorf("%+v", r)
	}
	t.Setenv(hub.HomeEnv, t.TempDir())
	runTrit(t, "run", "--server", url, "demo", "What is the capital", "of France?").expect(t, exitOK, "Paris")

	c := newRemoteTalk(t, url)
	c.say("/show", "demo", url, "512", "architecture")
	c.say("/show template", "{%")
	c.say("/model", "* demo", "loaded")
	c.say("/model nobody", "has no model nobody; it has demo")
	c.say("/save friend", "friend.json")
	c.say(askFrance, "France")
	status := strings.Join(c.Status(), "|")
	if !strings.Contains(status, "tokens/s|context ") || !strings.HasSuffix(status, "|demo") {
		t.Errorf("the status is %q", status)
	}
	if _, options := c.complete("/model de"); !slices.Equal(options, []string{"demo"}) {
		t.Errorf("completion offers %q", options)
	}
}

// TestChatServerContext: the oldest turns make room in a server, too.
func TestChatServerContext(t *testing.T) {
	url, _, _ := startServe(t, "--model", "demo", "--ctx-size", "128")
	c := newRemoteTalk(t, url, "--greedy", "--max-tokens", "20")
	c.say("/system Be kind.")
	for i := range 12 {
		if x := c.say(fmt.Sprintf("What is %d plus 4?", i), " plus 4 is "); x.dropped > 0 && !c.has(tui.Notice) {
			t.Error("messages were left out silently")
		}
	}
	if len(c.messages) != 24 || len(c.window) >= 24 || c.window[0].Role != "user" || c.totals.dropped == 0 {
		t.Errorf("%d messages, of which %d are seen, %d left out", len(c.messages), len(c.window), c.totals.dropped)
	}
	if x := c.say(strings.Repeat("word ", 200), "context"); x.err == nil || len(c.messages) != 24 {
		t.Errorf("%+v", x)
	}
}

// TestChatServerRequests: a server that has only OpenAI's fields is sent no others, and those that were asked for by
// their names.
func TestChatServerRequests(t *testing.T) {
	f := newFakeServer(t, says("Hello."))
	c := newRemoteTalk(t, f.URL, "--model", "small", "--api-key", "secret")
	x := c.say("Hi", "Hello.")
	want := map[string]any{"model": "small", "stream": true, "stream_options": map[string]any{"include_usage": true},
		"messages": []any{map[string]any{"role": "user", "content": "Hi"}}}
	if got := f.last(); !jsonEqual(got, want) {
		t.Errorf("the request is %v, want %v", got, want)
	}
	if x.prompt != 20 || x.generated != 7 || x.seed != nil || f.keys[len(f.keys)-1] != "Bearer secret" {
		t.Errorf("%+v, key %q", x, f.keys)
	}
	c.say("/stats", "20 tokens of prompt", "7 generated", "finish stop\n", "context      27")
	c.say("/set temperature", "temperature is server's")
	c.say("/set temperature 0.5")
	c.say("/set top-p 0.25")
	c.say("/set frequency-penalty 0.5")
	c.say("/set max-tokens 9")
	c.say("/set seed 4")
	c.say("/schema {\"type\": \"object\"}")
	c.say("/retry", "Hello.")
	want = map[string]any{"temperature": 0.5, "top_p": 0.25, "frequency_penalty": 0.5, "max_tokens": 9, "seed": 5,
		"response_format": map[string]any{"type": "json_schema", "json_schema": map[string]any{"name": "answer",
			"schema": map[string]any{"type": "object"}}}}
	for field, value := range want {
		if got := f.last()[field]; !jsonEqual(got, value) {
			t.Errorf("%s is %v, want %v", field, got, value)
		}
	}
	c.say("/schema 7", "/schema:")
	c.say("/schema {\"type\": ", "JSON Schema")
	c.say("/json")
	c.say("/retry")
	if got := f.last()["response_format"]; !jsonEqual(got, map[string]any{"type": "json_object"}) {
		t.Errorf("/json asks for %v", got)
	}
	c.say("/json off")
	c.say("/set repetition-penalty 1.5")
	c.say("More", "Unrecognized request argument supplied: repeat_penalty", f.URL) // not left out silently
	f.known = []string{"repeat_penalty", "dry_multiplier", "thinking_budget_tokens", "thinking_token_budget"}
	c.say("/set dry-multiplier 0.75")
	c.say("/think 50")
	c.say("More", "Hello.")
	if b := f.last(); !jsonEqual(b["repeat_penalty"], 1.5) || !jsonEqual(b["dry_multiplier"], 0.75) ||
		!jsonEqual(b["thinking_budget_tokens"], 50) {
		t.Errorf("the request is %v", b)
	}
	c.say("/model big", "big answers from now on")
	c.say("More", "Hello.")
	if got := f.last()["model"]; got != "big" {
		t.Errorf("the model is %v", got)
	}
	c.say("/show", "big", f.URL)
	c.say("/show license", "does not tell the license")
}

func jsonEqual(a, b any) bool {
	x, err := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err == nil && err2 == nil && bytes.Equal(x, y)
}

// TestChatServerSpares: what a server calls otherwise, or knows not, is sent otherwise, or not.
func TestChatServerSpares(t *testing.T) {
	f := newFakeServer(t, `400!{"error":{"message":"Unsupported parameter. Use 'max_completion_tokens' instead.",`+
		`"param":"max_tokens"}}`, says("Yes."))
	f.known = []string{"max_completion_tokens", "reasoning_effort"}
	c := newRemoteTalk(t, f.URL, "--model", "small", "--max-tokens", "9")
	c.say("Hi", "Yes.")
	if b := f.last(); b["max_tokens"] != nil || !jsonEqual(b["max_completion_tokens"], 9) {
		t.Errorf("the request is %v", b)
	}
	n := len(f.bodies)
	c.say("Again", "Yes.")
	if len(f.bodies) != n+1 {
		t.Errorf("%d requests for an answer", len(f.bodies)-n)
	}
	c.say("/think off")
	c.say("Again", "Yes.")
	if b := f.last(); b["chat_template_kwargs"] != nil || b["reasoning_effort"] != "none" {
		t.Errorf("without thinking, the request is %v", b)
	}
	c.say("/think on")
	c.say("Again", "Yes.")
	if b := f.last(); b["reasoning_effort"] != "medium" {
		t.Errorf("with thinking, the request is %v", b)
	}
	// A server of templates takes the switch of templates.
	f = newFakeServer(t, says("Yes."))
	f.known = []string{"chat_template_kwargs"}
	c = newRemoteTalk(t, f.URL, "--model", "small", "--think", "off")
	c.say("Hi", "Yes.")
	b := f.last()
	if !jsonEqual(b["chat_template_kwargs"], map[string]any{"enable_thinking": false}) || b["reasoning_effort"] != nil {
		t.Errorf("without thinking, the request is %v", b)
	}
	// What cannot be asked for in any way is an error.
	f = newFakeServer(t, says("Yes."))
	c = newRemoteTalk(t, f.URL, "--model", "small", "--think", "off")
	c.say("Hi", "Unrecognized request argument supplied: ")
	f.known = []string{"chat_template_kwargs", "reasoning_effort"}
	c.say("Hi", "Yes.")
	if b := f.last(); b["chat_template_kwargs"] == nil || b["reasoning_effort"] == nil {
		t.Errorf("what was refused once is never sent again: %v", b)
	}
}

// TestChatServerThinks: reasoning comes under two names or within the content, and goes back as it came.
func TestChatServerThinks(t *testing.T) {
	thinks := func(field string) string {
		return `{"choices":[{"delta":{"` + field + `":"Hm"}}]}` + "\n" +
			`{"choices":[{"delta":{"` + field + `":", so."}}]}` + "\n" + says("Yes.")
	}
	for _, field := range []string{"reasoning_content", "reasoning"} {
		f := newFakeServer(t, thinks(field))
		c := newRemoteTalk(t, f.URL, "--model", "small")
		x := c.say("Hi", "Yes.")
		if got := strings.Join(c.kinds(tui.Thought), ""); got != "Hm, so." || x.reasoning != got || x.text != "Yes." {
			t.Errorf("%s: thought %q, said %q", field, x.reasoning, x.text)
		}
		c.say("More", "Yes.")
		if sent := f.last()["messages"].([]any)[1].(map[string]any); sent[field] != "Hm, so." || len(sent) != 3 {
			t.Errorf("the answer goes back as %v", sent)
		}
	}
	f := newFakeServer(t, says("<think>Hm")+"x", "+no", says("<think>\nHm</think>\n\nYes."))
	f.answers = f.answers[2:]
	c := newRemoteTalk(t, f.URL, "--model", "small")
	if x := c.say("Hi"); x.reasoning != "Hm" || x.text != "Yes." {
		t.Errorf("thought %q, said %q", x.reasoning, x.text)
	}
	c.say("More")
	if sent := f.last()["messages"].([]any)[1].(map[string]any); len(sent) != 2 {
		t.Errorf("reasoning that the server has no field for goes back: %v", sent)
	}
}

// TestChatServerTools: calls come in parts, and results go back with their ids.
func TestChatServerTools(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tools.json")
	if err := os.WriteFile(path, []byte(weatherTools), 0o600); err != nil {
		t.Fatal(err)
	}
	calls := `{"choices":[{"delta":{"content":null,"tool_calls":[` +
		`{"index":0,"id":"a1","type":"function","function":{"name":"get_weather","arguments":""}}]}}]}
{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"city\":"}}]}}]}
{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\"Paris\"}"}}]}}]}
{"choices":[{"delta":{"tool_calls":[{"index":1,"function":{"name":"get_weather"}}]}}]}
{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}
[DONE]`
	f := newFakeServer(t, calls, says("It rains."))
	c := newRemoteTalk(t, f.URL, "--model", "small")
	c.say("/tools "+path, "get_weather")
	c.say("Weather?", `calls get_weather {"city":"Paris"}`, "calls get_weather {}", "/result TEXT")
	c.say("More", "waits for what get_weather gives")
	c.say("/result rain", "/result TEXT")
	c.say("/result sun", "It rains.")
	b := f.last()
	messages := b["messages"].([]any)
	if len(messages) != 4 {
		t.Fatalf("%d messages: %v", len(messages), messages)
	}
	answer, rain, sun := messages[1].(map[string]any), messages[2].(map[string]any), messages[3].(map[string]any)
	second := answer["tool_calls"].([]any)[1].(map[string]any)
	if rain["tool_call_id"] != "a1" || rain["content"] != "rain" || second["id"] == "" ||
		sun["tool_call_id"] != second["id"] || second["type"] != "function" || len(b["tools"].([]any)) != 1 {
		t.Errorf("the request is %v", b)
	}
	f.answers = []string{`{"choices":[{"delta":{"tool_calls":[{"index":7,"function":{"name":"x"}}]}}]}`}
	c.say("More", "a call 7 after 0")
}

// TestChatServerFailures: what goes wrong names the server and what helps.
func TestChatServerFailures(t *testing.T) {
	f := newFakeServer(t, "")
	c := newRemoteTalk(t, f.URL, "--model", "small")
	for _, test := range []struct{ answer, says string }{
		{`401!{"error":{"message":"Incorrect API key"}}`,
			"Incorrect API key; the key is taken from --api-key, --api-key-file or TRIT_API_KEY"},
		{`404!{"error":{"message":"no model small"}}`, "no model small; /model lists"},
		{`404!<html><body>nginx`, "a page for browsers; is this the address of the API?"},
		{`500!oops`, "oops"},
		{"+<!doctype html><html>", "is this the address of the API?"},
		{"nonsense", "is this the address of the API?"},
		{`{"choices":[{"delta":{"content":7}}]}`, "is this the address of the API?"},
		{`{"error":{"message":"out of memory\u001b[2J"}}`, `breaks the answer off: "out of memory\x1b[2J"`},
		{`{"choices":[{"delta":{},"finish_reason":"content_filter"}]}`, "because of its content"},
		{`{"choices":[{"delta":{"content":""}}]}`, "the answer was cut"},
	} {
		f.answers = []string{test.answer}
		if x := c.say("Hi", test.says, f.URL); x.err == nil || len(c.messages) != 0 {
			t.Errorf("%s: %+v, messages %v", test.answer, x, c.messages)
		}
	}
	// A cut answer stays, and goes on.
	f.answers = []string{`{"choices":[{"delta":{"content":"One, "}}]}`, says("two.")}
	f.known = []string{"continue_final_message", "add_generation_prompt"}
	c.say("Count", "One, ", f.URL, "the answer was cut")
	c.say("/continue", "two.")
	if b := f.last(); b["continue_final_message"] != true || c.messages[1].Content != "One, two." || len(c.messages) != 2 {
		t.Errorf("%v becomes %q", b, contents(c.messages))
	}
	f.answers = []string{strings.ReplaceAll(says("x"), `"stop"`, `"length"`)}
	c.say("More", "cut where the server ends answers")
	// Servers that end without saying so, or that do not stream.
	f.answers = []string{strings.ReplaceAll(says("Fine."), "[DONE]", "")}
	c.say("More", "Fine.")
	f.header.Set("Content-Type", "application/json")
	f.answers = []string{`+{"choices":[{"message":{"content":"Whole."},"finish_reason":"stop"}],` +
		`"usage":{"prompt_tokens":3,"completion_tokens":2}}`}
	if x := c.say("More", "Whole."); x.err != nil || x.prompt != 3 {
		t.Errorf("%+v", x)
	}
}

// TestChatServerBusy: the chat waits for a server that has no room, says so, and can be stopped.
func TestChatServerBusy(t *testing.T) {
	f := newFakeServer(t, `503!{"error":{"message":"Loading model"}}`,
		`429!{"error":{"message":"slow down"}}`, says("Now."))
	c := newRemoteTalk(t, f.URL, "--model", "small")
	c.say("Hi", "Loading model; asking again", "Now.")
	if len(f.bodies) != 3 || len(c.kinds(tui.Notice)) != 1 {
		t.Errorf("%d requests, %d notices", len(f.bodies), len(c.kinds(tui.Notice)))
	}
	f.header.Set("Retry-After", "86400")
	f.answers = []string{`429!{"error":{"message":"tomorrow"}}`}
	if x := c.say("Hi", "tomorrow"); x.err == nil {
		t.Errorf("%+v", x)
	}
	f.header.Set("Retry-After", "60")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if x := c.handle(ctx, "Hi", func(tui.Event) {}); x.finish != trit.FinishCancelled {
		t.Errorf("%+v", x)
	}
}

// TestChatServerBounds: what a server may say has an end.
func TestChatServerBounds(t *testing.T) {
	r := answerReader{model: &remoteModel{}, stats: &trit.Stats{}}
	event := []byte(`{"choices":[{"delta":{"content":"` + strings.Repeat(" ", 1<<20) + `"}}]}`)
	read := 0
	for ; read < 100; read++ {
		if _, err := r.read(event); err != nil {
			break
		}
	}
	if read != maxAnswerText>>20 {
		t.Errorf("%d MiB are read, want %d", read, maxAnswerText>>20)
	}
	call := []byte(`{"choices":[{"delta":{"tool_calls":[{"function":{"name":"x"}}]}}]}`)
	r = answerReader{model: &remoteModel{}, stats: &trit.Stats{}}
	for range maxCalls {
		if _, err := r.read(call); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.read(call); err == nil {
		t.Error("there are more calls than there may be")
	}
}

// TestChatServerStop: Ctrl-C ends the request, and keeps what was said.
func TestChatServerStop(t *testing.T) {
	f := newFakeServer(t, `{"choices":[{"delta":{"content":"Once "}}]}`+"\nHANG")
	c := newRemoteTalk(t, f.URL, "--model", "small")
	ctx, cancel := context.WithCancel(t.Context())
	x := c.handle(ctx, "Tell", func(e tui.Event) {
		if e.Kind == tui.Answer {
			cancel()
		}
	})
	select {
	case <-f.gone:
	case <-time.After(10 * time.Second):
		t.Fatal("the server goes on")
	}
	if x.finish != trit.FinishCancelled || x.text != "Once " || len(c.messages) != 2 {
		t.Errorf("%+v", x)
	}
}

// TestChatServerStart: what is wrong is said before the first message.
func TestChatServerStart(t *testing.T) {
	f := newFakeServer(t, says("Hello."))
	chatServer(t, f.URL, "Hi\n", "small").expect(t, exitOK, "Hello.")
	chatServer(t, f.URL, "").expect(t, exitFailed, "several models", "--model", "small, big")
	chatServer(t, f.URL, "", "--model", "huge").expect(t, exitFailed, "has no model huge; it has small, big")
	f.models = `{"data":[{"id":"tiny:latest"},{"id":"evil\u001b[2J"},{"id":"big","status":{"value":"loaded"}}]}`
	chatServer(t, f.URL, "Hi\n/model\n").expect(t, exitOK, "Hello.", "* big", "loaded")
	if got := f.last()["model"]; got != "big" {
		t.Errorf("the model is %v", got)
	}
	chatServer(t, f.URL, "Hi\n", "--model", "tiny").expect(t, exitOK, "Hello.")
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("# mine\nk2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TRIT_API_KEY", "k1")
	for args, want := range map[string]string{"": "k1", "--api-key=k3": "k3", "--api-key-file=" + key: "k2"} {
		chatServer(t, f.URL, "", strings.Fields("big "+args)...).expect(t, exitOK)
		if got := f.keys[len(f.keys)-1]; got != "Bearer "+want {
			t.Errorf("%s: the key is %q", args, got)
		}
	}
	f.models = `<html>`
	chatServer(t, f.URL, "").expect(t, exitFailed, "address of the API", f.URL)
	f.models = `{"models":[]}`
	chatServer(t, f.URL, "").expect(t, exitFailed, "without a list of models")
	for _, f.models = range []string{`{"data":[]}`, `{"object":"list","data":null}`} {
		chatServer(t, f.URL, "").expect(t, exitFailed, "has no models\n")
		chatServer(t, f.URL, "", "--model", "x").expect(t, exitFailed, "has no models\n")
	}
	for _, args := range [][]string{{"--ctx-size", "9"}, {"--kernel", "lut"}, {"--debug"}, {"--logit-bias", "1+1"},
		{"--bad-words", "x"}, {"--api-key", "x", "--api-key-file", key}, {"--top-p", "7"}} {
		chatServer(t, f.URL, "", args...).expect(t, exitUsage, args[0])
	}
	chatServer(t, "ftp://x", "").expect(t, exitUsage, "--server")
	f.Close()
	chatServer(t, f.URL, "").expect(t, exitFailed, f.URL, "'trit serve' starts one", "--server names another")
	chatTrit(t, "", "--api-key", "x").expect(t, exitUsage, "--api-key is for --server")
	bare := httptest.NewServer(http.NotFoundHandler())
	defer bare.Close()
	chatServer(t, bare.URL, "").expect(t, exitFailed, "404", "--model")
}
