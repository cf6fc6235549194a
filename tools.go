package trit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	o := m.generateOptions(opts)
	if o.err != nil {
		return nil, o.err
	}
	for _, t := range c.Tools {
		if tools[t.Function.Name] == nil {
			return nil, fault.Option("tools", "there is no function for the tool %.80q", t.Function.Name)
		}
	}
	for name := range tools {
		if !slices.ContainsFunc(c.Tools, func(t chat.Tool) bool { return t.Function.Name == name }) {
			return nil, fault.Option("tools", "there is a function %.80q, but no tool of that name to offer to the model", name)
		}
	}
	rounds := o.rounds
	if rounds == 0 {
		rounds = defaultRounds
	}
	var said []chat.Message
	for round := 0; ; round++ {
		reply, err := m.Reply(ctx, c, opts...)
		if reply == nil {
			return &Reply{Messages: said}, err
		}
		said = append(said, reply.Messages...)
		reply.Messages = said
		switch {
		case err != nil || len(reply.Calls) == 0:
			return reply, err
		case round == rounds:
			return reply, fmt.Errorf("%w: it has answered %d times with calls; see ToolRounds", ErrRounds, round+1)
		}
		results, err := runTools(ctx, reply.Calls, tools)
		said = append(said, results...)
		if err != nil {
			reply.Messages = said
			return reply, err
		}
		c.Messages = append(append(slices.Clip(c.Messages), reply.Message()), results...)
		c.Continue = false
		if c.ToolChoice.Mode == ToolsRequired {
			c.ToolChoice.Mode = ToolsAuto
		}
	}
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
