package sample

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// A Pipeline chooses the tokens of one sequence. It must not be used by two
// goroutines at once; clones are independent.
type Pipeline struct {
	stages []Stage
	seed   uint64
	rng    Stream

	logProb     bool
	nTop        int
	nCandidates int
	top         []TokenLogProb
	topKeys     []uint64
	candidates  []TokenProb
	mask        []uint64 // of Need
	ids         []int32  // of Need
}

// A Result is a chosen token.
type Result struct {
	Token int32
	// Prob is the token's probability among the final candidates; 1 if greedy.
	Prob float64
	// LogProb is the log-softmax of the token under the logits as they were
	// given, before any stage; NaN unless the options ask for it.
	LogProb float64
	// Top lists the most likely tokens under the logits as they were given,
	// if the options ask for it. It is valid until the pipeline's next call.
	Top []TokenLogProb
	// Candidates lists the most likely of the final candidates, the token's probability
	// among them, if the options ask for it. It is valid until the pipeline's next call.
	Candidates []TokenProb
}

// NewPipeline builds a pipeline from options. Errors wrap [ErrOption] or
// [ErrOrder].
func NewPipeline(o Options) (*Pipeline, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	var seed uint64
	if o.Seed != nil {
		seed = *o.Seed
	} else {
		var b [8]byte
		rand.Read(b[:]) // never fails, see crypto/rand
		seed = binary.LittleEndian.Uint64(b[:])
	}
	p := NewChain(seed, o.stages(seed)...)
	p.logProb = o.LogProb || o.TopLogProbs > 0
	p.nTop = o.TopLogProbs
	p.nCandidates = o.TopCandidates
	return p, nil
}

// NewChain builds a pipeline from stages, applied in the given order. It
// seeds them if they are [Seeded], and takes them over: no other pipeline may
// use a [Stateful] one.
func NewChain(seed uint64, stages ...Stage) *Pipeline {
	p := &Pipeline{stages: slices.Clone(stages)}
	p.Reseed(seed)
	return p
}

// Sample chooses the next token from the logits of the whole vocabulary,
// which it does not change. It does not advance stateful stages: call
// [Pipeline.Accept] with the token that the sequence continues with. ctx may
// be nil.
//
// Unless the pipeline is greedy, each successful call draws exactly one number
// from the pipeline's stream. Errors wrap [ErrLogits], [ErrMask], [ErrToken]
// or [ErrNoCandidate]; after an error nothing was drawn from it.
func (p *Pipeline) Sample(logits []float32, ctx *Context) (Result, error) {
	c := candidatesPool.Get().(*Candidates)
	r, err := p.sample(c, logits, ctx)
	candidatesPool.Put(c)
	return r, err
}

func (p *Pipeline) sample(c *Candidates, logits []float32, ctx *Context) (Result, error) {
	if err := c.load(logits); err != nil {
		return Result{}, err
	}
	top := c.top
	if err := p.apply(c, ctx); err != nil {
		return Result{}, err
	}
	r, err := p.choose(c)
	if err != nil || !p.logProb {
		return r, err
	}
	lse := logSumExp(logits, top)
	r.LogProb = float64(logits[r.Token]) - lse
	if p.nTop > 0 {
		p.topKeys = topKeys(p.topKeys[:0], logits, min(p.nTop, len(logits)))
		p.top = appendTop(p.top[:0], p.topKeys, lse)
		r.Top = p.top
	}
	return r, nil
}

// Distribution stores the probabilities of all candidates that the stages
// leave in d, reusing its memory. It draws nothing from the pipeline's own
// stream; an XTC stage tosses its coin, so the distribution is the one given
// that coin. A pipeline that truncates nothing pays for sorting the
// vocabulary. Errors are those of [Pipeline.Sample].
func (p *Pipeline) Distribution(d *Distribution, logits []float32, ctx *Context) error {
	c := candidatesPool.Get().(*Candidates)
	err := c.load(logits)
	if err == nil {
		err = p.apply(c, ctx)
	}
	if err == nil {
		err = d.fill(c)
	}
	candidatesPool.Put(c)
	return err
}

// SampleFrom draws a token from d, as Sample would from the same
// distribution: with one number from the pipeline's stream, or none if the
// pipeline is greedy.
func (p *Pipeline) SampleFrom(d *Distribution) (int32, error) {
	if len(d.IDs) == 0 || d.Total == 0 {
		return 0, fmt.Errorf("%w: the distribution is empty", ErrNoCandidate)
	}
	if p.Greedy() {
		return d.IDs[0], nil
	}
	return d.pick(p.rng.Uint64()), nil
}

