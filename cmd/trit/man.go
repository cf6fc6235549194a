package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"trit/internal/version"
)

// exitCodes says what the exit codes mean, for the manual pages and 'trit help exit-codes'.
var exitCodes = []struct {
	code    int
	meaning string
}{
	{exitOK, "The command did what it was asked."},
	{exitFailed, "It could not, or a check failed. The error stream says why."},
	{exitUsage, "The command line is wrong: an unknown command or flag, a value that a flag does not take."},
	{exitInterrupted, "It was interrupted (Ctrl-C or SIGTERM)."},
}

// environment is what the program reads from its environment.
var environment = []struct{ name, meaning string }{
	{"TRIT_HOME", "The folder of models, measurements and histories; by default trit in the user's folder for caches."},
	{hostVariable, "Where 'trit serve' listens and the commands that talk with it find it, such as 0.0.0.0:8080."},
	{"TRIT_API_KEY, TRIT_ADMIN_KEY", "A key of which requests to 'trit serve' must have one, which commands that talk with a server send, and one for administrators."},
	{"TRIT_CPU", "Limits the instruction sets: generic, sse41, avx2, avxvnni, avx512, avx512vbmi, amx, neon, neondot or neoni8mm."},
	{"BITNET_MODEL_NAME, BITNET_REGISTRY", "A file that is known by that name, and a file with a table of such names."},
	{"HF_ENDPOINT, HF_TOKEN, HF_TOKEN_PATH, HF_HOME", "The hub that models come from, and the token for what is not public."},
	{"HF_HUB_OFFLINE", "If it is 1, nothing is downloaded."},
	{"HTTPS_PROXY, HTTP_PROXY, NO_COLOR, TERM", "As everywhere."},
}

// helpTopics are texts that 'trit help' shows beside those of the commands.
func helpTopics() []*cobra.Command {
	var codes, variables strings.Builder
	codes.WriteString("Every command ends with one of these exit codes.\n")
	for _, c := range exitCodes {
		fmt.Fprintf(&codes, "\n  %-4d %s", c.code, c.meaning)
	}
	variables.WriteString("What the commands read from the environment.\n")
	for _, v := range environment {
		fmt.Fprintf(&variables, "\n%s\n  %s\n", v.name, v.meaning)
	}
	return []*cobra.Command{
		{Use: "environment", Short: "Variables of the environment", Long: strings.TrimSpace(variables.String())},
		{Use: "exit-codes", Short: "What the exit codes mean", Long: codes.String()},
	}
}

// manCommand is for those who make packages, so the help does not list it. The pages are not made with cobra's own
// generator, which reads texts as Markdown and loses what stands in angle brackets.
func (a *app) manCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "man FOLDER",
		Hidden: true,
		Short:  "Write the manual pages of all commands",
		Long: `Write the manual pages of all commands into a folder, which is made if it is not
there. Packages have them; who built the program puts them where man looks.`,
		Example: "  trit man ~/.local/share/man/man1",
		Args: func(cmd *cobra.Command, args []string) error {
			return oneArg(cmd, args, "the folder of the pages, such as ~/.local/share/man/man1")
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			var write func(*cobra.Command) error
			write = func(cmd *cobra.Command) error {
				out, err := createOutput(filepath.Join(args[0], manName(cmd)+".1"))
				if err != nil {
					return err
				}
				_, err = out.Write(manPage(cmd))
				if err := out.close(err); err != nil {
					return err
				}
				for _, sub := range documented(cmd) {
					if err := write(sub); err != nil {
						return err
					}
				}
				return nil
			}
			root := cmd.Root()
			root.InitDefaultHelpFlag()
			return write(root)
		},
	}
}

// documented returns the commands below one that have a page.
func documented(cmd *cobra.Command) (all []*cobra.Command) {
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "help" {
			all = append(all, sub)
		}
	}
	return all
}

