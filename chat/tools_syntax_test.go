package chat

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trit/internal/fixtures"
)

// withCalls is a template that writes calls by a macro.
func withCalls(before, call, between, after string) string {
	return `{%- if tools %}{{ tools|tojson }}{%- endif %}
{%- for m in messages %}<|im_start|>{{ m.role }}
{%- if m.role == 'assistant' %}
<think>

</think>
{% endif %}
{{ m.content or '' }}
{%- if m.tool_calls %}` + before + `{%- for c in m.tool_calls %}` + call +
		`{%- if not loop.last %}` + between + `{%- endif %}{%- endfor %}` + after + `{%- endif %}<|im_end|>
{% endfor %}`
}

// xmlMarks are those of calls as tagged.jinja has them.
var xmlMarks = ToolMarks{Open: "<call>\n<f=", Mid: ">", ArgOpen: "\n<arg=", ArgMid: ">\n", ArgClose: "\n</arg>", Close: "\n</f>\n</call>", Between: "\n"}

const xmlCall = `{{ '<call>\n<f=' + c.function.name + '>' }}{% for k, v in c.function.arguments.items() %}{{ '\n<arg=' + k + '>\n' }}{{ v }}{{ '\n</arg>' }}{% endfor %}{{ '\n</f>\n</call>' }}`

