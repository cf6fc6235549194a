// Package engine runs a model over batches of tokens.
//
// An [Engine] owns the KV cache, the scratch memory and the worker team of one
// loaded model, and has one forward pass, [Engine.Step]. A step takes a
// [Batch] of rows; a row appends one token to one [Sequence] and says what it
// wants back: nothing, the final hidden state, the largest logits, or all of
// them. Prompts in chunks, many sequences at once, verification of guessed
// tokens and embeddings are all batches.
//
// Results do not depend on what else is in the batch, on how a prompt was cut
// into batches, or on the number of threads.
//
// An engine belongs to one goroutine. A [Scheduler] is that goroutine for
// programs with many clients.
package engine

import (
	"cmp"
	"errors"
	"fmt"
	"math/bits"

	"trit/internal/arena"
	"trit/internal/cache"
	"trit/internal/fault"
	"trit/internal/head"
	"trit/internal/kernel"
	"trit/internal/model"
	"trit/internal/parallel"
)

// Errors of the engine, wrapped with details.
var (
	// ErrBatch reports a batch that is put together wrongly.
	ErrBatch = errors.New("engine: bad batch")
	// ErrToken reports a token id outside the vocabulary.
	ErrToken = errors.New("engine: bad token")
	// ErrContext reports a sequence that has outgrown the context.
	ErrContext = fault.ErrContext
	// ErrOptions reports options that make no sense.
	ErrOptions = fault.ErrOption
)

// Options configure an engine. The zero value is usable.
type Options struct {
	// Threads is the size of the worker team; 0 means one per physical core.
	Threads int
	// Context is the largest number of positions of a sequence; 0 means what
	// the model was trained for.
	Context int
	// KVType is the element type of the KV cache; the zero value is f32.
	KVType kernel.KVType
	// CachePages is the budget of the KV cache in pages of kernel.PageTokens
	// positions, in which states count too; 0 means enough for four sequences of the whole context, or for
	// what 256 MB hold but at least one where addresses have 32 bits.
	CachePages int
	// PrefixPages is how many of these pages may keep beginnings of sequences that
	// nobody uses at the moment; 0 means half of them, -1 none, which turns the
	// sharing of prompts off.
	PrefixPages int
	// MaxRows is the largest batch; 0 means 256. It bounds the scratch memory.
	MaxRows int
	// Variant is the kernel for ternary weights; the zero value is the best.
	Variant kernel.Variant
	// Head says how logits are computed; the zero value is head.Auto.
	Head head.Mode
	// Team is the worker team to use instead of a new one of Threads workers.
	// The engine then does not close it.
	Team *parallel.Team
}

// statesPerSequence is how many states a sequence is given room for: its own, a
// snapshot at the end of its prompt, and one that follows its sequence.
const statesPerSequence = 3

// sequencePages returns the pages of a sequence of the whole context.
func sequencePages(kv cache.Config, context int) int {
	return kv.Room(context) + statesPerSequence*kv.StatePages()
}

// defaultPages returns the pages of four sequences of the whole context. What is not
// used costs no memory, but it does take addresses: where these have 32 bits, only
// one sequence may go beyond 256 MB.
func defaultPages(kv cache.Config, context int) int {
	one := sequencePages(kv, context)
	pages := 4 * one
	if bits.UintSize == 32 {
		pages = max(one, min(pages, int((256<<20)/kv.PageBytes())))
	}
	return pages
}

// kvConfig returns the shape of a KV cache for the layers of a model that attend,
// without its budget. Layers with a sliding window have parts of pages of their own where
// a sequence of the whole context would give some of them back.
func kvConfig(m *model.Model, o Options) cache.Config {
	c := m.Config
	layers := m.Tally(o.KVType).KVLayers()
	kv := cache.Config{Layers: len(layers), KVHeads: c.KVHeads, HeadDim: c.HeadDim, Type: o.KVType, StateSize: m.Graph.StateSize(),
		RecordSize: m.Graph.RecordSize(), Window: c.Window, Rows: cmp.Or(o.MaxRows, defaultMaxRows)}
	if kv.StateSize > 0 || kv.WindowPages() >= pagesFor(cmp.Or(o.Context, c.Context)) {
		return kv
	}
	for _, layer := range layers {
		if c.WindowOf(layer) > 0 {
			kv.Layers, kv.WindowLayers = kv.Layers-1, kv.WindowLayers+1
		}
	}
	return kv
}

