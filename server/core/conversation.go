package core

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"

	"trit"
	"trit/chat"
)

// Conversation is what the chat APIs ask for: a conversation as the library
// knows it, and how its answers are generated.
type Conversation struct {
	trit.Conversation
	// FormatField is the field of the request that says what the answer must look
	// like, ThinkingField the one that asks for thinking; for errors.
	FormatField   string
	ThinkingField string
	// ThinkingHint says that models without thinking answer without it, as the API's own
	// server has none of these.
	ThinkingHint bool
	// Unparsed leaves reasoning in the text of the answer, as the model writes it.
	Unparsed bool
	Options  []trit.GenerateOption
	// Ignored names what was asked for and is left out, such as tools that only the API's
	// own server has.
	Ignored []string

	effortBudget int  // tokens of reasoning that the effort allows; 0: no bound
	unbounded    bool // the request wants no bound
}

// IgnoredHeader names what of a request was left out.
const IgnoredHeader = "X-Trit-Ignored"

// SayIgnored tells the client what of its request is left out, beside what it has been
// told already; and once the log.
func SayIgnored(r *http.Request, names []string) {
	rec := recordIn(r.Context())
	rec.ignored = append(rec.ignored, names...)
}

// maxIgnored bounds how much of a request an answer names as left out.
const maxIgnored = 32

// ignoredHeader returns what the client reads of what is left out.
func (rec *record) ignoredHeader() string {
	names := rec.ignored
	if n := len(names) - maxIgnored; n > 0 {
		names = append(slices.Clone(names[:maxIgnored]), fmt.Sprintf("%d more", n))
	}
	return strings.Join(names, ", ")
}

// ignoredLog remembers which kinds of fields the log has been told of, by API and field.
type ignoredLog struct{ said sync.Map }

// indexes are the places of elements in the path of a field.
var indexes = regexp.MustCompile(`\[\d+\]|\.\d+`)

// logIgnored says once in the log that a field of an API is left out.
func (s *Server) logIgnored(rec *record) {
	for _, name := range rec.ignored {
		field, _, _ := strings.Cut(name, " (")
		if field = indexes.ReplaceAllString(field, ""); strings.HasPrefix(field, `"`) {
			field = "unknown fields" // by their names there may be any number
		}
		if _, said := s.ignored.said.LoadOrStore(rec.family.Name+" "+field, true); !said {
			s.Log.Info("a part of requests is ignored; it is said once", "api", rec.family.Name, "field", field, "id", rec.id,
				"ignored", name)
		}
	}
}

// IgnoreTool notes a tool of a kind that this server does not have.
func (c *Conversation) IgnoreTool(param, kind string) {
	c.Ignored = append(c.Ignored, fmt.Sprintf("%s (%.40q)", param, kind))
}

// SetFormat says what the answer must look like.
func (c *Conversation) SetFormat(f Format) { c.Format, c.FormatField = f.Format, f.Field }

// Prepared is a conversation that is ready to run. Its prompt and options are the
// job's, and may be changed.
type Prepared struct {
	Job
	// Reasoning is how the model marks it.
	Reasoning    chat.ReasoningFormat
	conversation *trit.Prepared
}

// Text is the rendered conversation.
func (p *Prepared) Text() string { return p.conversation.Text }

// Prepare turns a conversation into a prompt, a constraint and the options of a
// generation.
func (l *Lease) Prepare(ctx context.Context, c *Conversation) (*Prepared, error) {
	l.completeThinking(c)
	p, err := l.Model.Prepare(ctx, c.Conversation, c.Options...)
	if err != nil {
		field := ""
		if e, ok := errors.AsType[*trit.OptionError](err); ok {
			if e.Option == "thinking" && c.ThinkingHint && c.Thinking == trit.ThinkingOn {
				c.Thinking = trit.ThinkingDefault
				c.Ignored = append(c.Ignored, c.ThinkingField)
				return l.Prepare(ctx, c)
			}
			switch field = e.Option; field {
			case "format":
				field = c.FormatField
			case "thinking":
				field = c.ThinkingField
			case "choices":
				field = "n"
			}
		}
		return nil, blameOption(err, field)
	}
	if p.Dropped > 0 {
		c.Ignored = append(c.Ignored, fmt.Sprintf("messages (%d of %d, to fit the context)", p.Dropped, len(c.Messages)))
	}
	c.Ignored = append(c.Ignored, relaxed(p.Relaxed(), c.FormatField)...)
	reasoning := p.Reasoning
	if c.Unparsed {
		p.Reasoning = chat.ReasoningFormat{}
	}
	field := c.FormatField
	if field == "" {
		field = "tools"
	}
	return &Prepared{Reasoning: reasoning, Job: Job{Model: l, Prompt: p.Prompt, Choices: p.Choices, Options: p.Options, FormatField: field,
		Stats: new(trit.Stats)}, conversation: p}, nil
}

// Converse runs a prepared conversation. Its errors are for Classify.
func (s *Server) Converse(ctx context.Context, p *Prepared) iter.Seq2[trit.Piece, error] {
	pieces := p.conversation.Pieces(s.Run(ctx, &p.Job))
	if len(p.conversation.Relaxed()) == 0 {
		return pieces
	}
	return p.checked(ctx, pieces)
}

// checked passes pieces on, and tells the request's record whether the answers satisfy their schemas.
func (p *Prepared) checked(ctx context.Context, pieces iter.Seq2[trit.Piece, error]) iter.Seq2[trit.Piece, error] {
	return func(yield func(trit.Piece, error) bool) {
		answers := make([]struct {
			content strings.Builder
			calls   []chat.ToolCall
		}, p.Choices)
		rec := recordIn(ctx)
		for piece, err := range pieces {
			if err == nil && piece.Index < len(answers) {
				a := &answers[piece.Index]
				a.content.WriteString(piece.Content)
				a.calls = append(a.calls, piece.Calls...)
				if piece.Finish != "" {
					rec.judge(piece.Cut, p.conversation.Check(ctx, a.content.String(), a.calls))
				}
			}
			if !yield(piece, err) {
				return
			}
		}
	}
}
