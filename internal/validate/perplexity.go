package validate

import (
	"context"
	"errors"
	"fmt"
	"math"

	"trit/internal/engine"
	"trit/tokenizer"
)

// Errors of Perplexity.
var (
	// ErrOptions reports options that make no sense.
	ErrOptions = errors.New("validate: bad option")
	// ErrText reports a text that is too short.
	ErrText = errors.New("validate: bad text")
	// ErrNumbers reports logits that are not numbers.
	ErrNumbers = errors.New("validate: not a number")
)

// PerplexityOptions configure a measurement.
type PerplexityOptions struct {
	// Context is the length of a window in tokens; 0 means 512, or what the
	// engine holds if that is less.
	Context int
	// Stride is the distance between the beginnings of windows; 0 means
	// Context, that is, windows side by side.
	Stride int
	// Windows, if not 0, bounds their number.
	Windows int
	// Progress, if not nil, is called after each window with the result so far.
	Progress func(done, total int, soFar *PerplexityReport)
}

// PerplexityReport is the result of a measurement.
type PerplexityReport struct {
	// Perplexity is exp(MeanNLL); StdErr its standard error.
	Perplexity float64 `json:"perplexity"`
	StdErr     float64 `json:"std_err"`
	// MeanNLL is the mean of −ln p over the scored tokens.
	MeanNLL float64 `json:"mean_nll"`
	Scored  int     `json:"scored_tokens"`
	Tokens  int     `json:"tokens"` // of the text
	Windows int     `json:"windows"`
	Context int     `json:"context"`
	Stride  int     `json:"stride"`
	BOS     bool    `json:"bos"` // windows begin with the BOS token
}

// String returns the result in a line.
func (r *PerplexityReport) String() string {
	return fmt.Sprintf("perplexity %.4f +/- %.4f (%d tokens scored in %d windows of %d)", r.Perplexity, r.StdErr, r.Scored, r.Windows, r.Context)
}

// Perplexity measures how well a model predicts a text, by the protocol of
// llama.cpp's perplexity tool, so that results compare.
//
// The text is tokenised as a whole, with a BOS token if the model wants one, and
// cut into windows; what does not fill a last one is left out. In every window the
// first token is replaced by BOS (if the model wants one), and the tokens of the
// second half, which have at least half a window before them, are scored:
// Context/2 − 1 of them, since the first of that half is left out too. With a
// stride of at most half a window, each window scores its last Stride tokens
// instead, so that every token but those at the beginning counts once.
//
// The engine must not be in use by anything else. The error is ErrText for a text
// of fewer tokens than a window, ErrNumbers for logits that are not numbers.
func Perplexity(ctx context.Context, e *engine.Engine, tok *tokenizer.Tokenizer, text string, o PerplexityOptions) (*PerplexityReport, error) {
	if o.Context == 0 {
		o.Context = min(defaultWindow, e.Context())
	}
	if o.Stride == 0 {
		o.Stride = o.Context
	}
	switch {
	case o.Context < 4 || o.Context > e.Context():
		return nil, fmt.Errorf("%w: windows of %d tokens, want 4 to the engine's context of %d", ErrOptions, o.Context, e.Context())
	case o.Stride < 1 || o.Stride > o.Context:
		return nil, fmt.Errorf("%w: a stride of %d tokens, want 1 to the window's %d", ErrOptions, o.Stride, o.Context)
	case o.Windows < 0:
		return nil, fmt.Errorf("%w: %d windows", ErrOptions, o.Windows)
	}
	tokens := tok.Encode(text)
	if len(tokens) < o.Context {
		return nil, fmt.Errorf("%w: it has %d tokens, less than one window of %d; take a longer text or a smaller context", ErrText, len(tokens), o.Context)
	}
	m := &measurement{report: PerplexityReport{Tokens: len(tokens), Context: o.Context, Stride: o.Stride}}
	ws := newWindows(tok, o.Context, o.Stride, e)
	m.report.BOS = ws.bos >= 0
	total := (len(tokens)-o.Context)/o.Stride + 1
	if o.Windows > 0 {
		total = min(total, o.Windows)
	}
	for w := range total {
		if err := ws.run(ctx, tokens[w*o.Stride:w*o.Stride+o.Context], m.score); err != nil {
			return nil, fmt.Errorf("window %d: %w", w, err)
		}
		m.report.Windows++
		m.finish()
		if o.Progress != nil {
			soFar := m.report
			o.Progress(w+1, total, &soFar)
		}
	}
	return &m.report, nil
}

