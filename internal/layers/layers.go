// Package layers records the values of every layer of a model while it reads a prompt ([Trace]), writes them to a
// file ([Writer], [Reader]), judges them ([Health]) and finds the first stage at which two recordings part
// ([Compare]).
package layers

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"trit/internal/engine"
	"trit/internal/model"
)

// Errors of layer traces, wrapped with what and where.
var (
	// ErrOptions reports layers, stages or tokens that the model or the
	// prompt does not have.
	ErrOptions = errors.New("layers: bad layer trace option")
	// ErrFile reports a file that is no layer trace, or a damaged one.
	ErrFile = errors.New("layers: bad layer trace")
	// ErrNotComparable reports traces of different inputs or of different
	// selections.
	ErrNotComparable = errors.New("layers: the traces cannot be compared")
)

// LogitsStage is the stage after the last: the output head applied to the final
// hidden state. It is no stage of the pass; [Trace] computes it for the
// chosen tokens, with the head as it is stored.
const LogitsStage = "logits"

// DefaultSamples is how many values a record keeps of each kind unless the
// options say otherwise.
const DefaultSamples = 16

const maxLayerSamples = 1 << 20

// TraceOptions say what [Trace] records. The zero value records every
// stage of every layer for every token.
type TraceOptions struct {
	// Layers are the layers to record, model.LayerIn and model.LayerOut for the
	// embedding and the output norm; nil means all.
	Layers []int
	// Stages are the names of stages without the layer, for example "q_rope";
	// nil means all of the model, and LogitsStage.
	Stages []string
	// Tokens are positions; −1 is the last one. Nil means all.
	Tokens []int
	// Samples is how many of the first values of a tensor are kept, and how many
	// that are spread over it; 0 means DefaultSamples.
	Samples int
	// Lens, if not 0, is how many tokens the logit lens reports for each layer.
	Lens int

	// Model and Prompt are recorded as they are: the name of the model and the
	// text that became the tokens.
	Model, Prompt string
	// Text gives the text of a token, for readers; it may be nil.
	Text func(id int32) string
	// Settings are overrides that the configuration does not show, for example
	// the packing of I2_S tensors.
	Settings map[string]string
}

// Header says what a trace was made of: what must agree before two traces
// can be compared, and what explains why they differ.
type Header struct {
	Format  string `json:"format"` // "trit-layers"
	Version int    `json:"version"`

	Model        string `json:"model"` // as it was opened
	Name         string `json:"name"`  // general.name
	Architecture string `json:"architecture"`
	// Identity is a hash of the hyper-parameters and of all weights as stored.
	Identity string            `json:"identity"`
	Numerics int               `json:"numerics"` // engine.Numerics
	Config   Config            `json:"config"`
	KVType   string            `json:"kv_type"`
	CPU      string            `json:"cpu"`
	Settings map[string]string `json:"settings,omitempty"`

	Prompt    string   `json:"prompt,omitempty"`
	Tokens    []int32  `json:"tokens"`
	Texts     []string `json:"token_texts,omitempty"`
	Positions []int    `json:"positions"`    // of the recorded tokens, ascending
	Layers    []string `json:"layers"`       // recorded: "in", "0", …, "out"
	Stages    []string `json:"stages"`       // recorded, in the order they are computed
	Known     []string `json:"model_stages"` // all that the model has
	// Origins say what computes a stage, and Ends which stages are the result of a
	// layer. Traces of other programs need not have them.
	Origins   map[string]Origin `json:"origins,omitempty"`
	Ends      []string          `json:"layer_ends,omitempty"`
	Samples   int               `json:"samples"`
	BatchRows int               `json:"batch_rows"` // tokens of one pass, at most
}

// Origin says what computes a stage, as model.StageOp does.
type Origin struct {
	Kind   model.OpKind `json:"kind"`
	Tensor string       `json:"tensor,omitempty"` // its name within the layer
	From   string       `json:"from,omitempty"`   // a stage
}

// Config are the hyper-parameters in effect.
type Config struct {
	Vocab       int     `json:"vocab"`
	Hidden      int     `json:"hidden"`
	Layers      int     `json:"layers"`
	FFN         int     `json:"ffn"`
	Heads       int     `json:"heads"`
	KVHeads     int     `json:"kv_heads"`
	HeadDim     int     `json:"head_dim"`
	RopeDim     int     `json:"rope_dim"`
	RopeBase    float64 `json:"rope_base"`
	RopeScale   float64 `json:"rope_scale"`
	RopeStyle   string  `json:"rope_style"`
	NormEps     float32 `json:"norm_eps"`
	AttnScale   float32 `json:"attn_scale"`
	HiddenAct   string  `json:"hidden_act"`
	Activations string  `json:"activations"`
}

func layerConfig(c *model.Config) Config {
	return Config{
		Vocab: c.Vocab, Hidden: c.Hidden, Layers: c.Layers, FFN: c.FFN, Heads: c.Heads, KVHeads: c.KVHeads, HeadDim: c.HeadDim,
		RopeDim: c.RopeDim, RopeBase: c.RopeBase, RopeScale: c.RopeScale, RopeStyle: c.RopeStyle.String(),
		NormEps: c.NormEps, AttnScale: c.AttnScale, HiddenAct: c.HiddenAct.String(), Activations: c.Activations.String(),
	}
}

