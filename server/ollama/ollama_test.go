package ollama

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	_ "trit/demo"
	"trit/server/core"
	"trit/server/internal/servertest"
)

// ollamaSeen is any line of an answer.
type ollamaSeen struct {
	Model      string          `json:"model"`
	CreatedAt  time.Time       `json:"created_at"`
	Response   string          `json:"response"`
	Message    *chatReply      `json:"message"`
	Done       bool            `json:"done"`
	DoneReason string          `json:"done_reason"`
	Context    []int32         `json:"context"`
	Logprobs   []tokenLogprobs `json:"logprobs"`
	Error      string          `json:"error"`
	lineMetrics
}

func TestOllamaGenerate(t *testing.T) {
	w := servertest.NewWire(t, core.Options{}, Routes)
	var whole ollamaSeen
	w.Ask("POST", "/api/generate", servertest.Object{"model": "demo:latest", "prompt": "Who are you?", "stream": false, "options": servertest.Greedy(6)}).Into(200, &whole)
	if whole.Model != "demo:latest" || !whole.Done || whole.DoneReason != "length" || whole.Response == "" || whole.CreatedAt.IsZero() {
		t.Errorf("%+v", whole)
	}
	if whole.EvalCount != 6 || whole.PromptEvalCount == 0 || whole.TotalDuration <= 0 || whole.EvalDuration <= 0 || whole.PromptEvalDuration <= 0 {
		t.Errorf("metrics: %+v", whole.lineMetrics)
	}
	if len(whole.Context) != whole.PromptEvalCount+whole.EvalCount {
		t.Errorf("%d tokens of context after %d and %d", len(whole.Context), whole.PromptEvalCount, whole.EvalCount)
	}

	t.Run("stream", func(t *testing.T) {
		got := servertest.Lines[ollamaSeen](w.Ask("POST", "/api/generate", servertest.Object{"model": "demo", "prompt": "Who are you?", "options": servertest.Greedy(6)}))
		var text string
		for i, line := range got {
			text += line.Response
			if last := i == len(got)-1; line.Done != last || last && (line.DoneReason != "length" || line.EvalCount != 6) {
				t.Errorf("line %d: %+v", i, line)
			}
		}
		if text != whole.Response || len(got) < 3 {
			t.Errorf("%d lines give %q, want %q", len(got), text, whole.Response)
		}
	})
	t.Run("context", func(t *testing.T) {
		var next ollamaSeen
		w.Ask("POST", "/api/generate", servertest.Object{"model": "demo", "prompt": "And now?", "context": whole.Context, "stream": false, "options": servertest.Greedy(3)}).Into(200, &next)
		if next.PromptEvalCount <= len(whole.Context) || !slices.Equal(next.Context[:len(whole.Context)], whole.Context) {
			t.Errorf("%d tokens of prompt after a context of %d", next.PromptEvalCount, len(whole.Context))
		}
		// One that is too long loses its beginning.
		long := slices.Repeat(whole.Context, 1000)
		turn := next.PromptEvalCount - len(whole.Context)
		w.Ask("POST", "/api/generate", servertest.Object{"model": "demo", "prompt": "And now?", "context": long, "stream": false, "options": servertest.Greedy(3)}).Into(200, &next)
		if kept := 512 - 3 - turn; next.PromptEvalCount != 512-3 || !slices.Equal(next.Context[:kept], long[len(long)-kept:]) {
			t.Errorf("%d tokens of prompt in a context of 512, of which 3 are for the answer", next.PromptEvalCount)
		}
		for size, want := range map[int]int{len(whole.Context) + turn: len(whole.Context) + turn - 3, len(whole.Context) + turn + 1: len(whole.Context) + turn} {
			w.Ask("POST", "/api/generate", servertest.Object{"model": "demo", "prompt": "And now?", "context": whole.Context, "stream": false,
				"options": servertest.Object{"num_predict": 3, "num_ctx": size}}).Into(200, &next)
			if next.PromptEvalCount != want {
				t.Errorf("%d tokens of prompt in a context of %d, want %d", next.PromptEvalCount, size, want)
			}
		}
		w.Ask("POST", "/api/generate", servertest.Object{"model": "demo", "prompt": "And now?", "context": long, "truncate": false, "stream": false}).Into(400, nil)
		w.Ask("POST", "/api/generate", servertest.Object{"model": "demo", "prompt": "And now?", "context": []int{-1}}).Into(400, nil)
	})
	t.Run("raw", func(t *testing.T) {
		var got ollamaSeen
		w.Ask("POST", "/api/generate", servertest.Object{"model": "demo", "prompt": "Once upon a time", "raw": true, "stream": false, "options": servertest.Greedy(5)}).Into(200, &got)
		if !strings.HasPrefix(got.Response, ", there was") && !strings.HasPrefix(got.Response, " there was") || got.Context != nil {
			t.Errorf("%+v", got)
		}
		w.Ask("POST", "/api/generate", servertest.Object{"model": "demo", "prompt": "x", "raw": true, "system": "y"}).Into(400, nil)
	})
	t.Run("system", func(t *testing.T) {
		var with ollamaSeen
		w.Ask("POST", "/api/generate", servertest.Object{"model": "demo", "prompt": "Who are you?", "system": "You are a pirate.", "stream": false, "options": servertest.Greedy(2)}).Into(200, &with)
		if with.PromptEvalCount <= whole.PromptEvalCount {
			t.Errorf("a system prompt adds no tokens: %d after %d", with.PromptEvalCount, whole.PromptEvalCount)
		}
	})
	t.Run("stop", func(t *testing.T) {
		var got ollamaSeen
		w.Ask("POST", "/api/generate", servertest.Object{"model": "demo", "prompt": "Once upon a time", "raw": true, "stream": false,
			"options": servertest.Object{"temperature": 0, "num_predict": 50, "stop": "was"}}).Into(200, &got)
		if got.DoneReason != "stop" || strings.Contains(got.Response, "was") {
			t.Errorf("%+v", got)
		}
	})
	t.Run("seed", func(t *testing.T) {
		ask := func(seed int) string {
			var got ollamaSeen
			w.Ask("POST", "/api/generate", servertest.Object{"model": "demo", "prompt": "Once upon a time", "raw": true, "stream": false,
				"options": servertest.Object{"temperature": 1.5, "top_k": 0, "top_p": 1, "num_predict": 12, "seed": seed}}).Into(200, &got)
			return got.Response
		}
		if a, b, c := ask(1), ask(1), ask(2); a != b || a == c {
			t.Errorf("seed 1 gives %q and %q, seed 2 %q", a, b, c)
		}
	})
	t.Run("format", func(t *testing.T) {
		for _, format := range []any{"json", servertest.Object{"type": "object", "properties": servertest.Object{"age": servertest.Object{"type": "integer"}}, "required": []string{"age"}, "additionalProperties": false}} {
			var got ollamaSeen
			w.Ask("POST", "/api/generate", servertest.Object{"model": "demo", "prompt": "How old are you?", "format": format, "stream": false, "options": servertest.Greedy(40)}).Into(200, &got)
			var v map[string]any
			if err := json.Unmarshal([]byte(got.Response), &v); err != nil {
				t.Errorf("%v: %q", err, got.Response)
			}
			if _, ok := v["age"].(float64); !ok && format != "json" {
				t.Errorf("%q does not fit the schema", got.Response)
			}
		}
	})
	t.Run("logprobs", func(t *testing.T) {
		q := servertest.Object{"model": "demo", "prompt": "Once upon a time", "raw": true, "stream": false, "logprobs": true, "top_logprobs": 3, "options": servertest.Greedy(4)}
		var got ollamaSeen
		w.Ask("POST", "/api/generate", q).Into(200, &got)
		if len(got.Logprobs) != 4 {
			t.Fatalf("%d tokens", len(got.Logprobs))
		}
		for _, p := range got.Logprobs {
			if len(p.Top) != 3 || p.Logprob > 0 || p.Logprob != p.Top[0].Logprob || p.Token != p.Top[0].Token || len(p.Bytes) == 0 {
				t.Errorf("%+v", p)
			}
		}
		q["stream"] = true
		n := 0
		for _, line := range servertest.Lines[ollamaSeen](w.Ask("POST", "/api/generate", q)) {
			n += len(line.Logprobs)
		}
		if n != 4 {
			t.Errorf("%d tokens in the stream", n)
		}
	})
}

