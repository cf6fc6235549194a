package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) healthCommand() *cobra.Command {
	var server remote
	var live bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:     "health",
		GroupID: "server",
		Short:   "Ask a running server whether it is ready",
		Long: `Ask a running server whether it is ready: its models are loaded, its queue is
not full, and it is not about to stop. The exit code is 0 if so and 1 if not,
which is what health checks of containers want.`,
		Example: "  trit health\n  trit health --url http://127.0.0.1:8080 --live",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := server.open(cmd); err != nil {
				return err
			}
			if timeout <= 0 {
				return usage(cmd, fmt.Errorf("--timeout %s: want a time above 0, such as 2s", timeout))
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			path := "/ready"
			if live {
				path = "/health"
			}
			r, err := server.Do(ctx, http.MethodGet, path, nil)
			if err != nil {
				return err
			}
			defer r.Body.Close()
			body, err := io.ReadAll(io.LimitReader(r.Body, 1<<16))
			if err != nil {
				return fmt.Errorf("no answer: %w", err)
			}
			fmt.Fprintln(a.out, strings.TrimSpace(string(body)))
			if r.StatusCode != http.StatusOK {
				return fmt.Errorf("%s says %s", server.URL, r.Status)
			}
			return nil
		},
	}
	server.add(cmd)
	cmd.Flags().BoolVar(&live, "live", false, "ask only whether it answers at all")
	cmd.Flags().DurationVar(&timeout, "timeout", 2*time.Second, "how long to wait for the answer")
	return cmd
}
