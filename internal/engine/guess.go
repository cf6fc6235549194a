package engine

import (
	"errors"
	"fmt"

	"trit/internal/cache"
	"trit/internal/head"
)

// A layer that guesses further tokens (model.Config.MTP) is a layer like others as far as the
// cache is concerned: a step stores its keys and values for every row, so they are shared,
// taken back and made anew with those of the other layers. Guess runs the layer itself,
// for tokens behind the end of a sequence. What it stores there stays only until the
// next step comes to these positions.

// Guess asks the layer that guesses what comes after a token that is the ahead-th behind
// the end of the sequence, 0 being the next. state is the hidden state of the token before
// it, [D]: that of the sequence's last token, or what Guess has returned for the token
// before. The selector receives the largest logits, and Hidden(0) is the state of the token
// until the next Reset. The batch must be empty. The error is cache.ErrFull when there is
// no room to guess.
func (b *Batch) Guess(s *Sequence, token int32, ahead int, state []float32, sel *head.Selector) error {
	e := b.engine
	pos := s.Len() + ahead
	switch {
	case e.config.MTP == 0:
		return fmt.Errorf("%w: the model has been loaded without a layer that guesses", ErrBatch)
	case len(b.rows) > 0 || s.engine != e || s.table == nil || s.pending > 0 || s.lost() > 0:
		return fmt.Errorf("%w: a guess wants an empty batch and a sequence that has lost nothing and is in no batch", ErrBatch)
	case token < 0 || int(token) >= e.config.Vocab:
		return fmt.Errorf("%w: token %d, the vocabulary has %d", ErrToken, token, e.config.Vocab)
	case pos >= e.context || len(state) != e.config.Hidden:
		return fmt.Errorf("%w: a guess at position %d from %d numbers; the context is %d, a state has %d", ErrBatch, pos, len(state),
			e.context, e.config.Hidden)
	}
	if err := s.table.Ahead(ahead + 1); err != nil {
		return err
	}
	b.rows = append(b.rows, row{seq: s, want: Select, sel: sel, out: -1})
	b.tokens, b.positions = append(b.tokens, token), append(b.positions, int32(pos))
	b.keep, b.scored = append(b.keep, 0), append(b.scored, 0)
	e.attend.cut(b)
	e.pass.Begin(b.tokens, b.positions, b.keep, nil)
	hidden := e.run.Guess(e.pass, state)
	if err := e.pass.End(); err != nil {
		return err
	}
	b.takeHidden(hidden, e.pass.Kept())
	e.score(b)
	return nil
}

// guess is a client's wish for a guess on its way through the scheduler.
type guess struct {
	session *Session
	token   int32
	ahead   int
	row     int // of the last run, whose state is the one before the token; −1: that of the last guess
	sel     *head.Selector

	state []float32 // of the token
	err   error
	done  chan struct{} // receives one value when it is answered
}

// Guess asks the layer that guesses what may follow a token. The first of several guesses is
// about the token behind the session's; row says which of the rows of the last Run that
// wanted anything was the session's last token. Each following guess, with a row of −1, goes
// one token further. The selector receives the largest logits. Guess returns false if there
// is nothing to guess from, or no room.
func (c *Session) Guess(token int32, row int, sel *head.Selector) (bool, error) {
	g := &c.guess
	if g.done == nil {
		g.session, g.done = c, make(chan struct{}, 1)
	}
	if g.ahead++; row >= 0 {
		g.ahead = 0
	}
	if d := c.scheduler.engine.config.Hidden; c.closed || (row+1)*d > len(c.hidden) || c.seq.Len()+g.ahead >= c.scheduler.engine.context {
		return false, nil
	}
	g.token, g.row, g.sel, g.err = token, row, sel, nil
	select {
	case c.scheduler.inbox <- g:
	case <-c.scheduler.done:
		return false, c.scheduler.closed()
	}
	select {
	case <-g.done:
	case <-c.scheduler.done:
		return false, c.scheduler.closed()
	}
	if errors.Is(g.err, cache.ErrFull) {
		return false, nil
	}
	return g.err == nil && len(sel.Tokens) > 0, g.err
}

// guess answers a client's wish for a guess.
func (s *Scheduler) guess(g *guess) {
	c := g.session
	state := g.state
	if g.row >= 0 {
		state = c.Hidden(g.row)
	}
	if t := s.engine.tracer; t != nil { // which follows steps
		s.engine.SetTracer(nil)
		defer s.engine.SetTracer(t)
	}
	s.batch.Reset()
	g.sel.Tokens = g.sel.Tokens[:0]
	if c.seq.lost() == 0 {
		if g.err = s.batch.Guess(c.seq, g.token, g.ahead, state, g.sel); g.err == nil {
			g.state = append(g.state[:0], s.batch.Hidden(0)...)
		}
	}
	s.batch.Reset()
	g.done <- struct{}{}
}