func TestToolSyntaxIsLearnt(t *testing.T) {
	for _, c := range []struct {
		name, template string
		want           ToolSyntax
	}{
		{"tagged", withCalls(``, xmlCall, `{{ '\n' }}`, ``), ToolSyntax{ToolsTagged, xmlMarks}},
		{"tagged, in a section", withCalls(`<calls>`, `<|call name="{{ c.function.name }}"|>{% for k, v in c.function.arguments.items() %}<p name="{{ k }}">{{ v }}</p>{% endfor %}</call>`, ``, `</calls>`),
			ToolSyntax{ToolsTagged, ToolMarks{Before: "<calls>", After: "</calls>", Open: `<|call name="`, Mid: `"|>`, Close: "</call>", ArgOpen: `<p name="`, ArgMid: `">`, ArgClose: "</p>"}}},
		{"tagged, name bare", withCalls(``, `<call>{{ c.function.name }}{% for k, v in c.function.arguments.items() %}<key>{{ k }}</key><value>{{ v }}</value>{% endfor %}</call>`, ``, ``),
			ToolSyntax{ToolsTagged, ToolMarks{Open: "<call>", Close: "</call>", ArgOpen: "<key>", ArgMid: "</key><value>", ArgClose: "</value>"}}},
		{"named, in a section", withCalls(`<|calls|>`, `<|call|>{{ c.function.name }}<|args|>{{ c.function.arguments|tojson }}<|end|>`, ``, `<|calls_end|>`),
			ToolSyntax{ToolsNamed, ToolMarks{Before: "<|calls|>", After: "<|calls_end|>", Open: "<|call|>", Mid: "<|args|>", Close: "<|end|>"}}},
		{"named, arguments as text", withCalls(``, "<|call|>{{ c.function.name }}{{ '\\n' }}```json{{ '\\n' + c.function.arguments + '\\n' }}```<|end|>", `{{ '\n' }}`, ``),
			ToolSyntax{ToolsNamed, ToolMarks{Open: "<|call|>", Mid: "\n```json\n", Close: "\n```<|end|>", Between: "\n"}}},
		{"an object", withCalls(``, `<tool_call>{{ c.function|tojson }}</tool_call>`, ``, ``), ToolSyntax{Format: ToolsHermes}},
		{"numbered", withCalls(``, `<|call|>{{ c.function.name }}:{{ loop.index0 }}<|args|>{{ c.function.arguments|tojson }}<|end|>`, ``, ``), ToolSyntax{}},
		{"with an id", withCalls(``, `<|call|>{{ c.function.name }}<|id|>{{ c.id }}<|args|>{{ c.function.arguments|tojson }}<|end|>`, ``, ``), ToolSyntax{}},
		{"texts in quotes", withCalls(``, `<call>{{ c.function.name }}({% for k, v in c.function.arguments.items() %}{{ k }}="{{ v }}" {% endfor %})</call>`, ``, ``), ToolSyntax{}},
		{"without a tag", withCalls(``, `call {{ c.function.name }} with {{ c.function.arguments|tojson }} end`, ``, ``), ToolSyntax{}},
		{"only a word of it", `{{ tools }}{% for m in messages %}{{ m.content }}{{ 'tool_calls' }}{% endfor %}`, ToolSyntax{}},
	} {
		tpl, err := Parse(c.template)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got := tpl.ToolSyntax(); got != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
}

// TestToolSyntaxOfRealTemplates looks at what comes of templates of models that are in use.
func TestToolSyntaxOfRealTemplates(t *testing.T) {
	const qwen = "tagged <tool_call>\n<function="
	for name, want := range map[string]string{
		"Qwen3.5-4B":                          qwen,
		"Qwen3-Coder":                         qwen,
		"NVIDIA-Nemotron-3-Nano-30B-A3B-BF16": qwen,
		"StepFun3.5-Flash":                    qwen,
		"Qwen-Qwen3-0.6B":                     "hermes ",
		"GLM-4.6":                             "tagged <tool_call>",
		"ByteDance-Seed-OSS":                  "tagged <seed:tool_call>\n<function=",
		"MiniMax-M2":                          "tagged <minimax:tool_call>\n<invoke name=\"",
		"deepseek-ai-DeepSeek-V3.1":           "named <｜tool▁calls▁begin｜><｜tool▁call▁begin｜>",
		"deepseek-ai-DeepSeek-R1-Distill-Qwen-32B":    "named <｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>",
		"mistralai-Mistral-Nemo-Instruct-2407":        "mistral ",
		"meta-llama-Llama-3.1-8B-Instruct":            "llama ",
		"Kimi-K2-Instruct":                            "none ", // counts its calls
		"moonshotai-Kimi-K2":                          "none ",
		"upstage-Solar-Open-100B":                     "none ", // has ids
		"google-gemma-2-2b-it":                        "none ",
		"NousResearch-Hermes-3-Llama-3.1-8B-tool_use": "hermes ",
	} {
		source, err := os.ReadFile(filepath.Join(fixtures.Path(t, "suites", "templates"), name+".jinja"))
		if err != nil {
			t.Fatal(err)
		}
		tpl, err := Parse(string(source))
		if err != nil {
			t.Fatal(err)
		}
		s := tpl.ToolSyntax()
		if got := s.Format.String() + " " + s.Marks.Before + s.Marks.Open; got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestMarkedCalls(t *testing.T) {
	tools := []Tool{{Type: "function", Function: Function{Name: "f", Parameters: []byte(`{"type": "object", "properties": {
		"s": {"type": "string"}, "n": {"type": ["integer", "null"]}, "o": {"type": "object"}, "b": {"type": "boolean"},
		"e": {"enum": ["1", "2"]}, "m": {"anyOf": [{"type": "string"}, {"type": "number"}]}, "c": {"const": 5}, "x": {}}}`)}}}
	tagged := ToolSyntax{ToolsTagged, xmlMarks}
	section := ToolSyntax{ToolsNamed, ToolMarks{Before: "<calls>", After: "</calls>", Open: "<call>", Mid: "<args>", Close: "</call>", Between: "\n"}}
	arg := func(name, value string) string { return "\n<arg=" + name + ">\n" + value + "\n</arg>" }
	call := func(name string, args ...string) string {
		return "<call>\n<f=" + name + ">" + strings.Join(args, "") + "\n</f>\n</call>"
	}
	type calls = [][2]string
	for _, c := range []struct {
		name    string
		syntax  ToolSyntax
		in      string
		content string
		calls   calls
	}{
		{"texts", tagged, call("f", arg("s", "a\n b "), arg("x", "{c}")), "", calls{{"f", `{"s":"a\n b ","x":"{c}"}`}}},
		{"numbers where texts are", tagged, call("f", arg("s", "12"), arg("e", "1"), arg("x", "12"), arg("m", "12")), "", calls{{"f", `{"s":"12","e":"1","x":12,"m":12}`}}},
		{"others", tagged, call("f", arg("n", "None"), arg("o", `{"a": [1]}`), arg("b", "True"), arg("c", "5"), arg("m", "a")), "", calls{{"f", `{"n":null,"o":{"a": [1]},"b":true,"c":5,"m":"a"}`}}},
		{"none", tagged, call("f"), "", calls{{"f", `{}`}}},
		{"an unknown tool", tagged, call("g", arg("s", "1"), arg("t", `"q"`)), "", calls{{"g", `{"s":1,"t":"\"q\""}`}}},
		{"an empty text and quotes", tagged, call("f", arg("s", ""), arg(`q"`, `"`)), "", calls{{"f", `{"s":"","q\"":"\""}`}}},
		{"two, after a text", tagged, "Yes.\n" + call("f", arg("s", "1")) + "\n" + call("f", arg("s", "2")), "Yes.", calls{{"f", `{"s":"1"}`}, {"f", `{"s":"2"}`}}},
		{"closing mark missing", tagged, strings.TrimSuffix(call("f", arg("s", "1")), "</f>\n</call>"), "", calls{{"f", `{"s":"1"}`}}},
		{"space around marks", tagged, "<call>\n<f=f>  \n\n <arg=s>\n1\n</arg>  </f>\n</call>", "", calls{{"f", `{"s":"1"}`}}},
		{"cut in an argument", tagged, "<call>\n<f=f>\n<arg=s>\n1", "<call>\n<f=f>\n<arg=s>\n1", nil},
		{"another tag", tagged, "a <call> b", "a <call> b", nil},
		{"no name", tagged, call("", arg("s", "1")), call("", arg("s", "1")), nil},
		{"a section", section, `So <calls><call>f<args>{"s": "}"}</call>` + "\n" + `<call>g<args>{}</call></calls> now`, "So now", calls{{"f", `{"s": "}"}`}, {"g", `{}`}}},
		{"a section without its end", section, `<calls><call>f<args>{"s": 1}`, "", calls{{"f", `{"s": 1}`}}},
		{"no object", section, `<calls><call>f<args>[1]</call></calls>`, `<calls><call>f<args>[1]</call></calls>`, nil},
		{"an empty section", section, `<calls></calls>`, `<calls></calls>`, nil},
	} {
		for n := 1; n <= len(c.in); n++ {
			p := NewToolParser(c.syntax, tools...)
			var content string
			var got calls
			add := func(text string, found []ToolCall) {
				content += text
				for _, x := range found {
					got = append(got, [2]string{x.Function.Name, x.Function.Arguments})
				}
			}
			for in := c.in; in != ""; in = in[min(n, len(in)):] {
				add(p.Write(in[:min(n, len(in))]))
			}
			add(p.Close())
			if content != c.content || !cmp.Equal(got, c.calls) {
				t.Errorf("%s, pieces of %d:\n got %q %v\nwant %q %v", c.name, n, content, got, c.content, c.calls)
				break
			}
		}
	}
}

// TestMarkedCallsCut ends answers at a limit.
func TestMarkedCallsCut(t *testing.T) {
	whole := "Yes <call>\n<f=f>\n<arg=s>\n1\n</arg>\n</f>\n</call>"
	for n := range len(whole) {
		p := NewToolParser(ToolSyntax{ToolsTagged, xmlMarks})
		content, calls := p.Write(whole[:n])
		more, found := p.Cut()
		content, calls = content+more, append(calls, found...)
		if want := strings.TrimRight("Yes "[:min(n, 4)], " "); strings.TrimRight(content, " ") != want || len(calls) > 0 {
			t.Errorf("%q: %q and %v", whole[:n], content, calls)
		}
	}
}

// TestMarkedCallsAreNotReadAgain: the work of a long call that arrives by single bytes grows with its length.
func TestMarkedCallsAreNotReadAgain(t *testing.T) {
	p := NewToolParser(ToolSyntax{ToolsTagged, xmlMarks})
	looks := 0
	write := func(text string) {
		before := p.looked
		if p.Write(text); p.looked != before {
			looks++
		}
	}
	write("<call>\n<f=f>\n<arg=s>\n")
	for range 100_000 {
		write("a")
	}
	if looks > 300 {
		t.Errorf("looked %d times", looks)
	}
}
