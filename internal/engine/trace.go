package engine

import (
	"cmp"
	"errors"
	"fmt"

	"trit/internal/head"
	"trit/internal/model"
	"trit/internal/parallel"
)

// Tracer follows where the time of an engine goes: step by step, operation by
// operation, and section by section of the worker team. All methods are called
// by the goroutine that runs the engine.
//
// Beside the operations of model.Tracer there are those that have the names of
// the constants OpBatch to OpResults, and those of package head.
type Tracer interface {
	model.Tracer
	parallel.Tracer
	// BeginStep and EndStep surround a step. Operations outside steps are those
	// of Batch.Complete and Session.Complete.
	BeginStep(StepInfo)
	EndStep(StepResult)
}

// The operations of an engine around those of the pass.
const (
	OpBatch     = "batch"      // finding room in the KV cache for the rows
	OpStore     = "kv_store"   // writing keys and values into the KV cache
	OpAttention = "attention"  // scores and weighted sums, by chunks of positions
	OpMerge     = "attn_merge" // joining the chunks' results
	OpResults   = "results"    // copying hidden states out
)

// opGroups are the names that people know the operations of an engine by.
var opGroups = map[string]string{
	model.OpRopeTable: "rope", model.OpNarrow: "batch", OpBatch: "batch", OpResults: "batch",
	OpStore: "KV store", OpAttention: "attention", OpMerge: "attention",
	head.OpLogits: "head", head.OpCopy: "head", head.OpScan: "head", head.OpCandidates: "head", head.OpRefine: "head", head.OpSelect: "head",
}

// OpGroup returns the name that people know an operation by that is not one of the
// model's graph; "" if it is, or unknown.
func OpGroup(op string) string { return opGroups[op] }

// StepInfo describes a step that begins.
type StepInfo struct {
	Rows      int // tokens
	Sequences int // of which these tokens are
	Scored    int // rows that want logits
	// Positions is the number of positions that the rows attend to, added up: a
	// row at position n attends to n+1. Context is the same for the last row of
	// each sequence only: the positions that have to be read for all of them.
	Positions, Context int64
	// Windowed and WindowedContext are those of layers with a sliding window.
	Windowed, WindowedContext int64
}

// StepResult describes a step that has ended.
type StepResult struct {
	// Pages of the KV cache are in use, of MaxPages.
	Pages, MaxPages int
	// HeadBytes were read of the output head and its coarse copy.
	HeadBytes int64
	// Skipped is what single rows have left out.
	Skipped model.Skipped
	// Err is what Step returns.
	Err error
}

// SetTracer has t follow the engine from the next step on; nil ends that. With a
// tracer a step gives the same bits and allocates as little.
func (e *Engine) SetTracer(t Tracer) {
	e.tracer = t
	e.pass.SetTracer(t)
	e.team.SetTracer(t)
	e.head.SetTracer(t)
}

// TakeSkipped returns what single rows have left out since it was called last, or since
// the last step with a tracer.
func (e *Engine) TakeSkipped() model.Skipped { return e.pass.TakeSkipped() }

// ErrTraced reports an engine that another tracer follows already.
var ErrTraced = errors.New("engine: already traced")

// SetTracer has t follow the scheduler's engine from the next step on; nil ends
// that. When it returns no call of the tracer before is left. The error is
// ErrTraced or ErrClosed.
func (s *Scheduler) SetTracer(t Tracer) error {
	var err error
	closed := s.do(func() {
		if t != nil && s.engine.tracer != nil {
			err = fmt.Errorf("%w; one recording at a time", ErrTraced)
			return
		}
		s.engine.SetTracer(t)
	})
	return cmp.Or(closed, err)
}

// traced is a step with a tracer.
func (e *Engine) traced(b *Batch, o model.Observer) error {
	info := StepInfo{Rows: len(b.rows), Scored: len(b.scored)}
	for i := range b.rows {
		length := int64(b.positions[i]) + 1
		windowed := min(length, int64(e.config.Window))
		info.Positions, info.Windowed = info.Positions+length, info.Windowed+windowed
		if i+1 == len(b.rows) || b.rows[i].seq != b.rows[i+1].seq {
			info.Sequences++
			info.Context, info.WindowedContext = info.Context+length, info.WindowedContext+windowed
		}
	}
	e.head.TakeBytes() // what was read between steps
	e.pass.TakeSkipped()
	e.tracer.BeginStep(info)
	err := e.step(b, o)
	e.tracer.EndStep(StepResult{
		Pages: e.pool.InUse(), MaxPages: e.pool.Config().MaxPages, HeadBytes: e.head.TakeBytes(),
		Skipped: e.pass.TakeSkipped(), Err: err,
	})
	return err
}

// begin and end surround an operation outside the pass.
func (e *Engine) begin(layer int, op string, rows int) {
	if e.tracer != nil {
		e.tracer.Begin(layer, op, rows)
	}
}

func (e *Engine) end() {
	if e.tracer != nil {
		e.tracer.End()
	}
}
