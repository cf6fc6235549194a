package openai

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"trit"
	"trit/internal/inside"
	"trit/server/core"
	"trit/server/internal/servertest"
	"trit/tokenizer"
)

func TestModels(t *testing.T) {
	servertest.Copies(t, "other")
	s := newOpenAIServer(t, core.Options{Aliases: map[string]string{"gpt-4o": "demo", "claude": "other"}})
	s.model() // loads it
	status, out := s.call("GET", "/v1/models", nil)
	if status != 200 || len(jsonList(t, out, "data")) == 0 || jsonString(t, out, "data", 0, "id") != "demo" || jsonString(t, out, "data", 0, "object") != "model" {
		t.Errorf("%d %v", status, out)
	}
	var got []string
	for _, m := range jsonList(t, out, "data") {
		got = append(got, fmt.Sprintf("%s=%s %s", jsonString(t, m, "id"), jsonString(t, m, "root"), jsonString(t, m, "status", "value")))
	}
	want := []string{"demo=demo loaded", "gpt-4o=demo loaded", "other=other unloaded", "claude=other unloaded"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("models (-want +got):\n%s", diff)
	}
	status, out = s.call("GET", "/v1/models/claude", nil)
	if status != 200 || jsonString(t, out, "id") != "claude" || jsonString(t, out, "root") != "other" {
		t.Errorf("%d %v", status, out)
	}
	status, out = s.call("GET", "/v1/models/demo", nil)
	checkSchema(t, "Model", out)
	if status != 200 || jsonString(t, out, "id") != "demo" {
		t.Errorf("%d %v", status, out)
	}
}

func TestEmbeddings(t *testing.T) {
	s := newOpenAIServer(t, core.Options{})
	model := s.model()
	texts := []string{"The dog sat.", "Lily and Tom went to the park.", "x"}
	out := s.post("/v1/embeddings", object{"model": "demo", "input": texts})
	tokens := 0
	for i, text := range texts {
		want, err := model.Model.Embed(t.Context(), text)
		if err != nil {
			t.Fatal(err)
		}
		got := jsonList(t, out, "data", i, "embedding")
		if len(got) != len(want) || jsonNumber(t, out, "data", i, "index") != float64(i) {
			t.Fatalf("text %d has %d elements, want %d", i, len(got), len(want))
		}
		sum := 0.0
		for k, v := range got {
			if float32(v.(float64)) != want[k] {
				t.Fatalf("text %d, element %d: %v, want %v", i, k, v, want[k])
			}
			sum += v.(float64) * v.(float64)
		}
		if math.Abs(sum-1) > 1e-4 {
			t.Errorf("text %d has the length %v", i, math.Sqrt(sum))
		}
		tokens += len(model.Model.Tokenize(text))
	}
	if jsonNumber(t, out, "usage", "prompt_tokens") != float64(tokens) || jsonNumber(t, out, "usage", "total_tokens") != float64(tokens) {
		t.Errorf("usage is %v, want %d", out["usage"], tokens)
	}
	one := s.post("/v1/embeddings", object{"input": texts[0], "dimensions": inside.Of(model.Model).Weights.Config.Hidden})
	if !reflect.DeepEqual(jsonAt(t, one, "data", 0, "embedding"), jsonAt(t, out, "data", 0, "embedding")) {
		t.Error("a text alone has another vector")
	}
	cut, err := model.Model.Embed(t.Context(), texts[0], trit.Dimensions(16))
	if err != nil {
		t.Fatal(err)
	}
	short := jsonList(t, s.post("/v1/embeddings", object{"input": texts[0], "dimensions": 16}), "data", 0, "embedding")
	for k := range cut {
		if len(short) != 16 || float32(short[k].(float64)) != cut[k] {
			t.Fatalf("16 dimensions are %v, want %v", short, cut)
		}
	}
	ids := s.post("/v1/embeddings", object{"input": model.Model.Tokenize(texts[0])})
	if !reflect.DeepEqual(jsonAt(t, ids, "data", 0, "embedding"), jsonAt(t, out, "data", 0, "embedding")) {
		t.Error("the tokens of a text have another vector")
	}
	// The description has no word for it, so it is not checked.
	res := s.send("POST", "/v1/embeddings", object{"input": [][]int32{model.Model.Tokenize(texts[0])}, "encoding_format": "base64"})
	var encoded struct {
		Data []struct{ Embedding string }
	}
	if err := json.NewDecoder(res.Body).Decode(&encoded); err != nil {
		t.Fatal(err)
	}
	want, err := model.Model.Embed(t.Context(), texts[0])
	if err != nil {
		t.Fatal(err)
	}
	if encoded.Data[0].Embedding != base64Vector(want) || len(base64Vector(want)) < len(want)*4 {
		t.Error("base64 is another vector")
	}
}

