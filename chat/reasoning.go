package chat

import (
	"slices"
	"strings"
	"unicode"
)

// ReasoningFormat is how a model marks what it thinks before it answers. The zero value is that of
// models that do not.
type ReasoningFormat struct {
	Open, Close string // such as "<think>" and "</think>"
	// End is Close with the white space around it that the template writes between reasoning and an
	// answer, such as "\n</think>\n\n".
	End string
	// Answer are marks that the answer behind it begins with, without reasoning and with it, such as
	// "<|START_RESPONSE|>", and AnswerEnd is what ends it. They are no part of the answer.
	Answer    [2]string
	AnswerEnd string
}

// reasoningFormats are the known marks.
var reasoningFormats = []ReasoningFormat{
	{Open: "<think>", Close: "</think>"}, // Qwen, DeepSeek and most others
	{Open: "[THINK]", Close: "[/THINK]"}, // Magistral
	{Open: "<seed:think>", Close: "</seed:think>"},
}

// ReasoningFormat returns the marks around the reasoning of a model with this template, judged by the
// template's text and by what it makes of an answer with reasoning.
func (t *Template) ReasoningFormat() ReasoningFormat { return t.reasoning() }

func (t *Template) findReasoning() ReasoningFormat {
	for _, f := range reasoningFormats {
		if strings.Contains(t.source, f.Close) {
			f.End = t.findEnd(f)
			return f
		}
	}
	return t.learnReasoning()
}

// findEnd tries out how the template ends reasoning: in an answer with reasoning, or in one for which
// it is switched off. Where it shows neither, the form is that of most models.
func (t *Template) findEnd(f ReasoningFormat) string {
	const thought, said = probeThought, probeSaid
	in := Input{Messages: []Message{{Role: "user", Content: "u"}, {Role: "assistant", Content: said, Reasoning: thought}},
		BOS: "<s>", EOS: "</s>"}
	if out, err := t.render(&in, inputForm{}, probeLimits); err == nil {
		_, out, _ = strings.Cut(out, thought)
		if end, _, found := strings.Cut(out, said); found && strings.TrimSpace(end) == f.Close {
			return end
		}
	}
	in.Messages, in.AddGenerationPrompt = in.Messages[:1], true
	in.Extra = t.ThinkingVariables(false)
	if out, err := t.render(&in, inputForm{}, probeLimits); err == nil {
		if at := strings.LastIndex(out, f.Open); at >= 0 {
			if end := out[at+len(f.Open):]; strings.TrimSpace(end) == f.Close {
				return strings.TrimPrefix(end, "\n") // of the line that the opening mark stands in
			}
		}
	}
	return "\n" + f.Close + "\n\n"
}

// ThinkingVariable is what most templates call the variable that switches reasoning on and off.
const ThinkingVariable = "enable_thinking"

// EffortVariable is the template variable that says how much to think, in a word such as "low".
const EffortVariable = "reasoning_effort"

// KnowsEffort reports whether the template has degrees of thinking.
func (t *Template) KnowsEffort() bool { return strings.Contains(t.source, EffortVariable) }

// CanThink reports whether the template knows of reasoning.
func (t *Template) CanThink() bool {
	return t.ReasoningFormat() != ReasoningFormat{} || slices.ContainsFunc(thinkingVariables, t.mentions)
}

// Opened reports whether a prompt ends within reasoning: its template has begun it already.
func (f ReasoningFormat) Opened(prompt string) bool {
	return f.Open != "" && strings.HasSuffix(strings.TrimRightFunc(prompt, unicode.IsSpace), f.Open)
}

// Skip returns a prompt that ends within reasoning with the reasoning closed, so that the answer follows.
func (f ReasoningFormat) Skip(prompt string) string { return prompt + f.End }

// Skipped reports whether a prompt ends behind reasoning, so that the answer has none of its own.
func (f ReasoningFormat) Skipped(prompt string) bool {
	return f.Close != "" && strings.HasSuffix(strings.TrimRightFunc(prompt, unicode.IsSpace), f.Close)
}

