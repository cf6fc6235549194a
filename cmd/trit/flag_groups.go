package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"
)

// groupAnnotation notes on a flag under which heading the help shows it.
const groupAnnotation = "trit_group"

// groupFlags puts flags of a command under a heading of its help.
func groupFlags(cmd *cobra.Command, heading string, names ...string) {
	for _, name := range names {
		// The error says that there is no such flag, which every --help shows.
		if err := cmd.Flags().SetAnnotation(name, groupAnnotation, []string{heading}); err != nil {
			panic(err)
		}
	}
}

// groupedHelp makes the help of a command show its flags by headings, in this
// order. Flags without a heading come last.
func groupedHelp(cmd *cobra.Command, headings ...string) {
	cmd.SetUsageFunc(func(cmd *cobra.Command) error {
		var b strings.Builder
		fmt.Fprintf(&b, "Usage:\n  %s\n", cmd.UseLine())
		if cmd.HasExample() {
			fmt.Fprintf(&b, "\nExamples:\n%s\n", cmd.Example)
		}
		groups := map[string]*pflag.FlagSet{}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			heading := "Other"
			if g := f.Annotations[groupAnnotation]; len(g) > 0 {
				heading = g[0]
			}
			if groups[heading] == nil {
				groups[heading] = pflag.NewFlagSet(heading, pflag.ContinueOnError)
				groups[heading].SortFlags = false
			}
			groups[heading].AddFlag(f)
		})
		for _, heading := range append(headings, "Other") {
			if g := groups[heading]; g != nil && g.HasAvailableFlags() {
				fmt.Fprintf(&b, "\n%s:\n%s", heading, g.FlagUsagesWrapped(helpWidth()))
			}
		}
		if cmd.HasAvailableInheritedFlags() {
			fmt.Fprintf(&b, "\nGlobal:\n%s", cmd.InheritedFlags().FlagUsagesWrapped(helpWidth()))
		}
		_, err := fmt.Fprint(cmd.OutOrStdout(), b.String())
		return err
	})
	cmd.Flags().SortFlags = false
}

// helpWidth is the number of columns of help texts.
func helpWidth() int {
	if w, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil && w >= 60 {
		return min(w, 140)
	}
	return 120
}

// normalizeFlag maps other spellings of a flag's name to the usual one.
func normalizeFlag(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	return pflag.NormalizedName(canonicalFlag(name))
}

func canonicalFlag(name string) string {
	name = strings.ReplaceAll(name, "_", "-")
	if canonical, ok := flagAliases[name]; ok {
		return canonical
	}
	return name
}
