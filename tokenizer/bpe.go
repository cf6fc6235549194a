package tokenizer

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// bpe is the part of a byte-level tokenizer that merges. Symbols are token ids;
// from Len() on they are texts that only merges mention.
type bpe struct {
	merges  *mergeTable
	byteSym [256]int32
	pairs   [][2]int32       // the merges in order; {−1, −1}: see odd
	odd     map[int32]string // merges that cannot occur in any text
}

// setMerges resolves the merge list to symbols.
func (t *Tokenizer) setMerges(merges []string) error {
	if len(merges) > math.MaxInt32/4 {
		return fmt.Errorf("tokenizer: %w: tokenizer.ggml.merges has %d entries, at most %d are possible", ErrVocabulary, len(merges), math.MaxInt32/4)
	}
	b := &t.bpe
	b.merges = newMergeTable(len(merges))
	b.pairs = make([][2]int32, len(merges))
	b.odd = map[int32]string{}
	var missing tally
	for c := range b.byteSym {
		b.byteSym[c] = t.symbol([]byte{byte(c)})
		if !t.valid(b.byteSym[c]) {
			missing.count(c)
		}
	}
	if missing.n > 0 {
		t.warn("tokenizer.ggml.tokens has no token for %d of the 256 bytes, the first is 0x%02X: such bytes vanish unless a merge covers them", missing.n, missing.first)
	}
	var buf []byte
	for i, m := range merges {
		cut := -1
		if m != "" {
			cut = strings.IndexByte(m[1:], ' ') + 1 // a piece may itself begin with a space
		}
		if cut < 1 {
			return fmt.Errorf("tokenizer: %w: tokenizer.ggml.merges[%d] is %q, expected two texts with a space between", ErrVocabulary, i, clip(m))
		}
		var exactLeft, exactRight bool
		buf, exactLeft = appendUnmapped(buf[:0], m[:cut])
		n := len(buf)
		buf, exactRight = appendUnmapped(buf, m[cut+1:])
		if !exactLeft || !exactRight || len(buf) == n {
			b.pairs[i] = [2]int32{-1, -1}
			b.odd[int32(i)] = strings.Clone(m)
			continue
		}
		if len(t.raw.data) > math.MaxInt32 {
			return fmt.Errorf("tokenizer: %w: tokenizer.ggml.merges[%d]: the merged texts exceed %d bytes", ErrVocabulary, i, math.MaxInt32)
		}
		left, right, to := t.symbol(buf[:n]), t.symbol(buf[n:]), t.symbol(buf)
		b.pairs[i] = [2]int32{left, right}
		b.merges.put(left, right, int32(i), to)
	}
	return nil
}

// symbol returns the symbol of raw bytes and creates it if need be.
func (t *Tokenizer) symbol(raw []byte) int32 {
	if id := t.table.find(&t.raw, view(raw)); id >= 0 {
		return id
	}
	t.raw.data = append(t.raw.data, raw...)
	t.raw.seal()
	id := int32(t.raw.len() - 1)
	t.table.put(&t.raw, id)
	return id
}

// mergeStrings is the inverse of setMerges.
func (t *Tokenizer) mergeStrings() []string {
	merges := make([]string, len(t.bpe.pairs))
	var buf []byte
	for i, p := range t.bpe.pairs {
		if p[0] < 0 {
			merges[i] = t.bpe.odd[int32(i)]
			continue
		}
		buf = appendMapped(buf[:0], t.raw.bytes(p[0]))
		buf = append(buf, ' ')
		buf = appendMapped(buf, t.raw.bytes(p[1]))
		merges[i] = string(buf)
	}
	return merges
}

// appendBPE appends the tokens of a fragment without special tokens.
func (t *Tokenizer) appendBPE(dst []int32, text string, s *scratch) []int32 {
	split(t.split, validUTF8(text, s.work), func(piece string) {
		for len(piece) > maxPiece {
			dst = t.appendPiece(dst, piece[:maxPiece], s)
			piece = piece[maxPiece:]
		}
		dst = t.appendPiece(dst, piece, s)
	})
	return dst
}

func (t *Tokenizer) appendPiece(dst []int32, piece string, s *scratch) []int32 {
	s.work.Spend(1)
	if len(piece) == 1 {
		return t.appendSymbol(dst, t.bpe.byteSym[piece[0]])
	}
	// Most pieces of ordinary text are tokens.
	if id := t.table.find(&t.raw, piece); t.valid(id) && (t.ignoreMerges || t.isCanonical(id, s)) {
		return append(dst, id)
	}
	for _, sym := range t.mergePiece(piece, s) {
		s.work.Spend(1)
		dst = t.appendSymbol(dst, sym)
	}
	return dst
}

// mergePiece returns the symbols that the bytes of a piece merge to. The result
// is valid until s is used again.
func (t *Tokenizer) mergePiece(piece string, s *scratch) []int32 {
	syms := slices.Grow(s.syms[:0], len(piece))
	for i := range len(piece) {
		s.work.Spend(1)
		syms = append(syms, t.bpe.byteSym[piece[i]])
	}
	s.syms = syms
	return syms[:t.bpe.merges.merge(syms, &s.long)]
}

// appendSymbol appends a token, or for a symbol that is not in the vocabulary
// the tokens of those characters of its spelling that are single bytes. Others
// vanish, as they do in llama.cpp.
func (t *Tokenizer) appendSymbol(dst []int32, sym int32) []int32 {
	if t.valid(sym) {
		return append(dst, sym)
	}
	for _, c := range t.raw.bytes(sym) {
		if byteToRune[c] < 0x80 && t.valid(t.bpe.byteSym[c]) {
			dst = append(dst, t.bpe.byteSym[c])
		}
	}
	return dst
}
