package llamacpp

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	_ "trit/demo"
	"trit/sample"
	"trit/server/core"
	"trit/server/internal/servertest"
)

func TestTokenize(t *testing.T) {
	w := servertest.NewWire(t, core.Options{}, Routes)
	var got struct{ Tokens []int32 }
	w.Ask("POST", "/tokenize", servertest.Object{"content": "Once upon a time"}).Into(200, &got)
	plain := slices.Clone(got.Tokens)
	if len(plain) == 0 {
		t.Fatal("no tokens")
	}
	var text struct{ Content string }
	w.Ask("POST", "/detokenize", servertest.Object{"tokens": plain}).Into(200, &text)
	if text.Content != "Once upon a time" {
		t.Errorf("%q", text.Content)
	}
	w.Ask("POST", "/tokenize", servertest.Object{"content": "Once upon a time", "add_special": true}).Into(200, &got)
	if len(got.Tokens) <= len(plain) {
		t.Errorf("no special token was added: %v", got.Tokens)
	}
	special := got.Tokens[0]
	w.Ask("POST", "/detokenize", servertest.Object{"tokens": []int32{special}}).Into(200, &text)
	mark := text.Content
	w.Ask("POST", "/tokenize", servertest.Object{"content": mark}).Into(200, &got)
	if !slices.Equal(got.Tokens, []int32{special}) {
		t.Errorf("%q is %v, want %d", mark, got.Tokens, special)
	}
	w.Ask("POST", "/tokenize", servertest.Object{"content": mark, "parse_special": false}).Into(200, &got)
	if slices.Contains(got.Tokens, special) {
		t.Errorf("%q became a control token", mark)
	}
	w.Ask("POST", "/tokenize", servertest.Object{"content": []any{special, "Once upon a time"}}).Into(200, &got)
	if !slices.Equal(got.Tokens, append([]int32{special}, plain...)) {
		t.Errorf("%v", got.Tokens)
	}
	var pieces struct {
		Tokens []struct {
			ID    int32
			Piece any
		}
	}
	w.Ask("POST", "/tokenize", servertest.Object{"content": "a 🦜", "with_pieces": true}).Into(200, &pieces)
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
	w.Ask("POST", "/tokenize", servertest.Object{}).Into(200, &got)
	if got.Tokens == nil || len(got.Tokens) != 0 {
		t.Errorf("%v", got.Tokens)
	}
}

// words returns a text of n words, which are n+3 tokens.
func words(n int) string { return strings.TrimSpace(strings.Repeat(" story", n)) }

