package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"trit"
)

// thinkFlags are the flags about what a model thinks before it answers.
type thinkFlags struct {
	think  trit.Thinking
	budget int
}

func (f *thinkFlags) add(cmd *cobra.Command) {
	parsedFlag(cmd, &f.think, "think", "auto", "let the model think before it answers: on, off, or auto for what its template does",
		trit.ParseThinking)
	cmd.Flags().IntVar(&f.budget, "think-budget", 0, "close the reasoning after this many tokens, and let the answer follow; 0: no bound")
}

func (f *thinkFlags) check() error {
	if f.budget < 0 {
		return fmt.Errorf("--think-budget %d: want 0 or a positive number", f.budget)
	}
	return nil
}

// apply puts the flags into a conversation.
func (f *thinkFlags) apply(c *trit.Conversation) { c.Thinking, c.ThinkingBudget = f.think, f.budget }

// checkModel finds out whether a model can think, if it is asked to.
func (f *thinkFlags) checkModel(m *trit.Model) error {
	template, _, err := m.ChatTemplate()
	if err == nil && f.think == trit.ThinkingOn && !template.CanThink() {
		return errNoThinking
	}
	return err
}

var errNoThinking = errors.New("the model's chat template knows no thinking; leave it off")

// set changes one of the two by what /think says: a word for the switch, a number for the budget.
func (f *thinkFlags) set(text string) error {
	if n, err := strconv.Atoi(text); err == nil && n >= 0 {
		f.budget = n
		return nil
	}
	on, err := trit.ParseThinking(text)
	if err != nil {
		return fmt.Errorf("%q: want on, off, auto, or a number of tokens", text)
	}
	f.think = on
	return nil
}

func (f *thinkFlags) String() string {
	if f.budget == 0 {
		return fmt.Sprintf("Thinking is %v, without a bound.", f.think)
	}
	return fmt.Sprintf("Thinking is %v, for at most %d tokens.", f.think, f.budget)
}

// dimmed makes a text faint on a terminal.
func dimmed(text string) string {
	if text == "" || os.Getenv("TERM") == "dumb" {
		return text
	}
	return "\x1b[2m" + text + undimmed
}

// undimmed ends what is faint.
const undimmed = "\x1b[22m"
