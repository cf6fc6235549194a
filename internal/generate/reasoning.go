package generate

import (
	"cmp"
	"fmt"
	"strings"
	"unicode/utf8"

	"trit/tokenizer"
)

// Reasoning is what a model writes for itself before its answer: a block between two marks at the
// beginning of the text.
type Reasoning struct {
	Open, Close string
	// Opened says that the text begins within the block. Otherwise the text may open it, or not.
	Opened bool
	// End is what closes the block where the model does not: Close, with the white space that the
	// model is used to around it.
	End string
	// Budget is the number of tokens between the marks after which End follows; a negative one is no
	// bound. A character that is incomplete then is completed first.
	Budget int
}

// Before returns the constraint of a text that is free within the block and keeps to c behind it. c
// may be nil, for an answer that is free too. With c the block is closed in time for the shortest text
// that c allows, and the white space behind its end is that of r.End.
func (r Reasoning) Before(t *tokenizer.Tokenizer, c Constraint) Constraint {
	k := &reasoned{Reasoning: r, tokenizer: t, then: c, spill: map[string][]int32{}}
	if r.Opened {
		k.state = reasoningOpen
		return k
	}
	k.open = t.Encode(r.Open, tokenizer.AddSpecial(false), tokenizer.ParseSpecial(true))
	if c != nil {
		k.answer = c.Clone()
	}
	return k
}

type reasoningState uint8

const (
	reasoningAwaited reasoningState = iota // the text may still open the block
	reasoningOpen
	reasoningEnding // what is forced follows
	reasoningClosed // the answer, as there are no others
)

// reasoned is the constraint of Before. What it allows follows from the text so far and from what is
// left, as guesses are tried on copies.
type reasoned struct {
	Reasoning
	tokenizer *tokenizer.Tokenizer
	then      Constraint // at the beginning of the answer; nil: the answer is free
	state     reasoningState

	// Until the text shows whether it opens the block:
	begun  string     // the text so far
	open   []int32    // the tokens that open the block from here; none if it was not spelled so
	answer Constraint // where the text stands if it is the answer; nil: it cannot be

	last     string // the end of the reasoning, as long as End up to the mark
	tokens   int    // of the reasoning
	reserve  int    // tokens that the shortest answer takes
	measured bool   // reserve is known
	mask     []uint64
	forced   []int32 // what is still to come of End
	// spill holds, by what has begun of the mark, the tokens that complete it and go on with more than
	// white space: what they add could not be checked.
	spill map[string][]int32
}

// MaskWithin implements Constraint.
func (c *reasoned) MaskWithin(dst []uint64, left int) (bool, error) {
	switch {
	case c.state == reasoningEnding:
		only(dst, c.forced[0])
	case c.state == reasoningOpen:
		end, err := c.due(len(dst), left)
		if err != nil {
			return false, err
		}
		if end != nil {
			only(dst, end[0])
		} else {
			c.maskOpen(dst)
		}
	case c.then == nil:
		c.maskFree(dst)
	case c.state == reasoningAwaited:
		return c.maskAwaited(dst, left)
	default:
		return c.then.MaskWithin(dst, left)
	}
	return true, nil
}

// only allows one token.
func only(mask []uint64, id int32) {
	clear(mask)
	mask[id/64] |= 1 << (id % 64)
}

// maskFree allows every token.
func (c *reasoned) maskFree(dst []uint64) {
	clear(dst)
	allow(dst[:(c.tokenizer.Len()+63)/64], c.tokenizer.Len())
}

// maskAwaited allows what the answer may go on with, and what opens the block.
func (c *reasoned) maskAwaited(dst []uint64, left int) (bool, error) {
	clear(dst)
	fits := true
	if c.answer != nil {
		var err error
		if fits, err = c.answer.MaskWithin(dst, left); err != nil {
			return false, err
		}
	}
	if len(c.open) == 0 {
		return fits, nil
	}
	room, err := c.shortest(len(dst), left)
	if err != nil {
		return false, err
	}
	if c.answer == nil || fits && left > len(c.open)+len(c.End)+room {
		dst[c.open[0]/64] |= 1 << (c.open[0] % 64)
	}
	return fits, nil
}

// maskOpen allows every token in the reasoning. The text cannot end there if the answer must keep to
// something.
func (c *reasoned) maskOpen(dst []uint64) {
	c.maskFree(dst)
	if c.then == nil {
		return
	}
	forbid := func(ids []int32) {
		for _, id := range ids {
			dst[id/64] &^= 1 << (id % 64)
		}
	}
	forbid(c.tokenizer.EOG())
	tail := begun(c.last, c.Close)
	bad, known := c.spill[tail]
	if !known {
		for id := range int32(c.tokenizer.Len()) {
			_, rest, ok := strings.Cut(tail+c.tokenizer.Piece(id, true), c.Close)
			if ok && strings.TrimSpace(rest) != "" {
				bad = append(bad, id)
			}
		}
		c.spill[tail] = bad
	}
	forbid(bad)
}

// begun returns the longest end of a text that begins a mark.
func begun(text, mark string) string {
	n := min(len(text), len(mark)-1)
	for !strings.HasPrefix(mark, text[len(text)-n:]) {
		n--
	}
	return text[len(text)-n:]
}

// due returns the tokens that close the block here, nil if it may go on.
func (c *reasoned) due(words, left int) ([]int32, error) {
	if c.overBudget() {
		return c.end(), nil
	}
	if c.then == nil {
		return nil, nil
	}
	room, err := c.shortest(words, left)
	if err != nil || room == 0 || left > room+len(c.End) { // a token has at least a byte
		return nil, err
	}
	if end := c.end(); left <= room+len(end) {
		return end, nil
	}
	return nil, nil
}

