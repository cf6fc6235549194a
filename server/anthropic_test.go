package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"trit"
)

// messagesRequest is a request with one question, and more.
func messagesRequest(more jsonObject) jsonObject {
	q := jsonObject{"model": "demo", "max_tokens": 8, "temperature": 0, "messages": []jsonObject{{"role": "user", "content": "Who are you?"}}}
	for k, v := range more {
		q[k] = v
	}
	return q
}

func anthropicText(r anthropicReply) string {
	var b strings.Builder
	for _, p := range r.Content {
		if p.Type == "text" {
			b.WriteString(*p.Text)
		}
	}
	return b.String()
}

func TestMessages(t *testing.T) {
	w := newWire(t, Options{})
	var got anthropicReply
	r := w.ask("POST", "/v1/messages", messagesRequest(nil), "anthropic-version", "2023-06-01", "x-api-key", "anything", "anthropic-beta", "x")
	r.into(200, &got)
	if got.Type != "message" || got.Role != "assistant" || got.Model != "demo" || !strings.HasPrefix(got.ID, "msg_") || len(got.Content) != 1 {
		t.Errorf("%+v", got)
	}
	if got.StopReason == nil || *got.StopReason != "max_tokens" || got.StopSequence != nil || got.Usage.OutputTokens != 8 || got.Usage.InputTokens == 0 {
		t.Errorf("%s", r.body)
	}
	if id := r.header.Get("Request-Id"); id == "" || id != r.header.Get("X-Request-Id") {
		t.Errorf("request-id %q", id)
	}
	for _, field := range []string{`"stop_sequence":null`, `"cache_read_input_tokens":0`} {
		if !strings.Contains(string(r.body), field) {
			t.Errorf("%s is missing in %s", field, r.body)
		}
	}

	t.Run("count", func(t *testing.T) {
		var count struct {
			InputTokens int `json:"input_tokens"`
		}
		w.ask("POST", "/v1/messages/count_tokens", jsonObject{"model": "demo", "messages": []jsonObject{{"role": "user", "content": "Who are you?"}}}).into(200, &count)
		if count.InputTokens != got.Usage.InputTokens {
			t.Errorf("%d tokens, the answer says %d", count.InputTokens, got.Usage.InputTokens)
		}
		before := count.InputTokens
		w.ask("POST", "/v1/messages/count_tokens", messagesRequest(jsonObject{"system": "Be brief.", "tools": []jsonObject{anthropicWeather}})).into(200, &count)
		if count.InputTokens <= before {
			t.Errorf("system prompt and tools add nothing to %d tokens", count.InputTokens)
		}
	})
	t.Run("blocks", func(t *testing.T) {
		var blocks anthropicReply
		w.ask("POST", "/v1/messages", messagesRequest(jsonObject{
			"system":   []jsonObject{{"type": "text", "text": "Be brief.", "cache_control": jsonObject{"type": "ephemeral"}}},
			"messages": []jsonObject{{"role": "user", "content": []jsonObject{{"type": "text", "text": "Who are"}, {"type": "text", "text": "you?"}}}}, "metadata": jsonObject{"user_id": "x"},
		})).into(200, &blocks)
		if blocks.Usage.InputTokens <= got.Usage.InputTokens {
			t.Errorf("%+v", blocks.Usage)
		}
	})
	t.Run("prefill", func(t *testing.T) {
		var r anthropicReply
		w.ask("POST", "/v1/messages", messagesRequest(jsonObject{"messages": []jsonObject{{"role": "user", "content": "Tell a story."}, {"role": "assistant", "content": "Once upon a"}}})).into(200, &r)
		if text := anthropicText(r); !strings.HasPrefix(text, " time") {
			t.Errorf("%q does not go on with the beginning", text)
		}
	})
	t.Run("stop sequence", func(t *testing.T) {
		text := anthropicText(got)
		words := strings.Fields(text)
		if len(words) < 3 {
			t.Fatalf("the answer %q is too short", text)
		}
		var r anthropicReply
		w.ask("POST", "/v1/messages", messagesRequest(jsonObject{"stop_sequences": []string{"never there", words[2]}})).into(200, &r)
		if *r.StopReason != "stop_sequence" || r.StopSequence == nil || *r.StopSequence != words[2] || strings.Contains(anthropicText(r), words[2]) {
			t.Errorf("%s, %v: %q", *r.StopReason, r.StopSequence, anthropicText(r))
		}
	})
	t.Run("end of turn", func(t *testing.T) {
		var r anthropicReply
		w.ask("POST", "/v1/messages", messagesRequest(jsonObject{"max_tokens": 100, "output_config": jsonObject{"format": jsonObject{"type": "json_schema", "schema": jsonObject{"enum": []string{"a", "b"}}}}})).into(200, &r)
		if text := anthropicText(r); *r.StopReason != "end_turn" || text != `"a"` && text != `"b"` {
			t.Errorf("%s: %q", *r.StopReason, text)
		}
	})
	t.Run("context", func(t *testing.T) {
		var r anthropicReply
		// Two tokens are left for the answer, which would go on.
		question := []jsonObject{{"role": "user", "content": ""}}
		var count struct {
			InputTokens int `json:"input_tokens"`
		}
		for n := 400; count.InputTokens < 510; n++ {
			question[0]["content"] = strings.Repeat("story ", n)
			w.ask("POST", "/v1/messages/count_tokens", jsonObject{"model": "demo", "messages": question}).into(200, &count)
		}
		w.ask("POST", "/v1/messages", messagesRequest(jsonObject{"max_tokens": 1 << 20, "messages": question})).into(200, &r)
		if *r.StopReason != "model_context_window_exceeded" {
			t.Errorf("%s", *r.StopReason)
		}
	})
}

