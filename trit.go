// Package trit runs ternary language models (BitNet b1.58 and its relatives)
// on ordinary CPUs.
//
//	import _ "trit/demo" // embeds a small model
//
//	m, err := trit.Open("demo")
//	if err != nil {
//		return err
//	}
//	defer m.Close()
//	for token, err := range m.Generate(ctx, "Once upon a time", trit.MaxTokens(60)) {
//		if err != nil {
//			return err
//		}
//		fmt.Print(token.Text)
//	}
//
// [Open] takes the path of a GGUF file, the name of a registered model, or "demo"
// (a small model that is part of programs that import it). A [Model] may be used
// by many goroutines at once; their tokens are computed together.
//
// [Model.Text] and [Model.Reply] return whole texts and answers, [Model.Generate]
// and [Model.Converse] yield them as they come. A [Conversation] has messages,
// tools and a format; [Model.ReplyWithTools] and [Model.ConverseWithTools] run the
// tools. Options that cannot be used are errors that name them ([OptionError]), and
// what is too long is an [ErrContext].
//
// This package only ties the others together: tokenizer, chat for templates,
// grammar for constraints, sample for the choice of tokens, gguf and hub for
// files.
package trit

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"trit/hub"
	"trit/internal/engine"
	"trit/internal/fault"
	"trit/internal/generate"
	"trit/internal/metrics"
	"trit/internal/model"
	"trit/sample"
	"trit/tokenizer"
)

// Token is one generated token.
type Token = generate.Token

// Finish says why a generation ended; it is set on the last token.
type Finish = generate.Finish

// The reasons to end.
const (
	FinishStop       = generate.FinishStop
	FinishStopString = generate.FinishStopString
	FinishLength     = generate.FinishLength
	FinishCancelled  = generate.FinishCancelled
)

// Stats count and time a generation.
type Stats = generate.Stats

// PromptProgress says how far a prompt is.
type PromptProgress = generate.PromptProgress

// Model is an open model.
type Model struct {
	name      string
	model     *model.Model
	scheduler *engine.Scheduler
	tokenizer *tokenizer.Tokenizer
	sampling  sample.Options
	loadTime  time.Duration
	closer    io.Closer // of what the file is read from, nil if the file closes it
	metrics   *metrics.Metrics
	drafts    sync.Map     // *tokenizer.Tokenizer of a draft model → error, or true
	looked    atomic.Int64 // when the file was last looked at, in Unix nanoseconds

	constraints *constraintCache
	format      chatFormat
	derived     *hub.Derived // what it has beside the weights of another; nil: nothing
	shared      bool         // all the rest belongs to that
	stopKeeping func()       // ends what writes repacked weights
}

// Close stops the model and frees its memory. Running generations end with an
// error.
func (m *Model) Close() error {
	if m.shared {
		return nil
	}
	m.stopKeeping()
	err := errors.Join(m.scheduler.Close(), m.model.Close())
	if m.closer != nil {
		err = errors.Join(err, m.closer.Close())
	}
	return err
}

// Err returns nil while the model can be used, and otherwise a [BrokenError] that says
// why it has to be opened again. It looks, at most once a second, whether the model's
// file has been written to: what the model reads from it, the embeddings among
// others, would not fit the rest.
func (m *Model) Err() error {
	now, last := time.Now().UnixNano(), m.looked.Load()
	if !m.model.Copied && now-last >= int64(time.Second) && m.looked.CompareAndSwap(last, now) {
		if err := m.model.File.Changed(); err != nil {
			m.scheduler.Fail(err)
		}
	}
	return m.scheduler.Err()
}

// newSession returns a session with an empty sequence, if the model can be used.
func (m *Model) newSession() (*engine.Session, error) {
	if err := m.Err(); err != nil {
		return nil, err
	}
	return m.scheduler.NewSession()
}

// Name returns the name that the model was opened by.
func (m *Model) Name() string { return m.name }

// Tokenizer returns the model's tokenizer.
func (m *Model) Tokenizer() *tokenizer.Tokenizer { return m.tokenizer }

// Sampling returns the sampling options that generation starts from: those
// that the model recommends, or the defaults of package sample.
func (m *Model) Sampling() sample.Options { return m.sampling }

// LoadTime returns how long Open took.
func (m *Model) LoadTime() time.Duration { return m.loadTime }

// Tokenize returns the tokens of a text, with the special tokens that the
// model wants around it.
func (m *Model) Tokenize(text string) []int32 { return m.tokenizer.Encode(text) }

// MayFit returns [ErrContext] for a text that is certainly too long for the context: by its
// length alone, so that nobody has to turn it into tokens to learn that.
func (m *Model) MayFit(text string) error {
	if n := m.tokenizer.LeastTokens(text); n > m.Context() {
		return &fault.ContextError{What: "the prompt", Tokens: n, AtLeast: true, Room: m.Context() - 1,
			Context: m.Context()}
	}
	return nil
}

// encode returns the tokens of a text, unless it is certainly too long or ctx ends.
func (m *Model) encode(ctx context.Context, text string, options ...tokenizer.EncodeOption) ([]int32, error) {
	if err := m.MayFit(text); err != nil {
		return nil, err
	}
	return m.tokenizer.EncodeContext(ctx, text, options...)
}

// Detokenize returns the text of tokens.
func (m *Model) Detokenize(tokens []int32) string { return m.tokenizer.Decode(tokens) }
