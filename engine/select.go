package engine

import (
	"math"
	"slices"

	"trit/kernel"
)

// TokenBias is added to the logit of a token.
type TokenBias struct {
	Token int32
	Bias  float32
}

// Selector asks for the largest logits of a row and receives them. The
// logits are those of the head plus Bias, with the tokens outside Mask left
// out. At least the K largest are selected, and all that are within Range of
// the largest.
type Selector struct {
	K     int
	Range float32
	Bias  []TokenBias
	// Mask has bit i%64 of word i/64 set for every token i that is allowed;
	// nil allows all.
	Mask []uint64

	// Tokens and Logits are the selection, largest first, ties by token.
	Tokens []int32
	Logits []float32
	// Rest bounds the logits of all tokens that are allowed but not selected;
	// −Inf if there are none.
	Rest float32
}

// selectFrom fills the selector from the logits of the whole vocabulary,
// which it changes.
func (s *Selector) selectFrom(logits []float32) {
	for _, b := range s.Bias {
		if b.Token >= 0 && int(b.Token) < len(logits) {
			logits[b.Token] += b.Bias
		}
	}
	if s.Mask != nil {
		for i := range logits {
			if i/64 >= len(s.Mask) || s.Mask[i/64]>>(i%64)&1 == 0 {
				logits[i] = float32(math.Inf(-1))
			}
		}
	}
	s.Tokens, s.Logits = s.Tokens[:0], s.Logits[:0]
	s.Rest = float32(math.Inf(-1))

	threshold := s.kthLargest(logits)
	if s.Range > 0 {
		threshold = min(threshold, kernel.Max(logits)-s.Range)
	}
	for i, x := range logits {
		switch {
		case math.IsInf(float64(x), -1):
		case x >= threshold:
			s.Tokens = append(s.Tokens, int32(i))
		case x > s.Rest:
			s.Rest = x
		}
	}
	slices.SortFunc(s.Tokens, func(a, b int32) int {
		if x, y := logits[a], logits[b]; x != y {
			if x > y {
				return -1
			}
			return 1
		}
		return int(a - b)
	})
	for _, t := range s.Tokens {
		s.Logits = append(s.Logits, logits[t])
	}
}

// kthLargest returns the K-th largest value, using s.Logits as a heap of the
// K largest seen so far.
func (s *Selector) kthLargest(logits []float32) float32 {
	k := max(s.K, 1)
	if k >= len(logits) {
		return float32(math.Inf(-1))
	}
	heap := append(s.Logits[:0], logits[:k]...)
	for i := k/2 - 1; i >= 0; i-- {
		siftDown(heap, i)
	}
	for _, x := range logits[k:] {
		if x > heap[0] {
			heap[0] = x
			siftDown(heap, 0)
		}
	}
	least := heap[0]
	s.Logits = heap[:0]
	return least
}

// siftDown restores the min-heap below i.
func siftDown(h []float32, i int) {
	for {
		c := 2*i + 1
		if c >= len(h) {
			return
		}
		if c+1 < len(h) && h[c+1] < h[c] {
			c++
		}
		if h[i] <= h[c] {
			return
		}
		h[i], h[c] = h[c], h[i]
		i = c
	}
}
