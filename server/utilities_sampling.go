package server

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"trit"
	"trit/internal/generate"
	"trit/sample"
	"trit/tokenizer"
)

// llamaSampling are the sampling options by the names that llama.cpp's server
// gives them; Ollama's are among these. What a request leaves out keeps the
// model's own value.
type llamaSampling struct {
	Temperature      *float64 `json:"temperature"`
	DynTempRange     *float64 `json:"dynatemp_range"`
	DynTempExponent  *float64 `json:"dynatemp_exponent"`
	TopK             *int     `json:"top_k"`
	TopP             *float64 `json:"top_p"`
	MinP             *float64 `json:"min_p"`
	TypicalP         *float64 `json:"typical_p"`
	TopNSigma        *float64 `json:"top_n_sigma"`
	XTCProbability   *float64 `json:"xtc_probability"`
	XTCThreshold     *float64 `json:"xtc_threshold"`
	MinKeep          *int     `json:"min_keep"`
	RepeatPenalty    *float64 `json:"repeat_penalty"`
	RepeatLastN      *int     `json:"repeat_last_n"`
	PresencePenalty  *float64 `json:"presence_penalty"`
	FrequencyPenalty *float64 `json:"frequency_penalty"`
	Mirostat         *int     `json:"mirostat"`
	MirostatTau      *float64 `json:"mirostat_tau"`
	MirostatEta      *float64 `json:"mirostat_eta"`
	DRYMultiplier    *float64 `json:"dry_multiplier"`
	DRYBase          *float64 `json:"dry_base"`
	DRYAllowedLength *int     `json:"dry_allowed_length"`
	DRYPenaltyLastN  *int     `json:"dry_penalty_last_n"`
	DRYBreakers      []string `json:"dry_sequence_breakers"`
	// Seed below zero means a new one for every request.
	Seed *int64 `json:"seed"`
}

// options returns the model's sampling options with those of the request.
func (s *llamaSampling) options(m *trit.Model) (sample.Options, error) {
	o := m.Sampling()
	set(&o.Temperature, s.Temperature)
	set(&o.DynTempRange, s.DynTempRange)
	set(&o.DynTempExponent, s.DynTempExponent)
	set(&o.TopK, s.TopK)
	set(&o.TopP, s.TopP)
	set(&o.MinP, s.MinP)
	set(&o.TypicalP, s.TypicalP)
	set(&o.TopNSigma, s.TopNSigma)
	set(&o.XTCProbability, s.XTCProbability)
	set(&o.XTCThreshold, s.XTCThreshold)
	set(&o.MinKeep, s.MinKeep)
	set(&o.RepeatPenalty, s.RepeatPenalty)
	set(&o.PenaltyLastN, s.RepeatLastN)
	set(&o.PresencePenalty, s.PresencePenalty)
	set(&o.FrequencyPenalty, s.FrequencyPenalty)
	set(&o.Mirostat, s.Mirostat)
	set(&o.MirostatTau, s.MirostatTau)
	set(&o.MirostatEta, s.MirostatEta)
	set(&o.DRY.Multiplier, s.DRYMultiplier)
	set(&o.DRY.Base, s.DRYBase)
	set(&o.DRY.AllowedLength, s.DRYAllowedLength)
	set(&o.DRY.PenaltyLastN, s.DRYPenaltyLastN)
	if o.DRY.Multiplier > 0 {
		texts := s.DRYBreakers
		if texts == nil {
			texts = generate.DefaultBreakers()
		}
		var err error
		if o.DRY.Breakers, err = generate.Breakers(m.Tokenizer(), texts); err != nil {
			return o, err
		}
	}
	if s.Seed != nil && *s.Seed >= 0 {
		seed := uint64(*s.Seed)
		o.Seed = &seed
	}
	return o, o.Validate()
}

// set takes a value of a request if it has one.
func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// stringList is a list of strings that may also be a single one.
type stringList []string

