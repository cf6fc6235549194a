package trit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"trit/internal/engine"
	"trit/internal/fault"
	"trit/internal/generate"
	"trit/internal/kernel"
	"trit/internal/model"
)

// EmbedOption changes how the vectors of texts are made. One that cannot be used is
// an [OptionError].
type EmbedOption func(*embedOptions)

type embedOptions struct {
	pooling    Pooling
	dimensions int
	unscaled   bool
	truncate   bool
	most       int // tokens of a text, if it may be cut; 0: the context
	prefix     func(*Model) (string, error)
	err        error // what is wrong with the options
}

// embedOptionsOf applies options to the defaults.
func (m *Model) embedOptionsOf(opts []EmbedOption) (embedOptions, error) {
	var o embedOptions
	for _, opt := range opts {
		if opt == nil {
			return o, fault.Option("option", "it is nil")
		}
		opt(&o)
	}
	if o.pooling == 0 {
		o.pooling = m.pooling()
	}
	if n := m.model.Config.Hidden; o.dimensions > n {
		o.fail("dimensions", "%d; the vectors of this model have %d elements", o.dimensions, n)
	}
	if o.most == 0 || o.most > m.Context() {
		o.most = m.Context()
	}
	return o, o.err
}

// pooling is that of the file, or the mean.
func (m *Model) pooling() Pooling {
	if p := m.model.Embedding.Pooling; p != 0 {
		return p
	}
	return PoolMean
}

func (o *embedOptions) fail(option, format string, args ...any) {
	o.err = errors.Join(o.err, fault.Option(option, format, args...))
}

// Pooling says how the final hidden states of a text's tokens become its vector.
type Pooling = model.Pooling

// The kinds of pooling.
const (
	PoolMean = model.PoolMean // the mean of all states
	PoolCLS  = model.PoolCLS  // the state of the first token
	PoolLast = model.PoolLast // the state of the last token
)

// ParsePooling reads "mean", "cls" or "last".
func ParsePooling(name string) (Pooling, error) { return model.ParsePooling(name) }

// Pool sets the pooling; without it, it is what the model's file says, or the mean.
func Pool(p Pooling) EmbedOption {
	return func(o *embedOptions) {
		if _, err := ParsePooling(p.String()); err != nil {
			o.fail("pooling", "the value %v is none of the constants of its type", p)
		}
		o.pooling = p
	}
}

// Dimensions keeps the first n elements of a vector, scaled to length 1 again; 0 keeps
// all. Models that were trained for it lose little by that.
func Dimensions(n int) EmbedOption {
	return func(o *embedOptions) {
		if n < 0 {
			o.fail("dimensions", "%d; want a positive number, or 0 for all", n)
		}
		o.dimensions = n
	}
}

// Unscaled leaves vectors as long as pooling makes them.
func Unscaled() EmbedOption { return func(o *embedOptions) { o.unscaled = true } }

// TruncateTo cuts texts to n tokens, special ones included, or with 0 to the context;
// without it, texts that do not fit are errors.
func TruncateTo(n int) EmbedOption {
	return func(o *embedOptions) {
		if n < 0 {
			o.fail("truncate", "%d tokens; want a positive number, or 0 for the context", n)
		}
		o.truncate, o.most = true, n
	}
}

// Prefix puts a text in front of each text: embedding models are trained with an
// instruction or a word that says what a text is.
func Prefix(text string) EmbedOption {
	return func(o *embedOptions) { o.prefix = func(*Model) (string, error) { return text, nil } }
}

// Query puts the model's own prefix of queries in front of each text: that which its
// file names, or "query: " for BitNet embeddings. Other models need [Prefix].
func Query() EmbedOption {
	return ownPrefix("queries", func(e *model.Embedding) *string { return e.QueryPrefix })
}

// Document puts the model's own prefix of documents, often an empty one, in front of
// each text.
func Document() EmbedOption {
	return ownPrefix("documents", func(e *model.Embedding) *string { return e.DocumentPrefix })
}

func ownPrefix(kind string, of func(*model.Embedding) *string) EmbedOption {
	return func(o *embedOptions) {
		o.prefix = func(m *Model) (string, error) {
			if p := of(&m.model.Embedding); p != nil {
				return *p, nil
			}
			return "", fault.Option("prefix", "the file of %s does not say how %s begin; give the text that stands in front of them", m.name, kind)
		}
	}
}

// Embed returns the vector of a text, by default of Info().Hidden elements and of
// length 1. Embedding models are trained to give texts of like meaning like vectors;
// those of other models tell texts apart less sharply. A text that is empty is an
// error.
func (m *Model) Embed(ctx context.Context, text string, opts ...EmbedOption) ([]float32, error) {
	vectors, err := m.EmbedAll(ctx, []string{text}, opts...)
	if err != nil {
		return nil, err
	}
	return vectors[0], nil
}

// EmbedAll returns what Embed returns for each of the texts. They are computed
// together.
func (m *Model) EmbedAll(ctx context.Context, texts []string, opts ...EmbedOption) ([][]float32, error) {
	tokens := make([][]int32, len(texts))
	for i, text := range texts {
		var err error
		if text == "" {
			return nil, fmt.Errorf("%w: text %d is empty", generate.ErrPrompt, i)
		}
		if tokens[i], err = m.EmbeddingTokens(ctx, text, opts...); err != nil {
			return nil, fmt.Errorf("text %d: %w", i, err)
		}
	}
	return m.EmbedTokens(ctx, tokens, opts...)
}

