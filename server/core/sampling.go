package core

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"strconv"

	"trit"
	"trit/internal/generate"
	"trit/sample"
	"trit/tokenizer"
)

// Sampling are the sampling options of a request, by the names that llama.cpp's
// server gives them; Ollama's are among these. What a request leaves out keeps the
// model's own value.
type Sampling struct {
	samplingFields
	DRYBreakers []string `json:"dry_sequence_breakers"`
	// Seed below zero means a new one for every request.
	Seed *int64 `json:"seed"`
	// CacheSalt keeps the prompt apart from prompts with another salt in the prefix cache, as in vLLM.
	CacheSalt string `json:"cache_salt"`
}

// Salt returns the field CacheSalt.
func (s *Sampling) Salt() string { return s.CacheSalt }

// Options returns the model's sampling options with those of the request. It ends with ctx.
func (s *Sampling) Options(ctx context.Context, m *trit.Model) (sample.Options, error) {
	o := m.Sampling()
	s.set(&o)
	if o.DRY.Multiplier > 0 {
		texts := s.DRYBreakers
		if texts == nil {
			texts = generate.DefaultBreakers()
		}
		var err error
		if o.DRY.Breakers, err = generate.Breakers(ctx, m.Tokenizer(), texts); err != nil {
			return o, Blame(err, "dry_sequence_breakers")
		}
	}
	if s.Seed != nil && *s.Seed >= 0 {
		seed := uint64(*s.Seed)
		o.Seed = &seed
	} else if s.Seed != nil {
		o.Seed = nil // that of a derived model
	}
	return o, o.Validate()
}

// LogitBias is llama.cpp's logit_bias: [[TOKEN, BIAS], …] or {TOKEN: BIAS, …}. A
// token is an id or a text, whose tokens all get the bias; false bans.
type LogitBias []biasEntry

type biasEntry struct {
	id   int32
	text string // instead of an id, if not empty
	Bias float32
}

// UnmarshalJSON implements json.Unmarshaler.
func (b *LogitBias) UnmarshalJSON(data []byte) error {
	wrong := BadRequest("logit_bias", "logit_bias is %s; want [[TOKEN, BIAS], …] or {TOKEN: BIAS, …}", ShortJSON(data))
	*b = nil
	if bytes.Equal(data, []byte("null")) {
		return nil
	}
	if data[0] == '{' {
		var entries map[string]json.RawMessage
		if err := json.Unmarshal(data, &entries); err != nil {
			return wrong
		}
		for token, bias := range entries {
			e := biasEntry{text: token}
			if id, err := strconv.ParseInt(token, 10, 32); err == nil {
				e = biasEntry{id: int32(id)}
			}
			if !e.setBias(bias) {
				return wrong
			}
			*b = append(*b, e)
		}
		return nil
	}
	var entries [][]json.RawMessage
	if err := json.Unmarshal(data, &entries); err != nil {
		return wrong
	}
	for _, pair := range entries {
		var e biasEntry
		if len(pair) != 2 || !e.setBias(pair[1]) ||
			json.Unmarshal(pair[0], &e.id) != nil && (json.Unmarshal(pair[0], &e.text) != nil || e.text == "") {
			return wrong
		}
		*b = append(*b, e)
	}
	return nil
}

func (e *biasEntry) setBias(data []byte) bool {
	if bytes.Equal(data, []byte("false")) {
		e.Bias = float32(math.Inf(-1))
		return true
	}
	return json.Unmarshal(data, &e.Bias) == nil
}

// Resolve returns the bias of every token. Where several entries name a token,
// they add up. It ends with ctx.
func (b LogitBias) Resolve(ctx context.Context, t *tokenizer.Tokenizer) (map[int32]float32, error) {
	if len(b) == 0 {
		return nil, nil
	}
	out := map[int32]float32{}
	for _, e := range b {
		ids := []int32{e.id}
		if e.text != "" {
			var err error
			if ids, err = t.EncodeContext(ctx, e.text, tokenizer.AddSpecial(false)); err != nil {
				return nil, err
			}
		}
		if err := CheckTokens("logit_bias", ids, t); err != nil {
			return nil, err
		}
		for _, id := range ids {
			out[id] += e.Bias
		}
	}
	return out, nil
}