const (
	defaultMaxRows = 256
	maxMaxRows     = 1 << 14
	maxContext     = 1 << 24
)

// Engine runs one model.
type Engine struct {
	model   *model.Model
	config  *model.Config
	team    *parallel.Team
	ownTeam bool
	pool    *cache.Pool
	run     model.Run
	pass    *model.Pass
	attend  *attention
	head    *head.Head
	context int
	maxRows int
	mem     arena.Arena // all scratch memory but the head's
	tracer  Tracer

	identity identity
}

// New returns an engine for a model.
func New(m *model.Model, o Options) (*Engine, error) {
	c := m.Config
	if err := kernel.Check(); err != nil {
		return nil, err
	}
	if o.MaxRows == 0 {
		o.MaxRows = defaultMaxRows
	}
	if o.MaxRows < 1 || o.MaxRows > maxMaxRows {
		return nil, fault.Option("batch_rows", "%d; want 1 to %d", o.MaxRows, maxMaxRows)
	}
	if o.Context == 0 {
		o.Context = c.Context
	}
	if o.Context < 1 || o.Context > maxContext {
		return nil, fault.Option("context_size", "%d tokens; want 1 to %d", o.Context, maxContext)
	}
	kv := kvConfig(m, o)
	if o.CachePages == 0 {
		o.CachePages = defaultPages(kv, o.Context)
	}
	switch {
	case o.PrefixPages == 0:
		o.PrefixPages = max(o.CachePages/2, 1)
	case o.PrefixPages == -1:
		o.PrefixPages = 0
	case o.PrefixPages < 0:
		return nil, fault.Option("prefix_cache", "%d pages", o.PrefixPages)
	}
	if least := kv.StatePages() + 1; o.CachePages < least {
		return nil, fault.Option("kv_tokens", "%d; want at least %d, because a state takes the room of %d", o.CachePages*kernel.PageTokens,
			least*kernel.PageTokens, (least-1)*kernel.PageTokens)
	}
	kv.MaxPages, kv.PrefixPages = o.CachePages, o.PrefixPages
	pool, err := cache.NewPool(kv)
	if err != nil {
		return nil, err
	}
	e := &Engine{model: m, config: c, team: o.Team, pool: pool, context: o.Context, maxRows: o.MaxRows}
	if e.team == nil {
		if o.Threads == 0 {
			o.Threads = parallel.DefaultThreads()
		}
		if e.team, err = parallel.NewTeam(o.Threads); err != nil {
			return nil, errors.Join(err, pool.Close())
		}
		e.ownTeam = true
	}
	e.attend = newAttention(e)
	if e.head, err = head.New(m, e.team, o.Head); err != nil {
		if errors.Is(err, head.ErrMode) {
			err = &fault.OptionError{Option: "head", Err: err}
		}
		return nil, errors.Join(err, e.Close())
	}
	e.run = m.Graph.NewRun(&e.mem, e.maxRows)
	e.pass = model.NewPass(m, model.PassOptions{
		MaxRows: e.maxRows, Team: e.team, Attention: e.attend, Variant: o.Variant, Memory: &e.mem, Context: e.context,
	})
	return e, nil
}

// pagesFor returns the number of pages that n positions need.
func pagesFor(n int) int { return (n + kernel.PageTokens - 1) / kernel.PageTokens }

// Close stops the worker team and gives the KV cache's memory back. Sequences
// must not be used afterwards.
func (e *Engine) Close() error {
	if e.ownTeam {
		e.team.Close()
	}
	return e.pool.Close()
}

// Prepare does what the first tokens would do otherwise: see head.Head.Prepare and
// model.Pass.PrepareLines. No pass may run meanwhile.
func (e *Engine) Prepare() {
	e.head.Prepare()
	e.pass.PrepareLines()
}

