package sample

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

//go:generate go run ./paramgen ..

// A Param is one of the numbers among [Options], as users meet it: a flag of the
// command line, a setting of the chat, a field of a request, a row of the
// documentation. All of these follow from [Params].
type Param struct {
	// Name is what an [OptionError] calls the parameter, and its name in JSON: in the
	// APIs of llama.cpp's server and Ollama, and among the additions to OpenAI's.
	Name string
	// Synonym is a second name in JSON, if there is one; it is vLLM's.
	Synonym string
	// Flag is its flag of the command line, and Aliases are other names of that: those
	// of llama.cpp.
	Flag    string
	Aliases []string
	// Help says what it does, and which value turns it off.
	Help string
	// Min and Max are the range of values, and Note adds to that what a value at one
	// end of it means.
	Min, Max float64
	Note     string
	// Recommended says that a model's file may recommend a value, under [Param.Key].
	Recommended bool

	neutral float64 // in Neutral
	// One of these is its field.
	float func(*Options) *float64
	whole func(*Options) *int
	// dry is set for what counts only while DRY is on.
	dry bool
}

// What is as good as unbounded.
const (
	huge    = 1e6
	hugeInt = math.MaxInt32
)

// params lists the parameters in the order in which they are shown.
var params = []Param{
	{Name: "temperature", Flag: "temperature", Aliases: []string{"temp"}, Max: 1000, Note: "0 is greedy", Recommended: true,
		Help: "divide the logits; 0 is greedy", neutral: 1, float: func(o *Options) *float64 { return &o.Temperature }},
	{Name: "dynatemp_range", Flag: "dynatemp-range", Max: 1000, Note: "0 turns it off",
		Help:  "let the temperature vary by this much with the entropy; 0 is off",
		float: func(o *Options) *float64 { return &o.DynTempRange }},
	{Name: "dynatemp_exponent", Flag: "dynatemp-exponent", Aliases: []string{"dynatemp-exp"}, Max: 1000,
		Help:    "how the entropy becomes a temperature",
		neutral: 1, float: func(o *Options) *float64 { return &o.DynTempExponent }},
	{Name: "top_k", Flag: "top-k", Min: -hugeInt, Max: hugeInt, Note: "0 or less turns it off", Recommended: true,
		Help: "keep the k most likely tokens; 0 keeps all", whole: func(o *Options) *int { return &o.TopK }},
	{Name: "top_p", Flag: "top-p", Max: 1, Note: "1 turns it off", Recommended: true,
		Help:    "keep the most likely tokens with this total probability; 1 keeps all",
		neutral: 1, float: func(o *Options) *float64 { return &o.TopP }},
	{Name: "min_p", Flag: "min-p", Max: 1, Note: "0 turns it off",
		Help:  "keep tokens at least this fraction as likely as the most likely; 0 keeps all",
		float: func(o *Options) *float64 { return &o.MinP }},
	{Name: "typical_p", Flag: "typical", Aliases: []string{"typical-p"}, Max: 1, Note: "1 turns it off",
		Help:    "keep the tokens of typical surprise with this total probability; 1 keeps all",
		neutral: 1, float: func(o *Options) *float64 { return &o.TypicalP }},
	{Name: "top_n_sigma", Flag: "top-n-sigma", Aliases: []string{"top-nsigma"}, Min: -huge, Max: huge, Note: "0 or less turns it off",
		Help:  "keep tokens within this many standard deviations of the largest logit; 0 keeps all",
		float: func(o *Options) *float64 { return &o.TopNSigma }},
	{Name: "xtc_probability", Flag: "xtc-probability", Max: 1, Note: "0 turns it off",
		Help:  "chance to leave out the most likely tokens; 0 never does",
		float: func(o *Options) *float64 { return &o.XTCProbability }},
	{Name: "xtc_threshold", Flag: "xtc-threshold", Max: 1, Note: "above 0.5 turns it off",
		Help:    "probability from which on XTC leaves tokens out",
		neutral: 0.1, float: func(o *Options) *float64 { return &o.XTCThreshold }},
	{Name: "min_keep", Flag: "min-keep", Max: maxVocab, Note: "0 means 1",
		Help:    "tokens that top-k, top-p, min-p, typical, top-n-sigma and XTC keep at least",
		neutral: 1, whole: func(o *Options) *int { return &o.MinKeep }},
	{Name: "mirostat", Flag: "mirostat", Max: 2, Note: "0 turns it off",
		Help:  "hold the surprise constant by version 1 or 2; 0 is off",
		whole: func(o *Options) *int { return &o.Mirostat }},
	{Name: "mirostat_tau", Flag: "mirostat-ent", Aliases: []string{"mirostat-tau"}, Max: 100, Note: "bits",
		Help:    "surprise that mirostat aims at, in bits",
		neutral: 5, float: func(o *Options) *float64 { return &o.MirostatTau }},
	{Name: "mirostat_eta", Flag: "mirostat-lr", Aliases: []string{"mirostat-eta"}, Max: 100,
		Help: "how fast mirostat learns", neutral: 0.1, float: func(o *Options) *float64 { return &o.MirostatEta }},
	{Name: "repeat_penalty", Synonym: "repetition_penalty", Flag: "repetition-penalty", Aliases: []string{"repeat-penalty"},
		Min: 0.01, Max: 100, Note: "1 turns it off",
		Help:    "divide the logits of tokens that came up; 1 is off",
		neutral: 1, float: func(o *Options) *float64 { return &o.RepeatPenalty }},
	{Name: "frequency_penalty", Flag: "frequency-penalty", Min: -huge, Max: huge, Note: "0 turns it off",
		Help:  "subtract this for each time a token came up; 0 is off",
		float: func(o *Options) *float64 { return &o.FrequencyPenalty }},
	{Name: "presence_penalty", Flag: "presence-penalty", Min: -huge, Max: huge, Note: "0 turns it off",
		Help:  "subtract this from tokens that came up; 0 is off",
		float: func(o *Options) *float64 { return &o.PresencePenalty }},
	{Name: "repeat_last_n", Flag: "repeat-last-n", Aliases: []string{"penalty-last-n"}, Min: -1, Max: hugeInt, Note: "-1 is the whole history",
		Help:    "these three penalties look at this many tokens; 0: none, -1: all",
		neutral: 64, whole: func(o *Options) *int { return &o.PenaltyLastN }},
	{Name: "dry_multiplier", Flag: "dry-multiplier", Max: huge, Note: "0 turns it off",
		Help:  "strength of the penalty on repeated sequences; 0 is off",
		float: func(o *Options) *float64 { return &o.DRY.Multiplier }},
	{Name: "dry_base", Flag: "dry-base", Min: 1, Max: huge, dry: true,
		Help:    "how this penalty grows with each repeated token",
		neutral: 1.75, float: func(o *Options) *float64 { return &o.DRY.Base }},
	{Name: "dry_allowed_length", Flag: "dry-allowed-length", Min: 1, Max: hugeInt, dry: true,
		Help:    "length from which on a repeated sequence is penalised",
		neutral: 2, whole: func(o *Options) *int { return &o.DRY.AllowedLength }},
	{Name: "dry_penalty_last_n", Flag: "dry-penalty-last-n", Min: -1, Max: hugeInt, Note: "-1 is the whole history",
		Help:    "tokens that are searched for repetitions; 0: none, -1: all",
		neutral: -1, whole: func(o *Options) *int { return &o.DRY.PenaltyLastN }},
}