func TestUtilityErrors(t *testing.T) {
	w := servertest.NewWire(t, core.Options{}, Routes)
	// What is as large as it may be is served.
	w.Ask("POST", "/completion", servertest.Object{"prompt": "x", "n_probs": 1000, "n_predict": 1}).Into(200, nil)
	w.Ask("POST", "/embedding", servertest.Object{"content": words(509)}).Into(200, nil)
	for _, test := range []struct {
		method, path string
		body         any
		status       int
		kind         string
	}{
		{"POST", "/tokenize", servertest.Object{"content": 5}, 400, "invalid_request_error"},
		{"POST", "/tokenize", servertest.Object{"content": []any{-1}}, 400, "invalid_request_error"},
		{"POST", "/tokenize", servertest.Object{"model": "nobody"}, 404, "not_found_error"},
		{"POST", "/detokenize", servertest.Object{"tokens": []int{1 << 30}}, 400, "invalid_request_error"},
		{"POST", "/detokenize", "[]", 400, "invalid_request_error"},
		{"POST", "/apply-template", servertest.Object{}, 400, "invalid_request_error"},
		{"POST", "/infill", servertest.Object{}, 501, "not_supported_error"},
		{"POST", "/completion", servertest.Object{}, 400, "invalid_request_error"},
		{"POST", "/completion", servertest.Object{"prompt": "x", "grammar": "root ::= ("}, 400, "invalid_request_error"},
		{"POST", "/completion", servertest.Object{"prompt": "x", "json_schema": servertest.Object{"type": "x"}}, 400, "invalid_request_error"},
		{"POST", "/completion", servertest.Object{"prompt": "x", "json_schema": servertest.Object{}, "grammar": `root ::= "a"`}, 400, "invalid_request_error"},
		{"POST", "/completion", servertest.Object{"prompt": "x", "samplers": []string{"magic"}}, 400, "invalid_request_error"},
		{"POST", "/completion", servertest.Object{"prompt": "x", "temperature": -1, "stream": true}, 400, "invalid_request_error"},
		{"POST", "/completion", servertest.Object{"prompt": "x", "n_probs": -1}, 400, "invalid_request_error"},
		{"POST", "/completion", servertest.Object{"prompt": [][][]int{{{1}}}}, 400, "invalid_request_error"},
		{"POST", "/completion", servertest.Object{"prompt": make([]string, 2049)}, 400, "invalid_request_error"},
		{"POST", "/completion", servertest.Object{"prompt": strings.Repeat("story ", 5000)}, 400, "exceed_context_size_error"},
		{"POST", "/completion", servertest.Object{"prompt": "x", "t_max_predict_ms": 5}, 400, "invalid_request_error"},
		{"POST", "/completion", servertest.Object{"prompt": "x", "n_indent": 2}, 400, "invalid_request_error"},
		{"POST", "/completion", servertest.Object{"prompt": "x", "lora": []servertest.Object{{"id": 0, "scale": 1}}}, 400, "invalid_request_error"},
		{"POST", "/completion", servertest.Object{"prompt": "x", "n_probs": 1001}, 400, "invalid_request_error"},
		{"POST", "/embedding", servertest.Object{}, 400, "invalid_request_error"},
		{"POST", "/embedding", servertest.Object{"content": words(510)}, 400, "exceed_context_size_error"},
		{"GET", "/props?model=nobody", nil, 404, "not_found_error"},
	} {
		r := w.Ask(test.method, test.path, test.body)
		var e errorReply
		r.Into(test.status, &e)
		if e.Error.Code != test.status || e.Error.Type != test.kind || e.Error.Message == "" {
			t.Errorf("%s %v: %s", test.path, test.body, r.Body)
		}
	}
}

func TestWrongPromptNamesField(t *testing.T) {
	w := servertest.NewWire(t, core.Options{}, Routes)
	for _, test := range []struct {
		path, body string
		says       []string
	}{
		{"/tokenize", `{"content":5}`, []string{"content is 5; want a string"}},
		{"/apply-template", `{"messages":[{"role":"user","content":"x"},5]}`, []string{"messages[1]"}},
		{"/apply-template", `{"messages":[{"role":"user","content":5}]}`, []string{"messages[0]", "content"}},
		{"/embedding", `{"content":["a","` + words(510) + `"]}`, []string{"text 1 has 513 tokens; want 1 to 512"}},
		{"/completion", `{"prompt":[[[1]]]}`, []string{"prompt is [[[1]]]; want a string"}},
		{"/completion", `{"prompt":[5` + strings.Repeat(`,""`, 512) + `]}`, []string{"prompt has 513 parts", "at least 513 tokens"}},
		{"/completion", `{"prompt":[[5,"` + words(510) + `","` + strings.Repeat("a", 9000) + `"]]}`, []string{"prompt has 3 parts"}},
		{"/tokenize", `{"content":["a"` + strings.Repeat(",5", 512) + `]}`, []string{"content has 513 parts"}},
	} {
		var e errorReply
		w.Ask("POST", test.path, test.body).Into(400, &e)
		for _, want := range test.says {
			if !strings.Contains(e.Error.Message, want) {
				t.Errorf("%s %s: %q does not mention %q", test.path, test.body, e.Error.Message, want)
			}
		}
	}
}

