// Package arena hands out scratch memory from a few large chunks, and keeps books
// about it.
//
// The buffers that an engine computes in are made once and live as long as it does.
// Taking them from an arena puts them next to each other on huge pages where
// the system has them (see package hugemem), aligned to cache lines, and tells
// how much memory computing takes, now and at most.
//
// An arena is a stack: [Arena.Mark] remembers a place, and [Arena.Release] gives
// everything back that was handed out after it, for the next ones. The memory
// holds numbers only, never pointers, so the garbage collector has nothing to look
// for in it; a chunk is freed when neither the arena nor a slice refers to it.
//
// An arena belongs to one goroutine at a time.
package arena

import (
	"fmt"
	"math"
	"unsafe"

	"trit/internal/hugemem"
)

// Align is the alignment of every slice in bytes, a cache line.
const Align = hugemem.Align

// minChunk is the least size of a chunk: half a huge page, so that what is small
// shares one.
const minChunk = 1 << 20

// Number is what an arena holds.
type Number interface {
	~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~float32 | ~float64
}

// Arena hands out memory. The zero value is empty and ready.
type Arena struct {
	chunks []chunk
	at     int // the chunk that is handed out from
	marks  []place
	serial uint64 // of the last mark
	stats  Stats
}

// chunk is a piece of memory, of which the first used bytes are handed out and the
// first dirty ones have ever been.
type chunk struct {
	data        []byte
	used, dirty int
}

// place is a mark as the arena remembers it.
type place struct {
	serial  uint64
	at      int // chunk
	offset  int
	used    int64
	handed  int
	present bool // whether there was a chunk at all
}

// Mark is a place to go back to.
type Mark struct {
	depth  int
	serial uint64
}

// Stats are an arena's books. Sizes are in bytes and include what alignment costs.
type Stats struct {
	Used      int64 // handed out now
	HighWater int64 // the most that was ever handed out
	Reserved  int64 // of all chunks
	Slices    int   // handed out now
	Chunks    int
}

// Add returns the sum of two arenas' books. The sum of high-water marks is that of
// the worst case, in which both were reached at the same time.
func (s Stats) Add(o Stats) Stats {
	return Stats{s.Used + o.Used, s.HighWater + o.HighWater, s.Reserved + o.Reserved, s.Slices + o.Slices, s.Chunks + o.Chunks}
}

// Make returns n zeros. Like make it panics if n is negative or more than the
// system can address.
func Make[T Number](a *Arena, n int) []T {
	var zero T
	size := int(unsafe.Sizeof(zero))
	if n < 0 || n > (math.MaxInt-Align)/size {
		panic(fmt.Sprintf("arena: %d elements of %d bytes", n, size))
	}
	b := a.bytes(n * size)
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), n)
}

// Float32s returns n zeros.
func (a *Arena) Float32s(n int) []float32 { return Make[float32](a, n) }

// Stats returns the books.
func (a *Arena) Stats() Stats {
	s := a.stats
	s.Chunks = len(a.chunks)
	return s
}

// Mark remembers how much is handed out now.
func (a *Arena) Mark() Mark {
	a.serial++
	p := place{serial: a.serial, at: a.at, used: a.stats.Used, handed: a.stats.Slices}
	if p.present = len(a.chunks) > 0; p.present {
		p.offset = a.chunks[a.at].used
	}
	a.marks = append(a.marks, p)
	return Mark{depth: len(a.marks) - 1, serial: a.serial}
}

// Release takes back everything that was handed out after the mark, which is
// spent with that, as are later marks. The slices must not be used any more: the
// next ones lie over them. It panics if the mark is spent or another arena's.
func (a *Arena) Release(m Mark) {
	if m.depth >= len(a.marks) || a.marks[m.depth].serial != m.serial {
		panic("arena: release of a mark that is spent")
	}
	p := a.marks[m.depth]
	a.marks = a.marks[:m.depth]
	for i := p.at; i < len(a.chunks); i++ {
		a.chunks[i].used = 0
	}
	if p.present {
		a.chunks[p.at].used = p.offset
	}
	a.at, a.stats.Used, a.stats.Slices = p.at, p.used, p.handed
}

// bytes hands out n zero bytes.
func (a *Arena) bytes(n int) []byte {
	size := (n + Align - 1) &^ (Align - 1)
	c := a.chunkFor(size)
	b := c.data[c.used : c.used+n : c.used+n]
	if old := min(c.dirty, c.used+n); old > c.used {
		clear(c.data[c.used:old])
	}
	c.used += size
	c.dirty = max(c.dirty, c.used)
	a.stats.Used += int64(size)
	a.stats.HighWater = max(a.stats.HighWater, a.stats.Used)
	a.stats.Slices++
	return b
}

// chunkFor returns a chunk with room for so many bytes: the one in use, the next
// one that a release has left, or a new one.
func (a *Arena) chunkFor(size int) *chunk {
	if len(a.chunks) > 0 {
		if c := &a.chunks[a.at]; len(c.data)-c.used >= size {
			return c
		}
		// What a release has left and is too small will not be needed again,
		// or there would be no end to it.
		next := a.at + 1
		for next < len(a.chunks) {
			if len(a.chunks[next].data) >= size {
				a.at = next
				return &a.chunks[next]
			}
			a.stats.Reserved -= int64(len(a.chunks[next].data))
			a.chunks = append(a.chunks[:next], a.chunks[next+1:]...)
		}
		if a.chunks[a.at].used == 0 { // nothing of it is handed out
			a.stats.Reserved -= int64(len(a.chunks[a.at].data))
			a.chunks = a.chunks[:a.at]
		}
	}
	data := hugemem.Bytes(max(size, minChunk))
	a.chunks = append(a.chunks, chunk{data: data})
	a.at = len(a.chunks) - 1
	a.stats.Reserved += int64(len(data))
	return &a.chunks[a.at]
}
