package convert_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"trit/convert"
	_ "trit/demo"
	"trit/gguf"
	"trit/hub"
)

// Open the demo, store its ternary weights in 1.7 bits each, and see what that
// costs.
func ExampleQuantize() {
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
	dir, err := os.MkdirTemp("", "quantize")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	typ := gguf.TypeTQ1_0
	report, err := convert.Quantize(context.Background(), convert.QuantizeOptions{
		Input: f, Output: filepath.Join(dir, "small.gguf"), Type: &typ,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(report.Tensors), "tensors,", report.TensorBytes < report.SourceBytes)
	// Output: 68 tensors, true
}

// The demo is as it should be.
func ExampleFindings() {
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
	fmt.Println(len(convert.Findings(f)), "findings")
	// Output: 0 findings
}

// A folder that is not a checkpoint is refused by what it lacks.
func ExampleFromHF() {
	dir, err := os.MkdirTemp("", "checkpoint")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	report, err := convert.FromHF(context.Background(), convert.Options{
		Input:     dir,
		Output:    dir + "/model.gguf",
		Type:      gguf.TypeI2S,
		Embedding: convert.DefaultEmbedding(gguf.TypeI2S),
	})
	if errors.Is(err, convert.ErrConfig) {
		fmt.Println("no config.json")
		return
	}
	for _, d := range report.Decisions {
		fmt.Println(d)
	}
	// Output: no config.json
}
