package profile

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"trit/gguf"
	"trit/internal/engine"
	"trit/internal/kernel"
	"trit/internal/model"
	"trit/internal/parallel"
	"trit/internal/ternary"
	"trit/tokenizer"
)

// ErrBench reports options of a benchmark that make no sense.
var ErrBench = errors.New("profile: bad benchmark option")

// BenchOptions say what a benchmark measures. Only Open is required.
type BenchOptions struct {
	// Name is what the report calls the model.
	Name string
	// Open opens the model's file; it is part of the time to load.
	Open func() (*gguf.File, error)
	// Load and Engine are passed on. Bench sets Load.Team, and of Engine the
	// Team, and Context, CachePages and MaxRows as the measurements need them,
	// whatever the model was trained for.
	Load   model.LoadOptions
	Engine engine.Options

	// Prompt is the length of the prompt that is timed (default 256), Generate
	// the number of tokens that are generated after it (32), Repeat how often
	// everything is measured (3).
	Prompt, Generate, Repeat int
	// Batches lists numbers of empty sequences that generate together, Depths
	// numbers of tokens that one sequence holds before it generates.
	Batches, Depths []int

	// LimitTime is how long a measurement of one of the machine's limits
	// takes, at least; 0 means 60 ms. LimitBytes is the size of the array that is read
	// for it; 0 means four times the largest cache, at least 256 MB.
	LimitTime  time.Duration
	LimitBytes int
	// Progress, if not nil, is told what is being done.
	Progress func(what string, done, total int)
}

// Samples are the results of repeated measurements.
type Samples []float64

// Median returns the middle sample, the mean of two if their number is even, and
// 0 if there are none.
func (s Samples) Median() float64 {
	if len(s) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(s))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// Range returns the least and the largest sample; zeros if there are none.
func (s Samples) Range() [2]float64 {
	if len(s) == 0 {
		return [2]float64{}
	}
	return [2]float64{slices.Min(s), slices.Max(s)}
}

// quartiles returns the values that a quarter of the samples is below, and above.
func (s Samples) quartiles() [2]float64 {
	if len(s) == 0 {
		return [2]float64{}
	}
	v := slices.Sorted(slices.Values(s))
	return [2]float64{v[(len(v)-1)/4], v[len(v)-1-(len(v)-1)/4]}
}

// measurement holds the samples of one kind of run.
type measurement struct {
	batch, depth int
	speed        Samples // tokens/s of all sequences together
	fraction     Samples // of the limit measured beside it
	bytes        Samples // per token
	head         Samples // of that, from the output head
	skipped      model.Skipped
}

// bench is a running benchmark.
type bench struct {
	BenchOptions
	texts  int // that a prompt and generation run in, if there is not one but several
	ctx    context.Context
	report *BenchReport
	team   *parallel.Team
	model  *model.Model
	work   *layerWork
	engine *engine.Engine
	probe  *limitProbe
	batch  *engine.Batch
	random *rand.Rand

	bandwidth, macs, tiles Samples
	near                   Limits  // measured last
	tileFraction           Samples // of prompts
	allocs                 Samples
	prompt                 measurement
	decode                 measurement
	more                   []*measurement // batches and depths
	guess                  guessing       // of models with a layer for that
	deep                   map[int]*lane  // sequences that hold a depth already
	steps, done            int            // of progress
}

// Bench measures a model. It loads it, lets it run for a moment, and then repeats:
// a prompt in a fresh sequence, generation after it, and generation for each of
// Batches and Depths, with the machine's limits measured between all of these.
// Tokens of prompts are random; generation takes the most likely token and feeds
// it back, without regard to end tokens.
//
// It stops with the context's error, at the latest after one forward pass.
func Bench(ctx context.Context, o BenchOptions) (report *BenchReport, err error) {
	b := &bench{BenchOptions: o, ctx: ctx, deep: map[int]*lane{}, random: rand.New(rand.NewPCG(1, 2))}
	if err := b.check(); err != nil {
		return nil, err
	}
	threads := parallel.Workers(b.Engine.Threads)
	if b.team, err = parallel.NewTeam(threads); err != nil {
		return nil, err
	}
	defer b.team.Close()
	defer b.team.Stay()()
	b.report = &BenchReport{Setup: Setup{Threads: threads}}
	if err := b.load(); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.engine.Close(), b.model.Close()) }()
	b.describe()
	if err := b.run(); err != nil {
		return nil, err
	}
	b.summarise()
	b.note()
	return b.report, nil
}

