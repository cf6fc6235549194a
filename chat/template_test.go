package chat

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"trit/internal/fixtures"
)

// testClock is the time of e2e/templates/make.py.
func testClock() time.Time { return time.Date(2024, 7, 26, 14, 5, 9, 0, time.UTC) }

type conversation struct {
	Name     string                     `json:"name"`
	BOS      string                     `json:"bos_token"`
	EOS      string                     `json:"eos_token"`
	Generate bool                       `json:"add_generation_prompt"`
	Messages []Message                  `json:"messages"`
	Tools    []Tool                     `json:"tools"`
	Extra    map[string]json.RawMessage `json:"extra"`
}

func (c *conversation) input() Input {
	extra := map[string]any{}
	for name, v := range c.Extra {
		extra[name] = v
	}
	return Input{Messages: c.Messages, Tools: c.Tools, AddGenerationPrompt: c.Generate, BOS: c.BOS, EOS: c.EOS, Extra: extra}
}

func readJSON(t testing.TB, path string, v any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func conversations(t testing.TB) map[string]*conversation {
	t.Helper()
	var list []*conversation
	readJSON(t, "testdata/conversations.json", &list)
	m := map[string]*conversation{}
	for _, c := range list {
		m[c.Name] = c
	}
	return m
}

// TestExpected compares every template with every conversation's rendering by Python's jinja2, as e2e/templates makes
// it, or by the one other way in which conversations of a kind are rendered on purpose.
func TestExpected(t *testing.T) {
	ways := map[string]string{"developer": "system for developer", "one part": "lines for parts", "parts": "lines for parts", "null content": "text for none"}
	type result struct {
		Want  *string
		Error string
	}
	convs := conversations(t)
	var cases []struct {
		Template, Conversation string
		result
		Others []struct {
			Ways []string
			result
		}
	}
	readJSON(t, "testdata/expected.json", &cases)
	seen := map[string]bool{}
	for _, c := range cases {
		seen[c.Template] = true
		src, err := os.ReadFile(filepath.FromSlash(c.Template))
		if err != nil {
			t.Fatal(err)
		}
		tpl, err := Parse(string(src), WithClock(testClock))
		if err != nil {
			t.Errorf("%s: %v", c.Template, err)
			continue
		}
		got, err := tpl.Render(convs[c.Conversation].input())
		if c.Want == nil || err != nil || got != *c.Want {
			for _, o := range c.Others {
				if len(o.Ways) == 1 && o.Ways[0] == ways[c.Conversation] {
					c.result = o.result
				}
			}
		}
		if c.Want == nil {
			if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), c.Error) {
				t.Errorf("%s, %s: got %q, %v; want refusal %q", c.Template, c.Conversation, got, err, c.Error)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s, %s: %v", c.Template, c.Conversation, err)
		} else if diff := cmp.Diff(*c.Want, got); diff != "" {
			t.Errorf("%s, %s (-want +got):\n%s", c.Template, c.Conversation, diff)
		}
	}
	for _, name := range BuiltinNames() {
		if !seen["templates/"+name+".jinja"] {
			t.Errorf("built-in template %s is not in expected.json: run e2e/templates/make.py", name)
		}
	}
}

// TestDemo: with a space after "Assistant:" the demo model forgets everything it knows.
func TestDemo(t *testing.T) {
	src, err := os.ReadFile("testdata/templates/demo-tokenizer.jinja")
	if err != nil {
		t.Fatal(err)
	}
	embedded, why, err := Choose(Meta{Architecture: "bitnet-b1.58", VocabSize: 2048, Template: string(src), BOS: "<|begin_of_text|>", EOS: "<|eot_id|>"})
	if err != nil || !strings.Contains(why, "embedded") {
		t.Fatalf("Choose: %q, %v", why, err)
	}
	builtin, _ := Builtin("demo")
	for _, tpl := range []*Template{embedded, builtin} {
		got, err := tpl.Render(Input{
			Messages:            []Message{{Role: "user", Content: "What is the capital of France?"}},
			AddGenerationPrompt: true, BOS: "<|begin_of_text|>", EOS: "<|eot_id|>",
		})
		if want := "<|begin_of_text|>User: What is the capital of France?<|eot_id|>Assistant:"; got != want || err != nil {
			t.Errorf("got %q, %v\nwant %q", got, err, want)
		}
	}
}

