package chat

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// numbered makes predictable ids.
func numbered() func() string {
	n := 0
	return func() string { n++; return fmt.Sprintf("id%d", n) }
}

// parsePieces parses an answer cut into pieces of n bytes.
func parsePieces(text string, syntax ToolSyntax, n int) (content string, calls []ToolCall) {
	p := NewToolParser(syntax)
	p.NewID = numbered()
	for len(text) > 0 {
		k := min(n, len(text))
		c, more := p.Write(text[:k])
		content, calls, text = content+c, append(calls, more...), text[k:]
	}
	c, more := p.Close()
	content, calls = content+c, append(calls, more...)
	if got := joinParts(p.Parts()); len(got) == len(calls) && !cmp.Equal(got, calls) {
		return fmt.Sprintf("the parts are %v", got), calls
	}
	return content, calls
}

// joinParts puts calls together of what was told of them.
func joinParts(parts []CallPart) []ToolCall {
	var calls []ToolCall
	for _, p := range parts {
		if p.ID != "" {
			calls = append(calls, ToolCall{ID: p.ID, Type: "function", Function: FunctionCall{Name: p.Name}})
		}
		calls[p.Index].Function.Arguments += p.Arguments
	}
	return calls
}

func TestToolCalls(t *testing.T) {
	call := func(id, name, args string) ToolCall {
		return ToolCall{ID: id, Type: "function", Function: FunctionCall{name, args}}
	}
	one := []ToolCall{call("id1", "f", `{"a": 1}`)}
	long := strings.Repeat("n", 256)
	for _, c := range []struct {
		name    string
		format  ToolFormat
		in      string
		content string
		calls   []ToolCall
	}{
		{"plain", ToolsHermes, "Hello, world. ", "Hello, world. ", nil},
		{"one", ToolsHermes, "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>", "", one},
		{"text first", ToolsHermes, "Let me see.\n<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 1}}</tool_call>\n", "Let me see.", one},
		{"two", ToolsHermes, "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 1}}</tool_call>\n<tool_call>{\"name\": \"g\"}</tool_call>", "", append(one[:1:1], call("id2", "g", "{}"))},
		{"text after", ToolsHermes, "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 1}}</tool_call> done", " done", one},
		{"unclosed tag", ToolsHermes, "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 1}}", "", one},
		{"half closed tag", ToolsHermes, "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool", "", one},
		{"unclosed json", ToolsHermes, "x <tool_call>{\"name\": \"f\"", "x <tool_call>{\"name\": \"f\"", nil},
		{"close tag in a string", ToolsHermes, `<tool_call>{"name": "f", "arguments": {"a": "</tool_call>\"}"}}</tool_call>`, "", []ToolCall{call("id1", "f", `{"a": "</tool_call>\"}"}`)}},
		{"no name", ToolsHermes, "<tool_call>{\"arguments\": {}}</tool_call> x", "<tool_call>{\"arguments\": {}}</tool_call> x", nil},
		{"no json", ToolsHermes, "use <tool_call> tags", "use <tool_call> tags", nil},
		{"malformed then good", ToolsHermes, "<tool_call> no <tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 1}}</tool_call>", "<tool_call> no", one},
		{"partial tag at the end", ToolsHermes, "a < b <tool_", "a < b <tool_", nil},
		{"trailing space", ToolsHermes, "a \n", "a \n", nil},
		{"arguments as text", ToolsHermes, `<tool_call>{"name": "f", "arguments": "{\"a\": 1}"}</tool_call>`, "", one},
		{"arguments not an object", ToolsHermes, `<tool_call>{"name": "f", "arguments": [1]}</tool_call>`, `<tool_call>{"name": "f", "arguments": [1]}</tool_call>`, nil},
		{"arguments as broken text", ToolsHermes, `<tool_call>{"name": "f", "arguments": "{\"a\""}</tool_call>`, `<tool_call>{"name": "f", "arguments": "{\"a\""}</tool_call>`, nil},
		{"arguments as text of a list", ToolsHermes, `<tool_call>{"name": "f", "arguments": "[1]"}</tool_call>`, `<tool_call>{"name": "f", "arguments": "[1]"}</tool_call>`, nil},
		{"parameters", ToolsHermes, `<tool_call>{"name": "f", "parameters": {"a": 1}}</tool_call>`, "", one},
		{"no format", ToolsNone, "<tool_call>{\"name\": \"f\"}</tool_call>", "<tool_call>{\"name\": \"f\"}</tool_call>", nil},

		{"one", ToolsLlama, ` {"name": "f", "parameters": {"a": 1}}`, "", one},
		{"tag", ToolsLlama, `<|python_tag|>{"name": "f", "parameters": {"a": 1}}`, "", one},
		{"two", ToolsLlama, `{"name": "f", "parameters": {"a": 1}}; {"name": "g", "arguments": {}}`, "", append(one[:1:1], call("id2", "g", "{}"))},
		{"text", ToolsLlama, `Sure {"name": "f", "parameters": {"a": 1}}`, `Sure {"name": "f", "parameters": {"a": 1}}`, nil},
		{"other json", ToolsLlama, ` {"name": "Ada", "age": 36} ok`, ` {"name": "Ada", "age": 36} ok`, nil},
		{"built-in tool", ToolsLlama, `<|python_tag|>search.call(query="x")`, `<|python_tag|>search.call(query="x")`, nil},
		{"unclosed", ToolsLlama, `{"name": "f"`, `{"name": "f"`, nil},
		{"text after", ToolsLlama, `{"name": "f", "parameters": {"a": 1}} and so on`, " and so on", one},

		{"list", ToolsMistral, `[TOOL_CALLS] [{"name": "f", "arguments": {"a": 1}, "id": "abcdefghi"}, {"name": "g", "arguments": {}}]`, "", []ToolCall{call("abcdefghi", "f", `{"a": 1}`), call("id1", "g", "{}")}},
		{"text first", ToolsMistral, `Well. [TOOL_CALLS][{"name": "f", "arguments": {"a": 1}}]`, "Well.", one},
		{"name", ToolsMistral, `[TOOL_CALLS]f{"a": 1}[TOOL_CALLS]g-2[ARGS]{}`, "", append(one[:1:1], call("id2", "g-2", "{}"))},
		{"call id", ToolsMistral, `[TOOL_CALLS]f[CALL_ID]xyz[ARGS]{"a": 1}`, "", []ToolCall{call("xyz", "f", `{"a": 1}`)}},
		{"bad list", ToolsMistral, `[TOOL_CALLS] [1, 2]`, `[TOOL_CALLS] [1, 2]`, nil},
		{"empty list", ToolsMistral, `[TOOL_CALLS][]`, `[TOOL_CALLS][]`, nil},
		{"all kinds of characters", ToolsMistral, `[TOOL_CALLS]azAZ09_-.{"a": 1}`, "", []ToolCall{call("id1", "azAZ09_-.", `{"a": 1}`)}},
		{"no name", ToolsMistral, `[TOOL_CALLS]{"a": 1}`, `[TOOL_CALLS]{"a": 1}`, nil},
		{"longest name", ToolsMistral, "[TOOL_CALLS]" + long + `{"a": 1}`, "", []ToolCall{call("id1", long, `{"a": 1}`)}},
		{"too long a name", ToolsMistral, "[TOOL_CALLS]" + long + `n{"a": 1}`, "[TOOL_CALLS]" + long + `n{"a": 1}`, nil},
		{"no arguments", ToolsMistral, `[TOOL_CALLS]f and`, `[TOOL_CALLS]f and`, nil},
	} {
		for n := 1; n <= len(c.in); n++ {
			content, calls := parsePieces(c.in, ToolSyntax{Format: c.format}, n)
			if content != c.content || !cmp.Equal(calls, c.calls) {
				t.Errorf("%v, %s, pieces of %d:\n got %q %v\nwant %q %v", c.format, c.name, n, content, calls, c.content, c.calls)
				break
			}
		}
	}
	content, calls := ParseToolCalls(`<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>`, ToolSyntax{Format: ToolsHermes})
	if content != "" || len(calls) != 1 || len(calls[0].ID) != 9 || strings.Trim(calls[0].ID, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		t.Errorf("got %q, %v", content, calls)
	}
}

