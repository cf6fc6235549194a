package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"trit/internal/version"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		GroupID: "check",
		Short:   "Say which version this is",
		Long: `Say which version this is, with which Go it was built and for which system.

It is the version that 'go version -m' finds in the program. With --json also
the commit, if the program was built in a checkout.`,
		Example: "  trit version\n  trit version --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := version.Get()
			if a.json {
				return a.printJSON(v)
			}
			_, err := fmt.Fprintf(a.out, "trit version %s\n", v)
			return err
		},
	}
}