func TestApplyTemplate(t *testing.T) {
	w := servertest.NewWire(t, core.Options{}, Routes)
	ask := func(more servertest.Object) string {
		q := servertest.Object{"messages": []servertest.Object{{"role": "user", "content": "Who are you?"}}}
		for k, v := range more {
			q[k] = v
		}
		var got struct{ Prompt string }
		w.Ask("POST", "/apply-template", q).Into(200, &got)
		return got.Prompt
	}
	whole := ask(nil)
	bare := ask(servertest.Object{"add_generation_prompt": false})
	if !strings.Contains(whole, "Who are you?") || len(bare) >= len(whole) || !strings.HasPrefix(whole, bare) {
		t.Errorf("%q, without the beginning of the answer %q", whole, bare)
	}
	if with := ask(servertest.Object{"tools": []servertest.Object{servertest.Weather}}); !strings.Contains(with, "get_weather") {
		t.Errorf("%q", with)
	}
}

func TestProps(t *testing.T) {
	w := servertest.NewWire(t, core.Options{Parallel: 3}, Routes)
	var got struct {
		Settings struct {
			Context int `json:"n_ctx"`
			Params  generationSettings
		} `json:"default_generation_settings"`
		TotalSlots   int    `json:"total_slots"`
		Alias        string `json:"model_alias"`
		ChatTemplate string `json:"chat_template"`
		BOS          string `json:"bos_token"`
		EOS          string `json:"eos_token"`
	}
	w.Ask("GET", "/props", nil).Into(200, &got)
	if got.TotalSlots != 3 || got.Alias != "demo" || got.Settings.Context == 0 || !strings.Contains(got.ChatTemplate, "messages") || got.BOS == "" || got.EOS == "" {
		t.Errorf("%+v", got)
	}
	for name, want := range map[string]any{"seed": 4294967295., "max_tokens": -1., "n_predict": -1.} {
		if v := got.Settings.Params[name]; v != want {
			t.Errorf("%s is %v, want %v", name, v, want)
		}
	}
	neutral := sample.Neutral() // the demo recommends all that is not
	for _, p := range sample.Params() {
		if v, ok := got.Settings.Params[p.Name].(float64); !ok || !p.Recommended && v != p.Get(&neutral) {
			t.Errorf("%s is %v, want %v", p.Name, got.Settings.Params[p.Name], p.Get(&neutral))
		}
	}
	var slots []slotReply
	w.Ask("GET", "/slots?fail_on_no_slot=1", nil).Into(200, &slots)
	if len(slots) != 3 || slots[1].ID != 1 || slots[1].IsProcessing || slots[1].Context != got.Settings.Context {
		t.Errorf("%+v", slots)
	}
}