// UnmarshalJSON implements json.Unmarshaler.
func (l *stringList) UnmarshalJSON(data []byte) error {
	var list []string
	if len(data) > 0 && data[0] == '"' {
		list = []string{""}
		if err := json.Unmarshal(data, &list[0]); err != nil {
			return err
		}
	} else if err := json.Unmarshal(data, &list); err != nil {
		return &apiError{status: 400, code: "invalid_type", message: "want a string or an array of strings, not " + shortJSON(data)}
	}
	*l = list
	return nil
}

// llamaBias is llama.cpp's logit_bias: [[TOKEN, BIAS], …] or {TOKEN: BIAS, …}. A
// token is an id or a text, whose tokens all get the bias; false bans.
type llamaBias []biasEntry

type biasEntry struct {
	id   int32
	text string // instead of an id, if not empty
	bias float32
}

// UnmarshalJSON implements json.Unmarshaler.
func (b *llamaBias) UnmarshalJSON(data []byte) error {
	wrong := badRequest("logit_bias", "logit_bias is %s; want [[TOKEN, BIAS], …] or {TOKEN: BIAS, …}", shortJSON(data))
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
		e.bias = float32(math.Inf(-1))
		return true
	}
	return json.Unmarshal(data, &e.bias) == nil
}

// resolve returns the bias of every token. Where several entries name a token,
// they add up.
func (b llamaBias) resolve(t *tokenizer.Tokenizer) (map[int32]float32, error) {
	if len(b) == 0 {
		return nil, nil
	}
	out := map[int32]float32{}
	for _, e := range b {
		ids := []int32{e.id}
		if e.text != "" {
			ids = t.Encode(e.text, tokenizer.AddSpecial(false))
		}
		if err := checkTokens("logit_bias", ids, t); err != nil {
			return nil, err
		}
		for _, id := range ids {
			out[id] += e.bias
		}
	}
	return out, nil
}

// checkTokens reports ids that are not in the vocabulary.
func checkTokens(param string, ids []int32, t *tokenizer.Tokenizer) error {
	for i, id := range ids {
		if id < 0 || int(id) >= t.Len() {
			return badRequest(param, "%s: element %d is the token %d; this model's are 0 to %d", param, i, id, t.Len()-1)
		}
	}
	return nil
}

// stopFinder tells which of several strings has ended a text, of which a
// generation only says that one did.
type stopFinder struct {
	stops   []string
	stream  *tokenizer.Stream
	tail    string // enough of the text to hold any stop string
	longest int
}

// newStopFinder returns a finder for a text whose control tokens are rendered,
// or not, as special says.
func newStopFinder(t *tokenizer.Tokenizer, special bool, stops ...string) *stopFinder {
	f := &stopFinder{stops: stops, stream: t.NewStream(tokenizer.RenderSpecial(special))}
	for _, s := range stops {
		f.longest = max(f.longest, len(s))
	}
	return f
}

// push follows the text by one token.
func (f *stopFinder) push(id int32) {
	if f.longest == 0 {
		return
	}
	piece := f.stream.Push(id)
	f.tail = f.tail[max(0, len(f.tail)-f.longest):] + piece
}

// found returns the string that has ended the text: the one that was complete
// first and, of several that were, the longest.
func (f *stopFinder) found() string {
	best, end := "", len(f.tail)+1
	for _, s := range f.stops {
		if i := strings.Index(f.tail, s); i >= 0 && (i+len(s) < end || i+len(s) == end && len(s) > len(best)) {
			best, end = s, i+len(s)
		}
	}
	return best
}

// tokenText returns the text of a token as JSON can hold it, and its bytes.
func tokenText(t *tokenizer.Tokenizer, id int32) (string, []int) {
	piece := t.Piece(id, true)
	codes := make([]int, len(piece))
	for i := range len(piece) {
		codes[i] = int(piece[i])
	}
	return strings.ToValidUTF8(piece, "\uFFFD"), codes
}

// finite returns a logarithm of a probability as JSON can hold it.
func finite(logProb float64) float64 {
	if math.IsNaN(logProb) || logProb < -9999 {
		return -9999
	}
	return logProb
}

// shortJSON returns the beginning of a JSON value, for messages.
func shortJSON(data []byte) string {
	const most = 60
	if len(data) <= most {
		return string(data)
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(data[cut]) {
		cut--
	}
	return string(data[:cut]) + "…"
}
