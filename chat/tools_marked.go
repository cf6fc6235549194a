package chat

import (
	"bytes"
	"encoding/json"
	"strings"
)

// maxNameLength bounds the names of tools and arguments in the form of [ToolsNamed] and [ToolsTagged].
const maxNameLength = 256

// parseMarked reads calls of ToolsNamed and ToolsTagged: one, or all that are between Before and After.
func (p *ToolParser) parseMarked(final bool) (n int, calls []ToolCall, v verdict) {
	m := p.marks
	// What has been looked at is looked at again when it may be complete, or has grown by a share of itself.
	last := strings.TrimSpace(m.Close + m.After)
	if fresh := p.buf[max(0, p.looked-len(last)):]; !final && len(p.buf) < p.looked+p.looked/4 &&
		!bytes.Contains(fresh, []byte(last)) {
		return 0, nil, needMore
	}
	p.looked = len(p.buf)
	r := markReader{b: p.buf, final: final, v: isCall}
	r.mark(m.Before)
	var found []FunctionCall
	for more := true; more; {
		call := p.readMarked(&r)
		if r.v != isCall {
			return 0, nil, r.v
		}
		found = append(found, call)
		more = strings.TrimSpace(m.Before) != "" && r.next(strings.TrimSpace(m.Between+m.Open))
		if more {
			r.mark(m.Between)
		}
	}
	if r.end(m.After); r.v != isCall {
		return 0, nil, r.v
	}
	for _, call := range found {
		calls = append(calls, p.call("", call.Name, call.Arguments))
	}
	return r.i, calls, isCall
}

// readMarked reads one call.
func (p *ToolParser) readMarked(r *markReader) FunctionCall {
	m := p.marks
	r.mark(m.Open)
	var name string
	var arguments bytes.Buffer
	if p.format == ToolsNamed {
		name = r.name(m.Mid, "{")
		r.mark(m.Mid)
		arguments.Write(r.object())
	} else {
		name = r.name(m.Mid, m.ArgOpen, m.Close)
		r.mark(m.Mid)
		arguments.WriteByte('{')
		for r.next(m.ArgOpen) {
			r.mark(m.ArgOpen)
			key := r.name(m.ArgMid)
			value := r.value(m.ArgMid, m.ArgClose)
			if arguments.Len() > 1 {
				arguments.WriteByte(',')
			}
			quoted, _ := json.Marshal(key) // texts can be marshalled
			arguments.Write(quoted)
			arguments.WriteByte(':')
			arguments.Write(argumentValue(value, p.parameter(name, key)))
		}
		arguments.WriteByte('}')
	}
	r.end(m.Close)
	if r.v == isCall && (name == "" || !json.Valid(arguments.Bytes())) {
		r.v = malformed
	}
	return FunctionCall{name, arguments.String()}
}

// parameter returns the schema of a tool's parameter as far as it tells the type of values.
func (p *ToolParser) parameter(tool, name string) (s parameterSchema) {
	for _, t := range p.tools {
		if t.Function.Name == tool {
			var parameters struct{ Properties map[string]json.RawMessage }
			if json.Unmarshal(t.Function.Parameters, &parameters) == nil {
				_ = json.Unmarshal(parameters.Properties[name], &s) // a schema that says nothing of its type
			}
		}
	}
	return s
}

// parameterSchema is what of a schema tells whether a value is a text.
type parameterSchema struct {
	Type         json.RawMessage
	Enum         []any
	Const        any
	AnyOf, OneOf []parameterSchema
}

// allows reports whether values may be texts, and whether they may be something else.
func (s *parameterSchema) allows() (text, other bool) {
	values := s.Enum
	if s.Const != nil {
		values = []any{s.Const}
	}
	for _, v := range values {
		_, is := v.(string)
		text, other = text || is, other || !is
	}
	if len(values) > 0 {
		return text, other
	}
	var types []string
	if json.Unmarshal(s.Type, &types) != nil {
		var single string
		if json.Unmarshal(s.Type, &single) == nil && single != "" {
			types = []string{single}
		}
	}
	for _, t := range types {
		text, other = text || t == "string", other || t != "string"
	}
	if len(types) > 0 {
		return text, other
	}
	for _, list := range [][]parameterSchema{s.AnyOf, s.OneOf} {
		for i := range list {
			t, o := list[i].allows()
			text, other = text || t, other || o
		}
	}
	if !text && !other {
		return true, true
	}
	return text, other
}

