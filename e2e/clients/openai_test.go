package clients

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
	"github.com/openai/openai-go/v3/shared"
)

func openaiClient() openai.Client {
	return openai.NewClient(option.WithBaseURL(baseURL+"/v1"), option.WithAPIKey("none"), option.WithMaxRetries(0))
}

func chatParams(text string) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{
		Model:       "demo",
		Messages:    []openai.ChatCompletionMessageParamUnion{openai.UserMessage(text)},
		MaxTokens:   openai.Int(16),
		Temperature: openai.Float(0),
	}
}

var weatherSchema = map[string]any{
	"type": "object", "additionalProperties": false, "required": []string{"city", "days"},
	"properties": map[string]any{"city": map[string]any{"type": "string", "maxLength": 12}, "days": map[string]any{"type": "integer", "minimum": 1, "maximum": 9}},
}

type weather struct {
	City string
	Days int
}

func checkWeather(t *testing.T, text string) {
	t.Helper()
	var w weather
	if err := json.Unmarshal([]byte(text), &w); err != nil || w.Days < 1 || w.Days > 9 {
		t.Errorf("%q: %v", text, err)
	}
}

func TestOpenAIChat(t *testing.T) {
	c := openaiClient()
	out, err := c.Chat.Completions.New(t.Context(), chatParams("Tell me about a dog."))
	if err != nil {
		t.Fatal(err)
	}
	text := out.Choices[0].Message.Content
	if text == "" || out.Usage.CompletionTokens != 16 || out.Choices[0].FinishReason != "length" {
		t.Errorf("%+v", out)
	}
	params := chatParams("Tell me about a dog.")
	params.StreamOptions = openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)}
	stream := c.Chat.Completions.NewStreaming(t.Context(), params)
	var whole openai.ChatCompletionAccumulator
	pieces := 0
	for stream.Next() {
		if !whole.AddChunk(stream.Current()) {
			t.Errorf("piece %d does not fit", pieces)
		}
		pieces++
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	if got := whole.Choices[0].Message.Content; got != text || pieces < 5 || whole.Usage.CompletionTokens != 16 {
		t.Errorf("%d pieces with %q, want %q; usage %+v", pieces, got, text, whole.Usage)
	}
}

func TestOpenAILogProbs(t *testing.T) {
	c := openaiClient()
	params := chatParams("Tell me about a dog.")
	params.Logprobs, params.TopLogprobs = openai.Bool(true), openai.Int(2)
	out, err := c.Chat.Completions.New(t.Context(), params)
	if err != nil {
		t.Fatal(err)
	}
	tokens := out.Choices[0].Logprobs.Content
	spelled := ""
	for _, token := range tokens {
		if len(token.TopLogprobs) != 2 || token.Logprob > 0 || token.TopLogprobs[0].Logprob != token.Logprob {
			t.Errorf("%+v", token)
		}
		for _, b := range token.Bytes {
			spelled += string([]byte{byte(b)})
		}
	}
	if len(tokens) != 16 || strings.TrimLeft(spelled, " ") != out.Choices[0].Message.Content {
		t.Errorf("%d tokens spell %q", len(tokens), spelled)
	}
}

func TestOpenAISchema(t *testing.T) {
	c := openaiClient()
	params := chatParams("The weather in Rome?")
	params.MaxTokens = openai.Int(60)
	params.ResponseFormat = openai.ChatCompletionNewParamsResponseFormatUnion{OfJSONSchema: &shared.ResponseFormatJSONSchemaParam{
		JSONSchema: shared.ResponseFormatJSONSchemaJSONSchemaParam{Name: "weather", Strict: openai.Bool(true), Schema: weatherSchema}}}
	out, err := c.Chat.Completions.New(t.Context(), params)
	if err != nil {
		t.Fatal(err)
	}
	checkWeather(t, out.Choices[0].Message.Content)
}

