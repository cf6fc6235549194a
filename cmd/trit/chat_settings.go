package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"trit"
	"trit/sample"
)

// chatSettings say how answers are generated.
type chatSettings struct {
	sampling  sample.Options
	maxTokens int     // of an answer; 0: up to the end of the context
	seed      *uint64 // nil: another one for each answer
}

// chatMaxTokens ends the answer of a model that finds no end.
const chatMaxTokens = 1024

// options returns the options of an answer and its seed. Attempt counts the
// answers to the same question.
func (s *chatSettings) options(attempt uint64) ([]trit.GenerateOption, uint64) {
	seed := uint64(rand.Uint32()) // short enough to be typed again
	if s.seed != nil {
		seed = *s.seed + attempt
	}
	return []trit.GenerateOption{trit.Sampling(s.sampling), trit.MaxTokens(s.maxTokens), trit.Seed(seed)}, seed
}

// set changes a setting by its name, or all that is wrong is the error.
func (s *chatSettings) set(name, value string) error {
	known, err := findSetting(name)
	if err != nil {
		return err
	}
	changed := *s
	if err := known.set(&changed, value); err != nil {
		return fmt.Errorf("%s %q: want %s", known.name, value, known.kind)
	}
	if err := changed.sampling.Validate(); err != nil {
		var bad *sample.OptionError
		if errors.As(err, &bad) {
			return fmt.Errorf("%s %s: want %s", known.name, value, bad.Want)
		}
		return err
	}
	*s = changed
	return nil
}

// setting is a value of chatSettings that has a flag and that /set changes.
type setting struct {
	name string
	kind string // what values are, for messages
	help string
	get  func(*chatSettings) string
	set  func(*chatSettings, string) error
}

// chatSettingList lists the settings in the order in which they are shown.
var chatSettingList = []setting{
	floatSetting("temperature", "divide the logits; 0 is greedy", func(o *sample.Options) *float64 { return &o.Temperature }),
	intSetting("top-k", "keep the k most likely tokens; 0 keeps all", func(o *sample.Options) *int { return &o.TopK }),
	floatSetting("top-p", "keep the most likely tokens with this total probability; 1 keeps all", func(o *sample.Options) *float64 { return &o.TopP }),
	floatSetting("min-p", "keep tokens at least this fraction as likely as the most likely; 0 keeps all", func(o *sample.Options) *float64 { return &o.MinP }),
	floatSetting("typical-p", "keep the tokens of typical surprise with this total probability; 1 keeps all", func(o *sample.Options) *float64 { return &o.TypicalP }),
	floatSetting("top-n-sigma", "keep tokens within this many standard deviations of the largest logit; 0 keeps all", func(o *sample.Options) *float64 { return &o.TopNSigma }),
	floatSetting("xtc-probability", "chance to leave out the most likely tokens; 0 never does", func(o *sample.Options) *float64 { return &o.XTCProbability }),
	floatSetting("xtc-threshold", "probability from which on XTC leaves tokens out", func(o *sample.Options) *float64 { return &o.XTCThreshold }),
	floatSetting("repetition-penalty", "divide the logits of tokens that came up; 1 is off", func(o *sample.Options) *float64 { return &o.RepeatPenalty }),
	floatSetting("frequency-penalty", "subtract this for each time a token came up; 0 is off", func(o *sample.Options) *float64 { return &o.FrequencyPenalty }),
	floatSetting("presence-penalty", "subtract this from tokens that came up; 0 is off", func(o *sample.Options) *float64 { return &o.PresencePenalty }),
	intSetting("penalty-last-n", "penalties look at this many tokens; 0: none, -1: all", func(o *sample.Options) *int { return &o.PenaltyLastN }),
	floatSetting("dry-multiplier", "strength of the penalty on repeated sequences; 0 is off", func(o *sample.Options) *float64 { return &o.DRY.Multiplier }),
	intSetting("mirostat", "hold the surprise constant by version 1 or 2; 0 is off", func(o *sample.Options) *int { return &o.Mirostat }),
	floatSetting("mirostat-tau", "surprise that mirostat aims at, in bits", func(o *sample.Options) *float64 { return &o.MirostatTau }),
	floatSetting("mirostat-eta", "how fast mirostat learns", func(o *sample.Options) *float64 { return &o.MirostatEta }),
	{
		name: "max-tokens", kind: "0 or a positive number", help: "end an answer after this many tokens; 0: at the end of the context",
		get: func(s *chatSettings) string { return strconv.Itoa(s.maxTokens) },
		set: func(s *chatSettings, value string) error {
			n, err := strconv.Atoi(value)
			if err != nil || n < 0 {
				return errValue
			}
			s.maxTokens = n
			return nil
		},
	},
	{
		name: "seed", kind: "a number from 0 to 2^64-1, or random", help: "seed of the random choices, or random",
		get: func(s *chatSettings) string {
			if s.seed == nil {
				return "random"
			}
			return strconv.FormatUint(*s.seed, 10)
		},
		set: func(s *chatSettings, value string) error {
			if value == "random" {
				s.seed = nil
				return nil
			}
			n, err := strconv.ParseUint(value, 10, 64)
			if err != nil {
				return errValue
			}
			s.seed = &n
			return nil
		},
	},
}

