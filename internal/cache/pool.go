// Package cache holds the keys and values of past positions in pages.
//
// A [Pool] owns the memory: pages of [kernel.PageTokens] positions that hold
// the keys and values of all layers and heads. Pages are reference-counted, so
// sequences that share a beginning share its pages. A [Table] is the page
// table of one sequence: it grows by positions, forks, and is cut back. A page
// that is shared is copied before a sequence writes into it.
//
// The pool also keeps an index of the pages by the tokens they were made from. A
// table indexes its pages and adopts those that another table with the same
// beginning has filled before, even after that one is gone.
//
// Of a model with recurrences a table also has a state, and pages may have
// snapshots of it: see [Pool.StateData]. Layers with a sliding window have their
// keys and values in parts of pages that tables give back: see window.go.
//
// A pool and its tables belong to one goroutine.
package cache

import (
	"errors"
	"fmt"
	"math"
	"unsafe"

	"trit/internal/aligned"
	"trit/internal/kernel"
	"trit/internal/vmem"
)

// ErrFull reports that the pool's budget has no free page left.
var ErrFull = errors.New("cache: no free KV page")

// Page is the number of a page in its pool.
type Page int32

// Config is the shape of a pool.
type Config struct {
	// Layers attend to all positions, and WindowLayers to the last Window only, the
	// one that attends among them.
	Layers               int
	WindowLayers, Window int
	KVHeads              int
	HeadDim              int
	Type                 kernel.KVType
	// MaxPages is the budget: the memory of so many whole pages. States count as so
	// many pages as they have the memory of.
	MaxPages int
	// Rows is how many positions at most a sequence grows by in one step.
	Rows int
	// StateSize is the number of float32s of a state, 0 for models without.
	StateSize int
	// RecordSize is the number of float32s that a recorded position takes, of models
	// with state; see StateRun. 0 means that none can be recorded.
	RecordSize int
	// PrefixPages is the largest number of unreferenced pages that the prefix
	// index may keep; 0 turns the index off. See [Table.Adopt].
	PrefixPages int
}

// PageBytes returns the memory of one page: the keys and values of
// kernel.PageTokens positions in all layers and heads.
func (c Config) PageBytes() int64 { return c.leanBytes() + c.WindowBytes() }

// WindowBytes returns how much of a page belongs to layers with a sliding window.
func (c Config) WindowBytes() int64 { return c.layerBytes(c.WindowLayers) }

// leanBytes returns how much of a page does not.
func (c Config) leanBytes() int64 { return max(c.layerBytes(c.Layers), aligned.Line) }

func (c Config) layerBytes(layers int) int64 {
	size := int64(layers) * int64(c.KVHeads) * int64(c.planeBytes())
	return (size + aligned.Line - 1) &^ (aligned.Line - 1)
}

// planeBytes returns what a page holds of one layer and head.
func (c Config) planeBytes() int {
	n := 2 * c.Type.PageBytes(c.HeadDim)
	if c.Type.Scaled() {
		n += 2 * scaleBytes
	}
	return n
}

// Pool owns pages. The address space of all of them is reserved at the start;
// the system backs a page with memory when it is first used.
type Pool struct {
	config     Config
	region     *vmem.Region // of pages without their parts for windows
	pageBytes  int
	leanBytes  int // of a page in region
	halfBytes  int // bytes of K, and again of V, of one layer and head
	planeBytes int // bytes of all that belongs to one layer and head
	budget     int // bytes
	most       int // pages at most
	refs       []int32
	free       []Page // that have memory, and
	cold       []Page // those whose memory has been given back
	prefix     *prefixIndex
	states     states
	windows    windows
}

// scaleBytes is the size of the scales of K, and again of V, of one layer and
// head.
const scaleBytes = 4 * kernel.PageTokens

