package openai

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"trit"
	"trit/internal/generate"
	"trit/sample"
	"trit/server/core"
	"trit/tokenizer"
)

// tokenLogProb is a token with the logarithm of its probability, in the form of
// the chat API.
type tokenLogProb struct {
	Token   string  `json:"token"`
	LogProb float64 `json:"logprob"`
	// Bytes are what the token adds to the text. A character may be spread over
	// several tokens; Token then shows the bytes.
	Bytes []int `json:"bytes"`
}

// chatLogProbs are the probabilities of an answer's tokens.
type chatLogProbs struct {
	Content []answerLogProb `json:"content"`
	Refusal any             `json:"refusal"` // always null
}

// answerLogProb is a token of an answer with the most likely ones in its place.
type answerLogProb struct {
	tokenLogProb
	Top []tokenLogProb `json:"top_logprobs"`
}

func newTokenLogProb(t *tokenizer.Tokenizer, id int32, logProb float64) tokenLogProb {
	text, raw := shownToken(t, id)
	bytes := make([]int, len(raw))
	for i, b := range []byte(raw) {
		bytes[i] = int(b)
	}
	return tokenLogProb{Token: text, LogProb: core.JSONLogProb(logProb), Bytes: bytes}
}

func newAnswerLogProb(t *tokenizer.Tokenizer, token *trit.Token) answerLogProb {
	out := answerLogProb{tokenLogProb: newTokenLogProb(t, token.ID, token.LogProb),
		Top: make([]tokenLogProb, len(token.Top))}
	for i, top := range token.Top {
		out.Top[i] = newTokenLogProb(t, top.ID, top.LogProb)
	}
	return out
}

// shownToken returns a token's text as it is shown to people, and its bytes. As
// with OpenAI a part of a character is shown as "bytes:\xe2\x82".
func shownToken(t *tokenizer.Tokenizer, id int32) (text, raw string) {
	raw = t.Piece(id, true)
	if utf8.ValidString(raw) {
		return raw, raw
	}
	var b strings.Builder
	b.WriteString("bytes:")
	for _, c := range []byte(raw) {
		const digits = "0123456789abcdef"
		b.WriteString(`\x`)
		b.WriteByte(digits[c>>4])
		b.WriteByte(digits[c&15])
	}
	return b.String(), raw
}

// textLogProbs are the probabilities of tokens in the form of the completions
// API.
type textLogProbs struct {
	Tokens        []string `json:"tokens"`
	TokenLogProbs []any    `json:"token_logprobs"` // null for a first token, which follows nothing
	TopLogProbs   []any    `json:"top_logprobs"`   // objects {token: logprob}
	TextOffset    []int    `json:"text_offset"`    // in characters (code points) of the choice's text
}

func newTextLogProbs() *textLogProbs {
	return &textLogProbs{Tokens: []string{}, TokenLogProbs: []any{}, TopLogProbs: []any{}, TextOffset: []int{}}
}

// append adds the tokens of another list.
func (l *textLogProbs) append(more *textLogProbs) {
	l.Tokens = append(l.Tokens, more.Tokens...)
	l.TokenLogProbs = append(l.TokenLogProbs, more.TokenLogProbs...)
	l.TopLogProbs = append(l.TopLogProbs, more.TopLogProbs...)
	l.TextOffset = append(l.TextOffset, more.TextOffset...)
}

// textLogProbsWriter makes textLogProbs of tokens that arrive one by one.
type textLogProbsWriter struct {
	tokenizer *tokenizer.Tokenizer
	stream    *tokenizer.Stream
	length    int // characters of the text so far
	lists     *textLogProbs
}

// newTextLogProbsWriter returns a writer for a text; special says whether
// control tokens are part of it, continues whether it continues another one.
func newTextLogProbsWriter(t *tokenizer.Tokenizer, special, continues bool) *textLogProbsWriter {
	return &textLogProbsWriter{tokenizer: t, stream: t.NewStream(tokenizer.RenderSpecial(special),
		tokenizer.Continuation(continues)), lists: newTextLogProbs()}
}

// add appends a token. first says that nothing is known about it.
func (w *textLogProbsWriter) add(id int32, logProb float64, top []sample.TokenLogProb, first bool) {
	text, _ := shownToken(w.tokenizer, id)
	l := w.lists
	l.Tokens = append(l.Tokens, text)
	l.TextOffset = append(l.TextOffset, w.length)
	w.length += utf8.RuneCountInString(w.stream.Push(id))
	if first {
		l.TokenLogProbs = append(l.TokenLogProbs, nil)
		l.TopLogProbs = append(l.TopLogProbs, nil)
		return
	}
	l.TokenLogProbs = append(l.TokenLogProbs, core.JSONLogProb(logProb))
	likely := make(map[string]float64, len(top)+1)
	for _, t := range top {
		name, _ := shownToken(w.tokenizer, t.ID)
		if _, taken := likely[name]; !taken { // the more likely one of two with one text
			likely[name] = core.JSONLogProb(t.LogProb)
		}
	}
	likely[text] = core.JSONLogProb(logProb)
	l.TopLogProbs = append(l.TopLogProbs, likely)
}

// take returns what was added since the last call, or nil.
func (w *textLogProbsWriter) take() *textLogProbs {
	l := w.lists
	if len(l.Tokens) == 0 {
		return nil
	}
	w.lists = newTextLogProbs()
	return l
}

// promptLogProb is what vLLM says of a token of the prompt or a likely one in its
// place.
type promptLogProb struct {
	LogProb float64 `json:"logprob"`
	Rank    int     `json:"rank"`
	Decoded string  `json:"decoded_token"`
}

// promptLogProbs returns the probabilities of a prompt's tokens in the form of
// vLLM: null for the first one, then an object by token id.
func promptLogProbs(t *tokenizer.Tokenizer, scored []generate.Scored) []map[string]promptLogProb {
	out := make([]map[string]promptLogProb, 1, len(scored)+1)
	for _, s := range scored {
		entry := make(map[string]promptLogProb, len(s.Top)+1)
		put := func(id int32, logProb float64, rank int) {
			text, _ := shownToken(t, id)
			entry[strconv.Itoa(int(id))] = promptLogProb{core.JSONLogProb(logProb), rank, text}
		}
		for i, top := range s.Top {
			put(top.ID, top.LogProb, i+1)
		}
		put(s.ID, s.LogProb, s.Rank)
		out = append(out, entry)
	}
	return out
}
