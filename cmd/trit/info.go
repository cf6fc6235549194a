package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"trit"
	"trit/internal/inside"
	"trit/internal/kernel"
	"trit/internal/kernel/autotune"
	"trit/internal/model"
)

func (a *app) infoCommand() *cobra.Command {
	var flags modelFlags
	cmd := &cobra.Command{
		Use:     "info",
		GroupID: "files",
		Short:   "Load a model and say what it is and how it runs here",
		Example: "  trit info --model demo",
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := flags.open(a, cmd)
			if err != nil {
				return err
			}
			defer m.Close()
			options, err := flags.options(a, cmd)
			if err != nil {
				return err
			}
			plan, err := trit.Plan(flags.model, options...)
			if err != nil {
				return err
			}
			limit, source := trit.MemoryLimit()
			c, t, e := inside.Of(m).Weights.Config, m.Tokenizer(), inside.Of(m).Scheduler.Engine()
			memory, err := inside.Of(m).Scheduler.Memory()
			if err != nil {
				return err
			}
			head := inside.Of(m).Weights.Graph.Head()
			info := modelInfo{
				Name: c.Name, Architecture: c.Architecture,
				MTPLayers: c.MTPLayers, MTP: c.MTP > 0,
				Layers: c.Layers, Hidden: c.Hidden, FFN: c.FFN, Heads: c.Heads, KVHeads: c.KVHeads, HeadDim: c.HeadDim,
				Vocabulary: c.Vocab, Context: c.Context,
				HiddenAct: c.HiddenAct.String(), Activations: c.Activations.String(),
				RopeStyle: c.RopeStyle.String(), RopeBase: c.RopeBase,
				Tokenizer: t.Model(), PreTokenizer: t.Pre(), EndTokens: t.EOG(),
				TernaryWeights: inside.Of(m).Weights.TernaryWeights, TernaryBytes: inside.Of(m).Weights.TernaryBytes,
				HeadType: head.Type.String(), HeadBytes: int64(len(head.Data)),
				ContextUsed: e.Context(), KVType: e.Cache().Config().Type.String(),
				KVBytesPerToken: e.Cache().PageBytes() / kernel.PageTokens, KVMaxBytes: memory.KVMax,
				SkipCopyBytes: inside.Of(m).Weights.LineBytes,
				HeadMode:      e.HeadInfo().Mode.String(), HeadCopyBytes: memory.Head,
				ScratchBytes: memory.Scratch, ScratchPeakBytes: memory.ScratchPeak,
				Threads: e.Threads(), CPU: kernel.Active().String(),
				Kernels: kernelChoices(inside.Of(m).Weights), Reading: readingOf(inside.Of(m).Weights.Read),
				Memory: plan, MemoryLimit: limit, MemorySource: source,
				LoadSeconds: m.LoadTime().Seconds(), Notes: append(m.Info().Notes, t.Warnings()...),
			}
			if plan.State > 0 {
				info.States = &statesInfo{
					Layers: c.Layers + c.MTP - e.Cache().Config().Layers, Bytes: plan.State, Snapshots: plan.Snapshots(),
					SequenceBytes: int64(plan.Snapshots()+1) * plan.State, Sequences: plan.Texts(plan.Context), Short: plan.Texts(shortSequence),
				}
			}
			if m.Info().Embedding {
				info.Pooling = m.Info().Pooling.String()
			}
			return a.printText(&info)
		},
	}
	flags.add(cmd)
	takesModel(cmd)
	return cmd
}

