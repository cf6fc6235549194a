package generate

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"trit/internal/engine"
	"trit/internal/fault"
	"trit/internal/order"
	"trit/sample"
	"trit/tokenizer"
)

// BeamOptions say how to search for likely sequences.
type BeamOptions struct {
	// Beams is the number of unfinished sequences that are followed at a time.
	Beams int
	// Groups divides the beams; 0 means 1. The groups choose one after the
	// other in each step, and in a later group a token has Diversity taken off
	// its score for each beam of an earlier group that has just chosen it:
	// diverse beam search with Hamming diversity (Vijayakumar et al., 2016,
	// arXiv:1610.02424). It decides what is followed, and plays no part in the
	// scores of the result.
	Groups    int
	Diversity float64
	// LengthPenalty is the α of the score ln P(Y) / ((5+|Y|)/6)^α, where |Y|
	// counts the generated tokens, an end token among them: equation 14 of Wu
	// et al., 2016, arXiv:1609.08144. 0 compares the probabilities; more favours
	// longer sequences.
	LengthPenalty float64
	// Results is the number of sequences to return at most; 0 means Beams.
	Results int

	// MaxTokens, MinTokens, Stop, StopTokens, IgnoreEnd, Special and Constraint
	// are those of Options. A text that a stop string ends is as likely as its
	// tokens, the stop string's included.
	MaxTokens  int
	MinTokens  int
	Stop       []string
	StopTokens []int32
	IgnoreEnd  bool
	Special    bool
	Constraint Constraint
}

// Beam is a text that beam search has found.
type Beam struct {
	// Tokens are the generated tokens without an end token, but with those of a
	// stop string. Text is without it.
	Tokens []int32
	Text   string
	// LogProb is the natural logarithm of the text's probability, that of an
	// end token included; Score is LogProb under the length penalty.
	LogProb float64
	Score   float64
	Finish  Finish
	// Cut says that the text ended before the constraint was satisfied.
	Cut bool
}

// maxBeams bounds the beams.
const maxBeams = 1024

func (o *BeamOptions) validate() error {
	switch {
	case o.Beams < 1 || o.Beams > maxBeams:
		return fault.Option("beams", "%d; want 1 to %d", o.Beams, maxBeams)
	case o.Groups < 0 || o.Groups > 0 && o.Beams%o.Groups != 0:
		return fault.Option("groups", "%d beams cannot be divided into %d groups", o.Beams, o.Groups)
	case !(o.Diversity >= 0) || math.IsInf(o.Diversity, 1):
		return fault.Option("diversity", "%v; want 0 or more", o.Diversity)
	case !(o.LengthPenalty >= 0 && o.LengthPenalty <= 100):
		return fault.Option("length_penalty", "%v; want 0 to 100", o.LengthPenalty)
	case o.Results < 0 || o.MaxTokens < 0 || o.MinTokens < 0:
		return fmt.Errorf("%w: %d results of %d to %d tokens", ErrOptions, o.Results, o.MinTokens, o.MaxTokens)
	}
	return validateStops(o.Stop)
}

// Beams continues a prompt by beam search and returns the sequences found, the best
// first; the order does not depend on chance. The session may already hold the
// beginning of the text; afterwards it holds that and the prompt.
//
// In each step every unfinished text is extended by every token, and each group
// goes on with its best ones. A text among these that ends is a result. A group
// stops when it has as many results as beams and no unfinished text can
// still become better than the worst of them.
func Beams(ctx context.Context, s *engine.Session, t *tokenizer.Tokenizer, prompt []int32, o BeamOptions) ([]Beam, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	limit, err := room(s, prompt, o.MaxTokens)
	if err != nil {
		return nil, err
	}
	o.Groups = max(o.Groups, 1)
	b := &beamSearch{
		options: &o, tokenizer: t, limit: limit, session: s,
		ends: choice{options: &Options{StopTokens: o.StopTokens, IgnoreEnd: o.IgnoreEnd, MinTokens: o.MinTokens}, tokenizer: t,
			vocab: s.Scheduler().Engine().Model().Config.Vocab, limit: limit},
	}
	defer b.close()
	if err := b.begin(ctx, prompt); err != nil {
		return nil, err
	}
	for b.step() {
		if err := b.run(ctx); err != nil {
			return nil, err
		}
	}
	if b.err != nil {
		return nil, b.err
	}
	return b.results(), nil
}

// beamSearch is a search that runs.
type beamSearch struct {
	options   *BeamOptions
	tokenizer *tokenizer.Tokenizer
	session   *engine.Session // the caller's
	ends      choice          // knows what ends a text
	limit     int
	length    int // tokens generated so far, the same for all live beams

	groups []*beamGroup
	jobs   []engine.Job
	err    error

	penalty map[int32]float64 // of the tokens chosen in this step by earlier groups
	row     row
	logits  []float32
}

// beamGroup is the beams that compete with each other.
type beamGroup struct {
	size     int
	live     []*hypothesis
	spare    []*engine.Session // of beams that were given up
	finished []Beam            // the best first, at most size
	done     bool
}

