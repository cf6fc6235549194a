package main

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"trit"
	"trit/internal/generate"
	"trit/sample"
)

// samplingParam is a number among the sampling options. Each has a flag, and
// the chat's /set changes it.
type samplingParam struct {
	name   string
	option string // its name in a sample.OptionError
	kind   string // what values are, for messages
	help   string
	get    func(*sample.Options) string
	set    func(*sample.Options, string) error
}

// samplingParams lists them in the order in which they are shown.
var samplingParams = []samplingParam{
	floatParam("temperature", "temperature", "divide the logits; 0 is greedy", func(o *sample.Options) *float64 { return &o.Temperature }),
	floatParam("dynatemp-range", "dynatemp_range", "let the temperature vary by this much with the entropy; 0 is off", func(o *sample.Options) *float64 { return &o.DynTempRange }),
	floatParam("dynatemp-exponent", "dynatemp_exponent", "how the entropy becomes a temperature", func(o *sample.Options) *float64 { return &o.DynTempExponent }),
	intParam("top-k", "top_k", "keep the k most likely tokens; 0 keeps all", func(o *sample.Options) *int { return &o.TopK }),
	floatParam("top-p", "top_p", "keep the most likely tokens with this total probability; 1 keeps all", func(o *sample.Options) *float64 { return &o.TopP }),
	floatParam("min-p", "min_p", "keep tokens at least this fraction as likely as the most likely; 0 keeps all", func(o *sample.Options) *float64 { return &o.MinP }),
	floatParam("typical", "typical_p", "keep the tokens of typical surprise with this total probability; 1 keeps all", func(o *sample.Options) *float64 { return &o.TypicalP }),
	floatParam("top-n-sigma", "top_n_sigma", "keep tokens within this many standard deviations of the largest logit; 0 keeps all", func(o *sample.Options) *float64 { return &o.TopNSigma }),
	floatParam("xtc-probability", "xtc_probability", "chance to leave out the most likely tokens; 0 never does", func(o *sample.Options) *float64 { return &o.XTCProbability }),
	floatParam("xtc-threshold", "xtc_threshold", "probability from which on XTC leaves tokens out", func(o *sample.Options) *float64 { return &o.XTCThreshold }),
	intParam("mirostat", "mirostat", "hold the surprise constant by version 1 or 2; 0 is off", func(o *sample.Options) *int { return &o.Mirostat }),
	floatParam("mirostat-ent", "mirostat_tau", "surprise that mirostat aims at, in bits", func(o *sample.Options) *float64 { return &o.MirostatTau }),
	floatParam("mirostat-lr", "mirostat_eta", "how fast mirostat learns", func(o *sample.Options) *float64 { return &o.MirostatEta }),
	floatParam("repetition-penalty", "repeat_penalty", "divide the logits of tokens that came up; 1 is off", func(o *sample.Options) *float64 { return &o.RepeatPenalty }),
	floatParam("frequency-penalty", "frequency_penalty", "subtract this for each time a token came up; 0 is off", func(o *sample.Options) *float64 { return &o.FrequencyPenalty }),
	floatParam("presence-penalty", "presence_penalty", "subtract this from tokens that came up; 0 is off", func(o *sample.Options) *float64 { return &o.PresencePenalty }),
	intParam("repeat-last-n", "penalty_last_n", "these three penalties look at this many tokens; 0: none, -1: all", func(o *sample.Options) *int { return &o.PenaltyLastN }),
	floatParam("dry-multiplier", "dry_multiplier", "strength of the penalty on repeated sequences; 0 is off", func(o *sample.Options) *float64 { return &o.DRY.Multiplier }),
	floatParam("dry-base", "dry_base", "how this penalty grows with each repeated token", func(o *sample.Options) *float64 { return &o.DRY.Base }),
	intParam("dry-allowed-length", "dry_allowed_length", "length from which on a repeated sequence is penalised", func(o *sample.Options) *int { return &o.DRY.AllowedLength }),
	intParam("dry-penalty-last-n", "dry_penalty_last_n", "tokens that are searched for repetitions; 0: none, -1: all", func(o *sample.Options) *int { return &o.DRY.PenaltyLastN }),
}

