package trit

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"trit/chat"
	"trit/grammar"
	"trit/internal/fault"
	"trit/internal/generate"
	"trit/tokenizer"
)

// Conversation is what a model is to answer, and what the answer may be. How
// tokens are chosen and where they end is up to the options of a generation.
type Conversation struct {
	Messages []chat.Message
	// Tools may be called, as ToolChoice says; the zero value lets the model
	// decide. An answer has several calls unless SingleCall is set.
	Tools      []chat.Tool
	ToolChoice ToolChoice
	SingleCall bool
	// Format is what an answer must look like that is no call.
	Format Format
	// Continue says that the last message is the beginning of the answer.
	Continue bool
	// Begun says that an earlier text has the beginning of the conversation: what a derived model
	// begins with is left out.
	Begun bool
	// Bare leaves out the words of the template that begin the answer.
	Bare bool
	// Truncation says what becomes of a conversation that is too long.
	Truncation Truncation
	// Thinking switches what the model thinks before it answers.
	Thinking Thinking
	// ThinkingBudget bounds the tokens of that: after so many, the block is closed in the form that
	// the template has for it, and the answer follows. 0 is no bound. Models that do not think, or
	// whose marks are unknown, are left alone.
	ThinkingBudget int
	// Variables are further variables of the template, which override all others.
	Variables map[string]any
	// Choices is the number of answers; 0 leaves it to the options.
	Choices int
}

// ToolChoice says whether and which tools are called.
type ToolChoice struct {
	Mode ToolMode
	// Names are of the tools that may be called; none means all of them.
	Names []string
}

// ToolMode says whether tools are called.
type ToolMode uint8

// The modes.
const (
	ToolsAuto     ToolMode = iota // the model decides
	ToolsNever                    // the tools are not offered
	ToolsRequired                 // the answer is a call
)

// Thinking switches what a model thinks before it answers.
type Thinking uint8

// The switch.
const (
	ThinkingDefault Thinking = iota // as the template does it unasked
	ThinkingOff                     // where the template has no switch, the block is closed at once
	ThinkingOn                      // an error with a template that knows no thinking
)

// thinkingNames are the values of the switch as texts.
var thinkingNames = [...]string{ThinkingDefault: "auto", ThinkingOff: "off", ThinkingOn: "on"}

// String returns auto, off or on.
func (t Thinking) String() string {
	if int(t) < len(thinkingNames) {
		return thinkingNames[t]
	}
	return fmt.Sprintf("Thinking(%d)", uint8(t))
}

// ParseThinking reads auto, off or on.
func ParseThinking(text string) (Thinking, error) {
	if i := slices.Index(thinkingNames[:], text); i >= 0 {
		return Thinking(i), nil
	}
	return 0, fmt.Errorf("%q: want on, off or auto", text)
}

// Truncation says what becomes of a conversation that leaves no room for an
// answer. The zero value refuses it with [ErrContext].
type Truncation struct {
	// DropOldest leaves out the oldest turns; see [chat.Fit]. The rest applies to
	// it only.
	DropOldest bool
	// Context is a smaller context than the model's to fit into; 0 means the model's.
	Context int
	// Room is the number of tokens for the answer without which a conversation counts
	// as too long, at least 1. What leaves more is never changed.
	Room int
	// Reserve is the number of tokens for the answer, at least Room, that a
	// conversation leaves free which is too long.
	Reserve int
	// Slack, if something is left out, leaves out so many tokens more where
	// possible: the next turns then begin in the same way, and their beginning is
	// still in the prefix cache.
	Slack int
	// YieldReserve lets a last turn that is long have room and reserve but for
	// one token, where it would be refused otherwise.
	YieldReserve bool
}

// Converse answers a conversation. The last piece of each choice has Finish set.
// Leaving the loop ends the generation.
func (m *Model) Converse(ctx context.Context, c Conversation, opts ...GenerateOption) iter.Seq2[Piece, error] {
	return func(yield func(Piece, error) bool) {
		p, err := m.Prepare(ctx, c, opts...)
		if err != nil {
			yield(Piece{}, err)
			return
		}
		p.Run(ctx)(yield)
	}
}

// Prepared is a conversation that is ready to run.
type Prepared struct {
	// Text is the rendered conversation, Prompt its tokens.
	Text   string
	Prompt []int32
	// Options are those of the generation: Stops, the caller's, and Constraint.
	Options []GenerateOption
	// Stops are the strings that end an answer, where the template marks the end
	// of a turn by text and not by an end token.
	Stops []string
	// Constraint is what the answer is kept to, nil without one.
	Constraint Constraint
	// Messages are those that the prompt has, Dropped the number of those that
	// did not fit.
	Messages []chat.Message
	Dropped  int
	// Choices is the number of answers, at least 1.
	Choices int
	// Tools is how the answer writes calls, of the format ToolsNone if it has
	// none; Reasoning how it marks reasoning, and Opened whether the prompt ends
	// within that.
	Tools     chat.ToolSyntax
	Reasoning chat.ReasoningFormat
	Opened    bool

	model *Model
	trim  bool // white space before the answer is left out
	// offered are the tools that the answer may call.
	offered []chat.Tool
	// What the answer is kept to is made of these, nil if it is not.
	format, tools *grammar.Grammar
}

