package openai

import (
	"context"
	"errors"
	"math"

	"trit"
	"trit/internal/generate"
	"trit/sample"
	"trit/server/core"
)

// requestOptions are the fields of a request that say how its prompt is
// continued, as far as OpenAI's endpoints share them, together with those that
// vLLM and llama.cpp's server add.
type requestOptions struct {
	core.Sampling
	Stop      core.StopField      `json:"stop"`
	LogitBias core.LogitBias      `json:"logit_bias"`
	Samplers  *core.SamplersField `json:"samplers"`

	NPredict          *int     `json:"n_predict"` // llama.cpp's name of max_tokens; −1: no limit
	IgnoreEOS         *bool    `json:"ignore_eos"`
	MinTokens         *int     `json:"min_tokens"`
	StopTokenIDs      []int32  `json:"stop_token_ids"`
	BadWords          []string `json:"bad_words"`
	AllowedTokenIDs   []int32  `json:"allowed_token_ids"`
	SkipSpecialTokens *bool    `json:"skip_special_tokens"`
	PromptLogProbs    *int     `json:"prompt_logprobs"`

	guideFields
}

// apply returns the options for a generation with the model. logProbs asks for
// the probabilities of the tokens, top for those of the most likely ones.
func (f *requestOptions) apply(ctx context.Context, m *trit.Model, limit core.Limit, logProbs bool, top int) ([]trit.GenerateOption, error) {
	s, err := f.sampling(ctx, m)
	if err != nil {
		return nil, err
	}
	s.LogProb, s.TopLogProbs = logProbs, top
	options := []trit.GenerateOption{trit.Sampling(s), limit.Option()}
	if len(f.Stop) == 1 && f.Stop[0] == "" { // clients send it for none
		f.Stop = nil
	}
	if err := core.NoEmptyTexts("stop", f.Stop); err != nil {
		return nil, err
	}
	if len(f.Stop) > 0 {
		options = append(options, trit.Stop(f.Stop...))
	}
	if f.MinTokens != nil {
		if *f.MinTokens < 0 || limit > 0 && *f.MinTokens > int(limit) {
			return nil, core.BadRequest("min_tokens", "min_tokens is %d; want 0 up to the largest number of tokens",
				*f.MinTokens)
		}
		options = append(options, trit.MinTokens(*f.MinTokens))
	}
	if len(f.StopTokenIDs) > 0 {
		if err := core.CheckTokens("stop_token_ids", f.StopTokenIDs, m.Tokenizer()); err != nil {
			return nil, err
		}
		options = append(options, trit.StopTokens(f.StopTokenIDs...))
	}
	if core.IsTrue(f.IgnoreEOS) {
		options = append(options, trit.IgnoreEnd())
	}
	if f.SkipSpecialTokens != nil && !*f.SkipSpecialTokens {
		options = append(options, trit.ShowSpecial())
	}
	return options, nil
}

// limit returns the largest number of tokens of an answer: that of the first field that is
// set, or otherwise. −1 is llama-server's and LM Studio's word for no limit, 0
// llama-server's for a prompt that is to be in the cache.
func (f *requestOptions) limit(otherwise core.Limit, fields ...limitField) (core.Limit, error) {
	for _, field := range append(fields, limitField{"n_predict", f.NPredict}) {
		if err := within(field.name, field.value, -1, maxInt32); err != nil {
			return 0, err
		}
		if field.value != nil {
			return core.Limit(*field.value), nil
		}
	}
	return otherwise, nil
}

// limitField is a field that bounds an answer, by its name.
type limitField struct {
	name  string
	value *int
}

// sampling returns the model's sampling options with those of the request.
func (f *requestOptions) sampling(ctx context.Context, m *trit.Model) (sample.Options, error) {
	// OpenAI's ranges are narrower than what could be computed.
	for _, field := range []struct {
		name      string
		value     *float64
		low, high float64
	}{
		{"temperature", f.Temperature, 0, 2},
		{"frequency_penalty", f.FrequencyPenalty, -2, 2},
		{"presence_penalty", f.PresencePenalty, -2, 2},
	} {
		if v := field.value; v != nil && !(*v >= field.low && *v <= field.high) {
			return sample.Options{}, core.BadRequest(field.name, "%s is %v; want %v to %v", field.name, *v, field.low,
				field.high)
		}
	}
	for _, e := range f.LogitBias {
		if !(e.Bias <= 100 && (e.Bias >= -100 || math.IsInf(float64(e.Bias), -1))) {
			return sample.Options{}, core.BadRequest("logit_bias", "logit_bias has %v; want -100 to 100", e.Bias)
		}
	}
	if err := core.NoEmptyTexts("dry_sequence_breakers", f.DRYBreakers); err != nil {
		return sample.Options{}, err
	}
	o, err := f.Sampling.Options(ctx, m)
	if err != nil {
		return o, blameSampling(err)
	}
	t := m.Tokenizer()
	if o.LogitBias, err = f.LogitBias.Resolve(ctx, t); err != nil {
		return o, err
	}
	if len(f.AllowedTokenIDs) > 0 {
		if err := core.CheckTokens("allowed_token_ids", f.AllowedTokenIDs, t); err != nil {
			return o, err
		}
		o.Allowed = f.AllowedTokenIDs
	}
	if len(f.BadWords) > 0 {
		if err := core.NoEmptyTexts("bad_words", f.BadWords); err != nil {
			return o, err
		}
		if o.BadWords, err = generate.BadWords(ctx, t, f.BadWords); err != nil {
			return o, core.Blame(err, "bad_words")
		}
	}
	if f.Samplers != nil {
		o.Order = sample.Order(*f.Samplers)
	}
	return o, blameSampling(o.Validate())
}

// blameSampling names the field of the request behind an error of the sampling
// options.
func blameSampling(err error) error {
	if e, ok := errors.AsType[*sample.OptionError](err); ok {
		return core.Blame(err, e.Option)
	}
	if errors.Is(err, sample.ErrOrder) {
		return core.Blame(err, "samplers")
	}
	return err
}
