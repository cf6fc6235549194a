package openai

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"trit/server/core"
	"trit/tokenizer"
)

func TestChat(t *testing.T) {
	s := newOpenAIServer(t, core.Options{})
	out := s.post("/v1/chat/completions", hello)
	if !strings.HasPrefix(jsonString(t, out, "id"), "chatcmpl-") || jsonString(t, out, "object") != "chat.completion" || jsonString(t, out, "model") != "demo" || !strings.HasPrefix(jsonString(t, out, "system_fingerprint"), "fp_") {
		t.Errorf("the answer is %v", out)
	}
	if d := time.Since(time.Unix(int64(jsonNumber(t, out, "created")), 0)); d < -time.Second || d > time.Minute {
		t.Errorf("created %v ago", d)
	}
	text := jsonString(t, out, "choices", 0, "message", "content")
	if text == "" || strings.HasPrefix(text, " ") || jsonString(t, out, "choices", 0, "finish_reason") != "length" {
		t.Errorf("the choice is %v", jsonAt(t, out, "choices", 0))
	}
	if n := jsonNumber(t, out, "usage", "completion_tokens"); n != 12 {
		t.Errorf("%v completion tokens", n)
	}
	if jsonNumber(t, out, "usage", "total_tokens") != 12+jsonNumber(t, out, "usage", "prompt_tokens") || jsonNumber(t, out, "timings", "predicted_n") != 12 || jsonNumber(t, out, "timings", "predicted_per_second") <= 0 {
		t.Errorf("usage %v, timings %v", out["usage"], out["timings"])
	}
	// The same in pieces.
	var streamed strings.Builder
	var finish any
	events := s.events("/v1/chat/completions", with(hello, "stream", true, "stream_options", object{"include_usage": true}))
	for i, e := range events {
		switch {
		case i == 0:
			if jsonString(t, e.data, "choices", 0, "delta", "role") != "assistant" {
				t.Errorf("the first piece is %v", e.data)
			}
		case i == len(events)-1:
			if !e.done {
				t.Errorf("the last event is %v", e)
			}
		case i == len(events)-2:
			if len(jsonList(t, e.data, "choices")) != 0 || jsonNumber(t, e.data, "usage", "completion_tokens") != 12 {
				t.Errorf("the usage is %v", e.data)
			}
		case i == len(events)-3:
			finish = jsonAt(t, e.data, "choices", 0, "finish_reason")
			if jsonNumber(t, e.data, "timings", "predicted_n") != 12 {
				t.Errorf("the end is %v", e.data)
			}
		default:
			streamed.WriteString(jsonString(t, e.data, "choices", 0, "delta", "content"))
			if usage, there := e.data["usage"]; !there || usage != nil {
				t.Errorf("usage of a piece is %v", usage)
			}
		}
		if !e.done && e.data["id"] != events[0].data["id"] {
			t.Errorf("the id changes to %v", e.data["id"])
		}
	}
	if streamed.String() != text || finish != "length" {
		t.Errorf("streamed %q (%v), want %q", &streamed, finish, text)
	}
}

