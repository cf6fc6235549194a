package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"trit"
	"trit/convert"
	"trit/hub"
)

func (a *app) runCommand() *cobra.Command {
	var f chatFlags
	cmd := &cobra.Command{
		Use:     "run MODEL [PROMPT]",
		GroupID: "run",
		Short:   "Talk with a model, which is downloaded first if it is not here",
		Long: `Talk with a model, which is downloaded first if it is not here.

MODEL is what 'trit chat' and 'trit pull' take: the name of an installed model or
of one that 'trit models --catalogue' lists, hf:OWNER/REPO, a URL or a file. With
PROMPT, answer that and end.`,
		Example: "  trit run demo\n  trit run demo \"What does a cow say?\"",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(cmd, errors.New("name a model; 'trit models' lists those that are here, 'trit models --catalogue' others"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.model = args[0]; f.server.address == "" {
				opts, err := f.options(a, cmd)
				if err != nil {
					return err
				}
				name, err := a.fetch(cmd.Context(), f.model, opts)
				if err != nil {
					return err
				}
				f.model = name
			}
			f.question = strings.Join(args[1:], " ")
			return a.chat(cmd, &f)
		},
	}
	f.add(cmd)
	cmd.Flags().Lookup("model").Hidden = true
	return cmd
}

// fetch returns the name under which a model can be opened, after it has been downloaded if it has to be. What
// cannot be run with these options is not downloaded.
func (a *app) fetch(ctx context.Context, name string, opts []trit.Option) (string, error) {
	_, err := hub.Resolve(name)
	if err == nil || !errors.Is(err, hub.ErrNotFound) {
		return name, err
	}
	if _, known := hub.Lookup(name); !known && !strings.HasPrefix(name, "hf:") && !strings.Contains(name, "://") {
		return "", err
	}
	pulled, err := a.pull(ctx, name, hub.PullOptions{
		Connections: pullConnections,
		Confirm:     func(ctx context.Context, o *hub.Offer) error { return a.weigh(ctx, o, true, opts) },
	}, convert.Options{})
	if err != nil {
		return "", err
	}
	return pulled.Name, nil
}
