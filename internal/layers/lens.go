package layers

import (
	"fmt"
	"math"
	"slices"

	"trit/internal/kernel"
	"trit/internal/model"
	"trit/internal/parallel"
	"trit/quant"
)

// lensRows is how many hidden states are multiplied with the head at a time:
// each row of the head is then read once for all of them.
const lensRows = 8

// lensSliceRows is how many rows of the head a worker takes at a time.
const lensSliceRows = 128

// lensHead applies a model's output norm and output head to hidden states.
type lensHead struct {
	table   *model.Table
	norm    []float32 // [D]
	eps     float32
	team    *parallel.Team
	scratch [][]float32 // per worker
	x       []float32   // [lensRows, D]
	y       []float32   // [lensRows, V]
	n       int         // rows of the running section
}

func newLensHead(m *model.Model, threads int) (*lensHead, error) {
	h := &lensHead{table: m.Graph.Head(), eps: m.Config.NormEps, norm: make([]float32, m.Config.Hidden)}
	if !kernel.HeadSupports(h.table.Type) {
		return nil, fmt.Errorf("%w: the output head is stored as %s, which cannot be multiplied; choose stages without %s and no lens", ErrOptions, h.table.Type, LogitsStage)
	}
	name := outputNorm(m)
	tensor, ok := m.File.Tensor(name)
	if !ok || tensor.Elements() != int64(m.Config.Hidden) {
		return nil, fmt.Errorf("%w: the model has no tensor %s of %d elements, which logits need; choose stages without %s and no lens", ErrOptions, name, m.Config.Hidden, LogitsStage)
	}
	data, err := tensor.Data()
	if err == nil {
		err = quant.Decode(tensor.Type, h.norm, data)
	}
	if err != nil {
		return nil, fmt.Errorf("tensor %s: %w", name, err)
	}
	if h.team, err = parallel.NewTeam(threads); err != nil {
		return nil, err
	}
	for range threads {
		h.scratch = append(h.scratch, make([]float32, kernel.HeadScratch(h.table.Cols)))
	}
	h.x = make([]float32, lensRows*h.table.Cols)
	h.y = make([]float32, lensRows*h.table.Rows)
	return h, nil
}

// outputNorm returns the name of the weights of the norm before the head.
func outputNorm(m *model.Model) string {
	name := ""
	for _, op := range m.Tally(kernel.KVF32).Ops {
		if op.Layer == model.LayerOut && op.Kind == model.OpKindNorm {
			name = op.Tensors[0]
		}
	}
	return name
}

func (h *lensHead) close() { h.team.Close() }

// take makes x row i of the next run, through the output norm if that is still to
// be applied.
func (h *lensHead) take(i int, x []float32, norm bool) {
	dst := h.x[i*h.table.Cols : (i+1)*h.table.Cols]
	if norm {
		kernel.RMSNorm(dst, x, h.norm, h.eps)
	} else {
		copy(dst, x)
	}
}

// run computes the logits of the first n rows.
func (h *lensHead) run(n int) {
	h.n = n
	h.team.Run(h, (h.table.Rows+lensSliceRows-1)/lensSliceRows)
}

// Do implements parallel.Task.
func (h *lensHead) Do(worker, slice int) {
	t, size := h.table, h.table.RowBytes()
	from := slice * lensSliceRows
	to := min(from+lensSliceRows, t.Rows)
	kernel.HeadRows(h.y[from:], t.Rows, t.Data[from*size:to*size], t.Type, to-from, t.Cols, h.x, t.Cols, h.n, h.scratch[worker])
}

// row returns the logits of row i: [V].
func (h *lensHead) row(i int) []float32 { return h.y[i*h.table.Rows : (i+1)*h.table.Rows] }

// top returns the k most likely tokens of a row of logits and their
// probabilities. Logits that are NaN have none.
func (h *lensHead) top(logits []float32, k int, text func(int32) string) []LensToken {
	k = min(k, len(logits))
	best := make([]int32, 0, k+1)
	for i, x := range logits {
		if x != x || len(best) == k && k > 0 && x <= logits[best[k-1]] {
			continue
		}
		at, _ := slices.BinarySearchFunc(best, x, func(id int32, x float32) int {
			if logits[id] >= x {
				return -1
			}
			return 1
		})
		best = slices.Insert(best, at, int32(i))
		best = best[:min(len(best), k)]
	}
	if len(best) == 0 {
		return nil
	}
	largest, sum := float64(logits[best[0]]), 0.0
	for _, x := range logits {
		if x == x {
			sum += math.Exp(float64(x) - largest)
		}
	}
	out := make([]LensToken, len(best))
	for i, id := range best {
		p := math.Exp(float64(logits[id])-largest) / sum
		if math.IsNaN(p) {
			p = 0 // infinite logits have no distribution
		}
		out[i] = LensToken{ID: id, Text: text(id), Probability: p}
	}
	return out
}
