package engine

import (
	"trit/internal/arena"
	"trit/internal/cache"
	"trit/internal/kernel"
	"trit/internal/model"
)

// maxQueries bounds the query vectors that one piece of attention work
// handles together: enough that a page read from memory serves many, few
// enough that their scores stay in the first-level cache.
const maxQueries = 32

// attention implements model.Attention over the paged cache.
//
// Rows are cut into blocks of neighbouring rows of one sequence. A piece of
// work is a block, a key/value head, and either all chunks of positions that
// the block sees or, when there are few blocks, one of them; the results of
// the chunks are then joined in order. Both ways give the same bits.
type attention struct {
	e        *Engine
	group    int   // query heads per KV head
	planes   []int // by layer: its place among the layers of the KV cache
	rowBlock int   // rows per block

	batch  *Batch
	blocks []block

	// operands of the running layer
	layer        int
	window       int // positions that a row sees, its own among them; 0: all
	out, q, k, v model.Buffer

	recur recurrences
	store storeTask
	whole wholeTask
	split splitTask
	merge mergeTask

	workers []attendScratch
	// partial results of split work: [piece][query] of o, m, l
	partO, partM, partL []float32
}

// block is a run of rows of one sequence with consecutive positions.
type block struct {
	seq    *Sequence
	first  int // row
	n      int // rows
	pos    int // position of the first row
	chunks int // chunks that its last row sees
}

// attendScratch is one worker's memory.
type attendScratch struct {
	args  kernel.AttendArgs
	q     []float32 // [maxQueries, d]
	o     []float32 // [chunks, queries, d]
	m, l  []float32 // [chunks, queries]
	valid []int32
	first []int32
	pages []kernel.KVPage
}

func newAttention(e *Engine) *attention {
	c := e.config
	group := c.Heads / c.KVHeads
	a := &attention{e: e, group: group, rowBlock: max(1, maxQueries/group), planes: make([]int, c.Layers+c.MTP)}
	kv := e.pool.Config()
	whole, sliding := 0, kv.Layers
	for _, layer := range e.model.Tally(kv.Type).KVLayers() {
		next := &whole
		if kv.WindowLayers > 0 && c.WindowOf(layer) > 0 {
			next = &sliding
		}
		a.planes[layer] = *next
		*next++
	}
	a.store.a, a.whole.a, a.split.a, a.merge.a = a, a, a, a
	queries := a.rowBlock * group
	chunks := chunksFor(e.context)
	for range e.team.Size() {
		a.workers = append(a.workers, attendScratch{
			q:     e.mem.Float32s(queries * c.HeadDim),
			o:     e.mem.Float32s(queries * chunks * c.HeadDim),
			m:     e.mem.Float32s(queries * chunks),
			l:     e.mem.Float32s(queries * chunks),
			valid: arena.Make[int32](&e.mem, queries),
			first: arena.Make[int32](&e.mem, queries),
			pages: make([]kernel.KVPage, kernel.ChunkTokens/kernel.PageTokens),
			args:  kernel.AttendArgs{HeadDim: c.HeadDim, Scale: c.AttnScale, Scratch: e.mem.Float32s(kernel.AttendScratch(queries))},
		})
	}
	// Split work is used for fewer pieces than splitBelow times the workers.
	pieces := a.splitBelow() * queries * chunks
	a.partO = e.mem.Float32s(pieces * c.HeadDim)
	a.partM, a.partL = e.mem.Float32s(pieces), e.mem.Float32s(pieces)
	return a
}

// chunksFor returns the number of chunks that n positions touch.
func chunksFor(n int) int { return (n + kernel.ChunkTokens - 1) / kernel.ChunkTokens }

// splitBelow is the number of (block, head) pairs from which on there is
// enough work for all workers without splitting by chunks.
func (a *attention) splitBelow() int { return 4 * a.e.team.Size() }

// begin cuts the rows of a batch into blocks.
func (a *attention) begin(b *Batch) {
	if a.e.pool.Config().StateSize > 0 {
		a.recur.begin(b)
	}
	a.cut(b)
}

