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
	Layers  int
	KVHeads int
	HeadDim int
	Type    kernel.KVType
	// MaxPages is the budget.
	MaxPages int
	// PrefixPages is the largest number of unreferenced pages that the prefix
	// index may keep; 0 turns the index off. See [Table.Adopt].
	PrefixPages int
}

// PageBytes returns the memory of one page: the keys and values of
// kernel.PageTokens positions in all layers and heads.
func (c Config) PageBytes() int64 {
	size := int64(c.Layers) * int64(c.KVHeads) * int64(c.planeBytes())
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
	region     *vmem.Region
	pageBytes  int
	halfBytes  int // bytes of K, and again of V, of one layer and head
	planeBytes int // bytes of all that belongs to one layer and head
	refs       []int32
	free       []Page
	prefix     *prefixIndex
}

// scaleBytes is the size of the scales of K, and again of V, of one layer and
// head.
const scaleBytes = 4 * kernel.PageTokens

// NewPool returns an empty pool.
func NewPool(c Config) (*Pool, error) {
	if c.Layers < 1 || c.KVHeads < 1 || c.HeadDim < 1 || c.HeadDim > kernel.MaxHeadDim || c.MaxPages < 1 || c.PrefixPages < 0 {
		return nil, fmt.Errorf("cache: bad shape %+v", c)
	}
	p := &Pool{config: c, halfBytes: c.Type.PageBytes(c.HeadDim), planeBytes: c.planeBytes(), prefix: newPrefixIndex(c.PrefixPages)}
	size := c.PageBytes()
	if total := size * int64(c.MaxPages); total/size != int64(c.MaxPages) || total > math.MaxInt-(1<<20) {
		return nil, fmt.Errorf("%w: %d pages of %d bytes are more than this system can address; ask for a smaller context", ErrFull, c.MaxPages, size)
	}
	p.pageBytes = int(size)
	region, err := vmem.Reserve(p.pageBytes * c.MaxPages)
	if err != nil {
		return nil, fmt.Errorf("cache: the KV cache of %d pages: %w; ask for a smaller context", c.MaxPages, err)
	}
	p.region = region
	p.refs = make([]int32, 0, c.MaxPages)
	p.free = make([]Page, 0, c.MaxPages)
	return p, nil
}

// Close gives the memory of all pages back. The pool must not be used
// afterwards.
func (p *Pool) Close() error { return p.region.Close() }

// Config returns the shape of the pool.
func (p *Pool) Config() Config { return p.config }

// PageBytes returns the memory of one page.
func (p *Pool) PageBytes() int64 { return int64(p.pageBytes) }

// InUse returns the number of pages that are referenced.
func (p *Pool) InUse() int { return len(p.refs) - len(p.free) - p.prefix.unreferenced }

// Allocated returns the number of pages that have been used so far and so have
// memory.
func (p *Pool) Allocated() int { return len(p.refs) }

// Alloc returns a page with one reference: a free one, a new one, or the least
// recently used of the prefix index. Its contents are undefined.
func (p *Pool) Alloc() (Page, error) {
	if n := len(p.free); n > 0 {
		page := p.free[n-1]
		p.free = p.free[:n-1]
		p.refs[page] = 1
		return page, nil
	}
	page, err := p.grow()
	if err != nil && p.prefix.unreferenced > 0 {
		page, err = p.prefix.evict(), nil
		p.refs[page] = 1
	}
	return page, err
}

// grow returns a page that has not been used before.
func (p *Pool) grow() (Page, error) {
	n := len(p.refs)
	if n == p.config.MaxPages {
		return 0, fmt.Errorf("%w: all %d pages (%d positions, %.1f MB) are in use", ErrFull,
			n, n*kernel.PageTokens, float64(n)*float64(p.pageBytes)/1e6)
	}
	if err := p.region.Commit(n*p.pageBytes, p.pageBytes); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrFull, err)
	}
	p.refs = append(p.refs, 1)
	p.prefix.nodes = append(p.prefix.nodes, node{older: none, newer: none})
	return Page(n), nil
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
		if p.prefix.unreferenced > p.prefix.limit {
			p.free = append(p.free, p.prefix.evict())
		}
	case n == 0:
		p.free = append(p.free, page)
	case n < 0:
		panic(fmt.Sprintf("cache: page %d released more often than retained", page))
	}
}

// Refs returns the number of references to a page.
func (p *Pool) Refs(page Page) int { return int(p.refs[page]) }

// data returns the memory of a page: for each layer and head K, for int8 the scales
// of K and of V, and V. Attention fetches K and the scales behind it in one go.
func (p *Pool) data(page Page) []byte {
	return p.region.Bytes()[int(page)*p.pageBytes : (int(page)+1)*p.pageBytes]
}

// View returns the part of a page that belongs to one layer and head.
func (p *Pool) View(page Page, layer, head int) kernel.KVPage {
	data := p.data(page)
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

// copyPage copies the whole contents of a page.
func (p *Pool) copyPage(dst, src Page) { copy(p.data(dst), p.data(src)) }

// floats views bytes, which start at a multiple of four, as float32.
func floats(b []byte) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/4)
}
