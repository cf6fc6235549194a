package generate

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"trit/internal/engine"
	"trit/internal/head"
	"trit/sample"
	"trit/tokenizer"
)

// choice is one continuation of the prompt in the making. Its session holds all of history but the
// last token, which is run with the next step.
type choice struct {
	options    *Options
	index      int
	session    *engine.Session
	vocab      int
	partial    bool // the engine can select logits without computing all
	tokenizer  *tokenizer.Tokenizer
	pipeline   *sample.Pipeline
	constraint Constraint // nil if there is none
	stop       *stopper
	stream     *tokenizer.Stream

	history   []int32
	limit     int // of generated
	generated int
	finish    Finish
	ended     bool // by an end token, which is not part of the history

	// The step that runs or has just run: row i gives the token after
	// guesses[:i].
	rows      []*row
	selectors []*head.Selector
	guesses   []int32
	count     int     // rows
	guesser   guesser // nil if there is none
	pace      pacer
	class     int // of the guesses, for the pacer
	step      stepFacts
	settled   bool
	accepted  int // guesses of the last step
}

// row is the place of one token to choose.
type row struct {
	context  sample.Context
	mask     []uint64 // memory of context.Mask
	asked    []uint64 // memory of the selector's mask
	selector head.Selector
	selected bool // the selector was asked, rather than all logits

	// For a guess that was drawn from a distribution: that one, what the model
	// says, and what remains of it where the guess is wrong.
	drawn          bool
	guess, p, rest sample.Distribution
}

func newChoice(o *Options, index int, s *engine.Session, t *tokenizer.Tokenizer, p *sample.Pipeline) *choice {
	e := s.Scheduler().Engine()
	a := &choice{
		options: o, index: index, session: s, tokenizer: t, pipeline: p,
		vocab: e.Model().Config.Vocab, partial: e.HeadInfo().Mode == head.Coarse,
		stop: newStopper(o.Stop), stream: t.NewStream(tokenizer.RenderSpecial(o.Special)),
	}
	if o.Constraint != nil {
		a.constraint = o.Constraint.Clone()
	}
	return a
}

// begin notes the prompt, behind what the session already holds, and how many
// tokens may be generated.
func (a *choice) begin(held, prompt []int32, limit int) {
	n := len(held) + len(prompt)
	a.history = make([]int32, 0, n+limit)
	a.history = append(append(a.history, held...), prompt...)
	a.limit = limit
}

// warmUp prepares guessing.
func (a *choice) warmUp(ctx context.Context) error {
	var err error
	a.guesser, a.pace, err = a.options.Speculation.start(ctx, a)
	return err
}

// branch makes the choice go on from where another one is, after the prompt.
func (a *choice) branch(from *choice) error {
	var err error
	if a.session, err = from.session.Fork(); err != nil {
		return err
	}
	if a.guesser, a.pace, err = from.branchGuesser(); err != nil {
		return err
	}
	a.row(0).context = sample.Context{History: a.history, Mask: from.row(0).context.Mask}
	return nil
}

// close gives back what the choice owns. The first one's session is the
// caller's.
func (a *choice) close() {
	if a.guesser != nil {
		a.guesser.close()
	}
	if a.index > 0 && a.session != nil {
		a.session.Close()
	}
}

func (a *choice) row(i int) *row {
	for len(a.rows) <= i {
		a.rows = append(a.rows, &row{})
	}
	return a.rows[i]
}

// plan guesses tokens and returns what is to be run.
func (a *choice) plan(ctx context.Context) (engine.Job, error) {
	a.settled = false
	if err := a.guess(ctx); err != nil {
		return engine.Job{}, err
	}
	base, held := len(a.history), a.session.Len()
	text := a.history[:base+a.count-1]
	job := engine.Job{Session: a.session, Tokens: text[held:], From: base - held - 1, Want: engine.All, Guesses: a.count - 1}
	a.selectors = a.selectors[:0]
	if a.partial {
		for i := range a.count {
			r := a.row(i)
			if r.drawn || !r.ask(a.pipeline, a.vocab) {
				a.selectors = a.selectors[:0]
				break
			}
			a.selectors = append(a.selectors, &r.selector)
		}
	}
	for i := range a.count {
		a.row(i).selected = len(a.selectors) > 0
	}
	if len(a.selectors) > 0 {
		job.Want, job.Selectors = engine.Select, a.selectors
	}
	return job, nil
}

