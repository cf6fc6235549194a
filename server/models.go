package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"trit"
	"trit/hub"
)

// models keeps the models that requests name. A model is loaded when it is first
// asked for; the server's own models are loaded at the start and stay. The others
// are unloaded when nobody has used them for a while, or earlier, the least
// recently used first, when another model needs their memory.
type models struct {
	options *Options
	log     *slog.Logger
	own     map[string]string // names of the server's own models → what trit.Open takes
	aliases map[string]string
	limit   int64  // of the memory of all; 0: unknown
	source  string // of the limit

	mu     sync.Mutex
	loaded map[string]*loaded // by name
	used   int64              // of the limit
	closed bool
}

// loaded is a model that is loaded, or being loaded.
type loaded struct {
	name  string
	own   bool
	ready chan struct{} // closed when model and err are set
	gone  chan struct{} // closed when the model's memory is free again
	model *trit.Model
	err   error
	gate  *gate

	done, total atomic.Int64 // of the weights, while they are loaded

	// guarded by models.mu
	plan      *trit.MemoryPlan
	charge    int64 // of the memory
	leases    int
	lastUsed  time.Time
	keep      time.Duration // how long to keep it without use; negative: for ever
	expiry    *time.Timer
	unloading bool
}

// lease is the right to use a model. It must be released.
type lease struct {
	*loaded
	Model  *trit.Model
	models *models
	once   sync.Once
}

// modelState says what a model is doing.
type modelState string

const (
	stateUnloaded  modelState = "unloaded"
	stateLoading   modelState = "loading"
	stateLoaded    modelState = "loaded"
	stateUnloading modelState = "unloading"
)

// servedModel describes a model that requests may name.
type servedModel struct {
	Name     string
	Aliases  []string
	Own      bool // one of those the server was started with
	Hub      *hub.Model
	State    modelState
	Progress float64   // of loading, from 0 to 1
	Memory   int64     // that is set aside for it, in bytes
	LastUsed time.Time // zero if never
	Expires  time.Time // when it is unloaded unless somebody uses it; zero if never
	Leases   int       // requests that use it
	Waiting  int       // requests that wait for their turn
	Running  int       // answers that are generated
}

func newModels(o *Options) (*models, error) {
	ms := &models{options: o, log: o.Log, own: map[string]string{}, aliases: map[string]string{}, loaded: map[string]*loaded{}, limit: o.MemoryLimit, source: "--memory-limit"}
	if ms.limit == 0 {
		ms.limit, ms.source = trit.MemoryLimit()
	}
	var names []string
	for _, path := range o.Models {
		name := servedName(path)
		if _, taken := ms.own[name]; taken {
			return nil, fmt.Errorf("%w: two models would be named %q; leave one out of them and give it a name of its own, the alias NAME=%s", ErrOptions, name, path)
		}
		ms.own[name] = path
		names = append(names, name)
	}
	for _, alias := range slices.Sorted(maps.Keys(o.Aliases)) {
		name := o.Aliases[alias]
		if alias == "" || name == "" {
			return nil, fmt.Errorf("%w: the alias %q of %q: a name is empty", ErrOptions, alias, name)
		}
		if _, taken := ms.own[alias]; taken {
			return nil, fmt.Errorf("%w: the alias %q is the name of a model", ErrOptions, alias)
		}
		real := servedName(name)
		if real != name && filepath.Clean(ms.own[real]) != filepath.Clean(name) {
			// A file that no model above is: this is its only name.
			ms.own[alias] = name
			names = append(names, alias)
			continue
		}
		ms.aliases[alias] = real
	}
	o.Models = names
	return ms, nil
}

// checkAliases warns of aliases of models that are not here. They may still be
// pulled.
func (ms *models) checkAliases() {
	for _, alias := range slices.Sorted(maps.Keys(ms.aliases)) {
		if _, err := ms.resolve(alias); err != nil {
			ms.log.Warn("an alias stands for a model that is not here", "alias", alias, "model", ms.aliases[alias])
		}
	}
}

