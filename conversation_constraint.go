package trit

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"trit/chat"
	"trit/grammar"
	"trit/internal/generate"
)

// constrain finds what the answer must keep to: the format of its text, the form
// of its calls, or one of them.
func (p *Prepared) constrain(ctx context.Context, c *Conversation, o *generateOptions) error {
	format, err := c.Format.request()
	if err != nil {
		return &OptionError{Option: "format", Err: err}
	}
	if format != nil {
		o.constraints = append(o.constraints, *format)
	}
	if p.format, err = p.model.applyConstraint(ctx, o); err != nil {
		return err
	}
	p.Constraint = o.Options.Constraint
	if p.Tools.Format != chat.ToolsNone {
		text := p.Constraint
		if p.Constraint, err = p.toolConstraint(ctx, c, text == nil); err != nil {
			return &OptionError{Option: "tools", Err: err}
		}
		if text != nil && c.ToolChoice.Mode == ToolsAuto {
			p.Constraint = generate.Either(text, p.Constraint)
		}
	}
	p.Constraint = p.think(c, p.Constraint)
	if p.Constraint == nil {
		return nil
	}
	constraint := p.Constraint
	p.Options = append(p.Options, func(o *generateOptions) { o.Options.Constraint, o.constraints = constraint, nil })
	return nil
}

// think lets the reasoning come before the answer that the conversation allows: free, and no more of
// it than the budget. A model may open the block by itself if its template has not.
func (p *Prepared) think(c *Conversation, answer Constraint) Constraint {
	begun := c.Bare || p.Reasoning.Skipped(p.Text) ||
		c.Continue && c.Messages[len(c.Messages)-1].Content != "" // the answer
	if p.Reasoning.Open == "" || begun && !p.Opened {
		return answer
	}
	r := generate.Reasoning{
		Open: p.Reasoning.Open, Close: p.Reasoning.Close, End: p.Reasoning.End, Opened: p.Opened, Budget: -1,
	}
	switch off := c.thinking() == ThinkingOff; {
	case off && answer != nil && !p.Opened:
		return answer
	case off:
		r.Budget = 0
	case c.ThinkingBudget > 0:
		r.Budget = c.ThinkingBudget
	case answer == nil:
		return nil
	}
	return r.Before(p.model.tokenizer, answer)
}

// toolConstraint returns the constraint that makes calls well-formed. text
// allows an answer that is no call, where the choice of tools does.
func (p *Prepared) toolConstraint(ctx context.Context, c *Conversation, text bool) (Constraint, error) {
	var tools []grammar.Tool
	for _, t := range c.Tools {
		if len(c.ToolChoice.Names) == 0 || slices.Contains(c.ToolChoice.Names, t.Function.Name) {
			tools = append(tools, grammar.Tool{
				Name: t.Function.Name, Parameters: t.Function.Parameters,
				Strict: t.Function.Strict != nil && *t.Function.Strict,
			})
		}
	}
	options := grammar.ToolOptions{
		Optional: text && c.ToolChoice.Mode == ToolsAuto, Parallel: !c.SingleCall,
	}
	switch p.Tools.Format {
	case chat.ToolsLlama:
		options.Format = grammar.ToolsLlama
	case chat.ToolsMistral:
		options.Format = grammar.ToolsMistral
	case chat.ToolsNamed:
		options.Format, options.Marks = grammar.ToolsNamed, grammar.ToolMarks(p.Tools.Marks)
	case chat.ToolsTagged:
		options.Format, options.Marks = grammar.ToolsTagged, grammar.ToolMarks(p.Tools.Marks)
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
	constraint, g, err := p.model.constraint(ctx, constraintKey{"tools", string(key)},
		func(c grammar.Compiler) (*grammar.Grammar, error) { return c.Tools(tools, options) })
	p.tools = g
	return constraint, err
}

// Relaxed returns the demands of the format's schema and of the tools' that the answer may break; see
// [grammar.Relaxation].
func (p *Prepared) Relaxed() []grammar.Relaxation {
	var out []grammar.Relaxation
	for _, g := range []*grammar.Grammar{p.format, p.tools} {
		if g != nil {
			out = append(out, g.Relaxed()...)
		}
	}
	return out
}

// Check reports whether an answer that is not cut satisfies all of the schemas that it has to: the format's, if it has
// no calls, and those of the tools that it calls. Errors are those of [grammar.Grammar.Check], which
// ends with ctx. Without anything relaxed nothing can be wrong.
func (p *Prepared) Check(ctx context.Context, content string, calls []chat.ToolCall) error {
	for i, call := range calls {
		if p.tools == nil {
			break
		}
		if err := grammar.Until(ctx).Check(p.tools, call.Function.Name, []byte(call.Function.Arguments)); err != nil {
			return fmt.Errorf("call %d, of %q: %w", i, call.Function.Name, err)
		}
	}
	if p.format != nil && len(calls) == 0 {
		return grammar.Until(ctx).Check(p.format, "", []byte(content))
	}
	return nil
}
