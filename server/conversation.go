package server

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strings"

	"trit"
	"trit/chat"
	"trit/generate"
	"trit/grammar"
)

// conversation is what the chat APIs ask for, in the terms they share.
type conversation struct {
	messages []chat.Message
	extra    map[string]any // further variables of the template
	tools    []chat.Tool
	choice   toolChoice
	parallel bool // several calls in one answer
	format   format
	// prefill: the last message is the beginning of the assistant's answer.
	prefill bool
	// truncate drops the oldest turns of a conversation that is too long,
	// instead of refusing it; reserve tokens are kept for the answer.
	truncate bool
	reserve  int

	answers int
	options []trit.GenerateOption
}

// toolChoice says whether tools are called.
type toolChoice struct {
	mode toolMode
	name string // of the tool that must be called; empty for any
}

type toolMode uint8

const (
	toolsAuto     toolMode = iota // the model decides
	toolsNever                    // the tools are not offered
	toolsRequired                 // the answer is a call
)

// piece is a part of an answer to a conversation.
type piece struct {
	trit.Token
	// Content is what the token adds to the answer; Token.Text would also have
	// what calls tools.
	Content string
	// Calls are the calls that the token completes.
	Calls []chat.ToolCall
	// Called is set on a last piece of an answer that has called tools.
	Called bool
}

// prepared is a conversation that is ready to run.
type prepared struct {
	job
	tools   chat.ToolFormat
	parse   bool
	dropped int // messages that did not fit
}

// prepare turns a conversation into a prompt and a constraint.
func (s *Server) prepare(l *lease, c *conversation) (*prepared, error) {
	if len(c.messages) == 0 {
		return nil, badRequest("messages", "messages is empty; send at least one message")
	}
	t, _, err := l.Model.ChatTemplate()
	if err != nil {
		return nil, err
	}
	p := &prepared{job: job{model: l, answers: max(c.answers, 1)}}
	p.options = append([]trit.GenerateOption{trit.Stop(l.Model.ChatStops()...)}, c.options...)
	in := chat.Input{Messages: c.messages, AddGenerationPrompt: !c.prefill, Extra: c.extra}
	constraint, err := l.constraint(c.format)
	if err != nil {
		return nil, err
	}
	if len(c.tools) > 0 && c.choice.mode != toolsNever {
		if c.format.key() != "" && c.choice.mode == toolsRequired {
			return nil, badRequest("response_format", "a response format and a required tool call exclude each other")
		}
		if p.tools = t.ToolFormat(); p.tools == chat.ToolsNone {
			p.tools = chat.ToolsHermes
			if in.Messages, err = explainTools(in.Messages, c.tools); err != nil {
				return nil, err
			}
		} else {
			in.Tools = c.tools
		}
		p.parse = true
		if constraint == nil {
			if constraint, err = l.toolConstraint(p.tools, c); err != nil {
				return nil, err
			}
		}
		// The marks of calls may be control tokens.
		p.options = append(p.options, trit.ShowSpecial())
	} else if t.ToolFormat() == chat.ToolsNone {
		if in.Messages, err = explainTools(in.Messages, nil); err != nil {
			return nil, err
		}
	}
	if constraint != nil {
		p.options = append(p.options, trit.Constrain(constraint))
	}
	if c.prefill {
		p.prompt, err = l.prefilled(in)
	} else if c.truncate {
		in.Messages, p.dropped, err = chat.Fit(in.Messages, func(messages []chat.Message) (int, error) {
			in := in
			in.Messages = messages
			tokens, err := l.Model.ChatPrompt(in)
			return len(tokens), err
		}, max(1, l.Model.Scheduler().Engine().Context()-max(c.reserve, 1)))
		if err == nil {
			p.prompt, err = l.Model.ChatPrompt(in)
		}
	} else {
		p.prompt, err = l.Model.ChatPrompt(in)
	}
	return p, err
}

// converse runs a prepared conversation. Its errors are for classify.
func (s *Server) converse(ctx context.Context, p *prepared) iter.Seq2[piece, error] {
	return func(yield func(piece, error) bool) {
		answers := make([]answerState, p.answers)
		for i := range answers {
			answers[i].parser = chat.NewToolParser(p.tools)
		}
		for token, err := range s.run(ctx, &p.job) {
			if err != nil {
				yield(piece{}, err)
				return
			}
			a := &answers[token.Index]
			out := piece{Token: token, Content: a.trim.Write(token.Text)}
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

// toolConstraint returns the constraint that makes calls well-formed.
func (l *lease) toolConstraint(f chat.ToolFormat, c *conversation) (generate.Constraint, error) {
	var tools []grammar.Tool
	for _, t := range c.tools {
		if c.choice.name == "" || c.choice.name == t.Function.Name {
			tools = append(tools, grammar.Tool{Name: t.Function.Name, Parameters: t.Function.Parameters})
		}
	}
	if len(tools) == 0 {
		return nil, badRequest("tool_choice", "tool_choice names the tool %q, which is not among the tools", c.choice.name)
	}
	options := grammar.ToolOptions{Optional: c.choice.mode == toolsAuto, Parallel: c.parallel}
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
	return l.constrain("tools "+string(key), func() (*grammar.Grammar, error) { return grammar.Tools(tools, options) })
}

// prefilled renders a conversation that ends with the beginning of the answer,
// and leaves out what the template writes behind it.
func (l *lease) prefilled(in chat.Input) ([]int32, error) {
	last := in.Messages[len(in.Messages)-1].Content
	in.Messages, in.AddGenerationPrompt = in.Messages[:len(in.Messages)-1], true
	text, err := l.Model.RenderChat(in)
	if err != nil {
		return nil, err
	}
	return l.Model.EncodePrompt(text + last), nil
}

// explainTools puts a conversation with tools into the words of a template that
// knows none: the system message lists them, calls and their results become
// text, in the form of Hermes.
func explainTools(messages []chat.Message, tools []chat.Tool) ([]chat.Message, error) {
	var out []chat.Message
	if len(tools) > 0 {
		var b strings.Builder
		b.WriteString("You may call these functions:\n<tools>\n")
		for _, t := range tools {
			line, err := json.Marshal(t)
			if err != nil {
				return nil, badRequest("tools", "the parameters of the tool %q are not JSON: %v", t.Function.Name, err)
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