// TestDemoFixture renders the prompts of the demo model's greedy.json with its tokenizer_config.json.
func TestDemoFixture(t *testing.T) {
	var config struct {
		Template string `json:"chat_template"`
		BOS      string `json:"bos_token"`
		EOS      string `json:"eos_token"`
	}
	readJSON(t, fixtures.Path(t, "demo-model", "tokenizer_config.json"), &config)
	var greedy map[string]any
	readJSON(t, fixtures.Path(t, "demo-model", "greedy.json"), &greedy)
	tpl, err := Parse(config.Template)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for prompt := range greedy {
		question, ok := strings.CutPrefix(prompt, "User: ")
		question, ok2 := strings.CutSuffix(question, "<|eot_id|>Assistant:")
		if !ok || !ok2 {
			continue
		}
		n++
		got, err := tpl.Render(Input{Messages: []Message{{Role: "user", Content: question}}, AddGenerationPrompt: true, BOS: config.BOS, EOS: config.EOS})
		if want := config.BOS + prompt; got != want || err != nil {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
	if n == 0 {
		t.Error("greedy.json has no chat prompts")
	}
}

func TestRenderErrors(t *testing.T) {
	for _, c := range []struct {
		name, src string
		want      error
		text      string
	}{
		{"syntax", "a\n{{ 1 + }}", ErrTemplate, "line 2"},
		{"tag", "a\n\n{% include 'x' %}", ErrTemplate, "line 3: unsupported feature: tag 'include'"},
		{"filter", "a\n{{ 'x' | nosuch }}", ErrRender, "line 2: unsupported feature: there is no filter 'nosuch'"},
		{"undefined", "{{ x.y }}", ErrRender, "line 1: undefined value: 'x' is undefined"},
		{"refused", "{{ raise_exception('no ' ~ messages[0].role) }}", ErrRefused, "no user"},
		{"output", "{% for i in range(99999) %}{{ 'x' * 1000 }}{% endfor %}", ErrLimit, "grows beyond"},
		{"recursion", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", ErrLimit, "deep"},
		{"size", strings.Repeat("x", 2<<20), ErrLimit, "bytes"},
	} {
		tpl, err := Parse(c.src)
		if err == nil {
			_, err = tpl.Render(Input{Messages: []Message{{Role: "user", Content: "hi"}}})
		}
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: got %v; want %v with %q", c.name, err, c.want, c.text)
		}
	}
	tpl, _ := Builtin("chatml")
	if _, err := tpl.Render(Input{Extra: map[string]any{"f": func() {}}}); !errors.Is(err, ErrRender) || !strings.Contains(err.Error(), "variable f: ") {
		t.Errorf("function as variable: %v", err)
	}
	bad := []Tool{{Function: Function{Name: "f", Parameters: json.RawMessage(`{"a":`)}}}
	if _, err := tpl.Render(Input{Tools: bad}); !errors.Is(err, ErrRender) || !strings.Contains(err.Error(), `"f"`) {
		t.Errorf("broken tool: %v", err)
	}
}

func TestLimits(t *testing.T) {
	loop := "{% for a in range(10000) %}{% for b in range(10000) %}{% endfor %}{% endfor %}"
	for name, l := range map[string]Limits{"steps": {Steps: 1000}, "time": {Time: time.Millisecond, Steps: 1 << 40}} {
		tpl, err := Parse(loop, WithLimits(l))
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if _, err := tpl.Render(Input{}); !errors.Is(err, ErrLimit) {
			t.Errorf("%s: %v", name, err)
		}
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("%s: took %v", name, d)
		}
	}
	tpl, err := Parse("{{ messages[0].content }}", WithLimits(Limits{Output: 10}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tpl.Render(Input{Messages: []Message{{Content: "12345678901"}}}); !errors.Is(err, ErrLimit) {
		t.Errorf("output: %v", err)
	}
	// A long conversation is no explosion.
	big := Input{Messages: []Message{{Role: "user", Content: strings.Repeat("word ", 1<<20)}}}
	if out, err := mustBuiltin(t, "chatml").Render(big); err != nil || len(out) < 5<<20 {
		t.Errorf("5 MiB message: %d bytes, %v", len(out), err)
	}
	// Nor is one whose length is somewhere else.
	text := strings.Repeat("word ", 1<<20)
	for name, c := range map[string]struct {
		src string
		in  Input
	}{
		"reasoning":   {"{{ messages[0].reasoning_content }}", Input{Messages: []Message{{Role: "assistant", Reasoning: text}}}},
		"arguments":   {"{{ messages[0].tool_calls[0].function.arguments }}", Input{Messages: []Message{{ToolCalls: []ToolCall{{Function: FunctionCall{Name: "f", Arguments: text}}}}}}},
		"description": {"{{ tools[0].function.description }}", Input{Tools: []Tool{{Function: Function{Name: "f", Description: text}}}}},
		"parameters":  {"{{ tools[0].function.parameters.a }}", Input{Tools: []Tool{{Function: Function{Name: "f", Parameters: json.RawMessage(`{"a": "` + text + `"}`)}}}}},
	} {
		tpl, err := Parse(c.src)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := tpl.Render(c.in); err != nil || out != text {
			t.Errorf("5 MiB of %s: %d bytes, %v", name, len(out), err)
		}
	}
}

// TestAbsent: what a conversation does not have is not there for a template either.
func TestAbsent(t *testing.T) {
	tpl, err := Parse("{{ tools is none }}{% for m in messages %} {{ m.name is defined }} {{ m.tool_calls is defined }}{% endfor %}" +
		"{% for t in tools or [] %} {{ t.function.parameters is defined }}{% endfor %}")
	if err != nil {
		t.Fatal(err)
	}
	called := []ToolCall{{Function: FunctionCall{Name: "f", Arguments: "{}"}}}
	for _, c := range []struct {
		in   Input
		want string
	}{
		{Input{Messages: []Message{{Role: "user", Content: "hi"}}}, "True False False"},
		{Input{Messages: []Message{{Role: "tool", Name: "f"}, {Role: "assistant", ToolCalls: called}}}, "True True False False True"},
		{Input{Tools: []Tool{{Function: Function{Name: "f"}}, {Function: Function{Name: "g", Parameters: json.RawMessage(`{}`)}}}}, "False False True"},
	} {
		if got, err := tpl.Render(c.in); got != c.want || err != nil {
			t.Errorf("got %q, %v; want %q", got, err, c.want)
		}
	}
}

func mustBuiltin(t testing.TB, name string) *Template {
	t.Helper()
	tpl, ok := Builtin(name)
	if !ok {
		t.Fatalf("no built-in template %s", name)
	}
	return tpl
}

// TestForms: templates that want content as parts or arguments as text get them so.
func TestForms(t *testing.T) {
	call := Message{Role: "assistant", ToolCalls: []ToolCall{{ID: "1", Function: FunctionCall{Name: "f", Arguments: `{"b": 1, "a": 2}`}}}}
	for _, c := range []struct{ name, src, want string }{
		{"parts", "{% for m in messages %}{% for part in m['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }};{% endif %}{% endfor %}{% endfor %}", "hi;;"},
		{"text arguments", "{% for m in messages %}{{ m.content }}{% for c in m.tool_calls or [] %}{{ '```' + c.function.arguments + '```' }}{% endfor %}{% endfor %}", "hi```{\"b\": 1, \"a\": 2}```"},
		{"object arguments", "{% for m in messages %}{% for c in m.tool_calls or [] %}{% for k, v in c.function.arguments.items() %}\"{{ k }}\"={{ v + 1 }};{% endfor %}{% endfor %}{% endfor %}", `"b"=2;"a"=3;`},
		{"Python's repr", "{% for m in messages %}{% for c in m.tool_calls or [] %}{{ c.function.arguments }}{% endfor %}{% endfor %}", `{"b": 1, "a": 2}`},
		{"either, told apart", "{% for m in messages %}{% for c in m.tool_calls or [] %}{% if c.function.arguments is string %}text {{ c.function.arguments }}" +
			"{% else %}object {{ c.function.arguments | tojson }}{% endif %}{% endfor %}{% endfor %}", `object {"b": 1, "a": 2}`},
		{"arguments that are not shown", "{% for m in messages %}{% for c in m.tool_calls or [] %}{{ c.function.arguments is string }}{% endfor %}{% endfor %}", "False"},
		{"either", "{% for m in messages %}{% for c in m.tool_calls or [] %}{{ c.function.arguments if c.function.arguments is string else c.function.arguments | tojson }}{% endfor %}{% endfor %}", `{"b": 1, "a": 2}`},
	} {
		tpl, err := Parse(c.src)
		if err != nil {
			t.Fatal(err)
		}
		got, err := tpl.Render(Input{Messages: []Message{{Role: "user", Content: "hi"}, call}})
		if got != c.want || err != nil {
			t.Errorf("%s: got %q, %v; want %q", c.name, got, err, c.want)
		}
	}
	// The form is found out whatever the conversation has of it.
	for _, c := range []struct {
		src, want string
		message   Message
	}{
		{"{{ messages[0]['content'][0]['text'] }}", "hi", Message{Role: "user", Content: "hi"}},
		{`{{ messages[0]["content"][0]["text"] }}`, "hi", Message{Role: "user", Content: "hi"}},
		{"{{ messages[0].content[0].text }}", "hi", Message{Role: "user", Content: "hi"}},
		{"{% for m in messages %}{% for c in m.tool_calls or [] %}{{ c.function.arguments + '!' }}{% endfor %}{% endfor %}", `{"b": 1, "a": 2}!`, call},
	} {
		tpl, err := Parse(c.src)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := tpl.Render(Input{Messages: []Message{c.message}}); got != c.want || err != nil {
			t.Errorf("%s: got %q, %v; want %q", c.src, got, err, c.want)
		}
	}
}

func TestConcurrentRender(t *testing.T) {
	tpl := mustBuiltin(t, "qwen2.5")
	in := conversations(t)["tool round trip"].input()
	want, err := tpl.Render(in)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if got, err := tpl.Render(in); got != want || err != nil {
					t.Errorf("got %q, %v", got, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestToolFormat(t *testing.T) {
	for name, want := range map[string]ToolFormat{"qwen2.5": ToolsHermes, "mistral": ToolsMistral, "llama3.1": ToolsLlama, "bitnet": ToolsNone, "chatml": ToolsNone} {
		if got := mustBuiltin(t, name).ToolSyntax().Format; got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func TestEndOfTurn(t *testing.T) {
	for name, want := range map[string]string{
		"bitnet": "<|eot_id|>", "demo": "<|eot_id|>", "llama3": "<|eot_id|>", "chatml": "<|im_end|>", "falcon3": "</s>", "llama2": "</s>",
		"mistral": "</s>", "bitnet-human": "</s>", "plain": "\n\nUser:", "qwen2.5": "<|im_end|>", "llama3.1": "<|eot_id|>",
	} {
		if got := mustBuiltin(t, name).EndOfTurn("<s>", "</s>"); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("*/*.jinja")
	if err != nil {
		f.Fatal(err)
	}
	more, err := filepath.Glob("testdata/templates/*.jinja")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range append(files, more...) {
		src, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(src))
	}
	f.Add("{% raw %}{{ x }}{% endraw %}{#- c -#}{{ 'a\\u00e9' ~ 0x1F ~ 1e3 }}")
	f.Fuzz(func(t *testing.T, src string) {
		tpl, err := Parse(src)
		if err != nil {
			if !errors.Is(err, ErrTemplate) || !strings.Contains(err.Error(), "line ") && !errors.Is(err, ErrLimit) {
				t.Fatalf("error without kind or line: %v", err)
			}
			return
		}
		if tpl.Source() != src {
			t.Fatal("source changed")
		}
	})
}

func FuzzRender(f *testing.F) {
	convs := conversations(f)
	files, err := filepath.Glob("*/*.jinja")
	if err != nil {
		f.Fatal(err)
	}
	more, err := filepath.Glob("testdata/templates/*.jinja")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range append(files, more...) {
		src, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(src), "content")
	}
	var exprs []struct{ Template string }
	readJSON(f, "../jinja/testdata/expressions.json", &exprs)
	for _, e := range exprs {
		f.Add(e.Template, "content")
	}
	limits := Limits{Steps: 100_000, Output: 1 << 20, Time: time.Second}
	f.Fuzz(func(t *testing.T, src, content string) {
		tpl, err := Parse(src, WithLimits(limits), WithClock(testClock))
		if err != nil {
			return
		}
		in := convs["tool round trip"].input()
		in.Messages = append([]Message{{Role: "user", Content: content}}, in.Messages...)
		out, err := tpl.Render(in)
		if err != nil {
			if !errors.Is(err, ErrRender) || strings.Contains(err.Error(), "internal error") {
				t.Fatalf("%q: %v", src, err)
			}
			return
		}
		if len(out) > limits.Output {
			t.Fatalf("%d bytes of output", len(out))
		}
		if again, err := tpl.Render(in); again != out || err != nil {
			t.Fatalf("second render differs: %v", err)
		}
	})
}

func BenchmarkRender(b *testing.B) {
	convs := conversations(b)
	for _, name := range []string{"bitnet", "llama3", "qwen2.5"} {
		for _, conv := range []string{"system and history", "tool round trip"} {
			b.Run(name+"/"+strings.ReplaceAll(conv, " ", "-"), func(b *testing.B) {
				tpl := mustBuiltin(b, name)
				in := convs[conv].input()
				b.ReportAllocs()
				for b.Loop() {
					if _, err := tpl.Render(in); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// TestDeveloper: a template that does not know the role "developer" sees "system".
func TestDeveloper(t *testing.T) {
	for _, c := range []struct{ source, want string }{
		{"{% for m in messages %}{{ m.role }}:{{ m.content }};{% endfor %}", "system:be kind;user:hi;"},
		{"{% for m in messages %}{% if m.role == 'developer' %}D{% else %}{{ m.role }}{% endif %}:{{ m.content }};{% endfor %}", "D:be kind;user:hi;"},
	} {
		tpl, err := Parse(c.source)
		if err != nil {
			t.Fatal(err)
		}
		got, err := tpl.Render(Input{Messages: []Message{{Role: "developer", Content: "be kind"}, {Role: "user", Content: "hi"}}})
		if err != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %q", c.source, got, err, c.want)
		}
	}
}

// TestArgumentsForm gives the arguments of calls as an object, unless only their text comes out as JSON.
func TestArgumentsForm(t *testing.T) {
	for source, want := range map[string]string{
		"{% for c in m.tool_calls %}{{ c.function.arguments | tojson }}{% endfor %}":                                         `{"city": "Rome"}`,
		"{% for c in m.tool_calls %}{{ c.function.arguments }}{% endfor %}":                                                  `{"city": "Rome"}`,
		"{% for c in m.tool_calls %}{% for k, v in c.function.arguments.items() %}{{ k }}:<{{ v }}>{% endfor %}{% endfor %}": "city:<Rome>",
		"{% for c in m.tool_calls %}{% if c.function.arguments is mapping %}{% for k in c.function.arguments %}{{ k }}=" +
			"{{ c.function.arguments[k] }}{% endfor %}{% else %}{{ c.function.arguments }}{% endif %}{% endfor %}": "city=Rome",
	} {
		tpl, err := Parse("{% for m in messages %}" + source + "{% endfor %}")
		if err != nil {
			t.Fatal(err)
		}
		got, err := tpl.Render(Input{Messages: []Message{{Role: "assistant", ToolCalls: []ToolCall{
			{Type: "function", Function: FunctionCall{Name: "f", Arguments: `{"city": "Rome"}`}}}}}})
		if err != nil || got != want {
			t.Errorf("%s: %q (%v), want %q", source, got, err, want)
		}
	}
}