func manName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// manPage returns the page of a command in the language of man(7).
func manPage(cmd *cobra.Command) []byte {
	cmd.InitDefaultHelpFlag()
	var b bytes.Buffer
	v := version.Get()
	date, _, _ := strings.Cut(v.Time, "T") // of the commit: the same however often a release is built
	fmt.Fprintf(&b, ".TH %s 1 \"%s\" \"trit %s\" \"Trit\"\n", strings.ToUpper(manName(cmd)), date, v.Version)
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(manName(cmd)), roff(cmd.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", roff(cmd.UseLine()))
	b.WriteString(".SH DESCRIPTION\n")
	manText(&b, cmd.Long)
	if subs := documented(cmd); len(subs) > 0 {
		b.WriteString(".SH COMMANDS\n")
		for _, sub := range subs {
			fmt.Fprintf(&b, ".TP\n.BR %s (1)\n%s\n", roff(manName(sub)), roff(sub.Short))
		}
	}
	b.WriteString(".SH OPTIONS\n")
	for _, g := range flagGroups(cmd) {
		if cmd.Annotations[headingsAnnotation] != "" {
			fmt.Fprintf(&b, ".SS %s\n", roff(g.heading))
		}
		manFlags(&b, g.flags)
	}
	if cmd.HasAvailableInheritedFlags() {
		b.WriteString(".SS Of all commands\n")
		manFlags(&b, cmd.InheritedFlags())
	}
	if cmd.HasExample() {
		fmt.Fprintf(&b, ".SH EXAMPLES\n.EX\n%s\n.EE\n", roff(cmd.Example))
	}
	if !cmd.HasParent() {
		b.WriteString(".SH ENVIRONMENT\n")
		for _, e := range environment {
			fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(e.name), roff(e.meaning))
		}
	}
	b.WriteString(".SH EXIT STATUS\n")
	for _, c := range exitCodes {
		fmt.Fprintf(&b, ".TP\n.B %d\n%s\n", c.code, roff(c.meaning))
	}
	if cmd.HasParent() {
		fmt.Fprintf(&b, ".SH SEE ALSO\n.BR %s (1)\n", roff(manName(cmd.Parent())))
	}
	return b.Bytes()
}

// manText writes paragraphs; lines that begin with spaces stay as they are.
func manText(b *bytes.Buffer, text string) {
	for i, paragraph := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if i > 0 {
			b.WriteString(".PP\n")
		}
		shown := false
		for line := range strings.SplitSeq(paragraph, "\n") {
			if indented := strings.HasPrefix(line, "  "); indented != shown {
				shown = indented
				b.WriteString(map[bool]string{true: ".EX\n", false: ".EE\n"}[shown])
			}
			b.WriteString(roff(line) + "\n")
		}
		if shown {
			b.WriteString(".EE\n")
		}
	}
}

func manFlags(b *bytes.Buffer, flags *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, meaning := pflag.UnquoteUsage(f)
		b.WriteString(".TP\n")
		if f.Shorthand != "" {
			fmt.Fprintf(b, "\\fB\\-%s\\fR, ", f.Shorthand)
		}
		fmt.Fprintf(b, "\\fB\\-\\-%s\\fR", roff(f.Name))
		if value != "" {
			fmt.Fprintf(b, " \\fI%s\\fR", roff(value))
		}
		b.WriteString("\n" + roff(meaning))
		switch f.DefValue {
		case "", "0", "0s", "false", "[]":
		default:
			fmt.Fprintf(b, " (default: %s)", roff(f.DefValue))
		}
		b.WriteString("\n")
	})
}

// roffEscapes are the characters that mean something in the text of a manual page.
var roffEscapes = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`)

// foreign are the characters that troff only takes by their number.
var foreign = regexp.MustCompile(`[^\x00-\x7F]`)

// roff quotes a text for a manual page. A line that begins with a full stop would be a request.
func roff(text string) string {
	text = foreign.ReplaceAllStringFunc(roffEscapes.Replace(text), func(c string) string {
		r, _ := utf8.DecodeRuneInString(c)
		return fmt.Sprintf(`\[u%04X]`, r)
	})
	if strings.HasPrefix(text, ".") {
		text = `\&` + text
	}
	return strings.ReplaceAll(text, "\n.", "\n\\&.")
}
