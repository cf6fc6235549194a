package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"trit/internal/version"
)

// jsonVersion is that of what commands print with --json, which docs/json describes. It changes with what breaks
// programs that read it, which new fields do not.
const jsonVersion = 1

// versionResult is what version prints with --json.
type versionResult struct {
	version.Info
	JSON int `json:"json_version"` // of what all commands print with --json
}

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
			return a.print(versionResult{v, jsonVersion}, func(b *strings.Builder) { fmt.Fprintf(b, "trit version %s\n", v) })
		},
	}
}
