package head

import "math"

// Selector asks for the largest logits of a row and receives them.
//
// The fields down to TailMass are the request; the rest is the answer, whose memory is
// reused from call to call. The logits are exactly those of Head.Logits, and exactly
// the tokens are selected that K, Window, IDs and Mask ask for (ties with the K-th
// largest included). The tail is made of the allowed tokens that are not selected; what
// is told of it depends on how much of the head had to be read.
//
// An allowed logit that is not a number is always selected, so that a broken
// model is noticed.
type Selector struct {
	// K: at least the K largest logits among the allowed tokens; 0 means 1.
	K int
	// Window: also every allowed token less than Window below the largest.
	Window float64
	// IDs: also these tokens, allowed or not. They may repeat.
	IDs []int32
	// Mask has bit i%64 of word i/64 set for every token i that is allowed;
	// nil allows all.
	Mask []uint64
	// TailMass: also bounds on the mass of the tail.
	TailMass bool

	// Tokens and Logits are the selection, each token once.
	Tokens []int32
	Logits []float32
	// TailMax is not below any logit of the tail; −Inf if that is empty.
	TailMax float32
	// TailLogMassMin and TailLogMassMax bound ln Σ exp(logit) over the tail. They
	// are only set when TailMass was asked for.
	TailLogMassMin, TailLogMassMax float64

	heap    []float32
	seen    []uint64
	backoff backoff
}

// allows reports whether a token is in the mask.
func (s *Selector) allows(i int) bool {
	return s.Mask == nil || i/64 < len(s.Mask) && s.Mask[i/64]>>(i%64)&1 != 0
}

// allowed returns a word of the mask.
func (s *Selector) allowed(word int) uint64 {
	switch {
	case s.Mask == nil:
		return math.MaxUint64
	case word < len(s.Mask):
		return s.Mask[word]
	}
	return 0
}

// fill answers the request from the logits of the whole vocabulary.
func (s *Selector) fill(logits []float32) {
	largest := s.choose(logits, nil)
	if s.TailMass {
		s.setMass(s.mass(logits, nil, largest), 0, 0, largest)
	}
}

// choose makes the selection and sets TailMax from the listed tokens, ascending;
// nil stands for all. It returns the largest allowed logit.
func (s *Selector) choose(logits []float32, tokens []int32) (largest float32) {
	s.Tokens, s.Logits = s.Tokens[:0], s.Logits[:0]
	s.TailMax = float32(math.Inf(-1))
	if words := (len(logits) + 63) / 64; cap(s.seen) < words {
		s.seen = make([]uint64, words)
	} else {
		s.seen = s.seen[:words]
		clear(s.seen)
	}
	threshold, largest := s.cut(logits, tokens, s.K)
	n := len(logits)
	if tokens != nil {
		n = len(tokens)
	}
	for j := range n {
		i := j
		if tokens != nil {
			i = int(tokens[j])
		}
		if x := logits[i]; !(float64(x) < threshold) && s.allows(i) {
			s.take(int32(i), x)
		}
	}
	for _, id := range s.IDs {
		if uint32(id) < uint32(len(logits)) && !s.taken(int(id)) {
			s.take(id, logits[id])
		}
	}
	for j := range n {
		i := j
		if tokens != nil {
			i = int(tokens[j])
		}
		if x := logits[i]; x > s.TailMax && s.allows(i) && !s.taken(i) {
			s.TailMax = x
		}
	}
	return largest
}

func (s *Selector) take(id int32, x float32) {
	s.seen[id/64] |= 1 << (id % 64)
	s.Tokens, s.Logits = append(s.Tokens, id), append(s.Logits, x)
}

func (s *Selector) taken(i int) bool { return s.seen[i/64]>>(i%64)&1 != 0 }

// mass returns Σ exp(logit − largest) over the listed tokens (nil: all) that are
// allowed and not selected.
func (s *Selector) mass(logits []float32, tokens []int32, largest float32) float64 {
	n := len(logits)
	if tokens != nil {
		n = len(tokens)
	}
	mass := 0.0
	for j := range n {
		i := j
		if tokens != nil {
			i = int(tokens[j])
		}
		if s.allows(i) && !s.taken(i) {
			mass += math.Exp(float64(logits[i]) - float64(largest))
		}
	}
	return mass
}

// setMass sets the bounds from a mass that is known and one that is known to lie
// between lo and hi, both relative to exp(largest).
func (s *Selector) setMass(known, lo, hi float64, largest float32) {
	// The sum of up to 2^24 positive terms, each exact to an ulp or two, is
	// off by less than one part in 10^8.
	const slack = 1e-8
	s.TailLogMassMin = math.Log(known+lo) + float64(largest) - slack
	s.TailLogMassMax = math.Log(known+hi) + float64(largest) + slack
	if known+hi == 0 {
		s.TailLogMassMin, s.TailLogMassMax = math.Inf(-1), math.Inf(-1)
	}
	if math.IsNaN(s.TailLogMassMin) || math.IsNaN(s.TailLogMassMax) {
		s.TailLogMassMin, s.TailLogMassMax = math.Inf(-1), math.Inf(1)
	}
}

// cut returns the least logit that k and Window select among the listed tokens
// (nil: all), and the largest allowed logit. Both are −Inf if fewer than k are
// allowed, or none.
func (s *Selector) cut(logits []float32, tokens []int32, k int) (threshold float64, largest float32) {
	largest = float32(math.Inf(-1))
	k = max(k, 1)
	n := len(logits)
	if tokens != nil {
		n = len(tokens)
	}
	h := s.heap[:0]
	for j := range n {
		i := j
		if tokens != nil {
			i = int(tokens[j])
		}
		x := logits[i]
		if len(h) == k && x <= h[0] || !s.allows(i) || x != x {
			continue
		}
		largest = max(largest, x)
		if len(h) < k {
			h = append(h, x)
			if len(h) == k {
				for i := k/2 - 1; i >= 0; i-- {
					siftDown(h, i)
				}
			}
			continue
		}
		h[0] = x
		siftDown(h, 0)
	}
	s.heap = h
	if len(h) < k {
		return math.Inf(-1), largest
	}
	threshold = float64(h[0])
	if s.Window > 0 {
		threshold = min(threshold, float64(largest)-s.Window)
	}
	return threshold, largest
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