// Uniform draws a number in [0, 1) from the pipeline's stream, for decisions
// beside the pipeline such as accepting a speculated token.
func (p *Pipeline) Uniform() float64 { return p.rng.Float64() }

// Accept tells stateful stages which token the sequence continues with. It
// must follow the Sample or Distribution call of the same position.
func (p *Pipeline) Accept(token int32) {
	for _, s := range p.stages {
		if s, ok := s.(Stateful); ok {
			s.Accept(token)
		}
	}
}

// Reset makes the pipeline as new: same seed, no memory of any token.
func (p *Pipeline) Reset() {
	p.rng = NewStream(p.seed, streamTokens)
	for _, s := range p.stages {
		if s, ok := s.(Stateful); ok {
			s.Reset()
		}
	}
}

// Reseed replaces the seed and starts all random streams anew. The stages'
// other state stays.
func (p *Pipeline) Reseed(seed uint64) {
	p.seed = seed
	p.rng = NewStream(seed, streamTokens)
	for _, s := range p.stages {
		if s, ok := s.(Seeded); ok {
			s.Seed(seed)
		}
	}
}

// Seed returns the seed in use.
func (p *Pipeline) Seed() uint64 { return p.seed }

// Greedy reports whether the pipeline ends with the largest logit and so uses
// no randomness for tokens.
func (p *Pipeline) Greedy() bool {
	if len(p.stages) == 0 {
		return false
	}
	switch s := p.stages[len(p.stages)-1].(type) {
	case Greedy:
		return true
	case Temperature:
		return s.T == 0
	}
	return false
}

// Clone returns an independent pipeline in the same state. Both go on to draw
// the same random numbers.
func (p *Pipeline) Clone() *Pipeline {
	q := &Pipeline{seed: p.seed, rng: p.rng, logProb: p.logProb, nTop: p.nTop, nCandidates: p.nCandidates, stages: slices.Clone(p.stages)}
	for i, s := range q.stages {
		if s, ok := s.(Stateful); ok {
			q.stages[i] = s.Clone()
		}
	}
	return q
}

// Fork returns a clone with a seed of its own, derived from the pipeline's
// seed and n: several answers to one prompt differ, reproducibly.
func (p *Pipeline) Fork(n uint64) *Pipeline {
	q := p.Clone()
	q.Reseed(ForkSeed(p.seed, n))
	return q
}

var emptyContext Context

// apply runs the mask and all stages.
func (p *Pipeline) apply(c *Candidates, ctx *Context) error {
	if ctx == nil {
		ctx = &emptyContext
	}
	if ctx.Mask != nil {
		if err := c.applyMask(ctx.Mask); err != nil {
			return err
		}
	}
	for _, s := range p.stages {
		if err := s.Apply(c, ctx); err != nil {
			return err
		}
		if c.n == 0 {
			return c.someLeft()
		}
	}
	return nil
}

// choose draws the token.
func (p *Pipeline) choose(c *Candidates) (Result, error) {
	r := Result{LogProb: math.NaN(), Prob: 1}
	if p.Greedy() {
		k, err := c.at(0)
		r.Token = keyID(k)
		if p.nCandidates > 0 && err == nil {
			p.candidates = append(p.candidates[:0], TokenProb{r.Token, 1})
			r.Candidates = p.candidates
		}
		return r, err
	}
	// Everything that can fail comes before the draw.
	sum, err := c.sum()
	if err != nil {
		return Result{}, err
	}
	if p.nCandidates > 0 {
		if r.Candidates, err = p.likely(c, sum); err != nil {
			return Result{}, err
		}
	}
	k, w, z, err := c.draw(p.rng.Uint64())
	r.Token, r.Prob = keyID(k), float64(w)/float64(z)
	return r, err
}

// likely lists the most likely candidates; sum is that of all weights.
func (p *Pipeline) likely(c *Candidates, sum uint64) ([]TokenProb, error) {
	p.candidates = p.candidates[:0]
	for i := range min(p.nCandidates, c.n) {
		k, err := c.at(i)
		if err != nil {
			return nil, err
		}
		p.candidates = append(p.candidates, TokenProb{keyID(k), float64(weight(c.exponent(keyLogit(k)))) / float64(sum)})
	}
	return p.candidates, nil
}
