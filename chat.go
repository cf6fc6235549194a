package trit

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"trit/chat"
	"trit/tokenizer"
)

// ErrNoTemplate reports a conversation with a model whose chat template
// cannot be used.
var ErrNoTemplate = errors.New("trit: no chat template")

// ChatTemplate returns the template that conversations are rendered with, and
// why it is this one.
func (m *Model) ChatTemplate() (t *chat.Template, why string, err error) {
	meta := m.model.File.Metadata
	template, err := meta.StringOr("tokenizer.chat_template", "")
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrNoTemplate, err)
	}
	bos, eos := m.boundaries()
	c := m.model.Config
	t, why, err = chat.Choose(chat.Meta{
		Architecture: c.Architecture, Name: c.Name, Template: template, VocabSize: c.Vocab, BOS: bos, EOS: eos,
		HasToken: func(text string) bool { _, ok := m.tokenizer.ID(text); return ok },
	})
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrNoTemplate, err)
	}
	return t, why, nil
}

// boundaries returns the texts of the tokens that begin and end a text.
func (m *Model) boundaries() (bos, eos string) {
	if id, ok := m.tokenizer.BOS(); ok {
		bos = m.tokenizer.Token(id).Text
	}
	if id, ok := m.tokenizer.EOS(); ok {
		eos = m.tokenizer.Token(id).Text
	}
	return bos, eos
}

// Prompt renders a conversation with the model's chat template, up to where
// the assistant's answer begins, and returns its tokens.
func (m *Model) Prompt(messages []chat.Message) ([]int32, error) {
	t, _, err := m.ChatTemplate()
	if err != nil {
		return nil, err
	}
	bos, eos := m.boundaries()
	text, err := t.Render(chat.Input{Messages: messages, AddGenerationPrompt: true, BOS: bos, EOS: eos})
	if err != nil {
		return nil, err
	}
	// The template writes all special tokens itself.
	return m.tokenizer.Encode(text, tokenizer.AddSpecial(false), tokenizer.ParseSpecial(true)), nil
}

// Chat answers the last message of a conversation. It is Generate with the
// model's chat template; white space before the answer is left out.
func (m *Model) Chat(ctx context.Context, messages []chat.Message, opts ...GenerateOption) iter.Seq2[Token, error] {
	return func(yield func(Token, error) bool) {
		prompt, err := m.Prompt(messages)
		if err != nil {
			yield(Token{}, err)
			return
		}
		var trim []chat.Trimmer // one per answer
		for token, err := range m.GenerateFrom(ctx, prompt, opts...) {
			for len(trim) <= token.Index {
				trim = append(trim, chat.Trimmer{})
			}
			token.Text = trim[token.Index].Write(token.Text)
			if !yield(token, err) {
				return
			}
		}
	}
}
