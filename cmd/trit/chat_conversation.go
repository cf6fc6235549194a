package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"trit"
	"trit/chat"
	"trit/internal/tui"
)

// conversation is what is said with a model, and how answers are generated. It
// implements tui.Handler.
type conversation struct {
	partner  partner
	settings chatSettings
	debug    bool
	screen   bool // what was said is on a screen, which can show it again

	system   string
	messages []chat.Message // everything that was said, without the system prompt
	window   []chat.Message // what of it the model still sees
	attempt  uint64         // answers to the last question before the current one
	versions versions       // what the conversation was before it went on in another way
	attached []attachment   // files for the next message
	format   format         // of the answers
	tools    []chat.Tool    // that the model may call
	pending  []chat.ToolCall

	mu      sync.Mutex // guards what Status reads while an answer is generated
	used    int        // tokens of the context
	current *exchange  // the running answer, nil when there is none
	last    *exchange  // the last complete one
	totals  totals
	loading string // how far a model is loaded, "" while none is
}

// exchange is a question with its answer.
type exchange struct {
	question  string
	reasoning string
	text      string
	calls     []chat.ToolCall
	finish    trit.Finish
	stats     trit.Stats
	seed      *uint64 // nil: the server chose one
	prompt    int     // tokens of the conversation up to the answer, 0 if unknown
	generated int     // tokens of the answer
	dropped   int     // messages that were left out before it
	first     time.Time
	err       error
}

// empty reports that the model said nothing.
func (x *exchange) empty() bool { return x.text == "" && len(x.calls) == 0 }

// totals count all answers of a conversation.
type totals struct {
	answers   int
	prompt    int
	generated int
	time      time.Duration
	dropped   int
}

// newConversation starts a conversation.
func newConversation(p partner, debug bool) *conversation {
	return &conversation{partner: p, debug: debug, settings: p.settings()}
}

// Handle implements tui.Handler.
func (c *conversation) Handle(ctx context.Context, input string, emit func(tui.Event)) {
	c.handle(ctx, input, emit)
}

// handle answers an input: a command or a message. It returns the exchange, or
// nil if the input asked the model nothing.
func (c *conversation) handle(ctx context.Context, input string, emit func(tui.Event)) *exchange {
	input = strings.ToValidUTF8(input, "\uFFFD")
	switch text := strings.TrimSpace(input); {
	case text == "":
		return nil
	case tui.Unclosed(input):
		emit(tui.Event{Kind: tui.Problem, Text: `The message begins with """ and has no """ at its end; it was not sent.`})
		return nil
	case strings.HasPrefix(text, `"""`):
		return c.say(ctx, tui.Unquote(text), emit)
	case strings.HasPrefix(text, "//"):
		input = strings.Replace(input, "//", "/", 1)
	case strings.HasPrefix(text, "/"), text == "quit", text == "exit":
		return c.command(ctx, strings.TrimPrefix(text, "/"), emit)
	}
	return c.say(ctx, strings.TrimRight(input, "\n"), emit)
}

// say sends a message, with the files that go with it.
func (c *conversation) say(ctx context.Context, text string, emit func(tui.Event)) *exchange {
	if len(c.pending) > 0 {
		emit(tui.Event{Kind: tui.Problem, Text: c.pendingNote() + " /undo takes the question back."})
		return nil
	}
	text, files, err := c.withFiles(text)
	if err != nil {
		emit(tui.Event{Kind: tui.Problem, Text: err.Error()})
		return nil
	}
	c.attempt = 0
	x := c.ask(ctx, chat.Message{Role: "user", Content: text}, emit)
	if x.empty() {
		c.attached = files
	}
	return x
}

// ask adds a message to the conversation and lets the model answer. Without an
// answer the message is taken back.
func (c *conversation) ask(ctx context.Context, question chat.Message, emit func(tui.Event)) *exchange {
	messages, window := c.messages, c.window
	c.messages = append(slices.Clip(messages), question)
	c.window = append(slices.Clip(window), question)
	x := c.answer(ctx, question.Content, emit)
	if x.empty() {
		c.messages, c.window = messages, window
	}
	return x
}