// LensRecord is what the model would predict after a token if a layer were its
// last: the output norm and the head applied to the layer's output. The record
// of the layer "out" is the model's own prediction.
//
// The method is nostalgebraist's logit lens.
type LensRecord struct {
	Layer string      `json:"layer"` // "in", "0", …, "out"
	Token int         `json:"token"` // position
	Top   []LensToken `json:"top"`
}

// LensToken is a predicted token.
type LensToken struct {
	ID          int32   `json:"id"`
	Text        string  `json:"text,omitempty"`
	Probability float64 `json:"probability"`
}

// Sink receives a trace as it is made. What the pointers refer to is valid
// during the call.
type Sink interface {
	Header(h *Header) error
	Stage(r *Record) error
	Lens(r *LensRecord) error
}

// Sinks passes a trace on to several sinks.
type Sinks []Sink

// Header implements Sink.
func (s Sinks) Header(h *Header) error {
	return s.each(func(k Sink) error { return k.Header(h) })
}

// Stage implements Sink.
func (s Sinks) Stage(r *Record) error {
	return s.each(func(k Sink) error { return k.Stage(r) })
}

// Lens implements Sink.
func (s Sinks) Lens(r *LensRecord) error {
	return s.each(func(k Sink) error { return k.Lens(r) })
}

func (s Sinks) each(f func(Sink) error) error {
	for _, k := range s {
		if err := f(k); err != nil {
			return err
		}
	}
	return nil
}

// Trace runs tokens on an empty session and describes the stages of the
// pass to a sink, one record for each stage and chosen token. It holds one
// record at a time.
//
// The records come in the order of the computation: passes of at most
// BatchRows tokens, in them layer after layer and stage after stage, for each
// the tokens in their order.
func Trace(ctx context.Context, s *engine.Session, tokens []int32, o TraceOptions, sink Sink) error {
	if s.Len() != 0 {
		return fmt.Errorf("%w: the session holds %d tokens already", ErrOptions, s.Len())
	}
	if len(tokens) == 0 {
		return fmt.Errorf("%w: there are no tokens", ErrOptions)
	}
	if o.Samples == 0 {
		o.Samples = DefaultSamples
	}
	if o.Samples < 1 || o.Samples > maxLayerSamples {
		return fmt.Errorf("%w: %d samples, want 1 to %d", ErrOptions, o.Samples, maxLayerSamples)
	}
	t, err := newLayerTracer(s.Scheduler().Engine(), tokens, o, sink)
	if err != nil {
		return err
	}
	defer t.close()
	if err := sink.Header(t.header); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t.cancel = cancel
	err = s.Observe(ctx, tokens, engine.Hidden, len(tokens)-1, t)
	switch {
	case t.err != nil:
		return t.err
	case err != nil:
		return err
	case t.start+t.rows != len(tokens):
		return fmt.Errorf("%w: %d of %d tokens were observed", ErrOptions, t.start+t.rows, len(tokens))
	}
	return nil
}

// ParseLayers reads a selection of layers for [TraceOptions]: "all", or
// numbers, ranges like 3-5, in and out, separated by commas. All gives nil.
func ParseLayers(list string) ([]int, error) {
	if list == "all" {
		return nil, nil
	}
	var layers []int
	for _, part := range strings.Split(list, ",") {
		part = strings.TrimSpace(part)
		switch part {
		case "in":
			layers = append(layers, model.LayerIn)
			continue
		case "out":
			layers = append(layers, model.LayerOut)
			continue
		}
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		a, err1 := strconv.ParseUint(from, 10, 16)
		b, err2 := strconv.ParseUint(to, 10, 16)
		if err1 != nil || err2 != nil || a > b {
			return nil, fmt.Errorf("%w: layers %q: %q is no layer (want for example 0,3-5,in,out or all)", ErrOptions, list, part)
		}
		for l := a; l <= b; l++ {
			layers = append(layers, int(l))
		}
	}
	return layers, nil
}

// ParsePositions reads a selection of tokens for [TraceOptions]: "all", or
// positions and ranges like 2-8, separated by commas; −1 is the last token. All
// gives nil.
func ParsePositions(list string) ([]int, error) {
	if list == "all" {
		return nil, nil
	}
	var tokens []int
	for _, part := range strings.Split(list, ",") {
		part = strings.TrimSpace(part)
		if n, err := strconv.ParseInt(part, 10, 32); err == nil {
			tokens = append(tokens, int(n))
			continue
		}
		from, to, _ := strings.Cut(part, "-")
		a, err1 := strconv.ParseUint(from, 10, 24)
		b, err2 := strconv.ParseUint(to, 10, 24)
		if err1 != nil || err2 != nil || a > b {
			return nil, fmt.Errorf("%w: tokens %q: %q is no position (want for example 0,2-8,-1 or all)", ErrOptions, list, part)
		}
		for t := a; t <= b; t++ {
			tokens = append(tokens, int(t))
		}
	}
	return tokens, nil
}
