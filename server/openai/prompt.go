package openai

import (
	"bytes"
	"context"
	"encoding/json"

	"trit/server/core"
	"trit/tokenizer"
)

// promptField is one text or several, each as a string or as tokens.
type promptField []promptText

type promptText struct {
	text   string
	tokens []int32
	ids    bool // given as tokens
	wrong  bool // something of another type stood there
}

// UnmarshalJSON implements json.Unmarshaler.
func (f *promptField) UnmarshalJSON(data []byte) error {
	*f = nil
	data = bytes.TrimSpace(data)
	var text string
	var texts []string
	var tokens []int32
	var lists [][]int32
	switch {
	case core.IsNull(data):
	case json.Unmarshal(data, &text) == nil:
		*f = promptField{{text: text}}
	case json.Unmarshal(data, &texts) == nil:
		for _, text := range texts {
			*f = append(*f, promptText{text: text})
		}
	case json.Unmarshal(data, &tokens) == nil:
		*f = promptField{{tokens: tokens, ids: true}}
	case json.Unmarshal(data, &lists) == nil:
		for _, tokens := range lists {
			*f = append(*f, promptText{tokens: tokens, ids: true})
		}
	default: // encode reports it, which knows the name of the field
		*f = promptField{{wrong: true}}
	}
	return nil
}

// encode fills in the tokens of every text. param names the field.
func (f promptField) encode(ctx context.Context, l *core.Lease, param string, options ...tokenizer.EncodeOption) error {
	if len(f) == 0 {
		return core.BadRequest(param, "%s is missing or empty", param)
	}
	if err := core.CheckTexts(param, len(f)); err != nil {
		return err
	}
	t := l.Model.Tokenizer()
	for i := range f {
		p := &f[i]
		if p.wrong {
			return core.BadType(param,
				"a string, an array of strings, an array of tokens, or an array of arrays of tokens")
		}
		if p.ids {
			if err := core.CheckTokens(param, p.tokens, t); err != nil {
				return err
			}
		} else {
			tokens, err := l.Tokens(ctx, param, p.text, options...)
			if err != nil {
				return err
			}
			p.tokens = core.WithoutSecondBOS(t, tokens)
		}
		if len(p.tokens) == 0 {
			return core.BadRequest(param, "element %d of %s has no tokens; this model needs something to begin with",
				i, param)
		}
	}
	return nil
}
