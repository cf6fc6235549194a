package core

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// PlainFamily reports errors of endpoints that belong to no API.
var PlainFamily = &Family{Name: "plain", Error: plainError{}, WriteError: func(w http.ResponseWriter, e *Error) {
	// An error in writing means that the client has gone.
	_ = WriteJSON(w, e.Status, plainError{plainCause{Message: e.Message, Type: "error", Code: e.Code}})
}}

type plainError struct {
	Error plainCause `json:"error"`
}

type plainCause struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Type    string `json:"type"`
}

// Route is one endpoint.
type Route struct {
	// pattern is that of http.ServeMux, with the method.
	Pattern string
	Family  *Family
	// FamilyOf says whose form of errors the client of a request expects, where two APIs
	// have the same path; nil: Family's.
	FamilyOf func(r *http.Request) *Family
	Access   access
	// Streams says that the body may have any length, as it is not kept in memory: each part of it
	// must come in the time that the body of another request has.
	Streams bool
	// handle answers the request, or returns an error that the family writes.
	// Once it has begun to answer it must report errors in the stream itself
	// and return errAnswered.
	Handle func(w http.ResponseWriter, r *http.Request) error
}

// access says who may use a route.
type access int

const (
	accessKey   access = iota // whoever has an API key, where keys are asked for
	AccessOpen                // everybody: health, the page
	AccessAdmin               // whoever has an admin key, or everybody if the operator says so
)

// family returns the one whose form of errors the client of a request expects.
func (rt *Route) family(r *http.Request) *Family {
	if rt.FamilyOf != nil {
		return rt.FamilyOf(r)
	}
	return rt.Family
}

// Family is a group of endpoints with one way to report errors.
type Family struct {
	Name       string
	WriteError func(w http.ResponseWriter, e *Error)
	Error      any // of the type that WriteError sends, for the document
}

// ErrAnswered is returned by handlers that have already told the client what
// went wrong.
var ErrAnswered = errors.New("server: the client has been told")

// handler wraps a route's function: errors become answers.
func (rt *Route) handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := rt.Handle(w, r)
		if err == nil || errors.Is(err, ErrAnswered) {
			return
		}
		rt.fail(w, r, err)
	})
}

// fail answers a request with an error.
func (rt *Route) fail(w http.ResponseWriter, r *http.Request, err error) {
	err = stopped(r.Context(), err)
	_, answer := errors.AsType[*Error](err)
	if r.Context().Err() != nil && !isTimeout(r.Context()) && !answer {
		noteFailure(r, errClientGone)
		return
	}
	e := Classify(err)
	noteFailure(r, e)
	if e.Retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(max(1, int(e.Retry.Seconds()+0.5))))
	}
	rt.family(r).WriteError(w, e)
}

// ReadJSON reads the body of a request into v, which is a pointer to a struct.
// Fields that v does not have are ignored, as the APIs' own servers do; the client is told
// of those that the table of contracts does not call inert.
func ReadJSON(r *http.Request, v any) error {
	if t := r.Header.Get("Content-Type"); t != "" {
		media, _, err := mime.ParseMediaType(t)
		// curl -d says that everything is a form unless told otherwise. Forms of
		// other sites' pages do not come this far.
		if err != nil || media != "application/json" && !strings.HasSuffix(media, "+json") &&
			media != "application/x-www-form-urlencoded" {
			return &Error{Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type",
				Message: fmt.Sprintf("Content-Type is %q; send application/json", t)}
		}
	}
	dec := json.NewDecoder(r.Body)
	var body json.RawMessage
	if err := dec.Decode(&body); err != nil {
		return bodyError(err)
	}
	if Decoding != nil {
		Decoding(v)
	}
	var c *Contract
	if b, ok := v.(Bound); ok {
		c = ContractOf(b.API())
	}
	ignored, err := checkFields(body, c)
	if err != nil {
		return err
	}
	SayIgnored(r, ignored)
	if err := decode(body, v); err != nil {
		return bodyError(err)
	}
	if s, ok := v.(interface{ Salt() string }); ok {
		recordIn(r.Context()).cacheSalt = s.Salt()
	}
	if _, err := dec.Token(); err != io.EOF {
		if err == nil {
			err = errors.New("more than one JSON value")
		}
		return bodyError(err)
	}
	return nil
}