// hypothesis is a text in the making. Its session holds all of it but the last
// token.
type hypothesis struct {
	session    *engine.Session
	tokens     []int32
	logProb    float64
	constraint Constraint
}

// extension is a hypothesis with one more token.
type extension struct {
	parent  int // in the group's live list
	token   int32
	logProb float64 // of the whole text
	rank    float64 // logProb less the diversity penalty
}

// begin runs the prompt. Each group starts with one hypothesis, as copies of it
// would only find the same sequences.
func (b *beamSearch) begin(ctx context.Context, prompt []int32) error {
	if err := b.session.Run(ctx, prompt, engine.All, len(prompt)-1); err != nil {
		return err
	}
	b.penalty = map[int32]float64{}
	for range b.options.Groups {
		h := &hypothesis{}
		if c := b.options.Constraint; c != nil {
			h.constraint = c.Clone()
		}
		b.groups = append(b.groups, &beamGroup{size: b.options.Beams / b.options.Groups, live: []*hypothesis{h}})
	}
	return nil
}

// scores returns the logits after a hypothesis; before the first step those of
// the prompt.
func (b *beamSearch) scores(h *hypothesis) []float32 {
	if h.session == nil {
		return b.session.Logits(0)
	}
	return h.session.Logits(0)
}

// step extends all hypotheses by one token and reports whether any is left to
// be run.
func (b *beamSearch) step() bool {
	clear(b.penalty)
	left := false
	for _, g := range b.groups {
		if g.done {
			continue
		}
		if b.err = b.extend(g); b.err != nil {
			return false
		}
		left = left || !g.done
	}
	b.length++
	return left
}

// extend chooses the next hypotheses of a group.
func (b *beamSearch) extend(g *beamGroup) error {
	var all []extension
	for i, h := range g.live {
		var err error
		if all, err = b.candidates(all, g, i, h); err != nil {
			return err
		}
	}
	order.Stable(all, func(x, y extension) int {
		return cmp.Or(cmp.Compare(y.rank, x.rank), cmp.Compare(x.parent, y.parent), cmp.Compare(x.token, y.token))
	})
	length := b.length + 1
	var next []extension
	for i, x := range all {
		if len(next) == g.size {
			break
		}
		parent := g.live[x.parent]
		switch end := b.ends.isEnd(x.token); {
		case end && i < g.size:
			incomplete := parent.constraint != nil && !parent.constraint.CanEnd()
			g.finish(b.finished(parent.tokens, x.logProb, length, FinishStop, incomplete))
		case !end:
			next = append(next, x)
		}
	}
	kept, err := b.adopt(g, next)
	if err != nil {
		return err
	}
	g.live = kept
	for i := 0; i < len(g.live); i++ {
		h := g.live[i]
		b.penalty[h.tokens[length-1]] += b.options.Diversity
		reason, over := FinishLength, length == b.limit
		if b.stopped(h) {
			reason, over = FinishStopString, true
		} else if h.constraint != nil && h.constraint.Done() {
			reason, over = FinishStop, true
		}
		if over {
			incomplete := h.constraint != nil && !h.constraint.Done() && !h.constraint.CanEnd()
			g.finish(b.finished(h.tokens, h.logProb, length, reason, incomplete))
			g.spare = append(g.spare, h.session)
			g.live = slices.Delete(g.live, i, i+1)
			i--
		}
	}
	g.done = len(g.live) == 0 || len(g.finished) == g.size && !b.canImprove(g)
	return nil
}

// candidates appends the extensions of a hypothesis that can be among the best
// ones of its group.
func (b *beamSearch) candidates(all []extension, g *beamGroup, i int, h *hypothesis) ([]extension, error) {
	logits := b.scores(h)
	lse, err := sample.LogSumExp(logits)
	if err != nil {
		return nil, err
	}
	b.row.context = sample.Context{}
	b.ends.constraint, b.ends.generated = h.constraint, b.length
	if err := b.ends.mask(&b.row, h.constraint, 0); err != nil {
		return nil, err
	}
	b.logits = append(b.logits[:0], logits...)
	allowed := 0
	for id := range b.logits {
		if allows(&b.row.context, int32(id)) {
			allowed++
		} else {
			b.logits[id] = float32(math.Inf(-1))
		}
	}
	if allowed == 0 {
		return all, nil // a dead end
	}
	// Enough to fill the group when the end tokens are finished and the
	// tokens with a penalty have fallen back.
	n := min(g.size+len(b.tokenizer.EOG())+len(b.options.StopTokens)+len(b.penalty), allowed)
	top, err := sample.TopLogProbs(nil, b.logits, n)
	if err != nil {
		return nil, err
	}
	for _, t := range top {
		if math.IsInf(t.LogProb, -1) {
			break
		}
		logProb := h.logProb + (float64(logits[t.ID]) - lse)
		all = append(all, extension{i, t.ID, logProb, logProb - b.penalty[t.ID]})
	}
	return all, nil
}