// TestChatFields tries one field after the other.
func TestChatFields(t *testing.T) {
	s := newOpenAIServer(t, core.Options{})
	plain := jsonString(t, s.post("/v1/chat/completions", hello), "choices", 0, "message", "content")
	model := s.model()
	first := model.Model.Tokenizer().Encode(plain)
	id := fmt.Sprint(first[len(first)-1])
	for _, test := range []struct {
		name  string
		extra []any
		check func(t *testing.T, out object)
	}{
		{"max_completion_tokens", []any{"max_completion_tokens", 3}, func(t *testing.T, out object) {
			if n := jsonNumber(t, out, "usage", "completion_tokens"); n != 3 {
				t.Errorf("%v tokens", n)
			}
		}},
		{"n_predict", []any{"max_tokens", nil, "n_predict", 4}, func(t *testing.T, out object) {
			if n := jsonNumber(t, out, "usage", "completion_tokens"); n != 4 {
				t.Errorf("%v tokens", n)
			}
		}},
		{"null is absent", []any{"stop", nil, "seed", nil, "logit_bias", nil, "tools", nil, "tool_choice", nil, "response_format", nil, "n", nil, "top_p", nil, "stream", nil, "stream_options", nil, "grammar", nil, "samplers", nil}, func(t *testing.T, out object) {
			if got := jsonString(t, out, "choices", 0, "message", "content"); got != plain {
				t.Errorf("%q, want %q", got, plain)
			}
		}},
		{"ignored", []any{"user", "me", "store", true, "metadata", object{"a": "b"}, "service_tier", "flex", "cache_prompt", false, "unheard_of", 1, "reasoning_effort", "low"}, func(t *testing.T, out object) {
			if got := jsonString(t, out, "choices", 0, "message", "content"); got != plain {
				t.Errorf("%q, want %q", got, plain)
			}
		}},
		{"stop", []any{"stop", plain[4:8]}, func(t *testing.T, out object) {
			if got := jsonString(t, out, "choices", 0, "message", "content"); got != plain[:strings.Index(plain, plain[4:8])] || jsonString(t, out, "choices", 0, "finish_reason") != "stop" {
				t.Errorf("%q of %q", got, plain)
			}
		}},
		{"several stops", []any{"stop", []string{"nowhere", plain[6:9]}}, func(t *testing.T, out object) {
			if got := jsonString(t, out, "choices", 0, "message", "content"); got != plain[:strings.Index(plain, plain[6:9])] {
				t.Errorf("%q of %q", got, plain)
			}
		}},
		{"stop token", []any{"stop_token_ids", []any{first[len(first)-1]}}, func(t *testing.T, out object) {
			got := jsonString(t, out, "choices", 0, "message", "content")
			if got == plain || !strings.HasPrefix(plain, got) || jsonString(t, out, "choices", 0, "finish_reason") != "stop" {
				t.Errorf("%q of %q", got, plain)
			}
		}},
		{"n", []any{"n", 3, "temperature", 1, "seed", 5}, func(t *testing.T, out object) {
			texts := map[string]bool{}
			for i, c := range jsonList(t, out, "choices") {
				texts[jsonString(t, c, "message", "content")] = true
				if jsonNumber(t, c, "index") != float64(i) {
					t.Errorf("choice %d is %v", i, c)
				}
			}
			if len(texts) != 3 || jsonNumber(t, out, "usage", "completion_tokens") != 36 {
				t.Errorf("the texts are %v, the usage %v", texts, out["usage"])
			}
		}},
		{"logit_bias", []any{"logit_bias", object{id: -100}}, func(t *testing.T, out object) {
			if got := jsonString(t, out, "choices", 0, "message", "content"); got == plain {
				t.Errorf("nothing changed: %q", got)
			}
		}},
		{"logit_bias of llama.cpp", []any{"logit_bias", []any{[]any{first[len(first)-1], false}, []any{"zebra", -1}}}, func(t *testing.T, out object) {
			if got := jsonString(t, out, "choices", 0, "message", "content"); got == plain {
				t.Errorf("nothing changed: %q", got)
			}
		}},
		{"allowed_token_ids", []any{"allowed_token_ids", []any{first[len(first)-1]}}, func(t *testing.T, out object) {
			if got := jsonString(t, out, "choices", 0, "message", "content"); strings.TrimSpace(strings.ReplaceAll(got, strings.TrimSpace(model.Model.Detokenize(first[len(first)-1:])), "")) != "" {
				t.Errorf("%q", got)
			}
		}},
		{"penalties", []any{"frequency_penalty", 2, "presence_penalty", 2, "repetition_penalty", 1.5, "repeat_last_n", -1, "max_tokens", 40}, func(t *testing.T, out object) {}},
		{"samplers", []any{"temperature", 1, "seed", 1, "top_k", 1, "samplers", []string{"top_k", "temperature"}}, func(t *testing.T, out object) {
			if got := jsonString(t, out, "choices", 0, "message", "content"); got != plain {
				t.Errorf("top_k 1 gives %q, greedy %q", got, plain)
			}
		}},
		{"min_p", []any{"temperature", 1, "seed", 1, "min_p", 1.0}, func(t *testing.T, out object) {
			if got := jsonString(t, out, "choices", 0, "message", "content"); got != plain {
				t.Errorf("min_p 1 gives %q, greedy %q", got, plain)
			}
		}},
		{"everything else", []any{"typical_p", 0.9, "top_n_sigma", 1.5, "xtc_probability", 0.1, "xtc_threshold", 0.2, "dry_multiplier", 0.8, "dry_base", 1.75, "dry_allowed_length", 2,
			"dry_penalty_last_n", -1, "dry_sequence_breakers", []string{"\n"}, "dynatemp_range", 0.2, "dynatemp_exponent", 1.1, "min_keep", 1, "bad_words", []string{"dog"}, "temperature", 0.9}, func(t *testing.T, out object) {
			if got := jsonString(t, out, "choices", 0, "message", "content"); strings.Contains(got, " dog") {
				t.Errorf("a bad word in %q", got)
			}
		}},
		{"mirostat", []any{"mirostat", 2, "mirostat_tau", 3, "mirostat_eta", 0.1, "temperature", 1, "seed", 3}, func(t *testing.T, out object) {}},
		{"min_tokens", []any{"min_tokens", 12, "stop_token_ids", []any{first[1]}}, func(t *testing.T, out object) {
			if n := jsonNumber(t, out, "usage", "completion_tokens"); n != 12 {
				t.Errorf("%v tokens", n)
			}
		}},
		{"ignore_eos", []any{"ignore_eos", true, "max_tokens", 200}, func(t *testing.T, out object) {
			if n := jsonNumber(t, out, "usage", "completion_tokens"); n != 200 {
				t.Errorf("%v tokens", n)
			}
		}},
		{"parts", []any{"messages", []any{
			object{"role": "developer", "content": "Be brief."},
			object{"role": "user", "content": []any{object{"type": "text", "text": "Tell me"}, object{"type": "text", "text": "about a dog."}}},
			object{"role": "assistant", "content": []any{object{"type": "refusal", "refusal": "No."}}},
			object{"role": "user", "content": "Please."},
		}}, func(t *testing.T, out object) {}},
		{"template variables", []any{"chat_template_kwargs", object{"enable_thinking": false, "n": 1}, "documents", []any{object{"title": "x"}}}, func(t *testing.T, out object) {
			if got := jsonString(t, out, "choices", 0, "message", "content"); got != plain {
				t.Errorf("%q, want %q", got, plain)
			}
		}},
		{"no generation prompt", []any{"add_generation_prompt", false}, func(t *testing.T, out object) {}},
		{"skip_special_tokens", []any{"skip_special_tokens", false}, func(t *testing.T, out object) {}},
		{"prompt_logprobs", []any{"prompt_logprobs", 2}, func(t *testing.T, out object) {
			l := jsonList(t, out, "prompt_logprobs")
			if len(l) != int(jsonNumber(t, out, "usage", "prompt_tokens")) || l[0] != nil {
				t.Errorf("%d entries, the first %v; usage %v", len(l), l[0], out["usage"])
			}
			for _, e := range l[1:] {
				for _, v := range e.(object) {
					if jsonNumber(t, v, "rank") < 1 || jsonNumber(t, v, "logprob") > 0 || jsonString(t, v, "decoded_token") == "" {
						t.Errorf("%v", v)
					}
				}
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := *s
			s.TB = t
			test.check(t, s.post("/v1/chat/completions", with(hello, test.extra...)))
		})
	}
}

func TestChatSeed(t *testing.T) {
	s := newOpenAIServer(t, core.Options{})
	text := func(seed any) string {
		return jsonString(t, s.post("/v1/chat/completions", with(hello, "temperature", 1, "seed", seed)), "choices", 0, "message", "content")
	}
	if a, b := text(7), text(7); a != b {
		t.Errorf("the same seed gives %q and %q", a, b)
	}
	if a, b := text(7), text(8); a == b {
		t.Errorf("two seeds give %q", a)
	}
	if a, b := text(-1), text(-1); a == b {
		t.Errorf("no seed gives %q twice", a)
	}
}

func TestChatLogProbs(t *testing.T) {
	s := newOpenAIServer(t, core.Options{})
	body := with(hello, "logprobs", true, "top_logprobs", 3)
	out := s.post("/v1/chat/completions", body)
	var spelled []byte
	check := func(tokens []any) {
		for _, token := range tokens {
			logProb, top := jsonNumber(t, token, "logprob"), jsonList(t, token, "top_logprobs")
			if logProb > 0 || len(top) != 3 || jsonNumber(t, top[0], "logprob") != logProb { // greedy
				t.Errorf("%v", token)
			}
			var raw []byte
			for _, b := range jsonList(t, token, "bytes") {
				raw = append(raw, byte(b.(float64)))
			}
			if utf8.Valid(raw) && string(raw) != jsonString(t, token, "token") {
				t.Errorf("%v", token)
			}
			spelled = append(spelled, raw...)
		}
	}
	tokens := jsonList(t, out, "choices", 0, "logprobs", "content")
	check(tokens)
	text := jsonString(t, out, "choices", 0, "message", "content")
	if strings.TrimLeft(string(spelled), " ") != text || len(tokens) != 12 {
		t.Errorf("%d tokens spell %q, the text is %q", len(tokens), spelled, text)
	}
	spelled = nil
	var streamed []any
	for _, e := range s.events("/v1/chat/completions", with(body, "stream", true)) {
		if !e.done && jsonAt(t, e.data, "choices", 0, "logprobs") != nil {
			streamed = append(streamed, jsonList(t, e.data, "choices", 0, "logprobs", "content")...)
		}
	}
	if !reflect.DeepEqual(streamed, tokens) {
		t.Errorf("streamed %v, want %v", streamed, tokens)
	}
	if jsonAt(t, s.post("/v1/chat/completions", hello), "choices", 0, "logprobs") != nil {
		t.Error("probabilities that nobody asked for")
	}
}

func TestChatFormats(t *testing.T) {
	s := newOpenAIServer(t, core.Options{})
	weather := func(t *testing.T, text string) {
		var v struct {
			City *string
			Days *int
		}
		if err := json.Unmarshal([]byte(text), &v); err != nil || v.City == nil || v.Days == nil || *v.Days < 1 || *v.Days > 9 {
			t.Errorf("%q: %v", text, err)
		}
	}
	equals := func(want ...string) func(*testing.T, string) {
		return func(t *testing.T, text string) {
			for _, w := range want {
				if text == w {
					return
				}
			}
			t.Errorf("%q, want one of %q", text, want)
		}
	}
	schemaText, err := json.Marshal(weatherSchema)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		extra []any
		check func(t *testing.T, text string)
	}{
		{"text", []any{"response_format", object{"type": "text"}}, func(*testing.T, string) {}},
		{"json_object", []any{"response_format", object{"type": "json_object"}}, func(t *testing.T, text string) {
			if !json.Valid([]byte(text)) || text[0] != '{' {
				t.Errorf("%q", text)
			}
		}},
		{"json_schema", []any{"response_format", object{"type": "json_schema", "json_schema": object{"name": "weather", "strict": true, "schema": weatherSchema}}}, weather},
		{"json_object with schema", []any{"response_format", object{"type": "json_object", "schema": weatherSchema}}, weather},
		{"json_schema of llama.cpp", []any{"json_schema", weatherSchema}, weather},
		{"guided_json", []any{"guided_json", weatherSchema}, weather},
		{"guided_json as text", []any{"guided_json", string(schemaText)}, weather},
		{"guided_regex", []any{"guided_regex", "(yes|no) [0-9]{2}"}, func(t *testing.T, text string) {
			if len(text) != 5 && len(text) != 6 {
				t.Errorf("%q", text)
			}
		}},
		{"guided_choice", []any{"guided_choice", []string{"red", "green"}}, equals("red", "green")},
		{"guided_grammar", []any{"guided_grammar", `root ::= "up" | "down"`}, equals("up", "down")},
		{"grammar", []any{"grammar", `root ::= "left" | "right"`}, equals("left", "right")},
		{"structured_outputs", []any{"structured_outputs", object{"choice": []string{"in", "out"}}}, equals("in", "out")},
		{"structured_outputs json", []any{"structured_outputs", object{"json": weatherSchema}}, weather},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := *s
			s.TB = t
			out := s.post("/v1/chat/completions", with(with(hello, "max_tokens", 60), test.extra...))
			test.check(t, jsonString(t, out, "choices", 0, "message", "content"))
			if test.name != "text" && jsonString(t, out, "choices", 0, "finish_reason") != "stop" {
				t.Errorf("%v", out)
			}
		})
	}
}

