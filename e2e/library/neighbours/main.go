// Command neighbours finds the text that is most like a question by their
// embeddings.
package main

import (
	"context"
	"fmt"
	"log"

	"trit"
	_ "trit/demo"
)

var texts = []string{
	"The capital of France is Paris.",
	"Three plus four is seven.",
	"A baby cat is called a kitten.",
	"Once upon a time there was a brave fox who lived in the forest.",
}

func main() {
	if err := run("Once upon a time there was a little fox."); err != nil {
		log.Fatal(err)
	}
}

func run(question string) error {
	m, err := trit.Open("demo")
	if err != nil {
		return err
	}
	defer m.Close()
	ctx := context.Background()
	vectors, err := m.EmbedAll(ctx, texts)
	if err != nil {
		return err
	}
	asked, err := m.Embed(ctx, question)
	if err != nil {
		return err
	}
	nearest := 0
	for i, v := range vectors {
		fmt.Printf("%.3f  %s\n", trit.Cosine(asked, v), texts[i])
		if trit.Cosine(asked, v) > trit.Cosine(asked, vectors[nearest]) {
			nearest = i
		}
	}
	fmt.Println("nearest:", texts[nearest])
	return nil
}
