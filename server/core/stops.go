package core

import (
	"strings"

	"trit/tokenizer"
)

// StopFinder tells which of several strings has ended a text, of which a
// generation only says that one did.
type StopFinder struct {
	stops   []string
	stream  *tokenizer.Stream
	tail    string // enough of the text to hold any stop string
	longest int
}

// NewStopFinder returns a finder for a text whose control tokens are rendered,
// or not, as special says.
func NewStopFinder(t *tokenizer.Tokenizer, special bool, stops ...string) *StopFinder {
	f := &StopFinder{stops: stops, stream: t.NewStream(tokenizer.RenderSpecial(special))}
	for _, s := range stops {
		f.longest = max(f.longest, len(s))
	}
	return f
}

// Push follows the text by one token.
func (f *StopFinder) Push(id int32) {
	if f.longest == 0 {
		return
	}
	piece := f.stream.Push(id)
	f.tail = f.tail[max(0, len(f.tail)-f.longest):] + piece
}

// Found returns the string that has ended the text: the one that was complete
// first and, of several that were, the longest.
func (f *StopFinder) Found() string {
	best, end := "", len(f.tail)+1
	for _, s := range f.stops {
		if i := strings.Index(f.tail, s); i >= 0 && (i+len(s) < end || i+len(s) == end && len(s) > len(best)) {
			best, end = s, i+len(s)
		}
	}
	return best
}
