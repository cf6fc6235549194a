package clients

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
)

// anthropicClient returns Anthropic's client of the server under test.
func anthropicClient() anthropic.Client {
	return anthropic.NewClient(option.WithBaseURL(baseURL), option.WithAPIKey("any"), option.WithMaxRetries(0))
}

func anthropicParams(n int64, messages ...anthropic.MessageParam) anthropic.MessageNewParams {
	if len(messages) == 0 {
		messages = []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("Who are you?"))}
	}
	return anthropic.MessageNewParams{Model: "demo", MaxTokens: n, Temperature: anthropic.Float(0), Messages: messages,
		System: []anthropic.TextBlockParam{{Text: "Be brief."}}}
}

func TestAnthropicMessages(t *testing.T) {
	client := anthropicClient()
	whole, err := client.Messages.New(t.Context(), anthropicParams(8))
	if err != nil {
		t.Fatal(err)
	}
	if len(whole.Content) != 1 || whole.Content[0].Text == "" || whole.StopReason != anthropic.StopReasonMaxTokens || whole.Usage.OutputTokens != 8 {
		t.Errorf("%+v", whole)
	}
	stream := client.Messages.NewStreaming(t.Context(), anthropicParams(8))
	var streamed anthropic.Message
	events := 0
	for stream.Next() {
		events++
		if err := streamed.Accumulate(stream.Current()); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.Err(); err != nil || len(streamed.Content) != 1 || streamed.Content[0].Text != whole.Content[0].Text || streamed.StopReason != whole.StopReason || events < 10 {
		t.Errorf("%v after %d events: %+v", err, events, streamed)
	}
	count, err := client.Messages.CountTokens(t.Context(), anthropic.MessageCountTokensParams{Model: "demo",
		Messages: anthropicParams(8).Messages, System: anthropic.MessageCountTokensParamsSystemUnion{OfString: anthropic.String("Be brief.")}})
	if err != nil || count.InputTokens != whole.Usage.InputTokens {
		t.Errorf("%v, %+v; the answer says %d", err, count, whole.Usage.InputTokens)
	}
	t.Run("prefill", func(t *testing.T) {
		m, err := client.Messages.New(t.Context(), anthropicParams(5, anthropic.NewUserMessage(anthropic.NewTextBlock("Tell a story.")),
			anthropic.NewAssistantMessage(anthropic.NewTextBlock("Once upon a"))))
		if err != nil || !strings.HasPrefix(m.Content[0].Text, " time") {
			t.Errorf("%v, %+v", err, m)
		}
	})
	t.Run("stop sequence", func(t *testing.T) {
		p := anthropicParams(30)
		words := strings.Fields(whole.Content[0].Text)
		p.StopSequences = []string{words[len(words)/2]}
		m, err := client.Messages.New(t.Context(), p)
		if err != nil || m.StopReason != anthropic.StopReasonStopSequence || m.StopSequence != p.StopSequences[0] {
			t.Errorf("%v, %+v", err, m)
		}
	})
	t.Run("schema", func(t *testing.T) {
		p := anthropicParams(60)
		p.OutputConfig.Format.Schema = map[string]any{"type": "object", "properties": map[string]any{"age": map[string]any{"type": "integer"}}, "required": []string{"age"}, "additionalProperties": false}
		m, err := client.Messages.New(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		var v struct{ Age *int }
		if err := json.Unmarshal([]byte(m.Content[0].Text), &v); err != nil || v.Age == nil {
			t.Errorf("%v in %q", err, m.Content[0].Text)
		}
	})
}

func TestAnthropicTools(t *testing.T) {
	client := anthropicClient()
	p := anthropicParams(200)
	tool := anthropic.ToolUnionParamOfTool(anthropic.ToolInputSchemaParam{
		Properties: map[string]any{"city": map[string]any{"type": "string", "enum": []string{"Paris", "Rome"}}}, Required: []string{"city"}}, "get_weather")
	p.Tools, p.ToolChoice = []anthropic.ToolUnionParam{tool}, anthropic.ToolChoiceParamOfTool("get_weather")
	stream := client.Messages.NewStreaming(t.Context(), p)
	var m anthropic.Message
	for stream.Next() {
		if err := m.Accumulate(stream.Current()); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	var results []anthropic.ContentBlockParamUnion
	for _, block := range m.Content {
		if use, ok := block.AsAny().(anthropic.ToolUseBlock); ok {
			var input struct{ City string }
			if err := json.Unmarshal(use.Input, &input); err != nil || use.Name != "get_weather" || input.City != "Paris" && input.City != "Rome" {
				t.Errorf("%v: %+v", err, use)
			}
			results = append(results, anthropic.NewToolResultBlock(use.ID, "sunny", false))
		}
	}
	if len(results) == 0 || m.StopReason != anthropic.StopReasonToolUse {
		t.Fatalf("%+v", m)
	}
	p = anthropicParams(5, append(p.Messages, m.ToParam(), anthropic.NewUserMessage(results...))...)
	p.Tools = []anthropic.ToolUnionParam{tool}
	if _, err := client.Messages.New(t.Context(), p); err != nil {
		t.Error(err)
	}
}

func TestAnthropicErrors(t *testing.T) {
	client := anthropicClient()
	p := anthropicParams(5)
	p.Model = "claude-opus"
	_, err := client.Messages.New(t.Context(), p)
	if e, ok := errors.AsType[*anthropic.Error](err); !ok || e.StatusCode != 404 || e.RequestID == "" || !strings.Contains(e.Error(), "not_found_error") {
		t.Errorf("unknown model: %v", err)
	}
	p = anthropicParams(-1)
	_, err = client.Messages.New(t.Context(), p)
	if e, ok := errors.AsType[*anthropic.Error](err); !ok || e.StatusCode != 400 || !strings.Contains(e.Error(), "invalid_request_error") {
		t.Errorf("less than no tokens: %v", err)
	}
	// 0 brings the prompt into the cache.
	m, err := client.Messages.New(t.Context(), anthropicParams(0))
	if err != nil || m.Usage.OutputTokens != 0 || len(m.Content) != 0 || m.StopReason != anthropic.StopReasonMaxTokens {
		t.Errorf("no tokens: %+v, %v", m, err)
	}
}

func TestAnthropicCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	client := anthropicClient()
	p := anthropicParams(400)
	p.OutputConfig.Format.Schema = map[string]any{"type": "array", "items": map[string]any{"type": "integer"}, "minItems": 100}
	stream := client.Messages.NewStreaming(ctx, p)
	for seen := 0; stream.Next(); seen++ {
		if seen == 5 {
			cancel()
		}
	}
	if err := stream.Err(); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, err := client.Messages.New(t.Context(), anthropicParams(1)); err != nil {
		t.Error(err)
	}
}
