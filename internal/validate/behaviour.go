package validate

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"trit/gguf"
	"trit/internal/engine"
	"trit/internal/model"
	"trit/quant"
)

// ForwardDetail describes the stages of a pass over some tokens.
type ForwardDetail struct {
	Tokens int          `json:"tokens"`
	Stages []StageStats `json:"stages"`
	Logits *Stats       `json:"logits"`
}

// StageStats describes the values of a stage of a layer, for all tokens.
type StageStats struct {
	Stage string `json:"stage"` // as model.StageName has it: "3.attention"
	*Stats
}

// statsObserver describes every stage.
type statsObserver struct {
	stages []StageStats
}

// Stage implements model.Observer.
func (o *statsObserver) Stage(layer int, name string, rows, width int, data []float32) {
	stats := &Stats{}
	stats.add(data)
	stats.finish()
	o.stages = append(o.stages, StageStats{Stage: model.StageName(layer, name), Stats: stats})
}

const forwardTokens = 64

// checkForward runs some tokens and looks at every stage of every layer.
func (s *suite) checkForward(c *Check) error {
	if !s.start(c) {
		return nil
	}
	tokens := s.tokens(forwardTokens)
	o := &statsObserver{}
	logits, err := s.run(s.engine, tokens, len(tokens), o)
	if err != nil {
		return err
	}
	d := &ForwardDetail{Tokens: len(tokens), Stages: o.stages, Logits: &Stats{}}
	c.Detail = d
	d.Logits.add(logits)
	d.Logits.finish()
	largest := 0.0
	for _, stage := range d.Stages {
		if wrong := stage.healthy(); wrong != "" {
			c.fail("%s: %s", stage.Stage, wrong)
		}
		largest = max(largest, stage.Max, -stage.Min)
	}
	if wrong := d.Logits.healthy(); wrong != "" {
		c.fail("logits: %s", wrong)
	} else if d.Logits.Min == d.Logits.Max {
		c.fail("logits: all are %v", d.Logits.Min)
	}
	c.Summary = fmt.Sprintf("%d tokens, %d stages, largest value %.3g, logits %.3g to %.3g", d.Tokens, len(d.Stages), largest, d.Logits.Min, d.Logits.Max)
	return nil
}

// AttentionDetail describes the attention weights of all layers and heads.
type AttentionDetail struct {
	Tokens int `json:"tokens"`
	Layers int `json:"layers"`
	Heads  int `json:"heads"`
	// SumError is the largest difference between 1 and the sum of the weights
	// of a token; Ahead the largest weight on a later token.
	SumError float64 `json:"sum_error"`
	Ahead    float64 `json:"ahead"`
	// Entropy is the mean entropy of the weights, in bits, layer by layer.
	Entropy []float64 `json:"entropy_bits"`
	// Changed counts the earlier tokens whose logits change with the last token.
	Changed int `json:"changed_by_last_token"`
}

// attentionObserver makes the attention weights visible: with the value vector of
// position i set to 1 in element i and 0 elsewhere, element i of what attention
// gives for a token and a head is that token's weight on position i.
type attentionObserver struct {
	c        *Check
	d        *AttentionDetail
	config   *model.Config
	negative float64
}

// Stage implements model.Observer.
func (o *attentionObserver) Stage(layer int, name string, rows, width int, data []float32) {
	d := o.config.HeadDim
	switch name {
	case model.StageV:
		clear(data)
		for r := range rows {
			for h := range o.config.KVHeads {
				data[r*width+h*d+r] = 1
			}
		}
	case model.StageAttention:
		bits := 0.0
		for r := range rows {
			for h := range o.config.Heads {
				head := data[r*width+h*d : r*width+h*d+rows]
				sum := 0.0
				for i, w := range head {
					x := float64(w)
					if math.IsNaN(x) || math.IsInf(x, 0) {
						sum = math.NaN() // which fails below
						continue
					}
					if i > r {
						o.d.Ahead = max(o.d.Ahead, math.Abs(x))
						continue
					}
					o.negative = min(o.negative, x)
					sum += x
					if x > 0 {
						bits -= float64(x * math.Log2(x))
					}
				}
				if e := math.Abs(sum - 1); !(e <= sumTolerance) {
					o.c.fail("layer %d, head %d, token %d: the weights sum to %v", layer, h, r, sum)
				} else {
					o.d.SumError = max(o.d.SumError, e)
				}
			}
		}
		o.d.Layers++
		o.d.Entropy = append(o.d.Entropy, bits/float64(rows*o.config.Heads))
	}
}

