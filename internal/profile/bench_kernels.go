package profile

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"trit/internal/kernel"
	"trit/internal/model/synth"
	"trit/internal/parallel"
	"trit/internal/ternary"
)

// KernelOptions say which kernels BenchKernels compares. The zero value takes all
// of them, on the shapes of all known models.
type KernelOptions struct {
	// Shapes are the models whose matrices are used; nil means all of package
	// synth but the tiny ones.
	Shapes []synth.Shape
	// Tokens are the numbers of tokens per product; nil means 1, 8, 64, 256.
	Tokens []int
	// Threads is the size of the larger of two teams, the other being one
	// worker; 0 means one per physical core.
	Threads int
	// Time is how long one measurement takes; 0 means 15 ms.
	Time time.Duration
	// WeightBytes is how many bytes of weights a measurement runs through; 0
	// means 96 MB, or more where a cache is larger.
	WeightBytes int
	// LimitBytes is as in BenchOptions.
	LimitBytes int
	// Progress, if not nil, is told what is being done.
	Progress func(what string, done, total int)
}

// KernelReport is the result of BenchKernels.
type KernelReport struct {
	CPU string `json:"cpu_level"`
	// Limits of the machine with each number of threads.
	Limits  []KernelLimits `json:"limits"`
	Results []KernelResult `json:"results"`
}

// KernelLimits are the machine's limits with so many threads.
type KernelLimits struct {
	Threads       int     `json:"threads"`
	ReadBandwidth float64 `json:"read_bandwidth_bytes_per_second"`
	Int8MACs      float64 `json:"int8_macs_per_second"`
	TileMACs      float64 `json:"tile_macs_per_second"` // 0 without tiles
}

// KernelResult is the speed of one kernel on one shape.
type KernelResult struct {
	Rows    int      `json:"rows"`
	Cols    int      `json:"cols"`
	Models  []string `json:"models"` // that have matrices of this shape
	Layout  string   `json:"layout"`
	Variant string   `json:"variant"`
	Tokens  int      `json:"tokens"`
	Threads int      `json:"threads"`
	// GBPerSecond counts packed weights, once per product.
	GBPerSecond float64 `json:"gb_per_second"`
	// GMACsPerSecond counts multiply-accumulates of weights with tokens.
	GMACsPerSecond float64 `json:"gmacs_per_second"`
}

// kernelShape is a shape and who has it.
type kernelShape struct {
	rows, cols int
	models     []string
}

// kernelShapes lists the different shapes of models, in their order.
func kernelShapes(models []synth.Shape) []kernelShape {
	var shapes []kernelShape
	index := map[[2]int]int{}
	for _, m := range models {
		for _, p := range m.Projections() {
			key := [2]int{p.Rows, p.Cols}
			i, ok := index[key]
			if !ok {
				i = len(shapes)
				index[key] = i
				shapes = append(shapes, kernelShape{rows: p.Rows, cols: p.Cols})
			}
			if n := len(shapes[i].models); n == 0 || shapes[i].models[n-1] != m.Name {
				shapes[i].models = append(shapes[i].models, m.Name)
			}
		}
	}
	return shapes
}

// BenchKernels measures products of random ternary matrices with int8
// activations: every layout and variant, on one worker and on all. Weights are
// streamed from copies that no cache holds. It stops with the context's error.
func BenchKernels(ctx context.Context, o KernelOptions) (*KernelReport, error) {
	if o.Shapes == nil {
		for _, s := range synth.Shapes() {
			if !strings.HasPrefix(s.Name, "tiny") {
				o.Shapes = append(o.Shapes, s)
			}
		}
	}
	if o.Tokens == nil {
		o.Tokens = []int{1, 8, 64, 256}
	}
	for _, n := range o.Tokens {
		if n < 1 || n > maxBatch {
			return nil, fmt.Errorf("%w: %d tokens per product, want 1 to %d", ErrBench, n, maxBatch)
		}
	}
	o.Threads = parallel.Workers(o.Threads)
	if o.Time == 0 {
		o.Time = 15 * time.Millisecond
	}
	if o.WeightBytes == 0 {
		o.WeightBytes = max(96<<20, int(min(2*largestCache(), 1<<30)))
	}
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	report := &KernelReport{CPU: kernel.Active().String()}
	sizes := []int{1}
	if o.Threads > 1 {
		sizes = append(sizes, o.Threads)
	}
	var teams []*parallel.Team
	for _, n := range sizes {
		team, err := parallel.NewTeam(n)
		if err != nil {
			return nil, err
		}
		defer team.Close()
		teams = append(teams, team)
		o.Progress("measuring the machine", 0, 0)
		l := newLimitProbe(team, o.LimitBytes, o.Time).measure()
		report.Limits = append(report.Limits, KernelLimits{Threads: n, ReadBandwidth: l.ReadBandwidth, Int8MACs: l.Int8MACs, TileMACs: l.TileMACs})
	}
	shapes := kernelShapes(o.Shapes)
	for i, s := range shapes {
		o.Progress(fmt.Sprintf("kernels on %d × %d", s.rows, s.cols), i, len(shapes))
		for _, layout := range ternary.Layouts() {
			if err := benchShape(ctx, report, &o, s, layout, teams); err != nil {
				return nil, err
			}
		}
	}
	return report, nil
}

