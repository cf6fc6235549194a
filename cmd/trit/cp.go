package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"trit/hub"
)

func (a *app) cpCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:     "cp NAME NEW",
		GroupID: "files",
		Short:   "Copy a model into the store under a new name",
		Long: `Copy a model into the store under a new name.

NAME is any model that can be named, also the path of a file. Models of the store
share their bytes on disk where the file system allows it.`,
		Example: "  trit cp path/to/model.gguf my-model\n  trit cp bitnet-2b-4t assistant",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usage(cmd, fmt.Errorf("want two names, the model and its new name; got %d", len(args)))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := hub.Copy(cmd.Context(), args[0], args[1], force)
			if err != nil {
				return err
			}
			return a.print(m, func(b *strings.Builder) { fmt.Fprintf(b, "%s: %s\n", m.Name, m.Path) })
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "replace a model of the new name")
	return cmd
}
