//go:build js && wasm

package main

import (
	"errors"
	"fmt"
	"syscall/js"
)

// defaultTokens is how long a text gets where the page does not say.
const defaultTokens = 200

var (
	errNotReady  = errors.New("the model is not loaded yet: await trit.ready")
	errBusy      = errors.New("a text is being generated: call trit.stop() or await its end")
	errArguments = errors.New("want generate(prompt, options, onText): a string, an object, a function")
)

type optionError struct{ name string }

func (e *optionError) Error() string { return fmt.Sprintf("option %s: want a number", e.name) }

// promise runs f beside what the page does, and returns a promise of its result.
func promise(f func() (any, error)) js.Value {
	var executor js.Func
	executor = js.FuncOf(func(_ js.Value, args []js.Value) any {
		resolve, reject := args[0], args[1]
		go func() {
			defer executor.Release()
			result, err := f()
			if err != nil {
				reject.Invoke(js.Global().Get("Error").New(err.Error()))
				return
			}
			resolve.Invoke(result)
		}()
		return nil
	})
	return js.Global().Get("Promise").New(executor)
}

// turn lets the page read its events and paint.
func turn() {
	done := make(chan struct{})
	f := js.FuncOf(func(js.Value, []js.Value) any {
		close(done)
		return nil
	})
	defer f.Release()
	js.Global().Call("setTimeout", f, 0)
	<-done
}
