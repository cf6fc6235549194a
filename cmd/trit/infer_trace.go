package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"trit"
	"trit/internal/inside"
	"trit/internal/profile"
)

// addTraceFlag adds the flag that withTrace reads.
func addTraceFlag(cmd *cobra.Command) {
	cmd.Flags().String("trace", "", "write a trace of all steps into this file, for ui.perfetto.dev or chrome://tracing")
}

// withTrace calls run and writes what the model does meanwhile into the file that
// --trace names, if it is given. The file is complete even if run fails or is
// interrupted.
func withTrace(cmd *cobra.Command, m *trit.Model, run func() error) (err error) {
	path, err := cmd.Flags().GetString("trace")
	if err != nil {
		return err
	}
	if path == "" {
		return run()
	}
	file, err := createStream(path)
	if err != nil {
		return fmt.Errorf("--trace: %w", err)
	}
	recording, err := profile.StartRecording(inside.Of(m).Scheduler, file, profile.RecordOptions{Name: m.Name()})
	if err != nil {
		return fmt.Errorf("--trace: %w", file.close(err))
	}
	err = run()
	if stopErr := file.close(recording.Stop()); stopErr != nil {
		err = errors.Join(err, fmt.Errorf("--trace %s: %w", path, stopErr))
	}
	return err
}
