package profile

import (
	"fmt"

	"trit/internal/model"
)

// Zeros says what single rows have met of zeros, and what that has saved.
type Zeros struct {
	Gates  float64 `json:"gates"`  // share of those that were not positive
	Inputs float64 `json:"inputs"` // share of the inputs of ffn_down that were rounded to zero
	// Of the Bytes of weights behind these each token has left out Saved.
	Bytes int64 `json:"bytes"`
	Saved int64 `json:"saved_bytes"`
}

// zeros returns what so many tokens have met, or nil if nothing was looked for.
func zeros(s model.Skipped, tokens int64) *Zeros {
	if s.Gates == 0 || s.Inputs == 0 || tokens == 0 {
		return nil
	}
	return &Zeros{
		Gates: float64(s.ZeroGates) / float64(s.Gates), Inputs: float64(s.ZeroInputs) / float64(s.Inputs),
		Bytes: s.Bytes / tokens, Saved: s.Saved / tokens,
	}
}

// String returns the line of a report.
func (z *Zeros) String() string {
	return fmt.Sprintf("%.1f %% of gates, %.1f %% of inputs of ffn_down: saves %s of %s",
		100*z.Gates, 100*z.Inputs, bytesText(float64(z.Saved)), bytesText(float64(z.Bytes)))
}