// benchShape adds the results for one shape and layout.
func benchShape(ctx context.Context, report *KernelReport, o *KernelOptions, s kernelShape, layout ternary.Layout, teams []*parallel.Team) error {
	copies, err := weightCopies(layout, s.rows, s.cols, o.WeightBytes)
	if err != nil {
		return err
	}
	for _, tokens := range o.Tokens {
		x := randomActivations(tokens, s.cols)
		for _, variant := range kernel.Variants() {
			for _, team := range teams {
				if err := ctx.Err(); err != nil {
					return err
				}
				t := newProductTask(copies, x, tokens, variant, team.Size())
				bytes, macs := t.measure(team, o.Time)
				report.Results = append(report.Results, KernelResult{
					Rows: s.rows, Cols: s.cols, Models: s.models, Layout: layout.String(), Variant: variant.String(),
					Tokens: tokens, Threads: team.Size(), GBPerSecond: bytes / 1e9, GMACsPerSecond: macs / 1e9,
				})
			}
		}
	}
	return nil
}

// weightCopies returns as many random matrices of a shape as fill size bytes.
// Their panels are copies of a few, which makes no difference to kernels.
func weightCopies(layout ternary.Layout, rows, cols, size int) ([]*ternary.Matrix, error) {
	rng := rand.New(rand.NewPCG(3, uint64(rows)<<32|uint64(cols)))
	pattern, err := ternary.New(layout, 4*ternary.PanelRows, cols)
	if err != nil {
		return nil, err
	}
	codes := make([][]byte, ternary.PanelRows)
	for p := range pattern.Panels() {
		for r := range codes {
			codes[r] = make([]byte, cols)
			for c := range codes[r] {
				codes[r][c] = byte(rng.IntN(3))
			}
		}
		if err := pattern.SetPanel(p, codes); err != nil {
			return nil, err
		}
	}
	var copies []*ternary.Matrix
	for left := size; left > 0 || len(copies) == 0; {
		m, err := ternary.New(layout, rows, cols)
		if err != nil {
			return nil, err
		}
		for p := range m.Panels() {
			copy(m.Panel(p), pattern.Panel(p%pattern.Panels()))
		}
		copies = append(copies, m)
		left -= len(m.Data)
	}
	return copies, nil
}

// randomActivations returns quantised rows.
func randomActivations(tokens, cols int) *kernel.Int8 {
	rng := rand.New(rand.NewPCG(4, uint64(cols)))
	x := kernel.NewInt8(tokens, cols)
	row := make([]float32, cols)
	for t := range tokens {
		for i := range row {
			row[i] = rng.Float32() - 0.5
		}
		kernel.QuantizeRow(x, t, row)
	}
	return x
}

// productTask multiplies the panels of one matrix, as a step of the engine does.
type productTask struct {
	copies []*ternary.Matrix
	m      *ternary.Matrix // the one at hand
	next   int             // index of the one after it
	x      *kernel.Int8
	tokens int
	step   int // panels per slice
	y      []float32
	work   []*kernel.Workspace
}

func newProductTask(copies []*ternary.Matrix, x *kernel.Int8, tokens int, v kernel.Variant, workers int) *productTask {
	t := &productTask{copies: copies, m: copies[0], x: x, tokens: tokens, y: make([]float32, tokens*copies[0].Rows)}
	for range workers {
		ws := kernel.NewWorkspace()
		ws.Variant = v
		t.work = append(t.work, ws)
	}
	return t
}

func (t *productTask) Do(worker, slice int) {
	from := slice * t.step
	kernel.MatMulI8(t.y, t.m.Rows, t.m, t.x, 0, t.tokens, from, min(from+t.step, t.m.Panels()), t.work[worker])
}