// ReasoningParser separates the reasoning at the beginning of an answer from the answer, which arrives
// in pieces. However it is cut into pieces, the sum is the same. White space around the reasoning
// belongs to neither.
type ReasoningParser struct {
	format ReasoningFormat
	state  reasoningState
	held   string  // what may still become a mark, or white space before one
	trim   Trimmer // of what comes next
	answer answerMarks
	begun  int // pieces that may become reasoning
	pieces int // pieces of the reasoning and its marks
}

type reasoningState uint8

const (
	reasoningAwaited reasoningState = iota // nothing but white space so far
	reasoningOpen
	reasoningClosed // the answer behind the reasoning
	reasoningNone   // an answer without any
)

// NewReasoningParser returns a parser for one answer. opened says that the prompt ends within the
// reasoning; see [ReasoningFormat.Opened].
func NewReasoningParser(f ReasoningFormat, opened bool) *ReasoningParser {
	p := &ReasoningParser{format: f, answer: answerMarks{begins: f.Answer, end: f.AnswerEnd}}
	switch {
	case f.Open == "" || f.Close == "":
		p.state = reasoningNone
	case opened:
		p.state = reasoningOpen
	}
	return p
}

// Pieces returns how many of the pieces so far belong to the reasoning, its marks included. A piece
// that ends the reasoning and begins the answer counts.
func (p *ReasoningParser) Pieces() int { return p.pieces }

// Write takes the next piece of the answer and returns what it settles.
func (p *ReasoningParser) Write(piece string) (reasoning, content string) {
	reasoning, content = p.write(piece)
	return reasoning, p.answer.write(content)
}

func (p *ReasoningParser) write(piece string) (reasoning, content string) {
	switch p.state {
	case reasoningAwaited:
		p.begun++
	case reasoningOpen:
		p.pieces++
	}
	if p.state == reasoningAwaited {
		p.held += piece
		text := TrimAnswer(p.held)
		rest, found := strings.CutPrefix(text, p.format.Open)
		switch {
		case found:
			p.state, p.held, piece = reasoningOpen, "", rest
			p.pieces = p.begun
		case strings.HasPrefix(p.format.Open, text):
			return "", ""
		default:
			piece, p.held = p.held, ""
			p.state = reasoningNone
		}
	}
	if p.state == reasoningOpen {
		text := p.held + piece
		before, after, found := strings.Cut(text, p.format.Close)
		if !found {
			kept := len(strings.TrimRightFunc(text[:len(text)-partial(text, p.format.Close)], unicode.IsSpace))
			p.held = text[kept:]
			return p.trim.Write(text[:kept]), ""
		}
		reasoning = p.trim.Write(strings.TrimRightFunc(before, unicode.IsSpace))
		p.state, p.held, p.trim, piece = reasoningClosed, "", Trimmer{}, after
	}
	if p.state == reasoningClosed {
		return reasoning, p.trim.Write(piece)
	}
	return "", piece
}

// Close returns what was withheld, at the end of the answer.
func (p *ReasoningParser) Close() (reasoning, content string) {
	held := p.held
	p.held = ""
	if p.state == reasoningOpen {
		return p.trim.Write(strings.TrimRightFunc(held, unicode.IsSpace)), ""
	}
	content = p.answer.write(held)
	return "", content + p.answer.close()
}

// Marks returns all marks.
func (f ReasoningFormat) Marks() []string {
	return slices.DeleteFunc([]string{f.Open, f.Close, f.Answer[0], f.Answer[1], f.AnswerEnd}, func(s string) bool { return s == "" })
}

// partial returns how many bytes at the end of the text could begin a mark.
func partial(text, mark string) int {
	for n := min(len(mark)-1, len(text)); n > 0; n-- {
		if strings.HasSuffix(text, mark[:n]) {
			return n
		}
	}
	return 0
}
