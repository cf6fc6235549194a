package server

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestTokenize(t *testing.T) {
	w := newWire(t, Options{})
	var got struct{ Tokens []int32 }
	w.ask("POST", "/tokenize", jsonObject{"content": "Once upon a time"}).into(200, &got)
	plain := slices.Clone(got.Tokens)
	if len(plain) == 0 {
		t.Fatal("no tokens")
	}
	var text struct{ Content string }
	w.ask("POST", "/detokenize", jsonObject{"tokens": plain}).into(200, &text)
	if text.Content != "Once upon a time" {
		t.Errorf("%q", text.Content)
	}
	w.ask("POST", "/tokenize", jsonObject{"content": "Once upon a time", "add_special": true}).into(200, &got)
	if len(got.Tokens) <= len(plain) {
		t.Errorf("no special token was added: %v", got.Tokens)
	}
	special := got.Tokens[0]
	w.ask("POST", "/detokenize", jsonObject{"tokens": []int32{special}}).into(200, &text)
	mark := text.Content
	w.ask("POST", "/tokenize", jsonObject{"content": mark}).into(200, &got)
	if !slices.Equal(got.Tokens, []int32{special}) {
		t.Errorf("%q is %v, want %d", mark, got.Tokens, special)
	}
	w.ask("POST", "/tokenize", jsonObject{"content": mark, "parse_special": false}).into(200, &got)
	if slices.Contains(got.Tokens, special) {
		t.Errorf("%q became a control token", mark)
	}
	w.ask("POST", "/tokenize", jsonObject{"content": []any{special, "Once upon a time"}}).into(200, &got)
	if !slices.Equal(got.Tokens, append([]int32{special}, plain...)) {
		t.Errorf("%v", got.Tokens)
	}
	var pieces struct {
		Tokens []struct {
			ID    int32
			Piece any
		}
	}
	w.ask("POST", "/tokenize", jsonObject{"content": "a 🦜", "with_pieces": true}).into(200, &pieces)
	var all []byte
	bytesSeen := false
	for _, p := range pieces.Tokens {
		switch piece := p.Piece.(type) {
		case string:
			all = append(all, piece...)
		case []any:
			bytesSeen = true
			for _, b := range piece {
				all = append(all, byte(b.(float64)))
			}
		}
	}
	if string(all) != "a 🦜" || !bytesSeen {
		t.Errorf("%q, bytes: %v", all, bytesSeen)
	}
	w.ask("POST", "/tokenize", jsonObject{}).into(200, &got)
	if got.Tokens == nil || len(got.Tokens) != 0 {
		t.Errorf("%v", got.Tokens)
	}
}

func TestUtilityErrors(t *testing.T) {
	w := newWire(t, Options{})
	for _, test := range []struct {
		method, path string
		body         any
		status       int
		kind         string
	}{
		{"POST", "/tokenize", jsonObject{"content": 5}, 400, "invalid_request_error"},
		{"POST", "/tokenize", jsonObject{"content": []any{-1}}, 400, "invalid_request_error"},
		{"POST", "/tokenize", jsonObject{"model": "nobody"}, 404, "not_found_error"},
		{"POST", "/detokenize", jsonObject{"tokens": []int{1 << 30}}, 400, "invalid_request_error"},
		{"POST", "/detokenize", "[]", 400, "invalid_request_error"},
		{"POST", "/apply-template", jsonObject{}, 400, "invalid_request_error"},
		{"POST", "/infill", jsonObject{}, 501, "not_supported_error"},
		{"POST", "/completion", jsonObject{}, 400, "invalid_request_error"},
		{"POST", "/completion", jsonObject{"prompt": "x", "n_predict": 0}, 400, "invalid_request_error"},
		{"POST", "/completion", jsonObject{"prompt": "x", "grammar": "root ::= ("}, 400, "invalid_request_error"},
		{"POST", "/completion", jsonObject{"prompt": "x", "json_schema": jsonObject{"type": "x"}}, 400, "invalid_request_error"},
		{"POST", "/completion", jsonObject{"prompt": "x", "json_schema": jsonObject{}, "grammar": `root ::= "a"`}, 400, "invalid_request_error"},
		{"POST", "/completion", jsonObject{"prompt": "x", "samplers": []string{"magic"}}, 400, "invalid_request_error"},
		{"POST", "/completion", jsonObject{"prompt": "x", "temperature": -1, "stream": true}, 400, "invalid_request_error"},
		{"POST", "/completion", jsonObject{"prompt": "x", "n_probs": -1}, 400, "invalid_request_error"},
		{"POST", "/completion", jsonObject{"prompt": [][]int{{1}}}, 400, "invalid_request_error"},
		{"POST", "/completion", jsonObject{"prompt": []string{"Once", "Twice"}}, 400, "invalid_request_error"},
		{"POST", "/completion", jsonObject{"prompt": strings.Repeat("story ", 5000)}, 400, "exceed_context_size_error"},
		{"POST", "/completion", jsonObject{"prompt": "x", "t_max_predict_ms": 5}, 400, "invalid_request_error"},
		{"POST", "/completion", jsonObject{"prompt": "x", "n_indent": 2}, 400, "invalid_request_error"},
		{"POST", "/completion", jsonObject{"prompt": "x", "post_sampling_probs": true}, 400, "invalid_request_error"},
		{"POST", "/completion", jsonObject{"prompt": "x", "lora": []jsonObject{{"id": 0, "scale": 1}}}, 400, "invalid_request_error"},
		{"POST", "/embedding", jsonObject{}, 400, "invalid_request_error"},
		{"GET", "/props?model=nobody", nil, 404, "not_found_error"},
	} {
		r := w.ask(test.method, test.path, test.body)
		var e llamaError
		r.into(test.status, &e)
		if e.Error.Code != test.status || e.Error.Type != test.kind || e.Error.Message == "" {
			t.Errorf("%s %v: %s", test.path, test.body, r.body)
		}
	}
}