// kernelRepeats is how many runs a measurement is the median of.
const kernelRepeats = 3

// panelsPerSlice cuts a matrix as model.Pass does, so that what a kernel spends
// per call (a lookup table, for example) weighs what it weighs in a model.
func panelsPerSlice(m *ternary.Matrix, tokens, workers int) int {
	const (
		slicesPerWorker            = 10
		minNanos, maxNanos         = 4_000, 150_000
		bytesPerNano, macsPerNanos = 8, 100
	)
	nanos := max(m.PanelBytes()/bytesPerNano, ternary.PanelRows*m.Cols*tokens/macsPerNanos, 1)
	n := m.Panels() / (workers * slicesPerWorker)
	n = min(max(n, minNanos/nanos), maxNanos/nanos)
	return max(2, n&^1)
}

// measure returns bytes and multiply-accumulates per second: the medians of a few
// runs that take the given time together.
func (t *productTask) measure(team *parallel.Team, budget time.Duration) (bytes, macs float64) {
	t.step = min(panelsPerSlice(t.m, t.tokens, team.Size()), t.m.Panels())
	t.Do(0, 0)
	start := time.Now()
	t.Do(0, 0)
	panel := max(time.Since(start)/time.Duration(t.step), 1)
	// A whole matrix would take the slow kernels too long: they get as many of
	// its panels as fill the time.
	goal := max(t.step, int(budget/kernelRepeats/panel)) * team.Size()
	var speed Samples // panels per second
	for range kernelRepeats {
		panels := 0
		start := time.Now()
		for panels < goal {
			t.m = t.copies[t.next%len(t.copies)]
			t.next++
			n := min(goal-panels+t.step-1, t.m.Panels()+t.step-1) / t.step
			team.Run(t, n)
			panels += min(n*t.step, t.m.Panels())
		}
		speed = append(speed, float64(panels)/max(time.Since(start), 1).Seconds())
	}
	perPanel := float64(t.m.Rows) / float64(t.m.Panels()) * float64(t.m.Cols) * float64(t.tokens)
	return speed.Median() * float64(t.m.PanelBytes()), speed.Median() * perPanel
}

// String returns the report as text, 80 columns wide: one table per shape.
func (r *KernelReport) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "kernels for ternary × int8 at level %s\n", r.CPU)
	for _, l := range r.Limits {
		fmt.Fprintf(&b, "limits of %d thread(s): reading %.1f GB/s, int8 %.0f GMAC/s", l.Threads, l.ReadBandwidth/1e9, l.Int8MACs/1e9)
		if l.TileMACs > 0 {
			fmt.Fprintf(&b, ", in tiles %.0f", l.TileMACs/1e9)
		}
		b.WriteByte('\n')
	}
	b.WriteString("tokens/threads; 1 token: GB/s of packed weights, more: GMAC/s\n")
	var shape [2]int
	var columns []string
	for i := 0; i < len(r.Results); {
		first := r.Results[i]
		if now := [2]int{first.Rows, first.Cols}; now != shape {
			shape, columns = now, nil
			fmt.Fprintf(&b, "\n%d × %d: %s\n", first.Rows, first.Cols, strings.Join(first.Models, ", "))
		}
		// All results of one shape and layout follow each other; a line
		// takes those of one variant.
		end := i
		for end < len(r.Results) && r.Results[end].Rows == first.Rows && r.Results[end].Cols == first.Cols && r.Results[end].Layout == first.Layout {
			end++
		}
		group := r.Results[i:end]
		i = end
		if columns == nil {
			for _, x := range group {
				if x.Variant == first.Variant {
					columns = append(columns, fmt.Sprintf("%d/%d", x.Tokens, x.Threads))
				}
			}
			fmt.Fprintf(&b, "%-11s", "")
			for _, c := range columns {
				fmt.Fprintf(&b, " %8s", c)
			}
			b.WriteByte('\n')
		}
		var variants []string
		lines := map[string]*strings.Builder{}
		for _, x := range group {
			if lines[x.Variant] == nil {
				variants = append(variants, x.Variant)
				lines[x.Variant] = &strings.Builder{}
			}
			value := x.GMACsPerSecond
			if x.Tokens == 1 {
				value = x.GBPerSecond
			}
			fmt.Fprintf(lines[x.Variant], " %8.1f", value)
		}
		for _, v := range variants {
			fmt.Fprintf(&b, "%-2s %-8s%s\n", first.Layout, v, lines[v])
		}
	}
	return b.String()
}
