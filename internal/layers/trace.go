package layers

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"trit/internal/engine"
	"trit/internal/kernel"
	"trit/internal/model"
)

// layerTracer implements model.Observer.
type layerTracer struct {
	header *Header
	sink   Sink
	layers map[int]bool
	stages map[string]bool
	first  model.StageOp  // of a pass
	output map[int]string // the stage that ends a layer
	text   func(int32) string
	head   *lensHead // nil if nothing needs logits
	lens   int

	start, rows int // of the running pass
	record      Record
	picked      []int // scratch: rows of the running pass
	err         error
	cancel      context.CancelFunc
}

func newLayerTracer(e *engine.Engine, tokens []int32, o TraceOptions, sink Sink) (*layerTracer, error) {
	m := e.Model()
	c := m.Config
	graph := m.Tally(e.Cache().Config().Type)
	t := &layerTracer{sink: sink, layers: map[int]bool{}, stages: map[string]bool{}, output: map[int]string{}, lens: o.Lens, text: o.Text, first: graph.Stages[0]}
	h := &Header{
		Format: layerFormat, Version: layerVersion, Model: o.Model, Name: c.Name, Architecture: c.Architecture,
		Numerics: engine.Numerics, Config: layerConfig(c), KVType: e.Cache().Config().Type.String(), CPU: kernel.Active().String(),
		Settings: o.Settings, Prompt: o.Prompt, Tokens: tokens, Samples: o.Samples, BatchRows: e.MaxRows(),
	}
	t.header = h
	if t.text != nil {
		for _, id := range tokens {
			h.Texts = append(h.Texts, t.text(id))
		}
	} else {
		t.text = func(int32) string { return "" }
	}
	if err := t.pickLayers(o.Layers, c.Layers); err != nil {
		return nil, err
	}
	if err := t.pickStages(o.Stages, graph, c.Hidden); err != nil {
		return nil, err
	}
	if err := t.pickTokens(o.Tokens, len(tokens)); err != nil {
		return nil, err
	}
	if o.Lens < 0 || o.Lens > c.Vocab {
		return nil, fmt.Errorf("%w: the lens can report 1 to %d tokens, not %d", ErrOptions, c.Vocab, o.Lens)
	}
	if t.wantsLogits() || o.Lens > 0 {
		var err error
		if t.head, err = newLensHead(m, e.Threads()); err != nil {
			return nil, err
		}
	}
	id, err := e.Identity()
	if err != nil {
		t.close()
		return nil, err
	}
	h.Identity = hex.EncodeToString(id.Weights[:])
	return t, nil
}

// pickLayers fills in which layers are recorded.
func (t *layerTracer) pickLayers(layers []int, n int) error {
	all := []int{model.LayerIn}
	for i := range n {
		all = append(all, i)
	}
	all = append(all, model.LayerOut)
	for _, l := range layers {
		if !slices.Contains(all, l) {
			return fmt.Errorf("%w: layer %d; the model has the layers 0 to %d, in and out", ErrOptions, l, n-1)
		}
	}
	for _, l := range all {
		if layers == nil || slices.Contains(layers, l) {
			t.layers[l] = true
			t.header.Layers = append(t.header.Layers, layerName(l))
		}
	}
	return nil
}

// pickStages fills in which stages are recorded, and where layers end: with
// their last stage that is as wide as the residual stream.
func (t *layerTracer) pickStages(stages []string, graph *model.Tally, hidden int) error {
	var known []string
	t.header.Origins = map[string]Origin{}
	for _, s := range graph.Stages {
		if !slices.Contains(known, s.Name) {
			known = append(known, s.Name)
			t.header.Origins[s.Name] = Origin{Kind: s.Kind, Tensor: s.Tensor, From: s.From}
		}
		if s.Width == hidden {
			t.output[s.Layer] = s.Name
		}
	}
	for _, name := range known {
		if slices.Contains(slices.Collect(maps.Values(t.output)), name) {
			t.header.Ends = append(t.header.Ends, name)
		}
	}
	known = append(known, LogitsStage)
	head := graph.Ops[len(graph.Ops)-1]
	t.header.Origins[LogitsStage] = Origin{Kind: head.Kind, Tensor: head.Tensors[0]}
	t.header.Known = known
	for _, name := range stages {
		if !slices.Contains(known, name) {
			return fmt.Errorf("%w: there is no stage %q (the stages of this model: %s)", ErrOptions, name, strings.Join(known, ", "))
		}
	}
	for _, name := range known {
		if stages == nil || slices.Contains(stages, name) {
			t.stages[name] = true
			t.header.Stages = append(t.header.Stages, name)
		}
	}
	return nil
}

