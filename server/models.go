package server

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"trit"
	"trit/hub"
)

// models keeps the models that requests name. A model is loaded when it is first
// asked for; the server's own models are loaded at the start.
type models struct {
	options *Options

	mu     sync.Mutex
	loaded map[string]*loaded // by name
	closed bool
}

// loaded is a model that is loaded, or being loaded.
type loaded struct {
	name  string
	ready chan struct{} // closed when model and err are set
	model *trit.Model
	err   error
	gate  *gate

	matchers matcherCache

	// guarded by models.mu
	leases   int
	lastUsed time.Time
	keep     time.Duration // how long to keep it without use; negative: for ever
}

// lease is the right to use a model. It must be released.
type lease struct {
	*loaded
	Model  *trit.Model
	models *models
	once   sync.Once
}

func newModels(o *Options) *models {
	return &models{options: o, loaded: map[string]*loaded{}}
}

// acquire returns the model of that name; "" is the first of the server's own
// models. It is loaded if need be.
func (ms *models) acquire(ctx context.Context, name string) (*lease, error) {
	if name == "" {
		name = ms.options.Models[0]
	}
	ms.mu.Lock()
	if ms.closed {
		ms.mu.Unlock()
		return nil, errShuttingDown
	}
	l := ms.loaded[name]
	if l == nil {
		if _, err := ms.resolve(name); err != nil {
			ms.mu.Unlock()
			return nil, err
		}
		l = &loaded{name: name, ready: make(chan struct{}), gate: newGate(ms.options.Parallel, ms.options.Queue), keep: ms.options.KeepAlive}
		ms.loaded[name] = l
		go ms.load(l)
	}
	l.leases++
	ms.mu.Unlock()
	select {
	case <-l.ready:
	case <-ctx.Done():
		ms.release(l)
		return nil, ctx.Err()
	}
	if l.err != nil {
		ms.release(l)
		return nil, l.err
	}
	return &lease{loaded: l, Model: l.model, models: ms}, nil
}

// resolve finds the model that a request may ask for by name. Paths are only
// for the models that the operator names.
func (ms *models) resolve(name string) (*hub.Model, error) {
	for _, own := range ms.options.Models {
		if name == own {
			return hub.Resolve(name)
		}
	}
	known, err := hub.List()
	if err != nil {
		return nil, err
	}
	for _, m := range known {
		if m.Name == name {
			return &m, nil
		}
	}
	return nil, fmt.Errorf("%w: %q is not a model of this server; GET /v1/models lists them", hub.ErrNotFound, name)
}

func (ms *models) load(l *loaded) {
	defer close(l.ready)
	l.model, l.err = trit.Open(l.name, ms.options.Open...)
	if l.err == nil {
		return
	}
	// The next request tries again.
	ms.mu.Lock()
	defer ms.mu.Unlock()
	delete(ms.loaded, l.name)
}

// release gives a lease back.
func (l *lease) release() { l.once.Do(func() { l.models.release(l.loaded) }) }

func (ms *models) release(l *loaded) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	l.leases--
	l.lastUsed = time.Now()
}

// close closes all models. Running generations end with an error.
func (ms *models) close() error {
	ms.mu.Lock()
	ms.closed = true
	all := ms.loaded
	ms.loaded = map[string]*loaded{}
	ms.mu.Unlock()
	var errs []error
	for _, l := range all {
		<-l.ready
		if l.model != nil {
			errs = append(errs, l.model.Close())
		}
	}
	return errors.Join(errs...)
}
