package trit_test

import (
	"context"
	"fmt"
	"log"

	"trit"
	"trit/chat"
	_ "trit/demo"
)

func Example() {
	m, err := trit.Open("demo")
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	question := []chat.Message{{Role: "user", Content: "What is the capital of France?"}}
	for token, err := range m.Chat(context.Background(), question, trit.Greedy()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(token.Text)
	}
	// Output: The capital of France is Paris.
}

func ExampleModel_Generate() {
	m, err := trit.Open("demo")
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	for token, err := range m.Generate(context.Background(), "Once upon a time", trit.Greedy(), trit.MaxTokens(100), trit.Stop(".")) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(token.Text)
		if token.Finish != "" {
			fmt.Printf("\nfinish: %s\n", token.Finish)
		}
	}
	// Output:
	// , there was a brave girl named Mia
	// finish: stop_string
}