// flagAliases are other names of flags: those of llama.cpp, and those of
// package sample.
var flagAliases = map[string]string{
	"repeat-penalty": "repetition-penalty",
	"penalty-last-n": "repeat-last-n",
	"typical-p":      "typical",
	"mirostat-tau":   "mirostat-ent",
	"mirostat-eta":   "mirostat-lr",
	"top-nsigma":     "top-n-sigma",
	"temp":           "temperature",
	"n-predict":      "max-tokens",
	"system":         "system-prompt",
	"dynatemp-exp":   "dynatemp-exponent",
}

// errValue reports a value that is not of its setting's kind.
var errValue = errors.New("bad value")

func floatParam(name, option, help string, field func(*sample.Options) *float64) samplingParam {
	return samplingParam{
		name: name, option: option, kind: "a number", help: help,
		// Six digits, because recommendations are stored as float32.
		get: func(o *sample.Options) string { return strconv.FormatFloat(*field(o), 'g', 6, 64) },
		set: func(o *sample.Options, value string) error {
			x, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return errValue
			}
			*field(o) = x
			return nil
		},
	}
}

func intParam(name, option, help string, field func(*sample.Options) *int) samplingParam {
	return samplingParam{
		name: name, option: option, kind: "a whole number", help: help,
		get: func(o *sample.Options) string { return strconv.Itoa(*field(o)) },
		set: func(o *sample.Options, value string) error {
			n, err := strconv.Atoi(value)
			if err != nil {
				return errValue
			}
			*field(o) = n
			return nil
		},
	}
}

// change sets the option to a value, or says what values are possible. The
// other options need not go together with it.
func (p *samplingParam) change(o *sample.Options, value string) error {
	changed := *o
	if p.set(&changed, value) != nil {
		return fmt.Errorf("%s %q: want %s", p.name, value, p.kind)
	}
	probe := sample.Neutral()
	probe.DRY.Multiplier = 1 // otherwise the rest of DRY is not looked at
	if err := p.set(&probe, value); err != nil {
		return err
	}
	var bad *sample.OptionError
	if err := probe.Validate(); errors.As(err, &bad) && bad.Option == p.option {
		return fmt.Errorf("%s %s: want %s", p.name, value, bad.Want)
	}
	*o = changed
	return nil
}

// defaultNote says in a help text what holds without the flag.
func (p *samplingParam) defaultNote() string {
	switch p.name {
	case "temperature", "top-k", "top-p", "min-p":
		return " (default: what the model recommends)"
	}
	neutral := sample.Neutral()
	return " (default: " + p.get(&neutral) + ")"
}

// samplingFlags are the flags that choose tokens. A flag that is not given
// leaves the model's own recommendation.
type samplingFlags struct {
	given    []*samplingFlag // in the order in which they were given
	greedy   bool
	seedText string
	samplers string
	breakers []string
	bias     []string
	badWords []string
	allowed  []string
	forced   []string

	names []string // of all flags that add has defined
}