// sumTolerance is what rounding explains in a sum of weights.
const sumTolerance = 1e-4

// checkAttention looks at all attention weights, and whether a later token has any
// effect on the logits of earlier ones.
func (s *suite) checkAttention(c *Check) error {
	if !s.start(c) {
		return nil
	}
	n := min(32, s.config.HeadDim)
	tokens := s.tokens(n)
	n = len(tokens)
	d := &AttentionDetail{Tokens: n, Heads: s.config.Heads, Entropy: []float64{}}
	c.Detail = d
	o := &attentionObserver{c: c, d: d, config: s.config}
	if _, err := s.run(s.engine, tokens, n, o); err != nil {
		return err
	}
	attending := s.config.Layers // the others have recurrences
	for _, recurrent := range s.config.Recurrent {
		if recurrent {
			attending--
		}
	}
	switch {
	case d.Layers != attending:
		c.fail("%d of %d layers have attention, want %d", d.Layers, s.config.Layers, attending)
	case d.Ahead != 0:
		c.fail("a token has the weight %g on a later one", d.Ahead)
	case o.negative < 0:
		c.fail("a weight is %g", o.negative)
	}
	before, err := s.run(s.engine, tokens, n, nil)
	if err != nil {
		return err
	}
	other := slices.Clone(tokens)
	other[n-1] = (other[n-1] + 1) % int32(s.config.Vocab)
	after, err := s.run(s.engine, other, n, nil)
	if err != nil {
		return err
	}
	vocab := s.config.Vocab
	for r := range n - 1 {
		if !sameBits(before[r*vocab:(r+1)*vocab], after[r*vocab:(r+1)*vocab]) {
			d.Changed++
		}
	}
	if d.Changed > 0 {
		c.fail("the last token changes the logits of %d earlier ones", d.Changed)
	}
	c.Summary = fmt.Sprintf("%d layers, %d heads, %d tokens: sums within %.1g of one, nothing ahead", d.Layers, d.Heads, n, d.SumError)
	return nil
}

func sameBits(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
}

// DecodeDetail compares ways to run the same tokens.
type DecodeDetail struct {
	Tokens int `json:"tokens"`
	// Different counts the tokens whose logits are not the same bits token by
	// token, and in uneven pieces beside another sequence, as in one batch.
	Different int `json:"different"`
	// Largest is the largest difference of two logits.
	Largest float64 `json:"largest_difference"`
}

// checkDecode runs tokens at once, one by one, and in pieces beside another
// sequence: the logits must be the same.
func (s *suite) checkDecode(c *Check) error {
	if !s.start(c) {
		return nil
	}
	tokens := s.tokens(24)
	whole, err := s.run(s.engine, tokens, len(tokens), nil)
	if err != nil {
		return err
	}
	single, err := s.run(s.engine, tokens, 1, nil)
	if err != nil {
		return err
	}
	shared, err := s.beside(tokens)
	if err != nil {
		return err
	}
	d := &DecodeDetail{Tokens: len(tokens)}
	c.Detail = d
	vocab := s.config.Vocab
	for _, way := range []struct {
		name   string
		logits []float32
	}{{"token by token", single}, {"beside another sequence", shared}} {
		first := -1
		for r := range tokens {
			a, b := whole[r*vocab:(r+1)*vocab], way.logits[r*vocab:(r+1)*vocab]
			if sameBits(a, b) {
				continue
			}
			d.Different++
			if first < 0 {
				first = r
			}
			for i := range a {
				if e := math.Abs(float64(a[i]) - float64(b[i])); e > d.Largest && !math.IsInf(e, 0) {
					d.Largest = e
				}
			}
		}
		if first >= 0 {
			c.fail("%s the logits differ from token %d on, by up to %g", way.name, first, d.Largest)
		}
	}
	c.Summary = fmt.Sprintf("%d tokens at once, one by one, and beside another sequence: the same bits", len(tokens))
	return nil
}

// beside runs tokens in pieces of 1, 2, 3, … with rows of another sequence between.
func (s *suite) beside(tokens []int32) ([]float32, error) {
	e := s.engine
	seq, other := e.NewSequence(), e.NewSequence()
	defer seq.Close()
	defer other.Close()
	b := e.NewBatch()
	var logits []float32
	for size := 1; len(tokens) > 0; size++ {
		b.Reset()
		n := min(size, len(tokens), max(1, e.MaxRows()-1))
		var rows []int
		for i, id := range tokens[:n] {
			if i == n/2 && e.MaxRows() > 1 && other.Len() < e.Context() {
				if _, err := b.Add(other, tokens[0], engine.None, nil); err != nil {
					return nil, err
				}
			}
			row, err := b.Add(seq, id, engine.All, nil)
			if err != nil {
				return nil, err
			}
			rows = append(rows, row)
		}
		if err := e.Step(b, nil); err != nil {
			return nil, err
		}
		for _, row := range rows {
			logits = append(logits, b.Logits(row)...)
		}
		tokens = tokens[n:]
	}
	return logits, nil
}

