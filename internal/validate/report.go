package validate

import (
	"fmt"
	"slices"
	"strings"
)

// Status is the outcome of a check.
type Status string

// The outcomes. A skipped check does not make the suite fail.
const (
	Passed  Status = "passed"
	Failed  Status = "failed"
	Skipped Status = "skipped"
)

// Check is one check of the suite.
type Check struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	// Summary says in a line what was looked at, or why the check was skipped.
	Summary string `json:"summary,omitempty"`
	// Errors are why the check failed; Warnings do not make it fail.
	Errors   []string `json:"errors,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
	Seconds  float64  `json:"seconds"`
	// Detail is one of the …Detail types of this package, by the check's name;
	// nil if the check has none.
	Detail any `json:"detail,omitempty"`
}

// Report is the result of the suite. It marshals to JSON.
type Report struct {
	Model  string  `json:"model"`
	Passed bool    `json:"passed"`
	Checks []Check `json:"checks"`
}

// Check returns the check of a name, or nil.
func (r *Report) Check(name string) *Check {
	i := slices.IndexFunc(r.Checks, func(c Check) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return &r.Checks[i]
}

// String returns the report as text: a line per check, and what is wrong.
func (r *Report) String() string {
	var b strings.Builder
	for _, c := range r.Checks {
		fmt.Fprintf(&b, "%-11s %-8s %s\n", c.Name, c.Status, c.Summary)
		for _, e := range c.Errors {
			fmt.Fprintf(&b, "    error: %s\n", e)
		}
		for _, w := range c.Warnings {
			fmt.Fprintf(&b, "    warning: %s\n", w)
		}
	}
	verdict := "passed"
	if !r.Passed {
		verdict = "FAILED"
	}
	fmt.Fprintf(&b, "%s: %s\n", r.Model, verdict)
	return b.String()
}

// maxMessages bounds the errors and the warnings of a check: a model with a
// thousand bad tensors is described well enough by a few.
const maxMessages = 20

// fail records an error.
func (c *Check) fail(format string, args ...any) {
	c.Status = Failed
	c.Errors = note(c.Errors, format, args)
}

// warn records a warning.
func (c *Check) warn(format string, args ...any) { c.Warnings = note(c.Warnings, format, args) }

// skip says why a check was not made.
func (c *Check) skip(format string, args ...any) {
	c.Status, c.Summary = Skipped, fmt.Sprintf(format, args...)
}

func note(list []string, format string, args []any) []string {
	switch {
	case len(list) < maxMessages:
		return append(list, fmt.Sprintf(format, args...))
	case len(list) == maxMessages:
		return append(list, "and more of the kind")
	}
	return list
}
