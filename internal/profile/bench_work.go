package profile

import (
	"trit/internal/kernel"
	"trit/internal/model"
)

// layerWork is what the layers of a model do for tokens, as its graph tells: of experts
// only what those do that a token uses.
type layerWork struct {
	macs    int64 // of a token
	bytes   int64 // of weights, for any number of tokens together
	experts []model.Cost
	attends []model.Cost
}

func newLayerWork(m *model.Model, kv kernel.KVType) *layerWork {
	w := &layerWork{}
	for _, op := range m.Tally(kv).Ops {
		switch c := op.Cost; op.Kind {
		case model.OpKindProject:
			w.macs += max(c.MACs, c.FLOPs/2) // inputs that are not rounded count as much
			w.bytes += c.WeightBytes
			if c.MostBytes > 0 {
				w.experts = append(w.experts, c)
			}
		case model.OpKindMultiply:
			w.bytes += c.WeightBytes
		case model.OpKindAttend:
			w.attends = append(w.attends, c)
		}
	}
	return w
}

// weightBytes returns what of the weights a step of so many tokens reads at most.
func (w *layerWork) weightBytes(tokens int) (bytes int64) {
	for _, c := range w.experts {
		bytes += min(int64(tokens)*c.RowBytes, c.MostBytes)
	}
	return w.bytes + bytes
}

// cacheBytes returns what a token that attends to so many positions, on average, reads
// of keys and values.
func (w *layerWork) cacheBytes(positions float64) (bytes float64) {
	for _, c := range w.attends {
		if c.Window != 0 {
			bytes += min(positions, float64(c.Window)) * float64(c.PositionBytes)
		} else {
			bytes += positions * float64(c.PositionBytes)
		}
	}
	return bytes
}