// NewPool returns an empty pool.
func NewPool(c Config) (*Pool, error) {
	if c.Layers < 0 || c.Layers+c.WindowLayers < 1 || c.KVHeads < 1 || c.HeadDim < 1 || c.HeadDim > kernel.MaxHeadDim || c.MaxPages < 1 ||
		c.PrefixPages < 0 || c.StateSize < 0 || c.RecordSize < 0 || !c.windowed() {
		return nil, fmt.Errorf("cache: bad shape %+v", c)
	}
	p := &Pool{config: c, halfBytes: c.Type.PageBytes(c.HeadDim), planeBytes: c.planeBytes(), prefix: newPrefixIndex(c.PrefixPages)}
	size := c.PageBytes()
	if total := size * int64(c.MaxPages); total/size != int64(c.MaxPages) || total > math.MaxInt-(1<<20) {
		return nil, fmt.Errorf("%w: %d pages of %d bytes are more than this system can address; ask for a smaller context", ErrFull, c.MaxPages, size)
	}
	p.pageBytes, p.leanBytes, p.budget = int(size), int(c.leanBytes()), int(size)*c.MaxPages
	p.most = min(p.budget/p.leanBytes, leanPages*c.MaxPages)
	region, err := vmem.Reserve(p.leanBytes * p.most)
	if err != nil {
		return nil, fmt.Errorf("cache: the KV cache of %d pages: %w; ask for a smaller context", c.MaxPages, err)
	}
	p.region = region
	p.refs = make([]int32, 0, p.most)
	p.free = make([]Page, 0, p.most)
	if err := errors.Join(p.reserveStates(), p.reserveWindows()); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// leanPages bounds how many pages without their parts for windows take the place of
// a whole one.
const leanPages = 16

// Close gives the memory of all pages and states back. The pool must not be used
// afterwards.
func (p *Pool) Close() error {
	return errors.Join(p.region.Close(), p.states.close(), p.windows.close())
}

// Config returns the shape of the pool.
func (p *Pool) Config() Config { return p.config }

// PageBytes returns the memory of one page.
func (p *Pool) PageBytes() int64 { return int64(p.pageBytes) }

// InUse returns the number of pages that are referenced, and those that the states
// of tables count as. Snapshots do not count: they give way. Pages without their
// parts for windows count as what they have of whole ones.
func (p *Pool) InUse() int {
	return p.wholes((p.live()-p.prefix.unreferenced)*p.leanBytes+(p.windows.taken()-p.windows.kept)*p.windows.bytes) + p.states.held*p.states.pages
}

// Allocated returns the number of whole pages whose memory all pages have.
func (p *Pool) Allocated() int {
	return p.wholes((len(p.refs)-len(p.cold))*p.leanBytes + p.windows.backed()*p.windows.bytes)
}

// live returns the number of pages that are not free.
func (p *Pool) live() int { return len(p.refs) - len(p.free) - len(p.cold) }

// wholes returns the number of whole pages that so many bytes take.
func (p *Pool) wholes(bytes int) int { return (bytes + p.pageBytes - 1) / p.pageBytes }

// taken returns how much of the budget is not free.
func (p *Pool) taken() int {
	return p.live()*p.leanBytes + p.windows.taken()*p.windows.bytes + p.states.taken()*p.stateCost()
}

// backed returns how much of the budget has memory.
func (p *Pool) backed() int {
	return (len(p.refs)-len(p.cold))*p.leanBytes + p.windows.backed()*p.windows.bytes + p.states.backed()*p.stateCost()
}

// kept returns how much of the budget is only kept for others to adopt.
func (p *Pool) kept() int {
	return p.prefix.unreferenced*p.leanBytes + p.windows.kept*p.windows.bytes + p.prefix.snapshots*p.stateCost()
}

// stateCost returns how much of the budget a state takes.
func (p *Pool) stateCost() int { return p.states.pages * p.pageBytes }

// Alloc returns a page with one reference, to its part for windows too: a free one, a
// new one, or one that the least recently used of what is only kept has made room for.
// Its contents are undefined.
func (p *Pool) Alloc() (Page, error) {
	if err := p.makeRoom(p.pageBytes, true); err != nil {
		return 0, err
	}
	page, err := p.newPage()
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrFull, err)
	}
	if err := p.newWindow(page); err != nil {
		p.free = append(p.free, page)
		return 0, fmt.Errorf("%w: %w", ErrFull, err)
	}
	p.refs[page] = 1
	return page, nil
}

// makeRoom lets so many bytes of the budget become free: what no table refers to gives
// way, and, if that is not enough, snapshots of running sequences too.
func (p *Pool) makeRoom(bytes int, snapshots bool) error {
	for p.taken()+bytes > p.budget {
		switch {
		case p.kept() > 0:
			p.evict()
		case snapshots && p.dropSnapshot():
		default:
			n := p.config.MaxPages
			return fmt.Errorf("%w: all %d pages (%d positions, %.1f MB) are in use", ErrFull,
				n, n*kernel.PageTokens, float64(n)*float64(p.pageBytes)/1e6)
		}
	}
	return nil
}

