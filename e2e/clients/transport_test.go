package clients

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/ollama/ollama/api"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	_ "trit/demo"
	"trit/server"
)

// TestTransport: the clients talk with a model in their own program, without a port.
func TestTransport(t *testing.T) {
	s, err := server.New(server.Options{Models: []string{"demo"}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	inside := &http.Client{Transport: s.Transport()}

	c := openai.NewClient(option.WithHTTPClient(inside), option.WithBaseURL("http://trit/v1"), option.WithAPIKey("none"))
	const question = "What is the capital of France?"
	out, err := c.Chat.Completions.New(t.Context(), chatParams(question))
	if err != nil {
		t.Fatal(err)
	}
	const want = "The capital of France is Paris."
	if got := out.Choices[0].Message.Content; got != want {
		t.Errorf("openai-go: %q", got)
	}
	stream := c.Chat.Completions.NewStreaming(t.Context(), chatParams(question))
	text, pieces := "", 0
	for ; stream.Next(); pieces++ {
		if choices := stream.Current().Choices; len(choices) > 0 {
			text += choices[0].Delta.Content
		}
	}
	if err := stream.Err(); err != nil || text != want || pieces < 5 {
		t.Errorf("openai-go, %d pieces: %q, %v", pieces, text, err)
	}

	a := anthropic.NewClient(anthropicoption.WithHTTPClient(inside), anthropicoption.WithBaseURL("http://trit"), anthropicoption.WithAPIKey("none"))
	message, err := a.Messages.New(t.Context(), anthropic.MessageNewParams{
		Model: "demo", MaxTokens: 20, Temperature: anthropic.Float(0),
		Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock(question))},
	})
	if err != nil || len(message.Content) == 0 || message.Content[0].Text != want {
		t.Errorf("anthropic-sdk-go: %+v, %v", message, err)
	}

	text = ""
	o := api.NewClient(&url.URL{Scheme: "http", Host: "trit"}, inside)
	err = o.Chat(t.Context(), &api.ChatRequest{
		Model: "demo", Messages: []api.Message{{Role: "user", Content: question}}, Options: map[string]any{"temperature": 0},
	}, func(r api.ChatResponse) error {
		text += r.Message.Content
		return nil
	})
	if err != nil || text != want {
		t.Errorf("ollama/api: %q, %v", text, err)
	}
}