func TestCompletion(t *testing.T) {
	w := servertest.NewWire(t, core.Options{}, Routes)
	q := servertest.Object{"prompt": "Once upon a time", "n_predict": 6, "temperature": 0, "return_tokens": true, "n_probs": 2}
	var whole completionReply
	whole.replyEnd = &replyEnd{}
	w.Ask("POST", "/completion", q).Into(200, &whole)
	if !whole.Stop || whole.StopType != "limit" || whole.TokensPredicted != 6 || len(whole.Tokens) != 6 || len(whole.Probabilities) != 6 ||
		len(*whole.Probabilities[0].Top) != 2 || whole.TokensEvaluated == 0 || whole.Timings.PredictedN != 6 || !strings.Contains(whole.Prompt, "Once upon a time") {
		t.Errorf("%+v, %+v", whole, whole.replyEnd)
	}
	var sampled completionReply
	sampled.replyEnd = &replyEnd{}
	w.Ask("POST", "/completion", servertest.Object{"prompt": "Once upon a time", "n_predict": 3, "temperature": 1, "top_k": 2, "n_probs": 5,
		"post_sampling_probs": true}).Into(200, &sampled)
	for i, p := range sampled.Probabilities {
		top := *p.TopProbs
		if len(top) == 0 || len(top) > 2 || p.Logprob != nil || p.Top != nil {
			t.Fatalf("token %d: %+v", i, p)
		}
		sum, found := 0.0, false
		for _, c := range top {
			sum += *c.Prob
			found = found || c.ID == p.ID && *c.Prob == *p.Prob
		}
		if math.Abs(sum-1) > 1e-9 || !found {
			t.Errorf("token %d: %v of 1, in the list %v", i, sum, found)
		}
	}
	if len(sampled.Probabilities) != 3 {
		t.Errorf("%d tokens with probabilities", len(sampled.Probabilities))
	}
	q["stream"] = true
	var text string
	events := w.Ask("POST", "/completions", q).Events()
	for i, e := range events {
		text += e.Data["content"].(string)
		if e.Data["stop"] != (i == len(events)-1) {
			t.Errorf("event %d: %v", i, e.Data)
		}
	}
	if text != whole.Content || len(events) != 7 {
		t.Errorf("%d events give %q, want %q", len(events), text, whole.Content)
	}
	var begin struct{ Tokens []int32 }
	w.Ask("POST", "/tokenize", servertest.Object{"content": "Once", "add_special": true}).Into(200, &begin)
	for _, test := range []struct {
		name       string
		more       servertest.Object
		stop, word string
		check      func(text string) bool
	}{
		{"word", servertest.Object{"stop": []string{"there", "was"}}, "word", "there", func(s string) bool { return !strings.Contains(s, "there") }},
		{"grammar", servertest.Object{"grammar": `root ::= "yes" | "no"`}, "eos", "", func(s string) bool { return s == "yes" || s == "no" }},
		{"schema", servertest.Object{"json_schema": servertest.Object{"const": 7}}, "eos", "", func(s string) bool { return s == "7" }},
		{"samplers", servertest.Object{"samplers": []string{"top_k", "temperature"}, "temperature": 1, "top_k": 1}, "limit", "", func(s string) bool { return s == whole.Content }},
		{"tokens", servertest.Object{"prompt": []any{begin.Tokens[0], begin.Tokens[1], " upon a time"}}, "limit", "", func(s string) bool { return s == whole.Content }},
		{"ban", servertest.Object{"logit_bias": []any{[]any{",", false}}}, "limit", "", func(s string) bool { return !strings.Contains(s, ",") }},
	} {
		q := servertest.Object{"prompt": "Once upon a time", "n_predict": 6, "temperature": 0}
		for k, v := range test.more {
			q[k] = v
		}
		var got struct {
			Content      string
			StopType     string `json:"stop_type"`
			StoppingWord string `json:"stopping_word"`
		}
		w.Ask("POST", "/completion", q).Into(200, &got)
		if got.StopType != test.stop || got.StoppingWord != test.word || !test.check(got.Content) {
			t.Errorf("%s: %+v", test.name, got)
		}
	}
	var embeddings []struct{ Embedding [][]float32 }
	w.Ask("POST", "/embedding", servertest.Object{"content": []string{"a dog", "a cat"}}).Into(200, &embeddings)
	if len(embeddings) != 2 || len(embeddings[1].Embedding) != 1 || len(embeddings[1].Embedding[0]) == 0 {
		t.Errorf("%d embeddings", len(embeddings))
	}
}

// TestTruncated: an answer is truncated if the context is full, not if it has the length that was asked for.
func TestTruncated(t *testing.T) {
	w := servertest.NewWire(t, core.Options{}, Routes)
	prompt := make([]int32, 512)
	for i := range prompt {
		prompt[i] = 100
	}
	for _, test := range []struct {
		prompt, predict int
		truncated       bool
	}{{500, 12, true}, {500, 11, false}, {3, 4, false}, {500, -1, true}} {
		var out struct {
			Truncated bool   `json:"truncated"`
			StopType  string `json:"stop_type"`
		}
		w.Ask("POST", "/completion", servertest.Object{"prompt": prompt[:test.prompt], "n_predict": test.predict, "ignore_eos": true,
			"temperature": 0}).Into(200, &out)
		if out.Truncated != test.truncated || out.StopType != "limit" {
			t.Errorf("%+v: %+v", test, out)
		}
	}
	w.Ask("POST", "/completion", servertest.Object{"prompt": prompt}).Into(400, nil) // leaves no room for an answer
}

