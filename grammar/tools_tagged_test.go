package grammar

import (
	"strings"
	"testing"
)

func TestToolsBetweenMarks(t *testing.T) {
	tools := []Tool{
		{Name: "f", Parameters: []byte(`{"type": "object", "properties": {"s": {"type": "string"}, "n": {"type": ["integer", "null"]},
			"b": {"type": "boolean"}, "e": {"enum": ["x", 1, null, "a</arg>"]}, "p": {"type": "string", "pattern": "^[a-c<]+$"},
			"l": {"type": "array", "items": {"type": "string"}}, "x": {}}, "required": ["s"]}`)},
		{Name: "g"},
		{Name: "h", Parameters: []byte(`{"type": "object", "additionalProperties": {"type": "integer"}}`)},
		{Name: "c", Parameters: []byte(`{"enum": [{"k": "v", "n": 1}, 2]}`)},
		{Name: "o", Parameters: []byte(`{"type": "object", "anyOf": [{"properties": {"a": {"type": "integer"}}, "required": ["a"]},
			{"properties": {"b": {"type": "integer"}}, "required": ["b"]}]}`)},
	}
	tagged := ToolOptions{Format: ToolsTagged, Marks: ToolMarks{
		Open: "<call>\n<f=", Mid: ">", ArgOpen: "\n<arg=", ArgMid: ">\n", ArgClose: "\n</arg>", Close: "\n</f>\n</call>", Between: "\n"}}
	named := ToolOptions{Format: ToolsNamed, Marks: ToolMarks{
		Before: "<calls>", After: "</calls>", Open: "[call]", Mid: "<args>", Close: "[/call]"}}
	arg := func(name, value string) string { return "\n<arg=" + name + ">\n" + value + "\n</arg>" }
	call := func(name string, args ...string) string {
		return "<call>\n<f=" + name + ">" + strings.Join(args, "") + "\n</f>\n</call>"
	}
	s := arg("s", "t")
	with := func(o ToolOptions, optional, parallel bool) ToolOptions {
		o.Optional, o.Parallel = optional, parallel
		return o
	}
	for _, tc := range []struct {
		name    string
		options ToolOptions
		yes, no []string
	}{
		{"tagged", tagged, []string{
			call("f", s), call("f", arg("s", "")), call("f", arg("s", "a\n\"<b>\n")), call("f", s, arg("n", "12")), call("f", s, arg("n", "null")),
			call("f", s, arg("n", "None")), call("f", s, arg("b", "true"), arg("e", "x")), call("f", s, arg("b", "False")),
			call("f", s, arg("e", "1")), call("f", s, arg("e", "None")), call("f", s, arg("p", "ab<")), call("f", s, arg("l", `["a", "b"]`)),
			call("f", s, arg("x", "anything {")), call("g"), call("h"), call("h", arg("some_name", "3"), arg("b", "4")),
			call("c", arg("k", "v"), arg("n", "1")), call("o", arg("a", "1")), call("o", arg("b", "1")),
		}, []string{
			"", "hi", call("f"), call("f", arg("n", "1"), s), call("f", s, arg("n", "x")), call("f", s, arg("n", "True")), call("f", s, arg("b", "1")),
			call("f", s, arg("e", "y")), call("f", s, arg("e", "a</arg>")), call("f", s, arg("p", "d")), call("f", s, arg("l", "a")),
			call("f", arg("s", "a</arg>b")), call("f", s, arg("y", "1")), call("g", s), call("h", arg("a", "x")), call("h", arg("a>", "1")),
			call("i"), call("c"), call("o"), call("g") + "\n" + call("g"),
		}},
		{"tagged optional parallel", with(tagged, true, true), []string{"", "hi <call", call("g") + "\n" + call("f", s), "So\n" + call("g")},
			[]string{"<call>\n<f=g", "hi <call>\n<f= there", call("g") + " done", call("g") + call("g")}},
		{"named", named, []string{`<calls>[call]f<args>{"s": "t"}[/call]</calls>`, `<calls>[call]g<args>{}[/call]</calls>`},
			[]string{`[call]g<args>{}[/call]`, `<calls>[call]f<args>{}[/call]</calls>`, `<calls></calls>`, `<calls>[call]g<args>{}[/call][call]g<args>{}[/call]</calls>`}},
		{"named optional parallel", with(named, true, true), []string{"ok", `ok <calls>[call]g<args>{}[/call][call]g<args>{}[/call]</calls>`}, []string{"ok <calls>"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g, err := Tools(tools, tc.options)
			if err != nil {
				t.Fatal(err)
			}
			if r := g.Relaxed(); len(r) > 0 {
				t.Errorf("relaxed: %v", r)
			}
			for _, x := range tc.yes {
				if !accepts(t, g, x) {
					t.Errorf("%q is not accepted", x)
				}
			}
			for _, x := range tc.no {
				if accepts(t, g, x) {
					t.Errorf("%q is accepted", x)
				}
			}
		})
	}
	g, err := Tools([]Tool{{Name: "f", Parameters: []byte(`{"type": "object", "minProperties": 1, "properties": {"a": {}, "b": {}}}`)}}, tagged)
	if err != nil || len(g.Relaxed()) != 1 || g.Relaxed()[0].Keyword != "minProperties" {
		t.Errorf("%v, relaxed %v", err, g.Relaxed())
	}
	if err := g.Check("f", []byte(`{}`)); err == nil {
		t.Error("Check finds nothing wrong with too few properties")
	}
}
