package convert

import "fmt"

// Report says what FromHF, ToHF or Quantize did. It marshals to JSON.
type Report struct {
	Input        string `json:"input"`
	Output       string `json:"output"`
	Class        string `json:"class,omitempty"` // the model class in config.json
	Architecture string `json:"architecture"`    // general.architecture
	Name         string `json:"name"`
	Type         string `json:"type"`      // of the projections
	Embedding    string `json:"embedding"` // type of embedding and head
	HiddenAct    string `json:"hidden_act"`
	Activations  string `json:"activations"`
	// ScaleConvention is what weight_scale was taken for; empty when the
	// checkpoint has none.
	ScaleConvention string `json:"scale_convention,omitempty"`
	// ScaleCheck compares the scales with the norms before the projections;
	// nil when the checkpoint has no weight_scale.
	ScaleCheck *ScaleCheck `json:"scale_check,omitempty"`

	Decisions []Decision `json:"decisions"`
	Warnings  []string   `json:"warnings,omitempty"`
	Tensors   []Tensor   `json:"tensors"`

	SourceBytes int64 `json:"source_bytes"` // of the tensors that were converted
	TensorBytes int64 `json:"tensor_bytes"` // of the tensors that were written
}

// Decision is something that the checkpoint left open, or that the options
// changed, and how it was settled.
type Decision struct {
	Subject string `json:"subject"`
	Choice  string `json:"choice"`
	Reason  string `json:"reason"`
}

// String returns "subject: choice (reason)".
func (d Decision) String() string { return fmt.Sprintf("%s: %s (%s)", d.Subject, d.Choice, d.Reason) }

// Form is the way in which a checkpoint stores a projection; the package comment
// explains them.
type Form string

// The forms of projections.
const (
	FormMaster  Form = "master"
	FormPacked  Form = "packed"
	FormTernary Form = "ternary"
)

// Tensor describes one tensor of the output.
type Tensor struct {
	Name       string  `json:"name"`
	Dims       []int64 `json:"dims"` // contiguous dimension first
	Type       string  `json:"type"`
	Source     string  `json:"source,omitempty"` // name in the checkpoint; empty if computed
	SourceType string  `json:"source_type,omitempty"`

	// The rest describes ternary projections.

	Form Form `json:"form,omitempty"`
	// Scale is what a trit is multiplied with, before rounding to the type's own
	// scale format; with several scales the largest one.
	Scale float32 `json:"scale,omitempty"`
	// Scales counts the different scales, up to 65536.
	Scales int `json:"scales,omitempty"`
	// Zeros is the fraction of weights that are zero.
	Zeros float64 `json:"zeros,omitempty"`
	// Cosine is the cosine of the angle between master weights and their
	// ternary form, in (0, 1].
	Cosine float64 `json:"cosine,omitempty"`
	// RMSE is the root of the mean squared difference between the weights of
	// the source and what was written; it is measured for all tensors that
	// Quantize changes, and for projections.
	RMSE float64 `json:"rmse,omitempty"`
}

// ScaleCheck compares the convention of weight_scale with the norms.
//
// A projection's input is a vector of unit mean square times the weights γ of the
// norm before it, so its outputs have a typical magnitude of
// s·rms(γ)·√(⅔·columns), where s is the scale of its trits and two thirds is a
// usual share of non-zero weights. In a trained model that gain is neither tiny nor
// huge; the wrong convention replaces s by 1/s.
type ScaleCheck struct {
	Projections int     `json:"projections"` // compared
	Gain        float64 `json:"gain"`        // median, with the convention that was used
	OtherGain   float64 `json:"other_gain"`  // median, with the other one
	// Verdict is "agrees" or "contradicts" where one gain is far more plausible,
	// and "undecided" where both are alike because scales are near 1.
	Verdict string `json:"verdict"`
}

func (r *Report) decide(subject, choice, format string, args ...any) {
	r.Decisions = append(r.Decisions, Decision{subject, choice, fmt.Sprintf(format, args...)})
}

func (r *Report) warn(format string, args ...any) {
	r.Warnings = append(r.Warnings, fmt.Sprintf(format, args...))
}