const (
	defaultWindow = 512
	// maxLogitBytes bounds the memory for the logits of one batch.
	maxLogitBytes = 64 << 20
)

// measurement sums up over windows.
type measurement struct {
	sum, squares float64
	report       PerplexityReport
}

// score counts one token.
func (m *measurement) score(target int32, logits [][]float32) error {
	nll := negLogProb(logits[0], target)
	if math.IsNaN(nll) || math.IsInf(nll, 0) {
		return fmt.Errorf("%w: the logits before token %d, or its probability", ErrNumbers, target)
	}
	m.sum += nll
	m.squares += float64(nll * nll)
	m.report.Scored++
	return nil
}

// windows runs windows of a text through engines side by side, which have the same
// vocabulary.
type windows struct {
	engines []*engine.Engine
	batches []*engine.Batch
	bos     int32 // what takes the place of the first token, or −1
	first   int   // the first position of a window whose token is scored
}

func newWindows(tok *tokenizer.Tokenizer, context, stride int, engines ...*engine.Engine) *windows {
	w := &windows{engines: engines, bos: -1, first: context/2 + 1}
	for _, e := range engines {
		w.batches = append(w.batches, e.NewBatch())
	}
	if id, ok := tok.BOS(); ok && tok.AddBOS() {
		w.bos = id
	}
	if stride <= context/2 {
		w.first = context - stride
	}
	return w
}

// run calls score with each token of a window that counts, and with the logits that each
// engine has before it.
func (w *windows) run(ctx context.Context, tokens []int32, score func(target int32, logits [][]float32) error) error {
	sequences := make([]*engine.Sequence, len(w.engines))
	limit := 1 << 30 // scored rows in a batch
	for i, e := range w.engines {
		sequences[i] = e.NewSequence()
		defer sequences[i].Close()
		limit = min(limit, max(1, maxLogitBytes/(4*e.Model().Config.Vocab)))
		w.batches[i].Reset()
	}
	var targets []int32
	var rows [][]int // of each target, in each batch
	logits := make([][]float32, len(w.engines))
	flush := func() error {
		for i, e := range w.engines {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("validate: stopped: %w", err)
			}
			if err := e.Step(w.batches[i], nil); err != nil {
				return fmt.Errorf("validate: %w", err)
			}
		}
		for t, target := range targets {
			for i, b := range w.batches {
				logits[i] = b.Logits(rows[t][i])
			}
			if err := score(target, logits); err != nil {
				return err
			}
		}
		targets, rows = targets[:0], rows[:0]
		for _, b := range w.batches {
			b.Reset()
		}
		return nil
	}
	for i, token := range tokens[:len(tokens)-1] { // the last one predicts nothing of this window
		if i == 0 && w.bos >= 0 {
			token = w.bos
		}
		want := engine.None
		if i+1 >= w.first {
			want = engine.All
		}
		places, full := make([]int, len(w.batches)), false
		for k, b := range w.batches {
			row, err := b.Add(sequences[k], token, want, nil)
			if err != nil {
				return fmt.Errorf("validate: %w", err)
			}
			places[k], full = row, full || b.Free() == 0
		}
		if want == engine.All {
			rows, targets = append(rows, places), append(targets, tokens[i+1])
		}
		if full || len(rows) >= limit {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if w.batches[0].Len() == 0 {
		return nil
	}
	return flush()
}

// negLogProb returns −ln of a token's probability.
func negLogProb(logits []float32, token int32) float64 {
	return logSum(logits) - float64(logits[token])
}

// logSum returns ln of the sum of exp of logits.
func logSum(logits []float32) float64 {
	largest := math.Inf(-1)
	for _, x := range logits {
		largest = max(largest, float64(x))
	}
	sum := 0.0
	for _, x := range logits {
		sum += math.Exp(float64(x) - largest)
	}
	return math.Log(sum) + largest
}

// finish computes the report from the sums.
func (m *measurement) finish() {
	n := float64(m.report.Scored)
	mean := m.sum / n
	// Bounded, because a broken model may exceed float64, and JSON has no
	// infinity.
	m.report.MeanNLL, m.report.Perplexity = mean, min(math.Exp(mean), math.MaxFloat64)
	if variance := m.squares/n - float64(mean*mean); n > 1 && variance > 0 {
		m.report.StdErr = min(math.Sqrt(variance/(n-1))*m.report.Perplexity, math.MaxFloat64)
	}
}
