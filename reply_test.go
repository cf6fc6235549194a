package trit_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"trit"
	"trit/chat"
)

// TestText compares the calls that return whole texts with those that stream.
func TestText(t *testing.T) {
	m := openDemo(t)
	ctx := context.Background()
	opts := []trit.GenerateOption{trit.Greedy(), trit.MaxTokens(20)}
	want := ""
	for token, err := range m.Generate(ctx, "Once upon a time", opts...) {
		if err != nil {
			t.Fatal(err)
		}
		want += token.Text
	}
	if got, err := m.Text(ctx, "Once upon a time", opts...); err != nil || got != want || want == "" {
		t.Errorf("Text: %q, %v; want %q", got, err, want)
	}
	if got, err := m.TextFrom(ctx, m.Tokenize("Once upon a time"), opts...); err != nil || got != want {
		t.Errorf("TextFrom: %q, %v; want %q", got, err, want)
	}
	question := []chat.Message{{Role: "user", Content: "What is the capital of France?"}}
	if got, err := m.ChatText(ctx, question, opts...); err != nil || got != "The capital of France is Paris." {
		t.Errorf("ChatText: %q, %v", got, err)
	}
	var option *trit.OptionError
	if _, err := m.Text(ctx, "Once", trit.Choices(2), trit.MaxTokens(2)); !errors.As(err, &option) || option.Option != "choices" {
		t.Errorf("two choices: %v", err)
	}
	cutShort := `{"type": "string", "minLength": 50}`
	var cut *trit.CutError
	if text, err := m.Text(ctx, "Once", trit.JSONSchema([]byte(cutShort)), trit.MaxTokens(5)); !errors.As(err, &cut) || cut.Text != text || cut.Tokens != 5 {
		t.Errorf("a cut text: %q, %v", text, err)
	}
}

// TestReply compares whole answers with streamed ones.
func TestReply(t *testing.T) {
	m := openDemo(t)
	ctx := context.Background()
	c := trit.Conversation{Messages: []chat.Message{{Role: "user", Content: "What is the capital of France?"}}}
	var stats trit.Stats
	r, err := m.Reply(ctx, c, trit.Greedy(), trit.CollectStats(&stats))
	if err != nil || r.Content != "The capital of France is Paris." || r.Finish != trit.FinishStop || r.Tokens != stats.GeneratedTokens || r.Cut {
		t.Fatalf("%+v, %v; stats %+v", r, err, stats)
	}
	if len(r.Messages) != 1 || r.Messages[0].Role != "assistant" || r.Messages[0].Content != r.Content {
		t.Errorf("the message is %+v", r.Messages)
	}
	c.Messages = append(c.Messages, r.Message(), chat.Message{Role: "user", Content: "What does the dog say?"})
	if r, err := m.Reply(ctx, c, trit.Greedy()); err != nil || !strings.Contains(r.Content, "woof") {
		t.Errorf("the second turn: %+v, %v", r, err)
	}
	c.Choices = 3
	if _, err := m.Reply(ctx, c); err == nil {
		t.Error("Reply takes three choices")
	}
	all, err := m.Replies(ctx, c, trit.Seed(3), trit.Temperature(1.5))
	if err != nil || len(all) != 3 {
		t.Errorf("%+v, %v", all, err)
	}
	for i, r := range all {
		if r.Content == "" || r.Finish == "" || r.Tokens == 0 {
			t.Errorf("choice %d: %+v", i, r)
		}
	}
	c.Choices = 0
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := m.Reply(cancelled, c); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled context: %v", err)
	}
	if _, err := m.Reply(ctx, trit.Conversation{}); !errors.Is(err, trit.ErrOption) {
		t.Errorf("no messages: %v", err)
	}
}

