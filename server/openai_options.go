package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"slices"

	"trit"
	"trit/internal/generate"
	"trit/sample"
)

// openAIOptions are the fields of a request that say how its prompt is
// continued, as far as OpenAI's endpoints share them, together with those that
// vLLM and llama.cpp's server add.
type openAIOptions struct {
	llamaSampling
	Stop      stopField `json:"stop"`
	LogitBias llamaBias `json:"logit_bias"`

	RepetitionPenalty *float64    `json:"repetition_penalty"` // vLLM's name of repeat_penalty
	Samplers          *stageField `json:"samplers"`

	NPredict          *int     `json:"n_predict"` // llama.cpp's name of max_tokens; −1: no limit
	IgnoreEOS         *bool    `json:"ignore_eos"`
	MinTokens         *int     `json:"min_tokens"`
	StopTokenIDs      []int32  `json:"stop_token_ids"`
	BadWords          []string `json:"bad_words"`
	AllowedTokenIDs   []int32  `json:"allowed_token_ids"`
	SkipSpecialTokens *bool    `json:"skip_special_tokens"`
	PromptLogProbs    *int     `json:"prompt_logprobs"`

	guideFields
	refusedFields
}

// refusedFields would change the answer and are not supported.
type refusedFields struct {
	UseBeamSearch   *bool           `json:"use_beam_search"`
	LengthPenalty   *float64        `json:"length_penalty"`
	IncludeStop     *bool           `json:"include_stop_str_in_output"`
	TruncatePrompt  *int            `json:"truncate_prompt_tokens"`
	TokensAsIDs     *bool           `json:"return_tokens_as_token_ids"`
	Processors      json.RawMessage `json:"logits_processors"`
	LoRA            json.RawMessage `json:"lora"`
	WhitespaceGuide *string         `json:"guided_whitespace_pattern"`
}

func (f *refusedFields) check() error {
	no := func(param, remedy string) error {
		return unsupported(param, "%s is not supported by this server; %s", param, remedy)
	}
	switch {
	case isTrue(f.UseBeamSearch):
		return no("use_beam_search", "leave it out, or use trit infer --beams")
	case f.LengthPenalty != nil && *f.LengthPenalty != 1:
		return no("length_penalty", "it belongs to beam search")
	case isTrue(f.IncludeStop):
		return no("include_stop_str_in_output", "stop strings are never part of the answer")
	case f.TruncatePrompt != nil:
		return no("truncate_prompt_tokens", "shorten the prompt instead")
	case isTrue(f.TokensAsIDs):
		return no("return_tokens_as_token_ids", "POST /tokenize gives ids")
	case hasElements(f.Processors):
		return no("logits_processors", "use logit_bias, grammar or response_format")
	case hasElements(f.LoRA):
		return no("lora", "adapters cannot be loaded")
	case f.WhitespaceGuide != nil:
		return no("guided_whitespace_pattern", "use a grammar")
	}
	return nil
}

// apply returns the options for a generation with the model. logProbs asks for
// the probabilities of the tokens, top for those of the most likely ones.
func (f *openAIOptions) apply(m *trit.Model, maxTokens int, logProbs bool, top int) ([]trit.GenerateOption, error) {
	if err := f.refusedFields.check(); err != nil {
		return nil, err
	}
	s, err := f.sampling(m)
	if err != nil {
		return nil, err
	}
	s.LogProb, s.TopLogProbs = logProbs, top
	options := []trit.GenerateOption{trit.Sampling(s), trit.MaxTokens(maxTokens)}
	if len(f.Stop) > 0 {
		options = append(options, trit.Stop(f.Stop...))
	}
	if f.MinTokens != nil {
		if *f.MinTokens < 0 || maxTokens > 0 && *f.MinTokens > maxTokens {
			return nil, badRequest("min_tokens", "min_tokens is %d; want 0 up to the largest number of tokens", *f.MinTokens)
		}
		options = append(options, trit.MinTokens(*f.MinTokens))
	}
	if len(f.StopTokenIDs) > 0 {
		if err := checkTokens("stop_token_ids", f.StopTokenIDs, m.Tokenizer()); err != nil {
			return nil, err
		}
		options = append(options, trit.StopTokens(f.StopTokenIDs...))
	}
	if isTrue(f.IgnoreEOS) {
		options = append(options, trit.IgnoreEnd())
	}
	if f.SkipSpecialTokens != nil && !*f.SkipSpecialTokens {
		options = append(options, trit.ShowSpecial())
	}
	return options, nil
}