// overBudget reports whether no more than the end of the block is to come.
func (c *reasoned) overBudget() bool {
	const character = utf8.UTFMax - 1 // tokens that may complete one
	over := c.tokens - c.Budget
	return c.Budget >= 0 && (over >= character || over >= 0 && !unfinished(c.last))
}

// unfinished reports whether a text ends within a character.
func unfinished(text string) bool {
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		if end := text[len(text)-n:]; utf8.RuneStart(end[0]) {
			return !utf8.FullRuneInString(end)
		}
	}
	return false
}

// shortest returns how many tokens the shortest answer takes; 0 if none is needed, or if none fits
// into what is left, as then the end of the reasoning makes no difference.
func (c *reasoned) shortest(words, left int) (int, error) {
	if c.measured {
		return c.reserve, nil
	}
	if len(c.mask) < words {
		c.mask = make([]uint64, words)
	}
	fits, err := c.then.MaskWithin(c.mask, left)
	if err != nil {
		return 0, err
	}
	for low, high := -1, left; fits && high-low > 1; c.reserve = high { // low does not fit
		middle := (low + high) / 2
		ok, err := c.then.MaskWithin(c.mask, middle)
		if err != nil {
			return 0, err
		}
		if ok {
			high = middle
		} else {
			low = middle
		}
	}
	c.measured = true
	return c.reserve, nil
}

// end returns the tokens that close the block behind the reasoning so far.
func (c *reasoned) end() []int32 {
	lead := strings.Index(c.End, c.Close)
	if tail := begun(c.last, c.Close); tail != "" {
		return c.encode(c.End[lead+len(tail):])
	}
	return c.encode(c.End[len(begun(c.last, c.End[:lead+1])):])
}

func (c *reasoned) encode(text string) []int32 {
	return c.tokenizer.Encode(text, tokenizer.AddSpecial(false), tokenizer.ParseSpecial(true))
}

// free reports whether every token may come next.
func (c *reasoned) free() bool {
	return c.then == nil && c.state != reasoningEnding && !(c.state == reasoningOpen && c.overBudget())
}

// Accept implements Constraint.
func (c *reasoned) Accept(token int32) error {
	switch c.state {
	case reasoningAwaited:
		return c.acceptAwaited(token)
	case reasoningOpen:
		if c.overBudget() {
			if end := c.end(); token != end[0] {
				return c.refuse(token, end[0])
			}
		}
		c.tokens++
		c.read(c.tokenizer.Piece(token, true))
	case reasoningEnding:
		if token != c.forced[0] {
			return c.refuse(token, c.forced[0])
		}
		c.force(c.forced[1:])
	default:
		if c.then != nil {
			return c.then.Accept(token)
		}
	}
	return nil
}

// refuse says which token ends the reasoning instead.
func (c *reasoned) refuse(token, want int32) error {
	return fmt.Errorf("the token %d (%q) cannot follow: the reasoning ends with %d (%q)", token, c.tokenizer.Piece(token, true),
		want, c.tokenizer.Piece(want, true))
}

// acceptAwaited finds out whether the text opens the block.
func (c *reasoned) acceptAwaited(token int32) error {
	var refused error
	if c.answer != nil {
		if refused = c.answer.Accept(token); refused != nil {
			c.answer = nil
		}
	}
	if len(c.open) > 0 && c.open[0] == token {
		c.open = c.open[1:]
	} else {
		c.open = nil
	}
	c.begun += c.tokenizer.Piece(token, true)
	text := strings.TrimLeft(c.begun, " \t\r\n")
	rest, found := strings.CutPrefix(text, c.Open)
	switch {
	case found:
		c.state, c.answer = reasoningOpen, nil
		c.read(rest)
	case strings.HasPrefix(c.Open, text) && (c.then == nil || c.answer != nil || len(c.open) > 0):
		// That is still to be seen.
	case c.then != nil && c.answer == nil:
		return cmp.Or(refused, fmt.Errorf("the token %d (%q) cannot follow: %q begins neither the answer nor %s", token,
			c.tokenizer.Piece(token, true), text, c.Open))
	default:
		c.state, c.then = reasoningClosed, c.answer
	}
	return nil
}

// read goes on with more text of the reasoning.
func (c *reasoned) read(piece string) {
	text := c.last + piece
	if _, rest, found := strings.Cut(text, c.Close); found {
		c.state = reasoningClosed
		_, space, _ := strings.Cut(c.End, c.Close)
		if space, ok := strings.CutPrefix(space, rest); ok && (c.then != nil || c.overBudget()) {
			c.force(c.encode(space))
		}
		return
	}
	c.last = text[max(0, len(text)-max(len(c.End), utf8.UTFMax)):]
}

// force makes tokens follow, and then the answer.
func (c *reasoned) force(tokens []int32) {
	c.forced, c.state = tokens, reasoningEnding
	if len(tokens) == 0 {
		c.state = reasoningClosed
	}
}

// CanEnd implements Constraint.
func (c *reasoned) CanEnd() bool {
	switch {
	case c.then == nil:
		return true
	case c.state == reasoningAwaited:
		return c.answer != nil && c.answer.CanEnd()
	}
	return c.state == reasoningClosed && c.then.CanEnd()
}

// Done implements Constraint.
func (c *reasoned) Done() bool { return c.state == reasoningClosed && c.then != nil && c.then.Done() }

// Clone implements Constraint.
func (c *reasoned) Clone() Constraint {
	clone := *c
	if c.then != nil {
		clone.then = c.then.Clone()
	}
	if c.answer != nil {
		clone.answer = c.answer.Clone()
	}
	clone.mask, clone.spill = nil, map[string][]int32{}
	return &clone
}