// modelInfo is what info prints.
type modelInfo struct {
	Name            string  `json:"name"`
	Architecture    string  `json:"architecture"`
	Layers          int     `json:"layers"`
	MTPLayers       int     `json:"mtp_layers,omitempty"` // that guess further tokens, not among the layers
	MTP             bool    `json:"mtp,omitempty"`        // one is loaded
	Hidden          int     `json:"hidden"`
	FFN             int     `json:"ffn"`
	Heads           int     `json:"heads"`
	KVHeads         int     `json:"kv_heads"`
	HeadDim         int     `json:"head_dim"`
	Vocabulary      int     `json:"vocabulary"`
	Context         int     `json:"context"`
	HiddenAct       string  `json:"hidden_act"`
	Activations     string  `json:"activations"`
	Pooling         string  `json:"pooling,omitempty"` // of embedding models
	RopeStyle       string  `json:"rope_style"`
	RopeBase        float64 `json:"rope_base"`
	Tokenizer       string  `json:"tokenizer"`
	PreTokenizer    string  `json:"pre_tokenizer"`
	EndTokens       []int32 `json:"end_tokens"`
	TernaryWeights  int64   `json:"ternary_weights"`
	TernaryBytes    int64   `json:"ternary_bytes"`
	HeadType        string  `json:"head_type"`
	HeadBytes       int64   `json:"head_bytes"`
	ContextUsed     int     `json:"context_used"`
	KVType          string  `json:"kv_type"`
	KVBytesPerToken int64   `json:"kv_bytes_per_token"`
	// KVMaxBytes is what the KV cache may become; ScratchBytes is what the engine
	// computes in, ScratchPeakBytes the most that has been.
	KVMaxBytes int64 `json:"kv_max_bytes"`
	// States are those of models with recurrences, in the memory of the KV cache.
	States *statesInfo `json:"states,omitempty"`
	// SkipCopyBytes are of matrices by rows and columns, from which single texts leave
	// out what relu² makes nothing of.
	SkipCopyBytes    int64  `json:"skip_copy_bytes"`
	HeadMode         string `json:"head_mode"`
	HeadCopyBytes    int64  `json:"head_copy_bytes"` // in memory, beside the stored head
	ScratchBytes     int64  `json:"scratch_bytes"`
	ScratchPeakBytes int64  `json:"scratch_peak_bytes"`
	// Memory was the plan before loading; MemoryLimit is what this machine or
	// container allows for all models together.
	Memory       *trit.MemoryPlan `json:"memory_plan"`
	MemoryLimit  int64            `json:"memory_limit"`
	MemorySource string           `json:"memory_limit_source"`
	Threads      int              `json:"threads"`
	CPU          string           `json:"cpu_level"`
	Kernels      []kernelChoice   `json:"kernels"`
	Reading      *reading         `json:"reading,omitempty"`
	LoadSeconds  float64          `json:"load_seconds"`
	Notes        []string         `json:"notes,omitempty"`
}

func (i *modelInfo) String() string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-14s "+format+"\n", append([]any{name}, args...)...)
	}
	line("name", "%s", i.Name)
	line("architecture", "%s (%s, %s RoPE with base %g)", i.Architecture, i.HiddenAct, i.RopeStyle, i.RopeBase)
	line("shape", "%d layers, hidden %d, FFN %d, %d/%d heads of %d", i.Layers, i.Hidden, i.FFN, i.Heads, i.KVHeads, i.HeadDim)
	switch {
	case i.MTP:
		line("guesses", "a layer that guesses further tokens is loaded")
	case i.MTPLayers > 0:
		line("guesses", "the file has a layer that guesses further tokens, which --mtp loads")
	}
	line("context", "%d tokens trained, %d in use", i.Context, i.ContextUsed)
	line("vocabulary", "%d tokens (%s, %s), end tokens %v", i.Vocabulary, i.Tokenizer, i.PreTokenizer, i.EndTokens)
	line("activations", "%s", i.Activations)
	if i.Pooling != "" {
		line("embeddings", "%s of the tokens' states, %d numbers", i.Pooling, i.Hidden)
	}
	line("weights", "%.1f M ternary in %.1f MB (%.2f bits each)", float64(i.TernaryWeights)/1e6, float64(i.TernaryBytes)/1e6,
		8*float64(i.TernaryBytes)/float64(i.TernaryWeights))
	if i.SkipCopyBytes > 0 {
		line("", "%.1f MB more by rows and columns: single texts leave out what relu² makes nothing of", float64(i.SkipCopyBytes)/1e6)
	}
	line("head", "%s, %.1f MB, mode %s with %.1f MB more", i.HeadType, float64(i.HeadBytes)/1e6, i.HeadMode, float64(i.HeadCopyBytes)/1e6)
	line("KV cache", "%s, %.1f kB per token, at most %.1f MB", i.KVType, float64(i.KVBytesPerToken)/1e3, float64(i.KVMaxBytes)/1e6)
	if s := i.States; s != nil {
		line("states", "%d recurrent layers keep %s for each sequence, and as much for each snapshot that prompts go on from",
			s.Layers, trit.Bytes(s.Bytes))
		line("", "a sequence has room for its own and %d snapshots, %s of the KV cache's memory", s.Snapshots, trit.Bytes(s.SequenceBytes))
		line("", "%d sequences of the whole context fit, or %d of %d tokens", s.Sequences, s.Short, shortSequence)
	}
	line("scratch", "%.1f MB (peak %.1f MB)", float64(i.ScratchBytes)/1e6, float64(i.ScratchPeakBytes)/1e6)
	line("memory", "up to %s", i.Memory)
	if i.MemoryLimit > 0 {
		line("", "of %s that models may take here (%s)", trit.Bytes(i.MemoryLimit), i.MemorySource)
	}
	line("running on", "%d threads, %s kernels", i.Threads, i.CPU)
	for _, k := range i.Kernels {
		line("", "%d matrices of %d×%d: layout %s, kernel %s for one token, %s for many", k.Matrices, k.Rows, k.Cols, k.Layout, k.Vec, k.Mat)
	}
	if r := i.Reading; r != nil {
		line("", "layouts for %s%s", r.rate(r.BytesPerSecond), r.when())
	}
	line("loaded in", "%s", time.Duration(i.LoadSeconds*1e9).Round(time.Millisecond))
	for _, note := range i.Notes {
		line("note", "%s", note)
	}
	return b.String()
}

