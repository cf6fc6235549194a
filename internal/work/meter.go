// Package work counts the work of what runs on somebody's behalf, so that it ends when that is too much, or when
// nobody wants it any more.
package work

import "context"

// Meter counts work, in steps of well below a microsecond. Whatever loops over something that others can make large
// spends from it. A nil meter does not count.
type Meter struct {
	left int64
	look int64           // look at ctx when left falls below
	ctx  context.Context // nil: none
}

// Unbounded is the work of a meter that ends with its context only.
const Unbounded = 1 << 62

// lookEvery is the work between two looks at the context, a fraction of a millisecond.
const lookEvery = 1 << 12

// NewMeter returns a meter for so much work, which ends with ctx, too, unless that is nil.
func NewMeter(ctx context.Context, most int64) *Meter {
	m := &Meter{left: most, ctx: ctx}
	if ctx != nil {
		m.look = most
	}
	return m
}

// Exhausted is what Spend panics with if nothing is left, and Stopped if the context has ended.
type (
	Exhausted struct{}
	Stopped   struct{ Err error }
)

// Spend counts n steps. When nothing is left, or the context has ended, it panics, up to a function that recovers
// from [Exhausted] and [Stopped].
//
//go:noinline
func (m *Meter) Spend(n int) {
	if m == nil {
		return
	}
	if m.left -= int64(n); m.left < m.look {
		m.check()
	}
}

// check is what Spend does now and then.
func (m *Meter) check() {
	if m.left < 0 {
		panic(Exhausted{})
	}
	if err := m.ctx.Err(); err != nil {
		panic(Stopped{err})
	}
	m.look = max(0, m.left-lookEvery)
}

// Until is deferred by what spends from an unbounded meter: it turns a panic of Spend into the context's error.
func Until(err *error) {
	switch r := recover().(type) {
	case nil:
	case Stopped:
		*err = r.Err
	default:
		panic(r)
	}
}
