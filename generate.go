package trit

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"trit/gguf"
	"trit/internal/generate"
	"trit/sample"
	"trit/tokenizer"
)

// GenerateOption changes how text is generated.
type GenerateOption func(*generateOptions)

type generateOptions struct {
	generate.Options
	draft       *Model
	stats       *Stats
	arrived     time.Time
	constraints []constraintRequest
	err         error // what is wrong with the options
}

// fail notes what is wrong with an option.
func (o *generateOptions) fail(option string, err error) {
	o.err = errors.Join(o.err, &OptionError{option, err})
}

// MaxTokens bounds the number of generated tokens; 0 means up to the end of
// the context.
func MaxTokens(n int) GenerateOption { return func(o *generateOptions) { o.Options.MaxTokens = n } }

// MinTokens is the number of tokens before which the text cannot end.
func MinTokens(n int) GenerateOption { return func(o *generateOptions) { o.Options.MinTokens = n } }

// Greedy always takes the most likely token.
func Greedy() GenerateOption { return func(o *generateOptions) { o.Sampling.Temperature = 0 } }

// Temperature divides the logits: 0 is greedy, 1 the model's own distribution.
func Temperature(t float64) GenerateOption {
	return func(o *generateOptions) { o.Sampling.Temperature = t }
}

// TopK keeps the k most likely tokens; 0 keeps all.
func TopK(k int) GenerateOption { return func(o *generateOptions) { o.Sampling.TopK = k } }

// TopP keeps the most likely tokens that together have probability p.
func TopP(p float64) GenerateOption { return func(o *generateOptions) { o.Sampling.TopP = p } }

// MinP keeps the tokens that are at least p times as likely as the most likely.
func MinP(p float64) GenerateOption { return func(o *generateOptions) { o.Sampling.MinP = p } }

// Seed makes the choice of tokens repeatable: same seed, same text.
func Seed(seed uint64) GenerateOption { return func(o *generateOptions) { o.Sampling.Seed = &seed } }

// Sampling replaces all sampling options.
func Sampling(s sample.Options) GenerateOption { return func(o *generateOptions) { o.Sampling = s } }

// Stop adds strings that end the text. They are not part of it.
func Stop(stops ...string) GenerateOption {
	return func(o *generateOptions) { o.Options.Stop = append(o.Options.Stop, stops...) }
}

// StopTokens adds tokens that end the text beside the model's own end tokens.
func StopTokens(ids ...int32) GenerateOption {
	return func(o *generateOptions) { o.Options.StopTokens = append(o.Options.StopTokens, ids...) }
}

// IgnoreEnd goes on after the model's end tokens.
func IgnoreEnd() GenerateOption { return func(o *generateOptions) { o.Options.IgnoreEnd = true } }

// ShowSpecial renders control tokens as text, and recognises them in prompts.
func ShowSpecial() GenerateOption { return func(o *generateOptions) { o.Options.Special = true } }

// CollectStats stores counts and times when the generation ends.
func CollectStats(s *Stats) GenerateOption { return func(o *generateOptions) { o.stats = s } }

// Generate continues a prompt. Each element is a token or an error that ends
// the text; the last token says in Finish why the text ended. Leaving the loop
// ends the generation.
func (m *Model) Generate(ctx context.Context, prompt string, opts ...GenerateOption) iter.Seq2[Token, error] {
	o := m.generateOptions(opts)
	return m.generateTokens(ctx, m.tokenizer.Encode(prompt, tokenizer.ParseSpecial(o.Options.Special)), o)
}

// GenerateFrom continues a prompt that is given as tokens.
func (m *Model) GenerateFrom(ctx context.Context, prompt []int32, opts ...GenerateOption) iter.Seq2[Token, error] {
	return m.generateTokens(ctx, prompt, m.generateOptions(opts))
}

func (m *Model) generateOptions(opts []GenerateOption) *generateOptions {
	o := &generateOptions{}
	o.Sampling = m.sampling
	for _, opt := range opts {
		opt(o)
	}
	return o
}

func (m *Model) generateTokens(ctx context.Context, prompt []int32, o *generateOptions) iter.Seq2[Token, error] {
	return func(yield func(Token, error) bool) {
		if o.err != nil {
			yield(Token{}, o.err)
			return
		}
		s, err := m.scheduler.NewSession()
		if err != nil {
			yield(Token{}, err)
			return
		}
		defer s.Close()
		o := *o // the loop may be run again
		if o.draft != nil {
			if err := m.useDraft(o.draft, &o.Options); err != nil {
				yield(Token{}, err)
				return
			}
		}
		if err := m.applyConstraint(&o); err != nil {
			yield(Token{}, err)
			return
		}
		g, err := generate.New(s, m.tokenizer, o.Options)
		if err != nil {
			yield(Token{}, err)
			return
		}
		if o.stats != nil {
			defer func() { *o.stats = g.Stats() }()
		}
		meter := m.measure(o.arrived, o.Options.Answers, g.Stats)
		defer func() { meter.close(g.Finish()) }()
		g.Tokens(ctx, prompt)(meter.yield(yield))
	}
}

// Keys of the sampling options that a model recommends, in its file.
const (
	keyTemperature = "trit.sampling.temperature"
	keyTopP        = "trit.sampling.top_p"
	keyTopK        = "trit.sampling.top_k"
)

// samplingDefaults returns the sampling options that a model's file
// recommends, or those of package sample where it says nothing.
func samplingDefaults(meta *gguf.Metadata) (sample.Options, error) {
	o := sample.Default()
	if !meta.Has(keyTemperature) && !meta.Has(keyTopP) && !meta.Has(keyTopK) {
		return o, nil
	}
	// What the recommendation does not name is off, as where it comes from.
	o.TopK, o.TopP, o.MinP, o.Temperature = 0, 1, 0, 1
	var err1, err2, err3 error
	var topK uint32
	o.Temperature, err1 = meta.Float64Or(keyTemperature, o.Temperature)
	o.TopP, err2 = meta.Float64Or(keyTopP, o.TopP)
	topK, err3 = meta.Uint32Or(keyTopK, 0)
	o.TopK = int(topK)
	if err := errors.Join(err1, err2, err3); err != nil {
		return o, err
	}
	if err := o.Validate(); err != nil {
		return o, fmt.Errorf("the file's recommended sampling: %w", err)
	}
	return o, nil
}

// openTokenizer reads the tokenizer from the model's file or from where the
// options say.
func openTokenizer(meta *gguf.Metadata, o openOptions) (*tokenizer.Tokenizer, error) {
	var opts []tokenizer.Option
	if o.pre != "" {
		opts = append(opts, tokenizer.WithPre(o.pre))
	}
	if o.tokenizer != "" {
		return tokenizer.Open(o.tokenizer, opts...)
	}
	return tokenizer.FromGGUF(meta, opts...)
}