// answer generates the answer to the last message, tells about it and adds it
// to the conversation unless it is empty.
func (c *conversation) answer(ctx context.Context, question string, emit func(tui.Event)) *exchange {
	x := &exchange{question: question}
	c.begin(x)
	p, err := c.prepare(ctx, x, emit)
	if err == nil {
		if x.dropped > 0 {
			emit(tui.Event{Kind: tui.Notice, Text: fmt.Sprintf("%s is full: the oldest %d messages are left out from now on.", c.contextName(), x.dropped)})
		}
		err = c.generate(ctx, x, p, emit)
	}
	c.end(x, p != nil)
	if !x.empty() {
		reply := chat.Message{Role: "assistant", Content: x.text, Reasoning: x.reasoning, ToolCalls: x.calls}
		c.messages, c.window = withAnswer(c.messages, reply), withAnswer(c.window, reply)
	}
	c.called(x, emit)
	switch {
	case err != nil && ctx.Err() != nil:
		x.finish, x.err = trit.FinishCancelled, ctx.Err()
		emit(tui.Event{Kind: tui.Notice, Text: stoppedNote(x)})
	case err != nil:
		x.err = err
		emit(tui.Event{Kind: tui.Problem, Text: inFlags(err.Error())})
	case x.finish == trit.FinishLength && c.settings.maxTokens > 0 && x.generated >= c.settings.maxTokens:
		emit(tui.Event{Kind: tui.Notice, Text: fmt.Sprintf("The answer was cut after %d tokens; /set max-tokens changes that.", x.generated)})
	case x.finish == trit.FinishLength && c.settings.server && c.settings.maxTokens == 0:
		emit(tui.Event{Kind: tui.Notice, Text: "The answer was cut where the server ends answers; /continue goes on."})
	case x.finish == trit.FinishLength:
		emit(tui.Event{Kind: tui.Notice, Text: c.contextName() + " is full: the answer was cut."})
	case x.empty() && c.messages[len(c.messages)-1].Role == "assistant":
		emit(tui.Event{Kind: tui.Notice, Text: "The model has nothing to add."})
	case x.empty():
		emit(tui.Event{Kind: tui.Notice, Text: "The model gave an empty answer; the message is not kept."})
	}
	return x
}

// withAnswer adds an answer to messages, or puts the rest of one to its beginning.
func withAnswer(messages []chat.Message, answer chat.Message) []chat.Message {
	last := len(messages) - 1
	begun := messages[last]
	if begun.Role != "assistant" {
		return append(messages, answer)
	}
	answer.Content, answer.Reasoning = begun.Content+answer.Content, begun.Reasoning+answer.Reasoning
	return append(slices.Clip(messages[:last]), answer)
}

func stoppedNote(x *exchange) string {
	if x.empty() {
		return "Stopped before the answer; the message is not kept."
	}
	return "Stopped; /continue goes on."
}

// conversation returns what the model sees of messages.
func (c *conversation) conversation(messages []chat.Message) trit.Conversation {
	context := c.context()
	reserve := max(context/4, 1)
	if c.settings.maxTokens > 0 {
		reserve = min(reserve, c.settings.maxTokens)
	}
	asked := trit.Conversation{Messages: c.withSystem(messages), Truncation: trit.Truncation{
		DropOldest: true, Room: reserve, Slack: (context - reserve) / 4, YieldReserve: true,
	}, Format: c.format.Format, Tools: c.tools, Continue: messages[len(messages)-1].Role == "assistant"}
	c.settings.think.apply(&asked)
	return asked
}