// maxFractions bounds how many whole numbers of a request may be written with a fraction,
// fractionBytes how much is read again for them.
const (
	maxFractions  = 64
	fractionBytes = 2 << 20
)

// decode is json.Unmarshal that takes 3.0 and 3e2 for whole numbers: some languages
// write all numbers so.
func decode(data []byte, v any) error {
	for range min(maxFractions, 1+fractionBytes/(len(data)+1)) {
		err := json.Unmarshal(data, v)
		e, ok := errors.AsType[*json.UnmarshalTypeError](err)
		if !ok {
			return err
		}
		number, isNumber := strings.CutPrefix(e.Value, "number ")
		x, parseErr := strconv.ParseFloat(number, 64)
		if !isNumber || parseErr != nil || x != math.Trunc(x) || math.Abs(x) > 1<<53 || !strings.ContainsAny(number, ".eE") {
			return err
		}
		// The offset is where the value ends, but counts from the value of a field
		// that decodes itself.
		whole, end := strconv.FormatInt(int64(x), 10), int(e.Offset)
		if end > len(data) || !bytes.HasSuffix(data[:end], []byte(number)) {
			return err
		}
		data = slices.Concat(data[:end-len(number)], []byte(whole), data[end:])
	}
	return json.Unmarshal(data, v)
}

// bodyError says what is wrong with a request's body.
func bodyError(err error) error {
	if e, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge(e.Limit)
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		field, want := jsonPath(e.Field), typeName(e.Type.String())
		if number, ok := strings.CutPrefix(e.Value, "number "); ok &&
			(want == "a number" || want == "a whole number" && !strings.ContainsAny(number, ".eE")) {
			want += " of a size that can be computed with"
		}
		return &Error{Status: http.StatusBadRequest, Code: "invalid_type", Param: field,
			Message: fmt.Sprintf("%s is a JSON %s, which does not fit; want %s", fieldName(field), e.Value, want)}
	}
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return &Error{Status: http.StatusBadRequest, Code: "invalid_json",
			Message: fmt.Sprintf("the request's body is not valid JSON: %v at byte %d", e, e.Offset)}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &Error{Status: http.StatusBadRequest, Code: "invalid_json",
			Message: "the request's body is empty or ends too early; send a JSON object"}
	}
	return &Error{Status: http.StatusBadRequest, Code: "invalid_json",
		Message: "the request's body cannot be read: " + err.Error()}
}

// jsonPath leaves the names of embedded structs out of a path to a field. These
// are the ones in mixed case, which no field of a request has.
func jsonPath(path string) string {
	steps := strings.Split(path, ".")
	return strings.Join(slices.DeleteFunc(steps, func(s string) bool { return s != strings.ToLower(s) }), ".")
}

func fieldName(field string) string {
	if field == "" {
		return "the request's body"
	}
	return field
}

// typeName says what a Go type is called in JSON.
func typeName(t string) string {
	t = strings.TrimLeft(t, "*")
	switch {
	case strings.HasPrefix(t, "[]"):
		return "an array"
	case strings.HasPrefix(t, "map["), strings.HasPrefix(t, "struct {"), strings.Contains(t, "."):
		return "an object"
	case t == "string":
		return "a string"
	case t == "bool":
		return "true or false"
	case strings.HasPrefix(t, "float"):
		return "a number"
	case strings.Contains(t, "int"):
		return "a whole number"
	}
	return t
}

// WriteJSON answers with a JSON value.
func WriteJSON(w http.ResponseWriter, status int, v any) error {
	body, err := marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if _, err := w.Write(body); err != nil {
		return ErrAnswered // the client has gone
	}
	return nil
}

// marshal is json.Marshal without escaping <, > and &, and with a line end.
func marshal(v any) ([]byte, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return []byte(b.String()), nil
}
