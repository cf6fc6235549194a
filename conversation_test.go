package trit_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"trit"
	"trit/chat"
	"trit/grammar"
	"trit/tokenizer"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// withTemplate opens the demo with another chat template, from the folder chat.
func withTemplate(t testing.TB, name string, opts ...trit.Option) *trit.Model {
	t.Helper()
	if name == "" {
		return openDemo(t, opts...)
	}
	source, err := os.ReadFile(filepath.Join("chat", filepath.FromSlash(name)+".jinja"))
	if err != nil {
		t.Fatal(err)
	}
	path := rewrite(t, set(t, "tokenizer.chat_template", string(source)))
	m, err := trit.Open(path, append([]trit.Option{trit.Threads(2)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func weather() []chat.Tool {
	return []chat.Tool{{Type: "function", Function: chat.Function{
		Name: "get_weather", Description: "Tells the weather.",
		Parameters: json.RawMessage(`{"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"], "additionalProperties": false}`),
	}}}
}

// calledWeather is a conversation with a call and its result.
func calledWeather() []chat.Message {
	return []chat.Message{
		{Role: "system", Content: "Be brief."},
		{Role: "user", Content: "And in Paris?"},
		{Role: "assistant", Content: "Let me see.", ToolCalls: []chat.ToolCall{{ID: "call00000", Type: "function",
			Function: chat.FunctionCall{Name: "get_weather", Arguments: `{"city": "Paris"}`}}}},
		{Role: "tool", Content: "sunny", ToolCallID: "call00000", Name: "get_weather"},
	}
}

// TestConversationPrompts compares the prompts of conversations, as text, with
// testdata/prompts.golden.
func TestConversationPrompts(t *testing.T) {
	hello := []chat.Message{{Role: "user", Content: "Hello!"}}
	begun := append(hello[:1:1], chat.Message{Role: "assistant", Content: "Good"})
	kinds := []struct {
		name string
		c    trit.Conversation
	}{
		{"plain", trit.Conversation{Messages: hello}},
		{"bare", trit.Conversation{Messages: hello, Bare: true}},
		{"continue", trit.Conversation{Messages: begun, Continue: true}},
		{"continue reasoning", trit.Conversation{Messages: append(hello[:1:1], chat.Message{Role: "assistant", Reasoning: "They greet"}), Continue: true}},
		{"tools", trit.Conversation{Messages: calledWeather(), Tools: weather()}},
		{"tools never", trit.Conversation{Messages: calledWeather(), Tools: weather(), ToolChoice: trit.ToolChoice{Mode: trit.ToolsNever}}},
		{"thinking off", trit.Conversation{Messages: hello, Thinking: trit.ThinkingOff}},
		{"variable wins", trit.Conversation{Messages: hello, Thinking: trit.ThinkingOff, Variables: map[string]any{"enable_thinking": true}}},
	}
	var b strings.Builder
	for _, name := range []string{"", "templates/qwen2.5", "templates/llama3.1", "templates/mistral", "testdata/templates/thinking", "testdata/templates/tagged"} {
		m := withTemplate(t, name)
		for _, kind := range kinds {
			p, err := m.Prepare(t.Context(), kind.c)
			if err != nil {
				fmt.Fprintf(&b, "== %s, %s\n%v\n", name, kind.name, err)
				continue
			}
			text := m.Tokenizer().Decode(p.Prompt, tokenizer.RenderSpecial(true))
			text = strings.ReplaceAll(text, time.Now().Format("02 Jan 2006"), "DATE")
			fmt.Fprintf(&b, "== %s, %s: tools %v, reasoning %q, opened %v\n%s\n", name, kind.name, p.Tools.Format, p.Reasoning.Open, p.Opened, text)
		}
	}
	path := filepath.Join("testdata", "prompts.golden")
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got, expected := strings.Split(b.String(), "\n"), strings.Split(string(want), "\n")
	section := ""
	for i, line := range got {
		if strings.HasPrefix(line, "== ") {
			section = line
		}
		if i >= len(expected) || line != expected[i] {
			t.Fatalf("%s\nline %d is %q; see %s, and rewrite it with -update if the change is wanted", section, i+1, line, path)
		}
	}
	if len(got) != len(expected) {
		t.Errorf("%d lines, want %d", len(got), len(expected))
	}
}

// TestConversationErrors pins which option an error names.
func TestConversationErrors(t *testing.T) {
	m := openDemo(t)
	hello := []chat.Message{{Role: "user", Content: "Hello!"}}
	tests := []struct {
		option, says string
		c            trit.Conversation
		opts         []trit.GenerateOption
	}{
		{"messages", "at least one", trit.Conversation{}, nil},
		{"messages", `messages[1] has the role "Foo"`, trit.Conversation{Messages: append(hello[:1:1], chat.Message{Role: "Foo"})}, nil},
		{"messages", `messages[0] has the role ""`, trit.Conversation{Messages: []chat.Message{{Content: "x"}}}, nil},
		{"messages", "want assistant", trit.Conversation{Messages: hello, Continue: true}, nil},
		{"tool_choice", "no tools", trit.Conversation{Messages: hello, ToolChoice: trit.ToolChoice{Mode: trit.ToolsRequired}}, nil},
		{"tool_choice", `"get_time"`, trit.Conversation{Messages: hello, Tools: weather(), ToolChoice: trit.ToolChoice{Names: []string{"get_time"}}}, nil},
		{"tool_choice", "mode 9", trit.Conversation{Messages: hello, ToolChoice: trit.ToolChoice{Mode: 9}}, nil},
		{"tools", "get_weather", trit.Conversation{Messages: hello, Tools: append(weather(), weather()...)}, nil},
		{"tools", "not JSON", trit.Conversation{Messages: hello, Tools: []chat.Tool{{Function: chat.Function{Name: "f", Parameters: json.RawMessage("{")}}}}, nil},
		{"thinking", "knows no thinking", trit.Conversation{Messages: hello, Thinking: trit.ThinkingOn}, nil},
		{"thinking", "value 9", trit.Conversation{Messages: hello, Thinking: 9}, nil},
		{"thinking_budget", "-1 tokens", trit.Conversation{Messages: hello, ThinkingBudget: -1}, nil},
		{"truncation", "reserve of -1", trit.Conversation{Messages: hello, Truncation: trit.Truncation{Reserve: -1}}, nil},
		{"choices", "-1", trit.Conversation{Messages: hello, Choices: -1}, nil},
		{"format", "JSON and GBNF", trit.Conversation{Messages: hello, Format: trit.Format{Object: true, GBNF: "root ::= \"a\""}}, nil},
		{"format", "JSON Schema", trit.Conversation{Messages: hello, Format: trit.Format{Schema: json.RawMessage(`{"type": 1}`)}}, nil},
		{"format", "one constraint", trit.Conversation{Messages: hello, Format: trit.Format{Object: true}}, []trit.GenerateOption{trit.JSON()}},
		{"grammar", "nil", trit.Conversation{Messages: hello}, []trit.GenerateOption{trit.Grammar(nil)}},
	}
	for _, test := range tests {
		t.Run(test.option+" "+test.says, func(t *testing.T) {
			for _, err := range m.Converse(context.Background(), test.c, test.opts...) {
				var option *trit.OptionError
				if !errors.As(err, &option) || !errors.Is(err, trit.ErrOption) {
					t.Fatalf("the error is %v", err)
				}
				if option.Option != test.option || !strings.Contains(err.Error(), test.says) {
					t.Errorf("%q: %v\nwant option %q and %q", option.Option, err, test.option, test.says)
				}
			}
		})
	}
	_, err := m.Prepare(t.Context(), trit.Conversation{Messages: hello, Format: trit.Format{GBNF: "root := 1"}})
	if !errors.Is(err, grammar.ErrSyntax) {
		t.Errorf("the cause is lost: %v", err)
	}
}

// tokensOf makes tokens of texts, the last of which ends the answer.
func tokensOf(texts ...string) iter.Seq2[trit.Token, error] {
	return func(yield func(trit.Token, error) bool) {
		for i, text := range texts {
			token := trit.Token{ID: int32(i), Text: text}
			if i == len(texts)-1 {
				token.Finish = trit.FinishStop
			}
			if !yield(token, nil) {
				return
			}
		}
	}
}

// TestPieces tells the parts of answers apart, however the tokens cut them.
func TestPieces(t *testing.T) {
	const call = `<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</tool_call>`
	hello := []chat.Message{{Role: "user", Content: "Hello!"}}
	thinking := withTemplate(t, "testdata/templates/thinking")
	demo := openDemo(t)
	tests := []struct {
		name               string
		model              *trit.Model
		c                  trit.Conversation
		answer             string
		content, reasoning string
		calls              []string
	}{
		{"text", demo, trit.Conversation{Messages: hello}, " Good day.", "Good day.", "", nil},
		{"continued", demo, trit.Conversation{Messages: append(hello[:1:1], chat.Message{Role: "assistant", Content: "Good"}), Continue: true},
			" day.", " day.", "", nil},
		{"marks of other models", demo, trit.Conversation{Messages: hello}, "<think>x</think>" + call, "<think>x</think>" + call, "", nil},
		{"call", demo, trit.Conversation{Messages: hello, Tools: weather()}, " See: " + call, "See:", "", []string{`{"city": "Paris"}`}},
		{"two calls", demo, trit.Conversation{Messages: hello, Tools: weather()}, call + "\n" + call, "", "",
			[]string{`{"city": "Paris"}`, `{"city": "Paris"}`}},
		{"tools never", demo, trit.Conversation{Messages: hello, Tools: weather(), ToolChoice: trit.ToolChoice{Mode: trit.ToolsNever}}, call, call, "", nil},
		{"thought", thinking, trit.Conversation{Messages: hello}, "<think>\nHm, <b>.\n</think>\n\nYes.", "Yes.", "Hm, <b>.", nil},
		{"nothing thought", thinking, trit.Conversation{Messages: hello}, "\n<think>\n\n</think>\n\nYes.\n", "Yes.\n", "", nil},
		{"cut thought", thinking, trit.Conversation{Messages: hello}, "<think>Hm </thi", "", "Hm </thi", nil},
		{"thought and call", thinking, trit.Conversation{Messages: hello, Tools: weather()}, "<think>" + call + "</think>" + call, "", call,
			[]string{`{"city": "Paris"}`}},
		{"no thought", thinking, trit.Conversation{Messages: hello}, "<thin> air", "<thin> air", "", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, err := test.model.Prepare(t.Context(), test.c)
			if err != nil {
				t.Fatal(err)
			}
			for size := 1; size <= len(test.answer); size++ {
				var texts []string
				for rest := test.answer; rest != ""; rest = rest[min(size, len(rest)):] {
					texts = append(texts, rest[:min(size, len(rest))])
				}
				var content, reasoning string
				var calls []string
				var last trit.Piece
				for piece, err := range p.Pieces(tokensOf(texts...)) {
					if err != nil {
						t.Fatal(err)
					}
					content += piece.Content
					reasoning += piece.Reasoning
					for _, c := range piece.Calls {
						calls = append(calls, c.Function.Arguments)
						if c.Function.Name != "get_weather" || !strings.HasPrefix(c.ID, "call_") {
							t.Errorf("the call is %+v", c)
						}
					}
					last = piece
				}
				if content != test.content || reasoning != test.reasoning || !reflect.DeepEqual(calls, test.calls) {
					t.Fatalf("pieces of %d bytes: content %q, reasoning %q, calls %q\nwant %q, %q, %q",
						size, content, reasoning, calls, test.content, test.reasoning, test.calls)
				}
				if last.Finish != trit.FinishStop || last.Called != (len(calls) > 0) {
					t.Errorf("the last piece is %+v", last)
				}
			}
		})
	}
}

// collect runs a conversation and returns what its choices add up to.
func collect(t *testing.T, m *trit.Model, c trit.Conversation, opts ...trit.GenerateOption) (content string, calls []chat.ToolCall) {
	t.Helper()
	for piece, err := range m.Converse(context.Background(), c, opts...) {
		if err != nil {
			t.Fatal(err)
		}
		content += piece.Content
		calls = append(calls, piece.Calls...)
	}
	return content, calls
}

// TestConversationConstraints keeps the demo, which knows nothing of tools, to
// what a conversation allows.
func TestConversationConstraints(t *testing.T) {
	question := []chat.Message{{Role: "user", Content: "What is the capital of Italy?"}}
	required := trit.ToolChoice{Mode: trit.ToolsRequired}
	cow := chat.Tool{Type: "function", Function: chat.Function{Name: "moo"}}
	for _, template := range []string{"", "templates/llama3.1", "templates/mistral", "testdata/templates/tagged"} {
		m := withTemplate(t, template, trit.ContextSize(1024))
		content, calls := collect(t, m, trit.Conversation{Messages: question, Tools: append(weather(), cow), SingleCall: true,
			ToolChoice: trit.ToolChoice{Mode: trit.ToolsRequired, Names: []string{"get_weather"}}}, trit.Greedy(), trit.MaxTokens(100))
		if content != "" || len(calls) != 1 || calls[0].Function.Name != "get_weather" {
			t.Errorf("%s: content %q, calls %+v", template, content, calls)
			continue
		}
		var arguments struct{ City string }
		if err := json.Unmarshal([]byte(calls[0].Function.Arguments), &arguments); err != nil || arguments.City != "Paris" && arguments.City != "Rome" {
			t.Errorf("%s: the arguments are %s (%v)", template, calls[0].Function.Arguments, err)
		}
	}
	m := openDemo(t)
	// Of a call and a text of the format, the answer may be either.
	choice := trit.Format{Choice: []string{" Rome.", " Paris."}}
	c := trit.Conversation{Messages: question, Tools: weather(), Format: choice}
	if content, calls := collect(t, m, c, trit.Greedy()); content != "Rome." && content != "Paris." && len(calls) == 0 {
		t.Errorf("a format with tools gives %q", content)
	}
	c.ToolChoice = required
	if content, calls := collect(t, m, c, trit.Greedy(), trit.MaxTokens(100)); content != "" || len(calls) == 0 {
		t.Errorf("a required call gives %q and %v", content, calls)
	}
	c.ToolChoice.Mode = trit.ToolsNever
	if content, calls := collect(t, m, c, trit.Greedy()); content != "Rome." && content != "Paris." || len(calls) > 0 {
		t.Errorf("tools that are not offered give %q and %v", content, calls)
	}
	// The format holds behind what the prompt has begun to think.
	thinking := withTemplate(t, "testdata/templates/thinking")
	c = trit.Conversation{Continue: true, Format: trit.Format{Choice: []string{"yes", "no"}},
		Messages: append(question[:1:1], chat.Message{Role: "assistant", Content: "<think>\nHm"})}
	p, err := thinking.Prepare(t.Context(), c)
	if err != nil || !p.Opened {
		t.Fatalf("%v, opened %v", err, p.Opened)
	}
	mask := make([]uint64, (thinking.Tokenizer().Len()+63)/64)
	allows := func(text string) bool {
		ids := thinking.Tokenizer().Encode(text, tokenizer.AddSpecial(false))
		if _, err := p.Constraint.MaskWithin(mask, 50); err != nil {
			t.Fatal(err)
		}
		return mask[ids[0]/64]>>(ids[0]%64)&1 != 0
	}
	accept := func(text string) {
		for _, id := range thinking.Tokenizer().Encode(text, tokenizer.AddSpecial(false)) {
			if err := p.Constraint.Accept(id); err != nil {
				t.Fatal(err)
			}
		}
	}
	eos, _ := thinking.Tokenizer().EOS()
	if !allows("b") || p.Constraint.CanEnd() || mask[eos/64]>>(eos%64)&1 != 0 {
		t.Error("what is thought should be free, and not end")
	}
	accept(" so it is.\n</think>\n\n")
	if allows("b") || !allows("y") {
		t.Error("behind the thought the format should hold")
	}
	accept("yes")
	if !p.Constraint.Done() {
		t.Error("the answer is complete")
	}
}

// TestThinkingBudget bounds what a model thinks, and switches it off where the template cannot.
func TestThinkingBudget(t *testing.T) {
	hello := []chat.Message{{Role: "user", Content: "Hello!"}}
	begun := func(thought string) []chat.Message {
		return append(hello[:1:1], chat.Message{Role: "assistant", Reasoning: thought})
	}
	opening := withTemplate(t, "testdata/templates/opening")
	thinking := withTemplate(t, "testdata/templates/thinking")
	digits := trit.Format{Regexp: "[0-9]{3}"}
	for _, test := range []struct {
		name     string
		m        *trit.Model
		c        trit.Conversation
		thoughts int // tokens
		prompt   string
	}{
		{"no bound", opening, trit.Conversation{Messages: hello}, 40, "<think>\n"},
		{"budget", opening, trit.Conversation{Messages: hello, ThinkingBudget: 9}, 9, "<think>\n"},
		{"budget and format", opening, trit.Conversation{Messages: hello, ThinkingBudget: 9, Format: digits}, 9, "<think>\n"},
		{"off", opening, trit.Conversation{Messages: hello, Thinking: trit.ThinkingOff}, 0, "<think>\n\n</think>\n\n"},
		{"off by the variable", opening, trit.Conversation{Messages: hello, ThinkingBudget: 9,
			Variables: map[string]any{"enable_thinking": false}}, 0, "<think>\n\n</think>\n\n"},
		{"off and format", opening, trit.Conversation{Messages: hello, Thinking: trit.ThinkingOff, Format: digits}, 0,
			"<think>\n\n</think>\n\n"},
		{"off by the template", thinking, trit.Conversation{Messages: hello, Thinking: trit.ThinkingOff, Format: digits}, 0,
			"<think>\n\n</think>\n\n"},
		{"continued", thinking, trit.Conversation{Messages: begun("Hm"), Continue: true, ThinkingBudget: 5}, 5,
			"<think>\nHm"},
		{"not opened", thinking, trit.Conversation{Messages: hello, ThinkingBudget: 5}, 0, "assistant\n"},
		{"unknown marks", openDemo(t), trit.Conversation{Messages: hello, ThinkingBudget: 5}, 0, "Assistant:"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := test.m.Prepare(t.Context(), test.c, trit.Greedy(), trit.MaxTokens(40), trit.IgnoreEnd())
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(strings.TrimRight(p.Text, " "), test.prompt) {
				t.Errorf("the prompt is %q", p.Text)
			}
			replies, err := p.Replies(t.Context(), p.Run(t.Context()))
			if err != nil {
				t.Fatal(err)
			}
			// The end of the block counts too, and is no more than the mark and the lines around it.
			mark := len(test.m.Tokenizer().Encode("\n</think>\n\n", tokenizer.AddSpecial(false)))
			got := replies[0]
			if n := got.ReasoningTokens; n < test.thoughts || n > test.thoughts+mark || test.thoughts == 0 && n > 0 {
				t.Errorf("%d tokens of reasoning, want %d: %q", n, test.thoughts, got.Reasoning)
			}
			if (got.Content == "") != (test.thoughts == 40) || strings.Contains(got.Content, "</think>") {
				t.Errorf("the answer is %q", got.Content)
			}
			if test.c.Format.Regexp != "" && len(got.Content) != 3 {
				t.Errorf("the answer is %q, want 3 digits", got.Content)
			}
		})
	}
	// What opens the block is allowed where the answer must keep to a format, unless it is off.
	for _, off := range []bool{false, true} {
		c := trit.Conversation{Messages: hello, Format: digits}
		if off {
			c.Thinking = trit.ThinkingOff
		}
		p, err := thinking.Prepare(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		mask := make([]uint64, (thinking.Tokenizer().Len()+63)/64)
		if _, err := p.Constraint.MaskWithin(mask, 100); err != nil {
			t.Fatal(err)
		}
		id := thinking.Tokenizer().Encode("<think>", tokenizer.AddSpecial(false))[0]
		if allowed := mask[id/64]>>(id%64)&1 != 0; allowed == off {
			t.Errorf("off %v: the block may be opened: %v", off, allowed)
		}
	}
}

// TestConversationTruncation drops what the policy says.
func TestConversationTruncation(t *testing.T) {
	m := openDemo(t, trit.ContextSize(128))
	var messages []chat.Message
	messages = append(messages, chat.Message{Role: "system", Content: "Be brief."})
	for range 8 {
		messages = append(messages, chat.Message{Role: "user", Content: "What does a cow say?"}, chat.Message{Role: "assistant", Content: "A cow says moo."})
	}
	messages = append(messages, chat.Message{Role: "user", Content: "And what does the dog say?"})
	prepare := func(truncation trit.Truncation) (*trit.Prepared, error) {
		return m.Prepare(t.Context(), trit.Conversation{Messages: messages, Truncation: truncation})
	}
	all, err := prepare(trit.Truncation{})
	if err != nil || all.Dropped != 0 || len(all.Prompt) <= 128 {
		t.Fatalf("%v; %d dropped, %d tokens", err, all.Dropped, len(all.Prompt))
	}
	dropped := map[string]int{}
	for name, policy := range map[string]trit.Truncation{
		"least":   {DropOldest: true},
		"room":    {DropOldest: true, Room: 60},
		"reserve": {DropOldest: true, Reserve: 60},
		"context": {DropOldest: true, Context: 69},
		"slack":   {DropOldest: true, Slack: 60},
		"too far": {DropOldest: true, Slack: 10000},
		"yield":   {DropOldest: true, Reserve: 10000, YieldReserve: true},
	} {
		p, err := prepare(policy)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		dropped[name] = p.Dropped
		if p.Dropped+len(p.Messages) != len(messages) || p.Messages[0].Role != "system" || p.Messages[1].Role != "user" {
			t.Errorf("%s: %d dropped, %d kept: %v", name, p.Dropped, len(p.Messages), p.Messages)
		}
		if room := 128 - len(p.Prompt); room < 1 || (name == "reserve" || name == "room") && room < 60 {
			t.Errorf("%s: room for %d tokens", name, room)
		}
	}
	if !(dropped["least"] > 0 && dropped["least"] < dropped["reserve"] && dropped["slack"] == dropped["reserve"] && dropped["room"] == dropped["reserve"] &&
		dropped["context"] == dropped["reserve"] &&
		dropped["too far"] == dropped["least"] && dropped["yield"] == dropped["least"]) {
		t.Errorf("dropped: %v", dropped)
	}
	if _, err := prepare(trit.Truncation{DropOldest: true, Reserve: 10000}); !errors.Is(err, chat.ErrContext) {
		t.Errorf("a reserve beyond the context: %v", err)
	}
	// What fits is not changed, whatever is to be left free of what does not.
	fits, err := m.Prepare(t.Context(), trit.Conversation{Messages: messages[len(messages)-7:],
		Truncation: trit.Truncation{DropOldest: true, Reserve: 10000}})
	if err != nil || fits.Dropped != 0 || len(fits.Prompt) >= 128 {
		t.Errorf("a conversation that fits: %v; %d dropped", err, fits.Dropped)
	}
}
