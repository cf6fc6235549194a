package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) healthCommand() *cobra.Command {
	var address string
	var live, insecure bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:     "health",
		GroupID: "check",
		Short:   "Ask a running server whether it is ready",
		Long: `Ask a running server whether it is ready: its models are loaded, its queue is
not full, and it is not about to stop. The exit code is 0 if so and 1 if not,
which is what health checks of containers want.`,
		Example: "  trit health\n  trit health --url http://127.0.0.1:8080 --live",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			server, err := url.Parse(address)
			if err != nil || server.Scheme != "http" && server.Scheme != "https" || server.Host == "" {
				return usage(cmd, fmt.Errorf("--url %q: want an address such as http://127.0.0.1:8080", address))
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
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(address, "/")+path, nil)
			if err != nil {
				return usage(cmd, fmt.Errorf("--url: %w", err))
			}
			transport := http.DefaultTransport.(*http.Transport).Clone()
			transport.Proxy, transport.DisableKeepAlives = nil, true
			transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: insecure}
			r, err := (&http.Client{Transport: transport}).Do(req)
			if err != nil {
				return fmt.Errorf("no answer: %w", err)
			}
			defer r.Body.Close()
			body, err := io.ReadAll(io.LimitReader(r.Body, 1<<16))
			if err != nil {
				return fmt.Errorf("no answer: %w", err)
			}
			fmt.Fprintln(a.out, strings.TrimSpace(string(body)))
			if r.StatusCode != http.StatusOK {
				return fmt.Errorf("%s says %s", address, r.Status)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&address, "url", "http://127.0.0.1:8080", "address of the server")
	cmd.Flags().BoolVar(&live, "live", false, "ask only whether it answers at all")
	cmd.Flags().BoolVar(&insecure, "insecure", false, "accept any certificate of an HTTPS server")
	cmd.Flags().DurationVar(&timeout, "timeout", 2*time.Second, "how long to wait for the answer")
	return cmd
}
