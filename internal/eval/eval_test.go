package eval

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"

	"trit/gguf"
	"trit/internal/apiclient"
	"trit/internal/generate"
	"trit/tokenizer"
)

// table is a Scorer that knows the likelihoods of texts.
type table struct {
	mu    sync.Mutex
	known map[string]Score
	asked []string
}

func (s *table) Score(_ context.Context, context string, texts []string) ([]Score, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Score
	for _, text := range texts {
		s.asked = append(s.asked, context+"|"+text)
		score, ok := s.known[context+"|"+text]
		if !ok {
			score, ok = s.known[text]
		}
		if !ok {
			return nil, fmt.Errorf("nobody knows %q", text)
		}
		out = append(out, score)
	}
	return out, nil
}

func TestForms(t *testing.T) {
	for line, want := range map[string]Item{
		`{"question":"Why?","choices":{"text":["No","Yes"],"label":["1","2"]},"answerKey":"2"}`:                                                      {"Question: Why?\nAnswer:", []string{"No", "Yes"}, 1, 1},
		`{"question":{"stem":"Why?","choices":[{"text":"No","label":"A"},{"text":"Yes","label":"B"}]},"answerKey":"A"}`:                              {"Question: Why?\nAnswer:", []string{"No", "Yes"}, 0, 1},
		`{"goal":"Fly.","sol1":"Jump.","sol2":"Wait.","label":1}`:                                                                                    {"Question: Fly.\nAnswer:", []string{"Jump.", "Wait."}, 1, 1},
		`{"activity_label":"Baking","ctx_a":"A man [header] is here.","ctx_b":"he IS","endings":["[title] out.","glad [substeps] now"],"label":"0"}`: {"Baking: A man is here. He is", []string{" out.", "glad now"}, 0, 1},
		`{"activity_label":"Baking","ctx":"One [title] Two","endings":["a","b"],"label":"1"}`:                                                        {"Baking: One. Two", []string{"a", "b"}, 1, 1},
		`{"context":"x ","choices":["a","b","c"],"answer":2}`:                                                                                        {"x ", []string{"a", "b", "c"}, 2, 1},
		`{"text":"Once"}`: {"Once", nil, 0, 1},
		`{"page":"Once"}`: {"Once", nil, 0, 1},
	} {
		got, err := ReadTask("t", []byte(line))
		if err != nil || len(got.Items) != 1 || !reflect.DeepEqual(got.Items[0], want) {
			t.Errorf("%s: %v\n%+v\nwant %+v", line, err, got, want)
		}
	}
	for text, says := range map[string]string{
		"":   "no items",
		"\n": "no items",
		"{":  "line 1",
		`{"text":"a"}` + "\n\n" + `{"context":"x","choices":["a","b"],"answer":0}`:        "line 3: questions and texts",
		`{"context":"x","choices":["a","b"]}`:                                             "answer is missing",
		`{"context":"x","choices":["a","b"],"answer":2}`:                                  "number 2 of 2",
		`{"context":"x","choices":["a"],"answer":0}`:                                      "at least two",
		`{"context":"x","choices":["a",""],"answer":0}`:                                   "none of them empty",
		`{"context":" ","choices":["a","b"],"answer":0}`:                                  "the context is empty",
		`{"goal":"x","sol1":"a","sol2":"b"}`:                                              "label",
		`{"question":"x","choices":{"text":["a","b"],"label":["A","B"]},"answerKey":"C"}`: "answerKey",
		`{"other":1}`: "none of the forms",
	} {
		if _, err := ReadTask("t", []byte(text)); !errors.Is(err, ErrTask) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v; want %q", text, err, says)
		}
	}
}

