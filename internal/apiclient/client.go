// Package apiclient talks with a server: Trit's own, or another with OpenAI's API.
package apiclient

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Server is where requests go.
type Server struct {
	URL  string // without the paths of an API
	Key  string // "" for none
	HTTP *http.Client
	// Patience is how long a request waits in all for a server that has no room for it; 0 waits not at all.
	// Busy, if it is set, is told of each wait.
	Patience time.Duration
	Busy     func(why *Error, wait time.Duration)
}

// ErrNoAnswer: there is no server, or none that talks HTTP.
var ErrNoAnswer = errors.New("no answer")

// ErrForeign: what answers is no server of the API that was asked.
var ErrForeign = errors.New("not the answer of such an API")

// Bounds of what is read of answers, in bytes.
const (
	maxFailure = 1 << 20
	maxEvent   = 16 << 20 // of a stream
)

// How long a request waits that a server has no room for and says no time for.
const (
	firstPause = 100 * time.Millisecond
	maxPause   = 2 * time.Second
)

// Do sends a request with a body in JSON, nil for none. An answer of another status than 200 is no error.
func (s *Server) Do(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, s.URL+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if s.Key != "" {
		r.Header.Set("Authorization", "Bearer "+s.Key)
	}
	answer, err := s.HTTP.Do(r)
	switch outer, ok := errors.AsType[*url.Error](err); {
	case err == nil:
		return answer, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case ok: // it names the address, as this error does
		err = outer.Err
	}
	return nil, fmt.Errorf("%w of a server at %s: %w", ErrNoAnswer, s.URL, err)
}

// Send is Do that waits as long as Patience allows for a server that has no room. An answer of another status than
// 200 is an [*Error].
func (s *Server) Send(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	waited := time.Duration(0)
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		answer, err := s.Do(ctx, method, path, data)
		if err != nil || answer.StatusCode == http.StatusOK {
			return answer, err
		}
		failed := s.failure(answer)
		wait := cmp.Or(failed.RetryAfter, pause)
		if !failed.Busy() || waited+wait > s.Patience {
			return nil, failed
		}
		if s.Busy != nil {
			s.Busy(failed, wait)
		}
		select {
		case <-time.After(wait):
			waited += wait
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ctx.Err(), failed)
		}
	}
}

// Call is Send that decodes the answer, of at most so many bytes.
func (s *Server) Call(ctx context.Context, method, path string, body, into any, limit int64) error {
	answer, err := s.Send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(io.LimitReader(answer.Body, limit+1))
	switch {
	case err != nil:
		return fmt.Errorf("the answer of %s%s: %w", s.URL, path, err)
	case int64(len(data)) > limit:
		return fmt.Errorf("the answer of %s%s has more than %d bytes", s.URL, path, limit)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return s.Foreign(path, answer, err)
	}
	return nil
}

// Foreign says that an answer is none of the API.
func (s *Server) Foreign(path string, answer *http.Response, why error) error {
	return fmt.Errorf("%s%s answers with %q: %w; is this the address of the API? %w", s.URL, path,
		cmp.Or(answer.Header.Get("Content-Type"), "no type"), ErrForeign, why)
}

// Error is an answer of another status than 200.
type Error struct {
	URL        string
	Status     int
	Message    string // what the server says
	Param      string // the field that is wrong
	Code, Type string
	RetryAfter time.Duration
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s answers with %d: %.300s", e.URL, e.Status, e.Message)
}

// Busy reports that the server had no room, and may have some later.
func (e *Error) Busy() bool {
	return e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable
}

// failure reads an answer of another status than 200.
func (s *Server) failure(answer *http.Response) *Error {
	defer answer.Body.Close()
	e := &Error{URL: s.URL, Status: answer.StatusCode}
	after := answer.Header.Get("Retry-After")
	if n, err := strconv.ParseInt(after, 10, 31); err == nil && n > 0 {
		e.RetryAfter = time.Duration(n) * time.Second
	} else if at, err := http.ParseTime(after); err == nil {
		e.RetryAfter = max(0, time.Until(at))
	}
	data, err := io.ReadAll(io.LimitReader(answer.Body, maxFailure))
	if err != nil {
		e.Message = fmt.Sprintf("%s, and then %v", answer.Status, err)
		return e
	}
	if !e.Read(data) {
		e.Message = string(bytes.TrimSpace(data))
		if start, _, page := bytes.Cut(bytes.TrimSpace(data), []byte(">")); page && bytes.HasPrefix(start, []byte("<")) {
			e.Message = http.StatusText(e.Status) + ", as a page for browsers; is this the address of the API?"
		}
	}
	e.Message = cmp.Or(e.Message, http.StatusText(e.Status), "nothing")
	return e
}

// Read takes what an answer in JSON says of a failure: in the forms of OpenAI, Ollama and FastAPI. It reports
// whether it says something.
func (e *Error) Read(data []byte) bool {
	var body struct {
		Error   json.RawMessage `json:"error"`
		Message string          `json:"message"`
		Detail  any             `json:"detail"`
	}
	if json.Unmarshal(data, &body) != nil {
		return false
	}
	var said struct {
		Message string `json:"message"`
		Type    string `json:"type"`
		Param   any    `json:"param"`
		Code    any    `json:"code"`
	}
	if json.Unmarshal(body.Error, &said) != nil && json.Unmarshal(body.Error, &said.Message) != nil {
		said.Message = body.Message
	}
	e.Message, e.Type = cmp.Or(said.Message, body.Message), said.Type
	if e.Message == "" && body.Detail != nil {
		e.Message = fmt.Sprint(body.Detail)
	}
	e.Param, _ = said.Param.(string)
	e.Code, _ = said.Code.(string)
	return e.Message != ""
}
