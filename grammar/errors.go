package grammar

import (
	"errors"
	"fmt"
	"strings"
)

// The errors of this package wrap one of these.
var (
	// ErrSyntax reports a grammar, expression or schema that is malformed.
	ErrSyntax = errors.New("grammar: syntax error")
	// ErrUnsupported reports something well-formed that cannot be expressed as a
	// grammar here.
	ErrUnsupported = errors.New("grammar: not supported")
	// ErrEmpty reports a grammar that no text satisfies.
	ErrEmpty = errors.New("grammar: no text satisfies it")
	// ErrLeftRecursion reports a rule that can call itself before it has
	// consumed anything.
	ErrLeftRecursion = errors.New("grammar: left recursion")
	// ErrTooLarge reports a grammar beyond the limits of this package.
	ErrTooLarge = errors.New("grammar: too large")
	// ErrVocabulary reports a vocabulary that cannot be used.
	ErrVocabulary = errors.New("grammar: bad vocabulary")
	// ErrRejected reports a token or text that the grammar does not allow.
	ErrRejected = errors.New("grammar: rejected")
	// ErrLimit reports a text that is too ambiguous to follow.
	ErrLimit = errors.New("grammar: too ambiguous")
	// ErrMask reports a mask that does not cover the vocabulary.
	ErrMask = errors.New("grammar: bad mask")
	// ErrInvalid reports a value that does not satisfy its schema.
	ErrInvalid = errors.New("grammar: the schema is not satisfied")
	// ErrUndecided reports a value of which cannot be told whether it satisfies its
	// schema.
	ErrUndecided = errors.New("grammar: whether the schema is satisfied cannot be told")
	// ErrNoCompletion reports that the vocabulary cannot complete the text.
	ErrNoCompletion = errors.New("grammar: no completion")
)

// A PositionError is an error at a place in GBNF source or in a regular
// expression. It wraps [ErrSyntax] or another sentinel error.
type PositionError struct {
	Source string // "GBNF" or "regular expression"
	Line   int    // from 1
	Column int    // in code points, from 1
	Msg    string
	Err    error
}

// Error says what is wrong and where.
func (e *PositionError) Error() string {
	return fmt.Sprintf("%v: %s, line %d, column %d: %s", e.Err, e.Source, e.Line, e.Column, e.Msg)
}

// Unwrap returns the sentinel error.
func (e *PositionError) Unwrap() error { return e.Err }

// position returns the line and the column of a byte offset.
func position(src string, offset int) (line, column int) {
	line, column = 1, 1
	for i, r := range src {
		if i >= offset {
			break
		}
		if column++; r == '\n' {
			line, column = line+1, 1
		}
	}
	return line, column
}

// A SchemaError is an error at a place in a JSON Schema. It wraps a sentinel
// error.
type SchemaError struct {
	Pointer string // JSON pointer of the schema object, "" for the root
	Keyword string // "" if the schema as a whole is meant
	Msg     string
	Err     error
}

// Error says what is wrong and where.
func (e *SchemaError) Error() string {
	return fmt.Sprintf("%v: JSON Schema at %q: %s", e.Err, "#"+pointerOf(e.Pointer, e.Keyword), e.Msg)
}

// Unwrap returns the sentinel error.
func (e *SchemaError) Unwrap() error { return e.Err }

// escapePointer escapes a key for a JSON pointer.
func escapePointer(key string) string {
	return strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")
}