// TestRerank: a clear refusal, as no model of the kind exists.
func TestRerank(t *testing.T) {
	s := newOpenAIServer(t, core.Options{})
	for _, path := range []string{"/v1/rerank", "/rerank", "/v1/reranking", "/reranking"} {
		status, out := s.call("POST", path, object{"model": "demo", "query": "x", "documents": []string{"y"}})
		if status != 501 || !strings.Contains(jsonString(t, out, "error", "message"), "/v1/embeddings") {
			t.Errorf("%s: %d %v", path, status, out)
		}
	}
}

func TestCompletions(t *testing.T) {
	s := newOpenAIServer(t, core.Options{})
	model := s.model()
	tok := model.Model.Tokenizer()
	out := s.post("/v1/completions", story)
	text := jsonString(t, out, "choices", 0, "text")
	if !strings.HasPrefix(jsonString(t, out, "id"), "cmpl-") || text == "" || jsonString(t, out, "choices", 0, "finish_reason") != "length" || jsonNumber(t, out, "usage", "completion_tokens") != 12 {
		t.Errorf("%v", out)
	}
	if n := jsonNumber(t, s.post("/v1/completions", object{"prompt": "Once", "ignore_eos": true}), "usage", "completion_tokens"); n != 16 {
		t.Errorf("%v tokens by default", n)
	}
	// Several prompts in all forms.
	prompt := story["prompt"].(string)
	for _, form := range []any{[]string{prompt, "The dog"}, [][]int32{tok.Encode(prompt), tok.Encode("The dog")}} {
		out := s.post("/v1/completions", with(story, "prompt", form, "n", 2))
		if len(jsonList(t, out, "choices")) != 4 || jsonString(t, out, "choices", 0, "text") != text || jsonString(t, out, "choices", 1, "text") != text || jsonString(t, out, "choices", 2, "text") == text {
			t.Errorf("%v", out)
		}
		for i, c := range jsonList(t, out, "choices") {
			if jsonNumber(t, c, "index") != float64(i) {
				t.Errorf("choice %d is %v", i, c)
			}
		}
		texts := make([]string, 4)
		ends := 0
		for _, e := range s.events("/v1/completions", with(story, "prompt", form, "n", 2, "stream", true)) {
			if e.done {
				continue
			}
			texts[int(jsonNumber(t, e.data, "choices", 0, "index"))] += jsonString(t, e.data, "choices", 0, "text")
			if jsonAt(t, e.data, "choices", 0, "finish_reason") != nil {
				ends++
			}
		}
		for i, got := range texts {
			if got != jsonString(t, out, "choices", i, "text") {
				t.Errorf("choice %d streamed is %q", i, got)
			}
		}
		if ends != 4 {
			t.Errorf("%d ends", ends)
		}
	}
	// Echo.
	if got := jsonString(t, s.post("/v1/completions", with(story, "echo", true)), "choices", 0, "text"); got != prompt+text {
		t.Errorf("echo gives %q", got)
	}
	streamed := ""
	var usages []any
	for _, e := range s.events("/v1/completions", with(story, "echo", true, "stream", true, "stream_options", object{"include_usage": true})) {
		switch {
		case e.done:
		case len(jsonList(t, e.data, "choices")) > 0:
			streamed += jsonString(t, e.data, "choices", 0, "text")
		default:
			usages = append(usages, jsonAt(t, e.data, "usage", "completion_tokens"))
		}
	}
	if streamed != prompt+text {
		t.Errorf("echo streams %q", streamed)
	}
	if want := jsonNumber(t, s.post("/v1/completions", story), "usage", "completion_tokens"); len(usages) != 1 || usages[0] != want {
		t.Errorf("the stream ends with the usages %v, want one of %v", usages, want)
	}
	both := make([]string, 2)
	for _, e := range s.events("/v1/completions", with(story, "echo", true, "n", 2, "stream", true)) {
		if !e.done {
			both[int(jsonNumber(t, e.data, "choices", 0, "index"))] += jsonString(t, e.data, "choices", 0, "text")
		}
	}
	if want := []string{prompt + text, prompt + text}; !slices.Equal(both, want) {
		t.Errorf("two choices with an echo stream %q, want %q", both, want)
	}
	if got := s.post("/v1/completions", with(story, "echo", true, "max_tokens", 0)); jsonString(t, got, "choices", 0, "text") != prompt || jsonNumber(t, got, "usage", "completion_tokens") != 0 {
		t.Errorf("nothing but an echo is %v", got)
	}
	// best_of takes the likeliest of the answers.
	sampled := with(story, "temperature", 1.0, "seed", 11, "logprobs", 0)
	mean := func(c any) float64 {
		sum := 0.0
		l := jsonList(t, c, "logprobs", "token_logprobs")
		for _, v := range l {
			sum += v.(float64)
		}
		return sum / float64(len(l))
	}
	best, all := math.Inf(-1), s.post("/v1/completions", with(sampled, "n", 5))
	for _, c := range jsonList(t, all, "choices") {
		best = max(best, mean(c))
	}
	some := s.post("/v1/completions", with(sampled, "n", 2, "best_of", 5))
	if c := jsonList(t, some, "choices"); len(c) != 2 || mean(c[0]) != best || mean(c[0]) < mean(c[1]) {
		t.Errorf("best_of gives %v, want the best first, which has %v", c, best)
	}
	if jsonNumber(t, some, "usage", "completion_tokens") != jsonNumber(t, all, "usage", "completion_tokens") {
		t.Errorf("usage %v, want that of all answers", some["usage"])
	}
}

