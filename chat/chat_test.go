package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestMessageJSON(t *testing.T) {
	for _, c := range []struct {
		in   string
		want Message
		err  string
	}{
		{`{"role":"user","content":"hi"}`, Message{Role: "user", Content: "hi"}, ""},
		{`{"role":"assistant","content":null}`, Message{Role: "assistant"}, ""},
		{`{"role":"assistant"}`, Message{Role: "assistant"}, ""},
		{`{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}`, Message{Role: "user", Content: "a\nb", Parts: []string{"a", "b"}}, ""},
		{`{"role":"user","content":[]}`, Message{Role: "user"}, ""},
		{`{"role":"tool","content":"r","tool_call_id":"x","name":"f"}`, Message{Role: "tool", Content: "r", ToolCallID: "x", Name: "f"}, ""},
		{`{"role":"assistant","content":"","reasoning_content":"hm","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]}`,
			Message{Role: "assistant", Reasoning: "hm", ToolCalls: []ToolCall{{ID: "1", Type: "function", Function: FunctionCall{"f", `{"a":1}`}}}}, ""},
		{`{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{"b": 1, "a": 2}}}]}`,
			Message{Role: "assistant", ToolCalls: []ToolCall{{Function: FunctionCall{"f", `{"b": 1, "a": 2}`}}}}, ""},
		{`{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{}}]}`, Message{}, `part 1 has type "image_url"`},
		{`{"role":"user","content":[{"type":"text"}]}`, Message{}, "part 0"},
		{`{"role":"user","content":5}`, Message{}, "content must be"},
		{`{"role":5}`, Message{}, "role"},
		{`{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":[1]}}]}`, Message{}, `tool call "f"`},
	} {
		var m Message
		err := json.Unmarshal([]byte(c.in), &m)
		if c.err != "" {
			if !errors.Is(err, ErrMessage) || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: error %v, want one with %q", c.in, err, c.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		if diff := cmp.Diff(c.want, m); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.in, diff)
		}
		m.Parts = nil // only in memory
		out, err := json.Marshal(m)
		if err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		var again Message
		if err := json.Unmarshal(out, &again); err != nil || !cmp.Equal(m, again) {
			t.Errorf("%s: round trip gives %s, %v", c.in, out, err)
		}
	}
}

func TestChoose(t *testing.T) {
	tokens := func(list ...string) func(string) bool {
		return func(text string) bool {
			for _, x := range list {
				if x == text {
					return true
				}
			}
			return false
		}
	}
	human, _ := templateFiles.ReadFile("templates/bitnet-human.jinja")
	for _, c := range []struct {
		name    string
		meta    Meta
		builtin string
		why     string
	}{
		{"official 2B-4T GGUF", Meta{Architecture: "bitnet-b1.58", Name: "bitnet2b", Template: string(human), VocabSize: 128256, BOS: "<|begin_of_text|>", EOS: "<|end_of_text|>"}, "bitnet", "Human/BITNETAssistant"},
		{"2B-4T without template", Meta{Architecture: "bitnet-b1.58", VocabSize: 128256, BOS: "<|begin_of_text|>"}, "bitnet", "no template"},
		{"small bitnet", Meta{Architecture: "bitnet-b1.58", VocabSize: 2048, EOS: "<|eot_id|>"}, "demo", "demo"},
		{"1bitLLM base", Meta{Architecture: "bitnet", VocabSize: 32002, BOS: "<s>", EOS: "</s>"}, "plain", "not trained to chat"},
		{"Llama3-8B-1.58", Meta{Architecture: "llama", VocabSize: 128256, BOS: "<|begin_of_text|>", EOS: "<|end_of_text|>"}, "llama3", "Llama-3"},
		{"Llama-3's least vocabulary", Meta{Architecture: "llama", VocabSize: 128_000, BOS: "<|begin_of_text|>"}, "llama3", "Llama-3"},
		{"Llama-3's largest vocabulary", Meta{Architecture: "llama", VocabSize: 128_999, BOS: "<|begin_of_text|>"}, "llama3", "Llama-3"},
		{"too few tokens for Llama-3", Meta{Architecture: "llama", VocabSize: 127_999, BOS: "<|begin_of_text|>"}, "plain", "no template"},
		{"too many tokens for Llama-3", Meta{Architecture: "llama", VocabSize: 129_000, BOS: "<|begin_of_text|>"}, "plain", "no template"},
		{"Llama-3's size, other tokens", Meta{Architecture: "llama", VocabSize: 128_256, BOS: "<s>"}, "plain", "no template"},
		{"more tokens, and others", Meta{Architecture: "llama", VocabSize: 151_936, BOS: "<s>"}, "plain", "no template"},
		{"Falcon3", Meta{Architecture: "llama", Name: "Falcon3-10B-Instruct-1.58bit", VocabSize: 131072, EOS: "<|endoftext|>"}, "falcon3", "Falcon"},
		{"Falcon by token", Meta{Architecture: "llama", HasToken: tokens("<|assistant|>")}, "falcon3", "Falcon"},
		{"ChatML", Meta{Architecture: "qwen2", HasToken: tokens("<|im_start|>", "<|im_end|>")}, "chatml", "<|im_start|>"},
		{"Mistral", Meta{Architecture: "llama", HasToken: tokens("[INST]")}, "mistral", "[INST]"},
		{"Llama-2", Meta{Architecture: "llama", Name: "Llama-2-7B-Chat", VocabSize: 32000}, "llama2", "Llama-2"},
		{"nothing known", Meta{}, "plain", "no template"},
	} {
		tpl, why, err := Choose(c.meta)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if tpl != mustBuiltin(t, c.builtin) || !strings.Contains(why, c.builtin) || !strings.Contains(why, c.why) {
			t.Errorf("%s: chose %q, want %s", c.name, why, c.builtin)
		}
	}
	if _, _, err := Choose(Meta{Template: "{% if"}); !errors.Is(err, ErrTemplate) || !strings.Contains(err.Error(), "chatml") {
		t.Errorf("broken template: %v", err)
	}
}

