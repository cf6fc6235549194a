package chat

import (
	"bytes"
	"encoding/json"
)

// CallPart is what a piece of an answer adds to a call, complete or not. Its first part
// has the call's id and name; the arguments of all parts together are those of the call.
type CallPart struct {
	Index     int // of the call in the answer
	ID, Name  string
	Arguments string
}

// Parts returns what the pieces since the last call of Parts have added to calls. Calls in
// the form of Hermes grow with their arguments; those of other forms, which may turn out to
// be no call, come in one part when they are complete.
func (p *ToolParser) Parts() []CallPart {
	parts := p.parts
	p.parts = nil
	return parts
}

// InCall reports whether the answer so far ends within a call.
func (p *ToolParser) InCall() bool { return p.inCall }

// callPart is a call whose arguments have begun.
type callPart struct {
	id    string
	start int // of the arguments in the text that is withheld
	sent  int // bytes of them
	scan  jsonScanner
}

// maxCallHead bounds what a call may have before its arguments.
const maxCallHead = 1024

// grow tells what has come of the arguments of the call that is open.
func (p *ToolParser) grow() {
	if p.format != ToolsHermes {
		return
	}
	if p.part == nil {
		name, start, ok := callHead(p.buf[p.skip:min(len(p.buf), p.skip+maxCallHead)])
		if !ok {
			return
		}
		p.part = &callPart{id: p.newID(), start: p.skip + start}
		p.parts = append(p.parts, CallPart{Index: p.found, ID: p.part.id, Name: name})
	}
	end, v := p.part.scan.find(p.buf, p.part.start)
	if v == needMore {
		end = len(p.buf)
	}
	p.send(string(p.buf[p.part.start:end]))
}

// send tells what of the arguments has not been told yet.
func (p *ToolParser) send(arguments string) {
	fresh := arguments[p.part.sent:]
	if fresh == "" {
		return
	}
	p.part.sent = len(arguments)
	if n := len(p.parts); n > 0 && p.parts[n-1].Index == p.found {
		p.parts[n-1].Arguments += fresh
		return
	}
	p.parts = append(p.parts, CallPart{Index: p.found, Arguments: fresh})
}

// giveUp forgets an open call that turned out to be none, which texts without a constraint
// on calls may have.
func (p *ToolParser) giveUp() {
	p.wasted += p.scan.pos
	if p.part != nil {
		p.spareID, p.part = p.part.id, nil
		p.found++
	}
}

// newID returns the id of the next call.
func (p *ToolParser) newID() string {
	if id := p.spareID; id != "" {
		p.spareID = ""
		return id
	}
	return p.NewID()
}

// complete tells the rest of complete calls.
func (p *ToolParser) complete(calls []ToolCall) {
	p.called = true
	for _, c := range calls {
		if p.part != nil {
			p.send(c.Function.Arguments)
			p.part = nil
		} else {
			p.parts = append(p.parts, CallPart{Index: p.found, ID: c.ID, Name: c.Function.Name,
				Arguments: c.Function.Arguments})
		}
		p.found++
	}
}

// callHead reads the beginning of a call up to its arguments, which is {"name": NAME,
// "arguments": {, and returns where these begin. Calls of another order are told when they
// are complete.
func callHead(b []byte) (name string, start int, ok bool) {
	i := skipSpace(b, 0)
	word := func(text string) bool {
		if !bytes.HasPrefix(b[i:], []byte(text)) {
			return false
		}
		i = skipSpace(b, i+len(text))
		return true
	}
	if !word("{") || !word(`"name"`) || !word(":") {
		return "", 0, false
	}
	dec := json.NewDecoder(bytes.NewReader(b[i:]))
	if dec.Decode(&name) != nil || name == "" {
		return "", 0, false
	}
	i = skipSpace(b, i+int(dec.InputOffset()))
	if !word(",") || !word(`"arguments"`) || !word(":") || i == len(b) || b[i] != '{' {
		return "", 0, false
	}
	return name, i, true
}
