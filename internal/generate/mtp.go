package generate

import (
	"context"

	"trit/internal/head"
)

// mtp guesses with the model's own layer for that. Its guesses are the most likely tokens that
// the constraint allows, so the text is the same as without.
type mtp struct {
	selector head.Selector
	steps    int
}

// Until it is measured a guess is taken to cost so much of a step. So many are made at once, and
// one step of some makes none, to know what that takes.
const (
	mtpCost    = 0.5
	mtpGuesses = 4
	mtpPlain   = 64
)

func (m *mtp) look(a *choice) (n, class int) {
	m.steps++
	if a.pace.measured && m.steps%mtpPlain == 1 {
		return 0, 0
	}
	return maxGuesses, 0
}

func (m *mtp) next(_ context.Context, a *choice, i int) (int32, error) {
	token, row := a.history[len(a.history)-1], a.accepted
	if i > 0 {
		token, row = a.guesses[i-1], -1
	}
	m.selector.K, m.selector.Mask = 1, a.row(i).context.Mask
	ok, err := a.session.Guess(token, row, &m.selector)
	if err != nil || !ok {
		return noGuess, err
	}
	best := 0
	for j, x := range m.selector.Logits {
		if x > m.selector.Logits[best] {
			best = j
		}
	}
	return m.selector.Tokens[best], nil
}

func (m *mtp) branch() (guesser, error) { return &mtp{}, nil }

func (m *mtp) close() {}
