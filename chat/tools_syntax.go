package chat

import (
	"encoding/json"
	"fmt"
	"strings"
)

// How a template's models write calls is seen in what the template makes of calls that a conversation has.

// ToolSyntax is how a model writes calls.
type ToolSyntax struct {
	Format ToolFormat
	Marks  ToolMarks // of ToolsNamed and ToolsTagged
}

// ToolMarks are the texts around the parts of calls:
//
//	Before (Open NAME Mid ARGUMENTS Close) Between (Open NAME Mid ARGUMENTS Close) After
//
// where ARGUMENTS are an object of JSON or, of ToolsTagged, any number of ArgOpen NAME ArgMid VALUE ArgClose.
type ToolMarks struct {
	Before, After             string
	Open, Mid, Close          string
	Between                   string
	ArgOpen, ArgMid, ArgClose string
}

// first is the text that begins calls.
func (m *ToolMarks) first() string {
	if first := strings.TrimSpace(m.Before); first != "" {
		return first
	}
	return strings.TrimSpace(m.Open)
}

// Texts returns the texts of marks, for which a vocabulary may have tokens.
func (s ToolSyntax) Texts() []string {
	switch s.Format {
	case ToolsHermes:
		return []string{hermesOpen, hermesClose}
	case ToolsLlama:
		return []string{pythonTag}
	case ToolsMistral:
		return []string{mistralOpen}
	}
	var out []string
	m := &s.Marks
	for _, text := range []string{
		m.Before, m.After, m.Open, m.Mid, m.Close, m.Between, m.ArgOpen, m.ArgMid, m.ArgClose,
	} {
		for text != "" {
			n := TagLength(text)
			if n > 0 {
				out = append(out, text[:n])
			}
			text = text[max(n, 1):]
		}
	}
	return out
}

// TagLength returns the length of the tag, <…> or […], that a text begins with; 0 if it does not begin with one.
func TagLength(text string) int {
	for _, pair := range []string{"<>", "[]"} {
		if text != "" && text[0] == pair[0] {
			if end := strings.IndexAny(text[1:], pair); end > 0 && text[1+end] == pair[1] {
				return end + 2
			}
		}
	}
	return 0
}

// ToolSyntax returns how a model with this template writes calls: as the template writes those that
// a conversation has if that can be understood, otherwise judged by the words of the template; ToolsNone if the
// template knows no tools.
func (t *Template) ToolSyntax() ToolSyntax { return t.syntax() }

func (t *Template) findToolSyntax() ToolSyntax {
	known := ToolSyntax{Format: ToolsNone}
	switch src := t.source; {
	case strings.Contains(src, "[TOOL_CALLS]"):
		known.Format = ToolsMistral
	case strings.Contains(src, "<tool_call>"):
		known.Format = ToolsHermes
	case strings.Contains(src, "tools") && (strings.Contains(src, `"parameters"`) || strings.Contains(src, "<|python_tag|>")):
		known.Format = ToolsLlama
	}
	if known.Format == ToolsMistral || !strings.Contains(t.source, "tool_calls") {
		return known
	}
	if learnt, ok := t.learnToolSyntax(); ok {
		return learnt
	}
	return known
}

// Texts that the probes of calls consist of. They begin and end differently, so that what is around them is
// not taken for a part of them.
const (
	probeCall, probeOther = "qZ7call", "kX3other"
	probeKey, probeKey2   = "qZ7key", "kX3name"
	probeText, probeText2 = "qZ7text", "kX3word"
)