// adopt makes hypotheses of a group's best extensions. The first child of a
// hypothesis takes over its session, the others get those of hypotheses
// without children, or new ones.
func (b *beamSearch) adopt(g *beamGroup, next []extension) ([]*hypothesis, error) {
	children := make([]int, len(g.live))
	for _, x := range next {
		children[x.parent]++
	}
	for i, h := range g.live {
		if children[i] == 0 && h.session != nil {
			g.spare = append(g.spare, h.session)
		}
	}
	taken := make([]bool, len(g.live))
	kept := make([]*hypothesis, 0, len(next))
	fail := func(err error) ([]*hypothesis, error) {
		g.live = append(g.live, kept...) // for close
		return nil, err
	}
	for _, x := range next {
		parent := g.live[x.parent]
		h := &hypothesis{logProb: x.logProb, tokens: append(slices.Clone(parent.tokens), x.token)}
		if parent.constraint != nil {
			h.constraint = parent.constraint.Clone()
			if err := h.constraint.Accept(x.token); err != nil {
				return fail(fmt.Errorf("generated token %d: %w", len(h.tokens), err))
			}
		}
		var err error
		switch {
		case parent.session != nil && !taken[x.parent]:
			h.session, taken[x.parent] = parent.session, true
		case len(g.spare) > 0:
			h.session = g.spare[len(g.spare)-1]
			g.spare = g.spare[:len(g.spare)-1]
			err = h.session.Assign(b.source(parent))
		default:
			h.session, err = b.source(parent).Fork()
		}
		if h.session != nil {
			kept = append(kept, h)
		}
		if err != nil {
			return fail(err)
		}
	}
	return kept, nil
}

// source returns the session that holds a hypothesis but its last token.
func (b *beamSearch) source(h *hypothesis) *engine.Session {
	if h.session == nil {
		return b.session
	}
	return h.session
}

// stopped reports whether a stop string has come up in a hypothesis.
func (b *beamSearch) stopped(h *hypothesis) bool {
	if len(b.options.Stop) == 0 {
		return false
	}
	start, _ := cut(b.text(h.tokens), b.options.Stop)
	return start >= 0
}

// text returns the text of generated tokens.
func (b *beamSearch) text(tokens []int32) string {
	return b.tokenizer.Decode(tokens, tokenizer.RenderSpecial(b.options.Special), tokenizer.Continuation(true))
}

// finished makes a result.
func (b *beamSearch) finished(tokens []int32, logProb float64, length int, reason Finish, incomplete bool) Beam {
	text := b.text(tokens)
	if reason == FinishStopString {
		start, _ := cut(text, b.options.Stop)
		text = text[:start]
	}
	return Beam{
		Tokens: slices.Clone(tokens), LogProb: logProb, Score: logProb / lengthPenalty(length, b.options.LengthPenalty),
		Text: text, Finish: reason, Cut: incomplete,
	}
}

// finish adds a result and keeps the best.
func (g *beamGroup) finish(r Beam) {
	at, _ := slices.BinarySearchFunc(g.finished, r, func(x, y Beam) int {
		if x.Score >= y.Score {
			return -1
		}
		return 1
	})
	g.finished = slices.Insert(g.finished, at, r)
	g.finished = g.finished[:min(len(g.finished), g.size)]
}

// canImprove reports whether an unfinished text can still get a better score
// than the worst result: a text can only become less likely, and the length
// penalty helps it most at the greatest length.
func (b *beamSearch) canImprove(g *beamGroup) bool {
	best := math.Inf(-1)
	for _, h := range g.live {
		best = max(best, h.logProb)
	}
	return best/lengthPenalty(b.limit, b.options.LengthPenalty) > g.finished[len(g.finished)-1].Score
}

// lengthPenalty is ((5+n)/6)^α, rounded to float32 as the last bits of Pow
// depend on the machine.
func lengthPenalty(n int, alpha float64) float64 {
	return float64(float32(math.Pow(float64(5+n)/6, alpha)))
}

// run runs the last tokens of all hypotheses in one batch.
func (b *beamSearch) run(ctx context.Context) error {
	b.jobs = b.jobs[:0]
	for _, g := range b.groups {
		if g.done {
			continue
		}
		for _, h := range g.live {
			b.jobs = append(b.jobs, engine.Job{Session: h.session, Tokens: h.tokens[len(h.tokens)-1:], Want: engine.All})
		}
	}
	return b.session.Scheduler().Run(ctx, b.jobs)
}

// results returns the best sequences of all groups, without repetitions.
func (b *beamSearch) results() []Beam {
	var all []Beam
	for _, g := range b.groups {
		for _, r := range g.finished {
			same := func(x Beam) bool { return x.Finish == r.Finish && slices.Equal(x.Tokens, r.Tokens) }
			if !slices.ContainsFunc(all, same) {
				all = append(all, r)
			}
		}
	}
	order.Stable(all, func(x, y Beam) int { return cmp.Compare(y.Score, x.Score) })
	n := b.options.Results
	if n == 0 {
		n = b.options.Beams
	}
	return all[:min(n, len(all))]
}

// close closes all sessions but the caller's.
func (b *beamSearch) close() {
	for _, g := range b.groups {
		for _, h := range g.live {
			if h.session != nil {
				h.session.Close()
			}
		}
		for _, s := range g.spare {
			s.Close()
		}
	}
}