// TestOllamaOptions tries options one by one: those that are out of range are
// errors, the others change nothing about the form of the answer.
func TestOllamaOptions(t *testing.T) {
	w := servertest.NewWire(t, core.Options{}, Routes)
	for _, test := range []struct {
		name  string
		value any
		want  int
	}{
		{"num_predict", -1, 200}, {"num_predict", -2, 200}, {"num_predict", 3, 200}, {"num_predict", "3", 400},
		{"num_ctx", 64, 200}, {"num_ctx", 1 << 20, 200}, {"num_ctx", 2, 400}, {"num_ctx", 0, 200}, {"num_ctx", -1, 200},
		{"temperature", 0, 200}, {"temperature", -1, 400}, {"temperature", "hot", 400},
		{"top_k", 1, 200}, {"top_k", -1, 200}, {"top_p", 0.5, 200}, {"top_p", 2, 400}, {"min_p", 0.2, 200}, {"min_p", -1, 400},
		{"typical_p", 0.5, 200}, {"typical_p", 7, 400}, {"tfs_z", 1, 200}, {"tfs_z", 0.5, 200},
		{"repeat_penalty", 1.2, 200}, {"repeat_penalty", 0, 400}, {"repeat_last_n", -1, 200}, {"repeat_last_n", -2, 400},
		{"presence_penalty", 1, 200}, {"frequency_penalty", 1, 200},
		{"mirostat", 2, 200}, {"mirostat", 3, 400}, {"mirostat_tau", 3, 200}, {"mirostat_eta", 0.2, 200}, {"mirostat_eta", -1, 400},
		{"seed", 5, 200}, {"seed", -1, 200}, {"stop", []string{"a", "b"}, 200}, {"stop", 7, 400}, {"stop", "", 400},
		{"num_thread", 4, 200}, {"num_gpu", 0, 200}, {"num_keep", 5, 200}, {"nobody_knows", true, 200},
		{"top_k", nil, 200}, {"dry_multiplier", 0.8, 200},
		{"logit_bias", [][]any{{300, -5}, {" the", false}}, 200}, {"logit_bias", servertest.Object{"1": 2}, 200}, {"logit_bias", "x", 400}, {"logit_bias", servertest.Object{"99999999": 1}, 400},
	} {
		options := servertest.Object{"num_predict": 2, test.name: test.value}
		if test.name == "num_predict" {
			options["stop"] = " " // -1 and -2 would go on to the end of the context
		}
		r := w.Ask("POST", "/api/generate", servertest.Object{"model": "demo", "prompt": "Who?", "stream": false, "options": options})
		if r.Status != test.want {
			t.Errorf("%s: %v: status %d, want %d: %s", test.name, test.value, r.Status, test.want, r.Body)
		}
		if r.Status != 200 {
			var e errorLine
			r.Into(test.want, &e)
			if !strings.Contains(e.Error, test.name) && test.name != "stop" && test.name != "num_ctx" && test.name != "repeat_last_n" {
				t.Errorf("%s: %v: the error does not say so: %s", test.name, test.value, e.Error)
			}
		}
	}
}

