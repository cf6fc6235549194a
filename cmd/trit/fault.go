package main

import (
	"errors"
	"fmt"
	"strings"

	"trit"
)

// optionFlags are the flags of options whose names differ; the others are the
// option's name with hyphens.
var optionFlags = map[string]string{
	"admin_keys":    "--admin-key",
	"allowed_hosts": "--allowed-host",
	"batch_rows":    "--batch-size",
	"choices":       "--n",
	"context_size":  "--ctx-size",
	"contrastive":   "--contrastive-k",
	"cors_origins":  "--cors-origin",
	"format":        "the constraint",
	"grammar":       "--grammar",
	"max_guesses":   "--draft-max",
	"stop_tokens":   "--stop-token",
}

// flagOf returns the flag that sets an option of the library.
func flagOf(option string) string {
	if flag, ok := optionFlags[option]; ok {
		return flag
	}
	return "--" + strings.ReplaceAll(option, "_", "-")
}

// inFlags says what is wrong in the words of the command line, where the library
// speaks of options.
func inFlags(err error) error {
	var option *trit.OptionError
	var context *trit.ContextError
	var memory *trit.MemoryError
	switch {
	case errors.As(err, &option):
		return &translated{strings.Replace(err.Error(), option.Option+": ", flagOf(option.Option)+": ", 1), err}
	case errors.As(err, &context):
		return &translated{strings.Replace(err.Error(), context.Error(), context.Text("try a larger --ctx-size"), 1), err}
	case errors.As(err, &memory):
		smaller := fmt.Sprintf("--ctx-size %d would fit, and a --kv-type of fewer bits makes room for more", memory.Context)
		return &translated{strings.Replace(err.Error(), memory.Error(), memory.Text(smaller), 1), err}
	}
	return err
}

// translated is an error in other words.
type translated struct {
	text string
	err  error
}

func (e *translated) Error() string { return e.text }
func (e *translated) Unwrap() error { return e.err }
