package profile

import (
	"strings"

	"trit/internal/engine"
	"trit/internal/head"
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

// workTable knows the work of every operation of an engine. It takes the formulas
// of Count apart: what each row has to do, what is read once for all rows, and
// what each position that a row attends to adds. The rows of a sequence read its
// keys and values once, as far as caches allow; more bytes than that are not
// counted.
type workTable struct {
	layers map[string]opWork // of one layer, or outside the layers
	// quantize is the work for the input of a multiplication, which the
	// operation after it tells.
	quantize map[string]opWork
}

// opWork is the work of one occurrence of an operation.
type opWork struct {
	row      Work // for each row
	once     Work // for all rows together
	position Work // for each position: operations per row, bytes per sequence
}

// times returns the work for so many rows. Together they attend to so many
// positions, of which length have to be read.
func (o opWork) times(rows int, positions, length int64) Work {
	n := int64(rows)
	return Work{
		MACs:  n*o.row.MACs + o.once.MACs,
		FLOPs: n*o.row.FLOPs + o.once.FLOPs + positions*o.position.FLOPs,
		Bytes: n*o.row.Bytes + o.once.Bytes + length*o.position.Bytes,
	}
}

func newWorkTable(c *model.Config, s Storage) (*workTable, error) {
	// The work at one position, and what another adds.
	near, err := Count(c, s, 0)
	if err != nil {
		return nil, err
	}
	far, err := Count(c, s, 1)
	if err != nil {
		return nil, err
	}
	t := &workTable{layers: map[string]opWork{}, quantize: map[string]opWork{}}
	residuals := []string{"attn_residual", "ffn_residual"}
	var pending *opWork
	for i, stage := range near.Stages {
		o := opWork{
			row:  Work{MACs: stage.MACs, FLOPs: stage.FLOPs},
			once: Work{Bytes: stage.WeightBytes},
		}
		name := stage.Name
		switch name {
		case "quantize":
			pending = &o
			continue
		case "rope":
			all := int64(c.Heads + c.KVHeads)
			q, k := o, o
			q.row.FLOPs, k.row.FLOPs = stage.FLOPs/all*int64(c.Heads), stage.FLOPs/all*int64(c.KVHeads)
			t.layers["q_rope"], t.layers["k_rope"] = q, k
			continue
		case "attention":
			more := far.Stages[i]
			o.position = Work{FLOPs: more.FLOPs - stage.FLOPs, Bytes: more.CacheRead - stage.CacheRead}
			o.row.FLOPs -= o.position.FLOPs
			t.layers[engine.OpStore] = opWork{row: Work{Bytes: stage.CacheWrite}}
			name = engine.OpAttention
		case "residual":
			name, residuals = residuals[0], residuals[1:]
		case "embedding":
			o.row.Bytes, o.once.Bytes = o.once.Bytes, 0
		case "head":
			// Bytes are counted by the engine, which may settle tokens with
			// less than their rows.
			o.once.Bytes = 0
			name = head.OpLogits
		}
		if pending != nil {
			t.quantize[name], pending = *pending, nil
		}
		t.layers[name] = o
	}
	return t, nil
}

// of returns the work of an operation of a frame.
func (t *workTable) of(f *frame, i int) Work {
	op := &f.ops[i]
	if op.name == model.OpQuantize {
		if i+1 == len(f.ops) {
			return Work{}
		}
		first, _, _ := strings.Cut(f.ops[i+1].name, "+")
		return t.quantize[first].times(op.rows, 0, 0)
	}
	var sum Work
	for rest := op.name; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, "+")
		o, ok := t.layers[name]
		if !ok {
			continue
		}
		sum.add(o.times(op.rows, f.info.Positions, f.info.Context))
	}
	return sum
}
