package chat

import (
	"strings"
	"unicode"
)

// TrimAnswer removes the white space that an answer starts with. Models write it where the
// prompt ends without a space: the first token of an answer is then " The", not "The".
func TrimAnswer(text string) string { return strings.TrimLeftFunc(text, unicode.IsSpace) }

// Trimmer is [TrimAnswer] for an answer that arrives in pieces. The zero value is ready.
type Trimmer struct{ started bool }

// Write takes the next piece and returns what is to be shown of it, possibly nothing.
func (t *Trimmer) Write(piece string) string {
	if t.started {
		return piece
	}
	piece = TrimAnswer(piece)
	t.started = piece != ""
	return piece
}

// EndOfTurn returns the text that follows an assistant message in this template: what a model
// writes when its answer is complete, such as "<|eot_id|>", "<|im_end|>" or eos. For formats that
// mark no end it is how the next message of the user begins. White space around it is
// removed where something remains. It is empty if the template does not tell.
func (t *Template) EndOfTurn(bos, eos string) string {
	const answer, next = "qZ7answer", "qZ7next"
	in := Input{Messages: []Message{{Role: "user", Content: "u"}, {Role: "assistant", Content: answer}}, BOS: bos, EOS: eos}
	after := func() string {
		out, err := t.Render(in)
		if err != nil {
			return ""
		}
		_, tail, ok := strings.Cut(out, answer)
		if !ok {
			return ""
		}
		return tail
	}
	if end := strings.TrimSpace(after()); end != "" {
		return end
	}
	in.Messages = append(in.Messages, Message{Role: "user", Content: next})
	head, _, ok := strings.Cut(after(), next)
	if !ok {
		return ""
	}
	return strings.TrimRightFunc(head, unicode.IsSpace)
}