// servedName returns what clients call a model: of a file its name without the
// folder and the suffix.
func servedName(path string) string {
	if !strings.ContainsAny(path, `/\`) && !strings.HasSuffix(strings.ToLower(path), ".gguf") {
		return path
	}
	name := filepath.Base(filepath.FromSlash(path))
	if strings.HasSuffix(strings.ToLower(name), ".gguf") {
		name = name[:len(name)-len(".gguf")]
	}
	return name
}

// canonical returns the name under which a model is known, of what a request may
// call it: an alias, or a name with Ollama's tag for the default.
func (ms *models) canonical(name string) string {
	if name == "" {
		return ms.options.Models[0]
	}
	for _, n := range []string{name, strings.TrimSuffix(name, ":latest")} {
		if real, ok := ms.aliases[n]; ok {
			return real
		}
		if _, ok := ms.own[n]; ok {
			return n
		}
	}
	return strings.TrimSuffix(name, ":latest")
}

// resolve finds the model that a request may ask for by name. Paths are only
// for the models that the operator names.
func (ms *models) resolve(name string) (*hub.Model, error) {
	real := ms.canonical(name)
	if path, ok := ms.own[real]; ok {
		m, err := hub.Resolve(path)
		if err != nil {
			return nil, err
		}
		found := *m
		found.Name = real
		return &found, nil
	}
	known, err := hub.List()
	if err != nil {
		return nil, err
	}
	for _, m := range known {
		if strings.EqualFold(m.Name, real) {
			return &m, nil
		}
	}
	return nil, fmt.Errorf("%w: %q is not a model of this server; GET /v1/models lists them", hub.ErrNotFound, name)
}

// acquire returns the model of that name; "" is the first of the server's own
// models. It is loaded if need be.
func (ms *models) acquire(ctx context.Context, name string) (*lease, error) {
	for {
		found, err := ms.resolve(name)
		if err != nil {
			return nil, err
		}
		ms.mu.Lock()
		if ms.closed {
			ms.mu.Unlock()
			return nil, errShuttingDown
		}
		l := ms.loaded[found.Name]
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
			l = ms.begin(found.Name)
		}
		// Those who wait for a model to be loaded wait for its answers too.
		if !l.isReady() && l.leases >= l.gate.places+l.gate.queue {
			ms.mu.Unlock()
			return nil, errBusy(l.gate.queue)
		}
		l.leases++
		if l.expiry != nil {
			l.expiry.Stop()
		}
		ms.mu.Unlock()
		if rec := recordIn(ctx); rec != nil {
			rec.model = l.name
		}
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
		return &lease{loaded: l, Model: l.model, models: ms}, nil
	}
}

// begin starts to load a model.
func (ms *models) begin(name string) *loaded {
	path, own := ms.own[name]
	if !own {
		path = name
	}
	l := &loaded{name: name, own: own, ready: make(chan struct{}), gone: make(chan struct{}),
		gate: newGate(ms.options.Parallel, max(ms.options.Queue, 0)), keep: ms.options.KeepAlive}
	if own {
		l.keep = -1
	}
	ms.loaded[name] = l
	go ms.load(l, path)
	return l
}

// load loads a model, after there is memory for it.
func (ms *models) load(l *loaded, path string) {
	defer close(l.ready)
	start := time.Now()
	l.model, l.err = ms.open(l, path)
	if l.err == nil {
		ms.log.Info("model loaded", "model", l.name, "duration", time.Since(start).Round(time.Millisecond),
			"memory", trit.Bytes(l.charge).String(), "context", l.plan.Context, "kv_tokens", l.plan.KVTokens)
		return
	}
	ms.log.Error("model not loaded", "model", l.name, "error", l.err)
	// The next request tries again.
	ms.mu.Lock()
	defer ms.mu.Unlock()
	ms.used -= l.charge
	l.charge = 0
	delete(ms.loaded, l.name)
	close(l.gone)
}

func (ms *models) open(l *loaded, path string) (*trit.Model, error) {
	plan, err := trit.Plan(path, ms.options.Open...)
	if err != nil {
		return nil, err
	}
	plan.Model = l.name
	plan.KVTokens = ms.options.Parallel * plan.Context
	if err := ms.reserve(l, plan); err != nil {
		return nil, err
	}
	options := append(ms.options.Open[:len(ms.options.Open):len(ms.options.Open)],
		trit.KVTokens(plan.KVTokens), trit.Progress(func(done, total int64) {
			l.done.Store(done)
			l.total.Store(total)
		}))
	return trit.Open(path, options...)
}

// reserve sets memory aside for a model, as much as lets all answers have whole
// contexts, but not more than leaves some for others. Idle models are unloaded
// if it would not fit otherwise.
func (ms *models) reserve(l *loaded, plan *trit.MemoryPlan) error {
	for {
		ms.mu.Lock()
		if ms.closed {
			ms.mu.Unlock()
			return errShuttingDown
		}
		if ms.limit == 0 {
			l.plan, l.charge = plan, plan.Total()
			ms.used += l.charge
			ms.mu.Unlock()
			return nil
		}
		free := ms.limit - ms.used
		if plan.Least() <= free {
			kv := max(plan.KV(plan.Context), (free-plan.Fixed())/ms.sharers(l))
			err := plan.Fit(plan.Fixed() + kv)
			l.plan, l.charge = plan, plan.Total()
			ms.used += l.charge
			ms.mu.Unlock()
			return err
		}
		victim, busy, stays := ms.candidate(l)
		if victim == nil {
			limit := ms.limit
			ms.mu.Unlock()
			if len(busy) > 0 && plan.Least() <= limit-stays {
				return &apiError{status: http.StatusServiceUnavailable, code: "out_of_memory", retry: 5 * time.Second,
					message: fmt.Sprintf("the model %s needs %s and there is %s of %s (%s) while others are in use (%s); try again later",
						plan.Model, trit.Bytes(plan.Least()), trit.Bytes(free), trit.Bytes(limit), ms.source, strings.Join(busy, ", "))}
			}
			err := plan.Fit(limit - stays)
			if err == nil { // what stays could only just have changed
				err = fmt.Errorf("%w: %s", trit.ErrMemory, plan.Model)
			}
			return fmt.Errorf("%w (the limit is %s, from %s; the server's own models keep %s of it)", err, trit.Bytes(limit), ms.source, trit.Bytes(stays))
		}
		ms.mu.Unlock()
		ms.log.Info("unloading a model to make room", "model", victim.name, "for", l.name)
		<-victim.gone
	}
}

// sharers returns among how many the memory that is left is to be shared. The
// server's own models leave their share to those of them that are still to come,
// the others always to one more.
func (ms *models) sharers(l *loaded) int64 {
	if !l.own {
		return 2
	}
	var n int64
	for name := range ms.own {
		if other := ms.loaded[name]; other == nil || other.charge == 0 {
			n++
		}
	}
	return max(n, 1)
}

// candidate begins to unload the least recently used of the idle models, or
// finds one that is being unloaded already. If there is none it returns those
// that are in use and how much memory will not become free.
func (ms *models) candidate(l *loaded) (victim *loaded, busy []string, stays int64) {
	for _, other := range ms.loaded {
		switch {
		case other == l:
		case other.unloading:
			return other, nil, 0
		case other.own:
			stays += other.charge
		case other.leases > 0 || !other.isReady():
			busy = append(busy, other.name)
		case victim == nil || other.lastUsed.Before(victim.lastUsed):
			victim = other
		}
	}
	if victim != nil {
		ms.unload(victim)
	}
	slices.Sort(busy)
	return victim, busy, stays
}

func (l *loaded) isReady() bool {
	select {
	case <-l.ready:
		return true
	default:
		return false
	}
}

// unload closes an idle model, on a goroutine of its own. The caller holds mu.
func (ms *models) unload(l *loaded) {
	l.unloading = true
	if l.expiry != nil {
		l.expiry.Stop()
	}
	go func() {
		if err := l.model.Close(); err != nil {
			ms.log.Error("unloading a model", "model", l.name, "error", err)
		}
		ms.log.Info("model unloaded", "model", l.name)
		ms.mu.Lock()
		defer ms.mu.Unlock()
		ms.used -= l.charge
		if ms.loaded[l.name] == l {
			delete(ms.loaded, l.name)
		}
		close(l.gone)
	}()
}

// release gives a lease back.
func (l *lease) release() { l.once.Do(func() { l.models.release(l.loaded) }) }

// keepAlive sets how long the model stays after its last use: 0 unloads it when
// this lease and all others are released, a negative time keeps it until its
// memory is needed. The server's own models stay whatever clients say.
func (l *lease) keepAlive(d time.Duration) {
	if l.own {
		return
	}
	l.models.mu.Lock()
	defer l.models.mu.Unlock()
	l.keep = d
}

func (ms *models) release(l *loaded) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	l.leases--
	l.lastUsed = time.Now()
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
func (ms *models) expire(l *loaded) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if l.leases == 0 && !l.unloading && !ms.closed && l.keep >= 0 && time.Since(l.lastUsed) >= l.keep {
		ms.unload(l)
	}
}

// drop unloads a model, for example because its file is to be deleted. It is an
// error if requests are using it or it is one of the server's own.
func (ms *models) drop(ctx context.Context, name string) error {
	ms.mu.Lock()
	l := ms.loaded[ms.canonical(name)]
	switch {
	case l == nil:
		ms.mu.Unlock()
		return nil
	case l.own:
		ms.mu.Unlock()
		return &apiError{status: http.StatusConflict, code: "model_in_use", message: fmt.Sprintf("%s is one of the models that this server was started with", l.name)}
	case !l.unloading && (l.leases > 0 || !l.isReady()):
		ms.mu.Unlock()
		return &apiError{status: http.StatusConflict, code: "model_in_use", retry: 5 * time.Second, message: fmt.Sprintf("%s is in use; try again later", l.name)}
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

// list returns the models that requests may name: the server's own, those that
// the environment names and those in the store.
func (ms *models) list() ([]servedModel, error) {
	known, err := hub.List()
	if err != nil {
		return nil, err
	}
	var out []servedModel
	seen := map[string]bool{}
	for _, name := range ms.options.Models {
		m, err := ms.resolve(name)
		if err != nil { // its file has been removed meanwhile
			m = &hub.Model{Name: name, Path: ms.own[name], Source: hub.File}
		}
		seen[name] = true
		out = append(out, servedModel{Name: name, Own: true, Hub: m})
	}
	for _, m := range known {
		if !seen[m.Name] {
			out = append(out, servedModel{Name: m.Name, Hub: &m})
		}
	}
	for i := range out {
		ms.describe(&out[i])
	}
	return out, nil
}

// describe fills in the state of a model.
func (ms *models) describe(m *servedModel) {
	for _, alias := range slices.Sorted(maps.Keys(ms.aliases)) {
		if ms.aliases[alias] == m.Name {
			m.Aliases = append(m.Aliases, alias)
		}
	}
	ms.mu.Lock()
	defer ms.mu.Unlock()
	l := ms.loaded[m.Name]
	m.State = stateUnloaded
	if l == nil {
		return
	}
	m.Memory, m.LastUsed, m.Leases = l.charge, l.lastUsed, l.leases
	m.Running, m.Waiting = l.gate.counts()
	switch {
	case l.unloading:
		m.State = stateUnloading
	case !l.isReady():
		m.State = stateLoading
		m.Progress = float64(l.done.Load()) / float64(max(l.total.Load(), 1))
	default:
		m.State, m.Progress = stateLoaded, 1
		if l.leases == 0 && l.keep > 0 {
			m.Expires = l.lastUsed.Add(l.keep)
		}
	}
}

// each calls f for all models that are loaded, in the order of their names. They
// cannot be unloaded meanwhile.
func (ms *models) each(f func(l *loaded)) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	all := slices.SortedFunc(maps.Values(ms.loaded), func(a, b *loaded) int { return cmp.Compare(a.name, b.name) })
	for _, l := range all {
		if !l.unloading && l.isReady() && l.err == nil {
			f(l)
		}
	}
}

// memory returns how much of the limit is used; the limit is 0 if unknown.
func (ms *models) memory() (used, limit int64) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	return ms.used, ms.limit
}

// close closes all models. Running answers end with an error.
func (ms *models) close() error {
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
		errs = append(errs, l.model.Close())
		close(l.gone)
	}
	return errors.Join(errs...)
}