func TestBuiltin(t *testing.T) {
	for _, name := range BuiltinNames() {
		if _, ok := Builtin(strings.ToUpper(name)); !ok {
			t.Errorf("no built-in %s", name)
		}
	}
	if _, ok := Builtin("nope"); ok {
		t.Error("found a template that does not exist")
	}
	BuiltinNames()[0] = "changed"
	if BuiltinNames()[0] == "changed" {
		t.Error("BuiltinNames gives its own list away")
	}
}

func TestTrimmer(t *testing.T) {
	var tr Trimmer
	got := ""
	for _, piece := range []string{" ", "\n", "", " The", " answer ", "\n"} {
		got += tr.Write(piece)
	}
	if want := "The answer \n"; got != want || TrimAnswer(" \n The answer \n") != want {
		t.Errorf("got %q", got)
	}
}

func TestFit(t *testing.T) {
	msgs := func(spec string) []Message { // "s5 u3": roles and sizes
		var out []Message
		for _, f := range strings.Fields(spec) {
			role := map[byte]string{'s': "system", 'u': "user", 'a': "assistant", 't': "tool"}[f[0]]
			var n int
			fmt.Sscan(f[1:], &n)
			out = append(out, Message{Role: role, Content: strings.Repeat("x", n)})
		}
		return out
	}
	calls := 0
	size := func(m []Message) (int, error) {
		calls++
		n := 0
		for i := range m {
			n += len(m[i].Content)
		}
		return n, nil
	}
	for _, c := range []struct {
		in    string
		limit int
		want  string
	}{
		{"s5 u3 a3 u2", 13, "s5 u3 a3 u2"},
		{"s5 u3 a3 u2", 12, "s5 u2"},
		{"s5 u3 a3 u2", 7, "s5 u2"},
		{"s5 u3 a3 u2", 6, ""},
		{"u1 a1 u2 a2 u3 a3 u4", 14, "u2 a2 u3 a3 u4"},
		{"u1 a1 u2 a2 u3 a3 u4", 13, "u3 a3 u4"},
		{"u1 a1 u2 a2 u3 a3 u4", 9, "u4"},
		{"u1 a1 u2 a2 t5 t5 a1 u3", 15, "u3"},
		{"u1 a1 u2 a2 t5 t5 a1 u3", 18, "u2 a2 t5 t5 a1 u3"},
		{"a9 u2 u3", 5, "u2 u3"}, // an opening assistant message goes first
		{"a9 s1 u3", 5, "s1 u3"},
		{"u5 s1 u5 u5", 6, "s1 u5"},
		{"u9 a1 t1", 10, ""},
		{"a5", 3, ""},
		{"", 0, ""},
	} {
		in := msgs(c.in)
		kept, dropped, err := Fit(in, size, c.limit)
		if c.want == "" && c.in != "" {
			if !errors.Is(err, ErrContext) || kept != nil {
				t.Errorf("%q in %d: %v, %v", c.in, c.limit, kept, err)
			}
			continue
		}
		if err != nil || !cmp.Equal(kept, msgs(c.want)) || dropped != len(in)-len(kept) {
			t.Errorf("%q in %d: kept %v, dropped %d, %v; want %q", c.in, c.limit, kept, dropped, err, c.want)
		}
	}
	calls = 0
	long := msgs(strings.Repeat("u1 a1 ", 1000) + "u1")
	if kept, dropped, err := Fit(long, size, 501); err != nil || len(kept) != 501 || dropped != 1500 || calls > 12 {
		t.Errorf("long conversation: kept %d, dropped %d, %v, %d counts", len(kept), dropped, err, calls)
	}
	boom := errors.New("boom")
	if _, _, err := Fit(long, func([]Message) (int, error) { return 0, boom }, 1); !errors.Is(err, boom) {
		t.Errorf("count's error is lost: %v", err)
	}
}

// TestFitKeeps: whatever the conversation, what is kept fits, keeps every system message and the last
// user message, starts with a user message after the system, and nothing more would have fitted.
func TestFitKeeps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var in []Message
		for i := range rapid.IntRange(1, 12).Draw(t, "n") {
			in = append(in, Message{Role: rapid.SampledFrom([]string{"system", "user", "user", "assistant", "tool"}).Draw(t, "role"), Content: strings.Repeat("x", rapid.IntRange(1, 9).Draw(t, "size")), Name: fmt.Sprint(i)})
		}
		in = append(in, Message{Role: "user", Content: "last"})
		size := func(m []Message) (int, error) {
			n := 0
			for i := range m {
				n += len(m[i].Content)
			}
			return n, nil
		}
		limit := rapid.IntRange(1, 80).Draw(t, "limit")
		kept, dropped, err := Fit(in, size, limit)
		minimum := 0
		for _, m := range in {
			if m.Role == "system" {
				minimum += len(m.Content)
			}
		}
		if minimum += len("last"); minimum > limit {
			if !errors.Is(err, ErrContext) {
				t.Fatalf("error %v", err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if n, _ := size(kept); n > limit || len(kept)+dropped != len(in) || kept[len(kept)-1].Content != "last" {
			t.Fatalf("kept %v of %v in %d", kept, in, limit)
		}
		if dropped == 0 {
			return
		}
		for _, m := range kept {
			if m.Role == "system" {
				continue
			}
			if m.Role != "user" {
				t.Fatalf("kept conversation starts with %s", m.Role)
			}
			break
		}
	})
}
