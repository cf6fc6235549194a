package trit

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"trit/chat"
)

// ErrNoTemplate reports a conversation with a model whose chat template
// cannot be used.
var ErrNoTemplate = errors.New("trit: no chat template")

// chatFormat is a model's template, found when it is first needed.
type chatFormat struct {
	given    *chat.Template // in place of the file's; may be nil
	once     sync.Once
	template *chat.Template
	why      string
	stops    []string // that end an answer
	err      error
}

// ChatTemplate returns the template that conversations are rendered with, and
// why it is this one.
func (m *Model) ChatTemplate() (t *chat.Template, why string, err error) {
	c := m.chatFormat()
	return c.template, c.why, c.err
}

func (m *Model) chatFormat() *chatFormat {
	c := &m.format
	c.once.Do(func() {
		c.template, c.why, c.err = m.chooseTemplate()
		if c.err == nil {
			c.stops = m.chatStops(c.template)
		}
	})
	return c
}

// ChatTemplate is the template of conversations in place of the file's; see [chat.Parse]
// and [chat.Builtin].
func ChatTemplate(t *chat.Template) Option {
	return func(o *openOptions) {
		if t == nil {
			o.fail("chat_template", "it is nil")
		}
		o.template = t
	}
}

func (m *Model) chooseTemplate() (t *chat.Template, why string, err error) {
	if t := m.format.given; t != nil {
		return t, "the template that the model was opened with", nil
	}
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

func (m *Model) chatStops(t *chat.Template) []string {
	end := t.EndOfTurn(m.boundaries())
	if id, ok := m.tokenizer.ID(end); end == "" || ok && m.tokenizer.IsEOG(id) {
		return nil
	}
	return []string{end}
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

// renderChat renders a conversation with the model's chat template. It fills in
// the special tokens of the input.
func (m *Model) renderChat(ctx context.Context, in chat.Input) (string, error) {
	t, _, err := m.ChatTemplate()
	if err != nil {
		return "", err
	}
	in.BOS, in.EOS = m.boundaries()
	return t.RenderContext(ctx, in)
}

// Chat answers the last message of a conversation. It is [Model.Converse] for a
// conversation that is nothing but messages; Token.Text has the answer without
// what the model thinks before it.
func (m *Model) Chat(ctx context.Context, messages []chat.Message, opts ...GenerateOption) iter.Seq2[Token, error] {
	return func(yield func(Token, error) bool) {
		for piece, err := range m.Converse(ctx, Conversation{Messages: messages}, opts...) {
			piece.Token.Text = piece.Content
			if !yield(piece.Token, err) {
				return
			}
		}
	}
}
