package trit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"trit/chat"
	"trit/internal/fault"
)

// ToolFunc runs a tool that the model has called. arguments are a JSON object,
// which keeps to the tool's schema. The model reads the result, or that the call
// failed and why; an error that wraps [ErrAbort] ends the conversation instead.
type ToolFunc = func(ctx context.Context, arguments json.RawMessage) (string, error)

// ErrAbort is wrapped by errors of a [ToolFunc] that are not for the model.
var ErrAbort = errors.New("the tool ends the conversation")

// ErrRounds reports that the model goes on to call tools after the last round.
var ErrRounds = errors.New("trit: too many rounds of tool calls")

// defaultRounds bounds the rounds where ToolRounds does not.
const defaultRounds = 8

// ReplyWithTools answers a conversation and runs the tools that the model calls,
// each by the function of its name, until it answers without a call. A
// ToolChoice that asks for a call holds for the first answer only.
//
// After an error the reply holds what was said before it: the messages can be
// appended to the conversation to go on from there.
func (m *Model) ReplyWithTools(
	ctx context.Context, c Conversation, tools map[string]ToolFunc, opts ...GenerateOption,
) (*Reply, error) {
	return m.runRounds(ctx, c, tools, opts, func(Piece) bool { return true })
}

// ConverseWithTools is ReplyWithTools that yields the pieces of all answers as
// they come. Behind the last piece of an answer with calls comes one that has
// nothing but Results, as soon as the tools have run. Leaving the loop ends the
// conversation; no tool runs after that.
func (m *Model) ConverseWithTools(
	ctx context.Context, c Conversation, tools map[string]ToolFunc, opts ...GenerateOption,
) iter.Seq2[Piece, error] {
	return func(yield func(Piece, error) bool) {
		left := false
		_, err := m.runRounds(ctx, c, tools, opts, func(piece Piece) bool {
			left = !yield(piece, nil)
			return !left
		})
		if err != nil && !left {
			yield(Piece{}, err)
		}
	}
}

// runRounds is the loop: an answer, the tools that it calls, the next answer. It
// shows every piece, and ends where that returns false.
func (m *Model) runRounds(
	ctx context.Context, c Conversation, tools map[string]ToolFunc, opts []GenerateOption, show func(Piece) bool,
) (*Reply, error) {
	o := m.generateOptions(ctx, opts)
	if o.err != nil {
		return nil, o.err
	}
	if err := checkTools(c.Tools, tools); err != nil {
		return nil, err
	}
	rounds := o.rounds
	if rounds == 0 {
		rounds = defaultRounds
	}
	var said []chat.Message
	for round := 0; ; round++ {
		reply, left, err := m.shownReply(ctx, c, opts, show)
		if reply == nil {
			return &Reply{Messages: said}, err
		}
		said = append(said, reply.Messages...)
		reply.Messages = said
		switch {
		case err != nil || left || len(reply.Calls) == 0:
			return reply, err
		case round == rounds:
			return reply, fmt.Errorf("%w: it has answered %d times with calls; see ToolRounds", ErrRounds, round+1)
		}
		results, err := runTools(ctx, reply.Calls, tools)
		said = append(said, results...)
		reply.Messages = said
		if err != nil || !show(Piece{Results: results}) {
			return reply, err
		}
		c.Messages = append(append(slices.Clip(c.Messages), reply.Message()), results...)
		c.Continue = false
		if c.ToolChoice.Mode == ToolsRequired {
			c.ToolChoice.Mode = ToolsAuto
		}
	}
}

// shownReply is Reply that shows the pieces, and says whether it was left where
// that returned false.
func (m *Model) shownReply(
	ctx context.Context, c Conversation, opts []GenerateOption, show func(Piece) bool,
) (reply *Reply, left bool, err error) {
	p, err := m.Prepare(ctx, c, opts...)
	if err != nil {
		return nil, false, err
	}
	if p.Choices > 1 {
		return nil, false, errSeveral
	}
	replies, err := p.Replies(ctx, func(yield func(Piece, error) bool) {
		for piece, err := range p.Run(ctx) {
			if err == nil {
				left = !show(piece)
			}
			if !yield(piece, err) || left {
				return
			}
		}
	})
	return &replies[0], left, err
}

// checkTools compares the tools that a model is offered with those that can run.
func checkTools(offered []chat.Tool, tools map[string]ToolFunc) error {
	for _, t := range offered {
		if tools[t.Function.Name] == nil {
			return fault.Option("tools", "there is no function for the tool %.80q", t.Function.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(tools)) {
		if !slices.ContainsFunc(offered, func(t chat.Tool) bool { return t.Function.Name == name }) {
			return fault.Option("tools", "there is a function %.80q, but no tool of that name to offer to the model", name)
		}
	}
	return nil
}

// runTools runs the calls of one answer in their order and returns their results
// as messages.
func runTools(ctx context.Context, calls []chat.ToolCall, tools map[string]ToolFunc) ([]chat.Message, error) {
	var results []chat.Message
	for _, call := range calls {
		if err := ctx.Err(); err != nil {
			return results, err
		}
		name := call.Function.Name
		var result string
		err := fmt.Errorf("there is no tool %.80q", name)
		if f := tools[name]; f != nil {
			result, err = f(ctx, json.RawMessage(call.Function.Arguments))
		}
		switch {
		case err != nil && (errors.Is(err, ErrAbort) || ctx.Err() != nil):
			return results, fmt.Errorf("tool %s: %w", name, err)
		case err != nil:
			result = "Error: " + err.Error()
		}
		results = append(results, chat.Message{Role: "tool", Content: result, Name: name, ToolCallID: call.ID})
	}
	return results, nil
}
