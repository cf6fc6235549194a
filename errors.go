package trit

import (
	"trit/internal/cache"
	"trit/internal/engine"
	"trit/internal/fault"
	"trit/internal/generate"
)

// ErrOption reports an option, or a field of a [Conversation], that cannot be
// used; see [OptionError].
var ErrOption = fault.ErrOption

// An OptionError names the option that is at fault. It wraps [ErrOption].
type OptionError = fault.OptionError

// ErrContext reports a text that does not fit the model's context; see
// [ContextError].
var ErrContext = fault.ErrContext

// A ContextError says how long a text is, and how long it may be. It wraps
// [ErrContext].
type ContextError = fault.ContextError

// A BrokenError says why a model has stopped: its file was written to, truncated or
// can no longer be read, or something went wrong inside of it. It wraps [ErrBroken].
type BrokenError = engine.BrokenError

// Errors of generations and of saved prompts, wrapped with details.
var (
	// ErrPrompt reports a prompt that cannot be continued, such as an empty one.
	ErrPrompt = generate.ErrPrompt
	// ErrToken reports a token that is not in the vocabulary.
	ErrToken = engine.ErrToken
	// ErrClosed reports a model that has been closed.
	ErrClosed = engine.ErrClosed
	// ErrBroken reports a model that has stopped and has to be opened again; see
	// [BrokenError].
	ErrBroken = engine.ErrBroken
	// ErrPrefixFile reports a file of prompts that does not fit the model.
	ErrPrefixFile = cache.ErrPrefixFile
	// ErrCacheFull reports that the KV cache has no room even for one text.
	ErrCacheFull = cache.ErrFull
)