func TestChatTools(t *testing.T) {
	s := newOpenAIServer(t, core.Options{})
	body := with(hello, "max_tokens", 80, "tools", []any{weatherTool, clockTool})
	named := object{"type": "function", "function": object{"name": "get_weather"}}
	checkCall := func(t *testing.T, call any, names ...string) {
		t.Helper()
		name, arguments := jsonString(t, call, "function", "name"), object{}
		if err := json.Unmarshal([]byte(jsonString(t, call, "function", "arguments")), &arguments); err != nil {
			t.Errorf("%v: %v", call, err)
		}
		found := false
		for _, n := range names {
			found = found || n == name
		}
		if !found || jsonString(t, call, "type") != "function" || !strings.HasPrefix(jsonString(t, call, "id"), "call_") {
			t.Errorf("the call is %v, want one of %v", call, names)
		}
		if name == "get_weather" && arguments["city"] == nil {
			t.Errorf("the arguments are %v", arguments)
		}
	}
	for _, test := range []struct {
		name   string
		choice any
		extra  []any
		names  []string // none: no call
	}{
		{"required", "required", nil, []string{"get_weather", "get_time"}},
		{"named", named, nil, []string{"get_weather"}},
		{"allowed", object{"type": "allowed_tools", "allowed_tools": object{"mode": "required", "tools": []any{object{"type": "function", "function": object{"name": "get_time"}}}}}, nil, []string{"get_time"}},
		{"none", "none", nil, nil},
		{"named with a format", named, []any{"response_format", object{"type": "json_object"}}, []string{"get_weather"}},
		{"one call", "required", []any{"parallel_tool_calls", false}, []string{"get_weather", "get_time"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := *s
			s.TB = t
			request := with(with(body, "tool_choice", test.choice), test.extra...)
			out := s.post("/v1/chat/completions", request)
			message := jsonAt(t, out, "choices", 0, "message").(object)
			if test.names == nil {
				if message["tool_calls"] != nil || jsonString(t, message, "content") == "" {
					t.Errorf("the answer is %v", message)
				}
				return
			}
			calls := jsonList(t, message, "tool_calls")
			for _, call := range calls {
				checkCall(t, call, test.names...)
			}
			if message["content"] != nil || jsonString(t, out, "choices", 0, "finish_reason") != "tool_calls" {
				t.Errorf("the answer is %v", out)
			}
			var streamed []any
			finish := ""
			for _, e := range s.events("/v1/chat/completions", with(request, "stream", true)) {
				if e.done {
					continue
				}
				if c, there := jsonAt(t, e.data, "choices", 0, "delta").(object)["tool_calls"]; there {
					for _, call := range c.([]any) {
						if at := int(jsonNumber(t, call, "index")); at == len(streamed) {
							streamed = append(streamed, call)
						} else if at == len(streamed)-1 && call.(object)["id"] == nil {
							f := jsonAt(t, streamed[at], "function").(object)
							f["arguments"] = f["arguments"].(string) + jsonString(t, call, "function", "arguments")
						} else {
							t.Errorf("call %d of %d is %v", at, len(streamed), call)
						}
					}
				}
				if f, is := jsonAt(t, e.data, "choices", 0, "finish_reason").(string); is {
					finish = f
				}
			}
			if len(streamed) != len(calls) || finish != "tool_calls" {
				t.Fatalf("streamed %v (%s), want %v", streamed, finish, calls)
			}
			for i := range calls {
				if !reflect.DeepEqual(jsonAt(t, streamed[i], "function"), jsonAt(t, calls[i], "function")) {
					t.Errorf("streamed %v, want %v", streamed[i], calls[i])
				}
			}
		})
	}
	t.Run("auto with a format", func(t *testing.T) {
		s := *s
		s.TB = t
		out := s.post("/v1/chat/completions", with(body, "response_format", object{"type": "json_schema", "json_schema": object{"name": "w", "schema": weatherSchema}}))
		message := jsonAt(t, out, "choices", 0, "message").(object)
		if text, is := message["content"].(string); is {
			if !json.Valid([]byte(text)) {
				t.Errorf("neither a call nor JSON: %v", message)
			}
		} else if len(jsonList(t, message, "tool_calls")) == 0 {
			t.Errorf("neither a call nor JSON: %v", message)
		}
	})
	t.Run("no marks in the text", func(t *testing.T) {
		s := *s
		s.TB = t
		out := s.post("/v1/chat/completions", with(body, "max_tokens", 300, "ignore_eos", true))
		text, _ := jsonAt(t, out, "choices", 0, "message", "content").(string)
		tok := s.model().Model.Tokenizer()
		for id := range int32(tok.Len()) {
			if token := tok.Token(id); token.Type == tokenizer.Control && strings.Contains(text, token.Text) {
				t.Errorf("%q is part of %q", token.Text, text)
			}
		}
	})
	t.Run("the whole conversation", func(t *testing.T) {
		s := *s
		s.TB = t
		call := jsonAt(t, s.post("/v1/chat/completions", with(body, "tool_choice", named)), "choices", 0, "message", "tool_calls", 0)
		s.post("/v1/chat/completions", with(body, "tool_choice", "auto", "messages", []any{
			object{"role": "user", "content": "The weather?"},
			object{"role": "assistant", "content": nil, "tool_calls": []any{call}},
			object{"role": "tool", "tool_call_id": jsonAt(t, call, "id"), "content": `{"sunny": true}`},
		}))
	})
}

func TestChatPrefill(t *testing.T) {
	s := newOpenAIServer(t, core.Options{})
	whole := jsonString(t, s.post("/v1/chat/completions", with(hello, "max_tokens", 20)), "choices", 0, "message", "content")
	cut := strings.Index(whole[5:], " ") + 5
	rest := jsonString(t, s.post("/v1/chat/completions", with(hello, "max_tokens", 6, "add_generation_prompt", false, "continue_final_message", true, "messages", []any{
		hello["messages"].([]any)[0], object{"role": "assistant", "content": whole[:cut]},
	})), "choices", 0, "message", "content")
	if rest == "" || !strings.HasPrefix(rest, " ") || !strings.HasPrefix(whole[cut:], rest) {
		t.Errorf("%q is continued with %q, want the beginning of %q", whole[:cut], rest, whole[cut:])
	}
}
