package eval

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
)

// Server asks a server with OpenAI's API, by POST /v1/completions with echo and logprobs: Trit's, vLLM's and others.
type Server struct {
	URL    string // without /v1
	Model  string // what requests name; may be empty where there is one
	Key    string // an API key, or empty
	Client *http.Client
}

// maxAnswer bounds what a server may answer, in bytes.
const maxAnswer = 64 << 20

// busyPause is how long a request waits that a server had no room for, busyTries how often it is sent.
const (
	busyPause = 100 * time.Millisecond
	busyTries = 100
)

// completion is what is read of an answer.
type completion struct {
	Choices []struct {
		Index    int
		Logprobs *struct {
			TokenLogprobs []*float64 `json:"token_logprobs"`
		}
	}
	Error json.RawMessage
}

// Score implements Scorer.
func (s *Server) Score(ctx context.Context, context string, texts []string) ([]Score, error) {
	prompts := make([]string, 0, len(texts)+1)
	for _, text := range texts {
		prompts = append(prompts, context+text)
	}
	if context != "" {
		prompts = append(prompts, context) // for the number of its tokens
	}
	lists, err := s.ask(ctx, prompts)
	if err != nil {
		return nil, err
	}
	before := 0
	if context != "" {
		before = len(lists[len(texts)])
	}
	out := make([]Score, len(texts))
	for i := range texts {
		if before > len(lists[i]) {
			return nil, fmt.Errorf("the server has %d tokens of the context, and %d of context and choice together", before, len(lists[i]))
		}
		for _, p := range lists[i][before:] {
			if p == nil { // the first of a text has none where there is no BOS
				continue
			}
			out[i].LogProb += *p
			out[i].Tokens++
		}
	}
	return out, nil
}

// ask returns ln p of the tokens of prompts.
func (s *Server) ask(ctx context.Context, prompts []string) ([][]*float64, error) {
	fields := map[string]any{"prompt": prompts, "max_tokens": 0, "echo": true, "logprobs": 1, "temperature": 0}
	if s.Model != "" {
		fields["model"] = s.Model
	}
	body, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	var answer completion
	for try := 1; ; try++ {
		status, data, err := s.post(ctx, body)
		if err != nil {
			return nil, err
		}
		if busy := status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable; busy && try < busyTries {
			select {
			case <-time.After(busyPause):
				continue
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		if status != http.StatusOK {
			return nil, fmt.Errorf("%s answers with %d: %.300s", s.URL, status, bytes.TrimSpace(data))
		}
		if err := json.Unmarshal(data, &answer); err != nil {
			return nil, fmt.Errorf("%s answers with what is no completion: %w", s.URL, err)
		}
		break
	}
	out := make([][]*float64, len(prompts))
	for _, c := range answer.Choices {
		if c.Index < 0 || c.Index >= len(out) || c.Logprobs == nil {
			return nil, fmt.Errorf("%s answers without the probabilities of the prompt; it has to know echo and logprobs", s.URL)
		}
		out[c.Index] = c.Logprobs.TokenLogprobs
	}
	if slices.ContainsFunc(out, func(list []*float64) bool { return len(list) == 0 }) {
		return nil, errors.New(s.URL + " leaves prompts out of its answer")
	}
	return out, nil
}

func (s *Server) post(ctx context.Context, body []byte) (status int, data []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/v1/completions", bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	if s.Key != "" {
		r.Header.Set("Authorization", "Bearer "+s.Key)
	}
	answer, err := s.Client.Do(r)
	if err != nil {
		return 0, nil, fmt.Errorf("no answer: %w", err)
	}
	defer answer.Body.Close()
	data, err = io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	return answer.StatusCode, data, err
}
