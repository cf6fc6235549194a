// Package cache holds the keys and values of past positions in pages.
//
// A [Pool] owns the memory: pages of [kernel.PageTokens] positions that hold
// the keys and values of all layers and heads. Pages are reference-counted, so
// sequences that share a beginning share its pages. A [Table] is the page
// table of one sequence: it grows by positions, forks, and is cut back. A page
// that is shared is copied before a sequence writes into it.
//
// A pool and its tables belong to one goroutine.
package cache

import (
	"errors"
	"fmt"

	"trit/internal/aligned"
	"trit/kernel"
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
	// MaxPages is the budget. Memory is allocated page by page as needed.
	MaxPages int
}

// Pool owns pages. Memory of released pages is kept for reuse.
type Pool struct {
	config    Config
	slabs     []slab // by page
	refs      []int32
	free      []Page
	halfBytes int // bytes of K, and again of V, of one layer and head
}

// slab is the memory of one page: for each layer and head, K then V.
type slab struct {
	data   []byte
	scales []float32 // for each layer and head, PageTokens of K, then of V; int8 only
}

// NewPool returns an empty pool.
func NewPool(c Config) (*Pool, error) {
	if c.Layers < 1 || c.KVHeads < 1 || c.HeadDim < 1 || c.HeadDim > kernel.MaxHeadDim || c.MaxPages < 1 {
		return nil, fmt.Errorf("cache: bad shape %+v", c)
	}
	return &Pool{config: c, halfBytes: c.Type.PageBytes(c.HeadDim)}, nil
}

// Config returns the shape of the pool.
func (p *Pool) Config() Config { return p.config }

// PageBytes returns the memory of one page.
func (p *Pool) PageBytes() int64 {
	n := int64(p.config.Layers) * int64(p.config.KVHeads) * int64(2*p.halfBytes)
	if p.config.Type.Scaled() {
		n += int64(p.config.Layers) * int64(p.config.KVHeads) * 2 * kernel.PageTokens * 4
	}
	return n
}

// InUse returns the number of pages that are referenced, Allocated the number
// that have memory.
func (p *Pool) InUse() int { return len(p.slabs) - len(p.free) }

// Allocated returns the number of pages that have memory, in use or not.
func (p *Pool) Allocated() int { return len(p.slabs) }

// Alloc returns a page with one reference. Its contents are undefined.
func (p *Pool) Alloc() (Page, error) {
	if n := len(p.free); n > 0 {
		page := p.free[n-1]
		p.free = p.free[:n-1]
		p.refs[page] = 1
		return page, nil
	}
	if len(p.slabs) >= p.config.MaxPages {
		return 0, fmt.Errorf("%w: all %d pages (%d positions, %.1f MB) are in use", ErrFull,
			p.config.MaxPages, p.config.MaxPages*kernel.PageTokens, float64(p.config.MaxPages)*float64(p.PageBytes())/1e6)
	}
	heads := p.config.Layers * p.config.KVHeads
	s := slab{data: aligned.Bytes(heads * 2 * p.halfBytes)}
	if p.config.Type.Scaled() {
		s.scales = aligned.Float32s(heads * 2 * kernel.PageTokens)
	}
	p.slabs = append(p.slabs, s)
	p.refs = append(p.refs, 1)
	return Page(len(p.slabs) - 1), nil
}

// Retain adds a reference to a page.
func (p *Pool) Retain(page Page) { p.refs[page]++ }

// Release drops a reference; the page is free when none is left.
func (p *Pool) Release(page Page) {
	p.refs[page]--
	switch n := p.refs[page]; {
	case n == 0:
		p.free = append(p.free, page)
	case n < 0:
		panic(fmt.Sprintf("cache: page %d released more often than retained", page))
	}
}

// Refs returns the number of references to a page.
func (p *Pool) Refs(page Page) int { return int(p.refs[page]) }

// View returns the part of a page that belongs to one layer and head.
func (p *Pool) View(page Page, layer, head int) kernel.KVPage {
	s := &p.slabs[page]
	i := layer*p.config.KVHeads + head
	k := i * 2 * p.halfBytes
	v := kernel.KVPage{
		Type: p.config.Type,
		K:    s.data[k : k+p.halfBytes : k+p.halfBytes],
		V:    s.data[k+p.halfBytes : k+2*p.halfBytes : k+2*p.halfBytes],
	}
	if s.scales != nil {
		const n = kernel.PageTokens
		v.KScale = s.scales[2*i*n : (2*i+1)*n]
		v.VScale = s.scales[(2*i+1)*n : (2*i+2)*n]
	}
	return v
}

// copyPage copies the whole contents of a page.
func (p *Pool) copyPage(dst, src Page) {
	copy(p.slabs[dst].data, p.slabs[src].data)
	copy(p.slabs[dst].scales, p.slabs[src].scales)
}
