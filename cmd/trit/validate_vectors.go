package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"trit/internal/validate"
)

// vectorsResult is what validate --vectors prints with --json.
type vectorsResult struct {
	*validate.VectorReport
	Pooling   string  `json:"pooling"`
	Tolerance float64 `json:"tolerance"`
	Passed    bool    `json:"passed"`
}

// validateVectors compares the vectors of texts with those of a file.
func (a *app) validateVectors(
	cmd *cobra.Command, flags *modelFlags, path string, texts [][]int32, tolerance float64, output string,
) error {
	m, err := flags.open(a, cmd)
	if err != nil {
		return err
	}
	defer m.Close()
	want, err := validate.ReadRows(path, len(texts), m.Info().Hidden)
	if err != nil {
		return err
	}
	got, err := m.EmbedTokens(cmd.Context(), texts)
	if err != nil {
		return err
	}
	lengths := make([]int, len(texts))
	for i, tokens := range texts {
		lengths[i] = len(tokens)
	}
	report, err := validate.CompareVectors(lengths, got, want)
	if err != nil {
		return err
	}
	passed := float64(report.Max) <= tolerance
	full := vectorsResult{report, m.Info().Pooling.String(), tolerance, passed}
	err = a.print(full, func(b *strings.Builder) {
		fmt.Fprintf(b, "%8s %8s  %s\n", "text", "tokens", "distance")
		for i, v := range report.Vectors {
			fmt.Fprintf(b, "%8d %8d  %.4g\n", i, v.Tokens, v.Distance)
		}
		outcome := "passed"
		if !passed {
			outcome = "FAILED"
		}
		fmt.Fprintf(b, "%s of the tokens, median %.4g, maximum %.4g\n%s: the tolerance is %g\n", full.Pooling, report.Median, report.Max,
			outcome, tolerance)
	})
	if err == nil {
		err = writeReport(output, full)
	}
	return verdict(passed, err)
}
