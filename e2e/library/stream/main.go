// Command stream prints a text while it is generated.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"

	"trit"
	_ "trit/demo"
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	m, err := trit.OpenContext(ctx, "demo")
	if err != nil {
		return err
	}
	defer m.Close()
	for token, err := range m.Generate(ctx, "Once upon a time", trit.Greedy(), trit.MaxTokens(40)) {
		if err != nil {
			return err
		}
		fmt.Print(token.Text)
		if token.Finish != "" {
			fmt.Printf("\n(%s)\n", token.Finish)
		}
	}
	return nil
}
