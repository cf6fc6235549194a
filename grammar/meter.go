package grammar

import (
	"context"
	"fmt"
)

// maxCompileWork bounds the work of one compilation, to less than about a second.
const maxCompileWork = 1 << 24

// perNode is the work of making a node or an edge of a network, from its first
// appearance to its last renaming, in states that are looked at.
const perNode = 8

// meter counts what compiling does, in states, edges and values that are looked
// at. Whatever loops over something that a grammar can make large spends from
// it. A nil meter does not count. Compiling ends with the meter's context, too.
type meter struct {
	left int
	ctx  context.Context // nil: none
	look int             // look at ctx when left falls below
}

// lookEvery is the work between two looks at the context, a fraction of a millisecond.
const lookEvery = 1 << 12

func newMeter() *meter { return &meter{left: maxCompileWork} }

// tooMuchWork is what spend panics with if nothing is left, and stopped if the context has ended.
type (
	tooMuchWork struct{}
	stopped     struct{ err error }
)

// spend counts n steps. When nothing is left, or the context has ended, it panics, up to stop.
func (m *meter) spend(n int) {
	if m == nil {
		return
	}
	if m.left -= n; m.left < m.look {
		m.check()
	}
}

// check is what spend does now and then.
func (m *meter) check() {
	if m.left < 0 {
		panic(tooMuchWork{})
	}
	if m.ctx == nil {
		m.look = 0
		return
	}
	if err := m.ctx.Err(); err != nil {
		panic(stopped{err})
	}
	m.look = max(0, m.left-lookEvery)
}

// stop is deferred by the functions that compile: it turns what spend panics
// with into an error.
func (m *meter) stop(err *error) {
	switch r := recover().(type) {
	case nil:
	case tooMuchWork:
		*err = fmt.Errorf("%w: compiling it takes too long; shorten patterns, lists and what is repeated", ErrTooLarge)
	case stopped:
		*err = fmt.Errorf("grammar: compiling: %w", r.err)
	default:
		panic(r)
	}
}
