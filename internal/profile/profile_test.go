package profile

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"trit/gguf"
	"trit/internal/engine"
	"trit/internal/head"
	"trit/internal/kernel"
	"trit/internal/model"
	"trit/internal/model/synth"
	"trit/sample"
)

// tinyProfile profiles a tiny model.
func tinyProfile(t testing.TB, ctx context.Context, change func(*ProfileOptions)) (*ProfileReport, error) {
	t.Helper()
	o := ProfileOptions{
		Name:   "tiny",
		Open:   func() (*gguf.File, error) { return tinyFile(t, "tiny", synth.Options{}), nil },
		Engine: engine.Options{Threads: 2, KVType: kernel.KVF16},
		Prompt: 300, PromptRepeat: 2, Iterations: 12,
		LimitTime: time.Millisecond, LimitBytes: 8 << 20,
	}
	if change != nil {
		change(&o)
	}
	return Profile(ctx, o)
}

func TestProfile(t *testing.T) {
	var trace bytes.Buffer
	r, err := tinyProfile(t, context.Background(), func(o *ProfileOptions) { o.Trace = &trace })
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Phases) != 2 || r.Phases[0].Name != "prompt" || r.Phases[1].Name != "decode" {
		t.Fatalf("%d phases", len(r.Phases))
	}
	prompt, decode := &r.Phases[0], &r.Phases[1]
	if prompt.Steps != 4 || prompt.Tokens != 600 || prompt.Depth != [2]int{0, 256} {
		t.Errorf("prompt: %d steps of %d tokens at %v", prompt.Steps, prompt.Tokens, prompt.Depth)
	}
	if decode.Steps != 12 || decode.Tokens != 12 || decode.Depth[0] != 300+warmSteps || decode.Depth[1] != 300+warmSteps+23 {
		t.Errorf("decode: %d steps of %d tokens at %v", decode.Steps, decode.Tokens, decode.Depth)
	}
	for i := range r.Phases {
		checkPhase(t, &r.Phases[i])
	}
	counts := Count(tinyModel(t, "tiny", synth.Options{}, model.LoadOptions{}), kernel.KVF16, 0)
	if want := counts.Total().MACs; decode.WorkPerStep.MACs != want {
		t.Errorf("%d multiply-accumulates per generated token, want %d", decode.WorkPerStep.MACs, want)
	}
	m := r.Memory
	if m.Weights <= 0 || m.Tables <= 0 || m.KV < 300*m.KVPerToken || m.KVPerToken <= 0 || m.Scratch <= 0 || m.ScratchPeak < m.Scratch || m.Process <= 0 || m.PeakLoading <= 0 {
		t.Errorf("memory: %+v", m)
	}
	file, err := parseTrace(trace.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if file.other["steps"] != 16 || len(file.spans) != 2 {
		t.Errorf("the trace has %v steps on %d tracks", file.other["steps"], len(file.spans))
	}
	samples := 0
	for _, s := range file.spans[0] {
		if *s.Name == opSample {
			samples++
		}
	}
	if samples != 2*(12+2) { // before and after a step
		t.Errorf("%d spans of sampling, want %d", samples, 2*(12+2))
	}

	text := r.String()
	for _, want := range []string{"gate, up", "attention", "head", "quantize", "sampling", "(between)", "GMAC/s", "GB/s", "barriers", "scratch", "profiling makes", "layers of"} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
	for line := range strings.Lines(text) {
		if n := len([]rune(strings.TrimSpace(line))); n > 88 {
			t.Errorf("a line of %d characters: %s", n, line)
		}
	}
	if layers := decode.LayersString(); strings.Count(layers, "\n") != 3+len(decode.Layers) || !strings.Contains(layers, "output") {
		t.Errorf("layers:\n%s", layers)
	}
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back ProfileReport
	if err := json.Unmarshal(data, &back); err != nil || back.Phases[1].Step != decode.Step {
		t.Errorf("the JSON does not read back: %v", err)
	}
	checkProfileSVG(t, r)
}