// pickTokens fills in the positions that are recorded.
func (t *layerTracer) pickTokens(tokens []int, n int) error {
	if tokens == nil {
		for i := range n {
			tokens = append(tokens, i)
		}
	}
	for _, p := range tokens {
		at := p
		if at < 0 {
			at += n
		}
		if at < 0 || at >= n {
			return fmt.Errorf("%w: token %d; the prompt has %d tokens, 0 to %d or −%d to −1", ErrOptions, p, n, n-1, n)
		}
		t.header.Positions = append(t.header.Positions, at)
	}
	slices.Sort(t.header.Positions)
	t.header.Positions = slices.Compact(t.header.Positions)
	return nil
}

func (t *layerTracer) wantsLogits() bool { return t.layers[model.LayerOut] && t.stages[LogitsStage] }

func (t *layerTracer) close() {
	if t.head != nil {
		t.head.close()
	}
}

// Stage implements model.Observer.
func (t *layerTracer) Stage(layer int, name string, rows, width int, data []float32) {
	if layer == t.first.Layer && name == t.first.Name {
		t.start += t.rows
		t.rows = rows
	}
	if t.err != nil {
		return
	}
	lo, _ := slices.BinarySearch(t.header.Positions, t.start)
	hi, _ := slices.BinarySearch(t.header.Positions, t.start+rows)
	t.picked = t.picked[:0]
	for _, pos := range t.header.Positions[lo:hi] {
		t.picked = append(t.picked, pos-t.start)
	}
	if len(t.picked) == 0 {
		return
	}
	if t.layers[layer] && t.stages[name] {
		for _, row := range t.picked {
			t.emit(model.StageName(layer, name), t.start+row, data[row*width:(row+1)*width])
		}
	}
	if t.head != nil && name == t.output[layer] {
		t.predict(layer, width, data)
	}
}

// emit describes one row to the sink.
func (t *layerTracer) emit(stage string, token int, row []float32) {
	if t.err != nil {
		return
	}
	t.record.describe(stage, token, row, t.header.Samples)
	t.fail(t.sink.Stage(&t.record))
}

// fail keeps the first error and ends the run.
func (t *layerTracer) fail(err error) {
	if err != nil && t.err == nil {
		t.err = err
		t.cancel()
	}
}

// predict applies the head to a layer's output: the output norm comes first,
// except where the pass has applied it already.
func (t *layerTracer) predict(layer, width int, data []float32) {
	logits := layer == model.LayerOut && t.wantsLogits()
	lens := t.lens > 0 && t.layers[layer]
	if !logits && !lens {
		return
	}
	for i := 0; i < len(t.picked) && t.err == nil; i += lensRows {
		rows := t.picked[i:min(i+lensRows, len(t.picked))]
		for k, row := range rows {
			t.head.take(k, data[row*width:(row+1)*width], layer != model.LayerOut)
		}
		t.head.run(len(rows))
		for k, row := range rows {
			y := t.head.row(k)
			if logits {
				t.emit(model.StageName(layer, LogitsStage), t.start+row, y)
			}
			top := t.head.top(y, max(t.lens, finalLens), t.text)
			if layer != model.LayerOut && len(top) > t.lens {
				top = top[:t.lens]
			}
			if t.err == nil {
				t.fail(t.sink.Lens(&LensRecord{Layer: layerName(layer), Token: t.start + row, Top: top}))
			}
		}
	}
}

// finalLens is how many tokens of the model's own prediction are recorded at
// least.
const finalLens = 3

// layerName returns the name of a layer as stage names begin with it.
func layerName(layer int) string {
	name, _, _ := strings.Cut(model.StageName(layer, ""), ".")
	return name
}