// argumentValue returns a value as JSON. What may be a text and something else is what it looks like.
func argumentValue(value string, s parameterSchema) []byte {
	text, other := s.allows()
	if other {
		plain := strings.TrimSpace(value)
		if python, ok := map[string]string{"True": "true", "False": "false", "None": "null"}[plain]; ok {
			plain = python
		}
		if json.Valid([]byte(plain)) && (plain[0] != '"' || !text) {
			return []byte(plain)
		}
	}
	quoted, _ := json.Marshal(value) // texts can be marshalled
	return quoted
}

// markReader reads a text mark by mark, as long as v is isCall. White space around marks does not matter.
type markReader struct {
	b     []byte
	i     int
	final bool // no more text comes
	v     verdict
}

// next reports whether a mark comes next. It is needMore if that may be.
func (r *markReader) next(mark string) bool {
	mark = strings.TrimSpace(mark)
	rest := r.b[skipSpace(r.b, r.i):]
	if r.v != isCall || mark == "" {
		return false
	}
	if len(rest) < len(mark) && strings.HasPrefix(mark, string(rest)) && !r.final {
		r.v = needMore
	}
	return bytes.HasPrefix(rest, []byte(mark))
}

// mark reads a mark.
func (r *markReader) mark(mark string) {
	if mark = strings.TrimSpace(mark); r.next(mark) {
		r.i = skipSpace(r.b, r.i) + len(mark)
	} else if mark != "" && r.v == isCall {
		r.v = malformed
	}
}

// end reads a mark that may be missing at the end of the answer.
func (r *markReader) end(mark string) {
	if rest := r.b[skipSpace(r.b, r.i):]; r.v == isCall && r.final && strings.HasPrefix(strings.TrimSpace(mark), string(rest)) {
		r.i = len(r.b)
		return
	}
	r.mark(mark)
}

// name reads up to the first of some marks.
func (r *markReader) name(marks ...string) string {
	if r.v != isCall {
		return ""
	}
	rest := r.b[r.i:]
	n := -1
	for _, mark := range marks {
		if mark = strings.TrimSpace(mark); mark != "" {
			if i := bytes.Index(rest, []byte(mark)); i >= 0 && (n < 0 || i < n) {
				n = i
			}
		}
	}
	switch {
	case n < 0 && len(rest) <= maxNameLength:
		r.v = needMore
		return ""
	case n < 0 || n > maxNameLength:
		r.v = malformed
		return ""
	}
	r.i += n
	return strings.TrimSpace(string(rest[:n]))
}

// object reads an object of JSON.
func (r *markReader) object() []byte {
	if !r.next("{") {
		if r.v == isCall {
			r.v = malformed
		}
		return nil
	}
	start := skipSpace(r.b, r.i)
	end, v := new(jsonScanner).find(r.b, start)
	if r.v = v; v != isCall {
		return nil
	}
	r.i = end
	return r.b[start:end]
}

// value reads what is between two marks, and the marks. Only the line feeds that belong to them are left out.
func (r *markReader) value(open, end string) string {
	r.mark(open)
	if r.v != isCall {
		return ""
	}
	n := bytes.Index(r.b[r.i:], []byte(strings.TrimSpace(end)))
	if n < 0 {
		r.v = needMore
		return ""
	}
	value := string(r.b[r.i : r.i+n])
	r.i += n + len(strings.TrimSpace(end))
	if strings.HasSuffix(open, "\n") {
		value = strings.TrimPrefix(value, "\n")
	}
	if strings.HasPrefix(end, "\n") {
		value = strings.TrimSuffix(value, "\n")
	}
	return value
}
