package gguf

import (
	"encoding/binary"
	"fmt"
)

// swapRun reverses the bytes of every width-byte word of b.
func swapRun(b []byte, width int) {
	switch width {
	case 2:
		for ; len(b) >= 2; b = b[2:] {
			b[0], b[1] = b[1], b[0]
		}
	case 4:
		for ; len(b) >= 4; b = b[4:] {
			binary.LittleEndian.PutUint32(b, binary.BigEndian.Uint32(b))
		}
	case 8:
		for ; len(b) >= 8; b = b[8:] {
			binary.LittleEndian.PutUint64(b, binary.BigEndian.Uint64(b))
		}
	}
}

// swappable reports, as an error, a type whose big-endian form is not known.
func (t Type) swappable() error {
	if traits[t].scalars == nil {
		return fmt.Errorf("%w: where %s holds words to swap is not known, so its big-endian data cannot be read; convert the file to little-endian with the tool that wrote it", ErrUnsupported, t)
	}
	return nil
}

// swapBlocks turns whole big-endian blocks of type t into little-endian ones.
// For the types with one scale per tensor these are the codes, without the tail.
func (t Type) swapBlocks(b []byte) {
	tr := traits[t]
	if len(tr.scalars) == 0 {
		return
	}
	if f := tr.scalars[0]; len(tr.scalars) == 1 && int64(f.width) == tr.blockLen {
		swapRun(b, f.width)
		return
	}
	for ; int64(len(b)) >= tr.blockLen; b = b[tr.blockLen:] {
		for _, f := range tr.scalars {
			swapRun(b[f.offset:f.offset+f.width*f.count], f.width)
		}
	}
}

// swapTensor turns the big-endian bytes of a whole tensor into little-endian ones.
func (t Type) swapTensor(b []byte) {
	if !t.hasTail() {
		t.swapBlocks(b)
		return
	}
	codes := len(b) - scaleTail
	t.swapBlocks(b[:codes])
	swapRun(b[codes:codes+4], 4)
}
