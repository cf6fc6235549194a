package trit_test

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"log"
	"strings"

	"trit"
	"trit/chat"
	"trit/gguf"
	"trit/sample"
)

// A whole text in one call.
func ExampleModel_Text() {
	m, err := trit.Open("demo")
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	text, err := m.Text(context.Background(), "Once upon a time", trit.Greedy(), trit.Stop("."))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(text)
	// Output: , there was a brave girl named Mia
}

// A conversation of several turns: each answer becomes a message.
func ExampleModel_Reply() {
	m, err := trit.Open("demo")
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	c := trit.Conversation{Truncation: trit.Truncation{DropOldest: true, Reserve: 100}}
	for _, question := range []string{"What is the capital of France?", "What does the dog say?"} {
		c.Messages = append(c.Messages, chat.Message{Role: "user", Content: question})
		reply, err := m.Reply(context.Background(), c, trit.Greedy())
		if err != nil {
			log.Fatal(err)
		}
		c.Messages = append(c.Messages, reply.Message())
		fmt.Println(reply.Content)
	}
	// Output:
	// The capital of France is Paris.
	// A dog says woof.
}

// timeTool tells the time of a city.
var timeTool = chat.Tool{Type: "function", Function: chat.Function{
	Name:       "get_time",
	Parameters: json.RawMessage(`{"type": "object", "properties": {"city": {"enum": ["Paris"]}}, "required": ["city"]}`),
}}

// Calls of tools come as pieces of the answer. The demo has never heard of tools;
// here it must call one, and the constraint makes the call well-formed.
func ExampleModel_Converse() {
	m, err := trit.Open("demo")
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	c := trit.Conversation{
		Messages:   []chat.Message{{Role: "user", Content: "What time is it in Paris?"}},
		Tools:      []chat.Tool{timeTool},
		ToolChoice: trit.ToolChoice{Mode: trit.ToolsRequired},
		SingleCall: true,
	}
	for piece, err := range m.Converse(context.Background(), c, trit.Greedy()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(piece.Content)
		for _, call := range piece.Calls {
			fmt.Println(call.Function.Name, strings.ReplaceAll(call.Function.Arguments, " ", ""))
		}
		if piece.Called {
			fmt.Println("finish:", piece.Finish)
		}
	}
	// Output:
	// get_time {"city":"Paris"}
	// finish: stop
}

// A loop that runs the tools and gives their results to the model. The demo makes
// nothing of them; the messages show what was said.
func ExampleModel_ReplyWithTools() {
	m, err := trit.Open("demo")
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	c := trit.Conversation{
		Messages:   []chat.Message{{Role: "user", Content: "What time is it in Paris?"}},
		Tools:      []chat.Tool{timeTool},
		ToolChoice: trit.ToolChoice{Mode: trit.ToolsRequired},
		SingleCall: true,
	}
	tools := map[string]trit.ToolFunc{
		"get_time": func(_ context.Context, arguments json.RawMessage) (string, error) {
			var a struct{ City string }
			if err := json.Unmarshal(arguments, &a); err != nil {
				return "", err
			}
			return "half past nine in " + a.City, nil
		},
	}
	reply, err := m.ReplyWithTools(context.Background(), c, tools, trit.Greedy(), trit.MaxTokens(60))
	if err != nil {
		log.Fatal(err)
	}
	for _, message := range reply.Messages[:2] {
		for _, call := range message.ToolCalls {
			fmt.Println("call:", call.Function.Name)
		}
		if message.Role == "tool" {
			fmt.Println("result:", message.Content)
		}
	}
	// Output:
	// call: get_time
	// result: half past nine in Paris
}

// shy leaves out the most likely token where there is another one.
type shy struct{}

func (shy) Name() string { return "shy" }

func (shy) Apply(c *sample.Candidates, _ *sample.Context) error {
	top, err := c.Top(nil, 2)
	if err != nil || len(top) < 2 {
		return err
	}
	return c.Filter(func(t sample.Candidate) bool { return t.ID != top[0].ID })
}

// A sampler stage of one's own, beside stop strings, constraints and everything
// else.
func ExampleStages() {
	m, err := trit.Open("demo")
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	text, err := m.Text(context.Background(), "Once upon a", trit.Stages(shy{}), trit.Greedy(), trit.MaxTokens(3))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%q\n", text)
	// Output: " quiet walk walk"
}

// A logits processor: no token with the letter a.
func ExampleProcessLogits() {
	m, err := trit.Open("demo")
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	var banned []int
	for id := range m.Tokenizer().Len() {
		if strings.ContainsRune(m.Tokenizer().Piece(int32(id), true), 'a') {
			banned = append(banned, id)
		}
	}
	noA := trit.ProcessLogits(func(logits []float32, _ []int32) error {
		for _, id := range banned {
			logits[id] = -1e30
		}
		return nil
	})
	text, err := m.Text(context.Background(), "Once upon a time", noA, trit.Greedy(), trit.MaxTokens(12))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(text)
	// Output: , there. A little girl?
}

//go:embed demo/demo.gguf
var files embed.FS

// A model that is part of the program.
func ExampleOpenFS() {
	m, err := trit.OpenFS(context.Background(), files, "demo/demo.gguf")
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	answer, err := m.ChatText(context.Background(), []chat.Message{{Role: "user", Content: "What is 2 plus 3?"}}, trit.Greedy())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer)
	// Output: 2 plus 3 is 5.
}

// A model from bytes in memory.
func ExampleOpenFile() {
	data, err := files.ReadFile("demo/demo.gguf")
	if err != nil {
		log.Fatal(err)
	}
	f, err := gguf.Parse(data)
	if err != nil {
		log.Fatal(err)
	}
	m, err := trit.OpenFile(context.Background(), "mine", f, trit.MaxMemory(1<<30))
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	info := m.Info()
	fmt.Println(m.Name(), info.Architecture, info.Layers, "layers")
	// Output: mine bitnet-b1.58 6 layers
}

// The text that is nearest to another one.
func ExampleModel_EmbedAll() {
	m, err := trit.Open("demo")
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	texts := []string{"The dog says woof.", "The capital of Italy is Rome.", "Three plus four is seven."}
	vectors, err := m.EmbedAll(context.Background(), append(texts, "The capital of Spain is Madrid."))
	if err != nil {
		log.Fatal(err)
	}
	nearest, query := 0, vectors[len(texts)]
	for i := range texts {
		if trit.Cosine(query, vectors[i]) > trit.Cosine(query, vectors[nearest]) {
			nearest = i
		}
	}
	fmt.Println(texts[nearest])
	// Output: The capital of Italy is Rome.
}
