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

// headingsAnnotation notes on a command the order of its headings.
const headingsAnnotation = "trit_headings"

// groupedHelp makes the help of a command show its flags by headings, in this
// order. Flags without a heading come last.
func groupedHelp(cmd *cobra.Command, headings ...string) {
	cmd.SetUsageFunc(func(cmd *cobra.Command) error {
		var b strings.Builder
		fmt.Fprintf(&b, "Usage:\n  %s\n", cmd.UseLine())
		if cmd.HasExample() {
			fmt.Fprintf(&b, "\nExamples:\n%s\n", cmd.Example)
		}
		for _, g := range flagGroups(cmd) {
			fmt.Fprintf(&b, "\n%s:\n%s", g.heading, g.flags.FlagUsagesWrapped(helpWidth()))
		}
		if cmd.HasAvailableInheritedFlags() {
			fmt.Fprintf(&b, "\nGlobal:\n%s", cmd.InheritedFlags().FlagUsagesWrapped(helpWidth()))
		}
		_, err := fmt.Fprint(cmd.OutOrStdout(), b.String())
		return err
	})
	cmd.Flags().SortFlags = false
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	cmd.Annotations[headingsAnnotation] = strings.Join(headings, "\n")
}

// flagGroup are the flags of a command under one heading.
type flagGroup struct {
	heading string
	flags   *pflag.FlagSet
}

// flagGroups returns the flags that are a command's own in the order in which its
// help shows them.
func flagGroups(cmd *cobra.Command) (all []flagGroup) {
	const rest = "Other"
	groups := map[string]*pflag.FlagSet{}
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		heading := rest
		if g := f.Annotations[groupAnnotation]; len(g) > 0 {
			heading = g[0]
		}
		if groups[heading] == nil {
			groups[heading] = pflag.NewFlagSet(heading, pflag.ContinueOnError)
			groups[heading].SortFlags = false
		}
		groups[heading].AddFlag(f)
	})
	for _, heading := range append(strings.Split(cmd.Annotations[headingsAnnotation], "\n"), rest) {
		if g := groups[heading]; g != nil && g.HasAvailableFlags() {
			all = append(all, flagGroup{heading, g})
		}
	}
	return all
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
