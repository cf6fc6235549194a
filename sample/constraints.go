package sample

import (
	"fmt"
	"maps"
	"math"
	"slices"
)

// LogitBias adds a constant to the logits of given tokens, as in the OpenAI
// API. A bias of −Inf bans a token.
type LogitBias struct {
	ids   []int32
	bias  []float32
	raise bool
}

// NewLogitBias returns a LogitBias stage for the given token ids.
func NewLogitBias(bias map[int32]float32) *LogitBias {
	s := &LogitBias{}
	for _, id := range slices.Sorted(maps.Keys(bias)) {
		s.ids = append(s.ids, id)
		s.bias = append(s.bias, bias[id])
		s.raise = s.raise || bias[id] > 0
	}
	return s
}

// Name returns "logit_bias".
func (*LogitBias) Name() string { return "logit_bias" }

// Apply implements [Stage]. It returns [ErrToken] for an id outside the
// vocabulary.
func (s *LogitBias) Apply(c *Candidates, _ *Context) error {
	if err := checkIDs("logit_bias", s.ids, c.vocab); err != nil || len(s.ids) == 0 {
		return err
	}
	c.marks = grow(c.marks, c.vocab)
	for i, id := range s.ids {
		c.marks[id] = int32(i + 1)
	}
	return c.editMarked(s.ids, s.raise, s.add)
}

func (s *LogitBias) add(mark int32, logit float32) float32 {
	return clampLogit(float64(logit) + float64(s.bias[mark-1]))
}

// checkIDs verifies that ascending ids lie in the vocabulary.
func checkIDs(option string, ids []int32, vocab int) error {
	if len(ids) == 0 {
		return nil
	}
	for _, id := range []int32{ids[0], ids[len(ids)-1]} {
		if uint32(id) >= uint32(vocab) {
			return fmt.Errorf("%w: %s names token %d, the vocabulary has %d", ErrToken, option, id, vocab)
		}
	}
	return nil
}

// Allowed removes all tokens but the given ones.
type Allowed struct {
	ids []int32 // ascending
}

// NewAllowed returns an Allowed stage.
func NewAllowed(ids []int32) *Allowed {
	return &Allowed{slices.Sorted(slices.Values(ids))}
}

// Name returns "allowed".
func (*Allowed) Name() string { return "allowed" }

// Apply implements [Stage]. It returns [ErrToken] for an id outside the
// vocabulary.
func (s *Allowed) Apply(c *Candidates, _ *Context) error {
	if err := checkIDs("allowed", s.ids, c.vocab); err != nil {
		return err
	}
	c.bits = grow(c.bits, (c.vocab+63)/64)
	clear(c.bits)
	for _, id := range s.ids {
		c.bits[id/64] |= 1 << (id % 64)
	}
	return c.applyMask(c.bits)
}

// BadWords bans token sequences: the last token of a sequence is removed
// whenever the history ends with the tokens before it. A sequence of one token
// is always banned.
//
// Source: NoBadWordsLogitsProcessor of Hugging Face Transformers.
type BadWords struct {
	words [][]int32
}

// NewBadWords returns a BadWords stage. Empty sequences ban nothing.
func NewBadWords(words [][]int32) *BadWords {
	s := &BadWords{}
	for _, w := range words {
		if len(w) > 0 {
			s.words = append(s.words, slices.Clone(w))
		}
	}
	return s
}

// Name returns "bad_words".
func (*BadWords) Name() string { return "bad_words" }

// Apply implements [Stage]. It returns [ErrToken] for an id outside the
// vocabulary.
func (s *BadWords) Apply(c *Candidates, ctx *Context) error {
	for _, w := range s.words {
		if last := w[len(w)-1]; uint32(last) >= uint32(c.vocab) {
			return fmt.Errorf("%w: bad_words names token %d, the vocabulary has %d", ErrToken, last, c.vocab)
		}
	}
	c.marks = grow(c.marks, c.vocab)
	c.scratch = c.scratch[:0]
	for _, w := range s.words {
		if last := w[len(w)-1]; endsWith(ctx.History, w[:len(w)-1]) && c.marks[last] == 0 {
			c.marks[last] = 1
			c.scratch = append(c.scratch, last)
		}
	}
	if len(c.scratch) == 0 {
		return nil
	}
	return c.editMarked(c.scratch, false, ban)
}

func ban(int32, float32) float32 { return float32(math.Inf(-1)) }

func endsWith(h, suffix []int32) bool {
	return len(suffix) <= len(h) && slices.Equal(h[len(h)-len(suffix):], suffix)
}

// Forced forces the first generated tokens: token i of a sequence's answer is
// ids[i] while there is one. If another constraint excludes that token,
// nothing is left and the pipeline returns [ErrNoCandidate].
type Forced struct {
	ids []int32
}

// NewForced returns a Forced stage.
func NewForced(ids []int32) *Forced { return &Forced{slices.Clone(ids)} }

// Name returns "forced".
func (*Forced) Name() string { return "forced" }

// Apply implements [Stage]. It returns [ErrToken] for an id outside the
// vocabulary.
func (s *Forced) Apply(c *Candidates, ctx *Context) error {
	id, ok := s.next(ctx)
	if !ok {
		return nil
	}
	if uint32(id) >= uint32(c.vocab) {
		return fmt.Errorf("%w: forced names token %d, the vocabulary has %d", ErrToken, id, c.vocab)
	}
	return c.keepOnly(id)
}

func (s *Forced) next(ctx *Context) (int32, bool) {
	if ctx.Generated >= 0 && ctx.Generated < len(s.ids) {
		return s.ids[ctx.Generated], true
	}
	return 0, false
}
