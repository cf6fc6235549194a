package profile

import (
	"fmt"
	"strings"

	"trit/internal/kernel"
	"trit/internal/model"
)

// ProfileReport is the result of Profile.
type ProfileReport struct {
	Setup // operations are compared with the largest limits that were measured in their phase

	Phases []PhaseReport `json:"phases"`

	// ProfilingCost is by how much a profiled step is slower than its neighbour
	// without profiling, the median of all pairs, and their quartiles.
	ProfilingCost      float64    `json:"profiling_cost"`
	ProfilingCostRange [2]float64 `json:"profiling_cost_quartiles"`

	Memory MemoryReport `json:"memory"`
	Notes  []string     `json:"notes,omitempty"`
}

// MemoryReport says what memory is used for, in bytes.
type MemoryReport struct {
	// Weights are the ternary weights; Tables are embedding and head, which stay
	// in the mapped file; HeadCopy is what the head mode adds to them.
	Weights  int64 `json:"weights"`
	Tables   int64 `json:"tables_in_file"`
	HeadCopy int64 `json:"head_copy"`
	// SkipCopies are matrices by rows and columns, to leave some of them out.
	SkipCopies int64 `json:"skip_copies"`
	// KV is the memory of the KV cache, KVPerToken that of a position.
	KV         int64 `json:"kv_cache"`
	KVPerToken int64 `json:"kv_per_token"`
	// Scratch is what the engine computes in, and ScratchPeak its high-water mark.
	Scratch     int64 `json:"scratch"`
	ScratchPeak int64 `json:"scratch_peak"`
	// PeakLoading is the largest anonymous memory of the process while it loaded
	// the model, and Process what it had at the end, without the array that the
	// read bandwidth is measured with. Source says how they were found.
	PeakLoading int64  `json:"peak_loading"`
	Process     int64  `json:"process"`
	Source      string `json:"source"`
}

// finish fills in the report.
func (p *profiler) finish() error {
	r, b := p.report, p.bench.report
	r.Setup = b.Setup
	r.ReadBandwidth, r.ReadBandwidthRange = p.reads.Median(), p.reads.Range()
	r.Int8MACs, r.Int8MACsRange = p.peaks.Median(), p.peaks.Range()
	r.TileMACs, r.TileMACsRange = p.tiles.Median(), p.tiles.Range()
	r.ProfilingCost, r.ProfilingCostRange = p.cost.Median(), p.cost.quartiles()
	r.Notes = b.Notes
	if len(p.work.unknown) > 0 {
		r.Notes = append(r.Notes, "the work of these operations is not known and not counted: "+strings.Join(p.work.unknown, ", "))
	}

	memory := p.engine.Memory()
	process, err := anonymousMemory()
	if err != nil {
		return fmt.Errorf("profile: reading the process's memory: %w", err)
	}
	tables := p.model.Graph.Head().Bytes()
	if e := p.model.Graph.Embedding(); e != p.model.Graph.Head() {
		tables += e.Bytes()
	}
	r.Memory = MemoryReport{
		Weights: p.model.TernaryBytes, Tables: tables, HeadCopy: memory.Head, SkipCopies: p.model.LineBytes,
		KV: memory.KV, KVPerToken: p.engine.Cache().PageBytes() / kernel.PageTokens,
		Scratch: memory.Scratch, ScratchPeak: memory.ScratchPeak,
		PeakLoading: b.PeakMemory, Process: max(0, process-int64(len(p.probe.stream))), Source: b.MemorySource,
	}
	if cache := largestCache(); r.Memory.Weights < cache {
		r.Notes = append(r.Notes, fmt.Sprintf("the weights take %s and fit the CPU's cache of %s: reading from memory is no limit for them",
			bytesText(float64(r.Memory.Weights)), bytesText(float64(cache))))
	}
	if low, high := r.ReadBandwidthRange[0], r.ReadBandwidthRange[1]; high > 1.5*low {
		r.Notes = append(r.Notes, fmt.Sprintf("the read bandwidth varied between %.1f and %.1f GB/s: other programs were busy", low/1e9, high/1e9))
	}
	return nil
}

// String returns the report as text, 80 columns wide.
func (r *ProfileReport) String() string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-10s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("model", "%s", clip(r.Model, 69))
	line("weights", "%.1f M ternary in %s (%s), head %s, mode %s", float64(r.TernaryWeights)/1e6, bytesText(float64(r.Memory.Weights)), r.Layout, r.HeadType, r.HeadMode)
	line("machine", "%d threads, %s, kernel %s, KV cache %s", r.Threads, r.CPU, r.Kernel, r.KVType)
	for i, text := range r.limitsText() {
		line([]string{"limits", ""}[i], "%s", text)
	}
	m := &r.Memory
	line("memory", "weights %s, KV cache %s, head copy %s,", bytesText(float64(m.Weights)), bytesText(float64(m.KV)), bytesText(float64(m.HeadCopy)))
	line("", "scratch %s (peak %s); process %s,", bytesText(float64(m.Scratch)), bytesText(float64(m.ScratchPeak)), bytesText(float64(m.Process)))
	line("", "%s at peak while loading", bytesText(float64(m.PeakLoading)))
	for i := range r.Phases {
		b.WriteByte('\n')
		r.Phases[i].write(&b)
	}
	fmt.Fprintf(&b, "\nprofiling makes a step %.1f %% slower (half of all pairs: %.1f to %.1f %%)\n",
		100*r.ProfilingCost, 100*r.ProfilingCostRange[0], 100*r.ProfilingCostRange[1])
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "\n%s\n", wrap("note: "+note, 79))
	}
	return b.String()
}

