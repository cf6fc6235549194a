package core

import (
	"sync"
	"time"

	"trit"
	"trit/hub"
)

// Lease is the right to use a model. It must be released. Until its request waits for a
// turn on the model it is among those that are prepared.
type Lease struct {
	*Loaded
	Name     string // of the model that was asked for; Loaded is the one that has its weights
	Model    *trit.Model
	models   *Models
	prepared func() // may be called several times
	once     sync.Once
}

// Release gives a lease back.
func (l *Lease) Release() {
	if l.prepared != nil {
		l.prepared()
	}
	l.once.Do(func() { l.models.release(l.Loaded) })
}

// Limit is that of answers to requests that have none: a derived model's own, or the server's.
func (l *Lease) Limit() Limit {
	if n, ok := l.Model.Derived().Number(hub.ParameterPredict); ok && n <= 0 {
		return -1
	} else if ok {
		return Limit(n)
	}
	return l.models.options.Limit()
}

// KeepAlive sets how long the model stays after its last use: 0 unloads it when
// this lease and all others are released, a negative time keeps it until its
// memory is needed. The server's own models stay whatever clients say.
func (l *Lease) KeepAlive(d time.Duration) {
	if l.own {
		return
	}
	l.models.mu.Lock()
	defer l.models.mu.Unlock()
	l.keep = d
}