// PerplexityDetail has the perplexity of a simple text as the file is read, and as
// it would be if it were read in other ways.
type PerplexityDetail struct {
	*PerplexityReport
	Limit float64 `json:"limit"`
	// Alternatives are perplexities with other activation functions and
	// layouts, by the flag that asks for them.
	Alternatives map[string]float64 `json:"alternatives,omitempty"`
}

// betterBy is the share of the perplexity below which an alternative must come to
// be the right one. A wrong activation function triples it.
const betterBy = 0.8

// checkPerplexity predicts a simple text. A model that is read wrongly, by another
// layout of I2_S or another activation function, predicts it badly, or not as well
// as it could.
func (s *suite) checkPerplexity(c *Check) error {
	if s.tokenizer == nil {
		c.skip("there is no tokenizer")
		return nil
	}
	if !s.start(c) {
		return nil
	}
	if s.model.Embedding.Pooling != 0 {
		c.skip("the model makes vectors of texts and predicts none")
		return nil
	}
	base, err := s.perplexity(s.engine)
	if errors.Is(err, ErrText) {
		c.skip("%v", err)
		return nil
	}
	if err != nil {
		return err
	}
	d := &PerplexityDetail{PerplexityReport: base, Limit: s.o.MaxPerplexity, Alternatives: map[string]float64{}}
	if d.Limit == 0 {
		d.Limit = defaultMaxPerplexity
	}
	c.Detail = d
	c.Summary = base.String()
	bad := base.Perplexity > d.Limit
	if bad {
		c.fail("the perplexity of a simple text is %.4g, more than %.4g", base.Perplexity, d.Limit)
	}
	try := func(option string, m *model.Model) error {
		e, err := s.newEngine(m)
		if err != nil {
			return err
		}
		r, err := s.perplexity(e)
		e.Close()
		if errors.Is(err, ErrNumbers) {
			return nil // certainly not better
		}
		if err != nil {
			return err
		}
		d.Alternatives[option] = r.Perplexity
		if r.Perplexity < betterBy*base.Perplexity && r.Perplexity <= d.Limit {
			c.fail("with option %s the perplexity is %.4g instead of %.4g: the file is read wrongly without", option, r.Perplexity, base.Perplexity)
		}
		return nil
	}
	// The same weights serve with another activation function.
	other, config := *s.model, *s.model.Config
	other.Config = &config
	for _, act := range []model.HiddenAct{model.SiLU, model.ReLU2} {
		if act == s.config.HiddenAct {
			continue
		}
		config.HiddenAct = act
		if err := try("hidden_act "+act.String(), &other); err != nil {
			return err
		}
	}
	// Another layout means loading again: only a hopeless case is worth it.
	if !bad || !s.hasI2S() {
		return nil
	}
	for i, layout := range []quant.I2SLayout{quant.LayoutA, quant.LayoutB, quant.LayoutC} {
		if layout == s.o.Load.I2SLayout {
			continue
		}
		o := s.o.Load
		o.I2SLayout = layout
		m, err := s.load(o)
		if err != nil {
			c.warn("layout %v cannot be tried: %v", layout, err)
			continue
		}
		if err := try("i2s_layout "+string("abc"[i]), m); err != nil {
			return err
		}
	}
	return nil
}

func (s *suite) hasI2S() bool {
	return slices.ContainsFunc(s.file.Tensors, func(t *gguf.Tensor) bool { return t.Type == gguf.TypeI2S })
}

// perplexity measures the text in windows of at most 256 tokens that overlap by
// half.
func (s *suite) perplexity(e *engine.Engine) (*PerplexityReport, error) {
	n := min(len(s.tokenizer.Encode(s.text())), 256, e.Context())
	if n < 16 {
		return nil, fmt.Errorf("%w: %d tokens are too few to judge by", ErrText, n)
	}
	return Perplexity(s.ctx, e, s.tokenizer, s.text(), PerplexityOptions{Context: n, Stride: max(1, n/2)})
}
