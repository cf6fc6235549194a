package generate

import "context"

// lookup guesses by looking for an earlier place in the text that agrees with
// its end: the longest agreement, of several the latest.
type lookup struct {
	match int            // tokens that must agree
	last  map[uint64]int // hash of match tokens → the latest position behind them
	prev  []int          // position → the one before it with the same hash, 0 for none
	found int            // position that guesses are taken from
}

const (
	defaultMatch = 2
	maxMatch     = 16 // longer agreements are as good
	maxPlaces    = 32 // that are compared
)

func newLookup(match int) *lookup {
	return &lookup{match: orDefault(match, defaultMatch), last: map[uint64]int{}}
}

// look adds what is new of the history to the index and looks for its end.
func (l *lookup) look(a *choice) (n, class int) {
	text := a.history
	// The end itself is not something earlier.
	for p := len(l.prev); p < len(text); p++ {
		l.prev = append(l.prev, 0)
		if p >= l.match {
			h := l.hash(text, p)
			l.prev[p] = l.last[h]
			l.last[h] = p
		}
	}
	if len(text) < l.match {
		return 0, 0
	}
	best := 0
	for p, i := l.last[l.hash(text, len(text))], 0; p > 0 && i < maxPlaces; p, i = l.prev[p], i+1 {
		if same := agreement(text, p); same > best {
			best, l.found = same, p
		}
	}
	switch {
	case best < l.match:
		return 0, 0
	case best >= 8:
		class = 3
	case best >= 4:
		class = 2
	case best >= 3:
		class = 1
	}
	return maxGuesses, class
}

// hash returns a hash of the tokens before position p.
func (l *lookup) hash(text []int32, p int) uint64 {
	h := uint64(14695981039346656037) // FNV-1a over whole tokens
	for _, t := range text[p-l.match : p] {
		h = (h ^ uint64(uint32(t))) * 1099511628211
	}
	return h
}

// agreement returns how many tokens before position p are the same as at the
// end of the text, up to maxMatch.
func agreement(text []int32, p int) int {
	n := 0
	for n < min(p, maxMatch) && text[p-1-n] == text[len(text)-1-n] {
		n++
	}
	return n
}

// next returns the token that followed. Behind the end of the text the guesses
// themselves follow, so a loop goes on.
func (l *lookup) next(_ context.Context, a *choice, i int) (int32, error) {
	return a.history[:cap(a.history)][l.found+i], nil
}

func (l *lookup) branch() (guesser, error) { return newLookup(l.match), nil }

func (l *lookup) close() {}