// TestChoices: by its likelihood the first item's answer is wrong and by the likelihood of a character right, and
// umlauts are one character.
func TestChoices(t *testing.T) {
	task, err := ReadTask("t", []byte(`{"context":"a ","choices":["x","yyyy"],"answer":1}
{"context":"b","choices":["ääää","zz"],"answer":0}
{"context":"c","choices":["e","f"],"answer":0}
`))
	if err != nil {
		t.Fatal(err)
	}
	s := &table{known: map[string]Score{"a|  x": {LogProb: -2}, "a|  yyyy": {LogProb: -3}, "b| ääää": {LogProb: -5}, "b| zz": {LogProb: -2.6},
		"c| e": {LogProb: -1}, "c| f": {LogProb: -1}}}
	calls := 0
	r, err := Run(t.Context(), s, task, Options{Progress: func(done, total int, so *Result) {
		if calls++; done != calls || total != 3 || so.Items != done {
			t.Errorf("%d of %d: %+v", done, total, so)
		}
	}})
	if err != nil || r.Items != 3 || r.TokenPerplexity != nil {
		t.Fatalf("%+v %v", r, err)
	}
	if r.Acc.Value != 1.0/3 || math.Abs(*r.Acc.Stderr-1.0/3) > 1e-15 || r.AccNorm.Value != 1 || *r.AccNorm.Stderr != 0 {
		t.Errorf("%v, %v", r.Acc, r.AccNorm)
	}
	if r, err = Run(t.Context(), s, task, Options{Limit: 1}); err != nil || r.Items != 1 || r.Acc.Stderr != nil || r.Acc.String() != "0.0000" {
		t.Errorf("%+v %v", r, err)
	}

	// Shots are the first other items, solved.
	s = &table{known: map[string]Score{" e": {}, " f": {}, " zz": {}, " ääää": {}, "  x": {}, "  yyyy": {}}}
	if _, err := Run(t.Context(), s, task, Options{Shots: 2}); err != nil {
		t.Fatal(err)
	}
	if want := "a  yyyy\n\nb ääää\n\nc| e"; s.asked[4] != want {
		t.Errorf("%q, want %q", s.asked[4], want)
	}
	if want := "b ääää\n\nc e\n\na|  x"; s.asked[0] != want {
		t.Errorf("%q, want %q", s.asked[0], want)
	}
	if _, err := Run(t.Context(), s, task, Options{Shots: 3}); err == nil || !strings.Contains(err.Error(), "1 examples too few") {
		t.Error(err)
	}
	if _, err := Run(t.Context(), &table{}, task, Options{Together: 2}); err == nil || !strings.Contains(err.Error(), "line ") {
		t.Error(err)
	}
}

func TestTexts(t *testing.T) {
	task, err := ReadTask("t", []byte("{\"text\":\"a b  c\"}\n{\"text\":\"dé \"}"))
	if err != nil {
		t.Fatal(err)
	}
	s := &table{known: map[string]Score{"a b  c": {-6, 3}, "dé ": {-3, 2}}}
	r, err := Run(t.Context(), s, task, Options{})
	if err != nil {
		t.Fatal(err)
	}
	// 9 nats over 5 tokens, 3+2 words and 6+4 bytes; the residuals of the tokens are 0.6 and -0.6.
	for _, c := range []struct {
		got  *Value
		want float64
	}{{r.TokenPerplexity, math.Exp(9. / 5)}, {r.WordPerplexity, math.Exp(9. / 5)}, {r.BytePerplexity, math.Exp(9. / 10)}, {r.BitsPerByte, 9. / 10 / math.Ln2}} {
		if math.Abs(c.got.Value-c.want) > 1e-12 {
			t.Errorf("%v, want %v", c.got, c.want)
		}
	}
	if want := math.Exp(9./5) * math.Sqrt(2*2*0.36) / 5; math.Abs(*r.TokenPerplexity.Stderr-want) > 1e-12 {
		t.Errorf("%v, want %v", *r.TokenPerplexity.Stderr, want)
	}
	if _, err := Run(t.Context(), s, task, Options{Shots: 1}); err == nil {
		t.Error("shots before texts")
	}
}

// windows is a model that notes what it scores.
type windows struct {
	tok   *tokenizer.Tokenizer
	most  int
	calls [][]int32
}

