package main

import (
	"context"
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

// flagAliases are other names of flags: those of llama.cpp, and those of
// package sample.
var flagAliases = func() map[string]string {
	aliases := map[string]string{"n-predict": "max-tokens", "system": "system-prompt"}
	for _, p := range sample.Params() {
		for _, name := range append(p.Aliases, p.Name, p.Synonym) {
			if name = strings.ReplaceAll(name, "_", "-"); name != "" && name != p.Flag {
				aliases[name] = p.Flag
			}
		}
	}
	return aliases
}()

// change sets a parameter to the value in a text, or says what values are
// possible. The other options need not go together with it.
func change(p *sample.Param, o *sample.Options, text string) error {
	value, err := p.Parse(text)
	if err != nil {
		return fmt.Errorf("%s %q: want %s", p.Flag, text, p.Kind())
	}
	if p.Set(o, value) != nil {
		return fmt.Errorf("%s %s: want %s", p.Flag, text, p.Range())
	}
	return nil
}

// defaultNote says in a help text what holds without the flag: the neutral value,
// unless models differ.
func defaultNote(p *sample.Param) string {
	usual, neutral := sample.Default(), sample.Neutral()
	if p.Recommended || p.Get(&usual) != p.Get(&neutral) {
		return " (default: what the model recommends)"
	}
	return " (default: " + p.Format(&neutral) + ")"
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
	f.addNumbers(cmd)
	flags.StringArrayVar(&f.breakers, "dry-sequence-breaker", nil, "DRY does not look beyond this `text`, in which \\n is a line end (repeatable; 'none': no text; default: \\n : \" *)")
	flags.StringVar(&f.samplers, "samplers", "", "the stages in their order, separated by ; (default: "+sample.DefaultOrder().String()+")")
	flags.StringArrayVar(&f.bias, "logit-bias", nil, "`ID+VALUE`, ID-VALUE or ID=VALUE: add to a token's logit; ID-inf bans it (repeatable)")
	flags.StringArrayVar(&f.badWords, "bad-words", nil, "never write this `text`, as the model would usually spell it (repeatable)")
	flags.StringArrayVar(&f.allowed, "allowed-tokens", nil, "write only these tokens: `IDs` separated by commas; an end token must be among them to end the text")
	flags.StringArrayVar(&f.forced, "forced-tokens", nil, "begin with these tokens: `IDs` separated by commas")
	flags.BoolVar(&f.greedy, "greedy", false, "always take the most likely token (the same as --temperature 0)")
	f.addSeed(cmd)
	f.names = append(f.names, "dry-sequence-breaker", "samplers", "logit-bias", "bad-words", "allowed-tokens", "forced-tokens", "greedy")
	groupFlags(cmd, "Sampling", f.names...)
}

// addSeed defines the flag of the seed.
func (f *samplingFlags) addSeed(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.seedText, "seed", "random", "seed of the random choices, a `number` or 'random'; the same seed gives the same text")
	f.names = append(f.names, "seed")
}

// addNumbers defines the flags that are numbers.
func (f *samplingFlags) addNumbers(cmd *cobra.Command) {
	cmd.Flags().SetNormalizeFunc(normalizeFlag)
	for _, p := range sample.Params() {
		cmd.Flags().Var(&samplingFlag{param: p, all: f}, p.Flag, p.Help+defaultNote(&p))
		f.names = append(f.names, p.Flag)
	}
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
		if err := change(&flag.param, o, flag.value); err != nil {
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
	if o.BadWords, err = generate.BadWords(context.Background(), m.Tokenizer(), f.badWords); err != nil {
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
	return generate.Breakers(context.Background(), m.Tokenizer(), texts)
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
	vocab := m.Info().Vocabulary
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
	param sample.Param
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
	if f.param.Whole() {
		return "int"
	}
	return "float"
}