// newPage returns a page that is not in use, for which there is room.
func (p *Pool) newPage() (Page, error) {
	if n := len(p.free); n > 0 {
		page := p.free[n-1]
		p.free = p.free[:n-1]
		return page, nil
	}
	if err := p.coolFor(p.leanBytes); err != nil {
		return 0, err
	}
	page := Page(len(p.refs))
	if n := len(p.cold); n > 0 {
		page = p.cold[n-1]
	} else if int(page) == p.most {
		return 0, fmt.Errorf("there are %d already", page)
	}
	if err := p.region.Commit(int(page)*p.leanBytes, p.leanBytes); err != nil {
		return 0, err
	}
	if int(page) < len(p.refs) {
		p.cold = p.cold[:len(p.cold)-1]
		return page, nil
	}
	p.refs = append(p.refs, 0)
	p.prefix.nodes = append(p.prefix.nodes, node{older: none, newer: none, snapshot: NoState})
	p.windows.grow()
	return page, nil
}

// coolFor gives the memory of something that is free back until there is budget for
// so many bytes more.
func (p *Pool) coolFor(bytes int) error {
	for p.backed()+bytes > p.budget {
		var err error
		switch {
		case len(p.states.free) > 0:
			err = p.coolState()
		case len(p.free) > 0:
			err = p.coolPage()
		default:
			err = p.coolWindow()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// coolPage gives the memory of a free page back.
func (p *Pool) coolPage() error {
	page := p.free[len(p.free)-1]
	if err := p.region.Decommit(int(page)*p.leanBytes, p.leanBytes); err != nil {
		return err
	}
	p.free = p.free[:len(p.free)-1]
	p.cold = append(p.cold, page)
	return nil
}

// Retain adds a reference to a page.
func (p *Pool) Retain(page Page) {
	if p.refs[page] == 0 {
		p.prefix.unlink(page)
	}
	p.refs[page]++
}

// Release drops a reference. When none is left the page is free, or, if the
// prefix index knows it, may be evicted from there.
func (p *Pool) Release(page Page) {
	p.refs[page]--
	switch n := p.refs[page]; {
	case n == 0 && p.prefix.has(page):
		p.prefix.push(page)
		p.trim()
	case n == 0:
		p.dropSnapshotOf(page)
		p.free = append(p.free, page)
	case n < 0:
		panic(fmt.Sprintf("cache: page %d released more often than retained", page))
	}
}

// Refs returns the number of references to a page.
func (p *Pool) Refs(page Page) int { return int(p.refs[page]) }

// trim gives up what is kept beyond the limit.
func (p *Pool) trim() {
	for p.kept() > p.prefix.limit*p.pageBytes {
		p.evict()
	}
}

// data returns the memory of a page, without its part for windows: for each layer and
// head K, for int8 the scales of K and of V, and V. Attention fetches K and the scales
// behind it in one go.
func (p *Pool) data(page Page) []byte {
	return p.region.Bytes()[int(page)*p.leanBytes : (int(page)+1)*p.leanBytes]
}

// View returns the part of a page that belongs to one layer and head. Layers with a
// sliding window come after the others. Of a part that has been given back there is
// nothing.
func (p *Pool) View(page Page, layer, head int) kernel.KVPage {
	data := p.data(page)
	if layer >= p.config.Layers {
		if !p.windows.has(page) {
			return kernel.KVPage{Type: p.config.Type}
		}
		data, layer = p.windowData(page), layer-p.config.Layers
	}
	data = data[(layer*p.config.KVHeads+head)*p.planeBytes:][:p.planeBytes:p.planeBytes]
	n := p.halfBytes
	v := kernel.KVPage{
		Type: p.config.Type,
		K:    data[:n:n],
		V:    data[p.planeBytes-n:],
	}
	if p.config.Type.Scaled() {
		v.KScale = floats(data[n : n+scaleBytes])
		v.VScale = floats(data[n+scaleBytes : n+2*scaleBytes])
	}
	return v
}

// copyPage copies the whole contents of a page, which both have.
func (p *Pool) copyPage(dst, src Page) {
	copy(p.data(dst), p.data(src))
	if p.config.WindowLayers > 0 {
		copy(p.windowData(dst), p.windowData(src))
	}
}

// floats views bytes, which start at a multiple of four, as float32.
func floats(b []byte) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/4)
}
