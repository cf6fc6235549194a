package chat

import "testing"

// TestContentForms gives contents as lists to the templates and roles that go through them, as text to the others, and
// none beside calls to those that ask for it.
func TestContentForms(t *testing.T) {
	const (
		iterates = "{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}<{{ p.text }}>{% endfor %}{% endif %}"
		listOnly = "{% for p in m.content if p is mapping %}<{{ p.text }}>{% endfor %}"
		repr     = "{{ m.content }}"
		json     = "{{ m.content | tojson }}"
		first    = "{% if m.content is string %}{{ m.content }}{% else %}{{ m.content[0].text }}{% endif %}"
		text     = "{{ m.content + '' }}"
		none     = "{% if m['content'] is none %}-{% else %}{{ m.content + '' }}{% endif %}"
		notNone  = "{% if m.content is  not none %}{{ m.content }}{% else %}-{% endif %}"
		badNone  = "{% if m.content is none and not m.tool_calls %}-{% else %}{{ m.content }}{% endif %}"
		calls    = "{% for c in m.tool_calls %}{{ c.function.arguments | tojson }}{% endfor %}"
	)
	user := []Message{{Role: "user", Content: "a\nb", Parts: []string{"a", "b"}}}
	plain := []Message{{Role: "user", Content: "a"}}
	stale := []Message{{Role: "user", Content: "c", Parts: []string{"a", "b"}}}
	every := []Message{{Role: "system", Content: "s", Parts: []string{"s"}}, {Role: "user", Content: "u", Parts: []string{"u"}},
		{Role: "assistant", Content: "a", Parts: []string{"a"}}, {Role: "user", Content: "v", Parts: []string{"v"}}}
	called := []Message{{Role: "user", Content: "u"}, {Role: "assistant", ToolCalls: []ToolCall{{ID: "call00001", Type: "function",
		Function: FunctionCall{Name: "f", Arguments: "{}"}}}}, {Role: "tool", Content: "x\ny", Parts: []string{"x", "y"}, ToolCallID: "call00001"}}
	for _, c := range []struct {
		name, source string
		messages     []Message
		want         string
	}{
		{"goes through lists", iterates, user, "user <a><b>;"},
		{"text stays text", iterates, plain, "user a;"},
		{"parts that the content has left behind", iterates, stale, "user c;"},
		{"lists only", listOnly, plain, "user <a>;"},
		{"lists only, of parts", listOnly, user, "user <a><b>;"},
		{"prints lists as Python does", repr, user, "user a\nb;"},
		{"prints lists as JSON", json, user, `user "a\nb";`},
		{"shows the first part only", first, user, "user a\nb;"},
		{"fails with lists", text, user, "user a\nb;"},
		{"lists from users only", "{% if m.role == 'user' %}" + iterates + "{% else %}" + text + "{% endif %}", every,
			"system s;user <u>;assistant a;user <v>;"},
		{"lists from the system only", "{% if m.role == 'system' %}" + listOnly + "{% else %}" + text + "{% endif %}",
			[]Message{{Role: "system", Content: "s"}, {Role: "user", Content: "u"}}, "system <s>;user u;"},
		{"lists from the assistant only", "{% if m.role == 'assistant' %}" + listOnly + "{% else %}" + text + "{% endif %}", every,
			"system s;user u;assistant <a>;user v;"},
		{"lists from tools", "{% if m.role == 'tool' %}" + iterates + "{% else %}" + text + calls + "{% endif %}", called,
			"user u;assistant {};tool <x><y>;"},
		{"none", none + calls, called, "user u;assistant -{};tool x\ny;"},
		{"not none, and no calls", notNone, called, "user u;assistant -;tool x\ny;"},
		{"none is printed", badNone + calls, called, "user u;assistant {};tool x\ny;"},
		{"no word of none", text + calls, called, "user u;assistant {};tool x\ny;"},
	} {
		tpl, err := Parse("{% for m in messages %}{{ m.role }} " + c.source + ";{% endfor %}")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := tpl.Render(Input{Messages: c.messages}); got != c.want || err != nil {
			t.Errorf("%s: %q (%v), want %q", c.name, got, err, c.want)
		}
	}
}
