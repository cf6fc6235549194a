package trit_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"

	"trit"
)

// What a model would take, before it is loaded, and whether it would fit.
func ExamplePlan() {
	plan, err := trit.Plan("demo", trit.ContextSize(512))
	if err != nil {
		log.Fatal(err)
	}
	if limit, _ := trit.MemoryLimit(); limit > 0 && plan.Least() > limit {
		log.Fatal("this machine is too small")
	}
	fmt.Println("a short text takes less:", plan.LeastFor(100) < plan.Least())
	var tooSmall *trit.MemoryError
	if err := plan.Fit(plan.Least() - 1); errors.As(err, &tooSmall) {
		fmt.Println("what would fit is a context of", tooSmall.Context)
	}
	// Output:
	// a short text takes less: true
	// what would fit is a context of 480
}

// A bound of the memory: the model then has room for fewer texts at a time.
func ExampleMaxMemory() {
	plan, err := trit.Plan("demo")
	if err != nil {
		log.Fatal(err)
	}
	m, err := trit.Open("demo", trit.MaxMemory(plan.Least()))
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	text, err := m.Text(context.Background(), "Once upon a time", trit.Greedy(), trit.MaxTokens(4))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(text)
	_, err = trit.Open("demo", trit.MaxMemory(plan.Least()/2))
	fmt.Println(errors.Is(err, trit.ErrMemory))
	// Output:
	// , there was a
	// true
}

// Loading ends when its context does; large models take seconds.
func ExampleOpenContext() {
	ctx, cancel := context.WithCancel(context.Background())
	stop := func(done, total int64) {
		if done > total/2 { // somebody has changed their mind
			cancel()
		}
	}
	_, err := trit.OpenContext(ctx, "demo", trit.Progress(stop))
	fmt.Println(errors.Is(err, context.Canceled))
	// Output: true
}

// An option that cannot be used is an error that names it.
func ExampleOptionError() {
	_, err := trit.Open("demo", trit.Threads(-1))
	var bad *trit.OptionError
	if errors.As(err, &bad) {
		fmt.Println(bad.Option)
	}
	// Output: threads
}

// A text that does not fit the context is an error that says by how much.
func ExampleContextError() {
	m, err := trit.Open("demo", trit.ContextSize(64))
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	_, err = m.Text(context.Background(), strings.Repeat("Once upon a time. ", 20))
	var bad *trit.ContextError
	if errors.As(err, &bad) {
		fmt.Println(bad.Tokens, "tokens,", "room for", bad.Room)
	}
	// Output: 102 tokens, room for 63
}
