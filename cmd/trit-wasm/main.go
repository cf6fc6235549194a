//go:build js && wasm

// Command trit-wasm is Trit in a web page: the demo model generates text in the browser.
// The script build makes a folder with all that the page needs. The program sets the global
// object trit:
//
//	await trit.ready                             // resolves to {name, milliseconds}
//	await trit.generate(prompt, options, onText) // options: {tokens, temperature, seed}
//	trit.stop()                                  // ends it after the next token
//
// generate calls onText with each piece of text and resolves to {tokens, milliseconds,
// finish}. A page has one thread, which its events share with the model: after each token
// it is their turn.
package main

import (
	"context"
	"syscall/js"
	"time"

	"trit"
	_ "trit/demo"
	"trit/sample"
)

func main() {
	page := &page{stop: func() {}}
	object := js.Global().Get("Object").New()
	object.Set("ready", promise(page.open))
	object.Set("generate", js.FuncOf(func(_ js.Value, args []js.Value) any {
		return promise(func() (any, error) { return page.generate(args) })
	}))
	object.Set("stop", js.FuncOf(func(js.Value, []js.Value) any {
		page.stop()
		return nil
	}))
	js.Global().Set("trit", object)
	select {} // the functions above are called from now on
}

// page is the model of a page and what it is doing.
type page struct {
	model *trit.Model
	stop  func()
	busy  bool
}

// open loads the model.
func (p *page) open() (any, error) {
	start := time.Now()
	m, err := trit.Open("demo", trit.Threads(1))
	if err != nil {
		return nil, err
	}
	p.model = m
	return map[string]any{"name": m.Info().Name, "milliseconds": time.Since(start).Milliseconds()}, nil
}

// generate continues a prompt.
func (p *page) generate(args []js.Value) (any, error) {
	if p.model == nil {
		return nil, errNotReady
	}
	if p.busy {
		return nil, errBusy
	}
	if len(args) < 3 || args[0].Type() != js.TypeString || args[1].Type() != js.TypeObject || args[2].Type() != js.TypeFunction {
		return nil, errArguments
	}
	o, err := options(args[1])
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.busy, p.stop = true, cancel
	defer func() { p.busy, p.stop = false, func() {} }()
	defer cancel()
	var stats trit.Stats
	finish := trit.FinishCancelled
	for token, err := range p.model.Generate(ctx, args[0].String(), append(o, trit.CollectStats(&stats))...) {
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			return nil, err
		}
		args[2].Invoke(token.Text)
		if token.Finish != "" {
			finish = token.Finish
		}
		turn()
	}
	return map[string]any{"tokens": stats.GeneratedTokens, "milliseconds": (stats.PromptTime + stats.GenerateTime).Milliseconds(),
		"finish": string(finish)}, nil
}

// options reads the options of a generation.
func options(v js.Value) ([]trit.GenerateOption, error) {
	s := sample.Default()
	o := []trit.GenerateOption{trit.MaxTokens(defaultTokens)}
	for name, set := range map[string]func(float64){
		"tokens":      func(n float64) { o = append(o, trit.MaxTokens(int(n))) },
		"temperature": func(n float64) { s.Temperature = n },
		"seed":        func(n float64) { s.Seed = new(uint64(n)) },
	} {
		switch field := v.Get(name); field.Type() {
		case js.TypeUndefined, js.TypeNull:
		case js.TypeNumber:
			set(field.Float())
		default:
			return nil, &optionError{name}
		}
	}
	return append(o, trit.Sampling(s)), nil
}
