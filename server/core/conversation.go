package core

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"

	"trit"
	"trit/chat"
	"trit/grammar"
	"trit/internal/generate"
	"trit/tokenizer"
)

// Conversation is what the chat APIs ask for, in the terms they share.
type Conversation struct {
	Messages []chat.Message
	Extra    map[string]any // further variables of the template
	Tools    []chat.Tool
	Choice   toolChoice
	Parallel bool // several calls in one answer
	Format   Format
	// prefill: the last message is the beginning of the assistant's answer.
	Prefill bool
	// bare leaves out the words that begin the assistant's answer.
	Bare bool
	// truncate drops the oldest turns of a conversation that is too long,
	// instead of refusing it; reserve tokens are kept for the answer.
	Truncate bool
	Reserve  int

	Answers int
	Options []trit.GenerateOption
}

// toolChoice says whether tools are called.
type toolChoice struct {
	Mode  toolMode
	Names []string // of the tools that may be called; none means all of them
}

type toolMode uint8

const (
	toolsAuto     toolMode = iota // the model decides
	ToolsNever                    // the tools are not offered
	ToolsRequired                 // the answer is a call
)

// Piece is a part of an answer to a conversation.
type Piece struct {
	trit.Token
	// Content is what the token adds to the answer; Token.Text would also have
	// what calls tools.
	Content string
	// Calls are the calls that the token completes.
	Calls []chat.ToolCall
	// Called is set on a last piece of an answer that has called tools.
	Called bool
}

// Prepared is a conversation that is ready to run.
type Prepared struct {
	Job
	Tools   chat.ToolFormat
	parse   bool
	trim    bool // white space before the answer is left out
	dropped int  // messages that did not fit
}

// Prepare turns a conversation into a prompt and a constraint.
func (s *Server) Prepare(l *Lease, c *Conversation) (*Prepared, error) {
	if len(c.Messages) == 0 {
		return nil, BadRequest("messages", "messages is empty; send at least one message")
	}
	t, _, err := l.Model.ChatTemplate()
	if err != nil {
		return nil, err
	}
	if last := c.Messages[len(c.Messages)-1]; c.Prefill && last.Role != "assistant" {
		return nil, BadRequest("messages", "the last message is to be continued, but its role is %q; want assistant", last.Role)
	}
	p := &Prepared{Job: Job{Model: l, Answers: max(c.Answers, 1)}, trim: !c.Prefill}
	p.Options = append([]trit.GenerateOption{trit.Stop(l.Model.ChatStops()...)}, c.Options...)
	in := chat.Input{Messages: c.Messages, AddGenerationPrompt: !c.Prefill && !c.Bare, Extra: c.Extra}
	constraint, err := l.Constraint(c.Format)
	if err != nil {
		return nil, err
	}
	if len(c.Tools) > 0 && c.Choice.Mode != ToolsNever {
		if p.Tools = t.ToolFormat(); p.Tools == chat.ToolsNone {
			p.Tools = chat.ToolsHermes
			if in.Messages, err = ExplainTools(in.Messages, c.Tools); err != nil {
				return nil, err
			}
		} else {
			in.Tools = c.Tools
		}
		p.parse = true
		text := constraint
		if constraint, err = l.toolConstraint(p.Tools, c, text == nil); err != nil {
			return nil, err
		}
		if text != nil && c.Choice.Mode == toolsAuto {
			constraint = &either{open: []generate.Constraint{text, constraint}}
		}
		if l.ControlMarks(p.Tools) {
			p.Options = append(p.Options, trit.ShowSpecial())
		}
	} else if t.ToolFormat() == chat.ToolsNone {
		if in.Messages, err = ExplainTools(in.Messages, nil); err != nil {
			return nil, err
		}
	}
	if constraint != nil {
		p.Options = append(p.Options, trit.Constrain(constraint))
	}
	if c.Prefill {
		p.Prompt, err = l.prefilled(in)
	} else if c.Truncate {
		in.Messages, p.dropped, err = chat.Fit(in.Messages, func(messages []chat.Message) (int, error) {
			in := in
			in.Messages = messages
			tokens, err := l.Model.ChatPrompt(in)
			return len(tokens), err
		}, max(1, l.Model.Scheduler().Engine().Context()-max(c.Reserve, 1)))
		if err == nil {
			p.Prompt, err = l.Model.ChatPrompt(in)
		}
	} else {
		p.Prompt, err = l.Model.ChatPrompt(in)
	}
	return p, err
}

// Converse runs a prepared conversation. Its errors are for classify.
func (s *Server) Converse(ctx context.Context, p *Prepared) iter.Seq2[Piece, error] {
	return func(yield func(Piece, error) bool) {
		answers := make([]answerState, p.Answers)
		for i := range answers {
			answers[i].parser = chat.NewToolParser(p.Tools)
			if p.Tools != chat.ToolsMistral { // whose templates take only short ids
				answers[i].parser.NewID = func() string { return NewID("call_") }
			}
		}
		for token, err := range s.Run(ctx, &p.Job) {
			if err != nil {
				yield(Piece{}, err)
				return
			}
			a := &answers[token.Index]
			out := Piece{Token: token, Content: token.Text}
			if p.trim {
				out.Content = a.trim.Write(out.Content)
			}
			if p.parse {
				out.Content, out.Calls = a.parser.Write(out.Content)
				if token.Finish != "" {
					content, calls := a.parser.Close()
					out.Content += content
					out.Calls = append(out.Calls, calls...)
				}
				a.called = a.called || len(out.Calls) > 0
				out.Called = a.called && token.Finish != ""
			}
			if !yield(out, nil) {
				return
			}
		}
	}
}