func TestCompletionLogProbs(t *testing.T) {
	s := newOpenAIServer(t, core.Options{})
	tok := s.model().Model.Tokenizer()
	prompt := "Once upon a time, Zoë the cat"
	body := with(story, "prompt", prompt, "echo", true, "logprobs", 2)
	check := func(t *testing.T, out object, body object) {
		text := []rune(jsonString(t, out, "choices", 0, "text"))
		l := jsonAt(t, out, "choices", 0, "logprobs")
		tokens, offsets, probs, tops := jsonList(t, l, "tokens"), jsonList(t, l, "text_offset"), jsonList(t, l, "token_logprobs"), jsonList(t, l, "top_logprobs")
		if len(tokens) != len(offsets) || len(tokens) != len(probs) || len(tokens) != len(tops) || len(tokens) == 0 {
			t.Fatalf("%d tokens, %d offsets, %d and %d probabilities", len(tokens), len(offsets), len(probs), len(tops))
		}
		end := 0
		for i := range tokens {
			offset := int(offsets[i].(float64))
			if offset < end {
				t.Errorf("token %d at %d, the one before ended at %d", i, offset, end)
			}
			if name := tokens[i].(string); !strings.HasPrefix(name, "bytes:") && i > 0 {
				n := utf8.RuneCountInString(name)
				if got := string(text[offset:min(offset+n, len(text))]); got != name {
					t.Errorf("token %d is %q, the text there is %q", i, name, got)
				}
				end = offset + n
			}
			if probs[i] == nil {
				if i > 0 || tops[i] != nil {
					t.Errorf("token %d has no probability", i)
				}
				continue
			}
			if top := tops[i].(object); len(top) < 2 || len(top) > 3 || top[tokens[i].(string)] != probs[i] {
				t.Errorf("token %d: %v, top %v", i, probs[i], top)
			}
		}
	}
	out := s.post("/v1/completions", body)
	check(t, out, body)
	ids := tok.Encode(prompt)
	byID := s.post("/v1/completions", with(body, "prompt", ids))
	check(t, byID, body)
	if n, m := len(jsonList(t, out, "choices", 0, "logprobs", "tokens")), len(jsonList(t, byID, "choices", 0, "logprobs", "tokens")); tok.AddBOS() && n != m-1 || !tok.AddBOS() && n != m {
		t.Errorf("%d tokens of a text, %d of its ids", n, m)
	}
	if jsonAt(t, byID, "choices", 0, "logprobs", "token_logprobs", 0) != nil {
		t.Error("the very first token has a probability")
	}
	// The prompt's probabilities do not depend on how it is asked.
	scored := s.post("/v1/completions", with(story, "prompt", ids, "prompt_logprobs", 1, "max_tokens", 1))
	for i, e := range jsonList(t, scored, "choices", 0, "prompt_logprobs") {
		if i == 0 {
			continue
		}
		got := jsonNumber(t, e, fmt.Sprint(ids[i]), "logprob")
		if want := jsonAt(t, byID, "choices", 0, "logprobs", "token_logprobs", i); got != want {
			t.Errorf("token %d: %v, with echo %v", i, got, want)
		}
	}
	// In pieces the lists are the same.
	var tokens []any
	for _, e := range s.events("/v1/completions", with(body, "stream", true)) {
		if !e.done && jsonAt(t, e.data, "choices", 0, "logprobs") != nil {
			tokens = append(tokens, jsonList(t, e.data, "choices", 0, "logprobs", "text_offset")...)
		}
	}
	if !reflect.DeepEqual(tokens, jsonAt(t, out, "choices", 0, "logprobs", "text_offset")) {
		t.Errorf("the offsets of the stream are %v", tokens)
	}
	// Without echo the offsets are those of the answer.
	if out := s.post("/v1/completions", with(story, "logprobs", 0)); jsonNumber(t, out, "choices", 0, "logprobs", "text_offset", 0) != 0 {
		t.Errorf("%v", out)
	}
}