func TestOpenAITools(t *testing.T) {
	c := openaiClient()
	params := chatParams("The weather in Rome?")
	params.MaxTokens = openai.Int(80)
	params.Tools = []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{
		Name: "get_weather", Description: openai.String("The weather."), Parameters: weatherSchema})}
	params.ToolChoice = openai.ChatCompletionToolChoiceOptionUnionParam{OfAuto: openai.String("required")}
	params.ParallelToolCalls = openai.Bool(false)
	out, err := c.Chat.Completions.New(t.Context(), params)
	if err != nil {
		t.Fatal(err)
	}
	if out.Choices[0].FinishReason != "tool_calls" || len(out.Choices[0].Message.ToolCalls) != 1 {
		t.Fatalf("%+v", out.Choices)
	}
	call := out.Choices[0].Message.ToolCalls[0]
	if call.Function.Name != "get_weather" || call.ID == "" {
		t.Errorf("%+v", call)
	}
	checkWeather(t, call.Function.Arguments)
	// In a stream.
	stream := c.Chat.Completions.NewStreaming(t.Context(), params)
	var whole openai.ChatCompletionAccumulator
	finished := 0
	for stream.Next() {
		whole.AddChunk(stream.Current())
		if f, ok := whole.JustFinishedToolCall(); ok {
			finished++
			if f.Name != "get_weather" || f.Arguments != call.Function.Arguments {
				t.Errorf("streamed %+v, want %+v", f, call)
			}
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	if finished != 1 {
		t.Errorf("%d calls were streamed: %+v", finished, whole.Choices)
	}
	// And back.
	params.ToolChoice = openai.ChatCompletionToolChoiceOptionUnionParam{OfAuto: openai.String("none")}
	params.Messages = append(params.Messages, out.Choices[0].Message.ToParam(), openai.ToolMessage(`{"sunny": true}`, call.ID))
	if out, err = c.Chat.Completions.New(t.Context(), params); err != nil {
		t.Fatal(err)
	}
	if out.Choices[0].Message.Content == "" || len(out.Choices[0].Message.ToolCalls) > 0 {
		t.Errorf("%+v", out.Choices)
	}
}

func TestOpenAICompletions(t *testing.T) {
	c := openaiClient()
	params := openai.CompletionNewParams{
		Model: "demo", Prompt: openai.CompletionNewParamsPromptUnion{OfArrayOfStrings: []string{"Once upon a time", "The dog"}},
		MaxTokens: openai.Int(8), Temperature: openai.Float(0), Logprobs: openai.Int(1), Echo: openai.Bool(true),
	}
	out, err := c.Completions.New(t.Context(), params)
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Choices) != 2 || !strings.HasPrefix(out.Choices[1].Text, "The dog") || len(out.Choices[0].Logprobs.Tokens) < 8 {
		t.Errorf("%+v", out)
	}
	texts := make([]string, 2)
	stream := c.Completions.NewStreaming(t.Context(), params)
	for stream.Next() {
		for _, choice := range stream.Current().Choices {
			texts[choice.Index] += choice.Text
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	for i, text := range texts {
		if text != out.Choices[i].Text {
			t.Errorf("streamed %q, want %q", text, out.Choices[i].Text)
		}
	}
}

func TestOpenAIEmbeddings(t *testing.T) {
	c := openaiClient()
	out, err := c.Embeddings.New(t.Context(), openai.EmbeddingNewParams{
		Model: "demo", Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: []string{"The dog sat.", "The dog sat.", "Blue."}},
	})
	if err != nil {
		t.Fatal(err)
	}
	dot := func(a, b []float64) (sum float64) {
		for i := range a {
			sum += a[i] * b[i]
		}
		return sum
	}
	e := out.Data
	if len(e) != 3 || dot(e[0].Embedding, e[1].Embedding) < 0.999 || dot(e[0].Embedding, e[2].Embedding) > 0.999 || out.Usage.PromptTokens == 0 {
		t.Errorf("%d vectors, products %v and %v", len(e), dot(e[0].Embedding, e[1].Embedding), dot(e[0].Embedding, e[2].Embedding))
	}
}

func TestOpenAIModels(t *testing.T) {
	c := openaiClient()
	page, err := c.Models.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Data) == 0 || page.Data[0].ID != "demo" {
		t.Errorf("%+v", page.Data)
	}
	if m, err := c.Models.Get(t.Context(), "demo"); err != nil || m.ID != "demo" {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestOpenAIResponses(t *testing.T) {
	c := openaiClient()
	params := responses.ResponseNewParams{
		Model: "demo", Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("Tell me about a dog.")},
		MaxOutputTokens: openai.Int(16), Temperature: openai.Float(0), Instructions: openai.String("Be brief."),
	}
	out, err := c.Responses.New(t.Context(), params)
	if err != nil {
		t.Fatal(err)
	}
	text := out.OutputText()
	if text == "" || out.Status != "incomplete" || out.Usage.OutputTokens != 16 {
		t.Errorf("%+v", out)
	}
	stream := c.Responses.NewStreaming(t.Context(), params)
	streamed, last := "", ""
	for stream.Next() {
		e := stream.Current()
		last = e.Type
		if d, ok := e.AsAny().(responses.ResponseTextDeltaEvent); ok {
			streamed += d.Delta
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	if streamed != text || last != "response.incomplete" {
		t.Errorf("streamed %q up to %s, want %q", streamed, last, text)
	}
	// A function and its result.
	params.MaxOutputTokens = openai.Int(80)
	params.Tools = []responses.ToolUnionParam{{OfFunction: &responses.FunctionToolParam{Name: "get_weather", Parameters: weatherSchema, Strict: openai.Bool(true)}}}
	params.ToolChoice = responses.ResponseNewParamsToolChoiceUnion{OfFunctionTool: &responses.ToolChoiceFunctionParam{Name: "get_weather"}}
	params.ParallelToolCalls = openai.Bool(false)
	if out, err = c.Responses.New(t.Context(), params); err != nil {
		t.Fatal(err)
	}
	call := out.Output[0].AsFunctionCall()
	checkWeather(t, call.Arguments)
	params.ToolChoice = responses.ResponseNewParamsToolChoiceUnion{OfToolChoiceMode: openai.Opt(responses.ToolChoiceOptionsNone)}
	params.Input = responses.ResponseNewParamsInputUnion{OfInputItemList: responses.ResponseInputParam{
		responses.ResponseInputItemParamOfMessage("The weather?", responses.EasyInputMessageRoleUser),
		responses.ResponseInputItemParamOfFunctionCall(call.Arguments, call.CallID, call.Name),
		{OfFunctionCallOutput: &responses.ResponseInputItemFunctionCallOutputParam{CallID: openai.String(call.CallID), Output: responses.ResponseInputItemFunctionCallOutputOutputUnionParam{OfString: openai.String("sunny")}}},
	}}
	if out, err = c.Responses.New(t.Context(), params); err != nil || out.OutputText() == "" {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestOpenAIErrors(t *testing.T) {
	c := openaiClient()
	params := chatParams("x")
	params.Model = "nonesuch"
	_, err := c.Chat.Completions.New(t.Context(), params)
	var e *openai.Error
	if !errors.As(err, &e) || e.StatusCode != http.StatusNotFound || e.Code != "model_not_found" || e.Message == "" {
		t.Errorf("%v", err)
	}
	params = chatParams("x")
	params.Temperature = openai.Float(9)
	if _, err = c.Chat.Completions.New(t.Context(), params); !errors.As(err, &e) || e.StatusCode != http.StatusBadRequest || e.Param != "temperature" {
		t.Errorf("%v", err)
	}
	params.Messages = []openai.ChatCompletionMessageParamUnion{openai.UserMessage([]openai.ChatCompletionContentPartUnionParam{
		openai.ImageContentPart(openai.ChatCompletionContentPartImageImageURLParam{URL: "data:image/png;base64,AAAA"})})}
	if _, err = c.Chat.Completions.New(t.Context(), params); !errors.As(err, &e) || e.Param != "messages[0].content[0]" {
		t.Errorf("%v", err)
	}
	stream := c.Chat.Completions.NewStreaming(t.Context(), params)
	if stream.Next(); stream.Err() == nil {
		t.Error("a stream that cannot begin reports nothing")
	}
}

func TestOpenAICancellation(t *testing.T) {
	c := openaiClient()
	params := chatParams("Tell me a long story.")
	params.MaxTokens = openai.Int(400)
	params.SetExtraFields(map[string]any{"ignore_eos": true})
	ctx, cancel := context.WithCancel(t.Context())
	stream := c.Chat.Completions.NewStreaming(ctx, params)
	for range 3 {
		if !stream.Next() {
			t.Fatal(stream.Err())
		}
	}
	start := time.Now()
	cancel()
	for stream.Next() {
	}
	if err := stream.Err(); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("it took %v to leave", d)
	}
	// The server goes on.
	if _, err := c.Chat.Completions.New(t.Context(), chatParams("Hi")); err != nil {
		t.Error(err)
	}
}
