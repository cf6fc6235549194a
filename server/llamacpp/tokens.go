package llamacpp

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"unicode/utf8"

	"trit"
	"trit/chat"
	"trit/server/core"
	"trit/tokenizer"
)

// tokenizeRequest is the body of POST /tokenize, in llama-server's form or, with a prompt or
// messages, in vLLM's.
type tokenizeRequest struct {
	Model        string      `json:"model"`
	Content      promptField `json:"content"`
	AddSpecial   bool        `json:"add_special"`
	ParseSpecial *bool       `json:"parse_special"` // true where it is left out
	WithPieces   bool        `json:"with_pieces"`

	Prompt           *string `json:"prompt"`
	AddSpecialTokens *bool   `json:"add_special_tokens"` // true where it is left out, but for messages
	ReturnStrings    bool    `json:"return_token_strs"`
	conversationFields
}

// conversationFields are a conversation that becomes a prompt and is not answered.
type conversationFields struct {
	Messages             []json.RawMessage `json:"messages"`
	Tools                []chat.Tool       `json:"tools"`
	AddGenerationPrompt  *bool             `json:"add_generation_prompt"` // true where it is left out
	ContinueFinalMessage bool              `json:"continue_final_message"`
	TemplateArguments    map[string]any    `json:"chat_template_kwargs"`
}

// prepare makes the prompt.
func (f *conversationFields) prepare(ctx context.Context, l *core.Lease) (*core.Prepared, error) {
	messages := make([]chat.Message, len(f.Messages))
	for i, raw := range f.Messages {
		if err := core.DecodeAt(raw, &messages[i], fmt.Sprintf("messages[%d]", i)); err != nil {
			return nil, err
		}
	}
	if len(messages) == 0 {
		return nil, core.BadRequest("messages", "messages is empty; send at least one message")
	}
	return l.Prepare(ctx, &core.Conversation{Conversation: trit.Conversation{Messages: messages, Tools: f.Tools,
		Variables: f.TemplateArguments, Continue: f.ContinueFinalMessage,
		Bare: f.AddGenerationPrompt != nil && !*f.AddGenerationPrompt}})
}

// vllmTokens is vLLM's answer to /tokenize.
type vllmTokens struct {
	Count   int      `json:"count"`
	Context int      `json:"max_model_len"`
	Tokens  []int32  `json:"tokens"`
	Strings []string `json:"token_strs"` // null unless they are asked for
}

// tokenizeAsVLLM answers with the tokens of a prompt or of a conversation.
func (q *tokenizeRequest) tokenizeAsVLLM(w http.ResponseWriter, r *http.Request, l *core.Lease) error {
	t := l.Model.Tokenizer()
	answer := vllmTokens{Context: l.Model.Context(), Tokens: []int32{}}
	switch {
	case q.Prompt != nil && q.Messages != nil:
		return core.BadRequest("messages", "prompt and messages exclude each other")
	case q.Prompt != nil:
		tokens, err := l.Tokens(r.Context(), "prompt", *q.Prompt,
			tokenizer.AddSpecial(core.ValueOr(q.AddSpecialTokens, true)), tokenizer.ParseSpecial(true))
		if err != nil {
			return err
		}
		answer.Tokens = append(answer.Tokens, tokens...)
	default:
		p, err := q.prepare(r.Context(), l)
		if err != nil {
			return err
		}
		answer.Tokens = p.Prompt
	}
	answer.Count = len(answer.Tokens)
	if q.ReturnStrings {
		answer.Strings = make([]string, answer.Count)
		for i, id := range answer.Tokens {
			answer.Strings[i], _ = core.TokenText(t, id)
		}
	}
	return core.WriteJSON(w, http.StatusOK, answer)
}

// detokenizeRequest is the body of POST /detokenize.
type detokenizeRequest struct {
	Model  string  `json:"model"`
	Tokens []int32 `json:"tokens"`
}

// templateRequest is the body of POST /apply-template.
type templateRequest struct {
	Model string `json:"model"`
	conversationFields
}

// detokenizeReply has the text under llama-server's name and under vLLM's.
type detokenizeReply struct {
	Content string `json:"content"`
	Prompt  string `json:"prompt"`
}

// tokenize answers with the tokens of a text.
func (s *api) tokenize(w http.ResponseWriter, r *http.Request) error {
	var q tokenizeRequest
	if err := core.ReadJSON(r, &q); err != nil {
		return err
	}
	l, err := s.Models.Acquire(r.Context(), q.Model)
	if err != nil {
		return err
	}
	defer l.Release()
	t := l.Model.Tokenizer()
	if q.Prompt != nil || q.Messages != nil {
		return q.tokenizeAsVLLM(w, r, l)
	}
	tokens, err := q.Content.encode(r.Context(), l, "content", q.AddSpecial, core.ValueOr(q.ParseSpecial, true))
	if err != nil {
		return err
	}
	if !q.WithPieces {
		return core.WriteJSON(w, http.StatusOK, map[string][]int32{"tokens": tokens})
	}
	type tokenPiece struct {
		ID    int32 `json:"id"`
		Piece any   `json:"piece"` // the text, or its bytes if they are no complete characters
	}
	pieces := make([]tokenPiece, len(tokens))
	for i, id := range tokens {
		text := t.Piece(id, true)
		pieces[i] = tokenPiece{ID: id, Piece: text}
		if !utf8.ValidString(text) {
			_, codes := core.TokenText(t, id)
			pieces[i].Piece = codes
		}
	}
	return core.WriteJSON(w, http.StatusOK, map[string][]tokenPiece{"tokens": pieces})
}

// detokenize answers with the text of tokens, control tokens included.
func (s *api) detokenize(w http.ResponseWriter, r *http.Request) error {
	var q detokenizeRequest
	if err := core.ReadJSON(r, &q); err != nil {
		return err
	}
	l, err := s.Models.Acquire(r.Context(), q.Model)
	if err != nil {
		return err
	}
	defer l.Release()
	t := l.Model.Tokenizer()
	if err := core.CheckTokens("tokens", q.Tokens, t); err != nil {
		return err
	}
	text := t.Decode(q.Tokens, tokenizer.RenderSpecial(true), tokenizer.Continuation(true),
		tokenizer.CleanSpaces(false))
	return core.WriteJSON(w, http.StatusOK, detokenizeReply{Content: text, Prompt: text})
}

// applyTemplate answers with the prompt that a conversation becomes.
func (s *api) applyTemplate(w http.ResponseWriter, r *http.Request) error {
	var q templateRequest
	if err := core.ReadJSON(r, &q); err != nil {
		return err
	}
	l, err := s.Models.Acquire(r.Context(), q.Model)
	if err != nil {
		return err
	}
	defer l.Release()
	p, err := q.prepare(r.Context(), l)
	if err != nil {
		return err
	}
	return core.WriteJSON(w, http.StatusOK, map[string]string{"prompt": p.Text()})
}
