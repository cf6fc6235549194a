package grammar

import (
	"fmt"
	"iter"
	"math/bits"
)

// State is a position in a text that follows a grammar. It is not safe for
// concurrent use, but states of one [Matcher] may be used concurrently.
type State struct {
	m      *Matcher
	config *config
	gen    uint32 // of the matcher, when config was made
	ended  bool
	budget *budget // shared by clones
}

// Clone returns a copy that goes on independently.
func (s *State) Clone() *State {
	c := *s
	return &c
}

// Matcher returns the matcher that the state belongs to.
func (s *State) Matcher() *Matcher { return s.m }

// begin takes the matcher's lock and makes the state's configuration current.
func (s *State) begin() {
	m := s.m
	m.mu.Lock()
	m.e.budget = s.budget
	if s.gen != m.gen {
		s.config, s.gen = m.e.migrate(s.config), m.gen
	}
}

// finish releases the lock and returns what stopped the operation, if
// anything did.
func (s *State) finish() error {
	e := s.m.e
	e.tell()
	err := e.err
	e.memory.trim(s.m)
	e.err, e.work, e.budget = nil, 0, nil
	s.m.mu.Unlock()
	return err
}

// Mask sets bit id%64 of word id/64 for every token that may come next and clears
// all others. A token may come next if some continuation of the text makes it
// complete; a token that ends the text may if it is complete ([State.CanEnd]). dst must have
// [Vocabulary.MaskWords] words, or more. Errors are [ErrMask] and [ErrLimit].
func (s *State) Mask(dst []uint64) error {
	if err := s.checkMask(dst); err != nil {
		return err
	}
	s.begin()
	if !s.ended {
		s.m.mask(dst, s.config)
	}
	s.maskEOG(dst)
	return s.finish()
}

func (s *State) checkMask(dst []uint64) error {
	if n := s.m.vocab.MaskWords(); len(dst) < n {
		return fmt.Errorf("%w: %d words, the vocabulary of %d needs %d", ErrMask, len(dst), s.m.vocab.Len(), n)
	}
	clear(dst)
	return nil
}

// maskEOG allows the tokens that end the text if it is complete.
func (s *State) maskEOG(dst []uint64) {
	if s.CanEnd() {
		for _, id := range s.m.vocab.eog {
			dst[id/64] |= 1 << (id % 64)
		}
	}
}

// Allows reports whether a token may come next.
func (s *State) Allows(id int32) bool {
	t := s.Clone()
	return t.Accept(id) == nil
}

// Accept appends a token to the text. If it may not come next the state stays as it is and the
// error is [ErrRejected]. A token that ends the text leaves nothing that may follow.
func (s *State) Accept(id int32) error {
	if s.ended {
		return fmt.Errorf("%w: token %d after the end of the text", ErrRejected, id)
	}
	if s.m.vocab.IsEOG(id) && s.CanEnd() {
		s.ended = true
		return nil
	}
	s.begin()
	next := s.m.accept(s.config, id)
	if next != s.m.e.dead {
		s.budget.earn()
	}
	if err := s.finish(); err != nil {
		return err
	}
	if next == s.m.e.dead {
		return fmt.Errorf("%w: token %d (%q) may not come next", ErrRejected, id, s.m.vocab.bytes(id))
	}
	s.config = next
	return nil
}

// AcceptBytes appends text that may end within a character or between two
// tokens. Token references of GBNF match no text. If the grammar does not allow all of it the state
// stays as it is and the error is [ErrRejected].
func (s *State) AcceptBytes(text []byte) error {
	if s.ended && len(text) > 0 {
		return fmt.Errorf("%w: %q after the end of the text", ErrRejected, clip(text))
	}
	s.begin()
	c := s.config
	for i, b := range text {
		next := s.m.e.step(c, s.m.e.w.class[b])
		if next == s.m.e.dead {
			if err := s.finish(); err != nil {
				return err
			}
			return fmt.Errorf("%w: byte %d of %q", ErrRejected, i, clip(text))
		}
		c = next
	}
	s.config = c
	return s.finish()
}

// clip shortens text for an error message.
func clip(text []byte) []byte { return text[:min(len(text), 64)] }

// CanEnd reports whether the text is complete.
func (s *State) CanEnd() bool { return s.config.end && !s.ended }

// Ended reports whether a token that ends the text was accepted.
func (s *State) Ended() bool { return s.ended }

// Done reports whether the text is complete and nothing can follow, or has ended.
func (s *State) Done() bool { return s.ended || s.config.end && len(s.config.items) == 0 }

// MinBytesToEnd returns the length of the shortest completion, 0 if the text is complete. A
// token reference of GBNF counts as one byte. Lengths are capped at 2⁵⁰.
func (s *State) MinBytesToEnd() int64 {
	if s.ended {
		return 0
	}
	return s.config.cost
}

func popCount(words []uint64) int {
	n := 0
	for _, w := range words {
		n += bits.OnesCount64(w)
	}
	return n
}

// bitsOf yields the numbers of the bits that are set.
func bitsOf(words []uint64) iter.Seq[int32] {
	return func(yield func(int32) bool) {
		for i, w := range words {
			for ; w != 0; w &= w - 1 {
				if !yield(int32(i*64 + bits.TrailingZeros64(w))) {
					return
				}
			}
		}
	}
}
