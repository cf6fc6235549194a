package profile

import (
	"slices"

	"trit/internal/engine"
	"trit/internal/kernel"
	"trit/internal/model"
)

// Work is what an operation has to do.
type Work struct {
	MACs  int64 `json:"macs"`  // int8 multiply-accumulates
	FLOPs int64 `json:"flops"` // float operations
	Bytes int64 `json:"bytes"` // of weights and of the KV cache, read or written
}

func (w *Work) add(o Work) {
	w.MACs += o.MACs
	w.FLOPs += o.FLOPs
	w.Bytes += o.Bytes
}

// workTable knows the work of every operation of an engine, by the tally of its
// model. The rows of a sequence read its keys and values once, as far as caches
// allow; more bytes than that are not counted.
type workTable struct {
	ops map[layerOp]opWork
	// quantize is the rounding of the input of a multiplication, which the
	// operation after it tells.
	quantize map[layerOp]opWork
	// unknown are operations that neither the tally nor the engine knows. Their
	// work is not counted.
	unknown []string
}

// opWork is the work of an operation, and the name that people know it by.
type opWork struct {
	model.Cost
	group string
}

func newWorkTable(m *model.Model, kv kernel.KVType) *workTable {
	t := &workTable{ops: map[layerOp]opWork{}, quantize: map[layerOp]opWork{}}
	tally := m.Tally(kv)
	ops := tally.Ops
	for i, op := range ops {
		at, w := layerOp{op.Layer, op.Name}, opWork{op.Cost, op.Group()}
		switch op.Kind {
		case model.OpKindQuantize:
			t.quantize[layerOp{op.Layer, ops[i+1].Name}] = w
			continue
		case model.OpKindAttend:
			// The engine attends in two steps.
			t.ops[layerOp{op.Layer, engine.OpStore}] = opWork{model.Cost{StoreBytes: w.StoreBytes}, engine.OpGroup(engine.OpStore)}
			w.StoreBytes = 0
			at.op = engine.OpAttention
		case model.OpKindHead:
			// Bytes are counted by the engine, which may settle tokens with
			// less than their rows.
			w.WeightBytes = 0
		}
		t.ops[at] = w
	}
	for _, op := range tally.Fused() {
		at := layerOp{op.Layer, op.Name}
		t.ops[at] = opWork{op.Cost, op.Group()}
		t.quantize[at] = t.quantize[layerOp{op.Layer, op.First}]
	}
	return t
}

// of returns the work of an operation of a frame, and the name that people know it
// by.
func (t *workTable) of(f *frame, i int) (Work, string) {
	op := &f.ops[i]
	at, table := layerOp{op.layer, op.name}, t.ops
	if op.name == model.OpQuantize && i+1 < len(f.ops) {
		at, table = layerOp{op.layer, f.ops[i+1].name}, t.quantize
	}
	w, ok := table[at]
	if !ok {
		group := engine.OpGroup(op.name)
		switch {
		case op.name == opSample:
			group = "sampling"
		case group == "":
			group = op.name
			if !slices.Contains(t.unknown, op.name) {
				t.unknown = append(t.unknown, op.name)
			}
		}
		return Work{}, group
	}
	// Together the rows attend to so many positions, of which those of the last
	// row of each sequence have to be read.
	n := int64(op.rows)
	positions, context := f.info.Positions, f.info.Context
	if w.Window != 0 {
		positions, context = f.info.Windowed, f.info.WindowedContext
	}
	rowBytes := n * w.RowBytes
	if w.MostBytes != 0 {
		rowBytes = min(rowBytes, w.MostBytes)
	}
	return Work{
		MACs:  n * w.MACs,
		FLOPs: n*w.FLOPs + positions*w.PositionFLOPs,
		Bytes: rowBytes + n*w.StoreBytes + w.WeightBytes - op.skipped + context*w.PositionBytes,
	}, w.group
}
