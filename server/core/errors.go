package core

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"trit"
	"trit/chat"
	"trit/gguf"
	"trit/grammar"
	"trit/hub"
	"trit/internal/cache"
	"trit/internal/engine"
	"trit/internal/generate"
	"trit/internal/mmap"
	"trit/sample"
)

// Error is an answer to a request that is not served. Each family of APIs
// writes it in its own form.
type Error struct {
	Status  int
	Code    string        // for programs, such as "model_not_found"; may be empty
	Param   string        // the field of the request at fault; may be empty
	Message string        // for people: what is wrong, and what to do about it
	Retry   time.Duration // when trying again makes sense; 0 if it does not
	// Overflow says what does not fit, if that is what is wrong: agents look for the numbers,
	// and for the words of each API's own server, before they shorten a conversation.
	Overflow *Overflow
	// Quota says what is used up, if that is what is wrong.
	Quota *OverQuota
}

// Overflow is a prompt that does not fit the context.
type Overflow struct{ Tokens, Context int }

// TooLong reports a prompt that does not fit the context.
func TooLong(param, message string, tokens, context int) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "context_length_exceeded", Param: param, Message: message,
		Overflow: &Overflow{tokens, context}}
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// BadRequest reports a field of the request that cannot be used.
func BadRequest(param, format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "invalid_value", Param: param,
		Message: fmt.Sprintf(format, args...)}
}

// Unsupported reports a field that this server knows and does not serve.
func Unsupported(param, format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "unsupported_parameter", Param: param,
		Message: fmt.Sprintf(format, args...)}
}

// Classify turns any error into the answer to give.
func Classify(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	answer := func(status int, code string) *Error {
		return &Error{Status: status, Code: code, Message: plainMessage(err)}
	}
	is := func(targets ...error) bool {
		for _, t := range targets {
			if errors.Is(err, t) {
				return true
			}
		}
		return false
	}
	switch {
	case is(context.DeadlineExceeded):
		return &Error{Status: http.StatusGatewayTimeout, Code: "timeout",
			Message: "the request took longer than this server allows; ask for fewer tokens"}
	case is(context.Canceled):
		return errClientGone
	case is(hub.ErrNotFound, hub.ErrName):
		return answer(http.StatusNotFound, "model_not_found")
	case is(hub.ErrProtected, hub.ErrExists):
		return answer(http.StatusConflict, "conflict")
	case is(hub.ErrLocked):
		e := answer(http.StatusConflict, "model_in_use")
		e.Retry = 5 * time.Second
		return e
	case is(engine.ErrContext, chat.ErrContext, generate.ErrPrompt):
		e := answer(http.StatusBadRequest, "context_length_exceeded")
		if long, ok := errors.AsType[*trit.ContextError](err); ok {
			e.Overflow = &Overflow{long.Tokens, max(long.Context, long.Room)}
		}
		return e
	case is(generate.ErrOptions, sample.ErrOption, chat.ErrMessage, chat.ErrRefused, trit.ErrNoTemplate,
		sample.ErrOrder, sample.ErrToken, sample.ErrNoCandidate,
		grammar.ErrSyntax, grammar.ErrUnsupported, grammar.ErrEmpty, grammar.ErrLeftRecursion, grammar.ErrTooLarge,
		grammar.ErrVocabulary, grammar.ErrLimit, grammar.ErrNoCompletion):
		return answer(http.StatusBadRequest, "invalid_value")
	case is(chat.ErrRender, chat.ErrLimit):
		return answer(http.StatusBadRequest, "invalid_prompt")
	case is(cache.ErrFull, trit.ErrMemory):
		e := answer(http.StatusServiceUnavailable, "out_of_memory")
		e.Retry = time.Second
		return e
	case is(mmap.ErrFault, gguf.ErrChanged):
		e := answer(http.StatusServiceUnavailable, "model_unavailable")
		e.Retry = time.Second
		return e
	case is(trit.ErrBroken):
		return &Error{Status: http.StatusInternalServerError, Code: "internal_error",
			Message: "an internal error has stopped the model, which is loaded again; the server's log has the details"}
	case is(engine.ErrClosed):
		e := answer(http.StatusServiceUnavailable, "shutting_down")
		e.Retry = time.Second
		return e
	}
	return answer(http.StatusInternalServerError, "internal_error")
}

// plainMessage returns an error's message without the name of the package that it
// comes from, which says nothing to clients.
func plainMessage(err error) string {
	message := err.Error()
	for _, name := range []string{"generate", "sample", "grammar", "engine", "cache", "hub", "trit"} {
		if rest, ok := strings.CutPrefix(message, name+": "); ok {
			return rest
		}
	}
	return message
}

// statusClientClosed is what logs and metrics show for requests whose client
// has gone; nobody receives it. The number is the one that nginx uses.
const statusClientClosed = 499

var errClientGone = &Error{Status: statusClientClosed, Code: "cancelled", Message: "the client has gone"}

// Blame adds the field of the request that is at fault to an error, unless it
// names one already.
func Blame(err error, param string) error {
	if err == nil || param == "" {
		return err
	}
	e := *Classify(err)
	if e.Status != http.StatusBadRequest || e.Param != "" {
		return err
	}
	e.Param = param
	return &e
}

// blameOption is Blame for an option of the library that comes from a field.
func blameOption(err error, field string) error {
	e, ok := errors.AsType[*trit.OptionError](err)
	if !ok || field == "" {
		return Blame(err, field)
	}
	answer := *Classify(err)
	if answer.Status != http.StatusBadRequest {
		return err
	}
	answer.Param, answer.Message = field, field+": "+plainMessage(e.Err)
	return &answer
}
