package validate

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"trit/internal/engine"
	"trit/tokenizer"
)

// Estimate is a mean over tokens and its standard error.
type Estimate struct {
	Mean   float64 `json:"mean"`
	StdErr float64 `json:"std_err"`
}

// estimate returns the mean of values.
func estimate(values []float64) Estimate {
	n, sum := float64(len(values)), 0.0
	for _, v := range values {
		sum += v
	}
	e := Estimate{Mean: sum / n}
	if n > 1 {
		squares := 0.0
		for _, v := range values {
			squares += (v - e.Mean) * (v - e.Mean)
		}
		e.StdErr = math.Sqrt(squares / (n - 1) / n)
	}
	return e
}

// AgainstReport says how far the predictions of a model are from those of its twin.
type AgainstReport struct {
	// Divergence is KL(twin ‖ model) in nats: what is lost by taking the model's
	// probabilities for the twin's. Median, Percentile99 and Max are over the tokens.
	Divergence   Estimate `json:"kl_divergence"`
	Median       float64  `json:"kl_median"`
	Percentile99 float64  `json:"kl_99"`
	Max          float64  `json:"kl_max"`
	// Agreement is the share of tokens for which both find the same token most likely.
	Agreement Estimate `json:"top_1_agreement"`
	// Loss is how much larger the model's −ln p of the text's tokens is than the twin's.
	Loss Estimate `json:"loss_difference"`
	// Perplexity is the model's, TwinPerplexity the twin's.
	Perplexity     float64 `json:"perplexity"`
	TwinPerplexity float64 `json:"twin_perplexity"`
	Scored         int     `json:"scored_tokens"`
	Tokens         int     `json:"tokens"` // of the text
	Windows        int     `json:"windows"`
	Context        int     `json:"context"`
}

// String returns the report as text.
func (r *AgainstReport) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "KL divergence    %.3g +/- %.2g nats (median %.3g, 99 %% below %.3g, largest %.3g)\n",
		r.Divergence.Mean, r.Divergence.StdErr, r.Median, r.Percentile99, r.Max)
	fmt.Fprintf(&b, "top-1 agreement  %.2f +/- %.2f %%\n", 100*r.Agreement.Mean, 100*r.Agreement.StdErr)
	fmt.Fprintf(&b, "perplexity       %.4f, that of the twin %.4f: ln of the ratio %.3g +/- %.2g\n",
		r.Perplexity, r.TwinPerplexity, r.Loss.Mean, r.Loss.StdErr)
	fmt.Fprintf(&b, "%d tokens scored in %d windows of %d", r.Scored, r.Windows, r.Context)
	return b.String()
}

// AgainstOptions configure a comparison.
type AgainstOptions struct {
	// Context is the length of a window in tokens; 0 means 512, or what the engines
	// hold or the text has if that is less.
	Context int
	// Progress, if not nil, is called after each window.
	Progress func(done, total int)
}

// Against compares a model with a twin, for example with the floats that it was made
// from, over a text: both predict the same tokens, which are scored as [Perplexity] does
// with windows side by side. Engines must not be in use by anything else; both may be one.
//
// The error is ErrReference for models of different vocabularies or with tokenizers that
// split the text differently, ErrText for a text of fewer than four tokens, ErrNumbers
// for logits that are not numbers.
func Against(ctx context.Context, e, twin *engine.Engine, tok, twinTok *tokenizer.Tokenizer, text string, o AgainstOptions) (*AgainstReport, error) {
	if a, b := e.Model().Config.Vocab, twin.Model().Config.Vocab; a != b {
		return nil, fmt.Errorf("%w: the model has %d tokens and its twin %d; their predictions cannot be compared", ErrReference, a, b)
	}
	tokens := tok.Encode(text)
	if other := twinTok.Encode(text); !slices.Equal(tokens, other) {
		i := 0
		for i < min(len(tokens), len(other)) && tokens[i] == other[i] {
			i++
		}
		return nil, fmt.Errorf("%w: the tokenizers of the model and its twin split the text differently from token %d on", ErrReference, i)
	}
	largest := min(e.Context(), twin.Context())
	if o.Context == 0 {
		o.Context = min(defaultWindow, largest, len(tokens))
	}
	switch {
	case len(tokens) < max(4, o.Context):
		return nil, fmt.Errorf("%w: it has %d tokens, less than one window of %d; take a longer text", ErrText, len(tokens), max(4, o.Context))
	case o.Context < 4 || o.Context > largest:
		return nil, fmt.Errorf("%w: windows of %d tokens, want 4 to the engines' context of %d", ErrOptions, o.Context, largest)
	}
	r := &AgainstReport{Tokens: len(tokens), Context: o.Context}
	var divergences, agreements, losses []float64
	nll := [2]float64{}
	score := func(target int32, logits [][]float32) error {
		kl := divergence(logits[1], logits[0])
		own, its := negLogProb(logits[0], target), negLogProb(logits[1], target)
		if sum := kl + own + its; math.IsNaN(sum) || math.IsInf(sum, 0) {
			return fmt.Errorf("%w: the logits before token %d, or its probability", ErrNumbers, target)
		}
		same := 0.0
		if argMax(logits[0]) == argMax(logits[1]) {
			same = 1
		}
		divergences, agreements, losses = append(divergences, kl), append(agreements, same), append(losses, own-its)
		nll[0] += own
		nll[1] += its
		return nil
	}
	ws := newWindows(tok, o.Context, o.Context, e, twin)
	total := len(tokens) / o.Context
	for w := range total {
		if err := ws.run(ctx, tokens[w*o.Context:(w+1)*o.Context], score); err != nil {
			return nil, fmt.Errorf("window %d: %w", w, err)
		}
		r.Windows++
		if o.Progress != nil {
			o.Progress(w+1, total)
		}
	}
	n := len(divergences)
	r.Scored = n
	r.Divergence, r.Agreement, r.Loss = estimate(divergences), estimate(agreements), estimate(losses)
	r.Perplexity = min(math.Exp(nll[0]/float64(n)), math.MaxFloat64)
	r.TwinPerplexity = min(math.Exp(nll[1]/float64(n)), math.MaxFloat64)
	r.Median, r.Max = medianAndMax(divergences) // which sorts them
	r.Percentile99 = divergences[(99*n+99)/100-1]
	return r, nil
}

// divergence returns KL(p ‖ q) in nats of the distributions that logits stand for.
func divergence(p, q []float32) float64 {
	lp, lq := logSum(p), logSum(q)
	sum := 0.0
	for i, x := range p {
		a := float64(x) - lp
		sum += math.Exp(a) * (a - (float64(q[i]) - lq))
	}
	return max(0, sum) // below 0 by rounding alone
}