// cut is begin for rows that go through no recurrence.
func (a *attention) cut(b *Batch) {
	a.batch, a.blocks = b, a.blocks[:0]
	for i := range b.rows {
		s, pos := b.rows[i].seq, int(b.positions[i])
		if n := len(a.blocks); n > 0 {
			last := &a.blocks[n-1]
			if last.seq == s && last.pos+last.n == pos && last.n < a.rowBlock {
				last.n++
				last.chunks = chunksFor(pos + 1)
				continue
			}
		}
		a.blocks = append(a.blocks, block{seq: s, first: i, n: 1, pos: pos, chunks: chunksFor(pos + 1)})
	}
}

// Attend implements model.Attention.
func (a *attention) Attend(layer int, out, q, k, v model.Buffer, rows int) {
	a.Store(layer, k, v, rows)
	a.out, a.q = out, q
	a.window = a.e.config.WindowOf(layer)
	heads := a.e.config.KVHeads
	team := a.e.team
	a.e.begin(layer, OpAttention, rows)
	if pairs := len(a.blocks) * heads; pairs >= a.splitBelow() {
		team.Run(&a.whole, pairs)
		a.e.end()
		return
	}
	pieces := 0
	for i := range a.blocks {
		pieces += a.span(&a.blocks[i]) * heads
	}
	team.Run(&a.split, pieces)
	a.e.end()
	a.e.begin(layer, OpMerge, rows)
	for i := range len(a.blocks) * heads {
		a.merge.Do(0, i)
	}
	a.e.end()
}

// serialStore is how many numbers are stored in less time than it takes to share them.
const serialStore = 256

// Store implements model.Attention.
func (a *attention) Store(layer int, k, v model.Buffer, rows int) {
	a.layer, a.k, a.v = layer, k, v
	a.e.begin(layer, OpStore, rows)
	heads := a.e.config.KVHeads
	if rows*k.Width <= serialStore {
		a.store.heads = heads
		for i := range rows {
			a.store.Do(0, i)
		}
	} else {
		// Every number of a key has a cache line of its own, which has to come from memory, so
		// that workers share even the heads of a single row.
		a.store.heads = 1
		if rows >= a.splitBelow() {
			a.store.heads = heads
		}
		a.e.team.Run(&a.store, rows*heads/a.store.heads)
	}
	a.e.end()
}

// firstSeen returns the first position that the row at pos sees.
func (a *attention) firstSeen(pos int) int {
	if a.window == 0 {
		return 0
	}
	return max(0, pos+1-a.window)
}

// firstChunk returns the first chunk that a block sees, and span how many it sees.
func (a *attention) firstChunk(b *block) int { return a.firstSeen(b.pos) / kernel.ChunkTokens }
func (a *attention) span(b *block) int       { return b.chunks - a.firstChunk(b) }

// view returns the part of a sequence's page that belongs to the layer. Of pages that
// no row's window reaches it may be empty.
func (a *attention) view(pages []cache.Page, page, head int) kernel.KVPage {
	return a.e.pool.View(pages[page], a.planes[a.layer], head)
}

// storeTask writes the keys and values of some heads, one or all, of one row.
type storeTask struct {
	a     *attention
	heads int
}

func (t *storeTask) Do(worker, slice int) {
	a := t.a
	parts := a.e.config.KVHeads / t.heads
	row, from := slice/parts, slice%parts*t.heads
	d, typ := a.e.config.HeadDim, a.e.pool.Config().Type
	pos := int(a.batch.positions[row])
	pages := a.batch.rows[row].seq.table.Pages()
	k, v := a.k.Row(row), a.v.Row(row)
	for h := from; h < from+t.heads; h++ {
		page := a.view(pages, pos/kernel.PageTokens, h)
		key := a.workers[worker].q[:d]
		copy(key, k[h*d:(h+1)*d])
		kernel.PrepareKeys(typ, key, d)
		kernel.StoreK(&page, pos%kernel.PageTokens, key)
		kernel.StoreV(&page, pos%kernel.PageTokens, v[h*d:(h+1)*d])
	}
}

// gather collects the query vectors of a block for one KV head.
func (a *attention) gather(s *attendScratch, b *block, head int) {
	w := a.group * a.e.config.HeadDim
	for i := range b.n {
		copy(s.q[i*w:(i+1)*w], a.q.Row(b.first + i)[head*w:(head+1)*w])
	}
	kernel.PrepareQueries(a.e.pool.Config().Type, s.q[:b.n*w], a.e.config.HeadDim)
}

