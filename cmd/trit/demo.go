package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"trit"
	"trit/chat"
	_ "trit/demo" // the model of that name
	"trit/hub"
	"trit/internal/engine"
	"trit/internal/kernel"
)

func (a *app) demoCommand() *cobra.Command {
	var sampling samplingFlags
	cmd := &cobra.Command{
		Use:     "demo",
		GroupID: "run",
		Short:   "Let the built-in model tell a story and answer a question",
		Long: `Let the built-in model tell a story and answer a question.

The model has 5 million parameters, knows a small world of stories, facts and
sums, and needs no download. The same seed tells the same story.`,
		Example: "  trit demo\n  trit demo --seed 7",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := sampling.check(cmd); err != nil {
				return usage(cmd, err)
			}
			if a.validate {
				if err := a.validateFirst(cmd, &modelFlags{model: hub.Demo, engine: engine.Options{KVType: kernel.KVF16}}); err != nil {
					return err
				}
			}
			m, err := trit.Open(hub.Demo, trit.Threads(a.threads))
			if err != nil {
				return err
			}
			defer m.Close()
			o := m.Sampling()
			if err := sampling.apply(&o, m); err != nil {
				return usage(cmd, err)
			}
			seed := uint64(demoSeed)
			if cmd.Flags().Changed("seed") {
				if seed, err = sampling.seed(); err != nil {
					return err
				}
			}
			if err := a.ask(cmd, m, "Tell me a story about a fox.", trit.Sampling(o), trit.Seed(seed), trit.MaxTokens(300)); err != nil {
				return err
			}
			if err := a.ask(cmd, m, "What is the capital of France?", trit.Greedy(), trit.MaxTokens(50)); err != nil {
				return err
			}
			_, err = fmt.Fprintln(a.out, "Next: trit infer --model demo --chat --prompt \"What does a cow say?\"\n"+
				"      trit infer --model path/to/model.gguf --prompt \"…\" runs a model of your own; trit --help lists all commands.")
			return err
		},
	}
	sampling.add(cmd)
	groupedHelp(cmd, "Sampling")
	checksModel(cmd)
	return cmd
}

// demoSeed makes the story the same for every newcomer.
const demoSeed = 1

// ask prints a question and streams the answer.
func (a *app) ask(cmd *cobra.Command, m *trit.Model, question string, opts ...trit.GenerateOption) error {
	if _, err := fmt.Fprintf(a.out, "> %s\n", question); err != nil {
		return err
	}
	_, err := a.stream(cmd.Context(), a.out, m.Chat(cmd.Context(), []chat.Message{{Role: "user", Content: question}}, opts...))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(a.out)
	return err
}