// errValue reports a value that is not of its setting's kind.
var errValue = errors.New("bad value")

func floatSetting(name, help string, field func(*sample.Options) *float64) setting {
	return setting{
		name: name, kind: "a number", help: help,
		// Six digits, because recommendations are stored as float32.
		get: func(s *chatSettings) string { return strconv.FormatFloat(*field(&s.sampling), 'g', 6, 64) },
		set: func(s *chatSettings, value string) error {
			x, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return errValue
			}
			*field(&s.sampling) = x
			return nil
		},
	}
}

func intSetting(name, help string, field func(*sample.Options) *int) setting {
	return setting{
		name: name, kind: "a whole number", help: help,
		get: func(s *chatSettings) string { return strconv.Itoa(*field(&s.sampling)) },
		set: func(s *chatSettings, value string) error {
			n, err := strconv.Atoi(value)
			if err != nil {
				return errValue
			}
			*field(&s.sampling) = n
			return nil
		},
	}
}

// findSetting finds a setting by its name, in which underscores count as
// hyphens.
func findSetting(name string) (*setting, error) {
	name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
	var names []string
	for i := range chatSettingList {
		if chatSettingList[i].name == name {
			return &chatSettingList[i], nil
		}
		names = append(names, chatSettingList[i].name)
	}
	return nil, fmt.Errorf("no setting %q; there are %s", name, strings.Join(names, ", "))
}

// settingFlags are the flags of all settings, to be applied when the model's
// own recommendation is known.
type settingFlags struct{ given []*settingFlag }

func (f *settingFlags) add(cmd *cobra.Command) {
	for i := range chatSettingList {
		known := &chatSettingList[i]
		cmd.Flags().Var(&settingFlag{setting: known, all: f}, known.name, known.help+defaultNote(known))
	}
}

func defaultNote(s *setting) string {
	switch s.name {
	case "max-tokens":
		return fmt.Sprintf(" (default: %d)", chatMaxTokens)
	case "seed":
		return " (default: random)"
	case "temperature", "top-k", "top-p", "min-p":
		return " (default: what the model recommends)"
	}
	neutral := chatSettings{sampling: sample.Neutral()}
	return " (default: " + s.get(&neutral) + ")"
}

// apply changes the settings whose flags were given, in the order in which
// they were.
func (f *settingFlags) apply(s *chatSettings) error {
	for _, flag := range f.given {
		if err := s.set(flag.setting.name, flag.value); err != nil {
			return fmt.Errorf("--%w", err)
		}
	}
	return nil
}

// settingFlag implements pflag.Value.
type settingFlag struct {
	setting *setting
	all     *settingFlags
	value   string
}

func (f *settingFlag) String() string { return "" } // the help text tells the default

func (f *settingFlag) Set(value string) error {
	probe := chatSettings{sampling: sample.Neutral()}
	if err := probe.set(f.setting.name, value); err != nil {
		return err
	}
	f.value = value
	f.all.given = append(f.all.given, f)
	return nil
}

func (f *settingFlag) Type() string {
	switch f.setting.kind {
	case "a number":
		return "float"
	case "a whole number":
		return "int"
	}
	return "number"
}