// limit returns the largest number of tokens of an answer, 0 for the end of the
// context: the first field that is set, or otherwise.
func (f *openAIOptions) limit(otherwise int, fields ...*int) (int, error) {
	for _, v := range fields {
		if v != nil {
			return *v, nil
		}
	}
	switch n := valueOr(f.NPredict, otherwise); {
	case f.NPredict == nil || n > 0:
		return n, nil
	case n == -1:
		return 0, nil
	}
	return 0, badRequest("n_predict", "n_predict is %d; want 1 or more, or -1", *f.NPredict)
}

// sampling returns the model's sampling options with those of the request.
func (f *openAIOptions) sampling(m *trit.Model) (sample.Options, error) {
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
			return sample.Options{}, badRequest(field.name, "%s is %v; want %v to %v", field.name, *v, field.low, field.high)
		}
	}
	for _, e := range f.LogitBias {
		if !(e.bias <= 100 && (e.bias >= -100 || math.IsInf(float64(e.bias), -1))) {
			return sample.Options{}, badRequest("logit_bias", "logit_bias has %v; want -100 to 100", e.bias)
		}
	}
	if err := shortTexts("dry_sequence_breakers", f.DRYBreakers, maxBreakers); err != nil {
		return sample.Options{}, err
	}
	common := f.llamaSampling
	if f.RepetitionPenalty != nil {
		common.RepeatPenalty = f.RepetitionPenalty
	}
	o, err := common.options(m)
	if err != nil {
		return o, blameSampling(err)
	}
	t := m.Tokenizer()
	if o.LogitBias, err = f.LogitBias.resolve(t); err != nil {
		return o, err
	}
	if len(f.AllowedTokenIDs) > 0 {
		if err := checkTokens("allowed_token_ids", f.AllowedTokenIDs, t); err != nil {
			return o, err
		}
		o.Allowed = f.AllowedTokenIDs
	}
	if len(f.BadWords) > 0 {
		if err := shortTexts("bad_words", f.BadWords, maxWords); err != nil {
			return o, err
		}
		if o.BadWords, err = generate.BadWords(t, f.BadWords); err != nil {
			return o, blame(err, "bad_words")
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
		if e.Option == "penalty_last_n" {
			return blame(err, "repeat_last_n")
		}
		return blame(err, e.Option)
	}
	if errors.Is(err, sample.ErrOrder) {
		return blame(err, "samplers")
	}
	return err
}

// Bounds of lists in a request, each far above what clients need.
const (
	maxStops     = 16
	maxWords     = 256
	maxBreakers  = 32
	maxTextBytes = 1024 // of each element
)

// shortTexts checks a list of short strings.
func shortTexts(param string, texts []string, most int) error {
	if len(texts) > most {
		return badRequest(param, "%s has %d elements; at most %d are allowed", param, len(texts), most)
	}
	for i, text := range texts {
		if text == "" || len(text) > maxTextBytes {
			return badRequest(param, "element %d of %s has %d bytes; want 1 to %d", i, param, len(text), maxTextBytes)
		}
	}
	return nil
}

// stopField is a string or a list of strings that end an answer.
type stopField []string

// UnmarshalJSON implements json.Unmarshaler.
func (f *stopField) UnmarshalJSON(data []byte) error {
	*f = nil
	var list []string
	if bytes.HasPrefix(data, []byte(`"`)) {
		list = []string{""}
		if err := json.Unmarshal(data, &list[0]); err != nil {
			return err
		}
		if list[0] == "" { // clients send it for none
			return nil
		}
	} else if err := json.Unmarshal(data, &list); err != nil {
		return badType("stop", "a string or an array of strings")
	}
	if err := shortTexts("stop", list, maxStops); err != nil {
		return err
	}
	*f = list
	return nil
}

// stageField is llama.cpp's list of samplers, which may also be a string.
type stageField sample.Order

// UnmarshalJSON implements json.Unmarshaler.
func (f *stageField) UnmarshalJSON(data []byte) error {
	var text string
	var list []string
	if json.Unmarshal(data, &text) != nil {
		if json.Unmarshal(data, &list) != nil {
			return badType("samplers", `an array of names or a string such as "top_k;top_p;temperature"`)
		}
		for i, name := range list {
			if i > 0 {
				text += ";"
			}
			text += name
		}
	}
	order, err := sample.ParseOrder(text)
	if err != nil {
		return blame(err, "samplers")
	}
	*f = stageField(order)
	return nil
}

// badType reports a field whose JSON type does not fit.
func badType(param, want string) *apiError {
	e := badRequest(param, "%s has the wrong type; want %s", param, want)
	e.code = "invalid_type"
	return e
}

// isTrue reports whether an optional field is set to true.
func isTrue(v *bool) bool { return v != nil && *v }

// hasElements reports whether an optional list or object has anything in it.
func hasElements(raw json.RawMessage) bool {
	return !slices.Contains([]string{"", "null", "[]", "{}", "false"}, string(bytes.TrimSpace(raw)))
}