// EmbeddingTokens returns the tokens of a text that is to be embedded, with its prefix,
// and cut if the options allow it. It ends with ctx.
func (m *Model) EmbeddingTokens(ctx context.Context, text string, opts ...EmbedOption) ([]int32, error) {
	o, err := m.embedOptionsOf(opts)
	if err != nil {
		return nil, err
	}
	if o.prefix != nil {
		prefix, err := o.prefix(m)
		if err != nil {
			return nil, err
		}
		text = prefix + text
	}
	if err := m.MayFit(text); err != nil && !o.truncate {
		return nil, err
	}
	tokens, err := m.tokenizer.EncodeContext(ctx, text)
	if err != nil {
		return nil, err
	}
	return m.fit(tokens, &o)
}

// fit cuts the tokens of a text to what is allowed. A token that ends every text stays
// there.
func (m *Model) fit(tokens []int32, o *embedOptions) ([]int32, error) {
	if len(tokens) <= o.most {
		return tokens, nil
	}
	if !o.truncate {
		return nil, &fault.ContextError{What: "the text", Tokens: len(tokens), Room: o.most, Context: m.Context()}
	}
	cut := slices.Clone(tokens[:o.most])
	if end := tokens[len(tokens)-1]; m.tokenizer.AddEOS() && m.tokenizer.IsEOG(end) {
		cut[o.most-1] = end
	}
	return cut, nil
}

// Cosine returns the cosine of the angle between two vectors, which says how
// alike two embeddings are: from -1 to 1. It is NaN for vectors that have
// different lengths or no direction.
func Cosine(a, b []float32) float64 {
	if len(a) != len(b) {
		return math.NaN()
	}
	var ab, aa, bb float64
	for i := range a {
		ab += float64(a[i]) * float64(b[i])
		aa += float64(a[i]) * float64(a[i])
		bb += float64(b[i]) * float64(b[i])
	}
	return max(-1, min(1, ab/math.Sqrt(aa*bb)))
}

// EmbedTokens returns what Embed returns, for texts that are given as tokens, to which
// no prefix is added. They are computed together.
func (m *Model) EmbedTokens(ctx context.Context, texts [][]int32, opts ...EmbedOption) ([][]float32, error) {
	o, err := m.embedOptionsOf(opts)
	if err != nil {
		return nil, err
	}
	fitting := make([][]int32, len(texts))
	for i, tokens := range texts {
		if len(tokens) == 0 {
			return nil, fmt.Errorf("%w: text %d has no tokens", generate.ErrPrompt, i)
		}
		if fitting[i], err = m.fit(tokens, &o); err != nil {
			return nil, fmt.Errorf("text %d: %w", i, err)
		}
	}
	vectors := make([][]float32, 0, len(texts))
	for len(fitting) > 0 {
		n := m.embeddedAtOnce(fitting)
		some, err := m.embedTogether(ctx, fitting[:n], &o)
		if err != nil {
			return nil, err
		}
		vectors, fitting = append(vectors, some...), fitting[n:]
	}
	return vectors, nil
}

// passesAtOnce is for how many full forward passes texts are handed to the scheduler
// together. It cuts them into passes without regard to where one ends, so only the last
// pass is not full.
const passesAtOnce = 16

// embeddedAtOnce returns how many of the texts are handed over together: at least one,
// and no more than half of the KV cache takes.
func (m *Model) embeddedAtOnce(texts [][]int32) int {
	e := m.scheduler.Engine()
	rows, pages := passesAtOnce*e.MaxRows(), e.Cache().Config().MaxPages/2
	for i, tokens := range texts {
		rows, pages = rows-len(tokens), pages-pagesFor(len(tokens))
		if i > 0 && (rows < 0 || pages < 0) {
			return i
		}
	}
	return len(texts)
}

func (m *Model) embedTogether(ctx context.Context, texts [][]int32, o *embedOptions) ([][]float32, error) {
	jobs := make([]engine.Job, len(texts))
	for i, tokens := range texts {
		s, err := m.newSession()
		if err != nil {
			return nil, err
		}
		defer s.Close()
		s.SetPrivate(true) // texts are seldom embedded twice, and prompts need the prefix cache
		jobs[i] = engine.Job{Session: s, Tokens: tokens, Want: engine.Hidden}
		if o.pooling == PoolLast {
			jobs[i].From = len(tokens) - 1
		}
	}
	if err := m.scheduler.Run(ctx, jobs); err != nil {
		return nil, err
	}
	vectors := make([][]float32, len(texts))
	for i := range jobs {
		vectors[i] = o.vector(&jobs[i], m.model.Config.Hidden)
	}
	return vectors, nil
}

// vector pools the hidden states of a job.
func (o *embedOptions) vector(j *engine.Job, hidden int) []float32 {
	v := make([]float32, hidden)
	if o.pooling == PoolMean {
		for row := range j.Tokens {
			kernel.Add(v, v, j.Session.Hidden(row))
		}
		// The length makes the difference between sum and mean disappear.
		if o.unscaled {
			kernel.Scale(v, v, 1/float32(len(j.Tokens)))
		}
	} else {
		copy(v, j.Session.Hidden(0)) // of the first token, or of the only one that was wanted
	}
	if o.dimensions > 0 {
		v = v[:o.dimensions:o.dimensions]
	}
	if length := math.Sqrt(float64(kernel.Dot(v, v))); length > 0 && !o.unscaled {
		kernel.Scale(v, v, float32(1/length))
	}
	return v
}
