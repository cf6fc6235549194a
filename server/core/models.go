package core

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"trit"
	"trit/hub"
)

// Models keeps the models that requests name. A model is loaded when it is first
// asked for; the server's own models are loaded at the start and stay. The others
// are unloaded when nobody has used them for a while, or earlier, the least
// recently used first, when another model needs their memory.
type Models struct {
	options *Options
	log     *slog.Logger
	own     map[string]string // names of the server's own models → what trit.Open takes
	aliases atomic.Pointer[map[string]string]
	made    map[string]string // names of those of the server's own that are derived → the model that has their weights
	limit   int64             // of the memory of all; 0: unknown
	source  string            // of the limit
	intake  *intake

	closing context.Context // ends when the models are closed
	stop    context.CancelFunc

	mu     sync.Mutex
	freed  chan struct{}      // closed, and another one made, when a model may have become idle
	loaded map[string]*Loaded // by name
	used   int64              // of the limit
	closed bool
}

// Loaded is a model that is loaded, or being loaded.
type Loaded struct {
	Name  string
	own   bool
	ready chan struct{} // closed when model and err are set
	gone  chan struct{} // closed when the model's memory is free again
	Model *trit.Model
	err   error
	gate  *gate

	done, total atomic.Int64 // of the weights, while they are loaded
	again       bool         // one of the server's own that had been loaded before

	// guarded by models.mu
	plan      *trit.MemoryPlan
	Charge    int64 // of the memory
	leases    int
	lastUsed  time.Time
	keep      time.Duration // how long to keep it without use; negative: for ever
	expiry    *time.Timer
	unloading bool
	derived   map[string]*trit.Model // the models that are made of this one
	asked     []string               // names that requests had for it or for one of those, in order
	retired   bool                   // it has stopped, and is unloaded when the last lease is released
}

// ModelState says what a model is doing.
type ModelState string

const (
	stateUnloaded  ModelState = "unloaded"
	stateLoading   ModelState = "loading"
	StateLoaded    ModelState = "loaded"
	stateUnloading ModelState = "unloading"
	stateFailed    ModelState = "failed" // it has stopped, and is about to be loaded again
)

// ServedModel describes a model that requests may name.
type ServedModel struct {
	Name     string
	Aliases  []string
	Own      bool // one of those the server was started with
	Hub      *hub.Model
	State    ModelState
	Progress float64   // of loading, from 0 to 1
	Memory   int64     // that is set aside for it, in bytes
	LastUsed time.Time // zero if never
	Expires  time.Time // when it is unloaded unless somebody uses it; zero if never
	Leases   int       // requests that use it
	Waiting  int       // requests that wait for their turn
	Running  int       // answers that are generated
}

func newModels(o *Options) (*Models, error) {
	ms := &Models{options: o, log: o.Log, own: map[string]string{},
		loaded: map[string]*Loaded{}, limit: o.MemoryLimit, source: o.OptionName("memory_limit")}
	ms.freed = make(chan struct{})
	ms.closing, ms.stop = context.WithCancel(context.Background())
	if ms.limit == 0 {
		ms.limit, ms.source = trit.MemoryLimit()
	}
	ms.intake = newIntake(o, ms.limit)
	if ms.limit > 0 {
		ms.used = ms.intake.aside
	}
	var names []string
	bases := map[string]*hub.Model{}
	for _, path := range o.Models {
		name := servedName(path)
		if base := derivedBase(path); base != nil {
			bases[name] = base
			names = append(names, name)
			continue
		}
		if _, taken := ms.own[name]; taken {
			return nil, fmt.Errorf("%w: two models would be named %q; leave one out of them and give it a name "+
				"of its own, the alias NAME=%s", ErrOptions, name, path)
		}
		ms.own[name] = path
		names = append(names, name)
	}
	ms.ownDerived(bases)
	aliases, paths, more, err := ms.nameAliases(o.Aliases)
	if err != nil {
		return nil, err
	}
	ms.aliases.Store(&aliases)
	maps.Copy(ms.own, paths)
	names = append(names, more...)
	o.Models = names
	return ms, nil
}