// prepare makes the answer to the last message ready. What does not fit is left out from then on.
func (c *conversation) prepare(ctx context.Context, x *exchange, emit func(tui.Event)) (*prepared, error) {
	how := answering{settings: &c.settings, attempt: c.attempt, stats: &x.stats, debug: c.debug, emit: emit}
	p, err := c.partner.prepare(ctx, c.conversation(c.window), how)
	if err != nil {
		return nil, err
	}
	if p.dropped > 0 {
		c.window = slices.Clone(p.messages)
		if c.system != "" {
			c.window = c.window[1:]
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	x.prompt, x.dropped, x.seed, c.used = p.prompt, p.dropped, p.seed, p.prompt
	return p, nil
}

// generate runs the model and fills in the exchange.
func (c *conversation) generate(ctx context.Context, x *exchange, p *prepared, emit func(tui.Event)) error {
	var text, reasoning strings.Builder
	defer func() { x.text, x.reasoning = text.String(), reasoning.String() }()
	for piece, err := range p.run {
		if err != nil {
			return err
		}
		if p.prompt > 0 || piece.Content+piece.Reasoning != "" { // pieces of a server are tokens only if they have text
			c.count(x)
		}
		x.finish = piece.Finish
		if piece.Reasoning != "" {
			emit(tui.Event{Kind: tui.Thought, Text: piece.Reasoning})
		}
		if piece.Content != "" {
			emit(tui.Event{Kind: tui.Answer, Text: piece.Content})
		}
		reasoning.WriteString(piece.Reasoning)
		text.WriteString(piece.Content)
		x.calls = append(x.calls, piece.Calls...)
	}
	return nil
}

// withSystem puts the system prompt before messages.
func (c *conversation) withSystem(messages []chat.Message) []chat.Message {
	if c.system == "" {
		return messages
	}
	return append([]chat.Message{{Role: "system", Content: c.system}}, messages...)
}

// setSystem changes the system prompt; "" takes it away. The remark says if the
// model will not see it.
func (c *conversation) setSystem(text string) (remark string, err error) {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if text == "" {
		c.system = ""
		return "", nil
	}
	remark, err = c.partner.system(text)
	if err == nil {
		c.system = text
	}
	return remark, err
}

func (c *conversation) context() int { return c.partner.Context() }

// begin, count and end follow an answer for Status.
func (c *conversation) begin(x *exchange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current = x
}

func (c *conversation) count(x *exchange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x.generated++
	c.used++
	if x.generated == 1 {
		x.first = time.Now()
	}
}

// end ends an answer, if it had begun.
func (c *conversation) end(x *exchange, begun bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current = nil; !begun {
		return
	}
	if x.prompt == 0 { // what a server tells at the end
		x.prompt, x.generated = x.stats.PromptTokens, cmp.Or(x.stats.GeneratedTokens, x.generated)
		c.used = x.prompt + x.generated
	}
	c.last = x
	c.totals.answers++
	c.totals.prompt += x.prompt
	c.totals.generated += x.generated
	c.totals.time += x.stats.PromptTime + x.stats.GenerateTime
	c.totals.dropped += x.dropped
}

// Status implements tui.Handler.
func (c *conversation) Status() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var parts []string
	switch x := c.current; {
	case c.loading != "":
		parts = append(parts, c.loading)
	case x == nil:
		if c.last != nil && c.last.stats.GenerateRate() > 0 {
			parts = append(parts, fmt.Sprintf("%.1f tokens/s", c.last.stats.GenerateRate()))
		}
	case x.generated == 0 && x.prompt == 0:
		parts = append(parts, "waiting")
	case x.generated == 0:
		parts = append(parts, fmt.Sprintf("reading %d tokens", x.prompt))
	default:
		live := trit.Stats{GeneratedTokens: x.generated, GenerateTime: time.Since(x.first)}
		parts = append(parts, fmt.Sprintf("%d tokens, %.1f tokens/s", x.generated, live.GenerateRate()))
	}
	if use := c.contextUse(); use != "" {
		parts = append(parts, use)
	}
	parts = append(parts, c.partner.Name())
	if c.settings.sampling.Temperature == 0 {
		parts = append(parts, "greedy")
	}
	return parts
}

// contextName says what is full when it is full.
func (c *conversation) contextName() string {
	if n := c.context(); n > 0 {
		return fmt.Sprintf("The context of %d tokens", n)
	}
	return "The context"
}

// contextUse says how full the context is, as far as that is known.
func (c *conversation) contextUse() string {
	switch {
	case c.settings.server && c.used == 0:
		return ""
	case c.context() == 0:
		return fmt.Sprintf("context %d", c.used)
	}
	return fmt.Sprintf("context %d/%d (%.0f %%)", c.used, c.context(), 100*float64(c.used)/float64(c.context()))
}