type answerState struct {
	trim   chat.Trimmer
	parser *chat.ToolParser
	called bool
}

// ControlMarks reports whether the model marks calls with control tokens, which
// are no text unless they are asked for. Together with the constraint on calls
// no other control token shows up in the answer.
func (l *Lease) ControlMarks(f chat.ToolFormat) bool {
	var marks []string
	switch f {
	case chat.ToolsHermes:
		marks = []string{"<tool_call>", "</tool_call>"}
	case chat.ToolsLlama:
		marks = []string{"<|python_tag|>"}
	case chat.ToolsMistral:
		marks = []string{"[TOOL_CALLS]"}
	}
	t := l.Model.Tokenizer()
	return slices.ContainsFunc(marks, func(mark string) bool {
		id, ok := t.ID(mark)
		return ok && t.Token(id).Type == tokenizer.Control
	})
}

// toolConstraint returns the constraint that makes calls well-formed. text
// allows an answer that is no call, where the choice of tools does.
func (l *Lease) toolConstraint(f chat.ToolFormat, c *Conversation, text bool) (generate.Constraint, error) {
	var tools []grammar.Tool
	for _, name := range c.Choice.Names {
		if !slices.ContainsFunc(c.Tools, func(t chat.Tool) bool { return t.Function.Name == name }) {
			return nil, BadRequest("tool_choice", "tool_choice names the tool %q, which is not among the tools", name)
		}
	}
	for _, t := range c.Tools {
		if len(c.Choice.Names) == 0 || slices.Contains(c.Choice.Names, t.Function.Name) {
			tools = append(tools, grammar.Tool{Name: t.Function.Name, Parameters: t.Function.Parameters})
		}
	}
	// Only a function that is to be strict must have a schema that can be met to
	// the letter.
	strict := slices.ContainsFunc(c.Tools, func(t chat.Tool) bool { return t.Function.Strict != nil && *t.Function.Strict })
	options := grammar.ToolOptions{Optional: text && c.Choice.Mode == toolsAuto, Parallel: c.Parallel, Schema: grammar.SchemaOptions{IgnoreUnknown: !strict}}
	switch f {
	case chat.ToolsLlama:
		options.Format = grammar.ToolsLlama
	case chat.ToolsMistral:
		options.Format = grammar.ToolsMistral
	default:
		options.Format = grammar.ToolsHermes
	}
	key, err := json.Marshal(struct {
		Tools   []grammar.Tool
		Options grammar.ToolOptions
	}{tools, options})
	if err != nil {
		return nil, err
	}
	constraint, err := l.constrain("tools "+string(key), func() (*grammar.Grammar, error) { return grammar.Tools(tools, options) })
	return constraint, Blame(err, "tools")
}

// prefilled renders a conversation that ends with the beginning of the answer,
// and leaves out what the template writes behind it.
func (l *Lease) prefilled(in chat.Input) ([]int32, error) {
	last := in.Messages[len(in.Messages)-1].Content
	in.Messages, in.AddGenerationPrompt = in.Messages[:len(in.Messages)-1], true
	text, err := l.Model.RenderChat(in)
	if err != nil {
		return nil, err
	}
	return l.Model.EncodePrompt(text + last), nil
}

// ExplainTools puts a conversation with tools into the words of a template that
// knows none: the system message lists them, calls and their results become
// text, in the form of Hermes.
func ExplainTools(messages []chat.Message, tools []chat.Tool) ([]chat.Message, error) {
	var out []chat.Message
	if len(tools) > 0 {
		var b strings.Builder
		b.WriteString("You may call these functions:\n<tools>\n")
		for _, t := range tools {
			line, err := json.Marshal(t)
			if err != nil {
				return nil, BadRequest("tools", "the parameters of the tool %q are not JSON: %v", t.Function.Name, err)
			}
			b.Write(line)
			b.WriteByte('\n')
		}
		b.WriteString("</tools>\nTo call one, answer with <tool_call>{\"name\": NAME, \"arguments\": ARGUMENTS}</tool_call>.")
		out = append(out, chat.Message{Role: "system", Content: b.String()})
	}
	for _, m := range messages {
		switch {
		case m.Role == "system" && len(out) == 1 && len(tools) > 0:
			out[0].Content = m.Content + "\n\n" + out[0].Content
			continue
		case m.Role == "tool":
			m = chat.Message{Role: "user", Content: "<tool_response>\n" + m.Content + "\n</tool_response>"}
			if n := len(out); n > 0 && out[n-1].Role == "user" { // templates want turns to alternate
				out[n-1].Content += "\n" + m.Content
				continue
			}
		case len(m.ToolCalls) > 0:
			for _, call := range m.ToolCalls {
				if m.Content != "" {
					m.Content += "\n"
				}
				m.Content += fmt.Sprintf("<tool_call>\n{\"name\": %q, \"arguments\": %s}\n</tool_call>", call.Function.Name, call.Function.Arguments)
			}
			m.ToolCalls = nil
		}
		out = append(out, m)
	}
	return out, nil
}
