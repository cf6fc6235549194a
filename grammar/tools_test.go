package grammar

import (
	"errors"
	"testing"
)

func TestTools(t *testing.T) {
	tools := []Tool{
		{Name: "weather", Parameters: []byte(`{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}},"required":["city"]}`)},
		{Name: "now", Parameters: nil},
	}
	const (
		weather = `{"name": "weather", "arguments": {"city": "Köln"}}`
		llama   = `{"name": "weather", "parameters": {"city": "Köln", "days": 2}}`
		now     = `{"name":"now","arguments":{}}`
	)
	for _, tc := range []struct {
		name    string
		options ToolOptions
		yes, no []string
	}{
		{"hermes", ToolOptions{}, []string{"<tool_call>\n" + weather + "\n</tool_call>", "<tool_call>" + now + "</tool_call>"},
			[]string{"", "hi", weather, "<tool_call>" + now + "</tool_call>\n<tool_call>" + now + "</tool_call>", `<tool_call>{"name":"other","arguments":{}}</tool_call>`, `<tool_call>{"name":"weather","arguments":{}}</tool_call>`}},
		{"hermes optional parallel", ToolOptions{Optional: true, Parallel: true},
			[]string{"", "hi <b>", "Let me see.\n<tool_call>" + now + "</tool_call>\n<tool_call>" + weather + "</tool_call>"}, []string{"<tool_call>", "hi <tool_call> there", "<tool_call>" + now + "</tool_call> done"}},
		{"llama", ToolOptions{Format: ToolsLlama}, []string{llama}, []string{weather, llama + ";" + llama, "hi"}},
		{"llama optional parallel", ToolOptions{Format: ToolsLlama, Optional: true, Parallel: true}, []string{llama, llama + "; " + llama, "hi {", ""}, []string{"{", " {x", "<|python_tag|>x"}},
		{"mistral", ToolOptions{Format: ToolsMistral}, []string{"[TOOL_CALLS][" + weather + "]", "[TOOL_CALLS] [" + now + "]"}, []string{"[TOOL_CALLS][]", "[TOOL_CALLS][" + now + "," + now + "]"}},
		{"mistral parallel", ToolOptions{Format: ToolsMistral, Optional: true, Parallel: true}, []string{"ok [TOOL_CALLS][" + now + ", " + weather + "]", "[TOOL_CALL"}, []string{"x [TOOL_CALLS]"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g, err := Tools(tools, tc.options)
			if err != nil {
				t.Fatal(err)
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
	for _, bad := range [][]Tool{{{Name: "", Parameters: nil}}, {{Name: "a", Parameters: nil}, {Name: "a", Parameters: nil}}, {{Name: "a", Parameters: []byte(`{`)}}} {
		if _, err := Tools(bad, ToolOptions{}); !errors.Is(err, ErrSyntax) {
			t.Errorf("%v: %v", bad, err)
		}
	}
	var at *SchemaError
	if _, err := Tools([]Tool{{Name: "a", Parameters: []byte(`{"properties":{"x":{"type":"?"}}}`)}}, ToolOptions{}); !errors.As(err, &at) || at.Pointer != "/properties/x" {
		t.Error(err)
	}
	if _, err := Tools([]Tool{{Name: "a", Parameters: []byte(`{"type":"string"}`)}}, ToolOptions{}); !errors.Is(err, ErrEmpty) {
		t.Error(err)
	}
	if _, err := Tools(nil, ToolOptions{}); !errors.Is(err, ErrEmpty) {
		t.Error(err)
	}
}

// TestToolControlToken: where the mark is a control token it stands for its text.
func TestToolControlToken(t *testing.T) {
	tok := byteTokens("<|x|>")
	marked := controlTokens{tok, "[TOOL_CALLS]"}
	v := vocabulary(t, marked)
	g, err := Tools([]Tool{{Name: "f", Parameters: nil}}, ToolOptions{Format: ToolsMistral, Optional: true})
	if err != nil {
		t.Fatal(err)
	}
	s := matcher(t, g, v).Start()
	id, _ := marked.ID("[TOOL_CALLS]")
	if err := s.AcceptBytes([]byte("ok ")); err != nil {
		t.Fatal(err)
	}
	if !s.Allows(id) || s.Allows(id-1) {
		t.Error("only the mark's control token may come next")
	}
	if err := s.Accept(id); err != nil {
		t.Fatal(err)
	}
	if err := s.AcceptBytes([]byte(`[{"name":"f","arguments":{}}]`)); err != nil || !s.Done() {
		t.Error(err)
	}
}

// controlTokens adds a control token to a vocabulary, before the one that ends the text.
type controlTokens struct {
	tokens
	name string
}

func (c controlTokens) Len() int            { return c.tokens.Len() + 1 }
func (c controlTokens) IsEOG(id int32) bool { return int(id) == c.Len()-1 }
func (c controlTokens) ID(text string) (int32, bool) {
	if text == c.name {
		return int32(len(c.tokens)), true
	}
	return c.tokens.ID(text)
}
