package chat

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"strings"
)

// ToolFormat is a form in which models write tool calls.
type ToolFormat uint8

// The known forms.
const (
	// ToolsNone: everything is content.
	ToolsNone ToolFormat = iota
	// ToolsHermes: <tool_call>{"name": …, "arguments": {…}}</tool_call>, of Hermes and Qwen.
	ToolsHermes
	// ToolsLlama: the whole answer is {"name": …, "parameters": {…}}, of Llama-3.1.
	ToolsLlama
	// ToolsMistral: [TOOL_CALLS] and a list of calls, or a name and its arguments.
	ToolsMistral
	// ToolsNamed: a name and an object of arguments between the marks of the template.
	ToolsNamed
	// ToolsTagged: a name and the arguments one by one between the marks of the template, texts as they are.
	ToolsTagged
)

// String returns "none", "hermes", "llama", "mistral", "named" or "tagged".
func (f ToolFormat) String() string {
	switch f {
	case ToolsHermes:
		return "hermes"
	case ToolsLlama:
		return "llama"
	case ToolsMistral:
		return "mistral"
	case ToolsNamed:
		return "named"
	case ToolsTagged:
		return "tagged"
	}
	return "none"
}

const (
	hermesOpen  = "<tool_call>"
	hermesClose = "</tool_call>"
	mistralOpen = "[TOOL_CALLS]"
	mistralArgs = "[ARGS]"
	mistralID   = "[CALL_ID]"
	pythonTag   = "<|python_tag|>"
)

// ParseToolCalls splits a complete answer into its content and its tool calls. What looks like a
// call but is malformed stays content.
func ParseToolCalls(text string, syntax ToolSyntax, tools ...Tool) (content string, calls []ToolCall) {
	p := NewToolParser(syntax, tools...)
	content, calls = p.Write(text)
	rest, more := p.Close()
	return content + rest, append(calls, more...)
}

// ToolParser finds tool calls in an answer that arrives in pieces. Text that may still turn
// out to belong to a call is withheld until that is decided; in particular no part of a tag is
// ever returned as content. However an answer is cut into pieces, the sum is the same.
type ToolParser struct {
	// NewID makes the ids of calls that have none; by default nine random letters and digits.
	NewID func() string

	format ToolFormat
	marks  *ToolMarks
	tools  []Tool
	buf    []byte // what is withheld; starts with the opening tag while inCall
	space  []byte // white space before the opening tag
	inCall bool
	skip   int  // length of the opening tag
	called bool // a call was found
	plain  bool // everything from here on is content
	scan   jsonScanner
	looked int       // bytes looked at of an open call of ToolsNamed or ToolsTagged
	wasted int       // bytes read of what turned out to be no call
	found  int       // complete calls
	part   *callPart // of the call that is open, once its arguments have begun
	parts  []CallPart
	// spareID is that of a call that turned out to be none.
	spareID string
}

// NewToolParser returns a parser for one answer. The schemas of tools tell what is a text where calls do not.
func NewToolParser(syntax ToolSyntax, tools ...Tool) *ToolParser {
	return &ToolParser{
		NewID: newCallID, format: syntax.Format, marks: &syntax.Marks, tools: tools, plain: syntax.Format == ToolsNone,
	}
}

// newCallID returns nine letters and digits, the only form that Mistral's templates accept.
func newCallID() string { return strings.ToLower(rand.Text()[:9]) }

// Write takes the next piece of the answer and returns the content and the complete calls that it settles.
func (p *ToolParser) Write(piece string) (content string, calls []ToolCall) {
	if p.plain {
		return piece, nil
	}
	p.buf = append(p.buf, piece...)
	return p.advance(false)
}

// Close ends the answer and returns what was withheld.
func (p *ToolParser) Close() (content string, calls []ToolCall) {
	content, calls = p.advance(true)
	rest := string(p.space) + string(p.buf)
	p.space, p.buf, p.plain = nil, nil, true
	if p.called && strings.TrimSpace(rest) == "" {
		rest = ""
	}
	return content + rest, calls
}

// Cut is Close for an answer that was ended by a limit: what may have become a call is
// neither a call nor content, as no mark of a call is ever shown.
func (p *ToolParser) Cut() (content string, calls []ToolCall) {
	content, calls = p.advance(false)
	if p.inCall {
		// Of ToolsTagged more arguments may have come.
		if _, found, v := p.parseCall(p.format != ToolsTagged); v == isCall { // only its closing mark is missing
			calls = append(calls, found...)
			p.complete(found)
		}
	} else {
		content += string(p.buf[:skipSpace(p.buf, 0)])
	}
	p.space, p.buf, p.inCall, p.plain = nil, nil, false, true
	return content, calls
}

type verdict uint8

const (
	needMore  verdict = iota // the text so far may become a call
	isCall                   // a complete call
	malformed                // no call
)