// TestToolParserStreams: content is not held back longer than needed, tags never show.
func TestToolParserStreams(t *testing.T) {
	p := NewToolParser(ToolSyntax{Format: ToolsHermes})
	var got []string
	for _, piece := range []string{"Let", " me", " <", "b> ", "<tool", "_call>", `{"name": "f",`, ` "arguments": {}}`, "</tool_call>"} {
		c, calls := p.Write(piece)
		got = append(got, c)
		if len(calls) > 0 != (piece == "</tool_call>") {
			t.Errorf("calls %v after %q", calls, piece)
		}
	}
	if want := []string{"Let", " me", "", " <b>", "", "", "", "", ""}; !cmp.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestToolParserParts: the arguments of a call are told as they come.
func TestToolParserParts(t *testing.T) {
	p := NewToolParser(ToolSyntax{Format: ToolsHermes})
	p.NewID = numbered()
	var got []CallPart
	for _, piece := range []string{`<tool_call>{"name": "f"`, `, "arguments": `, `{"a`, `": [1, `, `2]}`, `}</tool_call>`,
		`<tool_call>{"arguments": {}, "name": "g"}`, `</tool_call>`, `<tool_call>{"name": "h", "arguments": {"b": "}`} {
		p.Write(piece)
		got = append(got, p.Parts()...)
	}
	content, calls := p.Cut()
	if content != "" || len(calls) > 0 || len(p.Parts()) > 0 {
		t.Errorf("the end adds %q, %v", content, calls)
	}
	if want := []CallPart{{0, "id1", "f", `{"a`}, {0, "", "", `": [1, `}, {0, "", "", `2]}`}, {1, "id2", "g", "{}"}, {2, "id3", "h", `{"b": "}`}}; !cmp.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestUnclosedCalls: calls within calls that never end, and lists within lists that are none, are content, and reading
// them ends.
func TestUnclosedCalls(t *testing.T) {
	const n = 30000
	for _, c := range []struct {
		format ToolFormat
		text   string
	}{
		{ToolsHermes, strings.Repeat("<tool_call>{", n)},
		{ToolsHermes, strings.Repeat("<tool_call>{", n) + strings.Repeat("}", n)},
		{ToolsMistral, strings.Repeat("[TOOL_CALLS][", n)},
		{ToolsMistral, strings.Repeat("[TOOL_CALLS][", n) + strings.Repeat("]", n)},
	} {
		p := NewToolParser(ToolSyntax{Format: c.format})
		content, calls := p.Write(c.text)
		rest, more := p.Close()
		if content += rest; content != c.text || len(calls)+len(more) > 0 {
			t.Errorf("%.20s: %d bytes and %d calls of %d bytes", c.text, len(content), len(calls)+len(more), len(c.text))
		}
		if p.wasted < maxWasted || p.wasted > maxWasted+len(c.text) {
			t.Errorf("%.20s: %d bytes were read in vain", c.text, p.wasted)
		}
	}
}

// fuzzed are all forms of calls.
var fuzzed = []ToolSyntax{
	{Format: ToolsNone}, {Format: ToolsHermes}, {Format: ToolsLlama}, {Format: ToolsMistral}, {ToolsTagged, xmlMarks},
	{ToolsNamed, ToolMarks{Before: "<calls>", After: "</calls>", Open: "<call>", Mid: "<args>", Close: "</call>"}},
}

func FuzzToolParser(f *testing.F) {
	for _, s := range []string{
		"text <tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": \"</tool_call>\"}}\n</tool_call> more",
		`<|python_tag|>{"name": "f", "parameters": {}}; {"name": "g", "parameters": {}}`,
		`[TOOL_CALLS] [{"name": "f", "arguments": {}}]`, `[TOOL_CALLS]f[CALL_ID]1[ARGS]{"a": "\"}"}`,
		"<tool_call><tool_call>{", " \n{", "[TOOL_CALLS][TOOL",
		"a <call>\n<f=f>\n<arg=s>\n1\n</arg>\n</f>\n</call>\n<call>\n<f=", "<calls><call>f<args>{}</call> <call>g<args>{}</call></calls> b",
	} {
		for format := range fuzzed {
			f.Add(s, uint8(format), uint8(3))
		}
	}
	f.Fuzz(func(t *testing.T, text string, format, n uint8) {
		if !utf8.ValidString(text) {
			return
		}
		kind := fuzzed[int(format)%len(fuzzed)]
		content, calls := parsePieces(text, kind, len(text)+1)
		inPieces, callsInPieces := parsePieces(text, kind, int(n)+1)
		if content != inPieces || !cmp.Equal(calls, callsInPieces) {
			t.Fatalf("%q: whole gives %q %v, pieces of %d give %q %v", text, content, calls, int(n)+1, inPieces, callsInPieces)
		}
		if len(calls) == 0 && content != text {
			t.Fatalf("%q: no calls, but content is %q", text, content)
		}
	})
}

// TestToolParserCut ends answers at a limit: no mark of a call is content, and a call is
// complete or not there.
func TestToolParserCut(t *testing.T) {
	one := []ToolCall{{ID: "id1", Type: "function", Function: FunctionCall{"f", `{"a": 1}`}}}
	for _, c := range []struct {
		name    string
		format  ToolFormat
		in      string
		content string
		calls   []ToolCall
	}{
		{"plain", ToolsHermes, "Hello, wor", "Hello, wor", nil},
		{"white space", ToolsHermes, "Hello \n", "Hello \n", nil},
		{"in the mark", ToolsHermes, "Hello <tool_c", "Hello ", nil},
		{"behind the mark", ToolsHermes, "Hello <tool_call>", "Hello", nil},
		{"in the name", ToolsHermes, `<tool_call>{"name": "get`, "", nil},
		{"in the arguments", ToolsHermes, `<tool_call>{"name": "f", "arguments": {"a`, "", nil},
		{"before the closing mark", ToolsHermes, `<tool_call>{"name": "f", "arguments": {"a": 1}}`, "", one},
		{"in a second call", ToolsHermes, `<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call><tool_call>{"n`, "", one},
		{"llama", ToolsLlama, `{"name": "f", "parameters": {"a`, "", nil},
		{"mistral", ToolsMistral, `[TOOL_CALLS][{"name": "f", "argu`, "", nil},
	} {
		for n := 1; n <= len(c.in); n++ {
			p := NewToolParser(ToolSyntax{Format: c.format})
			p.NewID = numbered()
			var content string
			var calls []ToolCall
			for at := 0; at < len(c.in); at += n {
				text, more := p.Write(c.in[at:min(at+n, len(c.in))])
				content, calls = content+text, append(calls, more...)
			}
			text, more := p.Cut()
			content, calls = content+text, append(calls, more...)
			if content != c.content || !cmp.Equal(calls, c.calls) {
				t.Errorf("%s in pieces of %d: %q and %v, want %q and %v", c.name, n, content, calls, c.content, c.calls)
			}
		}
	}
}
