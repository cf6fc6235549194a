package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"trit"
	"trit/sample"
)

// chatSettings say how answers are generated.
type chatSettings struct {
	sampling  sample.Options
	think     thinkFlags
	maxTokens int     // of an answer; 0: up to the end of the context
	seed      *uint64 // nil: another one for each answer

	given  []string // what flags or /set gave
	server bool     // the server decides what was not given
}

// chatMaxTokens ends the answer of a model that finds no end, thinkMaxTokens that of one that thinks
// before it answers.
const (
	chatMaxTokens  = 1024
	thinkMaxTokens = 8192
)

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
		return err
	}
	var bad *sample.OptionError
	if err := changed.sampling.Validate(); errors.As(err, &bad) {
		return fmt.Errorf("%s = %v does not go together with the other settings: want %s", bad.Option, bad.Value, bad.Want)
	} else if err != nil {
		return err
	}
	*s = changed
	s.give(known.name)
	return nil
}

// give notes that a setting was given, gave reports whether it was.
func (s *chatSettings) give(name string) {
	if !s.gave(name) {
		s.given = append(slices.Clip(s.given), name)
	}
}

func (s *chatSettings) gave(name string) bool { return slices.Contains(s.given, name) }

// show returns the value of a setting for people.
func (s *chatSettings) show(known *setting) string {
	if s.server && !s.gave(known.name) {
		return "server's"
	}
	return known.get(s)
}

// setting is a value of chatSettings that /set changes.
type setting struct {
	name string
	help string
	get  func(*chatSettings) string
	set  func(*chatSettings, string) error
}

// chatSettingList lists the settings in the order in which they are shown.
var chatSettingList = func() []setting {
	var list []setting
	for _, p := range sample.Params() {
		list = append(list, setting{
			name: p.Flag,
			help: p.Help,
			get:  func(s *chatSettings) string { return p.Format(&s.sampling) },
			set:  func(s *chatSettings, value string) error { return change(&p, &s.sampling, value) },
		})
	}
	return append(list,
		setting{
			name: "think",
			help: "think before an answer: on, off, or auto for what the template does",
			get:  func(s *chatSettings) string { return s.think.think.String() },
			set: func(s *chatSettings, value string) (err error) {
				s.think.think, err = trit.ParseThinking(value)
				return err
			},
		},
		setting{
			name: "think-budget",
			help: "close the reasoning after this many tokens; 0: no bound",
			get:  func(s *chatSettings) string { return strconv.Itoa(s.think.budget) },
			set: func(s *chatSettings, value string) error {
				n, err := strconv.Atoi(value)
				if err != nil || n < 0 {
					return fmt.Errorf("think-budget %q: want 0 or a positive number", value)
				}
				s.think.budget = n
				return nil
			},
		},
		setting{
			name: "max-tokens",
			help: "end an answer after this many tokens; 0: at the end of the context",
			get:  func(s *chatSettings) string { return strconv.Itoa(s.maxTokens) },
			set: func(s *chatSettings, value string) error {
				n, err := strconv.Atoi(value)
				if err != nil || n < 0 {
					return fmt.Errorf("max-tokens %q: want 0 or a positive number", value)
				}
				s.maxTokens = n
				return nil
			},
		},
		setting{
			name: "seed",
			help: "seed of the random choices, or random",
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
					return fmt.Errorf("seed %q: want a number from 0 to 2^64-1, or random", value)
				}
				s.seed = &n
				return nil
			},
		})
}()

// findSetting finds a setting by its name, as flags are found by theirs.
func findSetting(name string) (*setting, error) {
	name = canonicalFlag(strings.ToLower(name))
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
type settingFlags struct {
	samplingFlags
	think     thinkFlags
	maxTokens int // −1: what suits the model
}

func (f *settingFlags) add(cmd *cobra.Command) {
	f.samplingFlags.add(cmd)
	f.think.add(cmd)
	cmd.Flags().IntVarP(&f.maxTokens, "max-tokens", "n", chatMaxTokens, fmt.Sprintf("end an answer after this many tokens; 0: at the end of the context "+
		"(with a model that thinks: %d)", thinkMaxTokens))
}

// check finds what is wrong with the flags without knowing the model.
func (f *settingFlags) check(cmd *cobra.Command) error {
	if f.maxTokens < 0 {
		return fmt.Errorf("--max-tokens %d: want 0 or a positive number", f.maxTokens)
	}
	if err := f.think.check(); err != nil {
		return err
	}
	if !cmd.Flags().Changed("max-tokens") {
		f.maxTokens = -1
	}
	return f.samplingFlags.check(cmd)
}

// apply changes the settings whose flags were given.
func (f *settingFlags) apply(s *chatSettings, m *trit.Model) error {
	if err := f.numbersOnly(s); err != nil {
		return err
	}
	return f.samplingFlags.apply(&s.sampling, m)
}

// numbersOnly is apply without the flags that need a model: those with tokens.
func (f *settingFlags) numbersOnly(s *chatSettings) error {
	s.think = f.think
	if f.think != (thinkFlags{}) {
		s.give("think")
		s.give("think-budget")
	}
	if f.maxTokens >= 0 {
		s.maxTokens = f.maxTokens
		s.give("max-tokens")
	}
	for _, flag := range f.given {
		s.give(flag.param.Flag)
	}
	if !f.random() {
		seed, err := f.seed()
		if err != nil {
			return err
		}
		s.seed = &seed
		s.give("seed")
	}
	if err := f.numbers(&s.sampling); err != nil {
		return err
	}
	if f.greedy {
		s.sampling.Temperature = 0
		s.give("temperature")
	}
	return nil
}