func TestWrongPromptNamesField(t *testing.T) {
	s := serve(t, Options{})
	s.do("POST", "/tokenize", `{"content":5}`).expect(t, 400, "content is 5; want a string")
	s.do("POST", "/apply-template", `{"messages":[{"role":"user","content":"x"},5]}`).expect(t, 400, "messages[1]")
	s.do("POST", "/apply-template", `{"messages":[{"role":"user","content":5}]}`).expect(t, 400, "messages[0]", "content")
	s.do("POST", "/completion", `{"prompt":[[1]]}`).expect(t, 400, "prompt is [[1]]; want a string")
	s.do("POST", "/v1/completions", `{"prompt":5}`).expect(t, 400, "prompt has the wrong type; want a string")
	s.do("POST", "/v1/embeddings", `{"input":5}`).expect(t, 400, "input has the wrong type; want a string")
}

func TestApplyTemplate(t *testing.T) {
	w := newWire(t, Options{})
	ask := func(more jsonObject) string {
		q := jsonObject{"messages": []jsonObject{{"role": "user", "content": "Who are you?"}}}
		for k, v := range more {
			q[k] = v
		}
		var got struct{ Prompt string }
		w.ask("POST", "/apply-template", q).into(200, &got)
		return got.Prompt
	}
	whole := ask(nil)
	bare := ask(jsonObject{"add_generation_prompt": false})
	if !strings.Contains(whole, "Who are you?") || len(bare) >= len(whole) || !strings.HasPrefix(whole, bare) {
		t.Errorf("%q, without the beginning of the answer %q", whole, bare)
	}
	if with := ask(jsonObject{"tools": []jsonObject{ollamaWeather}}); !strings.Contains(with, "get_weather") {
		t.Errorf("%q", with)
	}
}

func TestProps(t *testing.T) {
	w := newWire(t, Options{Parallel: 3})
	var got struct {
		Settings struct {
			Context int `json:"n_ctx"`
			Params  llamaSettings
		} `json:"default_generation_settings"`
		TotalSlots   int    `json:"total_slots"`
		Alias        string `json:"model_alias"`
		ChatTemplate string `json:"chat_template"`
		BOS          string `json:"bos_token"`
		EOS          string `json:"eos_token"`
	}
	w.ask("GET", "/props", nil).into(200, &got)
	if got.TotalSlots != 3 || got.Alias != "demo" || got.Settings.Context == 0 || !strings.Contains(got.ChatTemplate, "messages") || got.BOS == "" || got.EOS == "" || got.Settings.Params.Temperature == 0 {
		t.Errorf("%+v", got)
	}
	var slots []llamaSlot
	w.ask("GET", "/slots?fail_on_no_slot=1", nil).into(200, &slots)
	if len(slots) != 3 || slots[1].ID != 1 || slots[1].IsProcessing || slots[1].Context != got.Settings.Context {
		t.Errorf("%+v", slots)
	}
}

