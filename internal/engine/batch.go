package engine

import (
	"fmt"

	"trit/internal/fault"
	"trit/internal/head"
)

// Want says what a row of a batch is to give back.
type Want uint8

const (
	// None: the row only extends its sequence.
	None Want = iota
	// Hidden: the final hidden state, after the output norm.
	Hidden
	// Select: the largest logits under a bias and a mask.
	Select
	// All: the logits of the whole vocabulary.
	All
)

// Batch collects the rows of one step. A batch belongs to the engine that made
// it and may be reused after Reset; results are valid until then.
type Batch struct {
	engine *Engine
	rows   []row

	tokens    []int32
	positions []int32
	keep      []int // rows with a want, ascending

	scored   []int      // rows that want All or Select, ascending
	requests []head.Row // what they want
	rest     []int      // indices of those that need all logits
	complete []int      // rows of which all logits have been computed

	before []float32 // [rows, D] of guesses: the states of the tokens before
	hidden []float32 // [kept, D]
	states []float32 // [D] per row whose logits are computed together
	logits []float32 // [complete, V]
}

type row struct {
	seq  *Sequence
	want Want
	sel  *head.Selector
	kept int // index among the kept rows
	out  int // index among the complete rows, −1 for none
}

// NewBatch returns an empty batch for up to MaxRows rows.
func (e *Engine) NewBatch() *Batch {
	return &Batch{engine: e}
}

// Reset empties the batch.
func (b *Batch) Reset() {
	for _, r := range b.rows {
		r.seq.pending = 0
	}
	b.rows, b.tokens, b.positions = b.rows[:0], b.tokens[:0], b.positions[:0]
	b.keep, b.scored, b.complete, b.hidden = b.keep[:0], b.scored[:0], b.complete[:0], b.hidden[:0]
	b.before = b.before[:0]
}

// Len returns the number of rows.
func (b *Batch) Len() int { return len(b.rows) }

// Free returns the number of rows that can still be added.
func (b *Batch) Free() int { return b.engine.maxRows - len(b.rows) }

// Add appends a token to a sequence as one row of the batch and returns the
// row's index. Rows of one sequence follow each other in the order of Add.
// A row that wants Select needs a selector, which receives the result; for
// the others it is nil.
func (b *Batch) Add(s *Sequence, token int32, want Want, sel *head.Selector) (int, error) {
	e := b.engine
	switch {
	case len(b.rows) >= e.maxRows:
		return 0, fmt.Errorf("%w: a batch holds %d rows", ErrBatch, e.maxRows)
	case s.engine != e:
		return 0, fmt.Errorf("%w: the sequence belongs to another engine", ErrBatch)
	case s.table == nil:
		return 0, fmt.Errorf("%w: the sequence is closed", ErrBatch)
	case s.lost() > 0:
		return 0, fmt.Errorf("%w: the sequence has lost %d tokens, which must be run again first", ErrBatch, s.lost())
	case token < 0 || int(token) >= e.config.Vocab:
		return 0, fmt.Errorf("%w: token %d, the vocabulary has %d", ErrToken, token, e.config.Vocab)
	case (want == Select) != (sel != nil):
		return 0, fmt.Errorf("%w: a row that wants Select, and no other, needs a selector", ErrBatch)
	}
	pos := s.table.Len() + s.pending
	if pos >= e.context {
		return 0, &fault.ContextError{What: "the text", Tokens: pos + 1, Room: e.context, Context: e.context}
	}
	r := row{seq: s, want: want, sel: sel, out: -1}
	if want != None {
		r.kept = len(b.keep)
		b.keep = append(b.keep, len(b.rows))
	}
	if want == All || want == Select {
		b.scored = append(b.scored, len(b.rows))
	}
	s.pending++
	b.rows = append(b.rows, r)
	b.tokens = append(b.tokens, token)
	b.positions = append(b.positions, int32(pos))
	return len(b.rows) - 1, nil
}

// Hidden returns the final hidden state of a row that wanted anything: [D].
func (b *Batch) Hidden(i int) []float32 {
	d := b.engine.config.Hidden
	k := b.rows[i].kept
	return b.hidden[k*d : (k+1)*d]
}

// Logits returns the logits of a row that wanted All, or that Complete was called
// for: [V].
func (b *Batch) Logits(i int) []float32 {
	v := b.engine.config.Vocab
	k := b.rows[i].out
	return b.logits[k*v : (k+1)*v]
}
