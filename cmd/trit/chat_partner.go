package main

import (
	"context"
	"iter"

	"trit"
	"trit/chat"
	"trit/internal/tui"
)

// partner is the model that answers a conversation: one in this process, or one of a server. What a server does not
// tell is unknown: a count of 0 tokens, no text.
type partner interface {
	Name() string
	Context() int // in tokens
	Close() error
	greeting() string
	// settings are those that the model and the flags give.
	settings() chatSettings

	// accepts finds out whether a conversation can be answered that has such tools or such a format, checks whether
	// answers can be thought about as is asked for.
	accepts(ctx context.Context, c trit.Conversation) error
	checks(think *thinkFlags) error
	// system finds out what becomes of a system prompt; the remark says if the model will not see it.
	system(text string) (remark string, err error)
	// length counts the tokens of a conversation, tokens those of a text.
	length(messages []chat.Message) (int, error)
	tokens(text string) int
	prepare(ctx context.Context, c trit.Conversation, how answering) (*prepared, error)

	// models lists what change takes.
	models(ctx context.Context) (string, error)
	names() []string
	// change closes the model and opens another one, which it returns with what to say about it. Without it the
	// model is gone, and with an error it is the same as before.
	change(ctx context.Context, name string, emit func(tui.Event), loading func(string)) (partner, string, error)
	// show describes the model, its template or its licence.
	show(ctx context.Context, what string) (string, error)
	// save makes a model that begins with the conversation.
	save(name string, c *conversation) (string, error)
}

// answering says how an answer is generated.
type answering struct {
	settings *chatSettings
	attempt  uint64 // answers to the same question before
	stats    *trit.Stats
	debug    bool // show the prompt and the candidates
	emit     func(tui.Event)
}

// prepared is an answer that can be had.
type prepared struct {
	messages []chat.Message // that the model sees
	dropped  int            // messages that did not fit
	prompt   int            // tokens
	seed     *uint64        // nil: the server chooses one
	run      iter.Seq2[trit.Piece, error]
}