// check fills in defaults and looks for nonsense.
func (b *bench) check() error {
	if b.Open == nil {
		return fmt.Errorf("%w: there is no model to open", ErrBench)
	}
	for _, d := range []struct {
		name  string
		value *int
		def   int
	}{{"prompt", &b.Prompt, 256}, {"generate", &b.Generate, 32}, {"repeat", &b.Repeat, 3}} {
		if *d.value == 0 {
			*d.value = d.def
		}
		if *d.value < 1 || *d.value > maxTokens {
			return fmt.Errorf("%w: %s is %d, want 1 to %d", ErrBench, d.name, *d.value, maxTokens)
		}
	}
	for _, n := range b.Batches {
		if n < 1 || n > maxBatch {
			return fmt.Errorf("%w: a batch of %d sequences, want 1 to %d", ErrBench, n, maxBatch)
		}
	}
	for _, n := range b.Depths {
		if n < 0 || n > maxTokens {
			return fmt.Errorf("%w: a depth of %d tokens, want 0 to %d", ErrBench, n, maxTokens)
		}
	}
	if b.LimitTime == 0 {
		b.LimitTime = 60 * time.Millisecond
	}
	if b.Progress == nil {
		b.Progress = func(string, int, int) {}
	}
	return nil
}

// Limits on options, far above what anyone measures.
const (
	maxTokens = 1 << 20
	maxBatch  = 1 << 10
)

// load opens the model and times it.
func (b *bench) load() error {
	b.Progress("loading", 0, 0)
	// What was allocated before does not belong to loading.
	debug.FreeOSMemory()
	watch, err := watchMemory()
	if err != nil {
		return err
	}
	start := time.Now()
	err = b.open()
	elapsed := time.Since(start)
	if err == nil {
		b.engine.Prepare() // the speeds are those of later tokens
	}
	peak, watchErr := watch.stop()
	if err != nil {
		return err
	}
	if watchErr != nil {
		return errors.Join(watchErr, b.engine.Close(), b.model.Close())
	}
	b.report.LoadSeconds = elapsed.Seconds()
	b.report.PeakMemory, b.report.MemorySource = peak, memorySource
	return nil
}

func (b *bench) open() error {
	f, err := b.Open()
	if err != nil {
		return err
	}
	b.report.FileBytes = f.Size
	if f.Metadata.Has("tokenizer.ggml.model") {
		start := time.Now()
		if _, err := tokenizer.FromGGUF(f.Metadata); err != nil {
			b.report.Notes = append(b.report.Notes, fmt.Sprintf("the tokenizer cannot be read, which does not matter here: %v", err))
		}
		b.report.TokenizerSeconds = time.Since(start).Seconds()
	}
	b.Load.Team = b.team
	start := time.Now()
	if b.model, err = model.Load(f, b.Load); err != nil {
		return errors.Join(err, f.Close())
	}
	b.report.WeightsSeconds = time.Since(start).Seconds()
	b.fitEngine()
	if b.engine, err = engine.New(b.model, b.Engine); err != nil {
		return errors.Join(err, b.model.Close())
	}
	b.work = newLayerWork(b.model, b.Engine.KVType)
	return nil
}

// fitEngine sizes the engine for the measurements.
func (b *bench) fitEngine() {
	states := engine.EstimateMemory(b.model, b.Engine).StatePages
	pages := func(tokens int) int { return (tokens+kernel.PageTokens-1)/kernel.PageTokens + 1 + states }
	texts := max(b.texts, 1)
	text := b.Prompt + b.Generate
	if b.model.Config.MTP > 0 {
		text += guessTokens
	}
	longest, total, largest := text, texts*pages(text), texts
	for _, n := range b.Depths {
		longest = max(longest, n+1+b.Generate)
		total += pages(n) + pages(1+b.Generate) // the sequence and its fork
	}
	for _, n := range b.Batches {
		largest = max(largest, n)
	}
	total += largest * pages(b.Generate)
	b.Engine.Team, b.Engine.Context, b.Engine.CachePages = b.team, longest, total
	b.Engine.MaxRows = max(defaultRows, largest)
	if trained := b.model.Config.Context; longest > trained {
		b.report.Notes = append(b.report.Notes, fmt.Sprintf("sequences of up to %d tokens, although the model was trained for %d: the speed is right, the text would not be", longest, trained))
	}
}

// defaultRows is how many prompt tokens a forward pass takes.
const defaultRows = 256