// TestErrorInStream ends a stream in the middle.
func TestErrorInStream(t *testing.T) {
	w := servertest.NewWire(t, core.Options{}, Routes)
	w.Server.Generate = servertest.BreakingOff
	got := strings.TrimSpace(string(w.Ask("POST", "/completion", servertest.Object{"prompt": "x", "stream": true}).Body))
	want := `data: {"error":{"code":503,"message":"the memory is gone","type":"unavailable_error"}}`
	if !strings.Contains(got, "one") || !strings.HasSuffix(got, want) {
		t.Errorf("%s\nwant %s at the end", got, want)
	}
}

// FuzzRequests decodes bodies: none panics, and what is refused is refused as
// the client's fault.
func FuzzRequests(f *testing.F) {
	f.Add([]byte(`{"prompt":["a",5],"samplers":["top_k"],"logit_bias":[[1,2],["a",false]],"json_schema":{}}`))
	f.Add([]byte(`{"logit_bias":{"1":5},"content":[[]],"stop":5}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		servertest.Decode(t, body, new(completionRequest))
	})
}

// TestParameters: every sampling parameter of a request reaches the generation, by
// its name and by its synonym.
func TestParameters(t *testing.T) {
	w := servertest.NewWire(t, core.Options{}, Routes)
	for _, synonyms := range []bool{false, true} {
		request := map[string]any{"prompt": "Once", "n_predict": 1}
		want := map[string]float64{}
		for _, p := range sample.Params() {
			v := max(p.Min, 0.5)
			if p.Whole() {
				v = min(p.Max, 3)
			}
			name := p.Name
			if synonyms && p.Synonym != "" {
				name = p.Synonym
			}
			request[name], want[p.Name] = v, v
		}
		var got struct {
			Settings map[string]any `json:"generation_settings"`
		}
		w.Ask("POST", "/completion", request).Into(200, &got)
		for name, v := range want {
			if got.Settings[name] != v {
				t.Errorf("%s is %v, want %v", name, got.Settings[name], v)
			}
		}
	}
}

// TestSlots: what is kept of past prompts is saved, erased and restored, in a folder that the operator names.
func TestSlots(t *testing.T) {
	folder := t.TempDir()
	w := servertest.NewWire(t, core.Options{SlotSavePath: folder}, Routes)
	long := servertest.Object{"prompt": strings.Repeat("Once upon a time there was a dog. ", 12), "n_predict": 1}
	cached := func() int {
		t.Helper()
		var r struct {
			Cached int `json:"tokens_cached"`
		}
		w.Ask("POST", "/completion", long).Into(200, &r)
		return r.Cached
	}
	erase := func() int {
		t.Helper()
		var erased slotErased
		w.Ask("POST", "/slots/1?action=erase", nil).Into(200, &erased)
		return erased.Erased
	}
	if first, second := cached(), cached(); first != 0 || second < 64 {
		t.Fatalf("%d and then %d tokens come from the cache", first, second)
	}
	var saved slotSaved
	w.Ask("POST", "/slots/0?action=save", servertest.Object{"filename": "a.bin"}).Into(200, &saved)
	info, err := os.Stat(filepath.Join(folder, "a.bin"))
	if err != nil || saved.Saved < 64 || saved.Written != info.Size() || saved.File != "a.bin" {
		t.Errorf("%+v, %v", saved, err)
	}
	if n := erase(); n != saved.Saved || cached() != 0 || erase() != saved.Saved {
		t.Errorf("%d tokens are erased, and %d saved", n, saved.Saved)
	}
	var restored slotRestored
	w.Ask("POST", "/slots/0?action=restore", servertest.Object{"filename": "a.bin"}).Into(200, &restored)
	if restored.Restored != saved.Saved || restored.Read != saved.Written || cached() < 64 {
		t.Errorf("%+v of %+v is restored", restored, saved)
	}
	if err := os.WriteFile(filepath.Join(folder, "b.bin"), []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, q := range map[string]struct{ file, says string }{
		"/slots/0?action=restore": {"b.bin", "is not one of prompts"}, "/slots/1?action=restore": {"none.bin", "there is no file"},
		"/slots/0?action=save": {"../a.bin", "without a folder"}, "/slots/1?action=save": {".hidden", "without a folder"}, "/slots/4?action=save": {"a/b.bin", "without a folder"},
		"/slots/3?action=save": {strings.Repeat("a", 256), "without a folder"}, "/slots/3?action=restore": {strings.Repeat("a", 255), "there is no file"}, "/slots/2?action=save": {"", "without a folder"}, "/slots/0?action=fly": {"a.bin", "want save, restore or erase"},
		"/slots/8?action=save": {"a.bin", "want 0 to 7"}, "/slots/-1?action=save": {"a.bin", "want 0 to 7"}, "/slots/x?action=save": {"a.bin", "want 0 to 7"},
	} {
		if r := w.Ask("POST", path, servertest.Object{"filename": q.file}); r.Status != 400 || !strings.Contains(string(r.Body), q.says) ||
			strings.Contains(string(r.Body), folder) {
			t.Errorf("%s %s: %d %s", path, q.file, r.Status, r.Body)
		}
	}
	w = servertest.NewWire(t, core.Options{}, Routes)
	w.Ask("POST", "/slots/0?action=erase", nil).Into(501, nil)
}

// TestVLLMTokens: /tokenize and /detokenize in vLLM's form.
func TestVLLMTokens(t *testing.T) {
	w := servertest.NewWire(t, core.Options{}, Routes)
	var a, b vllmTokens
	w.Ask("POST", "/tokenize", servertest.Object{"prompt": "Hi there", "return_token_strs": true}).Into(200, &a)
	w.Ask("POST", "/tokenize", servertest.Object{"prompt": "Hi there", "add_special_tokens": false}).Into(200, &b)
	if a.Count != len(a.Tokens) || a.Count != len(a.Strings) || a.Context != 512 || len(b.Tokens) != len(a.Tokens)-1 || b.Strings != nil {
		t.Errorf("%+v, and without special tokens %+v", a, b)
	}
	var text detokenizeReply
	w.Ask("POST", "/detokenize", servertest.Object{"tokens": b.Tokens}).Into(200, &text)
	if text.Prompt != "Hi there" || text.Content != text.Prompt {
		t.Errorf("the text is %+v", text)
	}
	hi := []servertest.Object{{"role": "user", "content": "Hi"}}
	var answered, bare struct{ Tokens []int32 }
	var prompt struct{ Prompt string }
	w.Ask("POST", "/tokenize", servertest.Object{"messages": hi}).Into(200, &answered)
	w.Ask("POST", "/tokenize", servertest.Object{"messages": hi, "add_generation_prompt": false}).Into(200, &bare)
	w.Ask("POST", "/apply-template", servertest.Object{"messages": hi}).Into(200, &prompt)
	w.Ask("POST", "/detokenize", servertest.Object{"tokens": answered.Tokens}).Into(200, &text)
	if len(bare.Tokens) >= len(answered.Tokens) || !strings.HasSuffix(text.Prompt, prompt.Prompt) {
		t.Errorf("%d tokens, %d without the beginning of an answer; %q, and the template gives %q", len(answered.Tokens), len(bare.Tokens), text.Prompt, prompt.Prompt)
	}
	w.Ask("POST", "/tokenize", servertest.Object{"messages": hi, "prompt": "Hi"}).Into(400, nil)
	w.Ask("POST", "/tokenize", servertest.Object{"messages": []servertest.Object{}}).Into(400, nil)
}

// TestServersLimit: the operator's limit holds where a request has none.
func TestServersLimit(t *testing.T) {
	w := servertest.NewWire(t, core.Options{MaxTokens: 3}, Routes)
	for n, want := range map[any]int{nil: 3, 2: 2} {
		var r struct {
			Predicted int `json:"tokens_predicted"`
		}
		w.Ask("POST", "/completion", servertest.Object{"prompt": "Once upon a time", "n_predict": n, "ignore_eos": true}).Into(200, &r)
		if r.Predicted != want {
			t.Errorf("n_predict %v: %d tokens", n, r.Predicted)
		}
	}
}
