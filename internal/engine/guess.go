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

// AddGuess asks the layer that guesses what comes after a token that is the ahead-th behind
// the end of the sequence, 0 being the next. state is the hidden state of the token before
// it, [D]: that of the sequence's last token, or what a guess has returned for the token
// before. The selector receives the largest logits, and Hidden is the state of the token
// until the next Reset. The batch has nothing but guesses, one of a sequence, which
// RunGuesses runs. The error is cache.ErrFull when there is no room to guess.
func (b *Batch) AddGuess(s *Sequence, token int32, ahead int, state []float32, sel *head.Selector) error {
	e := b.engine
	pos := s.Len() + ahead
	switch {
	case e.config.MTP == 0:
		return fmt.Errorf("%w: the model has been loaded without a layer that guesses", ErrBatch)
	case b.Free() == 0 || len(b.before) != len(b.rows)*e.config.Hidden || s.engine != e || s.table == nil || s.pending > 0 || s.lost() > 0:
		return fmt.Errorf("%w: a guess wants a batch with room and nothing but guesses, and a sequence that has lost nothing and is in no batch", ErrBatch)
	case token < 0 || int(token) >= e.config.Vocab:
		return fmt.Errorf("%w: token %d, the vocabulary has %d", ErrToken, token, e.config.Vocab)
	case pos >= e.context || len(state) != e.config.Hidden:
		return fmt.Errorf("%w: a guess at position %d from %d numbers; the context is %d, a state has %d", ErrBatch, pos, len(state),
			e.context, e.config.Hidden)
	}
	if err := s.table.Ahead(ahead + 1); err != nil {
		return err
	}
	i := len(b.rows)
	b.rows = append(b.rows, row{seq: s, want: Select, sel: sel, kept: i, out: -1})
	b.tokens, b.positions = append(b.tokens, token), append(b.positions, int32(pos))
	b.keep, b.scored, b.before = append(b.keep, i), append(b.scored, i), append(b.before, state...)
	return nil
}

// RunGuesses runs the guesses of a batch.
func (b *Batch) RunGuesses() error {
	e := b.engine
	if len(b.rows) == 0 {
		return nil
	}
	e.attend.cut(b)
	e.pass.Begin(b.tokens, b.positions, b.keep, nil)
	hidden := e.run.Guess(e.pass, b.before)
	if err := e.pass.End(); err != nil {
		return err
	}
	b.takeHidden(hidden, e.pass.Kept())
	e.score(b)
	return nil
}

// Guess adds a guess to an empty batch and runs it.
func (b *Batch) Guess(s *Sequence, token int32, ahead int, state []float32, sel *head.Selector) error {
	if err := b.AddGuess(s, token, ahead, state, sel); err != nil {
		return err
	}
	return b.RunGuesses()
}

// guess is a client's wish for a guess on its way through the scheduler.
type guess struct {
	session *Session
	token   int32
	ahead   int
	row     int // of the last run, whose state is the one before the token; −1: that of the last guess
	sel     *head.Selector

	at    int       // its row in the batch, −1 for none
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
	g := c.wish(token, row, sel)
	if g == nil {
		return false, nil
	}
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

// wish returns what Guess asks for, nil if there is nothing to guess from.
func (c *Session) wish(token int32, row int, sel *head.Selector) *guess {
	g := &c.guess
	if g.done == nil {
		g.session, g.done = c, make(chan struct{}, 1)
	}
	if g.ahead++; row >= 0 {
		g.ahead = 0
	}
	if d := c.scheduler.engine.config.Hidden; c.closed || (row+1)*d > len(c.hidden) || c.seq.Len()+g.ahead >= c.scheduler.engine.context {
		return nil
	}
	g.token, g.row, g.sel, g.err = token, row, sel, nil
	return g
}

// Guesses of several clients read the layer and the head once for all of them, if they are
// asked for at about the same time: the scheduler waits for clients that were just given
// tokens as it does before a step.

// takeGuess notes a client's wish for a guess. The other choices of its generation wait for
// this one, not to be waited for.
func (s *Scheduler) takeGuess(g *guess) {
	if first := g.session.request.first; first != nil {
		for _, r := range first.group {
			if r.Session != g.session {
				s.disengage(r.Session)
			}
		}
	}
	s.guesses = append(s.guesses, g)
}

// guessersOnly reports whether there are guesses to make, and none of the clients that may
// ask at once is missing.
func (s *Scheduler) guessersOnly() bool {
	missing := s.engaged
	for _, g := range s.guesses {
		if g.session.engaged == s.round {
			missing--
		}
	}
	return len(s.guesses) > 0 && missing <= 0
}

// runGuesses answers all wishes for guesses. From now on these clients are waited for, and
// nobody else.
func (s *Scheduler) runGuesses() {
	if t := s.engine.tracer; t != nil { // which follows steps
		s.engine.SetTracer(nil)
		defer s.engine.SetTracer(t)
	}
	s.engaged = 0
	s.round++
	for len(s.guesses) > 0 {
		n := min(len(s.guesses), s.engine.maxRows)
		s.runSomeGuesses(s.guesses[:n])
		s.guesses = append(s.guesses[:0], s.guesses[n:]...)
	}
}

func (s *Scheduler) runSomeGuesses(guesses []*guess) {
	s.batch.Reset()
	for _, g := range guesses {
		state := g.state
		if g.row >= 0 {
			state = g.session.Hidden(g.row)
		}
		g.sel.Tokens = g.sel.Tokens[:0]
		if g.at = -1; g.session.seq.lost() == 0 {
			if g.err = s.batch.AddGuess(g.session.seq, g.token, g.ahead, state, g.sel); g.err == nil {
				g.at = s.batch.Len() - 1
			}
		}
	}
	err := s.batch.RunGuesses()
	s.guessed++
	for _, g := range guesses {
		switch {
		case g.at < 0:
		case err != nil:
			g.err = err
		default:
			g.state = append(g.state[:0], s.batch.Hidden(g.at)...)
		}
		g.session.engaged = s.round
		s.engaged++
		g.done <- struct{}{}
	}
	s.batch.Reset()
}
