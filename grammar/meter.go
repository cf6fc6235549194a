package grammar

import "fmt"

// maxCompileWork bounds the work of one compilation, to less than about a second.
const maxCompileWork = 1 << 24

// perNode is the work of making a node or an edge of a network, from its first
// appearance to its last renaming, in states that are looked at.
const perNode = 8

// meter counts what compiling does, in states, edges and values that are looked
// at. Whatever loops over something that a grammar can make large spends from
// it. A nil meter does not count.
type meter struct{ left int }

func newMeter() *meter { return &meter{left: maxCompileWork} }

// tooMuchWork is what spend panics with.
type tooMuchWork struct{}

// spend counts n steps. When nothing is left it panics, up to stop.
func (m *meter) spend(n int) {
	if m == nil {
		return
	}
	if m.left -= n; m.left < 0 {
		panic(tooMuchWork{})
	}
}

// stop is deferred by the functions that compile: it turns what spend panics
// with into an error.
func (m *meter) stop(err *error) {
	switch r := recover().(type) {
	case nil:
	case tooMuchWork:
		*err = fmt.Errorf("%w: compiling it takes too long; shorten patterns, lists and what is repeated", ErrTooLarge)
	default:
		panic(r)
	}
}
