// Command answer asks for a Go value instead of a text.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"

	"trit"
	"trit/chat"
	_ "trit/demo"
)

// animal is what an answer looks like; its schema is made from it.
type animal struct {
	Name  string `json:"name"`
	Sound string `json:"sound" jsonschema:"what it says"`
	Legs  int    `json:"legs"`
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
	question := []chat.Message{{Role: "user", Content: "What does the dog say?"}}
	a, err := trit.ChatInto[animal](ctx, m, question, trit.Greedy(), trit.MaxTokens(80))
	if err != nil {
		return err
	}
	fmt.Printf("an animal of %d legs with a name of %d letters\n", a.Legs, len(a.Name))

	// Too short a limit for any answer is an error of its own.
	_, err = trit.ChatInto[animal](ctx, m, question, trit.MaxTokens(2))
	var cut *trit.CutError
	if !errors.As(err, &cut) {
		return fmt.Errorf("an answer of two tokens: %w", err)
	}
	fmt.Println("cut:", cut)
	return nil
}
