package anthropic

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	_ "trit/demo"
	"trit/server/core"
	"trit/server/internal/servertest"
)

// requestWith is a request with one question, and more.
func requestWith(more servertest.Object) servertest.Object {
	q := servertest.Object{"model": "demo", "max_tokens": 8, "temperature": 0, "messages": []servertest.Object{{"role": "user", "content": "Who are you?"}}}
	for k, v := range more {
		q[k] = v
	}
	return q
}

func anthropicText(r messageReply) string {
	var b strings.Builder
	for _, p := range r.Content {
		if p.Type == "text" {
			b.WriteString(*p.Text)
		}
	}
	return b.String()
}

func TestMessages(t *testing.T) {
	w := servertest.NewWire(t, core.Options{}, Routes)
	var got messageReply
	r := w.Ask("POST", "/v1/messages", requestWith(nil), "anthropic-version", "2023-06-01", "x-api-key", "anything", "anthropic-beta", "x")
	r.Into(200, &got)
	if got.Type != "message" || got.Role != "assistant" || got.Model != "demo" || !strings.HasPrefix(got.ID, "msg_") || len(got.Content) != 1 {
		t.Errorf("%+v", got)
	}
	if got.StopReason == nil || *got.StopReason != "max_tokens" || got.StopSequence != nil || got.Usage.OutputTokens != 8 || got.Usage.InputTokens == 0 {
		t.Errorf("%s", r.Body)
	}
	if id := r.Header.Get("Request-Id"); id == "" || id != r.Header.Get("X-Request-Id") {
		t.Errorf("request-id %q", id)
	}
	for _, field := range []string{`"stop_sequence":null`, `"cache_read_input_tokens":0`} {
		if !strings.Contains(string(r.Body), field) {
			t.Errorf("%s is missing in %s", field, r.Body)
		}
	}

	t.Run("count", func(t *testing.T) {
		var count struct {
			InputTokens int `json:"input_tokens"`
		}
		w.Ask("POST", "/v1/messages/count_tokens", servertest.Object{"model": "demo", "messages": []servertest.Object{{"role": "user", "content": "Who are you?"}}}).Into(200, &count)
		if count.InputTokens != got.Usage.InputTokens {
			t.Errorf("%d tokens, the answer says %d", count.InputTokens, got.Usage.InputTokens)
		}
		before := count.InputTokens
		w.Ask("POST", "/v1/messages/count_tokens", requestWith(servertest.Object{"system": "Be brief.", "tools": []servertest.Object{anthropicWeather}})).Into(200, &count)
		if count.InputTokens <= before {
			t.Errorf("system prompt and tools add nothing to %d tokens", count.InputTokens)
		}
	})
	t.Run("blocks", func(t *testing.T) {
		var blocks messageReply
		w.Ask("POST", "/v1/messages", requestWith(servertest.Object{
			"system":   []servertest.Object{{"type": "text", "text": "Be brief.", "cache_control": servertest.Object{"type": "ephemeral"}}},
			"messages": []servertest.Object{{"role": "user", "content": []servertest.Object{{"type": "text", "text": "Who are"}, {"type": "text", "text": "you?"}}}}, "metadata": servertest.Object{"user_id": "x"},
		})).Into(200, &blocks)
		if blocks.Usage.InputTokens <= got.Usage.InputTokens {
			t.Errorf("%+v", blocks.Usage)
		}
	})
	t.Run("prefill", func(t *testing.T) {
		var r messageReply
		w.Ask("POST", "/v1/messages", requestWith(servertest.Object{"messages": []servertest.Object{{"role": "user", "content": "Tell a story."}, {"role": "assistant", "content": "Once upon a"}}})).Into(200, &r)
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
		var r messageReply
		w.Ask("POST", "/v1/messages", requestWith(servertest.Object{"stop_sequences": []string{"never there", words[2]}})).Into(200, &r)
		if *r.StopReason != "stop_sequence" || r.StopSequence == nil || *r.StopSequence != words[2] || strings.Contains(anthropicText(r), words[2]) {
			t.Errorf("%s, %v: %q", *r.StopReason, r.StopSequence, anthropicText(r))
		}
	})
	t.Run("end of turn", func(t *testing.T) {
		var r messageReply
		w.Ask("POST", "/v1/messages", requestWith(servertest.Object{"max_tokens": 100, "output_config": servertest.Object{"format": servertest.Object{"type": "json_schema", "schema": servertest.Object{"enum": []string{"a", "b"}}}}})).Into(200, &r)
		if text := anthropicText(r); *r.StopReason != "end_turn" || text != `"a"` && text != `"b"` {
			t.Errorf("%s: %q", *r.StopReason, text)
		}
	})
	t.Run("context", func(t *testing.T) {
		var r messageReply
		// Two tokens are left for the answer, which would go on.
		question := []servertest.Object{{"role": "user", "content": ""}}
		var count struct {
			InputTokens int `json:"input_tokens"`
		}
		for n := 400; count.InputTokens < 510; n++ {
			question[0]["content"] = strings.Repeat("story ", n)
			w.Ask("POST", "/v1/messages/count_tokens", servertest.Object{"model": "demo", "messages": question}).Into(200, &count)
		}
		w.Ask("POST", "/v1/messages", requestWith(servertest.Object{"max_tokens": 1 << 20, "messages": question})).Into(200, &r)
		if *r.StopReason != "model_context_window_exceeded" {
			t.Errorf("%s", *r.StopReason)
		}
	})
}