var anthropicWeather = jsonObject{"name": "get_weather", "description": "the weather of a city",
	"input_schema": jsonObject{"type": "object", "properties": jsonObject{"city": jsonObject{"type": "string", "enum": []string{"Paris", "Rome"}}}, "required": []string{"city"}}}

func TestMessagesTools(t *testing.T) {
	w := newWire(t, Options{})
	for name, choice := range map[string]jsonObject{
		"any": {"type": "any"}, "tool": {"type": "tool", "name": "get_weather"}, "one": {"type": "any", "disable_parallel_tool_use": true},
	} {
		t.Run(name, func(t *testing.T) {
			q := messagesRequest(jsonObject{"max_tokens": 200, "tools": []jsonObject{anthropicWeather}, "tool_choice": choice})
			var got anthropicReply
			w.ask("POST", "/v1/messages", q).into(200, &got)
			var calls []anthropicPart
			for _, p := range got.Content {
				if p.Type == "tool_use" {
					calls = append(calls, p)
				}
			}
			if len(calls) == 0 || *got.StopReason != "tool_use" && *got.StopReason != "max_tokens" || name == "one" && len(calls) != 1 {
				t.Fatalf("%s, %d calls: %+v", *got.StopReason, len(calls), got.Content)
			}
			var input struct{ City string }
			if err := json.Unmarshal(calls[0].Input, &input); err != nil || input.City != "Paris" && input.City != "Rome" || calls[0].Name != "get_weather" || !strings.HasPrefix(calls[0].ID, "toolu_") {
				t.Errorf("%v: %+v", err, calls[0])
			}
			// The stream gives the same blocks.
			q["stream"] = true
			streamed := assembleMessage(t, w.ask("POST", "/v1/messages", q).events())
			if len(streamed.Content) != len(got.Content) || *streamed.StopReason != *got.StopReason {
				t.Errorf("%+v in the stream, %+v at once", streamed, got)
			}
			for i, p := range streamed.Content {
				if want := got.Content[i]; p.Type != want.Type || p.Name != want.Name || compactJSON(p.Input) != compactJSON(want.Input) {
					t.Errorf("block %d is %+v in the stream, %+v at once", i, p, want)
				}
			}
			// The result goes back.
			w.ask("POST", "/v1/messages", messagesRequest(jsonObject{"tools": []jsonObject{anthropicWeather}, "messages": []jsonObject{
				{"role": "user", "content": "What is the weather?"},
				{"role": "assistant", "content": got.Content},
				{"role": "user", "content": []jsonObject{{"type": "tool_result", "tool_use_id": calls[0].ID, "content": "sunny"}, {"type": "text", "text": "So?"}}},
			}})).into(200, nil)
		})
	}
	t.Run("none", func(t *testing.T) {
		var got anthropicReply
		w.ask("POST", "/v1/messages", messagesRequest(jsonObject{"tools": []jsonObject{anthropicWeather}, "tool_choice": jsonObject{"type": "none"}})).into(200, &got)
		if len(got.Content) != 1 || got.Content[0].Type != "text" {
			t.Errorf("%+v", got.Content)
		}
	})
}

