package sample

import (
	"errors"
	"fmt"
)

// The package's errors. Every error it returns wraps one of them.
var (
	// ErrOption reports an option outside its range; see [OptionError].
	ErrOption = errors.New("sample: bad option")
	// ErrOrder reports an order that names an unknown stage or one stage twice.
	ErrOrder = errors.New("sample: bad order")
	// ErrLogits reports logits that are empty, too many, NaN or +Inf.
	ErrLogits = errors.New("sample: bad logits")
	// ErrMask reports a mask that does not cover the vocabulary.
	ErrMask = errors.New("sample: bad mask")
	// ErrToken reports a token id outside the vocabulary.
	ErrToken = errors.New("sample: token outside the vocabulary")
	// ErrNoCandidate reports that masks, bans and biases left no token.
	ErrNoCandidate = errors.New("sample: no candidate left")
	// ErrSelection reports a [Selected] that contradicts itself.
	ErrSelection = errors.New("sample: bad selection")
	// ErrNeedAll reports that a decision is not certain from a partial set of
	// logits: call [Pipeline.Sample] with all of them.
	ErrNeedAll = errors.New("sample: the decision needs all logits")
)

// An OptionError names an option, the value it was given and the values it
// may have. It wraps [ErrOption].
type OptionError struct {
	Option string // the option's name as users write it, such as "top_p"
	Value  any
	Want   string // the range, such as "0 to 1 (1 turns it off)"
}

func (e *OptionError) Error() string {
	return fmt.Sprintf("sample: option %s = %v, want %s", e.Option, e.Value, e.Want)
}

func (e *OptionError) Unwrap() error { return ErrOption }
