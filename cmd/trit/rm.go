package main

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"trit/hub"
)

func (a *app) rmCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:     "rm NAME...",
		GroupID: "files",
		Short:   "Remove models from the store",
		Long: `Remove models from the store, and what interrupted downloads have left.

On a terminal you are asked whether you are sure, unless --force is given. The built-in model, models that the
environment registers, and files outside the store are refused.`,
		Example: "  trit rm bitnet-2b-4t",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(cmd, fmt.Errorf("name a model of the store; 'trit models' lists them"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if !force && isTerminal(a.in) && isTerminal(a.err) {
				for _, name := range args {
					if err := hub.Removable(name); err != nil {
						return err
					}
				}
				sure, err := a.question(cmd.Context(), fmt.Sprintf("Delete %s? [y/N] ", strings.Join(args, ", ")))
				if err != nil {
					return err
				}
				if answer := strings.ToLower(sure); answer != "y" && answer != "yes" {
					return errors.New("nothing was deleted")
				}
			}
			all := []*hub.Removed{}
			var failed error
			for _, name := range args {
				var removed *hub.Removed
				if removed, failed = hub.Remove(name); failed != nil {
					break
				}
				all = append(all, removed)
			}
			// What has been removed is said even if a later name is refused.
			err := a.print(all, func(b *strings.Builder) {
				for _, r := range all {
					fmt.Fprintf(b, "removed %s (%s)\n", r.Name, byteSize(r.Bytes))
				}
			})
			return cmp.Or(failed, err)
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "ask nothing")
	return cmd
}
