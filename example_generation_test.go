package trit_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"strings"

	"trit"
	"trit/chat"
	"trit/internal/kernel"
)

// A question whose answer is a Go value: the text is kept to the JSON Schema of
// the type, so it always decodes.
func ExampleChatInto() {
	m, err := trit.Open("demo")
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	type sum struct {
		A     int  `json:"a"`
		B     int  `json:"b"`
		Sum   int  `json:"sum"`
		Exact bool `json:"exact"`
	}
	question := []chat.Message{{Role: "user", Content: "What is 3 plus 4?"}}
	v, err := trit.ChatInto[sum](context.Background(), m, question, trit.Greedy(), trit.MaxTokens(60))
	var cut *trit.CutError
	switch {
	case errors.As(err, &cut):
		fmt.Println("not enough tokens:", cut.Text)
	case err != nil:
		log.Fatal(err)
	default:
		// The demo model has never seen JSON: what it says is of the right
		// form, and no more.
		fmt.Printf("%T\n", v)
	}
	// Output: trit_test.sum
}

// A fixed choice: the model picks the one that it finds most likely.
func ExampleChoice() {
	m, err := trit.Open("demo")
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	prompt := "User: What is the capital of France?<|eot_id|>Assistant: The capital of France is"
	for token, err := range m.Generate(context.Background(), prompt, trit.Greedy(), trit.ShowSpecial(), trit.Choice(" London", " Paris", " Rome")) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(token.Text)
	}
	// Output: Paris
}

// Streaming: each token comes with its text and, if asked for, with its
// log-probability and the most likely alternatives.
func ExampleModel_Generate_streaming() {
	m, err := trit.Open("demo")
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	sampling := m.Sampling()
	sampling.Temperature = 0
	sampling.TopLogProbs = 2
	for token, err := range m.Generate(context.Background(), "Once upon a", trit.Sampling(sampling), trit.MaxTokens(3)) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%q, rather than %q", token.Text, m.Detokenize([]int32{token.Top[1].ID}))
		if token.Finish != "" {
			fmt.Printf(" (%s)", token.Finish)
		}
		fmt.Println()
	}
	// Output:
	// " time", rather than " quiet"
	// ",", rather than "."
	// " there", rather than " in" (length)
}

// Several answers to one prompt are decoded together, which costs little more
// than one of them.
func ExampleChoices() {
	m, err := trit.Open("demo")
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	answers := make([]string, 3)
	question := []chat.Message{{Role: "user", Content: "What does a cow say?"}}
	for token, err := range m.Chat(context.Background(), question, trit.Choices(len(answers)), trit.Seed(1)) {
		if err != nil {
			log.Fatal(err)
		}
		answers[token.Index] += token.Text
	}
	for _, a := range answers {
		fmt.Println(a)
	}
	// Output:
	// A cow says moo.
	// A cow says moo.
	// A cow says moo.
}

// Speculative decoding without a second model: where a text repeats parts of
// itself the next tokens are guessed and checked together. The text stays the
// same.
func ExampleLookup() {
	m, err := trit.Open("demo")
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	prompt := strings.Repeat("The little dog ran to the park. The little cat ran to the pond. ", 4)
	run := func(opts ...trit.GenerateOption) (text string, stats trit.Stats) {
		opts = append(opts, trit.Greedy(), trit.MaxTokens(60), trit.CollectStats(&stats))
		for token, err := range m.Generate(context.Background(), prompt, opts...) {
			if err != nil {
				log.Fatal(err)
			}
			text += token.Text
		}
		return text, stats
	}
	plain, one := run()
	guessed, ahead := run(trit.Lookup())
	fmt.Println("same text:", plain == guessed)
	fmt.Println("fewer forward passes:", ahead.Steps < one.Steps)
	// Output:
	// same text: true
	// fewer forward passes: true
}

// A long prompt that many runs share is computed once and kept in a file.
func ExampleModel_SavePrompts() {
	dir, err := os.MkdirTemp("", "trit")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "prompts")
	prompt := strings.Repeat("The little dog ran to the park. ", 12)
	for range 2 {
		m, err := trit.Open("demo")
		if err != nil {
			log.Fatal(err)
		}
		if err := m.LoadPrompts(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			log.Fatal(err) // other weights, another KV type, another version
		}
		var stats trit.Stats
		for _, err := range m.Generate(context.Background(), prompt, trit.MaxTokens(5), trit.CollectStats(&stats)) {
			if err != nil {
				log.Fatal(err)
			}
		}
		fmt.Println("all but a page is known:", stats.PromptTokens-stats.CachedTokens <= kernel.PageTokens)
		if err := m.SavePrompts(path); err != nil {
			log.Fatal(err)
		}
		m.Close()
	}
	// Output:
	// all but a page is known: false
	// all but a page is known: true
}

// Go types that contain themselves have no schema of their own; one with references
// does for them.
func ExampleJSONSchema() {
	type tree struct {
		Animal string
		Next   *tree
	}
	schema := []byte(`{"$ref": "#/$defs/tree", "$defs": {"tree": {"type": "object", "additionalProperties": false,
		"required": ["animal", "next"],
		"properties": {"animal": {"enum": ["fox", "owl"]}, "next": {"anyOf": [{"$ref": "#/$defs/tree"}, {"type": "null"}]}}}}}`)
	m, err := trit.Open("demo")
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	text, err := m.Text(context.Background(), "A fox and an owl as JSON: ", trit.JSONSchema(schema), trit.Seed(1))
	if err != nil {
		log.Fatal(err)
	}
	var t tree
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		log.Fatal(err)
	}
	depth := 0
	for n := &t; n != nil; n = n.Next {
		depth++
	}
	fmt.Println(depth > 0, t.Animal == "fox" || t.Animal == "owl")
	// Output: true true
}