// add defines the flags on a command.
func (f *samplingFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SetNormalizeFunc(normalizeFlag)
	for i := range samplingParams {
		p := &samplingParams[i]
		flags.Var(&samplingFlag{param: p, all: f}, p.name, p.help+p.defaultNote())
		f.names = append(f.names, p.name)
	}
	flags.StringArrayVar(&f.breakers, "dry-sequence-breaker", nil, "DRY does not look beyond this `text`, in which \\n is a line end (repeatable; 'none': no text; default: \\n : \" *)")
	flags.StringVar(&f.samplers, "samplers", "", "the stages in their order, separated by ; (default: "+sample.DefaultOrder().String()+")")
	flags.StringArrayVar(&f.bias, "logit-bias", nil, "`ID+VALUE`, ID-VALUE or ID=VALUE: add to a token's logit; ID-inf bans it (repeatable)")
	flags.StringArrayVar(&f.badWords, "bad-words", nil, "never write this `text`, as the model would usually spell it (repeatable)")
	flags.StringArrayVar(&f.allowed, "allowed-tokens", nil, "write only these tokens: `IDs` separated by commas; an end token must be among them to end the text")
	flags.StringArrayVar(&f.forced, "forced-tokens", nil, "begin with these tokens: `IDs` separated by commas")
	flags.BoolVar(&f.greedy, "greedy", false, "always take the most likely token (the same as --temperature 0)")
	flags.StringVar(&f.seedText, "seed", "random", "seed of the random choices, a `number` or 'random'; the same seed gives the same text")
	f.names = append(f.names, "dry-sequence-breaker", "samplers", "logit-bias", "bad-words", "allowed-tokens", "forced-tokens", "greedy", "seed")
	groupFlags(cmd, "Sampling", f.names...)
}

// used returns the flags that were given, but not those in except.
func (f *samplingFlags) used(cmd *cobra.Command, except ...string) []string {
	var used []string
	for _, name := range f.names {
		if cmd.Flags().Changed(name) && !slices.Contains(except, name) {
			used = append(used, "--"+name)
		}
	}
	return used
}

// check finds what is wrong with the flags without knowing the model.
func (f *samplingFlags) check(cmd *cobra.Command) error {
	o := sample.Neutral()
	if err := f.numbers(&o); err != nil {
		return err
	}
	if f.greedy && cmd.Flags().Changed("temperature") && o.Temperature != 0 {
		return fmt.Errorf("--greedy and --temperature %g exclude each other", o.Temperature)
	}
	if _, err := f.seed(); err != nil {
		return err
	}
	var err error
	if o.Order, err = f.order(); err != nil {
		return err
	}
	if err := o.Validate(); errors.Is(err, sample.ErrOrder) {
		return fmt.Errorf("--samplers %q: %w", f.samplers, err)
	} else if err != nil {
		return err
	}
	if slices.Contains(f.breakers, "") {
		return errors.New("--dry-sequence-breaker is empty; 'none' stands for no text at all")
	}
	if slices.Contains(f.badWords, "") {
		return errors.New("--bad-words is empty")
	}
	return nil
}

// seed returns the seed, one that is easy to type if it was left to chance.
func (f *samplingFlags) seed() (uint64, error) {
	if f.seedText == "random" || f.seedText == "-1" { // -1 as in llama.cpp
		return uint64(rand.Uint32()), nil
	}
	n, err := strconv.ParseUint(f.seedText, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("--seed %q: want a number from 0 to 2^64-1, or random", f.seedText)
	}
	return n, nil
}

// random reports whether the seed was left to chance.
func (f *samplingFlags) random() bool { return f.seedText == "random" || f.seedText == "-1" }

// numbers applies the flags that are numbers.
func (f *samplingFlags) numbers(o *sample.Options) error {
	for _, flag := range f.given {
		if err := flag.param.change(o, flag.value); err != nil {
			return fmt.Errorf("--%w", err)
		}
	}
	return nil
}

// order returns the order of the stages, nil for the usual one.
func (f *samplingFlags) order() (sample.Order, error) {
	if f.samplers == "" {
		return nil, nil
	}
	order, err := sample.ParseOrder(f.samplers)
	if err != nil {
		return nil, fmt.Errorf("--samplers %q: %w", f.samplers, err)
	}
	return order, nil
}

