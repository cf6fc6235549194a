package eval

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"trit/internal/apiclient"
)

// Server asks a server with OpenAI's API, by POST /v1/completions with echo and logprobs: Trit's, vLLM's and others.
type Server struct {
	apiclient.Server
	Model string // what requests name; may be empty where there is one
}

// maxAnswer bounds what a server may answer, in bytes.
const maxAnswer = 64 << 20

// patience is how long a request waits for a server that has no room.
const patience = time.Minute

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
	var answer completion
	asked := s.Server
	asked.Patience = patience
	if err := asked.Call(ctx, http.MethodPost, "/v1/completions", fields, &answer, maxAnswer); err != nil {
		return nil, err
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
