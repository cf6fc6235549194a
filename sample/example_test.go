package sample_test

import (
	"fmt"
	"log"

	"trit/sample"
)

func Example() {
	opts := sample.Default()
	opts.Temperature = 0.7
	opts.Seed = new(uint64(7))
	p, err := sample.NewPipeline(opts)
	if err != nil {
		log.Fatal(err)
	}
	// A model would compute new logits for every position.
	logits := []float32{1.5, 2.5, 2.2, -2.0, 2.0}
	var ctx sample.Context
	for range 8 {
		r, err := p.Sample(logits, &ctx)
		if err != nil {
			log.Fatal(err)
		}
		p.Accept(r.Token)
		ctx.History = append(ctx.History, r.Token)
		ctx.Generated++
	}
	fmt.Println(ctx.History)
	// Output: [2 2 4 2 1 1 4 0]
}

// A greedy pipeline with a token banned and log-probabilities.
func ExampleNewPipeline() {
	opts := sample.Neutral()
	opts.Temperature = 0
	opts.BadWords = [][]int32{{1}}
	opts.TopLogProbs = 2
	p, err := sample.NewPipeline(opts)
	if err != nil {
		log.Fatal(err)
	}
	r, err := p.Sample([]float32{1, 3, 2}, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("token %d, log-probability %.3f\n", r.Token, r.LogProb)
	for _, t := range r.Top {
		fmt.Printf("  %d %.3f\n", t.ID, t.LogProb)
	}
	// Output:
	// token 2, log-probability -1.408
	//   1 -0.408
	//   2 -1.408
}

// Stages can be combined freely, in any order.
func ExampleNewChain() {
	p := sample.NewChain(1,
		sample.Temperature{T: 2},
		sample.TopK{K: 3},
		sample.MinP{P: 0.3},
	)
	var d sample.Distribution
	if err := p.Distribution(&d, []float32{0, 2, 4, 6}, nil); err != nil {
		log.Fatal(err)
	}
	for _, id := range d.IDs {
		fmt.Printf("%d %.3f\n", id, d.Prob(id))
	}
	// Output:
	// 3 0.731
	// 2 0.269
}

func ExampleParseOrder() {
	order, err := sample.ParseOrder("top-k; typ_p; temp")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(order)
	_, err = sample.ParseOrder("top_k;nonsense")
	fmt.Println(err != nil)
	// Output:
	// top_k;typical_p;temperature
	// true
}