// learnToolSyntax reads the marks of calls from renders of conversations with one and two of them. What it finds
// counts only if it reads those calls as they were.
func (t *Template) learnToolSyntax() (ToolSyntax, bool) {
	args := func(keys ...string) string {
		return `{"` + keys[0] + `": "` + keys[1] + `", "` + keys[2] + `": "` + keys[3] + `"}`
	}
	one := ToolCall{"call00001", "function", FunctionCall{probeCall, args(probeKey, probeText, probeKey2, probeText2)}}
	two := ToolCall{"call00002", "function", FunctionCall{probeOther, args(probeKey2, probeText2, probeKey, probeText)}}
	var tools []Tool
	for _, name := range []string{probeCall, probeOther} {
		tools = append(tools, Tool{Type: "function", Function: Function{Name: name, Description: "d",
			Parameters: json.RawMessage(`{"type": "object", "properties": {}}`)}})
	}
	show := func(answer Message) string {
		in := Input{Messages: []Message{{Role: "user", Content: probeAsked}, answer}, Tools: tools, BOS: "<s>", EOS: "</s>"}
		out, err := t.render(&in, t.probe(), probeLimits)
		if err != nil {
			return ""
		}
		_, out, _ = cutLast(out, probeAsked)
		return out
	}
	head, tail, said := strings.Cut(show(Message{Role: "assistant", Content: probeSaid}), probeSaid)
	single := show(Message{Role: "assistant", ToolCalls: []ToolCall{one}})
	double := show(Message{Role: "assistant", ToolCalls: []ToolCall{one, two}})
	if !said || single == "" {
		return ToolSyntax{}, false
	}
	s, open, end, ok := readCall(single, one.Function)
	if !ok {
		return ToolSyntax{}, false
	}
	first := strings.TrimLeft(open[commonPrefix(head, open):], " \t\r\n")
	last := end
	for _, tail := range []string{tail, strings.TrimLeft(tail, " \t\r\n")} {
		if rest, found := strings.CutSuffix(end, tail); found {
			last = rest
			break
		}
	}
	last = strings.TrimRight(last, " \t\r\n")
	m := &s.Marks
	m.Open, m.Close = first, last
	through := single[:len(single)-len(end)] // the arguments of the first call
	if rest, found := strings.CutPrefix(double, through); found {
		between, _, found := strings.Cut(rest, probeOther)
		if !found {
			return ToolSyntax{}, false
		}
		n := commonPrefix(between, last)
		m.Close, m.After = last[:n], last[n:]
		between = between[n:]
		n = commonSuffix(between, first)
		m.Open, m.Before = first[len(first)-n:], first[:len(first)-n]
		m.Between = between[:len(between)-n]
	}
	if s.Format == ToolsTagged {
		n := commonSuffix(m.Mid, m.ArgClose) // which is all that is between two arguments
		m.ArgOpen = m.Mid[len(m.Mid)-n:]
		m.Mid, m.ArgClose = m.Mid[:len(m.Mid)-n], m.ArgClose[:len(m.ArgClose)-n]
		var found bool
		if m.Close, found = strings.CutPrefix(m.Close, m.ArgClose); !found || strings.TrimSpace(m.ArgClose) == "" ||
			strings.TrimSpace(m.ArgOpen) == "" || strings.TrimSpace(m.ArgMid) == "" {
			return ToolSyntax{}, false
		}
	}
	for _, id := range []string{one.ID, two.ID} {
		if strings.Contains(single+double, id) {
			return ToolSyntax{}, false // models do not know what comes next
		}
	}
	if TagLength(m.first()) == 0 || strings.TrimSpace(m.Mid+m.Close) == "" {
		return ToolSyntax{}, false // a text could begin like that
	}
	for _, want := range [][]ToolCall{{one}, {one, two}} {
		text, shown := m.write(s.Format, want), single
		if len(want) > 1 {
			shown = double
		}
		if shown != "" && !strings.Contains(shown, text) {
			return ToolSyntax{}, false // the marks count the calls
		}
		content, calls := ParseToolCalls(text, s)
		if content != "" || len(calls) != len(want) {
			return ToolSyntax{}, false
		}
		for i, c := range calls {
			if c.Function.Name != want[i].Function.Name || !sameJSON(c.Function.Arguments, want[i].Function.Arguments) {
				return ToolSyntax{}, false
			}
		}
	}
	return s, true
}

// readCall finds the name and the arguments of a call in a render. open is what comes before the name, and end what
// comes after the arguments; what is between two arguments is in ArgClose.
func readCall(shown string, call FunctionCall) (s ToolSyntax, open, end string, ok bool) {
	open, rest, found := strings.Cut(shown, call.Name)
	if !found {
		return s, "", "", false
	}
	if i := strings.IndexByte(rest, '{'); i >= 0 {
		dec := json.NewDecoder(strings.NewReader(rest[i:]))
		var object json.RawMessage
		if dec.Decode(&object) == nil && sameJSON(string(object), call.Arguments) {
			s.Format, s.Marks.Mid = ToolsNamed, rest[:i]
			inObject := strings.HasSuffix(strings.TrimRight(open, " "), `"`) // {"name": "…"
			return s, open, rest[i+len(object):], !inObject && !strings.Contains(s.Marks.Mid, `"`)
		}
	}
	s.Format = ToolsTagged
	m := &s.Marks
	var again string
	for _, part := range []struct {
		word   string
		before *string
	}{{probeKey, &m.Mid}, {probeText, &m.ArgMid}, {probeKey2, &m.ArgClose}, {probeText2, &again}} {
		if *part.before, rest, found = strings.Cut(rest, part.word); !found {
			return s, "", "", false
		}
	}
	quoted := strings.HasSuffix(m.ArgMid, `"`) || strings.HasSuffix(m.ArgMid, "'")
	return s, open, rest, again == m.ArgMid && !quoted
}

// write returns calls as a model writes them.
func (m *ToolMarks) write(format ToolFormat, calls []ToolCall) string {
	var b strings.Builder
	b.WriteString(m.Before)
	for i, c := range calls {
		if i > 0 {
			b.WriteString(m.Between)
		}
		b.WriteString(m.Open + c.Function.Name + m.Mid)
		if format == ToolsNamed {
			b.WriteString(c.Function.Arguments)
		} else {
			dec := json.NewDecoder(strings.NewReader(c.Function.Arguments))
			for _, err := dec.Token(); err == nil && dec.More(); {
				var name, value any
				if name, err = dec.Token(); err == nil {
					err = dec.Decode(&value)
				}
				b.WriteString(fmt.Sprint(m.ArgOpen, name, m.ArgMid, value, m.ArgClose))
			}
		}
		b.WriteString(m.Close)
	}
	return b.String() + m.After
}

// sameJSON reports whether two texts are the same object of texts.
func sameJSON(a, b string) bool {
	var x, y map[string]string
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil || len(x) != len(y) {
		return false
	}
	for k, v := range x {
		if w, ok := y[k]; !ok || w != v {
			return false
		}
	}
	return true
}

// cutLast is strings.Cut at the last occurrence.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return "", "", false
}

// commonPrefix returns how much two texts have in common at their beginning, without part of a tag.
func commonPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	if i := strings.LastIndexAny(a[:n], "<["); i >= 0 && !strings.ContainsAny(a[i:n], ">]") && (n < len(a) || n < len(b)) {
		return i
	}
	return n
}

// commonSuffix is commonPrefix at the end.
func commonSuffix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[len(a)-1-n] == b[len(b)-1-n] {
		n++
	}
	common := a[len(a)-n:]
	if i := strings.IndexAny(common, ">]"); i >= 0 && !strings.ContainsAny(common[:i], "<[") && (n < len(a) || n < len(b)) {
		return n - i - 1
	}
	return n
}
