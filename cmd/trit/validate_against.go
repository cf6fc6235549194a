package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"trit/gguf"
	"trit/hub"
	"trit/internal/kernel"
	"trit/internal/model"
	"trit/internal/validate"
)

// againstFlags choose what a model is compared with.
type againstFlags struct {
	twin        string
	activations model.Activations
}

// add defines the flags.
func (f *againstFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.twin, "against", "", "compare the predictions with those of this model, instead of the suite")
	f.activations = model.Float
	parsedFlag(cmd, &f.activations, "against-activations", model.Float.String(),
		"with --against: what the other model's projections round their input to: int8, int8g128, float", model.ParseActivations)
}

// againstResult is what validate --against prints as JSON.
type againstResult struct {
	Model string `json:"model"`
	Twin  string `json:"twin"`
	// Activations and TwinActivations are what the projections rounded their input to.
	Activations     string `json:"activations"`
	TwinActivations string `json:"twin_activations"`
	*validate.AgainstReport
	Tolerance float64 `json:"tolerance,omitempty"` // of the mean divergence
	Passed    bool    `json:"passed"`
}

// validateAgainst compares the predictions of a model with those of another, whose
// arithmetic is as exact as there is.
func (a *app) validateAgainst(cmd *cobra.Command, flags *modelFlags, against *againstFlags, textFile string, tolerance float64, output string) error {
	d, err := flags.direct(a, cmd)
	if err != nil {
		return err
	}
	text := validate.Story()
	if textFile != "" {
		if text, err = readTextFile(textFile); err != nil {
			return fmt.Errorf("--text: %w", err)
		}
	}
	exact := *d
	exact.load.Activations, exact.engine.KVType = against.activations, kernel.KVF32
	var o validate.AgainstOptions
	if bar := a.progress("comparing", nil); bar != nil {
		defer bar.Clear()
		o.Progress = func(done, total int) { bar.Set(int64(done), int64(total)) }
	}
	var result againstResult
	err = withFile(flags.model, func(found *hub.Model, f *gguf.File) error {
		return withFile(against.twin, func(other *hub.Model, g *gguf.File) (err error) {
			e, tok, err := d.start(f)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, e.Close()) }()
			twin, twinTok, err := exact.start(g)
			if err != nil {
				return fmt.Errorf("%s: %w", other.Name, err)
			}
			defer func() { err = errors.Join(err, twin.Close()) }()
			report, err := validate.Against(cmd.Context(), e, twin, tok, twinTok, text, o)
			result = againstResult{
				Model: found.Name, Twin: other.Name,
				Activations: e.Model().Config.Activations.String(), TwinActivations: twin.Model().Config.Activations.String(),
				AgainstReport: report, Tolerance: tolerance, Passed: report != nil && (tolerance == 0 || report.Divergence.Mean <= tolerance),
			}
			return err
		})
	})
	if err != nil {
		return err
	}
	err = a.print(result, func(b *strings.Builder) {
		fmt.Fprintf(b, "%s (activations %s) against %s (%s)\n%v\n", result.Model, result.Activations, result.Twin, result.TwinActivations, result.AgainstReport)
		if !result.Passed {
			fmt.Fprintf(b, "FAILED: the tolerance is %g\n", tolerance)
		}
	})
	if err == nil {
		err = writeReport(output, result)
	}
	return verdict(result.Passed, err)
}
