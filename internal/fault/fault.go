// Package fault holds the errors that several packages report in one form: an
// option that cannot be used, a text that does not fit.
//
// Where a message of any package names an option, be it at fault or a remedy, it
// writes "option kv_type": programs can put their own name for it in its place.
package fault

import (
	"errors"
	"fmt"
)

// ErrOption reports an option that cannot be used; see [OptionError].
var ErrOption = errors.New("bad option")

// An OptionError names the option that is at fault. It wraps [ErrOption] and
// Err.
type OptionError struct {
	// Option is the option's name in lower case with underscores: "kv_type" for
	// KVType, "tool_choice" for Conversation.ToolChoice.
	Option string
	Err    error // what is wrong with it, and what would be right
}

// Error says which option is at fault and why.
func (e *OptionError) Error() string { return fmt.Sprintf("option %s: %v", e.Option, e.Err) }

// Unwrap returns ErrOption and what is wrong.
func (e *OptionError) Unwrap() []error { return []error{ErrOption, e.Err} }

// Option returns an OptionError.
func Option(name, format string, args ...any) error {
	return &OptionError{name, fmt.Errorf(format, args...)}
}

// ErrContext reports a text that does not fit the context; see [ContextError].
var ErrContext = errors.New("too long for the context")

// A ContextError says how long a text is, and how long it may be. It wraps
// [ErrContext].
type ContextError struct {
	What    string // the text, such as "the prompt"
	Tokens  int    // how many it has
	AtLeast bool   // it may have more: it was not looked at further
	Room    int    // how many it may have: the context less what is kept for an answer
	Context int    // the length of the context; 0 if that is not known
}

// Error says how long the text is and may be.
func (e *ContextError) Error() string {
	where := ""
	if e.Context > 0 {
		where = fmt.Sprintf(" in the context of %d", e.Context)
	}
	least := ""
	if e.AtLeast {
		least = "at least "
	}
	return fmt.Sprintf("%s has %s%d tokens, and there is room for %d%s; shorten it, or raise option context_size",
		e.What, least, e.Tokens, e.Room, where)
}

// Unwrap returns ErrContext.
func (e *ContextError) Unwrap() error { return ErrContext }