// Acquire returns the model of that name; "" is the first of the server's own
// models. It is loaded if need be.
func (ms *Models) Acquire(ctx context.Context, name string) (*Lease, error) {
	for {
		found, err := ms.Answering(name)
		if err != nil {
			return nil, err
		}
		ms.mu.Lock()
		if ms.closed {
			ms.mu.Unlock()
			return nil, ErrShuttingDown
		}
		name := ms.weights(found)
		l := ms.loaded[name]
		if l != nil {
			ms.retire(l)
		}
		if l != nil && l.unloading {
			ms.mu.Unlock()
			select {
			case <-l.gone:
				continue
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		if l == nil {
			l = ms.begin(name)
		}
		// Those who wait for a model to be loaded wait for its answers too.
		if !l.isReady() && l.leases >= l.gate.places+l.gate.queue {
			ms.mu.Unlock()
			return nil, errBusy(l.gate.queue)
		}
		l.leases++
		l.ask(found.Name)
		if l.expiry != nil {
			l.expiry.Stop()
		}
		ms.mu.Unlock()
		recordIn(ctx).model = found.Name
		select {
		case <-l.ready:
		case <-ctx.Done():
			ms.release(l)
			return nil, stopped(ctx, ctx.Err())
		}
		if l.err != nil {
			ms.release(l)
			return nil, l.err
		}
		lease := &Lease{Loaded: l, Name: found.Name, Model: l.Model, models: ms}
		if found.Derived != nil {
			if lease.Model, err = ms.derived(l, found.Derived); err != nil {
				lease.Release()
				return nil, err
			}
		}
		prepared, err := ms.intake.preparing.enter(ctx, recordIn(ctx).client, 1)
		if err != nil {
			lease.Release()
			return nil, stopped(ctx, err)
		}
		lease.prepared = prepared
		return lease, nil
	}
}

// begin starts to load a model.
func (ms *Models) begin(name string) *Loaded {
	path, own := ms.own[name]
	if !own {
		path = name
	}
	l := &Loaded{Name: name, own: own, ready: make(chan struct{}), gone: make(chan struct{}),
		gate: newGate(ms.options.Parallel, max(ms.options.Queue, 0)), keep: ms.options.KeepAlive}
	l.gate.most = ms.options.ParallelPerClient
	if own {
		l.keep = -1
	}
	ms.loaded[name] = l
	go ms.load(l, path)
	return l
}

// load loads a model, after there is memory for it.
func (ms *Models) load(l *Loaded, path string) {
	defer close(l.ready)
	start := time.Now()
	l.Model, l.err = ms.open(l, path)
	if l.err == nil {
		ms.log.Info("model loaded", "model", l.Name, "duration", time.Since(start).Round(time.Millisecond),
			"memory", trit.Bytes(l.Charge).String(), "context", l.plan.Context, "kv_tokens", l.plan.KVTokens)
		return
	}
	if ms.closing.Err() != nil {
		l.err = ErrShuttingDown
	} else {
		ms.log.Error("model not loaded", "model", l.Name, "error", l.err)
	}
	// The next request tries again.
	ms.mu.Lock()
	defer ms.mu.Unlock()
	ms.used -= l.Charge
	ms.free()
	l.Charge = 0
	delete(ms.loaded, l.Name)
	close(l.gone)
	if l.again && !ms.closed {
		time.AfterFunc(reloadPause, func() { ms.reload(l.Name) })
	}
}

func (ms *Models) open(l *Loaded, path string) (*trit.Model, error) {
	path = weightsPath(path)
	plan, err := trit.Plan(path, ms.options.Open...)
	if err != nil {
		return nil, err
	}
	plan.Model = l.Name
	plan.KVTokens = ms.options.Parallel * plan.TextTokens
	if err := ms.reserve(l, plan); err != nil {
		return nil, err
	}
	options := append(ms.options.Open[:len(ms.options.Open):len(ms.options.Open)],
		trit.Grammars(ms.intake.grammars), trit.KVTokens(plan.KVTokens), trit.Progress(func(done, total int64) {
			l.done.Store(done)
			l.total.Store(total)
		}))
	if plan.Copies == 0 {
		options = append(options, trit.Skip(trit.SkipOff))
	}
	return trit.OpenContext(ms.closing, path, options...)
}

func (l *Loaded) isReady() bool {
	select {
	case <-l.ready:
		return true
	default:
		return false
	}
}

// unload closes an idle model, on a goroutine of its own. The caller holds mu.
func (ms *Models) unload(l *Loaded) {
	l.unloading = true
	if l.expiry != nil {
		l.expiry.Stop()
	}
	go func() {
		if err := l.Model.Close(); err != nil {
			ms.log.Error("unloading a model", "model", l.Name, "error", err)
		}
		ms.log.Info("model unloaded", "model", l.Name)
		ms.mu.Lock()
		defer ms.mu.Unlock()
		ms.used -= l.Charge
		ms.free()
		if ms.loaded[l.Name] == l {
			delete(ms.loaded, l.Name)
		}
		close(l.gone)
		if l.retired && l.own && !ms.closed && ms.loaded[l.Name] == nil {
			ms.begin(l.Name).again = true
		}
	}()
}

func (ms *Models) release(l *Loaded) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	l.leases--
	l.lastUsed = time.Now()
	ms.free()
	if l.retired && l.leases == 0 {
		ms.unload(l)
		return
	}
	ms.retire(l)
	if l.leases > 0 || l.keep < 0 || l.unloading || ms.closed || !l.isReady() || l.err != nil {
		return
	}
	if l.keep == 0 {
		ms.unload(l)
		return
	}
	if l.expiry != nil {
		l.expiry.Reset(l.keep)
		return
	}
	l.expiry = time.AfterFunc(l.keep, func() { ms.expire(l) })
}

// expire unloads a model that nobody has used for its time. Somebody may have
// come just when the timer ran out.
func (ms *Models) expire(l *Loaded) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if l.leases == 0 && !l.unloading && !ms.closed && l.keep >= 0 && time.Since(l.lastUsed) >= l.keep {
		ms.unload(l)
	}
}