// TestReplyRepeatsNames: names that are free may be there twice, which does not make an answer invalid.
func TestReplyRepeatsNames(t *testing.T) {
	m := openDemo(t)
	c := trit.Conversation{
		Messages: []chat.Message{{Role: "user", Content: "Hello!"}},
		Format:   trit.Format{Schema: json.RawMessage(`{"type":"object","propertyNames":{"const":"a"},"additionalProperties":{"type":"null"}}`)},
	}
	for seed := range uint64(100) {
		r, err := m.Reply(context.Background(), c, trit.Seed(seed), trit.Temperature(2), trit.MaxTokens(40))
		if err != nil || r.Schema != nil {
			t.Fatalf("%q: %v, %v", r.Content, r.Schema, err)
		}
		if strings.Count(r.Content, `"a"`) > 1 && !r.Cut {
			return
		}
	}
	t.Error("no answer has a name twice")
}

// TestRepliesEnd: checking an answer against what its format could not hold it to ends with the context.
func TestRepliesEnd(t *testing.T) {
	m := openDemo(t)
	p, err := m.Prepare(t.Context(), trit.Conversation{
		Messages: []chat.Message{{Role: "user", Content: "Hello!"}},
		Format:   trit.Format{Schema: json.RawMessage(`{"type":"array","uniqueItems":true,"items":{"type":"integer"}}`)},
	})
	if err != nil || len(p.Relaxed()) == 0 {
		t.Fatalf("%v, %v", p, err)
	}
	answer := func(yield func(trit.Piece, error) bool) { yield(trit.Piece{Content: "[1,2]"}, nil) }
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for want, ctx := range map[error]context.Context{nil: t.Context(), context.Canceled: ended} {
		replies, err := p.Replies(ctx, answer)
		if err != nil || !errors.Is(replies[0].Schema, want) {
			t.Errorf("%+v, %v; want %v", replies, err, want)
		}
	}
}

