package main

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"trit/hub"
)

func (a *app) rmCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "rm NAME...",
		GroupID: "files",
		Short:   "Remove models from the store",
		Long: `Remove models from the store, and what interrupted downloads have left.

There is no question whether you are sure. The built-in model, models that the
environment registers, and files outside the store are refused.`,
		Example: "  trit rm bitnet-2b-4t",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(cmd, fmt.Errorf("name a model of the store; 'trit models' lists them"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
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
}