// Prepare turns a conversation into a prompt and a constraint without running
// it. Errors are of the type [*OptionError], [ErrContext] for what does not fit,
// [ErrNoTemplate], those of the template, and that of the context, with which rendering and
// compiling end.
func (m *Model) Prepare(ctx context.Context, c Conversation, opts ...GenerateOption) (*Prepared, error) {
	t, _, err := m.ChatTemplate()
	if err != nil {
		return nil, err
	}
	if err := c.validate(t); err != nil {
		return nil, err
	}
	o := m.generateOptions(ctx, opts)
	if o.err != nil {
		return nil, o.err
	}
	p := &Prepared{model: m, trim: !c.Continue, Reasoning: t.ReasoningFormat(), Choices: max(o.Options.Choices, 1)}
	p.Stops = slices.Clone(m.chatFormat().stops)
	p.Options = append([]GenerateOption{Stop(p.Stops...)}, opts...)
	if c.Choices > 0 {
		p.Choices = c.Choices
		p.Options = append(p.Options, Choices(c.Choices))
	}
	if err := p.render(ctx, &c, t); err != nil {
		return nil, err
	}
	if err := p.constrain(ctx, &c, o); err != nil {
		return nil, err
	}
	if m.controlMarks(p.Tools) || slices.ContainsFunc(p.Reasoning.Marks(), m.isControl) {
		p.Options = append(p.Options, ShowSpecial())
	}
	return p, nil
}

// validate checks the fields that need no rendering.
func (c *Conversation) validate(t *chat.Template) error {
	if len(c.Messages) == 0 {
		return fault.Option("messages", "there are none; send at least one message")
	}
	for i, msg := range c.Messages {
		if !t.KnowsRole(msg.Role) {
			return fault.Option("messages", "messages[%d] has the role %.40q, which the model's chat template does not know; "+
				"want system, user, assistant or tool", i, msg.Role)
		}
	}
	if last := c.Messages[len(c.Messages)-1]; c.Continue && last.Role != "assistant" {
		return fault.Option("messages", "the last message is to be continued, but its role is %.40q; want assistant",
			last.Role)
	}
	offered := func(name string) bool {
		return slices.ContainsFunc(c.Tools, func(t chat.Tool) bool { return t.Function.Name == name })
	}
	switch c.ToolChoice.Mode {
	case ToolsAuto, ToolsNever:
	case ToolsRequired:
		if len(c.Tools) == 0 {
			return fault.Option("tool_choice", "it asks for a call, and there are no tools")
		}
	default:
		return fault.Option("tool_choice", "the mode %d is unknown; want ToolsAuto, ToolsNever or ToolsRequired",
			c.ToolChoice.Mode)
	}
	for _, name := range c.ToolChoice.Names {
		if !offered(name) {
			return fault.Option("tool_choice", "it names the tool %.80q, which is not among the tools", name)
		}
	}
	switch c.Thinking {
	case ThinkingDefault, ThinkingOff:
	case ThinkingOn:
		if !t.CanThink() {
			return fault.Option("thinking", "the model's chat template knows no thinking; leave it off")
		}
	default:
		return fault.Option("thinking", "the value %d is unknown; want ThinkingDefault, ThinkingOff or ThinkingOn",
			c.Thinking)
	}
	if c.ThinkingBudget < 0 {
		return fault.Option("thinking_budget", "%d tokens; want a positive number, or 0 for no bound", c.ThinkingBudget)
	}
	if t := c.Truncation; t.Context < 0 || t.Room < 0 || t.Reserve < 0 || t.Slack < 0 {
		return fault.Option("truncation", "a context of %d, room for %d, a reserve of %d and a slack of %d tokens; "+
			"want 0 or more", t.Context, t.Room, t.Reserve, t.Slack)
	}
	if c.Choices < 0 || c.Choices > generate.MaxChoices {
		return fault.Option("choices", "there are %d; want 1 to %d", c.Choices, generate.MaxChoices)
	}
	return nil
}

// thinking returns the switch with the template's variable, which overrides it.
func (c *Conversation) thinking() Thinking {
	switch on, set := c.switched(); {
	case !set:
		return c.Thinking
	case on:
		return ThinkingOn
	}
	return ThinkingOff
}

// switched returns what the variables say about thinking.
func (c *Conversation) switched() (on, set bool) {
	for name := range chat.AllThinkingVariables() {
		if on, set = c.Variables[name].(bool); set {
			break
		}
	}
	return on, set
}

