package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"trit/convert"
	"trit/hub"
)

func (a *app) pullCommand() *cobra.Command {
	var (
		o       hub.PullOptions
		types   storageFlags
		missing bool
	)
	cmd := &cobra.Command{
		Use:     "pull NAME|hf:OWNER/REPO[@REVISION][:FILE-OR-TYPE]|URL",
		GroupID: "files",
		Short:   "Download a model into the store",
		Long: `Download a model into the store.

NAME is one that 'trit models --catalogue' lists. hf: addresses a repository of
the Hugging Face hub (or of the one at $HF_ENDPOINT); after a colon it may name
one GGUF file, or a storage type that the file name contains. A repository that
has safetensors only is downloaded and converted. Files of private and gated
repositories need an access token in $HF_TOKEN.

What the model is, its size and the memory that it will take are said before
anything is downloaded. Size and checksum are verified. An interrupted download goes on where it stopped
when the same command is given again.`,
		Example: "  trit pull bitnet-2b-4t\n  trit pull hf:tiiuae/Falcon-E-1B-Instruct-GGUF:i2_s --name falcon",
		Args: func(cmd *cobra.Command, args []string) error {
			return oneArg(cmd, args, "the model to pull; 'trit models --catalogue' lists some")
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var convertOptions convert.Options
			convertOptions.Type, convertOptions.Embedding = types.chosen()
			if o.Connections < 1 || o.Connections > 64 {
				return usage(cmd, fmt.Errorf("--connections %d: want 1 to 64", o.Connections))
			}
			if missing {
				m, err := hub.Resolve(cmp.Or(o.Name, args[0]))
				if err == nil {
					return a.print(hub.Pulled{Model: *m}, func(b *strings.Builder) { fmt.Fprintf(b, "%s is here: %s\n", m.Name, m.Path) })
				}
				if !errors.Is(err, hub.ErrNotFound) {
					return err
				}
			}
			o.Confirm = func(ctx context.Context, o *hub.Offer) error { return a.weigh(ctx, o, false, nil) }
			pulled, err := a.pull(cmd.Context(), args[0], o, convertOptions)
			if err != nil {
				return err
			}
			return a.print(pulled, func(b *strings.Builder) { writePulled(b, pulled) })
		},
	}
	cmd.Flags().StringVar(&o.Name, "name", "", "name in the store (default: made from the address)")
	cmd.Flags().StringVar(&o.Revision, "revision", "", "branch, tag or commit of the repository (default: main)")
	cmd.Flags().StringVar(&o.SHA256, "sha256", "", "checksum that the file must have, for URLs")
	cmd.Flags().IntVar(&o.Connections, "connections", pullConnections, "parallel connections")
	cmd.Flags().BoolVar(&o.Force, "force", false, "replace a model of the same name, and fetch what is there already")
	cmd.Flags().BoolVar(&missing, "if-missing", false, "do nothing if there is a model of this name, also without a connection")
	types.add(cmd, "when converting: ")
	cmd.Flags().BoolVar(&o.KeepCheckpoint, "keep-checkpoint", false, "when converting: keep the downloaded checkpoint")
	return cmd
}

// pullConnections is how many connections a download has if nothing else is said.
const pullConnections = 4

// pull downloads a model, and shows how far that is.
func (a *app) pull(ctx context.Context, ref string, o hub.PullOptions, c convert.Options) (*hub.Pulled, error) {
	o.Log = a.log
	o.Convert = a.pullConverter(c)
	o.Variant = strings.ToLower(c.Type.String() + "/" + c.Embedding.String())
	if bar := a.progress("downloading", byteSize); bar != nil {
		defer bar.Clear()
		stage := hub.Downloading
		o.Progress = func(p hub.Progress) {
			if p.Stage != stage {
				stage = p.Stage
				bar.Describe(string(stage))
			}
			bar.Set(p.Done, p.Total)
		}
	}
	pulled, err := hub.Pull(ctx, ref, o)
	if errors.Is(err, context.Canceled) {
		fmt.Fprintf(a.err, "\nthe same command goes on with the download where it stopped\n")
	}
	return pulled, err
}

// pullConverter returns what converts a downloaded checkpoint.
func (a *app) pullConverter(o convert.Options) func(ctx context.Context, dir, out string) error {
	return func(ctx context.Context, dir, out string) error {
		o.Input, o.Output, o.Threads = dir, out, a.threads
		var done func()
		o.Progress, done = a.fileProgress("converting")
		defer done()
		report, err := convert.FromHF(ctx, o)
		if err != nil {
			return err
		}
		for _, w := range report.Warnings {
			a.log.Warn(w)
		}
		return nil
	}
}

func writePulled(b *strings.Builder, p *hub.Pulled) {
	verified := map[string]string{
		hub.VerifiedChecksum: "checksum verified",
		hub.VerifiedSize:     "size verified; nobody tells the checksum",
		hub.VerifiedFormat:   "neither size nor checksum are known",
	}[p.Manifest.Verified]
	if p.UpToDate {
		fmt.Fprintf(b, "%s is up to date: %s\n", p.Name, p.Path)
		return
	}
	made := ""
	if p.Manifest.Converted {
		made = ", converted"
	}
	license := ""
	if p.Manifest.License != "" {
		license = ", licence " + p.Manifest.License
	}
	fmt.Fprintf(b, "%s: %s, %s%s%s\n%s\nNext: trit run %s\n",
		p.Name, byteSize(p.Manifest.Size), verified, made, license, p.Path, p.Name)
}

// oneArg wants exactly one positional argument.
func oneArg(cmd *cobra.Command, args []string, what string) error {
	switch {
	case len(args) == 0:
		return usage(cmd, fmt.Errorf("name %s", what))
	case len(args) > 1:
		return usage(cmd, fmt.Errorf("unexpected argument %q", args[1]))
	}
	return nil
}

// byteSize returns a number of bytes for people.
func byteSize(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d bytes", n)
}

// paramCount returns a number of parameters for people, "" for 0.
func paramCount(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1fB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.0fM", float64(n)/1e6)
	case n > 0:
		return fmt.Sprintf("%d", n)
	}
	return ""
}
