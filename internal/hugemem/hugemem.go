// Package hugemem allocates the large arrays that kernels stream through on
// every token, weights above all, aligned to cache lines and on huge pages where
// the operating system grants them.
//
// With pages of 4 KiB a core spends much of a sequential read on address
// translation: on a Zen 4 server, reading 128 MB took 17 GB/s on ordinary
// pages and 29 GB/s on pages of 2 MiB. Linux gives huge pages only to memory that
// asks for them (the common "madvise" setting) and only where a whole aligned
// 2 MiB range belongs to the asking area, so arrays share large chunks.
//
// The memory is ordinary garbage-collected memory; a chunk is freed when no
// array in it is in use any more.
package hugemem

import (
	"sync"
	"unsafe"
)

// Align is the alignment of all arrays, a cache line and a 512-bit register.
const Align = 64

const (
	hugePage   = 2 << 20
	chunkBytes = 32 << 20
	// Below smallest the address translations of an array stay cached.
	smallest = 64 << 10
)

var chunk struct {
	sync.Mutex
	free []byte
	on   map[int][]byte // the same in the memory of a node
}

// Bytes returns n zero bytes that start at a multiple of Align.
func Bytes(n int) []byte {
	if !supported || n < smallest {
		return aligned(n, Align)
	}
	if n > chunkBytes/2 {
		return whole(n)[:n:n]
	}
	chunk.Lock()
	defer chunk.Unlock()
	size := (n + Align - 1) &^ (Align - 1)
	if len(chunk.free) < size {
		chunk.free = whole(chunkBytes)
	}
	buf := chunk.free[:n:n]
	chunk.free = chunk.free[size:]
	return buf
}

// BytesOn is Bytes in memory of which no page is there yet, and which shares no page with
// memory for another node: it will be close to the processor that first writes to it.
func BytesOn(node, n int) []byte {
	if n > chunkBytes/2 {
		buf := whole(n)
		drop(buf)
		return buf[:n:n]
	}
	chunk.Lock()
	defer chunk.Unlock()
	size := (n + Align - 1) &^ (Align - 1)
	if len(chunk.on[node]) < size {
		if chunk.on == nil {
			chunk.on = map[int][]byte{}
		}
		chunk.on[node] = whole(chunkBytes)
		drop(chunk.on[node])
	}
	free := chunk.on[node]
	chunk.on[node] = free[size:]
	return free[:n:n]
}

// whole returns at least n bytes that fill huge pages.
func whole(n int) []byte {
	buf := aligned((n+hugePage-1)&^(hugePage-1), hugePage)
	advise(buf)
	return buf
}

// aligned returns n zero bytes that start at a multiple of align.
func aligned(n, align int) []byte {
	buf := make([]byte, n+align-1)
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(buf))) & uintptr(align-1))
	return buf[skip : skip+n : skip+n]
}