// Model returns the engine's model.
func (e *Engine) Model() *model.Model { return e.model }

// Context returns the largest number of positions of a sequence.
func (e *Engine) Context() int { return e.context }

// MaxRows returns the largest number of rows of a batch.
func (e *Engine) MaxRows() int { return e.maxRows }

// Threads returns the size of the worker team.
func (e *Engine) Threads() int { return e.team.Size() }

// Cache returns the page pool, for its counters.
func (e *Engine) Cache() *cache.Pool { return e.pool }

// Step runs the batch: every row's token is appended to its sequence and the
// rows' results become available. The observer may be nil. On an error no
// sequence has changed, but those that keep state may have lost tokens.
//
// The error is cache.ErrFull when the KV cache has no room.
func (e *Engine) Step(b *Batch, o model.Observer) error {
	if b.engine != e {
		return fmt.Errorf("%w: it belongs to another engine", ErrBatch)
	}
	if len(b.rows) == 0 {
		return nil
	}
	if e.tracer != nil {
		return e.traced(b, o)
	}
	return e.step(b, o)
}

// step is Step without the tracer.
func (e *Engine) step(b *Batch, o model.Observer) error {
	e.begin(model.LayerIn, OpBatch, len(b.rows))
	if err := b.reserve(); err != nil {
		return err
	}
	e.attend.begin(b)
	e.end()
	e.pass.Begin(b.tokens, b.positions, b.keep, o)
	hidden := e.run.Forward(e.pass)
	if err := e.pass.End(); err != nil {
		b.unreserve(true)
		return err
	}
	e.begin(model.LayerOut, OpResults, len(b.keep))
	b.takeHidden(hidden, e.pass.Kept())
	for i := range b.rows {
		s := b.rows[i].seq
		if s.reserved {
			s.table.Advance(s.pending)
			s.pending, s.reserved = 0, false
		}
		s.tokens = append(s.tokens, b.tokens[i])
	}
	e.end()
	if len(b.scored) > 0 {
		e.score(b)
	}
	return nil
}

// reserve finds room in the KV cache for the batch.
func (b *Batch) reserve() error {
	for i := range b.rows {
		s := b.rows[i].seq
		if s.table == nil {
			return fmt.Errorf("%w: a sequence was closed before the step", ErrBatch)
		}
		if s.reserved {
			continue
		}
		if err := s.table.Reserve(s.pending); err != nil {
			b.unreserve(false)
			return err
		}
		s.reserved = true
	}
	return nil
}

// unreserve undoes reservations after an error, perhaps in the middle of the pass.
func (b *Batch) unreserve(begun bool) {
	for i := range b.rows {
		if s := b.rows[i].seq; s.reserved {
			s.table.Cancel(begun)
			s.reserved = false
		}
	}
}

// takeHidden copies the wanted hidden states out of the pass.
func (b *Batch) takeHidden(h model.Buffer, kept bool) {
	b.hidden = resize(b.hidden, len(b.keep)*h.Width)
	for to, from := range b.keep {
		if kept {
			from = to
		}
		copy(b.hidden[to*h.Width:(to+1)*h.Width], h.Row(from))
	}
}

// score computes the logits of the rows that want them.
func (e *Engine) score(b *Batch) {
	b.requests = b.requests[:0]
	for _, i := range b.scored {
		b.requests = append(b.requests, head.Row{X: b.Hidden(i), Selector: b.rows[i].sel})
	}
	b.rest = e.head.Select(b.requests, b.rest[:0])
	if len(b.rest) == 0 {
		return
	}
	for j, k := range b.rest {
		b.rest[j] = b.scored[k]
	}
	b.computeAll(b.rest)
	for _, i := range b.rest {
		if sel := b.rows[i].sel; sel != nil {
			e.head.SelectFrom(sel, b.Logits(i))
		}
	}
}

// resize returns a slice of n elements, reusing the memory of s.
func resize(s []float32, n int) []float32 {
	if cap(s) < n {
		return make([]float32, n)
	}
	return s[:n]
}
