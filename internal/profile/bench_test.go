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
	"trit/internal/model/synth/synthtest"
	"trit/internal/parallel"
	"trit/internal/ternary"
)

// tinyBench returns options that take a moment only.
func tinyBench(t testing.TB, shape string) BenchOptions {
	return BenchOptions{
		Name: shape, Open: func() (*gguf.File, error) { return tinyFile(t, shape, synth.Options{}), nil },
		Engine: engine.Options{Threads: 2, KVType: kernel.KVF16},
		Prompt: 20, Generate: 4, Repeat: 2,
		LimitTime: time.Millisecond, LimitBytes: 4 << 20,
	}
}

func TestBench(t *testing.T) {
	weights := map[string]int64{"tiny": 1179648, "tiny-llama": 1179648, "tiny-qwen35": 2621440}
	for _, shape := range []string{"tiny", "tiny-llama", "tiny-qwen35"} {
		o := tinyBench(t, shape)
		o.Batches, o.Depths = []int{1, 3}, []int{0, 70, 600}
		var progress []string
		o.Progress = func(what string, done, total int) {
			progress = append(progress, what)
			if done > total {
				t.Errorf("step %d of %d: %s", done, total, what)
			}
		}
		r, err := Bench(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		for name, v := range map[string]float64{
			"prefill": r.PrefillSpeed, "decode": r.DecodeSpeed, "bandwidth": r.ReadBandwidth, "int8": r.Int8MACs,
			"decode fraction": r.DecodeFraction, "prefill fraction": r.PrefillFraction,
			"load": r.LoadSeconds, "weights": r.WeightsSeconds, "tokenizer": r.TokenizerSeconds,
			"peak": float64(r.PeakMemory), "head": float64(r.HeadBytes),
		} {
			if !(v > 0) || math.IsInf(v, 0) {
				t.Errorf("%s: %s is %v", shape, name, v)
			}
		}
		if r.DecodeRange[0] > r.DecodeSpeed || r.DecodeRange[1] < r.DecodeSpeed {
			t.Errorf("the median %v is outside of the range %v", r.DecodeSpeed, r.DecodeRange)
		}
		if r.TernaryWeights != weights[shape] {
			t.Errorf("%d ternary weights", r.TernaryWeights)
		}
		// After 20 tokens, four steps attend to 21…24 positions.
		if (r.StateBytes > 0) != (shape == "tiny-qwen35") {
			t.Errorf("%d bytes of state", r.StateBytes)
		}
		// ssm_alpha and ssm_beta of three layers, in BF16
		tables := map[string]int64{"tiny-qwen35": 3 * 2 * 256 * 2 * 2}
		if want := float64(r.TernaryBytes) + float64(tables[shape]) + float64(r.HeadBytes) + float64(r.StateBytes) + 22.5*float64(r.KVBytesPerPosition); float64(r.BytesPerToken) != math.Floor(want) {
			t.Errorf("%d bytes per token, want %.1f", r.BytesPerToken, want)
		}
		if len(r.Batch) != 2 || r.Batch[0].N != 1 || r.Batch[1].N != 3 || len(r.Depth) != 3 || r.Depth[2].N != 600 {
			t.Errorf("batch %+v, depth %+v", r.Batch, r.Depth)
		}
		for _, run := range append(r.Batch, r.Depth...) {
			if !(run.DecodeSpeed > 0) || !(run.DecodeFraction > 0) || run.BytesPerToken <= 0 {
				t.Errorf("run %+v", run)
			}
		}
		if len(r.Notes) == 0 || !strings.Contains(r.Notes[0], "605") {
			t.Errorf("no note about the length of 605 tokens: %v", r.Notes)
		}
		if len(progress) < 2+1+2*(2+5) {
			t.Errorf("progress: %v", progress)
		}
		for _, line := range strings.Split(r.String(), "\n") {
			if n := len([]rune(line)); n > 80 {
				t.Errorf("a line of %d columns: %s", n, line)
			}
		}
	}
}

// TestBenchOptions runs the engine's choices.
func TestBenchOptions(t *testing.T) {
	for _, layout := range ternary.Layouts() {
		o := tinyBench(t, "tiny")
		o.Repeat, o.Generate, o.Prompt = 1, 1, 1
		o.Load.Layout = func(int, int) ternary.Layout { return layout }
		o.Engine.KVType, o.Engine.Variant, o.Engine.Threads = kernel.KVI8, kernel.Blocked, 1
		r, err := Bench(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		if r.Layout != layout.String() || r.KVType != kernel.KVI8.String() || r.Kernel != "blocked" || r.Threads != 1 {
			t.Errorf("report %+v", r)
		}
	}
	for _, mode := range []head.Mode{head.Plain, head.Coarse, head.Q8, head.Q6, head.Q4} {
		o := tinyBench(t, "tiny")
		o.Repeat, o.Generate, o.Prompt, o.Batches = 1, 2, 3, []int{2}
		o.Engine.Head = mode
		r, err := Bench(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		if r.HeadMode != mode.String() {
			t.Errorf("head mode %s, want %s", r.HeadMode, mode)
		}
		if r.Batch[0].BytesPerToken >= r.BytesPerToken {
			t.Errorf("%v: a batch of two reads %d bytes per token, one sequence %d", mode, r.Batch[0].BytesPerToken, r.BytesPerToken)
		}
	}
}

func TestBenchJSON(t *testing.T) {
	r, err := Bench(context.Background(), tinyBench(t, "tiny"))
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(data, &fields); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"prefill_tokens_per_second", "decode_tokens_per_second", "read_bandwidth_bytes_per_second",
		"int8_macs_per_second", "bytes_per_token", "decode_fraction_of_bandwidth", "prefill_fraction_of_int8_peak",
		"load_seconds", "peak_memory_bytes", "allocs_per_decode_step"} {
		if _, ok := fields[key].(float64); !ok {
			t.Errorf("%s is %v, want a number", key, fields[key])
		}
	}
	for _, key := range []string{"batch", "depth"} {
		if _, ok := fields[key].([]any); !ok {
			t.Errorf("%s is %v, want a list", key, fields[key])
		}
	}
}

func TestBenchErrors(t *testing.T) {
	for name, change := range map[string]func(*BenchOptions){
		"no model": func(o *BenchOptions) { o.Open = nil },
		"prompt":   func(o *BenchOptions) { o.Prompt = -1 },
		"generate": func(o *BenchOptions) { o.Generate = maxTokens + 1 },
		"repeat":   func(o *BenchOptions) { o.Repeat = -3 },
		"batch":    func(o *BenchOptions) { o.Batches = []int{1, 0} },
		"depth":    func(o *BenchOptions) { o.Depths = []int{-1} },
	} {
		o := tinyBench(t, "tiny")
		change(&o)
		if _, err := Bench(context.Background(), o); !errors.Is(err, ErrBench) {
			t.Errorf("%s: %v", name, err)
		}
	}
	o := tinyBench(t, "tiny")
	o.Engine.Threads = 1 << 20
	if _, err := Bench(context.Background(), o); !errors.Is(err, parallel.ErrThreads) {
		t.Errorf("threads: %v", err)
	}
	o = tinyBench(t, "tiny")
	o.Open = func() (*gguf.File, error) { return nil, io.ErrUnexpectedEOF }
	if _, err := Bench(context.Background(), o); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("open: %v", err)
	}
	o = tinyBench(t, "tiny")
	o.Open = func() (*gguf.File, error) {
		var b bytes.Buffer
		err := gguf.WriteTo(&b, nil, nil)
		if err != nil {
			return nil, err
		}
		return gguf.Parse(b.Bytes())
	}
	if _, err := Bench(context.Background(), o); !errors.Is(err, model.ErrArchitecture) {
		t.Errorf("an empty file: %v", err)
	}
}

func TestBenchStops(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	o := tinyBench(t, "tiny")
	o.Progress = func(what string, _, _ int) {
		if strings.HasPrefix(what, "generating") {
			cancel()
		}
	}
	if _, err := Bench(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// TestSynthRuns runs models of all storage types: logits are finite, of a sane
// size, not all alike, and the same the second time.
func TestSynthRuns(t *testing.T) {
	run := func(shape string, o synth.Options) []float32 {
		m := tinyModel(t, shape, o, model.LoadOptions{})
		e, err := engine.New(m, engine.Options{Threads: 2})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		b, s := e.NewBatch(), e.NewSequence()
		defer s.Close()
		for i, want := range []engine.Want{engine.None, engine.None, engine.All} {
			if _, err := b.Add(s, int32(100+i), want, nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Step(b, nil); err != nil {
			t.Fatal(err)
		}
		return cloneFloats(b.Logits(2))
	}
	for _, shape := range []string{"tiny", "tiny-llama"} {
		for _, typ := range synth.Types() {
			for _, head := range synth.HeadTypes() {
				logits := run(shape, synth.Options{Type: typ, Head: head})
				var square float64
				for i, x := range logits {
					if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
						t.Fatalf("%s %v %v: logit %d is %v", shape, typ, head, i, x)
					}
					square += float64(x) * float64(x)
				}
				if deviation := math.Sqrt(square / float64(len(logits))); deviation < 0.5 || deviation > 10 {
					t.Errorf("%s %v %v: the logits have a deviation of %v", shape, typ, head, deviation)
				}
				again := run(shape, synth.Options{Type: typ, Head: head, Workers: 3})
				for i := range logits {
					if math.Float32bits(logits[i]) != math.Float32bits(again[i]) {
						t.Fatalf("%s %v %v: logit %d is %v, then %v", shape, typ, head, i, logits[i], again[i])
					}
				}
			}
		}
	}
}

// cloneFloats copies logits out of a batch.
func cloneFloats(x []float32) []float32 { return append([]float32(nil), x...) }

func TestSVG(t *testing.T) {
	r := &BenchReport{
		Setup: Setup{
			Model: `a <"model"> & more`, Threads: 2, CPU: "avx2", TernaryWeights: 2e9, HeadType: "F16", ReadBandwidth: 3e10, Int8MACs: 4.6e11,
		},
		TernaryBytes: 5e8, TokenMACs: 2e9, HeadBytes: 6e8, Prompt: 256, Generate: 32, PrefillSpeed: 150, DecodeSpeed: 25, BytesPerToken: 11e8,
		Batch: []BenchRun{{N: 1, DecodeSpeed: 25, BytesPerToken: 11e8}, {N: 8, DecodeSpeed: 90, BytesPerToken: 2e8}, {N: 16, DecodeSpeed: 91, BytesPerToken: 2e8}},
		Depth: []BenchRun{{N: 0, DecodeSpeed: 25, BytesPerToken: 11e8}, {N: 2048, DecodeSpeed: 20, BytesPerToken: 12e8}},
	}
	var b bytes.Buffer
	if err := r.WriteSVG(&b); err != nil {
		t.Fatal(err)
	}
	svg := b.String()
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("the drawing is not well-formed: %v", err)
		}
	}
	for _, want := range []string{"prefers-color-scheme:dark", "prompt 256: 150.0", "8 together", "16 together", "after 2048", "int8 peak 460 G/s", "30.0 GB/s", "&lt;&#34;model&#34;&gt;"} {
		if !strings.Contains(svg, want) {
			t.Errorf("the drawing does not mention %q", want)
		}
	}
	if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
		t.Error("the drawing has impossible coordinates")
	}
	r.TileMACs = 7e12
	b.Reset()
	if err := r.WriteSVG(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"int8 peak in tiles 7000 G/s", "int8 peak 460 G/s"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the drawing with tiles does not mention %q", want)
		}
	}
	if err := (&BenchReport{}).WriteSVG(io.Discard); !errors.Is(err, ErrBench) {
		t.Errorf("an empty report: %v", err)
	}
}