func TestCompletion(t *testing.T) {
	w := newWire(t, Options{})
	q := jsonObject{"prompt": "Once upon a time", "n_predict": 6, "temperature": 0, "return_tokens": true, "n_probs": 2}
	var whole llamaAnswer
	whole.llamaEnd = &llamaEnd{}
	w.ask("POST", "/completion", q).into(200, &whole)
	if !whole.Stop || whole.StopType != "limit" || whole.TokensPredicted != 6 || len(whole.Tokens) != 6 || len(whole.Probabilities) != 6 ||
		len(whole.Probabilities[0].Top) != 2 || whole.TokensEvaluated == 0 || whole.Timings.PredictedN != 6 || !strings.Contains(whole.Prompt, "Once upon a time") {
		t.Errorf("%+v, %+v", whole, whole.llamaEnd)
	}
	q["stream"] = true
	var text string
	events := w.ask("POST", "/completions", q).events()
	for i, e := range events {
		text += e.data["content"].(string)
		if e.data["stop"] != (i == len(events)-1) {
			t.Errorf("event %d: %v", i, e.data)
		}
	}
	if text != whole.Content || len(events) != 7 {
		t.Errorf("%d events give %q, want %q", len(events), text, whole.Content)
	}
	var begin struct{ Tokens []int32 }
	w.ask("POST", "/tokenize", jsonObject{"content": "Once", "add_special": true}).into(200, &begin)
	for _, test := range []struct {
		name       string
		more       jsonObject
		stop, word string
		check      func(text string) bool
	}{
		{"word", jsonObject{"stop": []string{"there", "was"}}, "word", "there", func(s string) bool { return !strings.Contains(s, "there") }},
		{"grammar", jsonObject{"grammar": `root ::= "yes" | "no"`}, "eos", "", func(s string) bool { return s == "yes" || s == "no" }},
		{"schema", jsonObject{"json_schema": jsonObject{"const": 7}}, "eos", "", func(s string) bool { return s == "7" }},
		{"samplers", jsonObject{"samplers": []string{"top_k", "temperature"}, "temperature": 1, "top_k": 1}, "limit", "", func(s string) bool { return s == whole.Content }},
		{"tokens", jsonObject{"prompt": []any{begin.Tokens[0], begin.Tokens[1], " upon a time"}}, "limit", "", func(s string) bool { return s == whole.Content }},
		{"ban", jsonObject{"logit_bias": []any{[]any{",", false}}}, "limit", "", func(s string) bool { return !strings.Contains(s, ",") }},
	} {
		q := jsonObject{"prompt": "Once upon a time", "n_predict": 6, "temperature": 0}
		for k, v := range test.more {
			q[k] = v
		}
		var got struct {
			Content      string
			StopType     string `json:"stop_type"`
			StoppingWord string `json:"stopping_word"`
		}
		w.ask("POST", "/completion", q).into(200, &got)
		if got.StopType != test.stop || got.StoppingWord != test.word || !test.check(got.Content) {
			t.Errorf("%s: %+v", test.name, got)
		}
	}
	var embeddings []struct{ Embedding [][]float32 }
	w.ask("POST", "/embedding", jsonObject{"content": []string{"a dog", "a cat"}}).into(200, &embeddings)
	if len(embeddings) != 2 || len(embeddings[1].Embedding) != 1 || len(embeddings[1].Embedding[0]) == 0 {
		t.Errorf("%d embeddings", len(embeddings))
	}
}

// TestStopFinder checks which of several strings is said to have ended a text.
func TestStopFinder(t *testing.T) {
	w := newWire(t, Options{})
	l, err := w.server.models.acquire(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer l.release()
	tok := l.Model.Tokenizer()
	for _, test := range []struct {
		text  string
		stops []string
		want  string
	}{
		{"one two three", []string{"two"}, "two"},
		{"one two three", []string{"three", "two"}, "two"},
		{"one two three", []string{"o three", "three", "ee"}, "o three"},
		{"one", []string{"two"}, ""},
		{"one", nil, ""},
	} {
		f := newStopFinder(tok, false, test.stops...)
		got := ""
		for _, id := range tok.Encode(test.text) {
			if f.push(id); got == "" {
				got = f.found()
			}
		}
		if got != test.want {
			t.Errorf("%q with %q: %q, want %q", test.text, test.stops, got, test.want)
		}
	}
}

// FuzzRequests decodes bodies as requests of all endpoints of these APIs: none
// panics, and what is refused is refused as the client's fault.
func FuzzRequests(f *testing.F) {
	for _, seed := range []string{
		`{"model":"demo","prompt":"x","options":{"stop":"a","seed":3},"keep_alive":"5m","format":"json","think":false}`,
		`{"model":"demo","messages":[{"role":"user","content":[{"type":"text","text":"x"},{"type":"tool_result","content":[{"type":"text"}]}]}],"max_tokens":5}`,
		`{"keep_alive":-1,"format":{"type":"object"},"think":"high","messages":[{"tool_calls":[{"function":{"name":"x","arguments":{"a":1}}}]}]}`,
		`{"prompt":["a",5],"samplers":["top_k"],"logit_bias":[[1,2],["a",false]],"json_schema":{}}`,
		`{"logit_bias":{"1":5},"content":[[]],"stop":5,"input":["x"],"system":"x"}`, `null`, `[]`, `{"keep_alive":1e300}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, v := range []any{new(ollamaGenerateRequest), new(ollamaChatRequest), new(ollamaEmbedRequest), new(anthropicRequest), new(llamaCompletion)} {
			if err := json.Unmarshal(body, v); err != nil {
				if e := classify(bodyError(err)); e.status < 400 || e.status >= 500 || e.message == "" {
					t.Errorf("%T: status %d: %s", v, e.status, e.message)
				}
				continue
			}
			switch q := v.(type) {
			case *ollamaChatRequest:
				_, _ = q.messages() // an error is fine, a panic is not
			case *ollamaGenerateRequest:
				_ = q.check()
			case *anthropicRequest:
				_, _ = q.conversation()
			}
		}
	})
}
