package trit

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"trit/chat"
	"trit/internal/fault"
)

// Text is Generate that returns the whole text. A text that ends before it
// satisfies its constraint is a [*CutError]; one that reaches its limit is not.
func (m *Model) Text(ctx context.Context, prompt string, opts ...GenerateOption) (string, error) {
	return wholeText(m.Generate(ctx, prompt, opts...))
}

// TextFrom is GenerateFrom that returns the whole text; see [Model.Text].
func (m *Model) TextFrom(ctx context.Context, prompt []int32, opts ...GenerateOption) (string, error) {
	return wholeText(m.GenerateFrom(ctx, prompt, opts...))
}

// ChatText is Chat that returns the whole answer; see [Model.Text].
func (m *Model) ChatText(ctx context.Context, messages []chat.Message, opts ...GenerateOption) (string, error) {
	return wholeText(m.Chat(ctx, messages, opts...))
}

func wholeText(tokens iter.Seq2[Token, error]) (string, error) {
	var text strings.Builder
	var last Token
	n := 0
	for token, err := range tokens {
		if err != nil {
			return text.String(), err
		}
		if token.Index > 0 {
			return "", errSeveral
		}
		text.WriteString(token.Text)
		last = token
		n++
	}
	if last.Cut {
		return text.String(), &CutError{text.String(), n, last.Finish}
	}
	return text.String(), nil
}

// errSeveral reports several texts where there can be one.
var errSeveral = fault.Option("choices",
	"there are several, and this call returns one; use Generate, Converse or Replies")

// Reply is an answer to a conversation.
type Reply struct {
	Content   string
	Reasoning string // what the model thought before it
	Calls     []chat.ToolCall
	Finish    Finish
	// Cut says that the answer ended before it satisfied its format.
	Cut bool
	// Schema is nil if the answer satisfies the schemas of the format and of the tools. Otherwise something was relaxed
	// that the answer then broke, or that cannot be decided; see [Prepared.Check].
	Schema error
	// Tokens is how many tokens were generated for it.
	Tokens int
	// ReasoningTokens is how many of them are reasoning, its marks included.
	ReasoningTokens int
	// Dropped is the number of messages of the conversation that did not fit.
	Dropped int
	// Messages are what a tool loop has added to the conversation: calls, their
	// results, and at last the answer. Without one it is the answer alone.
	Messages []chat.Message
}

// Message returns the answer as a message, for the next turn of the conversation.
func (r *Reply) Message() chat.Message {
	return chat.Message{Role: "assistant", Content: r.Content, Reasoning: r.Reasoning, ToolCalls: r.Calls}
}

// Reply is Converse that returns the whole answer. What was generated before an
// error is returned with it.
func (m *Model) Reply(ctx context.Context, c Conversation, opts ...GenerateOption) (*Reply, error) {
	reply, _, err := m.shownReply(ctx, c, opts, func(Piece) bool { return true })
	return reply, err
}

// Replies is Reply for several choices.
func (m *Model) Replies(ctx context.Context, c Conversation, opts ...GenerateOption) ([]Reply, error) {
	p, err := m.Prepare(ctx, c, opts...)
	if err != nil {
		return nil, err
	}
	return p.Replies(ctx, p.Run(ctx))
}

// Replies collects the pieces of all choices. Checking them against their schemas ends with the context.
func (p *Prepared) Replies(ctx context.Context, pieces iter.Seq2[Piece, error]) ([]Reply, error) {
	replies := make([]Reply, p.Choices)
	content, reasoning := make([]strings.Builder, p.Choices), make([]strings.Builder, p.Choices)
	var failed error
	for piece, err := range pieces {
		if err != nil {
			failed = err
			break
		}
		if piece.Index >= len(replies) {
			return replies, fmt.Errorf("there is a choice %d of %d", piece.Index+1, p.Choices)
		}
		r := &replies[piece.Index]
		content[piece.Index].WriteString(piece.Content)
		reasoning[piece.Index].WriteString(piece.Reasoning)
		r.Calls = append(r.Calls, piece.Calls...)
		r.Tokens++
		r.ReasoningTokens = piece.ReasoningTokens
		r.Finish, r.Cut = piece.Finish, piece.Cut
	}
	for i := range replies {
		r := &replies[i]
		r.Content, r.Reasoning, r.Dropped = content[i].String(), reasoning[i].String(), p.Dropped
		r.Messages = []chat.Message{r.Message()}
		if len(p.Relaxed()) > 0 && failed == nil && !r.Cut {
			r.Schema = p.Check(ctx, r.Content, r.Calls)
		}
	}
	return replies, failed
}
