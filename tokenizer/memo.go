package tokenizer

import (
	"encoding/binary"
	"math/bits"
)

// A memo remembers what the last words were encoded to: texts repeat theirs, and where the
// vocabulary is large, each of a word's merges waits for memory. A word has one place,
// which the next one with the same hash takes over.
type memo struct {
	entries []memoEntry // none before the first word
}

const (
	memoEntries = 1 << 10
	memoBytes   = 24 // of the longest word, a multiple of 8, and
	memoTokens  = 7  // the most tokens, that are remembered
)

// memoWord is a word with zeros behind it.
type memoWord [memoBytes]byte

type memoEntry struct {
	word   memoWord
	length uint8 // 0: none
	n      uint8
	tokens [memoTokens]int32
}

// find returns the tokens of a word, or nil, and where they belong. Words that are not
// remembered belong nowhere.
func (m *memo) find(word string) (tokens []int32, at *memoEntry, padded memoWord) {
	if len(word) == 0 || len(word) > memoBytes {
		return nil, nil, padded
	}
	copy(padded[:], word)
	if m.entries == nil {
		m.entries = make([]memoEntry, memoEntries)
	}
	hash := uint64(len(word))
	for i := 0; i < memoBytes; i += 8 {
		high, low := bits.Mul64(hash^binary.LittleEndian.Uint64(padded[i:]), 0x9e3779b97f4a7c15)
		hash = high ^ low
	}
	at = &m.entries[hash%memoEntries]
	if int(at.length) == len(word) && at.word == padded {
		return at.tokens[:at.n], at, padded
	}
	return nil, at, padded
}

// keep remembers the tokens of a word, if they are not too many.
func (e *memoEntry) keep(padded memoWord, length int, tokens []int32) {
	if e == nil || len(tokens) > memoTokens {
		return
	}
	e.word, e.length, e.n = padded, uint8(length), uint8(len(tokens))
	copy(e.tokens[:], tokens)
}
