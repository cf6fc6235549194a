package engine

import (
	"cmp"

	"trit/internal/cache"
	"trit/internal/head"
	"trit/internal/model"
	"trit/internal/parallel"
)

// Estimate is the memory that an engine takes beside the weights of its model,
// in bytes. KV pages are backed by memory when they are first used; the rest is
// taken at once, or with the first steps.
type Estimate struct {
	// Head is what the head mode keeps beside the stored output head.
	Head int64
	// Scratch holds the states of the rows of a step, and their logits.
	Scratch int64
	// PageBytes is the memory of a KV page of kernel.PageTokens positions.
	// Context is the largest number of positions of a sequence, which take the memory
	// of ContextPages, and Pages the budget. Cache says what shorter ones take.
	PageBytes int64
	Cache     cache.Config
	// StateBytes is the memory of a state, of models that keep one beside keys and
	// values, and StatePages as how many pages it counts. SequencePages is what a
	// sequence of the whole context takes of the budget, with snapshots.
	StateBytes          int64
	StatePages          int
	SequencePages       int
	Context             int
	ContextPages, Pages int
}

// EstimateMemory returns the memory of an engine before there is one; an outline of
// the model is enough. With D, V, H, G, d as in model.Config, R the rows of a batch, L
// the context and T the threads, the scratch memory is
//
//	buffers of the graph and the pass   model.Scratch
//	lists and sums of single rows       model.LineScratch
//	hidden states of the rows           4·R·D
//	partial sums of attention           T·(1 + 4)·64·⌈L/C⌉·(d + 2)·4, C = kernel.ChunkTokens
//	logits, coarse and complete         9·V for each of up to 16 rows
//
// and the coarse copy of a head has 8 bits per weight and some words per row.
func EstimateMemory(m *model.Model, o Options) Estimate {
	c := m.Config
	rows := cmp.Or(o.MaxRows, defaultMaxRows)
	kv := kvConfig(m, o)
	e := Estimate{Context: cmp.Or(o.Context, c.Context), PageBytes: kv.PageBytes(), StateBytes: kv.StateBytes(), StatePages: kv.StatePages()}
	e.Cache, e.ContextPages, e.SequencePages = kv, kv.Room(e.Context), sequencePages(kv, e.Context)
	e.Pages = cmp.Or(o.CachePages, defaultPages(kv, e.Context))

	D, d := int64(c.Hidden), int64(c.HeadDim)
	threads := int64(o.Threads)
	if threads == 0 {
		threads = int64(parallel.DefaultThreads())
	}
	e.Scratch = m.Scratch(rows) + m.LineScratch(int(threads)) + 4*int64(rows)*D + threads*5*maxQueries*int64(chunksFor(e.Context))*(d+2)*4

	resident, scratch := head.Estimate(o.Head, m.Graph.Head().Type, c.Vocab, c.Hidden)
	e.Head, e.Scratch = resident, e.Scratch+scratch
	return e
}
