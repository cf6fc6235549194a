package ollama

import (
	"net/http"
	"time"

	"trit"
	"trit/server/core"
)

// embedRequest is the body of /api/embed.
type embedRequest struct {
	Model      string         `json:"model"`
	Input      inputField     `json:"input"`
	Truncate   *bool          `json:"truncate"`   // true where it is left out
	Dimensions int            `json:"dimensions"` // the first of them; 0: all
	KeepAlive  *durationField `json:"keep_alive"`
	Options    optionFields   `json:"options"`
}

// API implements core.Bound.
func (*embedRequest) API() core.API { return core.OllamaEmbed }

// inputField is a text or several.
type inputField []string

// UnmarshalJSON implements json.Unmarshaler.
func (in *inputField) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	if (*core.StringList)(in).UnmarshalJSON(data) != nil {
		return core.BadRequest("input", "invalid input type; input is a string or an array of strings")
	}
	return nil
}

type embedAnswer struct {
	Model           string        `json:"model"`
	Embeddings      [][]float32   `json:"embeddings"`
	TotalDuration   time.Duration `json:"total_duration"`
	LoadDuration    time.Duration `json:"load_duration"`
	PromptEvalCount int           `json:"prompt_eval_count"`
}

func (a *api) embed(w http.ResponseWriter, r *http.Request) error {
	start := time.Now()
	var q embedRequest
	if err := core.ReadJSON(r, &q); err != nil {
		return err
	}
	if q.Dimensions < 0 {
		return core.BadRequest("dimensions", "dimensions is %d; want the number of elements to keep", q.Dimensions)
	}
	if err := core.CheckTexts("input", len(q.Input)); err != nil {
		return err
	}
	l, load, err := a.acquire(r.Context(), q.Model, q.KeepAlive)
	if err != nil {
		return err
	}
	defer l.Release()
	g, err := q.Options.generation(r, l, false, 0)
	if err != nil {
		return err
	}
	answer := embedAnswer{Model: q.Model, Embeddings: [][]float32{}, LoadDuration: load}
	var texts [][]int32
	for i, text := range q.Input {
		tokens, err := l.Model.Tokenizer().EncodeContext(r.Context(), text) // it may be cut
		if err != nil {
			return err
		}
		switch n := len(tokens); {
		case n == 0:
			return core.BadRequest("input", "input[%d] has no tokens", i)
		case n > g.context && q.Truncate != nil && !*q.Truncate:
			return core.TooLong("input", errTextTooLong(i, n, g.context), n, g.context)
		}
		texts = append(texts, tokens)
		answer.PromptEvalCount += min(len(tokens), g.context)
	}
	vectors, err := l.Embed(r.Context(), texts, trit.TruncateTo(g.context),
		trit.Dimensions(min(q.Dimensions, l.Model.Info().Hidden)))
	if err != nil {
		return err
	}
	answer.Embeddings = append(answer.Embeddings, vectors...)
	answer.TotalDuration = time.Since(start)
	return core.WriteJSON(w, http.StatusOK, answer)
}

// embedOne is the endpoint that /api/embed has replaced.
func (a *api) embedOne(w http.ResponseWriter, r *http.Request) error {
	var q embedOneRequest
	if err := core.ReadJSON(r, &q); err != nil {
		return err
	}
	l, _, err := a.acquire(r.Context(), q.Model, q.KeepAlive)
	if err != nil {
		return err
	}
	defer l.Release()
	vector := []float32{}
	tokens, err := l.Model.Tokenizer().EncodeContext(r.Context(), q.Prompt) // it may be cut
	if err != nil {
		return err
	}
	if q.Prompt != "" && len(tokens) > 0 {
		vectors, err := l.Embed(r.Context(), [][]int32{tokens}, trit.TruncateTo(0))
		if err != nil {
			return err
		}
		vector = vectors[0]
	}
	return core.WriteJSON(w, http.StatusOK, map[string][]float32{"embedding": vector})
}