// TestProfileSequences: several sequences share a step, and a token of each is a
// row of it.
func TestProfileSequences(t *testing.T) {
	sampling := sample.Neutral()
	sampling.Temperature, sampling.TopK, sampling.Seed = 1, 20, new(uint64(1))
	one, err := tinyProfile(t, context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	three, err := tinyProfile(t, context.Background(), func(o *ProfileOptions) { o.Sequences, o.Sampling = 3, &sampling })
	if err != nil {
		t.Fatal(err)
	}
	prompt, decode := &three.Phases[0], &three.Phases[1]
	if prompt.Steps != 4 || prompt.Tokens != 600 || decode.Steps != 12 || decode.Tokens != 36 || decode.Depth != one.Phases[1].Depth {
		t.Errorf("%d prompt steps of %d tokens, %d steps of %d tokens at %v", prompt.Steps, prompt.Tokens, decode.Steps, decode.Tokens, decode.Depth)
	}
	if got, want := decode.WorkPerStep.MACs, 3*one.Phases[1].WorkPerStep.MACs; got != want {
		t.Errorf("%d multiply-accumulates per step, want %d", got, want)
	}
	checkPhase(t, decode)
	if _, err := tinyProfile(t, context.Background(), func(o *ProfileOptions) { o.Sequences = -1 }); !errors.Is(err, ErrBench) {
		t.Errorf("a negative number of sequences: %v", err)
	}
}

// checkPhase checks that the parts of a phase add up.
func checkPhase(t *testing.T, r *PhaseReport) {
	t.Helper()
	near := func(what string, got, want, tolerance float64) {
		t.Helper()
		if !(math.Abs(got-want) <= tolerance*math.Abs(want)) {
			t.Errorf("%s: %s is %v, want %v", r.Name, what, got, want)
		}
	}
	sum := func(ops []OperationReport) (total float64) {
		for _, o := range ops {
			total += o.Time.Total
			if o.Share < 0 || o.Share > 1 || o.BarrierShare < 0 || o.BarrierShare > 1 || o.Time.Median > o.Time.P95 || o.CallsPerStep <= 0 {
				t.Errorf("%s: %+v", r.Name, o)
			}
		}
		return total
	}
	near("the sum of operations", sum(r.Operations)+r.Unattributed.Total, r.Step.Total, 1e-9)
	near("the sum of stages", sum(r.Stages), sum(r.Operations), 1e-9)
	layers := 0.0
	for _, l := range r.Layers {
		layers += l.Time.Total
		stages := 0.0
		for _, s := range l.Stages {
			stages += s.Total
		}
		near("a layer", stages, l.Time.Total, 1e-9)
	}
	near("the sum of layers", layers, sum(r.Operations), 1e-9)
	for i := 1; i < len(r.Operations); i++ {
		if r.Operations[i].Time.Total > r.Operations[i-1].Time.Total {
			t.Errorf("%s: operations are not sorted", r.Name)
		}
	}
	if len(r.Workers) != 2 {
		t.Fatalf("%s: %d workers", r.Name, len(r.Workers))
	}
	for _, w := range r.Workers {
		near("a worker's time", w.Busy+w.Barrier+w.Idle, 1, 1e-9)
	}
	if r.Imbalance < 0 || r.Imbalance > 1 || r.BarrierShare <= 0 || r.SectionsPerStep < 1 {
		t.Errorf("%s: imbalance %v, barriers %v, %v sections", r.Name, r.Imbalance, r.BarrierShare, r.SectionsPerStep)
	}
}

func checkProfileSVG(t *testing.T, r *ProfileReport) {
	t.Helper()
	var b strings.Builder
	if err := r.WriteSVG(&b); err != nil {
		t.Fatal(err)
	}
	svg := b.String()
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("%v\n%s", err, svg)
		}
	}
	for _, want := range []string{"prefers-color-scheme:dark", "gate, up", "decode:", "prompt:", "int8 peak"} {
		if !strings.Contains(svg, want) {
			t.Errorf("the drawing lacks %q", want)
		}
	}
	if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
		t.Errorf("the drawing has a number that is none:\n%s", svg)
	}
	if err := (&ProfileReport{}).WriteSVG(io.Discard); !errors.Is(err, ErrBench) {
		t.Errorf("drawing an empty report: %v", err)
	}
}