// TestEchoedTokens: the tokens of an echoed prompt are those of its text. The beginning
// that the server adds is not among them, one that the client has given is.
func TestEchoedTokens(t *testing.T) {
	const begin = "<|begin_of_text|>"
	var model string
	for i := range servertest.Dialects {
		if d := &servertest.Dialects[i]; d.Name == "llama3" {
			model = d.Write(t)
		}
	}
	s := newOpenAIServer(t, core.Options{Models: []string{model}})
	if tok := s.model().Model.Tokenizer(); !tok.AddBOS() {
		t.Fatal("the model's prompts have no beginning")
	}
	for _, c := range []struct {
		prompt string
		adds   bool
		tokens []any
		known  int // how many of the last have a probability
	}{
		{"ab", true, []any{"a", "b"}, 2},
		{"ab", false, []any{"a", "b"}, 1},
		{begin + "ab", false, []any{begin, "a", "b"}, 2},
		{"", true, []any{}, 0},
	} {
		l := jsonAt(t, s.post("/v1/completions", object{"prompt": c.prompt, "echo": true, "logprobs": 0, "max_tokens": 0,
			"add_special_tokens": c.adds}), "choices", 0, "logprobs")
		if got := jsonList(t, l, "tokens"); !slices.Equal(got, c.tokens) {
			t.Errorf("%q: the tokens are %q, want %q", c.prompt, got, c.tokens)
		}
		for i, p := range jsonList(t, l, "token_logprobs") {
			if (p != nil) != (i >= len(c.tokens)-c.known) {
				t.Errorf("%q: token %d has the log-probability %v", c.prompt, i, p)
			}
		}
	}
}

func TestShownToken(t *testing.T) {
	spec, err := tokenizer.NewSpec(tokenizer.ModelBPE, "")
	if err != nil {
		t.Fatal(err)
	}
	spec.Tokens = []tokenizer.Token{{Text: "a", Type: tokenizer.Normal}, {Text: "â", Type: tokenizer.Normal}, {Text: "<|x|>", Type: tokenizer.Control}}
	tok, err := tokenizer.New(spec)
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range []string{"a", `bytes:\xe2`, "<|x|>"} {
		if got, _ := shownToken(tok, int32(id)); got != want {
			t.Errorf("token %d is shown as %q, want %q", id, got, want)
		}
	}
}
