package trit

import (
	"fmt"

	"trit/internal/generate"
)

// ErrOption reports an option, or a field of a [Conversation], that cannot be
// used; see [OptionError].
var ErrOption = generate.ErrOptions

// An OptionError names the option that is at fault. It wraps [ErrOption] and
// Err.
type OptionError struct {
	// Option is the option's name in lower case with underscores: "kv_type" for
	// KVType, "tool_choice" for Conversation.ToolChoice.
	Option string
	Err    error // what is wrong with it
}

// Error says which option is at fault and why.
func (e *OptionError) Error() string { return fmt.Sprintf("%s: %v", e.Option, e.Err) }

// Unwrap returns ErrOption and what is wrong.
func (e *OptionError) Unwrap() []error { return []error{ErrOption, e.Err} }

// badOption returns an OptionError.
func badOption(option, format string, args ...any) error {
	return &OptionError{option, fmt.Errorf(format, args...)}
}