func (p *ToolParser) advance(final bool) (string, []ToolCall) {
	var content []byte
	var calls []ToolCall
	for {
		if p.plain {
			content = append(append(content, p.space...), p.buf...)
			p.space, p.buf = nil, nil
			break
		}
		if !p.inCall {
			text, more := p.findOpen()
			content = append(content, text...)
			if !more {
				break
			}
			continue
		}
		n, found, v := p.parseCall(final)
		if v == needMore {
			p.grow()
			break
		}
		if v == isCall {
			calls = append(calls, found...)
			p.complete(found)
			p.buf = p.buf[n:]
		} else { // the tag is content after all; a call may follow it
			p.giveUp()
			content = append(append(content, p.space...), p.buf[:p.skip]...)
			p.buf = p.buf[p.skip:]
			p.plain = p.plain || p.format == ToolsLlama || p.wasted > maxWasted
		}
		p.space, p.inCall = nil, false
	}
	return string(content), calls
}

// maxWasted bounds the bytes that are read of calls that turn out to be none, each of which may have the next within.
// Behind so many everything is content.
const maxWasted = 1 << 24

// findOpen looks for the next opening tag. It returns the content before it, and whether
// the state changed so that there is more to do.
func (p *ToolParser) findOpen() (content []byte, more bool) {
	if p.format == ToolsLlama {
		return nil, p.findLlama()
	}
	tag := hermesOpen
	switch p.format {
	case ToolsMistral:
		tag = mistralOpen
	case ToolsNamed, ToolsTagged:
		tag = p.marks.first()
	}
	i := bytes.Index(p.buf, []byte(tag))
	found := i >= 0
	if !found {
		i = len(p.buf) - partialTag(p.buf, tag)
	}
	before := p.buf[:i]
	kept := bytes.TrimRight(before, " \t\r\n")
	if found {
		p.space = append([]byte(nil), before[len(kept):]...)
		p.buf = p.buf[i:]
		p.open(len(tag))
		return append([]byte(nil), kept...), true
	}
	content = append([]byte(nil), kept...)
	p.buf = append(p.buf[:0], p.buf[len(kept):]...)
	return content, false
}

func (p *ToolParser) open(skip int) {
	p.inCall, p.skip, p.scan, p.part, p.looked = true, skip, jsonScanner{}, nil, 0
}

// findLlama looks for a call at the start of the answer, or after another call.
func (p *ToolParser) findLlama() (more bool) {
	separators := " \t\r\n"
	if p.called {
		separators += ";"
	}
	rest := bytes.TrimLeft(p.buf, separators)
	space := p.buf[:len(p.buf)-len(rest)]
	tag := 0
	if bytes.HasPrefix(rest, []byte(pythonTag)) {
		tag = len(pythonTag)
	}
	body := bytes.TrimLeft(rest[tag:], " \t\r\n")
	switch {
	case len(body) == 0 || tag == 0 && strings.HasPrefix(pythonTag, string(body)):
		return false
	case body[0] != '{':
		p.plain = true
		return true
	}
	p.space = append([]byte(nil), space...)
	p.buf = append([]byte(nil), rest...)
	p.open(len(rest) - len(body))
	return true
}

// partialTag returns how many bytes at the end of buf may be the beginning of tag.
func partialTag(buf []byte, tag string) int {
	for n := min(len(tag)-1, len(buf)); n > 0; n-- {
		if string(buf[len(buf)-n:]) == tag[:n] {
			return n
		}
	}
	return 0
}

// parseCall judges the text after the opening tag, and returns how much of buf the call takes.
func (p *ToolParser) parseCall(final bool) (n int, calls []ToolCall, v verdict) {
	switch p.format {
	case ToolsHermes:
		n, calls, v = p.parseHermes(final)
	case ToolsLlama:
		n, calls, v = p.parseObject(p.skip)
	case ToolsNamed, ToolsTagged:
		n, calls, v = p.parseMarked(final)
	default:
		n, calls, v = p.parseMistral()
	}
	if v == needMore && final {
		v = malformed
	}
	return n, calls, v
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && strings.IndexByte(" \t\r\n", b[i]) >= 0 {
		i++
	}
	return i
}

// parseObject reads one call object that starts at i.
func (p *ToolParser) parseObject(i int) (n int, calls []ToolCall, v verdict) {
	end, v := p.scan.find(p.buf, i)
	if v != isCall {
		return 0, nil, v
	}
	call, ok := p.decodeCall(p.buf[i:end])
	if !ok {
		return 0, nil, malformed
	}
	return end, []ToolCall{call}, isCall
}