// TestProfileSampling chooses tokens in ways that need a selection, and all
// logits.
func TestProfileSampling(t *testing.T) {
	for name, change := range map[string]func(*sample.Options){
		"temperature": func(o *sample.Options) { o.Temperature = 0.8 },
		"top-p":       func(o *sample.Options) { o.Temperature, o.TopK, o.TopP = 0.8, 40, 0.9 },
		"log-prob":    func(o *sample.Options) { o.LogProb = true },
	} {
		s := sample.Neutral()
		change(&s)
		r, err := tinyProfile(t, context.Background(), func(o *ProfileOptions) {
			o.Sampling, o.Prompt, o.Iterations, o.Engine.Head = &s, 5, 3, head.Coarse
		})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		checkPhase(t, &r.Phases[1])
	}
}

func TestProfileErrors(t *testing.T) {
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	var trace bytes.Buffer
	if _, err := tinyProfile(t, cancelled, func(o *ProfileOptions) { o.Trace = &trace }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := parseTrace(trace.Bytes()); err != nil {
		t.Errorf("the trace of a cancelled profile: %v", err)
	}
	broken := errors.New("disk full")
	if _, err := tinyProfile(t, context.Background(), func(o *ProfileOptions) { o.Trace = failAfter{broken} }); !errors.Is(err, broken) {
		t.Errorf("a trace that cannot be written: %v", err)
	}
	bad := sample.Neutral()
	bad.TopP = 7
	for name, change := range map[string]func(*ProfileOptions){
		"no model":   func(o *ProfileOptions) { o.Open = nil },
		"prompt":     func(o *ProfileOptions) { o.Prompt = -1 },
		"iterations": func(o *ProfileOptions) { o.Iterations = 1 << 30 },
		"sampling":   func(o *ProfileOptions) { o.Sampling = &bad },
	} {
		if _, err := tinyProfile(t, context.Background(), change); !errors.Is(err, ErrBench) && !errors.Is(err, sample.ErrOption) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBar(t *testing.T) {
	for _, test := range []struct {
		part float64
		want string
	}{{0, ""}, {math.NaN(), ""}, {0.001, "▏"}, {0.5, "██"}, {0.53, "██▏"}, {1, "████"}, {2, "████"}} {
		if got := bar(test.part, 4); got != test.want {
			t.Errorf("bar(%v) = %q, want %q", test.part, got, test.want)
		}
	}
}

func TestTimingOf(t *testing.T) {
	v := make([]int64, 100)
	for i := range v {
		v[99-i] = int64(i+1) * 1000
	}
	if got := timingOf(v); got != (Timing{Median: 50.5, P95: 95, Total: 5050}) {
		t.Errorf("%+v", got)
	}
	if got := timingOf(nil); got != (Timing{}) {
		t.Errorf("nothing: %+v", got)
	}
}

// TestRecorderDoesNotAllocate records steps of an engine.
func TestRecorderDoesNotAllocate(t *testing.T) {
	e, err := engine.New(tinyModel(t, "tiny", synth.Options{}, model.LoadOptions{}), engine.Options{Threads: 2, Context: 1024})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	f := newFrame(2)
	c := newChromeWriter(io.Discard, "x", 2, 0)
	e.SetTracer(&recorder{take: func() *frame { return f }, done: func(f *frame) {
		if err := c.frame(f); err != nil {
			t.Error(err)
		}
	}})
	b, s := e.NewBatch(), e.NewSequence()
	defer s.Close()
	step := func() {
		b.Reset()
		if _, err := b.Add(s, 1, engine.All, nil); err != nil {
			t.Fatal(err)
		}
		if err := e.Step(b, nil); err != nil {
			t.Fatal(err)
		}
	}
	step() // the buffers grow once
	if n := testing.AllocsPerRun(100, step); n != 0 {
		t.Errorf("%v allocations per recorded and written step", n)
	}
}
