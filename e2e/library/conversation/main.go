// Command conversation answers a question with the help of a function of its own,
// and keeps the conversation for the next question.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"

	"trit"
	"trit/chat"
	_ "trit/demo"
)

// capital is a tool as it is described to the model.
var capital = chat.Tool{Type: "function", Function: chat.Function{
	Name:        "capital",
	Description: "the capital of a country",
	Parameters: json.RawMessage(`{
		"type": "object",
		"properties": {"country": {"enum": ["France", "Italy", "Japan"]}},
		"required": ["country"],
		"additionalProperties": false
	}`),
}}

// lookUp is the function behind it.
func lookUp(_ context.Context, arguments json.RawMessage) (string, error) {
	var a struct{ Country string }
	if err := json.Unmarshal(arguments, &a); err != nil {
		return "", err
	}
	return map[string]string{"France": "Paris", "Italy": "Rome", "Japan": "Tokyo"}[a.Country], nil
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	m, err := trit.Open("demo")
	if err != nil {
		return err
	}
	defer m.Close()
	ctx := context.Background()
	// The demo has never seen a tool, so it is told to call one. Left to itself a
	// larger model decides.
	c := trit.Conversation{
		Messages:   []chat.Message{{Role: "user", Content: "What is the capital of Italy?"}},
		Tools:      []chat.Tool{capital},
		ToolChoice: trit.ToolChoice{Mode: trit.ToolsRequired},
		SingleCall: true,
	}
	reply, err := m.ReplyWithTools(ctx, c, map[string]trit.ToolFunc{"capital": lookUp}, trit.Greedy(), trit.MaxTokens(60))
	if err != nil {
		return err
	}
	for _, message := range reply.Messages {
		for _, call := range message.ToolCalls {
			fmt.Printf("call: %s %s\n", call.Function.Name, call.Function.Arguments)
		}
		if message.Role == "tool" {
			fmt.Printf("result: %s\n", message.Content)
		}
	}
	fmt.Printf("answer: %s\n", reply.Content)

	c = trit.Conversation{Messages: append(append(c.Messages, reply.Messages...), chat.Message{Role: "user", Content: "What does the cow say?"})}
	for piece, err := range m.Converse(ctx, c, trit.Greedy(), trit.MaxTokens(30)) {
		if err != nil {
			return err
		}
		fmt.Print(piece.Content)
	}
	fmt.Println()
	return nil
}