// statesInfo says what a model with recurrences keeps beside keys and values.
type statesInfo struct {
	Layers int   `json:"layers"` // that have a state in place of keys and values
	Bytes  int64 `json:"bytes"`  // of one state, of all layers
	// Snapshots is how many a sequence has room for beside its state, SequenceBytes what
	// all of them take.
	Snapshots     int   `json:"snapshots"`
	SequenceBytes int64 `json:"sequence_bytes"`
	// Sequences of the whole context fit into the KV cache, or Short ones of shortSequence
	// tokens.
	Sequences int `json:"sequences"`
	Short     int `json:"short_sequences"`
}

// shortSequence is the length of a short text, in tokens.
const shortSequence = 256

// kernelChoice says how the matrices of one shape are kept and multiplied.
type kernelChoice struct {
	Rows     int    `json:"rows"`
	Cols     int    `json:"cols"`
	Matrices int    `json:"matrices"`
	Layout   string `json:"layout"`
	Vec      string `json:"kernel_one_token"`
	Mat      string `json:"kernel_many_tokens"`
}

// reading is what layouts were chosen by.
type reading struct {
	Threads        int     `json:"threads"`
	BytesPerSecond float64 `json:"bytes_per_second"` // of all threads together
	// Measured is when that was, Now what was read when the model was loaded. Layouts are
	// chosen anew when the two differ by more than a quarter.
	Measured *time.Time `json:"measured,omitempty"`
	Now      float64    `json:"now_bytes_per_second,omitempty"`
}

func readingOf(r autotune.Reading) *reading {
	if r.Workers == 0 {
		return nil
	}
	own := &reading{Threads: r.Workers, BytesPerSecond: r.Rate, Now: r.Now}
	if !r.Measured.IsZero() {
		own.Measured = &r.Measured
	}
	return own
}

func (r *reading) rate(bytes float64) string { return fmt.Sprintf("%.1f GB/s", bytes/1e9) }

func (r *reading) when() string {
	if r.Measured == nil {
		return ", a guess: it could not be measured"
	}
	now := ""
	if r.Now > 0 {
		now = "; now " + r.rate(r.Now)
	}
	return fmt.Sprintf(", which %d threads read at %s%s", r.Threads, r.Measured.Local().Format("2006-01-02 15:04"), now)
}

// kernelChoices lists the choices for all shapes, in the order of first use.
func kernelChoices(m *model.Model) []kernelChoice {
	var choices []kernelChoice
	m.Projections(func(_ string, p *model.Projection) {
		c := kernelChoice{Rows: p.Matrix.Rows, Cols: p.Matrix.Cols, Layout: p.Matrix.Layout.String(), Vec: p.Vec.String(), Mat: p.Mat.String()}
		for i := range choices {
			known := choices[i]
			known.Matrices = 0
			if known == c {
				choices[i].Matrices++
				return
			}
		}
		c.Matrices = 1
		choices = append(choices, c)
	})
	return choices
}
