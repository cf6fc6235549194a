package otlp

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// Span is a piece of work with its place in a trace.
type Span struct {
	Trace      TraceID
	ID, Parent SpanID // the parent is zero where a trace begins
	State      string // of the header tracestate
	Name       string
	Kind       Kind
	Start, End time.Time
	Attributes []Attribute
	Error      string // why it failed; empty if it did not
}

// TraceID and SpanID name a trace and its spans; zero is no name.
type (
	TraceID [16]byte
	SpanID  [8]byte
)

// Kind says what a span is to its parent.
type Kind int

// The kinds that there are here, with their numbers in OTLP.
const (
	Internal Kind = 1
	Server   Kind = 2
)

// Attribute is a string, a bool, an int64 or a float64 with a name.
type Attribute struct {
	Name  string
	Value any
}

// Parent is what the headers traceparent and tracestate say of a caller.
type Parent struct {
	Trace   TraceID
	Span    SpanID
	Sampled bool
	State   string
}

// maxTraceState is how long a tracestate may be: the specification asks that 512 bytes are kept.
const maxTraceState = 512

// ParseParent reads the headers; what is not valid counts as not there.
func ParseParent(traceparent, tracestate string) (p Parent, ok bool) {
	parts := strings.Split(traceparent, "-")
	if len(parts) < 4 || len(parts[0]) != 2 || parts[0] == "ff" || parts[0] == "00" && len(parts) != 4 || len(parts[3]) != 2 {
		return Parent{}, false
	}
	var version, flags [1]byte
	if !fromHex(version[:], parts[0]) || !fromHex(p.Trace[:], parts[1]) || !fromHex(p.Span[:], parts[2]) || !fromHex(flags[:], parts[3]) ||
		p.Trace == (TraceID{}) || p.Span == (SpanID{}) {
		return Parent{}, false
	}
	p.Sampled = flags[0]&1 != 0
	if len(tracestate) <= maxTraceState {
		p.State = tracestate
	}
	return p, true
}

// fromHex decodes lower-case digits of exactly the right number.
func fromHex(into []byte, text string) bool {
	if len(text) != 2*len(into) || strings.ToLower(text) != text {
		return false
	}
	_, err := hex.Decode(into, []byte(text))
	return err == nil
}

// Begin returns a span for a request with these headers, and whether it is to be sent.
func (s Sampler) Begin(traceparent, tracestate string) (*Span, bool) {
	span := &Span{ID: newSpanID(), Kind: Server}
	parent, ok := ParseParent(traceparent, tracestate)
	if ok {
		span.Trace, span.Parent, span.State = parent.Trace, parent.Span, parent.State
	} else {
		rand.Read(span.Trace[:])
	}
	if ok && s.ParentBased {
		return span, parent.Sampled
	}
	// As the SDKs do, so that all services of a trace decide alike.
	return span, s.Ratio >= 1 || binary.BigEndian.Uint64(span.Trace[8:])>>1 < uint64(s.Ratio*(1<<63))
}

// Child returns a span within another.
func (s *Span) Child(name string, start, end time.Time) *Span {
	return &Span{Trace: s.Trace, ID: newSpanID(), Parent: s.ID, State: s.State, Name: name, Kind: Internal, Start: start, End: end}
}

func newSpanID() (id SpanID) {
	rand.Read(id[:])
	return id
}

// The JSON form of OTLP: ids in hexadecimal digits, 64-bit integers as text.
type (
	exportRequest struct {
		ResourceSpans []resourceSpans `json:"resourceSpans"`
	}
	resourceSpans struct {
		Resource   resource     `json:"resource"`
		ScopeSpans []scopeSpans `json:"scopeSpans"`
	}
	resource struct {
		Attributes []keyValue `json:"attributes"`
	}
	scopeSpans struct {
		Scope scope      `json:"scope"`
		Spans []wireSpan `json:"spans"`
	}
	scope struct {
		Name    string `json:"name"`
		Version string `json:"version,omitempty"`
	}
	wireSpan struct {
		TraceID    string     `json:"traceId"`
		SpanID     string     `json:"spanId"`
		TraceState string     `json:"traceState,omitempty"`
		ParentID   string     `json:"parentSpanId,omitempty"`
		Flags      int        `json:"flags"` // sampled
		Name       string     `json:"name"`
		Kind       Kind       `json:"kind"`
		Start      string     `json:"startTimeUnixNano"`
		End        string     `json:"endTimeUnixNano"`
		Attributes []keyValue `json:"attributes,omitempty"`
		Status     *status    `json:"status,omitempty"`
	}
	status struct {
		Code    int    `json:"code"`
		Message string `json:"message,omitempty"`
	}
	keyValue struct {
		Key   string         `json:"key"`
		Value map[string]any `json:"value"`
	}
)

// statusError is OTLP's code of a span that failed.
const statusError = 2

func (s *Span) wire() wireSpan {
	w := wireSpan{
		TraceID: hex.EncodeToString(s.Trace[:]), SpanID: hex.EncodeToString(s.ID[:]), TraceState: s.State, Flags: 1,
		Name: s.Name, Kind: s.Kind,
		Start: strconv.FormatInt(s.Start.UnixNano(), 10), End: strconv.FormatInt(s.End.UnixNano(), 10),
	}
	if s.Parent != (SpanID{}) {
		w.ParentID = hex.EncodeToString(s.Parent[:])
	}
	for _, a := range s.Attributes {
		w.Attributes = append(w.Attributes, a.wire())
	}
	if s.Error != "" {
		w.Status = &status{statusError, s.Error}
	}
	return w
}

func (a Attribute) wire() keyValue {
	kv := keyValue{a.Name, nil}
	switch v := a.Value.(type) {
	case bool:
		kv.Value = map[string]any{"boolValue": v}
	case int64:
		kv.Value = map[string]any{"intValue": strconv.FormatInt(v, 10)}
	case float64:
		kv.Value = map[string]any{"doubleValue": v}
	case string:
		kv.Value = map[string]any{"stringValue": strings.ToValidUTF8(v, "\uFFFD")}
	}
	return kv
}
