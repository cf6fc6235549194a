package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// runningModels is the answer of a server to the question which models are in its memory.
type runningModels struct {
	Models []runningModel `json:"models"`
}

type runningModel struct {
	Name          string    `json:"name"`
	Size          int64     `json:"size"`
	ContextLength int       `json:"context_length"`
	ExpiresAt     time.Time `json:"expires_at"`
}

func (a *app) psCommand() *cobra.Command {
	var server remote
	cmd := &cobra.Command{
		Use:     "ps",
		GroupID: "server",
		Short:   "List the models that a running server has in memory",
		Long: `List the models that a running server has in memory, with the memory that is set
aside for them and the time when they are unloaded if nobody uses them.`,
		Example: "  trit ps\n  trit ps --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := server.open(cmd); err != nil {
				return err
			}
			running, err := server.running(cmd)
			if err != nil {
				return err
			}
			return a.print(running.Models, func(b *strings.Builder) {
				fmt.Fprintf(b, "%-28s %10s %8s  %s\n", "NAME", "MEMORY", "CONTEXT", "UNTIL")
				for _, m := range running.Models {
					until := "for ever"
					if left := time.Until(m.ExpiresAt); left < 100*365*24*time.Hour {
						until = "in " + max(left, 0).Round(time.Second).String()
					}
					fmt.Fprintf(b, "%-28s %10s %8d  %s\n", inLine(untagged(m.Name)), byteSize(m.Size), m.ContextLength, until)
				}
			})
		},
	}
	server.add(cmd)
	return cmd
}

func (a *app) loadCommand() *cobra.Command {
	var keep string
	cmd := a.residencyCommand("load", "Load a model into the memory of a running server",
		"Load a model into the memory of a running server, so that the next request need not\nwait for it. It stays until nobody has used it for --keep-alive.",
		func(cmd *cobra.Command) (any, error) {
			d, err := parseKeepAlive(keep)
			if err != nil {
				return nil, usage(cmd, err)
			}
			if d < 0 {
				return -1, nil
			}
			return d.String(), nil
		})
	cmd.Flags().StringVar(&keep, "keep-alive", "5m", "how long it stays without use; -1: until its memory is needed")
	return cmd
}

func (a *app) unloadCommand() *cobra.Command {
	cmd := a.residencyCommand("unload", "Take a model out of the memory of a running server",
		"Take a model out of the memory of a running server, as soon as no request uses it. Its\nfile stays. Models that the server was started with are not unloaded.",
		func(*cobra.Command) (any, error) { return 0, nil })
	cmd.Aliases = []string{"stop"}
	return cmd
}

// residencyCommand makes a command that says how long a model is to stay in memory.
func (a *app) residencyCommand(name, short, long string, keepAlive func(*cobra.Command) (any, error)) *cobra.Command {
	var server remote
	cmd := &cobra.Command{
		Use:     name + " MODEL",
		GroupID: "server",
		Short:   short,
		Long:    long,
		Example: "  trit " + name + " bitnet-2b-4t",
		Args: func(cmd *cobra.Command, args []string) error {
			return oneArg(cmd, args, "a model; 'trit ps' lists those in memory")
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			keep, err := keepAlive(cmd)
			if err != nil {
				return err
			}
			if err := server.open(cmd); err != nil {
				return err
			}
			var answer struct {
				Reason string `json:"done_reason"`
			}
			body := map[string]any{"model": args[0], "keep_alive": keep, "stream": false}
			if err := server.call(cmd, http.MethodPost, "/api/generate", body, &answer); err != nil {
				return err
			}
			running, err := server.running(cmd)
			if err != nil {
				return err
			}
			there := slices.ContainsFunc(running.Models, func(m runningModel) bool {
				return untagged(m.Name) == untagged(args[0])
			})
			if name == "unload" && there {
				return fmt.Errorf("%s stays in memory: requests use it, or the server was started with it", args[0])
			}
			return a.print(running.Models, func(b *strings.Builder) { fmt.Fprintf(b, "%sed %s\n", name, args[0]) })
		},
	}
	server.add(cmd)
	return cmd
}

// untagged returns a name without what Ollama's API has behind names that have no version.
func untagged(name string) string { return strings.TrimSuffix(name, ":latest") }

// running asks which models are in memory.
func (r *remote) running(cmd *cobra.Command) (running runningModels, err error) {
	err = r.call(cmd, http.MethodGet, "/api/ps", nil, &running)
	return running, err
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 16 << 20

// call sends a request with a JSON body, nil for none, and decodes the answer.
func (r *remote) call(cmd *cobra.Command, method, path string, body, answer any) error {
	return r.explain(r.Call(cmd.Context(), method, path, body, answer, maxAnswer))
}