func compactJSON(data json.RawMessage) string {
	var b bytes.Buffer
	if len(data) > 0 && json.Compact(&b, data) != nil {
		return "not JSON"
	}
	return b.String()
}

// assembleMessage puts a stream together as Anthropic's clients do, and checks the
// order of its events.
func assembleMessage(t testing.TB, events []wireEvent) anthropicReply {
	t.Helper()
	var reply anthropicReply
	decode := func(from any, to any) {
		data, err := json.Marshal(from)
		if err == nil {
			err = json.Unmarshal(data, to)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	open := false
	var input strings.Builder
	for i, e := range events {
		if e.data["type"] != e.name {
			t.Errorf("the event %q has the type %v", e.name, e.data["type"])
		}
		if (e.name == "message_start") != (i == 0) || (e.name == "message_stop") != (i == len(events)-1) {
			t.Errorf("event %d of %d is %s", i, len(events), e.name)
		}
		index, hasIndex := e.data["index"].(float64)
		if hasIndex && (e.name == "content_block_start") != (int(index) == len(reply.Content)) {
			t.Errorf("%s has the index %g after %d blocks", e.name, index, len(reply.Content))
		}
		switch e.name {
		case "message_start":
			decode(e.data["message"], &reply)
			if len(reply.Content) != 0 || reply.StopReason != nil || reply.Usage.InputTokens == 0 {
				t.Errorf("%+v", reply)
			}
		case "content_block_start":
			var p anthropicPart
			decode(e.data["content_block"], &p)
			reply.Content = append(reply.Content, p)
			if open {
				t.Error("a block begins in another")
			}
			open = true
			input.Reset()
		case "content_block_delta":
			var d anthropicDelta
			decode(e.data["delta"], &d)
			last := &reply.Content[len(reply.Content)-1]
			switch {
			case d.Type == "text_delta" && last.Type == "text":
				text := *last.Text + *d.Text
				last.Text = &text
			case d.Type == "input_json_delta" && last.Type == "tool_use":
				input.WriteString(*d.PartialJSON)
			default:
				t.Errorf("a %s in a block of %s", d.Type, last.Type)
			}
		case "content_block_stop":
			if last := &reply.Content[len(reply.Content)-1]; last.Type == "tool_use" {
				last.Input = json.RawMessage(input.String())
			}
			open = false
		case "message_delta":
			var end anthropicEnd
			decode(e.data["delta"], &end)
			decode(e.data["usage"], &reply.Usage)
			reply.StopReason, reply.StopSequence = end.StopReason, end.StopSequence
			if open {
				t.Error("the message ends in a block")
			}
		case "ping", "message_stop":
		default:
			t.Errorf("an event %q", e.name)
		}
	}
	return reply
}

func TestMessagesStream(t *testing.T) {
	w := newWire(t, Options{})
	var want anthropicReply
	w.ask("POST", "/v1/messages", messagesRequest(nil)).into(200, &want)
	events := w.ask("POST", "/v1/messages", messagesRequest(jsonObject{"stream": true})).events()
	got := assembleMessage(t, events)
	if anthropicText(got) != anthropicText(want) || *got.StopReason != *want.StopReason || got.Usage != want.Usage {
		t.Errorf("%+v in the stream, %+v at once", got, want)
	}
	if !slices.ContainsFunc(events, func(e wireEvent) bool { return e.name == "ping" }) {
		t.Error("no ping")
	}
	// An error before the answer is no stream.
	w.ask("POST", "/v1/messages", messagesRequest(jsonObject{"stream": true, "temperature": -1})).into(400, nil)
}

func TestMessagesErrors(t *testing.T) {
	w := newWire(t, Options{APIKeys: []string{"secret"}})
	user := func(blocks ...jsonObject) jsonObject {
		return messagesRequest(jsonObject{"messages": []jsonObject{{"role": "user", "content": blocks}}})
	}
	without := func(field string) jsonObject {
		q := messagesRequest(nil)
		delete(q, field)
		return q
	}
	for _, test := range []struct {
		name   string
		body   any
		status int
		kind   string
		says   string
	}{
		{"max_tokens", without("max_tokens"), 400, "invalid_request_error", "max_tokens: Field required"},
		{"no tokens", messagesRequest(jsonObject{"max_tokens": 0}), 400, "invalid_request_error", "max_tokens"},
		{"model", without("model"), 400, "invalid_request_error", "model"},
		{"messages", without("messages"), 400, "invalid_request_error", "messages"},
		{"unknown model", messagesRequest(jsonObject{"model": "claude"}), 404, "not_found_error", "claude"},
		{"role", messagesRequest(jsonObject{"messages": []jsonObject{{"role": "system", "content": "x"}}}), 400, "invalid_request_error", "messages.0.role"},
		{"empty", messagesRequest(jsonObject{"messages": []jsonObject{{"role": "user", "content": ""}}}), 200, "", ""},
		{"no blocks", user(), 400, "invalid_request_error", "messages.0"},
		{"image", user(jsonObject{"type": "image", "source": jsonObject{}}), 400, "invalid_request_error", "image"},
		{"document", user(jsonObject{"type": "document", "source": jsonObject{}}), 400, "invalid_request_error", "document"},
		{"result of nothing", user(jsonObject{"type": "tool_result", "tool_use_id": "x"}), 400, "invalid_request_error", "tool_use_id"},
		{"type", user(jsonObject{"text": "x"}), 400, "invalid_request_error", "type"},
		{"content", messagesRequest(jsonObject{"messages": []jsonObject{{"role": "user", "content": 5}}}), 400, "invalid_request_error", "content"},
		{"thinking", messagesRequest(jsonObject{"thinking": jsonObject{"type": "enabled", "budget_tokens": 1024}}), 400, "invalid_request_error", "thinking"},
		{"no thinking", messagesRequest(jsonObject{"thinking": jsonObject{"type": "disabled"}}), 200, "", ""},
		{"white space", messagesRequest(jsonObject{"messages": []jsonObject{{"role": "user", "content": "x"}, {"role": "assistant", "content": "y "}}}), 400, "invalid_request_error", "trailing whitespace"},
		{"server tool", messagesRequest(jsonObject{"tools": []jsonObject{{"type": "web_search_20250305", "name": "web_search"}}}), 400, "invalid_request_error", "web_search"},
		{"tool without schema", messagesRequest(jsonObject{"tools": []jsonObject{{"name": "x"}}}), 400, "invalid_request_error", "input_schema"},
		{"choice", messagesRequest(jsonObject{"tools": []jsonObject{anthropicWeather}, "tool_choice": jsonObject{"type": "tool", "name": "x"}}), 400, "invalid_request_error", "tool_choice"},
		{"choice without tools", messagesRequest(jsonObject{"tool_choice": jsonObject{"type": "any"}}), 400, "invalid_request_error", "tool_choice"},
		{"choice of a kind", messagesRequest(jsonObject{"tools": []jsonObject{anthropicWeather}, "tool_choice": jsonObject{"type": "some"}}), 400, "invalid_request_error", "tool_choice"},
		{"stop", messagesRequest(jsonObject{"stop_sequences": []string{""}}), 400, "invalid_request_error", "stop_sequences.0"},
		{"temperature", messagesRequest(jsonObject{"temperature": -1}), 400, "invalid_request_error", "temperature"},
		{"format", messagesRequest(jsonObject{"output_format": jsonObject{"type": "xml"}}), 400, "invalid_request_error", "json_schema"},
		{"mcp", messagesRequest(jsonObject{"mcp_servers": []jsonObject{{}}}), 400, "invalid_request_error", "mcp_servers"},
		{"too long", messagesRequest(jsonObject{"messages": []jsonObject{{"role": "user", "content": strings.Repeat("story ", 5000)}}}), 400, "invalid_request_error", "context"},
		{"not JSON", "{", 400, "invalid_request_error", "JSON"},
		{"wrong type", messagesRequest(jsonObject{"max_tokens": "many"}), 400, "invalid_request_error", "max_tokens"},
	} {
		r := w.ask("POST", "/v1/messages", test.body, "x-api-key", "secret")
		if test.status == 200 {
			r.into(200, nil)
			continue
		}
		var e anthropicError
		r.into(test.status, &e)
		if e.Type != "error" || e.Error.Type != test.kind || !strings.Contains(e.Error.Message, test.says) || e.RequestID == "" || e.RequestID != r.header.Get("Request-Id") {
			t.Errorf("%s: %s; want %q", test.name, r.body, test.says)
		}
	}
	var e anthropicError
	w.ask("POST", "/v1/messages", messagesRequest(nil)).into(401, &e)
	if e.Error.Type != "authentication_error" {
		t.Errorf("%+v", e)
	}
}

// TestErrorsInStreams ends streams of all three forms in the middle.
func TestErrorsInStreams(t *testing.T) {
	w := newWire(t, Options{})
	l, err := w.server.models.acquire(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer l.release()
	failure := &apiError{status: 503, message: "the memory is gone"}
	fails := func(context.Context, *prepared) iter.Seq2[piece, error] {
		return func(yield func(piece, error) bool) {
			if yield(piece{Content: "one"}, nil) {
				yield(piece{}, failure)
			}
		}
	}
	tokens := func(yield func(trit.Token, error) bool) {
		if yield(trit.Token{Text: "one"}, nil) {
			yield(trit.Token{}, failure)
		}
	}
	p := &prepared{job: job{model: l}}
	tok := l.Model.Tokenizer()
	for name, stream := range map[string]func(http.ResponseWriter, *http.Request) error{
		`{"error":"the memory is gone"}`: func(w2 http.ResponseWriter, r *http.Request) error {
			a := &ollamaAnswer{ollamaAPI: &ollamaAPI{Server: w.server}, common: &ollamaCommon{}, lease: l,
				line: func(line ollamaLine, content string, _ []ollamaToolCall) any { return content }}
			return a.write(w2, r, p, fails)
		},
		"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"the memory is gone\"}}": func(w2 http.ResponseWriter, r *http.Request) error {
			a := &anthropicAnswer{Server: w.server, request: &anthropicRequest{}, prepared: p, run: fails, stop: newStopFinder(tok, false)}
			return a.stream(w2, r)
		},
		`data: {"error":{"code":503,"message":"the memory is gone","type":"unavailable_error"}}`: func(w2 http.ResponseWriter, r *http.Request) error {
			c := &llamaRun{job: job{model: l}, request: &llamaCompletion{}, stop: newStopFinder(tok, false)}
			return c.stream(w.server.newEventStream(w2), r, tokens)
		},
	} {
		ts := httptest.NewServer(http.HandlerFunc(func(w2 http.ResponseWriter, r *http.Request) {
			if err := stream(w2, r); !errors.Is(err, errAnswered) {
				t.Errorf("%v", err)
			}
		}))
		got, err := http.Get(ts.URL)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(got.Body)
		got.Body.Close()
		ts.Close()
		if text := strings.TrimSpace(string(data)); err != nil || !strings.Contains(text, "one") || !strings.HasSuffix(text, name) {
			t.Errorf("%v: %s\nwant %s at the end", err, text, name)
		}
	}
}