// apply changes sampling options, except for the seed, as the flags say.
func (f *samplingFlags) apply(o *sample.Options, m *trit.Model) error {
	if err := f.numbers(o); err != nil {
		return err
	}
	if f.greedy {
		o.Temperature = 0
	}
	var err error
	if o.Order, err = f.order(); err != nil {
		return err
	}
	if o.DRY.Breakers, err = f.resolveBreakers(m); err != nil {
		return fmt.Errorf("--dry-sequence-breaker: %w", err)
	}
	for _, text := range f.bias {
		id, bias, err := parseBias(m, text)
		if err != nil {
			return fmt.Errorf("--logit-bias %q: %w", text, err)
		}
		if o.LogitBias == nil {
			o.LogitBias = map[int32]float32{}
		}
		o.LogitBias[id] = bias
	}
	if o.BadWords, err = generate.BadWords(m.Tokenizer(), f.badWords); err != nil {
		return fmt.Errorf("--bad-words: %w", err)
	}
	if o.Allowed, err = parseTokenLists(m, f.allowed); err != nil {
		return fmt.Errorf("--allowed-tokens: %w", err)
	}
	if o.Forced, err = parseTokenLists(m, f.forced); err != nil {
		return fmt.Errorf("--forced-tokens: %w", err)
	}
	return o.Validate()
}

func (f *samplingFlags) resolveBreakers(m *trit.Model) ([][]int32, error) {
	texts := generate.DefaultBreakers()
	if len(f.breakers) > 0 {
		texts = nil
		for _, b := range f.breakers {
			if b != "none" {
				texts = append(texts, unescape(b))
			}
		}
	}
	return generate.Breakers(m.Tokenizer(), texts)
}

// parseTokenLists reads lists of tokens: ids, or texts of tokens.
func parseTokenLists(m *trit.Model, lists []string) ([]int32, error) {
	var ids []int32
	for _, list := range lists {
		for text := range strings.SplitSeq(list, ",") {
			id, err := parseToken(m, text)
			if err != nil {
				return nil, err
			}
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// parseToken reads the id of a token, or the text of one such as <|eot_id|>.
func parseToken(m *trit.Model, text string) (int32, error) {
	vocab := m.Config().Vocab
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 32)
	if err != nil {
		if id, ok := m.Tokenizer().ID(text); ok {
			return id, nil
		}
		return 0, fmt.Errorf("%q is neither the id nor the text of a token", text)
	}
	if n < 0 || n >= int64(vocab) {
		return 0, fmt.Errorf("there is no token %d; want 0 to %d", n, vocab-1)
	}
	return int32(n), nil
}

// parseBias reads a token and what is added to its logit.
func parseBias(m *trit.Model, text string) (int32, float32, error) {
	const want = "want ID+VALUE, ID-VALUE or ID=VALUE"
	digits := len(text) - len(strings.TrimLeft(text, "0123456789"))
	token, value := text[:digits], text[digits:]
	if i := strings.LastIndexByte(text, '='); i >= 0 {
		token, value = text[:i], text[i+1:]
	} else if digits == 0 || value == "" || value[0] != '+' && value[0] != '-' {
		return 0, 0, errors.New(want)
	}
	id, err := parseToken(m, token)
	if err != nil {
		return 0, 0, err
	}
	bias, err := strconv.ParseFloat(strings.TrimSpace(value), 32)
	switch {
	case err != nil || math.IsNaN(bias):
		return 0, 0, errors.New(want)
	case math.IsInf(bias, 1) || bias > 1e6 || bias < -1e6 && !math.IsInf(bias, -1):
		return 0, 0, fmt.Errorf("a bias of %g; want -1e6 to 1e6, or -inf", bias)
	}
	return id, float32(bias), nil
}

// unescape replaces \n, \t, \r, \\, \" and \'. Another backslash stands for
// itself.
func unescape(s string) string {
	return strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\r`, "\r", `\\`, `\`, `\"`, `"`, `\'`, `'`).Replace(s)
}

// samplingFlag implements pflag.Value. Values are looked at when all flags are
// known.
type samplingFlag struct {
	param *samplingParam
	all   *samplingFlags
	value string
}

func (f *samplingFlag) String() string { return "" } // the help text tells the default

func (f *samplingFlag) Set(value string) error {
	f.value = value
	f.all.given = append(f.all.given, f)
	return nil
}

func (f *samplingFlag) Type() string {
	if f.param.kind == "a number" {
		return "float"
	}
	return "int"
}
