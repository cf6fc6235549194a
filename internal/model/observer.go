package model

import "strconv"

// Observer sees the stages of a pass. It is how a run is traced, profiled and
// checked.
type Observer interface {
	// Stage is called after the named stage of a layer (or LayerIn, LayerOut)
	// has been computed, with its result: rows × width values, row by row. The
	// observer may overwrite them; the pass goes on with what it finds.
	// StageQ, StageK and StageV are observed before k and v are rounded into
	// the KV cache.
	Stage(layer int, name string, rows, width int, data []float32)
}

// The names of the stages around attention, which all graphs have in common. All
// others are a graph's own: see [Model.Tally].
const (
	StageQ         = "q_rope"    // the rotated queries
	StageK         = "k_rope"    // the rotated keys
	StageV         = "v"         // the values
	StageAttention = "attention" // the weighted sums of values, heads concatenated
)

// The layers of stages outside the layers: the embedding before the first and
// the output norm after the last.
const (
	LayerIn  = -1
	LayerOut = -2
)

// StageName returns the full name of a stage, for example "0.attn_norm",
// "in.embedding" or "out.output_norm".
func StageName(layer int, name string) string {
	switch layer {
	case LayerIn:
		return "in." + name
	case LayerOut:
		return "out." + name
	}
	return strconv.Itoa(layer) + "." + name
}
