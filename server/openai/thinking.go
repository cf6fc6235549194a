package openai

import (
	"cmp"

	"trit/server/core"
)

// thinkingFields are the fields of a chat that say how much is thought before the answer, and where
// that is told.
type thinkingFields struct {
	Effort *string `json:"reasoning_effort"`

	// llama.cpp's and vLLM's names of one field, in tokens.
	Budget       *int `json:"reasoning_budget"`
	BudgetTokens *int `json:"thinking_budget_tokens"`
	TokenBudget  *int `json:"thinking_token_budget"`

	ReasoningFormat *string `json:"reasoning_format"` // llama.cpp
}

// legacyReasoning is the format that tells reasoning twice.
const legacyReasoning = "deepseek-legacy"

// think puts the fields into a conversation. stream says that the answer comes in pieces.
func (f *thinkingFields) think(c *core.Conversation, stream bool) error {
	if f.Effort != nil {
		if err := c.SetEffort("reasoning_effort", *f.Effort); err != nil {
			return err
		}
	}
	for _, b := range []struct {
		name   string
		tokens *int
	}{
		{"reasoning_budget", f.Budget}, {"thinking_budget_tokens", f.BudgetTokens}, {"thinking_token_budget", f.TokenBudget},
	} {
		if b.tokens != nil {
			if err := c.SetThinkingBudget(b.name, *b.tokens); err != nil {
				return err
			}
		}
	}
	switch format := cmp.Or(core.ValueOr(f.ReasoningFormat, ""), "auto"); format {
	case "auto", "deepseek":
	case "none":
		c.Unparsed = true
	case legacyReasoning: // pieces cannot be taken back, so that streams have what "none" has
		c.Unparsed = stream
	default:
		return core.BadRequest("reasoning_format", "reasoning_format is %.40q; want auto, none, deepseek or deepseek-legacy",
			format)
	}
	return nil
}
