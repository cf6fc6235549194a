package main

import (
	"regexp"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// optionFlags are the flags of options whose names differ; the others are the
// option's name with hyphens.
var optionFlags = map[string]string{
	"admin_keys":      "admin-key",
	"allowed_hosts":   "allowed-host",
	"batch_rows":      "batch-size",
	"choices":         "n",
	"context_size":    "ctx-size",
	"contrastive":     "contrastive-k",
	"cors_origins":    "cors-origin",
	"groups":          "beam-groups",
	"max_guesses":     "draft-max",
	"penalty_last_n":  "repeat-last-n",
	"stop_tokens":     "stop-token",
	"thinking":        "think",
	"thinking_budget": "think-budget",
	"top_logprobs":    "logprobs",
}

// inLibrary are words of the library that the command line has others for.
var inLibrary = regexp.MustCompile(
	`\boption ([a-z][a-z0-9_]*)|hub\.(Pull)\("([^"]*)"\)|hub\.(Catalogue)|convert\.FromHF(?:\("([^"]*)"\))?`)

// inFlags says in the words of the command line what the library says in its
// own: flags for options, commands for functions.
func inFlags(text string) string {
	return inLibrary.ReplaceAllStringFunc(text, func(found string) string {
		m := inLibrary.FindStringSubmatch(found)
		switch {
		case m[1] != "":
			if flag := flagOf(m[1]); isFlag(flag) {
				return flag
			}
			return found
		case m[2] != "":
			return "trit pull " + m[3]
		case m[4] != "":
			return "trit models --catalogue"
		case m[5] != "":
			return "trit convert --input " + m[5] + " --output model.gguf"
		}
		return "trit convert --input DIR --output FILE"
	})
}

// flagOf returns the flag that sets an option of the library.
func flagOf(option string) string {
	if flag, ok := optionFlags[option]; ok {
		return "--" + flag
	}
	return "--" + strings.ReplaceAll(option, "_", "-")
}

// flagNames are the flags of all commands, found when they are first needed.
var flagNames struct {
	once  sync.Once
	names map[string]bool
}

// isFlag reports whether a command has a flag.
func isFlag(flag string) bool {
	flagNames.once.Do(func() {
		names := map[string]bool{}
		var add func(*cobra.Command)
		add = func(cmd *cobra.Command) {
			note := func(f *pflag.Flag) { names["--"+f.Name] = true }
			cmd.Flags().VisitAll(note)
			cmd.PersistentFlags().VisitAll(note)
			for _, sub := range cmd.Commands() {
				add(sub)
			}
		}
		add((&app{}).rootCommand())
		flagNames.names = names
	})
	return flagNames.names[flag]
}
