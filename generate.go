package trit

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"

	"trit/hub"
	"trit/internal/generate"
	"trit/sample"
	"trit/tokenizer"
)

// Generate continues a prompt. Each element is a token or an error that ends
// the text; the last token says in Finish why the text ended. Leaving the loop
// ends the generation.
func (m *Model) Generate(ctx context.Context, prompt string, opts ...GenerateOption) iter.Seq2[Token, error] {
	o := m.generateOptions(ctx, opts)
	tokens, err := m.encode(ctx, prompt, tokenizer.ParseSpecial(o.Options.Special))
	if err != nil {
		return func(yield func(Token, error) bool) {
			if ctx.Err() != nil { // given up before it began, which counts as any other time
				m.measure(o.arrived, o.Options.Choices, func() Stats { return Stats{} }).close(FinishCancelled)
			}
			yield(Token{}, err)
		}
	}
	return m.generateTokens(ctx, tokens, o)
}

// GenerateFrom continues a prompt that is given as tokens.
func (m *Model) GenerateFrom(ctx context.Context, prompt []int32, opts ...GenerateOption) iter.Seq2[Token, error] {
	return m.generateTokens(ctx, prompt, m.generateOptions(ctx, opts))
}

// generateOptions applies options, until the context ends.
func (m *Model) generateOptions(ctx context.Context, opts []GenerateOption) *generateOptions {
	o := &generateOptions{ctx: ctx, tokenizer: m.tokenizer}
	o.Sampling = m.sampling
	for _, opt := range opts {
		if opt == nil {
			o.fail("option", errNil)
			continue
		}
		opt(o)
	}
	if s := &o.Options.Speculation; !o.speculates && !s.Lookup && o.draft == nil && o.Options.Contrastive.K == 0 {
		s.MTP = m.model.Config.MTP > 0
	}
	if d := m.derived; d != nil {
		o.Options.Stop = append(o.Options.Stop, d.Stops()...)
		if n, ok := d.Number(hub.ParameterPredict); ok && o.Options.MaxTokens == 0 {
			o.Options.MaxTokens = max(0, int(n))
		}
	}
	return o
}

func (m *Model) generateTokens(ctx context.Context, prompt []int32, o *generateOptions) iter.Seq2[Token, error] {
	return func(yield func(Token, error) bool) {
		if o.err != nil {
			yield(Token{}, o.err)
			return
		}
		s, err := m.newSession()
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
		if _, err := m.applyConstraint(ctx, &o); err != nil {
			yield(Token{}, err)
			return
		}
		o.Sampling.Stages = slices.Concat(o.Sampling.Stages, o.stages)
		g, err := generate.New(s, m.tokenizer, o.Options)
		if bad, ok := errors.AsType[*sample.OptionError](err); ok {
			err = &OptionError{Option: bad.Option, Err: err}
		}
		if err != nil {
			yield(Token{}, err)
			return
		}
		meter := m.measure(o.arrived, o.Options.Choices, g.Stats)
		m.metrics.Limit.Observe(float64(cmp.Or(o.Options.MaxTokens, m.Context())))
		defer func() { meter.close(g.Finish()) }()
		next := yield
		if o.stats != nil {
			defer func() { *o.stats = g.Stats() }()
			next = func(t Token, err error) bool {
				*o.stats = g.Stats()
				return yield(t, err)
			}
		}
		g.Tokens(ctx, prompt)(meter.yield(next))
	}
}

// SamplingDefaults changes the sampling options that hold where a generation says
// nothing, which are those that the file recommends.
func SamplingDefaults(set func(*sample.Options)) Option {
	return func(o *openOptions) { o.sampling = set }
}
