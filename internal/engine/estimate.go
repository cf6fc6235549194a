package engine

import (
	"cmp"

	"trit/gguf"
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
	// Context is the largest number of positions of a sequence, which are
	// ContextPages, and Pages the budget.
	PageBytes           int64
	Context             int
	ContextPages, Pages int
}

// EstimateMemory returns the memory of an engine before there is one. stored is
// the type of the output head. With D, F, V, H, G, d as in model.Config, R
// the rows of a batch, L the context and T the threads, the scratch memory is
//
//	residual stream, its norm, hidden states   3·4·R·D
//	queries, keys, values, attention output    4·R·d·(2·H + 2·G)
//	gate and up                                2·4·R·F
//	activations rounded to int8                R·max(D, F, H·d)
//	partial sums of attention                  T·(1 + 4)·64·⌈L/C⌉·(d + 2)·4, C = kernel.ChunkTokens
//	logits, coarse and complete                9·V for each of up to 16 rows
//
// and the coarse copy of a head has 8 bits per weight and some words per row.
func EstimateMemory(c *model.Config, stored gguf.Type, o Options) Estimate {
	rows := int64(cmp.Or(o.MaxRows, defaultMaxRows))
	e := Estimate{Context: cmp.Or(o.Context, c.Context)}
	e.ContextPages = pagesFor(e.Context)
	e.Pages = cmp.Or(o.CachePages, defaultPages(c, o.KVType, e.Context))
	e.PageBytes = cache.Config{Layers: c.Layers, KVHeads: c.KVHeads, HeadDim: c.HeadDim, Type: o.KVType}.PageBytes()

	D, F := int64(c.Hidden), int64(c.FFN)
	heads, kvHeads, d := int64(c.Heads), int64(c.KVHeads), int64(c.HeadDim)
	threads := int64(o.Threads)
	if threads == 0 {
		threads = int64(parallel.DefaultThreads())
	}
	e.Scratch = 4*rows*(3*D+d*(2*heads+2*kvHeads)+2*F) + rows*max(D, F, heads*d) +
		threads*5*maxQueries*int64(chunksFor(e.Context))*(d+2)*4

	resident, scratch := head.Estimate(o.Head, stored, c.Vocab, c.Hidden)
	e.Head, e.Scratch = resident, e.Scratch+scratch
	return e
}
