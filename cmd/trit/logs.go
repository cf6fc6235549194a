package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) logsCommand() *cobra.Command {
	var server remote
	var lines int
	var follow bool
	cmd := &cobra.Command{
		Use:     "logs",
		GroupID: "server",
		Short:   "Show the last lines of a running server's log",
		Long: `Show the last lines of a running server's log, wherever that is written.

A server without keys shows it to the programs of its own machine while it listens
there only. Another wants an admin key in TRIT_API_KEY.`,
		Example: "  trit logs\n  trit logs --lines 20 --follow\n  trit logs --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if lines < 0 {
				return usage(cmd, fmt.Errorf("--lines %d: want a number from 0 up", lines))
			}
			if err := server.open(cmd); err != nil {
				return err
			}
			answer, err := server.Send(cmd.Context(), http.MethodGet, fmt.Sprintf("/debug/logs?lines=%d&follow=%t", lines, follow), nil)
			if err != nil {
				return server.explain(err)
			}
			defer answer.Body.Close()
			in := bufio.NewReaderSize(answer.Body, 1<<20)
			for {
				line, err := in.ReadSlice('\n')
				switch {
				case err == io.EOF && len(line) == 0:
					return nil
				case err != nil && cmd.Context().Err() != nil:
					return cmd.Context().Err()
				case err != nil:
					return fmt.Errorf("the log of %s: %w", server.URL, err)
				}
				text, err := logLine(line)
				if err != nil {
					return server.Foreign("/debug/logs", answer, err)
				}
				if a.json {
					text = string(bytes.TrimSpace(line))
				}
				if _, err := fmt.Fprintln(a.out, text); err != nil {
					return err
				}
			}
		},
	}
	server.add(cmd)
	cmd.Flags().IntVarP(&lines, "lines", "n", 100, "how many of the last lines to show; the server keeps 2,000 or 1 MiB of them")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with the lines that come, until the server stops or you press Ctrl-C")
	return cmd
}

// logLine returns a line of the log, which is a JSON object, as people read it: time,
// level and message, and what else there is in its order.
func logLine(line []byte) (string, error) {
	in := json.NewDecoder(bytes.NewReader(line))
	if t, err := in.Token(); err != nil || t != json.Delim('{') {
		return "", errors.New("a line of the log is no JSON object")
	}
	var when, level, message string
	var rest strings.Builder
	for in.More() {
		key, err := in.Token()
		if err != nil {
			return "", err
		}
		var value json.RawMessage
		if err := in.Decode(&value); err != nil {
			return "", err
		}
		text := string(value)
		if value[0] == '"' {
			if err := json.Unmarshal(value, &text); err != nil {
				return "", err
			}
		}
		switch key {
		case "time":
			when = text
			if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
				when = t.Local().Format("2006-01-02 15:04:05.000")
			}
		case "level":
			level = text
		case "msg":
			message = text
		case "duration":
			var d time.Duration
			if json.Unmarshal(value, &d) == nil {
				text = d.String()
			}
			fallthrough
		default:
			if strings.ContainsAny(text, " \"=") || text == "" {
				text = fmt.Sprintf("%q", text)
			}
			fmt.Fprintf(&rest, " %s=%s", inLine(fmt.Sprint(key)), inLine(text))
		}
	}
	return fmt.Sprintf("%s %-5s %s%s", inLine(when), inLine(level), inLine(message), rest.String()), nil
}
