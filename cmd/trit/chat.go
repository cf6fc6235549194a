package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"trit"
	"trit/internal/termtext"
	"trit/internal/tui"
)

// chatFlags are the flags of the commands that talk.
type chatFlags struct {
	modelFlags
	settings settingFlags
	server   remote
	system   string
	debug    bool
	plain    bool
	question string // the only one; empty for a conversation
}

func (a *app) chatCommand() *cobra.Command {
	var f chatFlags
	cmd := &cobra.Command{
		Use:     "chat",
		GroupID: "run",
		Short:   "Talk with a model",
		Long: `Talk with a model.

On a terminal this is a program of its own: answers are Markdown and appear
while they are generated, Alt-Enter starts another line of the input, the arrow
keys bring back earlier inputs, Ctrl-C stops an answer, Ctrl-D leaves. /help
lists the commands: they change the model, send files, edit what was said, ask
for JSON, offer functions.

Elsewhere, or with --plain, each line of the input is a message and the answers
go to standard output; a line that ends in a backslash goes on in the next one.
With --json each answer is one line of JSON. The end of the input ends the
conversation.

When a conversation outgrows the model's context its oldest messages are left
out; the system prompt stays. Sampling flags that are not given leave what the
model recommends. Without a model, those that are installed are offered.

With --server the model is that of a running server, Trit's own or any other with
OpenAI's API; --model is then one that the server has.`,
		Example: "  trit chat demo\n  echo \"What does a cow say?\" | trit chat --model demo --greedy\n" +
			"  trit chat --server http://127.0.0.1:8080",
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if f.model == "" && f.server.address == "" && isTerminal(a.in) && isTerminal(a.err) {
				if f.model, err = a.pickModel(cmd.Context()); err != nil {
					return err
				}
			}
			return a.chat(cmd, &f)
		},
	}
	f.add(cmd)
	takesModel(cmd)
	return cmd
}

func (f *chatFlags) add(cmd *cobra.Command) {
	f.modelFlags.add(cmd)
	f.template.add(cmd)
	f.settings.add(cmd)
	cmd.Flags().StringVar(&f.system, "system-prompt", "", "what the model is told before the conversation")
	cmd.Flags().BoolVar(&f.debug, "debug", false, "show for each answer the prompt and the most likely first tokens")
	cmd.Flags().BoolVar(&f.plain, "plain", false, "read and write lines, also on a terminal")
	f.server.addAs(cmd, "server", "talk with the model of the server at this `URL`, which has OpenAI's API")
	f.server.addKeys(cmd)
	groupFlags(cmd, "Server", "server", "insecure", "api-key", "api-key-file")
	groupFlags(cmd, "Conversation", "system-prompt", "think", "think-budget", "max-tokens", "debug", "plain")
	groupedHelp(cmd, "Conversation", "Server", "Sampling", "Model")
}

// chat is a conversation with a model.
func (a *app) chat(cmd *cobra.Command, f *chatFlags) error {
	if err := f.settings.check(cmd); err != nil {
		return usage(cmd, err)
	}
	open := f.local
	if f.server.address != "" {
		open = f.remotely
	} else if given := givenOf(cmd, "Server"); given != "" {
		return usage(cmd, fmt.Errorf("--%s is for --server, which names the server", given))
	}
	p, err := open(a, cmd)
	if err != nil {
		return err
	}
	c := newConversation(p, f.debug)
	defer func() { c.partner.Close() }() // /model may have changed it
	if err := p.checks(&c.settings.think); err != nil {
		return fmt.Errorf("--think: %w", err)
	}
	if f.system != "" {
		remark, err := c.setSystem(f.system)
		if err != nil {
			return err
		}
		if remark != "" {
			a.log.Warn(remark)
		}
	}
	if f.question != "" {
		return a.chatOnce(cmd.Context(), c, f.question)
	}
	screen := !f.plain && !a.json && isTerminal(a.in) && isTerminal(a.out) && os.Getenv("TERM") != "dumb"
	c.screen = screen
	if screen {
		return a.chatScreen(cmd.Context(), c)
	}
	return a.chatLines(cmd.Context(), c)
}

// givenOf returns a flag under a heading that was given, but not one of these.
func givenOf(cmd *cobra.Command, heading string, except ...string) (name string) {
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		if slices.Contains(flag.Annotations[groupAnnotation], heading) && !slices.Contains(except, flag.Name) {
			name = flag.Name
		}
	})
	return name
}

// local opens the model in this process.
func (f *chatFlags) local(a *app, cmd *cobra.Command) (partner, error) {
	m, err := f.open(a, cmd)
	if err != nil {
		return nil, err
	}
	settings := func(m *trit.Model) (chatSettings, error) {
		if _, _, err := m.ChatTemplate(); err != nil {
			return chatSettings{}, err
		}
		base := newSettings(m)
		if err := f.settings.apply(&base, m); err != nil {
			return base, usage(cmd, err)
		}
		return base, nil
	}
	base, err := settings(m)
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	reopen := func(ctx context.Context, name string, progress func(done, total int64)) (*trit.Model, chatSettings, error) {
		other := f.modelFlags
		other.model = name
		opts, err := other.options(a, cmd)
		if err != nil {
			return nil, chatSettings{}, err
		}
		m, err := trit.OpenContext(ctx, name, append(opts, trit.Progress(progress))...)
		if err != nil {
			return nil, chatSettings{}, err
		}
		base, err := settings(m)
		if err != nil {
			return nil, chatSettings{}, errors.Join(err, m.Close())
		}
		return m, base, nil
	}
	return &localModel{m, f.model, base, reopen}, nil
}

// chatScreen is the conversation on a terminal.
func (a *app) chatScreen(ctx context.Context, c *conversation) error {
	history, err := openInputHistory()
	if err != nil {
		return err
	}
	earlier, err := history.load()
	if err != nil {
		a.log.Warn(err.Error())
	}
	return tui.Run(ctx, tui.Options{
		Handler:  c,
		Input:    a.in,
		Output:   termtext.Raw(a.out),
		Greeting: c.partner.greeting(),
		History:  earlier,
		Remember: history.add,
		Complete: c.complete,
		Edit:     editText,
	})
}

// countName writes a large number shortly.
func countName(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1f G", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f M", float64(n)/1e6)
	}
	return fmt.Sprintf("%d", n)
}
