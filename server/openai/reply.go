package openai

import (
	"time"

	"trit"
	"trit/server/core"
)

// textReply is what the answers and the pieces of the streams of the two text
// APIs have around their choices.
type textReply[Choice any] struct {
	ID                string   `json:"id"`
	Object            string   `json:"object"`
	Created           int64    `json:"created"`
	Model             string   `json:"model"`
	SystemFingerprint string   `json:"system_fingerprint"`
	Choices           []Choice `json:"choices"`
	// Usage is absent, null or a *openAIUsage.
	Usage          any                        `json:"usage,omitempty"`
	Timings        *timings                   `json:"timings,omitempty"`
	PromptLogProbs []map[string]promptLogProb `json:"prompt_logprobs,omitempty"`
	Progress       *core.PromptProgress       `json:"prompt_progress,omitempty"`
}

func newReply[Choice any](l *core.Lease, id, object string) textReply[Choice] {
	return textReply[Choice]{ID: id, Object: object, Created: time.Now().Unix(), Model: l.Name,
		SystemFingerprint: fingerprint(l), Choices: []Choice{}}
}

// tokenUsage counts tokens.
type tokenUsage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	TotalTokens      int `json:"total_tokens"`
	PromptDetails    struct {
		CachedTokens int `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
	CompletionDetails struct {
		ReasoningTokens int `json:"reasoning_tokens"`
	} `json:"completion_tokens_details"`
}

func newUsage(s *trit.Stats) *tokenUsage {
	u := &tokenUsage{PromptTokens: s.PromptTokens, CompletionTokens: s.GeneratedTokens,
		TotalTokens: s.PromptTokens + s.GeneratedTokens}
	u.PromptDetails.CachedTokens = s.CachedTokens
	return u
}

// timings say how long an answer took, as llama.cpp's server does.
type timings struct {
	CacheN             int     `json:"cache_n"`
	PromptN            int     `json:"prompt_n"` // computed, that is without cache_n
	PromptMS           float64 `json:"prompt_ms"`
	PromptPerSecond    float64 `json:"prompt_per_second"`
	PredictedN         int     `json:"predicted_n"`
	PredictedMS        float64 `json:"predicted_ms"`
	PredictedPerSecond float64 `json:"predicted_per_second"`
	*core.Drafted
}

func newTimings(s *trit.Stats) *timings {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return &timings{
		CacheN: s.CachedTokens, PromptN: s.PromptTokens - s.CachedTokens, PromptMS: ms(s.PromptTime),
		PromptPerSecond: s.PromptRate(),
		PredictedN:      s.GeneratedTokens, PredictedMS: ms(s.GenerateTime), PredictedPerSecond: s.GenerateRate(),
		Drafted: core.DraftedOf(s),
	}
}

// ends reports whether a token ended an answer without being part of it.
func (f *requestOptions) ends(l *core.Lease, t *trit.Token) bool {
	if t.Finish != trit.FinishStop {
		return false
	}
	for _, id := range f.StopTokenIDs {
		if id == t.ID {
			return true
		}
	}
	return !core.IsTrue(f.IgnoreEOS) && l.Model.Tokenizer().IsEOG(t.ID)
}

// finishReason returns OpenAI's word for why an answer ended.
func finishReason(f trit.Finish, called bool) string {
	switch {
	case f == "":
		return ""
	case f == trit.FinishLength:
		return "length"
	case called:
		return "tool_calls"
	}
	return "stop"
}

// Bounds of OpenAI's fields.
const (
	maxAnswers     = 128
	maxTopLogProbs = 20
	maxInt32       = 1<<31 - 1
)

// within checks an optional number.
func within(param string, v *int, low, high int) error {
	if v == nil || *v >= low && *v <= high {
		return nil
	}
	return core.BadRequest(param, "%s is %d; want %d to %d", param, *v, low, high)
}
