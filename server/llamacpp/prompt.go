package llamacpp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"trit/server/core"
	"trit/tokenizer"
)

// promptField is a text, a list of tokens, or a list of both.
type promptField []promptPart

type promptPart struct {
	text   string
	token  int32
	isText bool
	list   promptField // of a request with several prompts
	isList bool
	wrong  string // what stood there instead of a text or a token
}

// split returns the prompts of a request. They are several if it has lists, or texts only.
func (p promptField) split() (prompts []promptField, several bool, err error) {
	listed := slices.ContainsFunc(p, func(part promptPart) bool { return part.isList })
	mixed := slices.ContainsFunc(p, func(part promptPart) bool { return !part.isText })
	if !listed && (mixed || len(p) < 2) {
		if len(p) == 0 {
			return nil, false, nil
		}
		return []promptField{p}, false, nil
	}
	if err := core.CheckTexts("prompt", len(p)); err != nil {
		return nil, false, err
	}
	for _, part := range p {
		if part.isList {
			prompts = append(prompts, part.list)
		} else {
			prompts = append(prompts, promptField{part})
		}
	}
	return prompts, true, nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (p *promptField) UnmarshalJSON(data []byte) error {
	*p = nil
	if bytes.Equal(data, []byte("null")) {
		return nil
	}
	var parts []json.RawMessage
	if data[0] != '[' {
		parts = []json.RawMessage{data}
	} else if err := json.Unmarshal(data, &parts); err != nil {
		return err
	}
	*p = make(promptField, 0, len(parts))
	for _, raw := range parts {
		part := promptPart{isText: raw[0] == '"', isList: raw[0] == '[' || raw[0] == '{'}
		var err error
		switch {
		case part.isText:
			err = json.Unmarshal(raw, &part.text)
		case raw[0] == '{':
			var object struct {
				Prompt *string           `json:"prompt_string"`
				Media  []json.RawMessage `json:"multimodal_data"` // images and sounds
			}
			if err = json.Unmarshal(raw, &object); err == nil && (object.Prompt == nil || len(object.Media) > 0) {
				err = errors.New("a prompt_string without multimodal_data is wanted")
			}
			part.list = promptField{{isText: true, text: core.ValueOr(object.Prompt, "")}}
		case part.isList && data[0] == '[':
			var list []json.RawMessage
			if err = json.Unmarshal(raw, &list); err == nil && slices.ContainsFunc(list, isComposite) {
				err = errors.New("lists within lists")
			}
			if err == nil {
				err = part.list.UnmarshalJSON(raw)
			}
		default:
			err = json.Unmarshal(raw, &part.token)
		}
		if err != nil || data[0] != '[' && !part.isText && raw[0] != '{' {
			// encode reports it, which knows the name of the field.
			*p = promptField{{wrong: core.ShortJSON(data)}}
			return nil
		}
		if data[0] == '{' { // one prompt
			*p = part.list
			return nil
		}
		*p = append(*p, part)
	}
	return nil
}

// isComposite reports whether a JSON value is a list or an object.
func isComposite(raw json.RawMessage) bool { return raw[0] == '[' || raw[0] == '{' }

// mayFit refuses a prompt that is certainly too long, before a part of it is looked at. Parts without text count, too:
// they are work, and of no use.
func (p promptField) mayFit(l *core.Lease, field string) error {
	least, limit := 0, l.Model.Context()
	for _, part := range p {
		least += max(1, l.Model.Tokenizer().LeastTokens(part.text))
	}
	if least > limit {
		return core.TooLong(field, fmt.Sprintf("%s has %d parts, which are at least %d tokens together; the context has room for %d",
			field, len(p), least, limit), least, limit)
	}
	return nil
}

// encode returns the tokens of a prompt. field is what the request calls it.
func (p promptField) encode(ctx context.Context, l *core.Lease, field string, addSpecial, parseSpecial bool) ([]int32, error) {
	tokens := []int32{}
	if len(p) > 1 { // or l.Tokens says it
		if err := p.mayFit(l, field); err != nil {
			return nil, err
		}
	}
	for i, part := range p {
		if part.isList {
			part.wrong = "a list of prompts"
		}
		if part.wrong != "" {
			return nil, core.BadRequest(field, "%s is %s; want a string, or an array of strings and token ids", field,
				part.wrong)
		}
		if !part.isText {
			if err := core.CheckTokens(field, []int32{part.token}, l.Model.Tokenizer()); err != nil {
				return nil, err
			}
			tokens = append(tokens, part.token)
			continue
		}
		// Special tokens belong to the ends of the whole.
		more, err := l.Tokens(ctx, field, part.text, tokenizer.AddSpecial(addSpecial && i == 0),
			tokenizer.ParseSpecial(parseSpecial))
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, more...)
	}
	return tokens, nil
}
