package engine

import (
	"fmt"

	"trit/internal/cache"
)

// Sequence is what the KV cache holds for one client: the tokens that have been run,
// and their keys, values and state.
type Sequence struct {
	engine   *Engine
	table    *cache.Table // nil once closed
	tokens   []int32
	span     int // of the running batch
	pending  int // rows in a batch that has not run
	reserved bool
}

// NewSequence returns an empty sequence.
func (e *Engine) NewSequence() *Sequence {
	return &Sequence{engine: e, table: e.pool.NewTable(e.context), tokens: make([]int32, 0, e.context)}
}

// Len returns the number of tokens that have been run.
func (s *Sequence) Len() int { return len(s.tokens) }

// Tokens returns the tokens that have been run. The slice must not be changed.
func (s *Sequence) Tokens() []int32 { return s.tokens }

// Fork returns a sequence with the same tokens. The two share the memory of
// what they have in common.
func (s *Sequence) Fork() *Sequence {
	f := &Sequence{engine: s.engine, table: s.table.Fork(), tokens: make([]int32, 0, s.engine.context)}
	f.tokens = append(f.tokens, s.tokens...)
	return f
}

// assign makes s hold the same tokens as from, sharing its memory.
func (s *Sequence) assign(from *Sequence) {
	s.table.Assign(from.table)
	s.tokens = append(s.tokens[:0], from.tokens...)
}

// Truncate forgets all tokens from index n on. Of a model that keeps state beside keys
// and values, some of those before it may be lost too, and have to be run again.
func (s *Sequence) Truncate(n int) error {
	if n < 0 || n > len(s.tokens) {
		return fmt.Errorf("%w: truncating a sequence of %d tokens to %d", ErrBatch, len(s.tokens), n)
	}
	if s.pending > 0 {
		return fmt.Errorf("%w: truncating a sequence that is part of a batch", ErrBatch)
	}
	s.table.Truncate(n)
	s.tokens = s.tokens[:n]
	return nil
}

// Guesses says that of the tokens that are added next those from index n on are likely to be
// taken back with Truncate; −1: none are.
func (s *Sequence) Guesses(n int) { s.table.Guess(n) }

// with returns the sequence's tokens followed by others, which must fit into the
// context. The result is valid until the sequence changes.
func (s *Sequence) with(tokens []int32) []int32 { return append(s.tokens, tokens...) }

// adopt takes pages for the tokens that come next from the prefix index, as long
// as the sequence does not get longer than limit, and returns how many tokens
// the sequence has grown by.
func (s *Sequence) adopt(tokens []int32, limit int) int {
	all := s.with(tokens)
	n := s.table.Adopt(all, limit) - len(s.tokens)
	s.tokens = all[:s.table.Len()]
	return n
}

// Close gives the sequence's memory back. Closing twice is harmless.
func (s *Sequence) Close() {
	if s.table != nil {
		s.table.Release()
		s.table, s.tokens = nil, nil
	}
}
