package trit

import (
	"context"
	"crypto/rand"
	"iter"
	"slices"
	"strings"
	"trit/chat"
	"trit/tokenizer"
)

// Piece is what a token adds to an answer. Token.Text is what the model wrote;
// the other fields tell its parts apart.
type Piece struct {
	Token
	// Content is text of the answer, Reasoning text that the model thinks before
	// it.
	Content   string
	Reasoning string
	// ReasoningTokens is how many tokens of the choice so far are reasoning, its
	// marks included.
	ReasoningTokens int
	// Calls are the calls of tools that the token completes, CallParts what it adds to
	// calls that need not be complete: of an answer that reaches its limit within a call,
	// there are parts and no call.
	Calls     []chat.ToolCall
	CallParts []chat.CallPart
	// Called is set on the last piece of an answer that has called tools.
	Called bool
	// Results are what the tools returned that [Model.ConverseWithTools] has run.
	Results []chat.Message
}

// Run answers the conversation; more options follow those that it has.
func (p *Prepared) Run(ctx context.Context, opts ...GenerateOption) iter.Seq2[Piece, error] {
	return p.Pieces(p.model.GenerateFrom(ctx, p.Prompt, slices.Concat(p.Options, opts)...))
}

// Pieces tells the parts of an answer apart, whose tokens come from anywhere.
// Run is this with the tokens of GenerateFrom.
func (p *Prepared) Pieces(tokens iter.Seq2[Token, error]) iter.Seq2[Piece, error] {
	return func(yield func(Piece, error) bool) {
		var choices []*choiceParser
		for token, err := range tokens {
			if err != nil {
				yield(Piece{Token: token}, err)
				return
			}
			for len(choices) <= token.Index {
				choices = append(choices, p.newChoiceParser())
			}
			if !yield(choices[token.Index].add(token), nil) {
				return
			}
		}
	}
}

// choiceParser tells the parts of one choice apart.
type choiceParser struct {
	reasoning *chat.ReasoningParser
	trim      *chat.Trimmer    // nil: nothing is left out
	tools     *chat.ToolParser // nil: nothing is called
	called    bool
}

func (p *Prepared) newChoiceParser() *choiceParser {
	c := &choiceParser{reasoning: chat.NewReasoningParser(p.Reasoning, p.Opened)}
	if p.trim {
		c.trim = &chat.Trimmer{}
	}
	if p.Tools.Format != chat.ToolsNone {
		c.tools = chat.NewToolParser(p.Tools, p.offered...)
		if p.Tools.Format != chat.ToolsMistral { // whose templates take only short ids
			c.tools.NewID = func() string { return "call_" + strings.ToLower(rand.Text()[:24]) }
		}
	}
	return c
}

func (c *choiceParser) add(token Token) Piece {
	out := Piece{Token: token}
	out.Reasoning, out.Content = c.reasoning.Write(token.Text)
	if token.Finish != "" {
		reasoning, content := c.reasoning.Close()
		out.Reasoning += reasoning
		out.Content += content
	}
	out.ReasoningTokens = c.reasoning.Pieces()
	if c.trim != nil {
		out.Content = c.trim.Write(out.Content)
	}
	if c.tools == nil {
		return out
	}
	out.Content, out.Calls = c.tools.Write(out.Content)
	if token.Finish != "" {
		end := c.tools.Close
		if token.Finish == FinishLength || token.Finish != FinishStop && c.tools.InCall() {
			end = c.tools.Cut
		}
		content, calls := end()
		out.Content += content
		out.Calls = append(out.Calls, calls...)
	}
	out.CallParts = c.tools.Parts()
	c.called = c.called || len(out.Calls) > 0
	out.Called = c.called && token.Finish != ""
	return out
}

// controlMarks reports whether the model marks calls with control tokens, which
// are no text unless they are asked for. Together with the constraint on calls
// no other control token shows up in the answer.
func (m *Model) controlMarks(s chat.ToolSyntax) bool {
	return slices.ContainsFunc(s.Texts(), m.isControl)
}

// isControl reports whether a text stands for a control token.
func (m *Model) isControl(text string) bool {
	id, ok := m.tokenizer.ID(text)
	return ok && m.tokenizer.Token(id).Type == tokenizer.Control
}