// TestReplyWithTools runs what the demo is made to call.
func TestReplyWithTools(t *testing.T) {
	m := openDemo(t)
	ctx := context.Background()
	required := trit.Conversation{
		Messages: []chat.Message{{Role: "user", Content: "What is the weather?"}}, Tools: weather(), SingleCall: true,
		ToolChoice: trit.ToolChoice{Mode: trit.ToolsRequired},
	}
	opts := []trit.GenerateOption{trit.Greedy(), trit.MaxTokens(60)}
	var asked []string
	answer, failure := "sunny", error(nil)
	tools := map[string]trit.ToolFunc{"get_weather": func(_ context.Context, arguments json.RawMessage) (string, error) {
		var a struct{ City string }
		if err := json.Unmarshal(arguments, &a); err != nil {
			t.Errorf("the arguments are %s: %v", arguments, err)
		}
		asked = append(asked, a.City)
		return answer, failure
	}}
	r, err := m.ReplyWithTools(ctx, required, tools, opts...)
	if err != nil && !errors.Is(err, trit.ErrRounds) {
		t.Fatal(err)
	}
	if len(asked) == 0 || asked[0] != "Paris" && asked[0] != "Rome" || len(r.Messages) < 3 {
		t.Fatalf("asked for %q; %+v", asked, r.Messages)
	}
	call, result, last := r.Messages[0], r.Messages[1], r.Messages[len(r.Messages)-1]
	if len(call.ToolCalls) != 1 || result.Role != "tool" || result.Content != "sunny" || result.Name != "get_weather" ||
		result.ToolCallID != call.ToolCalls[0].ID || last.Role != "assistant" || last.Content != r.Content {
		t.Errorf("the messages are %+v", r.Messages)
	}
	// Where only calls are possible it calls again and again, up to the bound.
	always := required
	always.Format = trit.Format{Choice: []string{"zzz"}}
	noText := trit.ProcessLogits(func(logits []float32, _ []int32) error {
		for id := range int32(m.Tokenizer().Len()) {
			if strings.HasPrefix(m.Tokenizer().Piece(id, true), "z") {
				logits[id] = float32(math.Inf(-1))
			}
		}
		return nil
	})
	asked = nil
	r, err = m.ReplyWithTools(ctx, always, tools, append(opts, trit.ToolRounds(1), noText)...)
	if !errors.Is(err, trit.ErrRounds) || len(asked) != 1 || len(r.Messages) != 3 || len(r.Calls) != 1 {
		t.Errorf("%v after %d calls: %+v", err, len(asked), r)
	}
	// The model reads of an error, unless that is to end it all.
	failure = errors.New("no such city")
	if r, _ := m.ReplyWithTools(ctx, required, tools, opts...); r.Messages[1].Content != "Error: no such city" {
		t.Errorf("the model reads %q", r.Messages[1].Content)
	}
	failure = errors.Join(trit.ErrAbort, errors.New("on fire"))
	r, err = m.ReplyWithTools(ctx, required, tools, opts...)
	if !errors.Is(err, trit.ErrAbort) || !strings.Contains(err.Error(), "on fire") || len(r.Messages) != 1 || len(r.Calls) != 1 {
		t.Errorf("%v; %+v", err, r)
	}
	ended, end := context.WithCancel(ctx)
	tools["get_weather"] = func(ctx context.Context, _ json.RawMessage) (string, error) {
		end()
		return "", ctx.Err()
	}
	if _, err := m.ReplyWithTools(ended, required, tools, opts...); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled context: %v", err)
	}
	for name, c := range map[string]func() (trit.Conversation, map[string]trit.ToolFunc, []trit.GenerateOption){
		"tools": func() (trit.Conversation, map[string]trit.ToolFunc, []trit.GenerateOption) { return required, nil, nil },
		"tools more": func() (trit.Conversation, map[string]trit.ToolFunc, []trit.GenerateOption) {
			c := required
			c.Tools = nil
			return c, tools, nil
		},
		"tool_rounds": func() (trit.Conversation, map[string]trit.ToolFunc, []trit.GenerateOption) {
			return required, tools, []trit.GenerateOption{trit.ToolRounds(-1)}
		},
	} {
		c, tools, opts := c()
		_, err := m.ReplyWithTools(ctx, c, tools, opts...)
		var option *trit.OptionError
		if !errors.As(err, &option) || option.Option != strings.Fields(name)[0] {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestConverseWithTools: the pieces of a tool loop, put together again, are the
// messages of ReplyWithTools, and nothing runs behind a loop that was left.
func TestConverseWithTools(t *testing.T) {
	m := openDemo(t)
	ctx := context.Background()
	c := trit.Conversation{
		Messages: []chat.Message{{Role: "user", Content: "What is the weather?"}}, Tools: weather(), SingleCall: true,
		ToolChoice: trit.ToolChoice{Mode: trit.ToolsRequired},
	}
	opts := []trit.GenerateOption{trit.Greedy(), trit.MaxTokens(60)}
	ran := 0
	tools := map[string]trit.ToolFunc{"get_weather": func(context.Context, json.RawMessage) (string, error) {
		ran++
		return "sunny", nil
	}}
	want, err := m.ReplyWithTools(ctx, c, tools, opts...)
	if err != nil {
		t.Fatal(err)
	}
	// Ids of calls are drawn anew each time.
	sameCalls := func(messages []chat.Message) []chat.Message {
		for i := range messages {
			messages[i].ToolCallID = ""
			for k := range messages[i].ToolCalls {
				messages[i].ToolCalls[k].ID = ""
			}
		}
		return messages
	}
	var got []chat.Message
	answer := chat.Message{Role: "assistant"}
	for piece, err := range m.ConverseWithTools(ctx, c, tools, opts...) {
		if err != nil {
			t.Fatal(err)
		}
		answer.Content += piece.Content
		answer.Reasoning += piece.Reasoning
		answer.ToolCalls = append(answer.ToolCalls, piece.Calls...)
		if piece.Finish != "" {
			got, answer = append(got, answer), chat.Message{Role: "assistant"}
		}
		got = append(got, piece.Results...)
	}
	if got, want := sameCalls(got), sameCalls(want.Messages); len(want) < 3 || !reflect.DeepEqual(got, want) {
		t.Errorf("the messages are\n%+v, want\n%+v", got, want)
	}
	for name, leave := range map[string]func(trit.Piece) bool{
		"at the first piece":     func(trit.Piece) bool { return true },
		"at the end of a call":   func(piece trit.Piece) bool { return piece.Called },
		"at the results of them": func(piece trit.Piece) bool { return piece.Results != nil },
	} {
		ran = 0
		for piece, err := range m.ConverseWithTools(ctx, c, tools, opts...) {
			if err != nil {
				t.Fatal(err)
			}
			if piece.Results != nil && ran != 1 {
				t.Errorf("%s: results after %d runs", name, ran)
			}
			if leave(piece) {
				break
			}
		}
		if want := strings.Count(name, "results"); ran != want {
			t.Errorf("left %s: %d tools ran, want %d", name, ran, want)
		}
	}
	for _, err := range m.ConverseWithTools(ctx, c, nil, opts...) {
		if !errors.Is(err, trit.ErrOption) {
			t.Errorf("without functions: %v", err)
		}
	}
}

// TestEmbedAll compares vectors that are computed together with those alone.
func TestEmbedAll(t *testing.T) {
	m := openDemo(t, trit.BatchRows(16))
	ctx := context.Background()
	texts := []string{"The dog barks.", "A cat.", strings.Repeat("Once upon a time ", 20), "The dog barks."}
	all, err := m.EmbedAll(ctx, texts)
	if err != nil || len(all) != len(texts) {
		t.Fatalf("%d vectors, %v", len(all), err)
	}
	for i, text := range texts {
		one, err := m.Embed(ctx, text)
		if err != nil || !slices.Equal(one, all[i]) {
			t.Errorf("%q: %v, alone another vector than together", text, err)
		}
	}
	if c := trit.Cosine(all[0], all[3]); c != 1 {
		t.Errorf("the cosine of a vector with itself is %v", c)
	}
	if c := trit.Cosine(all[0], all[1]); !(c < 0.99 && c > -1) {
		t.Errorf("the cosine of two texts is %v", c)
	}
	if c := trit.Cosine([]float32{1, 0}, []float32{-2, 0}); c != -1 {
		t.Errorf("opposite vectors: %v", c)
	}
	for _, bad := range [][2][]float32{{{1}, {1, 2}}, {{0, 0}, {1, 2}}, {nil, nil}} {
		if c := trit.Cosine(bad[0], bad[1]); !math.IsNaN(c) {
			t.Errorf("Cosine(%v, %v) = %v", bad[0], bad[1], c)
		}
	}
	for _, texts := range [][]string{{""}, {"a", ""}} {
		if _, err := m.EmbedAll(ctx, texts); !errors.Is(err, trit.ErrPrompt) {
			t.Errorf("%q: %v", texts, err)
		}
	}
	if none, err := m.EmbedAll(ctx, nil); err != nil || len(none) != 0 {
		t.Errorf("no texts: %v, %v", none, err)
	}
}

// TestScore adds up to what the model says of a text.
func TestScore(t *testing.T) {
	m := openDemo(t)
	tokens := m.Tokenize("Once upon a time")
	n := 0
	for s, err := range m.Score(context.Background(), tokens, 2) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; s.ID != tokens[n] || s.LogProb > 0 || len(s.Top) != 2 {
			t.Errorf("token %d: %+v", n, s)
		}
	}
	if n != len(tokens)-1 {
		t.Errorf("%d scores for %d tokens", n, len(tokens))
	}
}

// TestInfo compares what a model says of itself with what is known of the demo.
func TestInfo(t *testing.T) {
	i := openDemo(t, trit.ContextSize(128), trit.Threads(2), trit.KVType(trit.KVInt8)).Info()
	if i.Architecture != "bitnet-b1.58" || i.Layers != 6 && i.Layers <= 0 || i.Vocabulary < 1000 || i.Hidden != i.Heads*i.HeadDim ||
		i.Context != 128 || i.TrainedContext != 512 || i.Threads != 2 || i.KVType != trit.KVInt8 || i.Activations != trit.ActivationsInt8 ||
		i.TernaryWeights < 1e6 || i.CPU == "" {
		t.Errorf("%+v", i)
	}
}
