package generate

import (
	"context"
	"fmt"

	"trit/internal/engine"
	"trit/internal/model"
	"trit/sample"
)

// draft guesses with a smaller model. Its session follows the choice's text.
type draft struct {
	session *engine.Session
	ratio   float64 // of the bytes that the two models read for a token
	round   uint64
	chooser *sample.Pipeline // of this round
}

// draftSeeds keeps the draft's random numbers apart from those of the choices,
// whose seeds derive from the same one: see Options.Choices.
const draftSeeds = 1 << 32

// newDraft runs the prompt.
func newDraft(ctx context.Context, s *engine.Scheduler, a *choice) (*draft, error) {
	session, err := s.NewSession()
	if err != nil {
		return nil, err
	}
	session.SetSalt(a.options.Salt)
	d := &draft{session: session, ratio: modelBytes(s.Engine().Model()) / modelBytes(a.session.Scheduler().Engine().Model())}
	if n := min(len(a.history), s.Engine().Context()); n > 1 {
		if err := session.Run(ctx, a.history[:n-1], engine.None, 0); err != nil {
			session.Close()
			return nil, err
		}
	}
	return d, nil
}

// modelBytes returns how much of a model is read for a token.
func modelBytes(m *model.Model) float64 {
	return float64(m.TernaryBytes) + float64(len(m.Graph.Head().Data))
}

// look takes wrong guesses back. What the draft model has run beyond the
// history agrees with it up to the first wrong guess.
func (d *draft) look(a *choice) (n, class int) {
	d.round++
	return min(maxGuesses, d.session.Scheduler().Engine().Context()-len(a.history)+1), 0
}

// next runs what the draft model has not seen and chooses as the choice would,
// with random numbers of its own.
func (d *draft) next(ctx context.Context, a *choice, i int) (int32, error) {
	text := a.history[:len(a.history)+i]
	if i == 0 {
		d.chooser = a.pipeline.Fork(draftSeeds + d.round)
		if err := d.session.Truncate(min(agreeing(d.session.Tokens(), text), len(text)-1)); err != nil {
			return 0, fmt.Errorf("draft model: %w", err)
		}
	}
	held := d.session.Len()
	job := engine.Job{Session: d.session, Tokens: text[held:], Want: engine.All, From: len(text) - held - 1, Guesses: min(i, 1)}
	if err := d.session.Scheduler().Run(ctx, []engine.Job{job}); err != nil {
		return 0, fmt.Errorf("draft model: %w", err)
	}
	r, logits := a.row(i), d.session.Logits(0)
	var id int32
	var err error
	if d.chooser.Greedy() {
		var result sample.Result
		result, err = d.chooser.Sample(logits, &r.context)
		id = result.Token
	} else {
		r.drawn = true
		if err = d.chooser.Distribution(&r.guess, logits, &r.context); err == nil {
			id, err = d.chooser.SampleFrom(&r.guess)
		}
	}
	if err != nil {
		return 0, fmt.Errorf("draft model: %w", a.explain(err))
	}
	d.chooser.Accept(id)
	return id, nil
}

// agreeing returns how many tokens two sequences have in common at the beginning.
func agreeing(a, b []int32) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

func (d *draft) branch() (guesser, error) {
	session, err := d.session.Fork()
	if err != nil {
		return nil, fmt.Errorf("draft model: %w", err)
	}
	return &draft{session: session, ratio: d.ratio}, nil
}

func (d *draft) close() { d.session.Close() }