func TestBenchKernels(t *testing.T) {
	o := KernelOptions{Shapes: []synth.Shape{synthtest.Shape(t, "tiny")}, Tokens: []int{1, 5}, Threads: 2, Time: 100 * time.Microsecond, WeightBytes: 1 << 16, LimitBytes: 4 << 20}
	r, err := BenchKernels(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	// 256×256, 128×256, 512×256 and 256×512.
	if want := 4 * len(ternary.Layouts()) * len(kernel.Variants()) * 2 * 2; len(r.Results) != want {
		t.Errorf("%d results, want %d", len(r.Results), want)
	}
	for _, x := range r.Results {
		if !(x.GBPerSecond > 0) || !(x.GMACsPerSecond > 0) || math.IsInf(x.GMACsPerSecond, 0) {
			t.Errorf("result %+v", x)
		}
	}
	text := r.String()
	for _, want := range []string{"512 × 256: tiny", "t2 basic", "t5 lut", "5/2"} {
		if !strings.Contains(text, want) {
			t.Errorf("the table does not mention %q:\n%s", want, text)
		}
	}
	for _, line := range strings.Split(text, "\n") {
		if n := len([]rune(line)); n > 80 {
			t.Errorf("a line of %d columns: %s", n, line)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := BenchKernels(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	o.Tokens = []int{0}
	if _, err := BenchKernels(context.Background(), o); !errors.Is(err, ErrBench) {
		t.Errorf("no tokens: %v", err)
	}
}

func TestKernelShapes(t *testing.T) {
	shapes := kernelShapes(synth.Shapes())
	seen := map[[2]int]bool{}
	for _, s := range shapes {
		if seen[[2]int{s.rows, s.cols}] {
			t.Errorf("%d×%d is listed twice", s.rows, s.cols)
		}
		seen[[2]int{s.rows, s.cols}] = true
		if s.rows == 23040 && strings.Join(s.models, " ") != "falcon3-7b falcon3-10b" {
			t.Errorf("23040×%d belongs to %v", s.cols, s.models)
		}
	}
	if !seen[[2]int{2560, 6912}] || !seen[[2]int{8640, 3200}] {
		t.Error("shapes of known models are missing")
	}
}

func TestSamples(t *testing.T) {
	for _, test := range []struct {
		s        Samples
		median   float64
		min, max float64
	}{{nil, 0, 0, 0}, {Samples{3}, 3, 3, 3}, {Samples{5, 1}, 3, 1, 5}, {Samples{9, 1, 2}, 2, 1, 9}, {Samples{4, 1, 2, 8}, 3, 1, 8}} {
		if got := test.s.Median(); got != test.median {
			t.Errorf("median of %v: %v, want %v", test.s, got, test.median)
		}
		if got := test.s.Range(); got != [2]float64{test.min, test.max} {
			t.Errorf("range of %v: %v", test.s, got)
		}
	}
}

func TestMemoryWatch(t *testing.T) {
	w, err := watchMemory()
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 64<<20)
	for i := range block {
		block[i] = 1
	}
	peak, err := w.stop()
	if err != nil {
		t.Fatal(err)
	}
	if peak < int64(len(block)) {
		t.Errorf("a peak of %d bytes with a block of %d", peak, len(block))
	}
	if block[len(block)-1] != 1 {
		t.Error("the block is gone")
	}
}

func TestWrap(t *testing.T) {
	if got := wrap("one two  three four", 9); got != "one two\nthree\nfour" {
		t.Errorf("%q", got)
	}
}

func TestMeasureLimits(t *testing.T) {
	if testing.Short() {
		t.Skip("streams through 256 MB")
	}
	team, err := parallel.NewTeam(1)
	if err != nil {
		t.Fatal(err)
	}
	defer team.Close()
	if l := newLimitProbe(team, 0, time.Millisecond).measure(); !(l.ReadBandwidth > 0) || !(l.Int8MACs > 0) {
		t.Errorf("%+v", l)
	}
}