func (p *ToolParser) parseHermes(final bool) (int, []ToolCall, verdict) {
	i := skipSpace(p.buf, p.skip)
	if i == len(p.buf) {
		return 0, nil, needMore
	}
	if p.buf[i] != '{' {
		return 0, nil, malformed
	}
	end, v := p.scan.find(p.buf, i)
	if v != isCall {
		return 0, nil, v
	}
	next := skipSpace(p.buf, end)
	rest := p.buf[next:]
	switch {
	case bytes.HasPrefix(rest, []byte(hermesClose)):
		next += len(hermesClose)
	case !strings.HasPrefix(hermesClose, string(rest)):
		return 0, nil, malformed
	case !final:
		return 0, nil, needMore
	default: // the model stopped before it closed the tag
		next = len(p.buf)
	}
	call, ok := p.decodeCall(p.buf[i:end])
	if !ok {
		return 0, nil, malformed
	}
	return next, []ToolCall{call}, isCall
}

// parseMistral reads [{…}, …], or name{…}, name[ARGS]{…} and name[CALL_ID]id[ARGS]{…}.
func (p *ToolParser) parseMistral() (int, []ToolCall, verdict) {
	i := skipSpace(p.buf, p.skip)
	if i == len(p.buf) {
		return 0, nil, needMore
	}
	if p.buf[i] == '[' {
		end, v := p.scan.find(p.buf, i)
		if v != isCall {
			return 0, nil, v
		}
		var items []json.RawMessage
		if json.Unmarshal(p.buf[i:end], &items) != nil || len(items) == 0 {
			return 0, nil, malformed
		}
		var calls []ToolCall
		for _, item := range items {
			call, ok := p.decodeCall(item)
			if !ok {
				return 0, nil, malformed
			}
			calls = append(calls, call)
		}
		return end, calls, isCall
	}
	name, i := word(p.buf, i)
	if name == "" || len(name) > 256 {
		return 0, nil, malformed
	}
	id := ""
	for _, tag := range []string{mistralID, mistralArgs} {
		rest := p.buf[i:]
		if bytes.HasPrefix(rest, []byte(tag)) {
			i += len(tag)
			if tag == mistralID {
				id, i = word(p.buf, i)
			}
		} else if len(rest) < len(tag) && strings.HasPrefix(tag, string(rest)) {
			return 0, nil, needMore
		}
	}
	i = skipSpace(p.buf, i)
	if i == len(p.buf) {
		return 0, nil, needMore
	}
	if p.buf[i] != '{' {
		return 0, nil, malformed
	}
	end, v := p.scan.find(p.buf, i)
	if v != isCall {
		return 0, nil, v
	}
	if !json.Valid(p.buf[i:end]) {
		return 0, nil, malformed
	}
	return end, []ToolCall{p.call(id, name, string(p.buf[i:end]))}, isCall
}

// word reads the letters, digits, '_', '-' and '.' that start at i.
func word(b []byte, i int) (string, int) {
	start := i
	for i < len(b) && (b[i] == '_' || b[i] == '-' || b[i] == '.' || b[i] >= '0' && b[i] <= '9' || b[i]|0x20 >= 'a' && b[i]|0x20 <= 'z') {
		i++
	}
	return string(b[start:i]), i
}

// decodeCall reads {"name": …, "arguments" or "parameters": {…}, "id": …}.
func (p *ToolParser) decodeCall(raw []byte) (ToolCall, bool) {
	var in struct {
		ID         string          `json:"id"`
		Name       string          `json:"name"`
		Arguments  json.RawMessage `json:"arguments"`
		Parameters json.RawMessage `json:"parameters"`
	}
	if json.Unmarshal(raw, &in) != nil || in.Name == "" {
		return ToolCall{}, false
	}
	args := in.Arguments
	if args == nil {
		if in.Parameters == nil && p.format == ToolsLlama {
			return ToolCall{}, false // any JSON object with a name would pass
		}
		args = in.Parameters
	}
	text, err := argumentText(args)
	if err != nil || !json.Valid([]byte(text)) || !strings.HasPrefix(strings.TrimSpace(text), "{") {
		return ToolCall{}, false
	}
	return p.call(in.ID, in.Name, text), true
}

func (p *ToolParser) call(id, name, args string) ToolCall {
	if p.part != nil {
		id = p.part.id // as it has been told
	} else if id == "" {
		id = p.newID()
	}
	return ToolCall{ID: id, Type: "function", Function: FunctionCall{Name: name, Arguments: args}}
}

// jsonScanner finds where an object or list ends, without looking at any byte twice.
type jsonScanner struct {
	pos     int
	depth   int
	end     int // once found
	quoted  bool
	escaped bool
}

// find scans from start on, or from where it stopped before.
func (s *jsonScanner) find(b []byte, start int) (end int, v verdict) {
	if s.end > 0 {
		return s.end, isCall
	}
	for s.pos = max(s.pos, start); s.pos < len(b); s.pos++ {
		c := b[s.pos]
		switch {
		case s.escaped:
			s.escaped = false
		case s.quoted:
			s.escaped = c == '\\'
			s.quoted = c != '"'
		case c == '"':
			s.quoted = true
		case c == '{' || c == '[':
			s.depth++
		case c == '}' || c == ']':
			if s.depth--; s.depth == 0 {
				s.end = s.pos + 1
				return s.end, isCall
			}
		}
	}
	return 0, needMore
}