// render makes the prompt, of the newest messages that fit if that is wanted.
func (p *Prepared) render(ctx context.Context, c *Conversation, t *chat.Template) error {
	in := chat.Input{AddGenerationPrompt: !c.Continue && !c.Bare, Extra: c.Variables}
	if _, set := c.switched(); c.Thinking != ThinkingDefault && !set {
		in.Extra = maps.Clone(c.Variables)
		if in.Extra == nil {
			in.Extra = map[string]any{}
		}
		maps.Copy(in.Extra, t.ThinkingVariables(c.Thinking == ThinkingOn))
	}
	syntax := t.ToolSyntax()
	explain := syntax.Format == chat.ToolsNone
	var explained []chat.Tool
	if len(c.Tools) > 0 && c.ToolChoice.Mode != ToolsNever {
		p.Tools, p.offered = syntax, c.Tools
		if explain {
			p.Tools.Format, explained = chat.ToolsHermes, c.Tools
		} else {
			in.Tools = c.Tools
		}
	}
	render := func(messages []chat.Message) ([]int32, error) {
		in := in
		if in.Messages = messages; !c.Begun {
			in.Messages = p.model.begun(messages)
		}
		var err error
		if explain {
			if in.Messages, err = chat.ExplainTools(in.Messages, explained); err != nil {
				return nil, &OptionError{Option: "tools", Err: err}
			}
		}
		if c.Continue {
			p.Text, err = p.continued(ctx, in)
		} else {
			p.Text, err = p.model.renderChat(ctx, in)
			if c.thinking() == ThinkingOff && p.Reasoning.Opened(p.Text) { // the template has no switch
				p.Text = p.Reasoning.Skip(p.Text)
			}
		}
		if err != nil {
			return nil, err
		}
		// The template has written all special tokens itself.
		return p.model.encode(ctx, p.Text, tokenizer.AddSpecial(false), tokenizer.ParseSpecial(true))
	}
	p.Messages = c.Messages
	if c.Truncation.DropOldest {
		if err := p.fit(&c.Truncation, render); err != nil {
			return err
		}
	}
	var err error
	if p.Prompt, err = render(p.Messages); err != nil {
		return err
	}
	p.Opened = p.Reasoning.Opened(p.Text)
	if last := c.Messages[len(c.Messages)-1]; c.Continue && p.Reasoning.Open != "" {
		_, behind, begun := strings.Cut(last.Content, p.Reasoning.Open)
		p.Opened = begun && !strings.Contains(behind, p.Reasoning.Close) ||
			last.Content == "" && (p.Opened || last.Reasoning != "")
	}
	return nil
}

// continued renders a conversation that ends with the beginning of the answer,
// and leaves out what the template writes behind it.
func (p *Prepared) continued(ctx context.Context, in chat.Input) (string, error) {
	last := in.Messages[len(in.Messages)-1]
	in.Messages, in.AddGenerationPrompt = in.Messages[:len(in.Messages)-1], true
	text, err := p.model.renderChat(ctx, in)
	if err != nil {
		return "", err
	}
	if f := p.Reasoning; f.Open != "" && !strings.Contains(last.Content, f.Open) {
		opened := f.Opened(text)
		if last.Reasoning != "" && !opened {
			text += f.Open + "\n"
		}
		text += last.Reasoning
		if last.Content != "" && (opened || last.Reasoning != "") {
			text = strings.TrimRight(text, "\n") + "\n" + f.Close + "\n\n" // the answer has begun
		}
	}
	return text + last.Content, nil
}

// fit drops the oldest turns as far as the policy says.
func (p *Prepared) fit(policy *Truncation, render func([]chat.Message) ([]int32, error)) error {
	count := func(messages []chat.Message) (int, error) {
		tokens, err := render(messages)
		if long, ok := errors.AsType[*ContextError](err); ok {
			return long.Tokens, nil
		}
		return len(tokens), err
	}
	n, err := count(p.Messages)
	if err != nil {
		return err
	}
	context, room := p.model.Context(), max(policy.Room, 1)
	if policy.Context > 0 {
		context = min(context, policy.Context)
	}
	if n <= context-room {
		return nil
	}
	limit := max(1, context-max(policy.Reserve, room))
	limits := []int{limit}
	if policy.Slack > 0 {
		limits = []int{max(1, limit-policy.Slack), limit}
	}
	if policy.YieldReserve {
		limits = append(limits, max(1, context-1))
	}
	for _, limit := range limits {
		var kept []chat.Message
		var dropped int
		if kept, dropped, err = chat.Fit(p.Messages, count, limit); err == nil {
			p.Messages, p.Dropped = kept, dropped
			return nil
		}
		bad, ok := errors.AsType[*ContextError](err)
		if !ok {
			return err
		}
		bad.Context = context
	}
	return err
}
