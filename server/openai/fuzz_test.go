package openai

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"trit/server/core"
)

// FuzzOpenAI sends any body to the endpoints: none may panic, and every answer is
// JSON with a status that tells whose fault it is. Generations are cut short.
func FuzzOpenAI(f *testing.F) {
	paths := []string{"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses"}
	for i, bodies := range [][]string{
		{
			`{"messages":[{"role":"user","content":"hi"}],"max_tokens":2,"stop":["a"],"logit_bias":{"5":-100},"seed":1}`,
			`{"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}],"max_tokens":2,"logprobs":true,"top_logprobs":2,"n":2}`,
			`{"messages":[{"role":"user","content":"hi"}],"max_tokens":9,"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}],"tool_choice":"required"}`,
			`{"messages":[{"role":"user","content":"hi"}],"max_tokens":2,"response_format":{"type":"json_object"},"samplers":"top_k;temperature","top_k":-1}`,
			`{"messages":[{"role":"assistant","content":"hi"}],"max_tokens":2,"continue_final_message":true,"add_generation_prompt":false,"chat_template_kwargs":{"a":[1,2.5,1e400]}}`,
			`{"messages":[{"role":"user","content":"hi"}],"max_tokens":2,"guided_regex":"a+","mirostat":2,"dry_multiplier":1,"dry_sequence_breakers":["x"]}`,
		},
		{
			`{"prompt":"hi","max_tokens":2,"echo":true,"logprobs":1,"best_of":2}`,
			`{"prompt":["a","b"],"max_tokens":1}`, `{"prompt":[1,2,3],"max_tokens":1,"prompt_logprobs":1}`, `{"prompt":[[1],[2]],"max_tokens":1,"stop_token_ids":[3]}`,
		},
		{`{"input":"hi"}`, `{"input":["a","b"],"encoding_format":"base64"}`, `{"input":[[1,2]],"dimensions":5}`},
		{
			`{"input":"hi","max_output_tokens":2,"text":{"format":{"type":"text"}},"metadata":{"a":"b"}}`,
			`{"input":[{"role":"user","content":"x"},{"type":"function_call","call_id":"1","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"1","output":"x"}],"max_output_tokens":2}`,
		},
	} {
		for _, body := range bodies {
			f.Add(i, body)
		}
	}
	s, err := core.New(core.Options{MaxBody: 1 << 16})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := s.Close(); err != nil {
			f.Error(err)
		}
	})
	handler := s.Handler(Routes(s), unknown)
	f.Fuzz(func(t *testing.T, i int, body string) {
		path := paths[uint(i)%uint(len(paths))]
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		req := httptest.NewRequestWithContext(ctx, "POST", path, strings.NewReader(body))
		req.Host = "127.0.0.1"
		rec := httptest.NewRecorder()
		start := time.Now()
		handler.ServeHTTP(rec, req)
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("%s took %v", path, d)
		}
		if rec.Code >= 500 && rec.Code != http.StatusGatewayTimeout {
			t.Errorf("%s: %d %s", path, rec.Code, rec.Body)
		}
		if strings.HasPrefix(rec.Header().Get("Content-Type"), "text/event-stream") {
			return // a recorder cannot be written to with deadlines
		}
		var out object
		if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil {
			t.Errorf("%s: %d %q: %v", path, rec.Code, rec.Body, err)
		}
		if rec.Code != http.StatusOK {
			checkSchema(t, "ErrorResponse", out)
		}
	})
}
