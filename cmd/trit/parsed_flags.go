package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// parsedFlag defines a flag whose value a function reads, such as the name of a
// storage type. Without the flag, or with an empty value, dst becomes what the
// default text means, or stays as it is if that is empty too. What is wrong with a
// value is said with the flag's name before it.
func parsedFlag[T any](cmd *cobra.Command, dst *T, name, text, help string, parse func(string) (T, error)) {
	v := &parsedValue[T]{dst: dst, parse: parse, text: text, usual: text, zero: *dst}
	if err := v.Set(text); err != nil {
		panic(err) // a default that --help shows
	}
	cmd.Flags().Var(v, name, help)
}

// parsedValue implements pflag.Value.
type parsedValue[T any] struct {
	dst         *T
	parse       func(string) (T, error)
	text, usual string // as given, and by default
	zero        T      // without any text
}

func (v *parsedValue[T]) String() string { return v.text }

func (v *parsedValue[T]) Set(text string) error {
	if text == "" {
		text = v.usual
	}
	if text == "" {
		*v.dst = v.zero
		return nil
	}
	x, err := v.parse(text)
	if err != nil {
		return err
	}
	*v.dst, v.text = x, text
	return nil
}

func (v *parsedValue[T]) Type() string { return "string" }

// choices returns the values that the help of the flag names.
func (v *parsedValue[T]) choices(usage string) (all []string) {
	for _, word := range strings.FieldsFunc(usage, func(r rune) bool { return strings.ContainsRune(" ,:()", r) }) {
		if _, err := v.parse(word); err == nil && !slices.Contains(all, word) {
			all = append(all, word)
		}
	}
	return all
}

// explains marks the type for flagError.
func (v *parsedValue[T]) explains() {}

// pointerTo makes a parser's result optional.
func pointerTo[T any](parse func(string) (T, error)) func(string) (*T, error) {
	return func(text string) (*T, error) {
		x, err := parse(text)
		if err != nil {
			return nil, err
		}
		return &x, nil
	}
}
