package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// Stream decodes tokens one at a time. It hands out only complete characters:
// the bytes of an unfinished one wait for the tokens that complete it. A Stream
// is not safe for concurrent use.
//
// What a Stream gives in total equals [Tokenizer.Decode] of the same tokens with
// CleanSpaces(false) and the Stream's own options.
type Stream struct {
	t       *Tokenizer
	flags   decodeFlags
	started bool
	pending [utf8.UTFMax]byte // the start of a character
	n       int
}

// NewStream returns a Stream. Of the options RenderSpecial (default false) and
// Continuation (default true) have an effect.
func (t *Tokenizer) NewStream(opts ...DecodeOption) *Stream {
	return &Stream{t: t, flags: t.decodeFlags(flagContinuation, opts)}
}

// Push adds a token and returns the text that became complete, often empty.
func (s *Stream) Push(id int32) string {
	piece := s.t.Piece(id, s.flags&flagRenderSpecial != 0)
	if !s.started {
		s.started = true
		if s.t.addSpacePrefix && s.flags&flagContinuation == 0 {
			piece = strings.TrimPrefix(piece, " ")
		}
	}
	return s.add(piece)
}

func (s *Stream) add(piece string) string {
	if s.n == 0 && utf8.ValidString(piece) {
		return piece
	}
	src := make([]byte, 0, s.n+len(piece))
	src = append(src, s.pending[:s.n]...)
	src = append(src, piece...)
	out, rest := appendComplete(make([]byte, 0, len(src)+8), src)
	s.n = copy(s.pending[:], rest)
	return view(out)
}

// Pending reports whether the start of a character is waiting to be completed.
func (s *Stream) Pending() bool { return s.n > 0 }

// Flush ends the text: it returns U+FFFD if a character stayed incomplete, and
// "" otherwise. The Stream can then be used for another text.
func (s *Stream) Flush() string {
	incomplete := s.n > 0
	s.n, s.started = 0, false
	if incomplete {
		return string(utf8.RuneError)
	}
	return ""
}