func TestOllamaErrors(t *testing.T) {
	w := servertest.NewWire(t, core.Options{}, Routes)
	chat := func(more servertest.Object) servertest.Object {
		q := servertest.Object{"model": "demo", "messages": []servertest.Object{{"role": "user", "content": "hi"}}}
		for k, v := range more {
			q[k] = v
		}
		return q
	}
	for _, test := range []struct {
		name, method, path string
		body               any
		status             int
		says               string
	}{
		{"no model", "POST", "/api/generate", servertest.Object{"prompt": "x"}, 400, "model is required"},
		{"unknown model", "POST", "/api/generate", servertest.Object{"model": "llama3", "prompt": "x"}, 404, "model 'llama3' not found"},
		{"unknown model to load", "POST", "/api/chat", servertest.Object{"model": "llama3:8b"}, 404, "llama3:8b"},
		{"a path", "POST", "/api/generate", servertest.Object{"model": "/etc/passwd", "prompt": "x"}, 404, "not found"},
		{"not JSON", "POST", "/api/chat", "{", 400, "JSON"},
		{"nothing", "POST", "/api/chat", "", 400, "JSON"},
		{"wrong type", "POST", "/api/chat", servertest.Object{"model": 5}, 400, "model"},
		{"wrong type inside", "POST", "/api/generate", servertest.Object{"model": "demo", "options": servertest.Object{"top_k": "many"}}, 400, "top_k"},
		{"images", "POST", "/api/generate", servertest.Object{"model": "demo", "prompt": "x", "images": []string{"aGk="}}, 400, "images"},
		{"images in a message", "POST", "/api/chat", servertest.Object{"model": "demo", "messages": []servertest.Object{{"role": "user", "content": "x", "images": []string{"aGk="}}}}, 400, "images"},
		{"suffix", "POST", "/api/generate", servertest.Object{"model": "demo", "prompt": "x", "suffix": "y"}, 400, "insert"},
		{"template", "POST", "/api/generate", servertest.Object{"model": "demo", "prompt": "x", "template": "{{ .Prompt }}"}, 400, "template"},
		{"format", "POST", "/api/generate", servertest.Object{"model": "demo", "prompt": "x", "format": "yaml"}, 400, "format"},
		{"schema", "POST", "/api/chat", chat(servertest.Object{"format": servertest.Object{"type": "nonsense"}}), 400, "nonsense"},
		{"think", "POST", "/api/chat", chat(servertest.Object{"think": true}), 400, "does not support thinking"},
		{"think what", "POST", "/api/chat", chat(servertest.Object{"think": "hard"}), 400, "think"},
		{"keep_alive", "POST", "/api/chat", chat(servertest.Object{"keep_alive": "soon"}), 400, "keep_alive"},
		{"top_logprobs below", "POST", "/api/chat", chat(servertest.Object{"logprobs": true, "top_logprobs": -1}), 400, "top_logprobs must be between 0 and 20"},
		{"context of a raw prompt", "POST", "/api/generate", servertest.Object{"model": "demo", "prompt": "x", "raw": true, "context": []int{1}}, 400, "raw mode"},
		{"template of a raw prompt", "POST", "/api/generate", servertest.Object{"model": "demo", "prompt": "x", "raw": true, "template": "x"}, 400, "raw mode"},
		{"top_logprobs", "POST", "/api/chat", chat(servertest.Object{"logprobs": true, "top_logprobs": 21}), 400, "top_logprobs must be between 0 and 20"},
		{"role", "POST", "/api/chat", servertest.Object{"model": "demo", "messages": []servertest.Object{{"role": "robot", "content": "x"}}}, 400, "robot"},
		{"tool", "POST", "/api/chat", chat(servertest.Object{"tools": []servertest.Object{{"type": "function"}}}), 400, "tools[0]"},
		{"too long", "POST", "/api/chat", servertest.Object{"model": "demo", "messages": []servertest.Object{{"role": "user", "content": strings.Repeat("story ", 5000)}}}, 400, "context"},
		{"too long, uncut", "POST", "/api/chat", servertest.Object{"model": "demo", "truncate": false, "messages": []servertest.Object{{"role": "user", "content": strings.Repeat("story ", 5000)}}}, 400, "context"},
		{"input", "POST", "/api/embed", servertest.Object{"model": "demo", "input": 5}, 400, "input"},
		{"dimensions", "POST", "/api/embed", servertest.Object{"model": "demo", "input": "x", "dimensions": -1}, 400, "dimensions"},
		{"too long to embed", "POST", "/api/embed", servertest.Object{"model": "demo", "input": strings.Repeat("story ", 5000), "truncate": false}, 400, "context"},
		{"show", "POST", "/api/show", servertest.Object{"model": "llama3"}, 404, "not found"},
		{"show nothing", "POST", "/api/show", servertest.Object{}, 400, "model is required"},
		{"create", "POST", "/api/create", servertest.Object{"model": "x"}, 403, ""},
		{"pull", "POST", "/api/pull", servertest.Object{"model": "x"}, 403, "allow"},
		{"delete", "DELETE", "/api/delete", servertest.Object{"model": "x"}, 403, "allow"},
		{"copy", "POST", "/api/copy", servertest.Object{"source": "x", "destination": "y"}, 403, "allow"},
		{"method", "GET", "/api/chat", nil, 405, "POST"},
		{"nowhere", "POST", "/api/nowhere", servertest.Object{}, 404, "nothing"},
	} {
		r := w.Ask(test.method, test.path, test.body)
		var e errorLine
		r.Into(test.status, &e)
		if e.Error == "" || !strings.Contains(e.Error, test.says) {
			t.Errorf("%s: %q does not say %q", test.name, e.Error, test.says)
		}
	}
}