// Drop unloads a model, for example because its file is to be deleted. It is an
// error if requests are using it or it is one of the server's own.
func (ms *Models) Drop(ctx context.Context, name string) error {
	ms.mu.Lock()
	name = ms.canonical(name)
	l := ms.loaded[name] // nil for a derived model, which has nothing to unload
	_, own := ms.own[name]
	switch {
	case own: // loaded or not yet
		ms.mu.Unlock()
		return &Error{Status: http.StatusConflict, Code: "model_in_use",
			Message: fmt.Sprintf("%s is one of the models that this server was started with", name)}
	case l == nil:
		ms.mu.Unlock()
		return nil
	case !l.unloading && (l.leases > 0 || !l.isReady()):
		ms.mu.Unlock()
		return &Error{Status: http.StatusConflict, Code: "model_in_use", Retry: 5 * time.Second,
			Message: fmt.Sprintf("%s is in use; try again later", l.Name)}
	case !l.unloading:
		ms.unload(l)
	}
	ms.mu.Unlock()
	select {
	case <-l.gone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// List returns the models that requests may name: the server's own, those that
// the environment names and those in the store.
func (ms *Models) List() ([]ServedModel, error) {
	known, err := hub.List()
	if err != nil {
		return nil, err
	}
	var out []ServedModel
	seen := map[string]bool{}
	for _, name := range ms.options.Models {
		m, err := ms.Resolve(name)
		if err != nil { // its file has been removed meanwhile
			m = &hub.Model{Name: name, Path: ms.own[name], Source: hub.File}
		}
		seen[name] = true
		out = append(out, ServedModel{Name: name, Own: true, Hub: m})
	}
	for _, m := range known {
		if !seen[m.Name] {
			out = append(out, ServedModel{Name: m.Name, Hub: &m})
		}
	}
	for i := range out {
		ms.Describe(&out[i])
	}
	return out, nil
}

// Describe fills in the state of a model.
func (ms *Models) Describe(m *ServedModel) {
	aliases := *ms.aliases.Load()
	for _, alias := range slices.Sorted(maps.Keys(aliases)) {
		if alias != anyName && aliases[alias] == m.Name {
			m.Aliases = append(m.Aliases, alias)
		}
	}
	ms.mu.Lock()
	defer ms.mu.Unlock()
	l := ms.loaded[ms.weightsOf(m)]
	m.State = stateUnloaded
	if l == nil {
		return
	}
	m.Memory, m.LastUsed, m.Leases = l.Charge, l.lastUsed, l.leases
	m.Running, m.Waiting = l.gate.counts()
	switch {
	case l.retired:
		m.State = stateFailed
	case l.unloading:
		m.State = stateUnloading
	case !l.isReady():
		m.State = stateLoading
		m.Progress = float64(l.done.Load()) / float64(max(l.total.Load(), 1))
	case l.err == nil && l.Model.Err() != nil:
		m.State = stateFailed
	default:
		m.State, m.Progress = StateLoaded, 1
		if l.leases == 0 && l.keep > 0 {
			m.Expires = l.lastUsed.Add(l.keep)
		}
	}
}

// Each calls f for all models that are loaded, in the order of their names. They
// cannot be unloaded meanwhile.
func (ms *Models) Each(f func(l *Loaded)) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	all := slices.SortedFunc(maps.Values(ms.loaded), func(a, b *Loaded) int { return cmp.Compare(a.Name, b.Name) })
	for _, l := range all {
		if !l.unloading && l.isReady() && l.err == nil {
			f(l)
		}
	}
}

// close closes all models. Running answers end with an error.
func (ms *Models) close() error {
	ms.stop()
	ms.mu.Lock()
	ms.closed = true
	all := slices.Collect(maps.Values(ms.loaded))
	for _, l := range all {
		if l.expiry != nil {
			l.expiry.Stop()
		}
	}
	ms.mu.Unlock()
	var errs []error
	for _, l := range all {
		<-l.ready
		ms.mu.Lock()
		mine := l.err == nil && !l.unloading
		l.unloading = true
		ms.mu.Unlock()
		if !mine {
			if l.err == nil {
				<-l.gone // it is being unloaded, or was closed before
			}
			continue
		}
		errs = append(errs, l.Model.Close())
		close(l.gone)
	}
	return errors.Join(errs...)
}

// Has reports whether a model's weights are loaded, or about to be, and whether they are
// among the server's own.
func (ms *Models) Has(m *hub.Model) (loaded, own bool) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	name := ms.weights(m)
	_, own = ms.own[name]
	return ms.loaded[name] != nil, own
}

// Expires returns when a loaded model is unloaded unless somebody uses it, or
// that it stays for ever. It is for functions that Each calls.
func (l *Loaded) Expires() (at time.Time, forever bool) {
	switch {
	case l.keep < 0:
		return time.Time{}, true
	case l.leases > 0:
		return time.Now().Add(l.keep), false
	}
	return l.lastUsed.Add(l.keep), false
}