// run takes all samples.
func (b *bench) run() error {
	b.Progress("measuring the machine", 0, 0)
	b.probe = newLimitProbe(b.team, b.LimitBytes, b.LimitTime)
	b.batch = b.engine.NewBatch()
	b.decode = measurement{batch: 1, depth: b.Prompt}
	for _, n := range b.Batches {
		b.more = append(b.more, &measurement{batch: n})
	}
	for _, n := range b.Depths {
		b.more = append(b.more, &measurement{batch: 1, depth: n})
	}
	defer b.closeDeep()

	b.steps = 1 + b.Repeat*(2+len(b.more))
	b.step("warming up")
	if err := b.warmUp(); err != nil {
		return err
	}
	for range b.Repeat {
		if err := b.repeat(); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) step(what string) {
	b.Progress(what, b.done, b.steps)
	b.done++
}

// warmUp touches all memory once and lets clocks and pages settle.
func (b *bench) warmUp() error {
	l := b.newLane()
	defer l.seq.Close()
	if err := b.prefill(l, b.Prompt); err != nil {
		return err
	}
	_, _, err := b.generate(1, l)
	return err
}

// repeat takes one sample of everything.
func (b *bench) repeat() error {
	b.step(fmt.Sprintf("prompt of %d tokens", b.Prompt))
	b.between()
	l := b.newLane()
	defer l.seq.Close()
	start := time.Now()
	if err := b.prefill(l, b.Prompt); err != nil {
		return err
	}
	speed := float64(b.Prompt) / time.Since(start).Seconds()
	limits := b.between()
	b.prompt.speed = append(b.prompt.speed, speed)
	macs := speed * float64(b.work.macs)
	b.prompt.fraction = append(b.prompt.fraction, macs/limits.Int8MACs)
	b.tileFraction = append(b.tileFraction, ratio(macs, limits.TileMACs))

	b.step(fmt.Sprintf("generating %d tokens", b.Generate))
	if err := b.sample(&b.decode, true, l); err != nil {
		return err
	}
	if b.model.Config.MTP > 0 {
		if err := b.guesses(l); err != nil {
			return err
		}
	}
	for _, m := range b.more {
		b.step(fmt.Sprintf("generating %d tokens in %d sequences after %d tokens", b.Generate, m.batch, m.depth))
		if err := b.sampleMore(m); err != nil {
			return err
		}
	}
	return nil
}

// sampleMore takes one sample of a batch or a depth.
func (b *bench) sampleMore(m *measurement) error {
	if m.batch == 1 {
		l, err := b.atDepth(m.depth)
		if err != nil {
			return err
		}
		fork := &lane{seq: l.seq.Fork(), next: l.next}
		fork.sel.K = l.sel.K
		defer fork.seq.Close()
		// The first token copies what the two share and continue in different ways.
		if _, _, err := b.generate(1, fork); err != nil {
			return err
		}
		return b.sample(m, false, fork)
	}
	lanes := make([]*lane, m.batch)
	for i := range lanes {
		lanes[i] = b.newLane()
		defer lanes[i].seq.Close()
	}
	return b.sample(m, false, lanes...)
}

// sample times the generation of tokens and compares it with the bandwidth before
// and after.
func (b *bench) sample(m *measurement, count bool, lanes ...*lane) error {
	var before, after runtime.MemStats
	if count {
		runtime.ReadMemStats(&before)
	}
	b.engine.TakeSkipped() // of prompts
	elapsed, head, err := b.generate(b.Generate, lanes...)
	if err != nil {
		return err
	}
	if count {
		runtime.ReadMemStats(&after)
		b.allocs = append(b.allocs, float64(after.Mallocs-before.Mallocs)/float64(b.Generate))
	}
	bandwidth := b.between().ReadBandwidth
	speed := float64(len(lanes)*b.Generate) / elapsed.Seconds()
	m.speed = append(m.speed, speed)
	skipped := b.engine.TakeSkipped()
	m.skipped = m.skipped.Add(skipped)
	bytes := b.bytesPerToken(m, head) - float64(skipped.Saved)/float64(len(lanes)*b.Generate)
	m.head, m.bytes = append(m.head, head), append(m.bytes, bytes)
	m.fraction = append(m.fraction, speed*bytes/bandwidth)
	return nil
}

// between measures the machine's limits and returns the larger of these and those
// that were measured last: the limits around what ran in between.
func (b *bench) between() Limits {
	now := b.probe.measure()
	last := b.near
	b.near = now
	b.bandwidth = append(b.bandwidth, now.ReadBandwidth)
	b.macs = append(b.macs, now.Int8MACs)
	b.tiles = append(b.tiles, now.TileMACs)
	return last.larger(now)
}

// bytesPerToken returns what each token of a measurement reads on average: its
// share of the weights, of the output head, and its own keys, values and state.
func (b *bench) bytesPerToken(m *measurement, head float64) float64 {
	// The step after n tokens attends to n+1 positions.
	positions := float64(m.depth) + (float64(b.Generate)+1)/2
	return float64(b.work.weightBytes(m.batch))/float64(m.batch) + head + b.work.cacheBytes(positions) +
		float64(b.engine.Cache().Config().StateBytes())
}

// kvBytes returns the bytes of the keys and values of one position.
func (b *bench) kvBytes() int64 { return b.engine.Cache().PageBytes() / kernel.PageTokens }

// describe fills in what is known before anything runs.
func (b *bench) describe() {
	r, c := b.report, b.model.Config
	layouts := map[ternary.Layout]bool{}
	b.model.Projections(func(_ string, p *model.Projection) { layouts[p.Matrix.Layout] = true })
	var names []string
	for _, l := range slices.Concat(ternary.Layouts(), ternary.GroupedLayouts()) {
		if layouts[l] {
			names = append(names, l.String())
		}
	}
	r.Model, r.ModelName, r.Architecture = b.Name, c.Name, c.Architecture
	r.CPU, r.Kernel, r.Layout = kernel.Active().String(), b.Engine.Variant.String(), strings.Join(names, "+")
	r.KVType, r.Activations = b.engine.Cache().Config().Type.String(), c.Activations.String()
	info := b.engine.HeadInfo()
	r.HeadType, r.HeadMode, r.HeadResident = b.model.Graph.Head().Type.String(), info.Mode.String(), info.Resident
	r.TernaryWeights, r.TernaryBytes, r.TokenMACs = b.model.TernaryWeights, b.model.TernaryBytes, b.work.macs
	r.KVBytesPerPosition, r.StateBytes = b.kvBytes(), b.engine.Cache().Config().StateBytes()
	r.Prompt, r.Generate, r.Repeat = b.Prompt, b.Generate, b.Repeat
}

// summarise turns samples into the report.
func (b *bench) summarise() {
	r := b.report
	r.PrefillSpeed, r.PrefillRange = b.prompt.speed.Median(), b.prompt.speed.Range()
	r.DecodeSpeed, r.DecodeRange = b.decode.speed.Median(), b.decode.speed.Range()
	r.ReadBandwidth, r.ReadBandwidthRange = b.bandwidth.Median(), b.bandwidth.Range()
	r.Int8MACs, r.Int8MACsRange = b.macs.Median(), b.macs.Range()
	r.TileMACs, r.TileMACsRange = b.tiles.Median(), b.tiles.Range()
	r.PrefillTileFraction = b.tileFraction.Median()
	r.BytesPerToken, r.HeadBytes = int64(b.decode.bytes.Median()), int64(b.decode.head.Median())
	r.DecodeFraction, r.PrefillFraction = b.decode.fraction.Median(), b.prompt.fraction.Median()
	r.AllocsPerStep = b.allocs.Median()
	r.Zeros = zeros(b.decode.skipped, int64(b.Generate*len(b.decode.speed)))
	if len(b.guess.step) > 0 {
		r.Guesses = b.guess.report()
	}
	r.Batch, r.Depth = []BenchRun{}, []BenchRun{}
	for i, m := range b.more {
		run := BenchRun{
			DecodeSpeed: m.speed.Median(), DecodeRange: m.speed.Range(),
			BytesPerToken: int64(m.bytes.Median()), DecodeFraction: m.fraction.Median(),
		}
		if i < len(b.Batches) {
			run.N = m.batch
			r.Batch = append(r.Batch, run)
		} else {
			run.N = m.depth
			r.Depth = append(r.Depth, run)
		}
	}
}

// note says what a reader of the figures should know.
func (b *bench) note() {
	r := b.report
	if cache := largestCache(); r.BytesPerToken < cache {
		r.Notes = append(r.Notes, fmt.Sprintf("a step reads %s, which fits the CPU's cache of %s: the read bandwidth of memory is no limit",
			bytesText(float64(r.BytesPerToken)), bytesText(float64(cache))))
	}
	if low, high := r.ReadBandwidthRange[0], r.ReadBandwidthRange[1]; high > 1.5*low {
		r.Notes = append(r.Notes, fmt.Sprintf("the read bandwidth varied between %.1f and %.1f GB/s: other programs were busy", low/1e9, high/1e9))
	}
}