// title says in a line what a phase is.
func (r *PhaseReport) title() string {
	each := float64(r.Tokens) / float64(max(r.Steps, 1))
	tokens := fmt.Sprintf("%.4g tokens", each)
	if each == 1 {
		tokens = "one token"
	}
	return fmt.Sprintf("%s: %d steps of %s, %s each, %s tokens/s", r.Name, r.Steps, tokens, timeText(r.Step.Median), speedText(r.TokensPerSecond))
}

// barWidth is the length of the longest bar in characters.
const barWidth = 16

// write prints a phase.
func (r *PhaseReport) write(b *strings.Builder) {
	fmt.Fprintf(b, "%s\n\n", r.title())
	fmt.Fprintf(b, "%-11s %9s %9s %7s  %-*s %7s  %s\n", "operation", "median", "p95", "share", barWidth, "", "waits", "rate, of the limit")
	longest := 0.0
	for i := range r.Operations {
		longest = max(longest, r.Operations[i].Share)
	}
	row := func(name string, t Timing, share float64, waits, rate string) {
		line := fmt.Sprintf("%-11s %9s %9s %5.1f %%  %-*s %7s  %s", name, timeText(t.Median), timeText(t.P95), 100*share, barWidth, bar(share/longest, barWidth), waits, rate)
		fmt.Fprintln(b, strings.TrimRight(line, " "))
	}
	for i := range r.Operations {
		o := &r.Operations[i]
		waits := ""
		if o.BarrierShare >= 0.0005 {
			waits = fmt.Sprintf("%.1f %%", 100*o.BarrierShare)
		}
		row(o.Name, o.Time, o.Share, waits, o.rate())
	}
	row("(between)", r.Unattributed, r.UnattributedShare, "", "")
	fmt.Fprintf(b, "\n%-11s %6s %9s %6s %8s   waiting at barriers: %.1f %% of the step,\n", "worker", "busy", "barrier", "idle", "slices", 100*r.BarrierShare)
	for i, w := range r.Workers {
		text := fmt.Sprintf("%-11d %4.1f %% %7.1f %% %4.1f %% %8d", w.Worker, 100*w.Busy, 100*w.Barrier, 100*w.Idle, w.Slices)
		if i == 0 {
			text += fmt.Sprintf("   in %.0f sections; imbalance %.1f %%", r.SectionsPerStep, 100*r.Imbalance)
		}
		fmt.Fprintln(b, text)
	}
	if r.Zeros != nil {
		fmt.Fprintf(b, "\nzeros: %v\n", r.Zeros)
	}
	fmt.Fprintln(b, "\n"+r.layersText())
}

// rate returns what an operation achieves against the limit that it is nearer to.
func (o *OperationReport) rate() string {
	switch {
	case o.OfPeak == 0 && o.OfBandwidth < 0.05:
		if o.GFLOPsPerSecond == 0 {
			return ""
		}
		return fmt.Sprintf("%.1f GFLOP/s", o.GFLOPsPerSecond)
	case o.OfPeak >= o.OfBandwidth:
		return fmt.Sprintf("%.0f GMAC/s %3.0f %%", o.GMACsPerSecond, 100*o.OfPeak)
	}
	return fmt.Sprintf("%.1f GB/s %3.0f %%", o.GBPerSecond, 100*o.OfBandwidth)
}

// layersText says how alike the layers are.
func (r *PhaseReport) layersText() string {
	var medians Samples
	low, high := LayerReport{}, LayerReport{}
	for _, l := range r.Layers {
		if l.Layer < 0 {
			continue
		}
		if len(medians) == 0 || l.Time.Median < low.Time.Median {
			low = l
		}
		if len(medians) == 0 || l.Time.Median > high.Time.Median {
			high = l
		}
		medians = append(medians, l.Time.Median)
	}
	return fmt.Sprintf("%d layers of %s each: from %s (layer %d) to %s (layer %d)", len(medians),
		timeText(medians.Median()), timeText(low.Time.Median), low.Layer, timeText(high.Time.Median), high.Layer)
}

// LayersString returns a table of all layers, with the time of their stages.
func (r *PhaseReport) LayersString() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, by layer\n\n%-8s %9s %9s %7s  %s\n", r.Name, "layer", "median", "p95", "share", "stages")
	for _, l := range r.Layers {
		name := fmt.Sprint(l.Layer)
		switch l.Layer {
		case model.LayerIn:
			name = "input"
		case model.LayerOut:
			name = "output"
		}
		var stages []string
		for _, s := range l.Stages {
			if s.Total >= 0.02*l.Time.Total {
				stages = append(stages, s.Name+" "+timeText(s.Median))
			}
		}
		fmt.Fprintf(&b, "%-8s %9s %9s %5.1f %%  %s\n", name, timeText(l.Time.Median), timeText(l.Time.P95), 100*l.Share, strings.Join(stages, ", "))
	}
	return b.String()
}

// bar draws a part of a width in eighths of characters.
func bar(part float64, width int) string {
	if !(part > 0) {
		return ""
	}
	eighths := int(min(part, 1)*float64(8*width) + 0.5)
	if eighths == 0 {
		eighths = 1
	}
	s := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		s += string([]rune("▏▎▍▌▋▊▉")[rest-1])
	}
	return s
}

// timeText formats microseconds.
func timeText(us float64) string {
	switch {
	case us >= 1e6:
		return fmt.Sprintf("%.2f s", us/1e6)
	case us >= 1e5:
		return fmt.Sprintf("%.0f ms", us/1e3)
	case us >= 1e4:
		return fmt.Sprintf("%.1f ms", us/1e3)
	case us >= 1e3:
		return fmt.Sprintf("%.2f ms", us/1e3)
	case us >= 100:
		return fmt.Sprintf("%.0f µs", us)
	}
	return fmt.Sprintf("%.1f µs", us)
}