func TestOllamaChat(t *testing.T) {
	w := servertest.NewWire(t, core.Options{}, Routes)
	q := servertest.Object{"model": "demo", "messages": []servertest.Object{{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who are you?"}}, "options": servertest.Greedy(8)}
	got := servertest.Lines[ollamaSeen](w.Ask("POST", "/api/chat", q))
	var text string
	for i, line := range got {
		if line.Message == nil || line.Message.Role != "assistant" || line.Done != (i == len(got)-1) {
			t.Fatalf("line %d: %+v", i, line)
		}
		text += line.Message.Content
	}
	q["stream"] = false
	var whole ollamaSeen
	w.Ask("POST", "/api/chat", q).Into(200, &whole)
	if text == "" || whole.Message.Content != text || strings.HasPrefix(text, " ") || whole.EvalCount == 0 {
		t.Errorf("%q in lines, %q at once", text, whole.Message.Content)
	}

	t.Run("prefill", func(t *testing.T) {
		var got ollamaSeen
		w.Ask("POST", "/api/chat", servertest.Object{"model": "demo", "stream": false, "options": servertest.Greedy(4), "messages": []servertest.Object{
			{"role": "user", "content": "Tell a story."}, {"role": "assistant", "content": "Once upon a"}}}).Into(200, &got)
		if !strings.HasPrefix(got.Message.Content, " time") {
			t.Errorf("%q does not go on with the beginning", got.Message.Content)
		}
	})
	t.Run("truncate", func(t *testing.T) {
		var messages []servertest.Object
		for range 200 {
			messages = append(messages, servertest.Object{"role": "user", "content": "Tell me a story about a dog."}, servertest.Object{"role": "assistant", "content": "There was a dog."})
		}
		messages = append(messages, servertest.Object{"role": "user", "content": "Who are you?"})
		var got ollamaSeen
		w.Ask("POST", "/api/chat", servertest.Object{"model": "demo", "stream": false, "options": servertest.Object{"temperature": 0, "num_predict": 4, "num_ctx": 100}, "messages": messages}).Into(200, &got)
		if got.PromptEvalCount >= 100 || got.PromptEvalCount < 20 || got.EvalCount == 0 {
			t.Errorf("%+v", got.lineMetrics)
		}
		w.Ask("POST", "/api/chat", servertest.Object{"model": "demo", "stream": false, "truncate": false, "messages": messages}).Into(400, nil)
	})
	t.Run("format", func(t *testing.T) {
		var got ollamaSeen
		w.Ask("POST", "/api/chat", servertest.Object{"model": "demo", "stream": false, "options": servertest.Greedy(30), "format": servertest.Object{"enum": []string{"yes", "no"}},
			"messages": []servertest.Object{{"role": "user", "content": "Is snow white?"}}}).Into(200, &got)
		if c := got.Message.Content; c != `"yes"` && c != `"no"` {
			t.Errorf("%q", c)
		}
	})
	t.Run("tools", func(t *testing.T) {
		q := servertest.Object{"model": "demo", "stream": false, "tools": []servertest.Object{servertest.Weather}, "options": servertest.Greedy(120), "tool_choice": "required",
			"messages": []servertest.Object{{"role": "user", "content": "What is the weather in Paris?"}}}
		var got ollamaSeen
		w.Ask("POST", "/api/chat", q).Into(200, &got)
		if got.Message == nil || len(got.Message.ToolCalls) == 0 || got.DoneReason == "" {
			t.Fatalf("no call: %+v", got.Message)
		}
		call := got.Message.ToolCalls[0]
		var arguments struct{ City string }
		if err := json.Unmarshal(call.Function.Arguments, &arguments); err != nil || call.Function.Name != "get_weather" || arguments.City != "Paris" && arguments.City != "Rome" || call.ID == "" {
			t.Errorf("%v: %+v", err, call)
		}
		q["stream"] = true
		calls := 0
		for _, line := range servertest.Lines[ollamaSeen](w.Ask("POST", "/api/chat", q)) {
			calls += len(line.Message.ToolCalls)
			if strings.Contains(line.Message.Content, "tool_call") {
				t.Errorf("the mark of a call in the text: %q", line.Message.Content)
			}
		}
		if calls != len(got.Message.ToolCalls) {
			t.Errorf("%d calls in the stream, %d at once", calls, len(got.Message.ToolCalls))
		}
		// The conversation goes on with what the tool says.
		w.Ask("POST", "/api/chat", servertest.Object{"model": "demo", "stream": false, "tools": []servertest.Object{servertest.Weather}, "options": servertest.Greedy(3), "messages": []servertest.Object{
			{"role": "user", "content": "What is the weather in Paris?"},
			{"role": "assistant", "content": "", "tool_calls": []servertest.Object{{"function": servertest.Object{"name": "get_weather", "arguments": servertest.Object{"city": "Paris"}}}}},
			{"role": "tool", "tool_name": "get_weather", "content": "sunny"},
		}}).Into(200, nil)
	})
	t.Run("limits", func(t *testing.T) { // what is as large as it may be is served; what is larger is cut, and said
		hi := []servertest.Object{{"role": "user", "content": "Hi"}}
		w.Ask("POST", "/api/chat", servertest.Object{"model": "demo", "stream": false, "logprobs": true, "top_logprobs": 20, "options": servertest.Greedy(1), "messages": hi}).Into(200, nil)
		for size, want := range map[int]string{511: "", 512: "", 513: "options.num_ctx"} {
			r := w.Ask("POST", "/api/chat", servertest.Object{"model": "demo", "stream": false, "options": servertest.Object{"num_predict": 1, "num_ctx": size}, "messages": hi})
			if got := r.Header.Get(core.IgnoredHeader); r.Status != 200 || got != want {
				t.Errorf("a context of %d: %d, and %q is ignored", size, r.Status, got)
			}
		}
	})
	t.Run("think", func(t *testing.T) {
		w.Ask("POST", "/api/chat", servertest.Object{"model": "demo", "stream": false, "think": false, "options": servertest.Greedy(2), "messages": []servertest.Object{{"role": "user", "content": "Hi"}}}).Into(200, nil)
	})
	t.Run("curl", func(t *testing.T) {
		r := w.Ask("POST", "/api/chat", `{"model":"demo","stream":false,"options":{"num_predict":1},"messages":[{"role":"user","content":"Hi"}]}`,
			"Content-Type", "application/x-www-form-urlencoded")
		r.Into(200, nil)
		w.Ask("POST", "/api/chat", `{}`, "Content-Type", "text/plain").Into(415, nil)
	})
}

func TestOllamaEmbed(t *testing.T) {
	w := servertest.NewWire(t, core.Options{}, Routes)
	var got embedAnswer
	w.Ask("POST", "/api/embed", servertest.Object{"model": "demo", "input": []string{"a dog", "two dogs"}}).Into(200, &got)
	if len(got.Embeddings) != 2 || got.PromptEvalCount == 0 || got.TotalDuration <= 0 {
		t.Fatalf("%d embeddings, %+v", len(got.Embeddings), got)
	}
	whole := got.Embeddings[0]
	if l := euclidean(whole); math.Abs(l-1) > 1e-5 {
		t.Errorf("length %g", l)
	}
	got = embedAnswer{}
	w.Ask("POST", "/api/embed", servertest.Object{"model": "demo", "input": "a dog", "dimensions": 8}).Into(200, &got)
	if len(got.Embeddings) != 1 || len(got.Embeddings[0]) != 8 || math.Abs(euclidean(got.Embeddings[0])-1) > 1e-5 || got.Embeddings[0][0]*whole[0] <= 0 {
		t.Errorf("the first dimensions: %v", got.Embeddings)
	}
	for size, status := range map[int]int{got.PromptEvalCount: 200, got.PromptEvalCount - 1: 400} {
		w.Ask("POST", "/api/embed", servertest.Object{"model": "demo", "input": "a dog", "truncate": false, "options": servertest.Object{"num_ctx": size}}).Into(status, nil)
	}
	w.Ask("POST", "/api/embed", servertest.Object{"model": "demo", "input": strings.Repeat("story ", 5000)}).Into(200, &got)
	w.Ask("POST", "/api/embed", servertest.Object{"model": "demo", "input": []string{}}).Into(200, &got)
	if len(got.Embeddings) != 0 {
		t.Errorf("%d embeddings of nothing", len(got.Embeddings))
	}
	var old struct{ Embedding []float32 }
	w.Ask("POST", "/api/embeddings", servertest.Object{"model": "demo", "prompt": "a dog"}).Into(200, &old)
	if !slices.Equal(old.Embedding, whole) {
		t.Error("the legacy endpoint gives another embedding")
	}
	w.Ask("POST", "/api/embeddings", servertest.Object{"model": "demo", "prompt": ""}).Into(200, &old)
	if len(old.Embedding) != 0 {
		t.Error("nothing has an embedding")
	}
}

func euclidean(v []float32) float64 {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	return math.Sqrt(sum)
}

// TestOllamaCancel leaves in the middle of a stream: the place becomes free.
func TestOllamaCancel(t *testing.T) {
	w := servertest.NewWire(t, core.Options{Parallel: 1}, Routes)
	ctx, cancel := context.WithCancel(context.Background())
	body := strings.NewReader(`{"model":"demo","prompt":"Once upon a time","raw":true,"options":{"num_predict":100000,"temperature":1}}`)
	r, err := http.NewRequestWithContext(ctx, "POST", w.URL+"/api/generate", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := resp.Body.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	cancel()
	resp.Body.Close()
	w.Ask("POST", "/api/generate", servertest.Object{"model": "demo", "prompt": "Hi", "stream": false, "options": servertest.Greedy(1)}).Into(200, nil)
}

// TestErrorInStream ends a stream in the middle.
func TestErrorInStream(t *testing.T) {
	w := servertest.NewWire(t, core.Options{}, Routes)
	w.Server.Generate = servertest.BreakingOff
	got := strings.TrimSpace(string(w.Ask("POST", "/api/generate", servertest.Object{"model": "demo", "prompt": "x"}).Body))
	want := `{"error":"the memory is gone"}`
	if !strings.Contains(got, "one") || !strings.HasSuffix(got, want) {
		t.Errorf("%s\nwant %s at the end", got, want)
	}
}

// FuzzRequests decodes bodies: none panics, and what is refused is refused as
// the client's fault.
func FuzzRequests(f *testing.F) {
	for _, seed := range []string{
		`{"model":"demo","prompt":"x","options":{"stop":"a","seed":3},"keep_alive":"5m","format":"json","think":false}`,
		`{"keep_alive":-1,"format":{"type":"object"},"think":"high","messages":[{"tool_calls":[{"function":{"name":"x","arguments":{"a":1}}}]}]}`,
		`{"logit_bias":{"1":5},"input":["x"],"system":"x"}`, `null`, `{"keep_alive":1e300}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if q := new(chatRequest); servertest.Decode(t, body, q) {
			_, _ = q.messages() // an error is fine, a panic is not
		}
		if q := new(generateRequest); servertest.Decode(t, body, q) {
			_ = q.check()
		}
		servertest.Decode(t, body, new(embedRequest))
	})
}
