package generate_test

import (
	"context"
	"fmt"
	"log"

	_ "trit/demo"
	"trit/hub"
	"trit/internal/engine"
	"trit/internal/generate"
	"trit/internal/model"
	"trit/sample"
	"trit/tokenizer"
)

// Example runs the built-in model from the parts that package trit ties
// together.
func Example() {
	found, err := hub.Resolve("demo")
	if err != nil {
		log.Fatal(err)
	}
	file, err := found.Open()
	if err != nil {
		log.Fatal(err)
	}
	t, err := tokenizer.FromGGUF(file.Metadata)
	if err != nil {
		log.Fatal(err)
	}
	m, err := model.Load(file, model.LoadOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	e, err := engine.New(m, engine.Options{})
	if err != nil {
		log.Fatal(err)
	}
	scheduler := engine.NewScheduler(e)
	defer scheduler.Close()
	session, err := scheduler.NewSession()
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()

	o := generate.Options{MaxTokens: 50, Stop: []string{"."}, Sampling: sample.Default()}
	o.Sampling.Temperature = 0
	o.Speculation.Lookup = true
	g, err := generate.New(session, t, o)
	if err != nil {
		log.Fatal(err)
	}
	for token, err := range g.Tokens(context.Background(), t.Encode("Once upon a time")) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(token.Text)
	}
	fmt.Printf(" [%s]\n", g.Finish())
	// Output: , there was a brave girl named Mia [stop_string]
}
