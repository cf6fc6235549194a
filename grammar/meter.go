package grammar

import (
	"fmt"

	"trit/internal/work"
)

// maxCompileWork bounds the work of one compilation, to less than about a second.
const maxCompileWork = 1 << 24

// perNode is the work of making a node or an edge of a network, from its first
// appearance to its last renaming, in states that are looked at.
const perNode = 8

// meter counts what compiling does, in states, edges and values that are looked at.
type meter = work.Meter

func newMeter() *meter { return Compiler{}.meter() }

// stop is deferred by the functions that compile: it turns what a meter panics
// with into an error.
func stop(err *error) {
	switch r := recover().(type) {
	case nil:
	case work.Exhausted:
		*err = fmt.Errorf("%w: compiling it takes too long; shorten patterns, lists and what is repeated", ErrTooLarge)
	case work.Stopped:
		*err = fmt.Errorf("grammar: compiling: %w", r.Err)
	default:
		panic(r)
	}
}
