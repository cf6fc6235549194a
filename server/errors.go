package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"trit"
	"trit/chat"
	"trit/grammar"
	"trit/hub"
	"trit/internal/cache"
	"trit/internal/engine"
	"trit/internal/generate"
	"trit/sample"
)

// apiError is an answer to a request that is not served. Each family of APIs
// writes it in its own form.
type apiError struct {
	status  int
	code    string        // for programs, such as "model_not_found"; may be empty
	param   string        // the field of the request at fault; may be empty
	message string        // for people: what is wrong, and what to do about it
	retry   time.Duration // when trying again makes sense; 0 if it does not
}

// Error returns the message.
func (e *apiError) Error() string { return e.message }

// badRequest reports a field of the request that cannot be used.
func badRequest(param, format string, args ...any) *apiError {
	return &apiError{status: http.StatusBadRequest, code: "invalid_value", param: param, message: fmt.Sprintf(format, args...)}
}

// unsupported reports a field that this server knows and does not serve.
func unsupported(param, format string, args ...any) *apiError {
	return &apiError{status: http.StatusBadRequest, code: "unsupported_parameter", param: param, message: fmt.Sprintf(format, args...)}
}

// classify turns any error into the answer to give.
func classify(err error) *apiError {
	if e, ok := errors.AsType[*apiError](err); ok {
		return e
	}
	answer := func(status int, code string) *apiError {
		return &apiError{status: status, code: code, message: plainMessage(err)}
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
		return &apiError{status: http.StatusGatewayTimeout, code: "timeout", message: "the request took longer than this server allows; ask for fewer tokens or raise --request-timeout"}
	case is(context.Canceled):
		return errClientGone
	case is(hub.ErrNotFound, hub.ErrName):
		return answer(http.StatusNotFound, "model_not_found")
	case is(hub.ErrProtected, hub.ErrExists):
		return answer(http.StatusConflict, "conflict")
	case is(hub.ErrLocked):
		e := answer(http.StatusConflict, "model_in_use")
		e.retry = 5 * time.Second
		return e
	case is(engine.ErrContext, chat.ErrContext, generate.ErrPrompt):
		return answer(http.StatusBadRequest, "context_length_exceeded")
	case is(generate.ErrOptions, sample.ErrOption, chat.ErrMessage, chat.ErrRefused, trit.ErrNoTemplate,
		sample.ErrOrder, sample.ErrToken, sample.ErrNoCandidate,
		grammar.ErrSyntax, grammar.ErrUnsupported, grammar.ErrEmpty, grammar.ErrLeftRecursion, grammar.ErrTooLarge,
		grammar.ErrVocabulary, grammar.ErrLimit, grammar.ErrNoCompletion):
		return answer(http.StatusBadRequest, "invalid_value")
	case is(chat.ErrRender, chat.ErrLimit):
		return answer(http.StatusBadRequest, "invalid_prompt")
	case is(cache.ErrFull, trit.ErrMemory):
		e := answer(http.StatusServiceUnavailable, "out_of_memory")
		e.retry = time.Second
		return e
	case is(engine.ErrClosed):
		e := answer(http.StatusServiceUnavailable, "shutting_down")
		e.retry = time.Second
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

var errClientGone = &apiError{status: statusClientClosed, code: "cancelled", message: "the client has gone"}
