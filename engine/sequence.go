package engine

import (
	"fmt"

	"trit/cache"
)

// Sequence is a text in the KV cache: the tokens that have been run and their
// keys and values.
type Sequence struct {
	engine   *Engine
	table    *cache.Table // nil once closed
	tokens   []int32
	pending  int // rows in a batch that has not run
	reserved bool
}

// NewSequence returns an empty sequence.
func (e *Engine) NewSequence() *Sequence {
	return &Sequence{engine: e, table: e.pool.NewTable()}
}

// Len returns the number of tokens that have been run.
func (s *Sequence) Len() int { return len(s.tokens) }

// Tokens returns the tokens that have been run. The slice must not be changed.
func (s *Sequence) Tokens() []int32 { return s.tokens }

// Fork returns a sequence with the same tokens. The two share the memory of
// what they have in common.
func (s *Sequence) Fork() *Sequence {
	return &Sequence{engine: s.engine, table: s.table.Fork(), tokens: append([]int32(nil), s.tokens...)}
}

// Truncate forgets all tokens from index n on.
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

// Close gives the sequence's memory back. Closing twice is harmless.
func (s *Sequence) Close() {
	if s.table != nil {
		s.table.Release()
		s.table, s.tokens = nil, nil
	}
}
