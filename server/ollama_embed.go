package server

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"time"

	"trit/internal/kernel"
)

// ollamaEmbedRequest is the body of /api/embed.
type ollamaEmbedRequest struct {
	Model      string          `json:"model"`
	Input      ollamaInput     `json:"input"`
	Truncate   *bool           `json:"truncate"`   // true where it is left out
	Dimensions int             `json:"dimensions"` // the first of them; 0: all
	KeepAlive  *ollamaDuration `json:"keep_alive"`
	Options    ollamaOptions   `json:"options"`
}

// ollamaInput is a text or several.
type ollamaInput []string

// UnmarshalJSON implements json.Unmarshaler.
func (in *ollamaInput) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	if (*stringList)(in).UnmarshalJSON(data) != nil {
		return badRequest("input", "invalid input type; input is a string or an array of strings")
	}
	return nil
}

type ollamaEmbedAnswer struct {
	Model           string        `json:"model"`
	Embeddings      [][]float32   `json:"embeddings"`
	TotalDuration   time.Duration `json:"total_duration"`
	LoadDuration    time.Duration `json:"load_duration"`
	PromptEvalCount int           `json:"prompt_eval_count"`
}

func (a *ollamaAPI) embed(w http.ResponseWriter, r *http.Request) error {
	start := time.Now()
	var q ollamaEmbedRequest
	if err := readOllama(r, &q); err != nil {
		return err
	}
	if q.Dimensions < 0 {
		return badRequest("dimensions", "dimensions is %d; want the number of elements to keep", q.Dimensions)
	}
	l, load, err := a.acquireOllama(r.Context(), q.Model, q.KeepAlive)
	if err != nil {
		return err
	}
	defer l.release()
	g, err := q.Options.generation(l, false, 0)
	if err != nil {
		return err
	}
	answer := ollamaEmbedAnswer{Model: q.Model, Embeddings: [][]float32{}, LoadDuration: load}
	var texts [][]int32
	for i, text := range q.Input {
		tokens := l.Model.Tokenize(text)
		switch {
		case len(tokens) == 0:
			return badRequest("input", "input[%d] has no tokens", i)
		case len(tokens) > g.context && (q.Truncate == nil || *q.Truncate):
			tokens = tokens[:g.context]
		case len(tokens) > g.context:
			return &apiError{status: http.StatusBadRequest, code: "context_length_exceeded", param: "input",
				message: errTextTooLong(i, len(tokens), g.context)}
		}
		texts = append(texts, tokens)
		answer.PromptEvalCount += len(tokens)
	}
	vectors, err := l.embed(r.Context(), texts...)
	if err != nil {
		return err
	}
	for _, v := range vectors {
		if 0 < q.Dimensions && q.Dimensions < len(v) {
			v = unitLength(v[:q.Dimensions])
		}
		answer.Embeddings = append(answer.Embeddings, v)
	}
	answer.TotalDuration = time.Since(start)
	return writeJSON(w, http.StatusOK, answer)
}

// embedOne is the endpoint that /api/embed has replaced.
func (a *ollamaAPI) embedOne(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		Model     string          `json:"model"`
		Prompt    string          `json:"prompt"`
		KeepAlive *ollamaDuration `json:"keep_alive"`
		Options   json.RawMessage `json:"options"`
	}
	if err := readOllama(r, &q); err != nil {
		return err
	}
	l, _, err := a.acquireOllama(r.Context(), q.Model, q.KeepAlive)
	if err != nil {
		return err
	}
	defer l.release()
	vector := []float32{}
	if tokens := l.Model.Tokenize(q.Prompt); q.Prompt != "" && len(tokens) > 0 {
		vectors, err := l.embed(r.Context(), tokens[:min(len(tokens), l.Model.Scheduler().Engine().Context())])
		if err != nil {
			return err
		}
		vector = vectors[0]
	}
	return writeJSON(w, http.StatusOK, map[string][]float32{"embedding": vector})
}

// embed returns the embeddings of texts, when it is their turn.
func (l *lease) embed(ctx context.Context, texts ...[]int32) ([][]float32, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	leave, err := l.gate.enter(ctx, clientIn(ctx), 1)
	if err != nil {
		return nil, stopped(ctx, err)
	}
	defer leave()
	return l.Model.EmbedTokens(ctx, texts...)
}

// unitLength scales a vector to length 1, where it has one.
func unitLength(v []float32) []float32 {
	if length := math.Sqrt(float64(kernel.Dot(v, v))); length > 0 {
		kernel.Scale(v, v, float32(1/length))
	}
	return v
}
