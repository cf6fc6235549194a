package validate_test

import (
	"context"
	"fmt"
	"strings"

	_ "trit/demo"
	"trit/hub"
	"trit/internal/engine"
	"trit/internal/model"
	"trit/internal/validate"
	"trit/tokenizer"
)

// The suite says whether a model is sound.
func ExampleRun() {
	demo, err := hub.Resolve("demo")
	if err != nil {
		fmt.Println(err)
		return
	}
	f, err := demo.Open()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close()
	report, err := validate.Run(context.Background(), demo.Name, f, validate.Options{
		Skip: []string{validate.CheckPerplexity}, // for an example that is quick everywhere
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range report.Checks {
		fmt.Println(c.Name, c.Status)
	}
	// Output:
	// file passed
	// tensors passed
	// weights passed
	// tokenizer passed
	// forward passed
	// attention passed
	// decode passed
	// perplexity skipped
	// embeddings skipped
}

// A text that the model knows well has a low perplexity.
func ExamplePerplexity() {
	demo, err := hub.Resolve("demo")
	if err != nil {
		fmt.Println(err)
		return
	}
	f, err := demo.Open()
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := model.Load(f, model.LoadOptions{}) // the file now belongs to the model
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()
	tok, err := tokenizer.FromGGUF(f.Metadata)
	if err != nil {
		fmt.Println(err)
		return
	}
	e, err := engine.New(m, engine.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	text := `One day, there was a young girl named Ivy. She lived near the meadow with her family. The wind blew the leaves around.
Her mom gave her a big pie. She sat down in the meadow to eat it. Then a lion named Adam came near. "I am so hungry," said
Adam. "May I have some?" At first, Ivy did not want to share. "Here, this is for you," said Ivy. They ate the pie together.`
	text = strings.ReplaceAll(text, "\n", " ")
	r, err := validate.Perplexity(context.Background(), e, tok, text, validate.PerplexityOptions{Context: 64})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.Perplexity < 3)
	// Output: true
}

func ExampleCompareLogits() {
	reference := []float32{1, 2, 2, 0.5, 0, 0}
	logits := []float32{1, 2, 2, 0.4, 0, 0}
	r, err := validate.CompareLogits([]int32{17, 300}, logits, reference, 3)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("max %.2f, arg-max agreement %.0f %%\n", r.Max, 100*r.ArgMaxAgreement)
	// Output: max 0.20, arg-max agreement 100 %
}