// chunk computes one chunk for the gathered queries of a block.
func (a *attention) chunk(s *attendScratch, b *block, head, chunk int, o, m, l []float32) {
	start := chunk * kernel.ChunkTokens
	end := min(start+kernel.ChunkTokens, b.pos+b.n)
	pages := b.seq.table.Pages()
	n := 0
	for pos := start; pos < end; pos += kernel.PageTokens {
		s.pages[n] = a.view(pages, pos/kernel.PageTokens, head)
		n++
	}
	for i := range b.n {
		visible := int32(min(max(b.pos+i+1-start, 0), kernel.ChunkTokens))
		hidden := int32(min(max(a.firstSeen(b.pos+i)-start, 0), kernel.ChunkTokens))
		for g := range a.group {
			s.valid[i*a.group+g] = visible
			s.first[i*a.group+g] = hidden
		}
	}
	args := &s.args
	args.First = nil
	if a.window != 0 {
		args.First = s.first
	}
	args.Queries = b.n * a.group
	args.Q, args.Valid, args.Pages = s.q, s.valid, s.pages[:n]
	args.Next = nil
	if page := end / kernel.PageTokens; end-start == kernel.ChunkTokens && page < len(pages) {
		args.Next = a.view(pages, page, head).K
	}
	args.O, args.M, args.L = o, m, l
	kernel.AttendChunk(args)
}

// finish joins the chunks of a block's queries. The results of the c-th chunk that the
// block sees start at o[c·stride·d], m[c·stride] and l[c·stride].
func (a *attention) finish(b *block, head int, o, m, l []float32, stride int) {
	d, first := a.e.config.HeadDim, a.firstChunk(b)
	for i := range b.n {
		out := a.out.Row(b.first + i)[head*a.group*d:]
		for g := range a.group {
			j := i*a.group + g
			kernel.MergeChunks(out[g*d:(g+1)*d], o[j*d:], m[j:], l[j:], chunksFor(b.pos+i+1)-first, stride*d, stride)
		}
	}
}

// wholeTask handles a block and a head over all chunks.
type wholeTask struct{ a *attention }

func (t *wholeTask) Do(worker, slice int) {
	a := t.a
	heads := a.e.config.KVHeads
	b, head := &a.blocks[slice/heads], slice%heads
	s := &a.workers[worker]
	a.gather(s, b, head)
	n, d := b.n*a.group, a.e.config.HeadDim
	first := a.firstChunk(b)
	for c := range a.span(b) {
		a.chunk(s, b, head, first+c, s.o[c*n*d:(c+1)*n*d], s.m[c*n:(c+1)*n], s.l[c*n:(c+1)*n])
	}
	a.finish(b, head, s.o, s.m, s.l, n)
}

// splitTask handles a block and a head over one chunk.
type splitTask struct{ a *attention }

func (t *splitTask) Do(worker, slice int) {
	a := t.a
	heads := a.e.config.KVHeads
	i := 0
	for slice >= a.span(&a.blocks[i])*heads {
		slice -= a.span(&a.blocks[i]) * heads
		i++
	}
	b := &a.blocks[i]
	head, c := slice/a.span(b), slice%a.span(b)
	s := &a.workers[worker]
	a.gather(s, b, head)
	o, m, l := a.part(i*heads + head)
	n, d := b.n*a.group, a.e.config.HeadDim
	a.chunk(s, b, head, a.firstChunk(b)+c, o[c*n*d:(c+1)*n*d], m[c*n:(c+1)*n], l[c*n:(c+1)*n])
}

// part returns the memory for the partial results of a (block, head) pair.
func (a *attention) part(pair int) (o, m, l []float32) {
	n := a.rowBlock * a.group * chunksFor(a.e.context)
	d := a.e.config.HeadDim
	return a.partO[pair*n*d : (pair+1)*n*d], a.partM[pair*n : (pair+1)*n], a.partL[pair*n : (pair+1)*n]
}

// mergeTask joins the chunks of a block and a head.
type mergeTask struct{ a *attention }

func (t *mergeTask) Do(_, pair int) {
	a := t.a
	heads := a.e.config.KVHeads
	b := &a.blocks[pair/heads]
	o, m, l := a.part(pair)
	a.finish(b, pair%heads, o, m, l, b.n*a.group)
}