var anthropicWeather = servertest.Object{"name": "get_weather", "description": "the weather of a city",
	"input_schema": servertest.Object{"type": "object", "properties": servertest.Object{"city": servertest.Object{"type": "string", "enum": []string{"Paris", "Rome"}}}, "required": []string{"city"}}}

func TestMessagesTools(t *testing.T) {
	w := servertest.NewWire(t, core.Options{}, Routes)
	for name, choice := range map[string]servertest.Object{
		"any": {"type": "any"}, "tool": {"type": "tool", "name": "get_weather"}, "one": {"type": "any", "disable_parallel_tool_use": true},
	} {
		t.Run(name, func(t *testing.T) {
			q := requestWith(servertest.Object{"max_tokens": 200, "tools": []servertest.Object{anthropicWeather}, "tool_choice": choice})
			var got messageReply
			w.Ask("POST", "/v1/messages", q).Into(200, &got)
			var calls []contentPart
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
			streamed := assembleMessage(t, w.Ask("POST", "/v1/messages", q).Events())
			if len(streamed.Content) != len(got.Content) || *streamed.StopReason != *got.StopReason {
				t.Errorf("%+v in the stream, %+v at once", streamed, got)
			}
			for i, p := range streamed.Content {
				if want := got.Content[i]; p.Type != want.Type || p.Name != want.Name || compactJSON(p.Input) != compactJSON(want.Input) {
					t.Errorf("block %d is %+v in the stream, %+v at once", i, p, want)
				}
			}
			// The result goes back.
			w.Ask("POST", "/v1/messages", requestWith(servertest.Object{"tools": []servertest.Object{anthropicWeather}, "messages": []servertest.Object{
				{"role": "user", "content": "What is the weather?"},
				{"role": "assistant", "content": got.Content},
				{"role": "user", "content": []servertest.Object{{"type": "tool_result", "tool_use_id": calls[0].ID, "content": "sunny"}, {"type": "text", "text": "So?"}}},
			}})).Into(200, nil)
		})
	}
	t.Run("none", func(t *testing.T) {
		var got messageReply
		w.Ask("POST", "/v1/messages", requestWith(servertest.Object{"tools": []servertest.Object{anthropicWeather}, "tool_choice": servertest.Object{"type": "none"}})).Into(200, &got)
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
func assembleMessage(t testing.TB, events []servertest.Event) messageReply {
	t.Helper()
	var reply messageReply
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
		if e.Data["type"] != e.Name {
			t.Errorf("the event %q has the type %v", e.Name, e.Data["type"])
		}
		if (e.Name == "message_start") != (i == 0) || (e.Name == "message_stop") != (i == len(events)-1) {
			t.Errorf("event %d of %d is %s", i, len(events), e.Name)
		}
		index, hasIndex := e.Data["index"].(float64)
		if hasIndex && (e.Name == "content_block_start") != (int(index) == len(reply.Content)) {
			t.Errorf("%s has the index %g after %d blocks", e.Name, index, len(reply.Content))
		}
		switch e.Name {
		case "message_start":
			decode(e.Data["message"], &reply)
			if len(reply.Content) != 0 || reply.StopReason != nil || reply.Usage.InputTokens == 0 {
				t.Errorf("%+v", reply)
			}
		case "content_block_start":
			var p contentPart
			decode(e.Data["content_block"], &p)
			reply.Content = append(reply.Content, p)
			if open {
				t.Error("a block begins in another")
			}
			open = true
			input.Reset()
		case "content_block_delta":
			var d partDelta
			decode(e.Data["delta"], &d)
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
			var end messageEnd
			decode(e.Data["delta"], &end)
			decode(e.Data["usage"], &reply.Usage)
			reply.StopReason, reply.StopSequence = end.StopReason, end.StopSequence
			if open {
				t.Error("the message ends in a block")
			}
		case "ping", "message_stop":
		default:
			t.Errorf("an event %q", e.Name)
		}
	}
	return reply
}

func TestMessagesStream(t *testing.T) {
	w := servertest.NewWire(t, core.Options{}, Routes)
	var want messageReply
	w.Ask("POST", "/v1/messages", requestWith(nil)).Into(200, &want)
	events := w.Ask("POST", "/v1/messages", requestWith(servertest.Object{"stream": true})).Events()
	got := assembleMessage(t, events)
	if anthropicText(got) != anthropicText(want) || *got.StopReason != *want.StopReason || got.Usage != want.Usage {
		t.Errorf("%+v in the stream, %+v at once", got, want)
	}
	if !slices.ContainsFunc(events, func(e servertest.Event) bool { return e.Name == "ping" }) {
		t.Error("no ping")
	}
	// An error before the answer is no stream.
	w.Ask("POST", "/v1/messages", requestWith(servertest.Object{"stream": true, "temperature": -1})).Into(400, nil)
}

func TestMessagesErrors(t *testing.T) {
	w := servertest.NewWire(t, core.Options{APIKeys: []string{"secret"}}, Routes)
	user := func(blocks ...servertest.Object) servertest.Object {
		return requestWith(servertest.Object{"messages": []servertest.Object{{"role": "user", "content": blocks}}})
	}
	says := func(role string, blocks ...servertest.Object) servertest.Object {
		return requestWith(servertest.Object{"messages": []servertest.Object{{"role": "user", "content": "x"}, {"role": role, "content": append([]servertest.Object{}, blocks...)}}})
	}
	without := func(field string) servertest.Object {
		q := requestWith(nil)
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
		{"less than no tokens", requestWith(servertest.Object{"max_tokens": -1}), 400, "invalid_request_error", "max_tokens"},
		{"no tokens", requestWith(servertest.Object{"max_tokens": 0}), 200, "", ""},
		{"no budget", requestWith(servertest.Object{"thinking": servertest.Object{"type": "enabled"}}), 200, "", ""},
		{"budget of a token", requestWith(servertest.Object{"thinking": servertest.Object{"type": "enabled", "budget_tokens": 1}}), 200, "", ""},
		{"budget of nothing", requestWith(servertest.Object{"thinking": servertest.Object{"type": "enabled", "budget_tokens": 0}}), 400, "invalid_request_error", "budget_tokens is 0"},
		{"model", without("model"), 400, "invalid_request_error", "model"},
		{"messages", without("messages"), 400, "invalid_request_error", "messages"},
		{"unknown model", requestWith(servertest.Object{"model": "claude"}), 404, "not_found_error", "claude"},
		{"role", requestWith(servertest.Object{"messages": []servertest.Object{{"role": "tool", "content": "x"}}}), 400, "invalid_request_error", "messages.0.role"},
		{"nobody asks", requestWith(servertest.Object{"messages": []servertest.Object{{"role": "system", "content": "x"}}}), 400, "invalid_request_error", "messages"},
		{"empty", requestWith(servertest.Object{"messages": []servertest.Object{{"role": "user", "content": ""}}}), 200, "", ""},
		{"no blocks", user(), 400, "invalid_request_error", "messages.0"},
		{"image", user(servertest.Object{"type": "image", "source": servertest.Object{}}), 400, "invalid_request_error", "image"},
		{"document", user(servertest.Object{"type": "document", "source": servertest.Object{}}), 400, "invalid_request_error", "document"},
		{"result of nothing", user(servertest.Object{"type": "tool_result", "tool_use_id": "x"}), 400, "invalid_request_error", "tool_use_id"},
		{"call without an id", says("assistant", servertest.Object{"type": "tool_use", "name": "x"}), 400, "invalid_request_error", "needs an id and a name"},
		{"call without a name", says("assistant", servertest.Object{"type": "tool_use", "id": "x"}), 400, "invalid_request_error", "needs an id and a name"},
		{"call of the user's", user(servertest.Object{"type": "tool_use", "id": "x", "name": "x"}), 400, "invalid_request_error", "not supported here"},
		{"thoughts of the user's", user(servertest.Object{"type": "thinking", "thinking": "x"}), 400, "invalid_request_error", "not supported here"},
		{"secret thoughts of the user's", user(servertest.Object{"type": "redacted_thinking"}), 400, "invalid_request_error", "not supported here"},
		{"result of the model's", says("assistant", servertest.Object{"type": "tool_use", "id": "x", "name": "x"}, servertest.Object{"type": "tool_result", "tool_use_id": "x"}), 400, "invalid_request_error", "not supported here"},
		{"call at the end", says("assistant", servertest.Object{"type": "tool_use", "id": "x", "name": "x"}), 400, "invalid_request_error", "calls a tool"},
		{"an empty answer to go on with", says("assistant"), 200, "", ""},
		{"an empty answer before another turn", requestWith(servertest.Object{"messages": []servertest.Object{{"role": "user", "content": "x"}, {"role": "assistant", "content": []string{}}, {"role": "user", "content": "y"}}}), 400, "invalid_request_error", "messages.1"},
		{"a text as document", user(servertest.Object{"type": "document", "source": servertest.Object{"type": "text", "data": "x"}}), 200, "", ""},
		{"type", user(servertest.Object{"text": "x"}), 400, "invalid_request_error", "type"},
		{"content", requestWith(servertest.Object{"messages": []servertest.Object{{"role": "user", "content": 5}}}), 400, "invalid_request_error", "content"},
		{"thinking what", requestWith(servertest.Object{"thinking": servertest.Object{"type": "hard"}}), 400, "invalid_request_error", `thinking.type is "hard"`},
		{"adaptive thinking", requestWith(servertest.Object{"thinking": servertest.Object{"type": "adaptive"}}), 200, "", ""},
		{"no thinking", requestWith(servertest.Object{"thinking": servertest.Object{"type": "disabled"}}), 200, "", ""},
		{"white space", requestWith(servertest.Object{"messages": []servertest.Object{{"role": "user", "content": "x"}, {"role": "assistant", "content": "y "}}}), 400, "invalid_request_error", "trailing whitespace"},
		{"tool without schema", requestWith(servertest.Object{"tools": []servertest.Object{{"name": "x"}}}), 400, "invalid_request_error", "input_schema"},
		{"choice", requestWith(servertest.Object{"tools": []servertest.Object{anthropicWeather}, "tool_choice": servertest.Object{"type": "tool", "name": "x"}}), 400, "invalid_request_error", "tool_choice"},
		{"choice without tools", requestWith(servertest.Object{"tool_choice": servertest.Object{"type": "any"}}), 400, "invalid_request_error", "tool_choice"},
		{"choice of a kind", requestWith(servertest.Object{"tools": []servertest.Object{anthropicWeather}, "tool_choice": servertest.Object{"type": "some"}}), 400, "invalid_request_error", "tool_choice"},
		{"stop", requestWith(servertest.Object{"stop_sequences": []string{""}}), 400, "invalid_request_error", "stop_sequences.0"},
		{"temperature", requestWith(servertest.Object{"temperature": -1}), 400, "invalid_request_error", "temperature"},
		{"format", requestWith(servertest.Object{"output_format": servertest.Object{"type": "xml"}}), 400, "invalid_request_error", "json_schema"},
		{"too long", requestWith(servertest.Object{"messages": []servertest.Object{{"role": "user", "content": strings.Repeat("story ", 5000)}}}), 400, "invalid_request_error", "prompt is too long: "},
		{"not JSON", "{", 400, "invalid_request_error", "JSON"},
		{"wrong type", requestWith(servertest.Object{"max_tokens": "many"}), 400, "invalid_request_error", "max_tokens"},
	} {
		r := w.Ask("POST", "/v1/messages", test.body, "x-api-key", "secret")
		if test.status == 200 {
			r.Into(200, nil)
			continue
		}
		var e errorReply
		r.Into(test.status, &e)
		if e.Type != "error" || e.Error.Type != test.kind || !strings.Contains(e.Error.Message, test.says) || e.RequestID == "" || e.RequestID != r.Header.Get("Request-Id") {
			t.Errorf("%s: %s; want %q", test.name, r.Body, test.says)
		}
	}
	var e errorReply
	w.Ask("POST", "/v1/messages", requestWith(nil)).Into(401, &e)
	if e.Error.Type != "authentication_error" {
		t.Errorf("%+v", e)
	}
}

// TestErrorReply: statuses have names, and a message names the field at fault once.
func TestErrorReply(t *testing.T) {
	for status, want := range map[int]string{400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
		413: "request_too_large", 415: "invalid_request_error", 429: "rate_limit_error", 500: "api_error", 501: "api_error", 503: "overloaded_error", 504: "timeout_error"} {
		if got := newErrorReply(&core.Error{Status: status}, "").Error.Type; got != want {
			t.Errorf("%d is %s, want %s", status, got, want)
		}
	}
	for _, test := range []struct {
		e    core.Error
		want string
	}{
		{core.Error{Message: "is wrong"}, "is wrong"},
		{core.Error{Param: "x", Message: "is wrong"}, "x: is wrong"},
		{core.Error{Param: "x", Message: "x is wrong"}, "x is wrong"},
		{*core.TooLong("x", "shorten it", 7, 5), "prompt is too long: 7 tokens > 5 maximum: shorten it"},
	} {
		if got := newErrorReply(&test.e, "").Error.Message; got != test.want {
			t.Errorf("%+v: %q, want %q", test.e, got, test.want)
		}
	}
}

// TestErrorInStream ends a stream in the middle.
func TestErrorInStream(t *testing.T) {
	w := servertest.NewWire(t, core.Options{}, Routes)
	w.Server.Generate = servertest.BreakingOff
	got := strings.TrimSpace(string(w.Ask("POST", "/v1/messages", requestWith(servertest.Object{"stream": true})).Body))
	want := "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"the memory is gone\"},\"request_id\":"
	if !strings.Contains(got, "one") || !strings.Contains(got, want) {
		t.Errorf("%s\nwant %s in it", got, want)
	}
}

// FuzzRequests decodes bodies: none panics, and what is refused is refused as
// the client's fault.
func FuzzRequests(f *testing.F) {
	f.Add([]byte(`{"model":"demo","messages":[{"role":"user","content":[{"type":"text","text":"x"},{"type":"tool_result","content":[{"type":"text"}]}]}],"max_tokens":5}`))
	f.Add([]byte(`null`))
	f.Add([]byte(`{"system":"x","thinking":{"type":"enabled"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		q := new(messagesRequest)
		if servertest.Decode(t, body, q) {
			_, _ = q.conversation() // an error is fine, a panic is not
		}
	})
}
