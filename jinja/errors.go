package jinja

import (
	"errors"
	"fmt"
)

// The kinds of failure; test for them with errors.Is.
var (
	// ErrSyntax: the template does not parse.
	ErrSyntax = errors.New("syntax error")
	// ErrUnsupported: the template asks for a tag, filter, test or function that does not exist here.
	ErrUnsupported = errors.New("unsupported feature")
	// ErrUndefined: an undefined value was used where a value is needed.
	ErrUndefined = errors.New("undefined value")
	// ErrType: an operation was applied to values it does not accept.
	ErrType = errors.New("invalid operation")
	// ErrLimit: a limit on time, steps, memory, output or depth was reached.
	ErrLimit = errors.New("limit exceeded")
	// ErrRaised: the template itself refused its input through raise_exception.
	ErrRaised = errors.New("template raised an exception")
)

// Error says where in the template something failed and what.
type Error struct {
	Line int    // line of the template, from 1; 0 when unknown
	Msg  string // what failed, naming the filter, test, tag or variable
	Kind error  // one of the sentinel errors of this package
}

// Error implements error.
func (e *Error) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("line %d: %s: %s", e.Line, e.Kind, e.Msg)
	}
	return fmt.Sprintf("%s: %s", e.Kind, e.Msg)
}

// Unwrap returns the kind, so that errors.Is finds the sentinel.
func (e *Error) Unwrap() error { return e.Kind }

// fail makes an error whose line the enclosing node fills in.
func fail(kind error, format string, args ...any) error {
	return &Error{Kind: kind, Msg: fmt.Sprintf(format, args...)}
}

// at sets the line of an error that has none yet: the innermost node wins.
func at(err error, line int32) error {
	if err == nil {
		return nil
	}
	if e := asError(err); e != nil && e.Line == 0 {
		e.Line = int(line)
	}
	return err
}

// within prefixes an error's message with the construct that raised it.
func within(err error, kind, name string) error {
	if err == nil {
		return nil
	}
	if e := asError(err); e != nil && e.Line == 0 {
		e.Msg = kind + " " + name + ": " + e.Msg
	}
	return err
}

func asError(err error) *Error {
	var e *Error
	errors.As(err, &e)
	return e
}