// Params returns the numbers among [Options], in the order in which they are shown
// to users. What is not a number is not among them: the order of the stages, the
// seed, lists of tokens.
func Params() []Param { return slices.Clone(params) }

// LookupParam finds a parameter by any of its names, in any case and with dashes or
// underscores.
func LookupParam(name string) (*Param, bool) {
	name = strings.ReplaceAll(strings.ToLower(name), "-", "_")
	for i := range params {
		p := &params[i]
		for _, n := range append([]string{p.Name, p.Synonym, p.Flag}, p.Aliases...) {
			if n != "" && strings.ReplaceAll(n, "-", "_") == name {
				found := *p
				return &found, true
			}
		}
	}
	return nil, false
}

// Whole reports whether values are whole numbers.
func (p *Param) Whole() bool { return p.whole != nil }

// Kind says what values are: "a number" or "a whole number".
func (p *Param) Kind() string {
	if p.Whole() {
		return "a whole number"
	}
	return "a number"
}

// Key is the key under which a model's file recommends a value, if Recommended: a
// uint32 for whole numbers, otherwise a float32.
func (p *Param) Key() string { return "trit.sampling." + p.Name }

// Range says which values are possible, such as "0 to 1 (1 turns it off)".
func (p *Param) Range() string {
	var text string
	switch {
	case p.Min == -hugeInt && p.Max == hugeInt:
		text = p.Kind()
	case p.Max == hugeInt:
		text = fmt.Sprintf("%g or more", p.Min)
	case p.Whole():
		text = fmt.Sprintf("%d to %d", int(p.Min), int(p.Max))
	default:
		text = fmt.Sprintf("%g to %g", p.Min, p.Max)
	}
	if p.Note != "" {
		text += " (" + p.Note + ")"
	}
	return text
}

// Get returns the value in o.
func (p *Param) Get(o *Options) float64 {
	if p.Whole() {
		return float64(*p.whole(o))
	}
	return *p.float(o)
}

// Format returns the value in o as people write it, with six digits, because
// recommendations are stored in 32 bits.
func (p *Param) Format(o *Options) string {
	if p.Whole() {
		return strconv.Itoa(*p.whole(o))
	}
	return strconv.FormatFloat(*p.float(o), 'g', 6, 64)
}

// Parse reads a value as people write it.
func (p *Param) Parse(text string) (float64, error) {
	if p.Whole() {
		n, err := strconv.Atoi(text)
		return float64(n), err
	}
	return strconv.ParseFloat(text, 64)
}

// Set changes the value in o, or returns an [OptionError] and leaves it. Whether
// the value goes together with others is for [Options.Validate] to say.
func (p *Param) Set(o *Options, value float64) error {
	if err := p.check(value); err != nil {
		return err
	}
	p.put(o, value)
	return nil
}

// check looks at one value.
func (p *Param) check(value float64) error {
	switch {
	case !(value >= p.Min && value <= p.Max): // also NaN
		return &OptionError{p.Name, p.plain(value), p.Range()}
	case p.Whole() && value != math.Trunc(value):
		return &OptionError{p.Name, value, p.Kind()}
	}
	return nil
}

// plain returns a value in the type of its field.
func (p *Param) plain(value float64) any {
	if p.Whole() && math.Abs(value) <= hugeInt && value == math.Trunc(value) {
		return int(value)
	}
	return value
}

func (p *Param) put(o *Options, value float64) {
	if p.Whole() {
		*p.whole(o) = int(value)
	} else {
		*p.float(o) = value
	}
}
