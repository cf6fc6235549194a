package main

import (
	"fmt"
	"strings"

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
			return a.print(v, func(b *strings.Builder) { fmt.Fprintf(b, "trit version %s\n", v) })
		},
	}
}