// ask fills in the selector, if a selection can do.
func (r *row) ask(p *sample.Pipeline, vocab int) bool {
	need := p.Need(&r.context, vocab)
	if need.All {
		return false
	}
	s := &r.selector
	s.K, s.Window, s.TailMass = need.K, need.Window, need.TailMass
	s.IDs = append(s.IDs[:0], need.IDs...)
	s.Mask = nil
	if need.Mask != nil {
		// The pipeline's memory is good until its next call only.
		r.asked = append(r.asked[:0], need.Mask...)
		s.Mask = r.asked
	}
	return true
}

// choose chooses the token of row i from the results of a step, which another
// choice may have run.
func (a *choice) choose(from *choice, i int) (Token, error) {
	r, theirs := a.row(i), from.row(i)
	if r.drawn && i < len(a.guesses) {
		return a.verify(r, from.session.Logits(i), a.guesses[i])
	}
	var result sample.Result
	var err error
	if theirs.selected {
		s := &theirs.selector
		result, err = a.pipeline.SampleSelected(&sample.Selected{
			Vocab: a.vocab, IDs: s.Tokens, Logits: s.Logits, TailMax: s.TailMax,
			HasTailMass: s.TailMass, TailLogMassMin: s.TailLogMassMin, TailLogMassMax: s.TailLogMassMax,
		}, &r.context)
		if errors.Is(err, sample.ErrNeedAll) {
			var logits []float32
			if logits, err = from.session.CompleteRow(i); err == nil {
				result, err = a.pipeline.Sample(logits, &r.context)
			}
		}
	} else {
		result, err = a.pipeline.Sample(from.session.Logits(i), &r.context)
	}
	if err != nil {
		return Token{}, a.explain(err)
	}
	return Token{ID: result.Token, Prob: result.Prob, LogProb: result.LogProb, Top: slices.Clone(result.Top),
		Candidates: slices.Clone(result.Candidates)}, nil
}

// explain adds to an error that no token is left who may be to blame.
func (a *choice) explain(err error) error {
	if a.constraint != nil && errors.Is(err, sample.ErrNoCandidate) {
		return fmt.Errorf("after %d tokens the constraint and the sampling options together allow none: %w", a.generated, err)
	}
	return err
}

// accept appends a token to the text and fills in what it adds.
func (a *choice) accept(t *Token) error {
	a.pipeline.Accept(t.ID)
	a.generated++
	t.Index = a.index
	if a.isEnd(t.ID) {
		a.ended = true
		a.end(t, FinishStop)
		return nil
	}
	if a.constraint != nil {
		if err := a.constraint.Accept(t.ID); err != nil {
			return fmt.Errorf("generated token %d: %w", a.generated, err)
		}
	}
	a.history = append(a.history, t.ID)
	t.Text = a.stop.push(a.stream.Push(t.ID))
	switch {
	case a.stop.found != "":
		a.finish = FinishStopString
		t.StopString = a.stop.found
		t.Finish = a.finish
		t.Cut = a.incomplete()
	case a.constraint != nil && a.constraint.Done():
		a.end(t, FinishStop)
	case a.generated == a.limit:
		a.end(t, FinishLength)
	}
	return nil
}

// end makes a token the last one.
func (a *choice) end(t *Token, reason Finish) {
	a.finish = reason
	t.Finish = reason
	t.Text += a.stop.push(a.stream.Flush()) + a.stop.flush()
	t.Cut = a.incomplete()
}

// incomplete reports whether the text, stop string included, does not satisfy
// its constraint as it is.
func (a *choice) incomplete() bool {
	return a.constraint != nil && !a.constraint.Done() && !a.constraint.CanEnd()
}

// settle takes the guesses that were not accepted out of the session, so that it
// holds all of the history but the last token, and judges the guessing.
func (a *choice) settle(accepted int) error {
	if a.settled {
		return nil
	}
	a.settled, a.accepted = true, accepted
	if a.step.choices > 0 {
		a.pace.record(a.class, len(a.guesses), accepted, a.step)
	}
	n := len(a.history)
	if !a.ended {
		n--
	}
	return a.session.Truncate(min(a.session.Len(), n))
}