func (m *windows) Tokenizer() *tokenizer.Tokenizer { return m.tok }
func (m *windows) Context() int                    { return m.most }

func (m *windows) Score(_ context.Context, tokens []int32, _ int) iter.Seq2[generate.Scored, error] {
	m.calls = append(m.calls, tokens)
	return func(yield func(generate.Scored, error) bool) {
		for _, id := range tokens[1:] {
			if !yield(generate.Scored{ID: id, LogProb: -float64(id)}, nil) {
				return
			}
		}
	}
}

// TestWindows: every token of a long text but the first counts once.
func TestWindows(t *testing.T) {
	f, err := gguf.Open("../../demo/demo.gguf")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tok, err := tokenizer.FromGGUF(f.Metadata)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 40 {
		m := &windows{tok: tok, most: 8}
		text := strings.Repeat("a dog ", n+1)
		got, err := Direct{m}.Score(t.Context(), "", []string{text})
		if err != nil {
			t.Fatal(err)
		}
		all, sum := tok.Encode(text), 0.0
		for _, id := range all[1:] {
			sum -= float64(id)
		}
		if got[0] != (Score{sum, len(all) - 1}) {
			t.Fatalf("%d tokens: %+v, want %v", len(all), got, sum)
		}
		for i, w := range m.calls {
			if len(w) > 8 || i > 0 && len(w) < 8 {
				t.Errorf("%d tokens, window %d has %d", len(all), i, len(w))
			}
		}
	}
	m := &windows{tok: tok, most: 4}
	if _, err := (Direct{m}).Score(t.Context(), "one two three four", []string{" five"}); err == nil || !strings.Contains(err.Error(), "fewer shots") {
		t.Error(err)
	}
	m.most = 64
	got, err := Direct{m}.Score(t.Context(), "The dog<|eot_id|>", []string{" says", " is happy"})
	before := len(tok.Encode("The dog<|eot_id|>", tokenizer.ParseSpecial(true)))
	if err != nil || got[1].Tokens != len(m.calls[1])-before || got[0].Tokens != len(m.calls[0])-before {
		t.Errorf("%+v behind %d: %v", got, before, err)
	}
}

// TestServerErrors: what servers may answer that do not know echo, are busy, or fail.
func TestServerErrors(t *testing.T) {
	answers := []string{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer k" || r.URL.Path != "/v1/completions" {
			t.Errorf("%s %v", r.URL, r.Header)
		}
		a := answers[0]
		answers = answers[1:]
		if status, body, ok := strings.Cut(a, "!"); ok {
			var code int
			fmt.Sscan(status, &code)
			http.Error(w, body, code)
			return
		}
		fmt.Fprint(w, a)
	}))
	defer server.Close()
	s := &Server{Server: apiclient.Server{URL: server.URL, Key: "k", HTTP: server.Client()}}
	for answer, says := range map[string]string{
		"400!no echo":               "400: no echo",
		"x":                         "address of the API",
		`{"choices":[{"index":0}]}`: "without the probabilities",
		`{"choices":[]}`:            "leaves prompts out",
		`{"choices":[{"index":7}]}`: "without the probabilities",
		`{"choices":[{"index":0,"logprobs":{"token_logprobs":[-1]}},{"index":1,"logprobs":{"token_logprobs":[-1,-1]}}]}`: "2 tokens of the context",
	} {
		answers = []string{answer}
		if _, err := s.Score(t.Context(), "a", []string{"b"}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v; want %q", answer, err, says)
		}
	}
	answers = []string{"429!busy", `{"choices":[{"index":1,"logprobs":{"token_logprobs":[null]}},{"index":0,"logprobs":{"token_logprobs":[null,-1.5]}}]}`}
	got, err := s.Score(t.Context(), "a", []string{"b"})
	if err != nil || got[0] != (Score{-1.5, 1}) {
		t.Errorf("%+v %v", got, err)
	}
}
