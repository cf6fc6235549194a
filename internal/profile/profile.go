package profile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"trit/gguf"
	"trit/internal/engine"
	"trit/internal/head"
	"trit/internal/model"
	"trit/internal/parallel"
	"trit/sample"
)

// ProfileOptions say what Profile runs. Only Open is required.
type ProfileOptions struct {
	// Name, Open, Load, Engine, LimitTime, LimitBytes and Progress are as in
	// BenchOptions.
	Name       string
	Open       func() (*gguf.File, error)
	Load       model.LoadOptions
	Engine     engine.Options
	LimitTime  time.Duration
	LimitBytes int
	Progress   func(what string, done, total int)

	// Prompt is the length of the prompt (default 256). It runs PromptRepeat
	// times (3), in fresh sequences; after the last, Iterations tokens (100) are
	// generated with profiling, and between them as many without.
	Prompt, PromptRepeat, Iterations int
	// Sequences is how many sequences generate together (default 1), each after a
	// prompt of its own.
	Sequences int
	// Sampling says how tokens are chosen; nil means greedily.
	Sampling *sample.Options
	// Trace, if not nil, gets all profiled steps as a Chrome trace, as Record
	// writes it.
	Trace io.Writer
}

// warmSteps are run before anything is measured.
const warmSteps = 4

// profiler is a running profile.
type profiler struct {
	options *ProfileOptions
	ctx     context.Context
	bench   *bench // loads and sizes the model, as for a benchmark
	report  *ProfileReport
	team    *parallel.Team
	model   *model.Model
	engine  *engine.Engine
	probe   *limitProbe
	batch   *engine.Batch
	texts   []*text
	work    *workTable

	recorder *recorder
	frame    *frame
	phase    *timings // nil while nothing is recorded
	chrome   *chromeWriter
	limits   map[string]Limits // of each phase
	reads    Samples           // all that were measured
	peaks    Samples
	tiles    Samples
	cost     Samples // of profiling, in parts of a step
}

// text is a sequence that tokens are chosen for.
type text struct {
	seq      *engine.Sequence
	pipeline *sample.Pipeline
	context  sample.Context
	selector head.Selector
	asked    bool    // the selector, not all logits
	tokens   []int32 // of the step
	last     int32   // token that was chosen
}

// Profile runs a model and says where its time goes: for a prompt and for the
// generation after it, by operation, layer and worker, with the rate of each
// operation against the limits of the machine that are measured between. Tokens
// of the prompt are random; generation feeds back what it chooses, without
// regard to end tokens.
//
// Each profiled step of the generation has a neighbour without profiling, in
// alternating order, so that the report also says what profiling costs.
//
// It stops with the context's error, at the latest after one forward pass; the
// trace is complete all the same.
func Profile(ctx context.Context, o ProfileOptions) (report *ProfileReport, err error) {
	p := &profiler{options: &o, ctx: ctx, limits: map[string]Limits{}}
	if err := p.check(); err != nil {
		return nil, err
	}
	b := &bench{
		BenchOptions: BenchOptions{
			Name: o.Name, Open: o.Open, Load: o.Load, Engine: o.Engine, LimitTime: o.LimitTime, LimitBytes: o.LimitBytes,
			Progress: o.Progress, Prompt: o.Prompt, Generate: warmSteps + 2*o.Iterations,
		},
		texts: o.Sequences, ctx: ctx, random: rand.New(rand.NewPCG(1, 2)), report: &BenchReport{},
	}
	if err := b.check(); err != nil {
		return nil, err
	}
	b.report.Threads = parallel.Workers(o.Engine.Threads)
	if b.team, err = parallel.NewTeam(b.report.Threads); err != nil {
		return nil, err
	}
	defer b.team.Close()
	if err := b.load(); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.engine.Close(), b.model.Close()) }()
	b.describe()
	p.bench, p.team, p.model, p.engine = b, b.team, b.model, b.engine
	p.report = &ProfileReport{}
	if err := p.run(); err != nil {
		return nil, err
	}
	return p.report, p.finish()
}

// check fills in defaults and looks for nonsense.
func (p *profiler) check() error {
	o := p.options
	for _, d := range []struct {
		name  string
		value *int
		def   int
	}{{"prompt", &o.Prompt, 256}, {"prompt repetitions", &o.PromptRepeat, 3}, {"iterations", &o.Iterations, 100}} {
		if *d.value == 0 {
			*d.value = d.def
		}
		if *d.value < 1 || *d.value > maxIterations {
			return fmt.Errorf("%w: %s is %d, want 1 to %d", ErrBench, d.name, *d.value, maxIterations)
		}
	}
	if o.Sequences == 0 {
		o.Sequences = 1
	}
	if o.Sequences < 1 || o.Sequences > maxBatch {
		return fmt.Errorf("%w: sequences is %d, want 1 to %d", ErrBench, o.Sequences, maxBatch)
	}
	sampling := sample.Neutral()
	sampling.Temperature = 0
	if o.Sampling != nil {
		sampling = *o.Sampling
	}
	for range o.Sequences {
		pipeline, err := sample.NewPipeline(sampling)
		if err != nil {
			return err
		}
		p.texts = append(p.texts, &text{pipeline: pipeline})
	}
	return nil
}

// maxIterations bounds the memory of a profile: a time for each stage of each
// layer of each step.
const maxIterations = 100_000

// run takes all measurements.
func (p *profiler) run() (err error) {
	p.work = newWorkTable(p.model, p.engine.Cache().Config().Type)
	p.bench.Progress("measuring the machine", 0, 0)
	p.probe = newLimitProbe(p.team, p.options.LimitBytes, p.bench.LimitTime)
	p.batch = p.engine.NewBatch()
	for _, t := range p.texts {
		t.seq = p.engine.NewSequence()
		defer t.seq.Close()
	}
	p.frame = newFrame(p.team.Size())
	p.recorder = &recorder{take: func() *frame { return p.frame }, done: func(*frame) {}}
	if p.options.Trace != nil {
		p.chrome = newChromeWriter(p.options.Trace, cmp.Or(p.options.Name, p.model.Config.Name), p.team.Size(), parallel.Now())
		defer func() {
			err = errors.Join(err, p.chrome.end(map[string]any{"steps": p.chrome.steps, "steps_left_out": 0}))
		}()
	}
	if err := p.warm(); err != nil {
		return err
	}
	if err := p.prompts(); err != nil {
		return err
	}
	return p.decode()
}

// warm touches all memory once and lets clocks and pages settle.
func (p *profiler) warm() error {
	p.bench.Progress("warming up", 0, 0)
	for range 2 {
		if err := p.prompt(p.texts[0], min(p.options.Prompt, p.engine.MaxRows()), nil); err != nil {
			return err
		}
	}
	return nil
}

// reset begins the sequence anew.
func (t *text) reset() error {
	t.pipeline.Reset()
	t.context.History, t.context.Generated = t.context.History[:0], 0
	return t.seq.Truncate(0)
}

// prompt begins a sequence with random tokens, and records the steps if it is given
// where.
func (p *profiler) prompt(t *text, n int, record *timings) error {
	if err := t.reset(); err != nil {
		return err
	}
	for done := 0; done < n; {
		t.tokens = t.tokens[:0]
		for range min(n-done, p.engine.MaxRows()) {
			t.tokens = append(t.tokens, p.bench.token())
		}
		done += len(t.tokens)
		p.phase = record
		_, err := p.step([]*text{t}, done == n)
		p.phase = nil
		if err != nil {
			return err
		}
	}
	return nil
}

// prompts runs prompts and records them.
func (p *profiler) prompts() error {
	t := newTimings(p.work, p.team.Size())
	p.measure("prompt")
	rows, n := p.engine.MaxRows(), p.options.Prompt
	for i := range p.options.PromptRepeat {
		p.bench.Progress(fmt.Sprintf("prompt of %d tokens", n), i, p.options.PromptRepeat)
		if err := p.prompt(p.texts[0], n, t); err != nil {
			return err
		}
		p.measure("prompt")
	}
	r := t.report("prompt", p.limits["prompt"])
	r.Depth = [2]int{0, (n - 1) / rows * rows}
	p.report.Phases = append(p.report.Phases, r)
	return nil
}

// decode generates tokens and records every second one.
func (p *profiler) decode() error {
	for i, t := range p.texts[1:] {
		p.bench.Progress("prompts of the other sequences", i, len(p.texts)-1)
		if err := p.prompt(t, p.options.Prompt, nil); err != nil {
			return err
		}
	}
	t := newTimings(p.work, p.team.Size())
	token := func() (time.Duration, error) {
		for _, t := range p.texts {
			t.tokens = append(t.tokens[:0], t.last)
		}
		return p.step(p.texts, true)
	}
	for range warmSteps {
		if _, err := token(); err != nil {
			return err
		}
	}
	n, depth := p.options.Iterations, p.texts[0].seq.Len()
	p.measure("decode")
	for i := range n {
		p.bench.Progress("generating", i, n)
		var took [2]time.Duration // without and with profiling
		for k := range took {
			on := (i + k) % 2 // neither is always the first
			if on == 1 {
				p.phase = t
			}
			var err error
			took[on], err = token()
			p.phase = nil
			if err != nil {
				return err
			}
		}
		p.cost = append(p.cost, took[1].Seconds()/took[0].Seconds()-1)
		if quarter := (n + 3) / 4; (i+1)%quarter == 0 || i+1 == n {
			p.measure("decode")
		}
	}
	r := t.report("decode", p.limits["decode"])
	r.Depth = [2]int{depth, p.texts[0].seq.Len() - 1}
	p.report.Phases = append(p.report.Phases, r)
	return nil
}

// measure measures the limits of the machine, and its memory, during a phase. The
// largest of a phase counts.
func (p *profiler) measure(phase string) {
	m := p.probe.measure()
	p.limits[phase] = p.limits[phase].larger(m)
	p.reads, p.peaks, p.tiles = append(p.reads, m.ReadBandwidth), append(p.peaks, m.Int8MACs), append(p.tiles, m.TileMACs)
}

// step times a step that appends the sequences' tokens, and chooses those after them
// if that is wanted. It is recorded if there is a phase.
func (p *profiler) step(texts []*text, choose bool) (time.Duration, error) {
	if err := p.ctx.Err(); err != nil {
		return 0, err
	}
	if p.phase == nil {
		start := time.Now()
		err := p.runStep(texts, choose)
		return max(time.Since(start), 1), err
	}
	p.engine.SetTracer(p.recorder)
	defer p.engine.SetTracer(nil)
	start := time.Now()
	p.recorder.beginFrame()
	err := p.runStep(texts, choose)
	p.recorder.endFrame()
	took := max(time.Since(start), 1)
	if err != nil {
		return 0, err
	}
	p.phase.add(p.frame)
	if p.chrome != nil {
		err = p.chrome.frame(p.frame)
	}
	return took, err
}

func (p *profiler) runStep(texts []*text, choose bool) error {
	for _, t := range texts {
		t.context.History = append(t.context.History, t.tokens...)
		if choose {
			p.begin(model.LayerIn, opSample)
			p.ask(t)
			p.end()
		}
	}
	p.begin(model.LayerIn, engine.OpBatch)
	err := p.fill(texts, choose)
	p.end()
	if err != nil {
		return err
	}
	if err := p.engine.Step(p.batch, nil); err != nil || !choose {
		return err
	}
	row := -1
	for _, t := range texts {
		row += len(t.tokens)
		if err := p.choose(t, row); err != nil {
			return err
		}
	}
	return nil
}

// begin and end surround an operation outside the engine.
func (p *profiler) begin(layer int, op string) {
	if p.phase != nil {
		p.recorder.Begin(layer, op, 1)
	}
}

func (p *profiler) end() {
	if p.phase != nil {
		p.recorder.End()
	}
}

// ask has a sequence's pipeline say which logits it needs.
func (p *profiler) ask(t *text) {
	need := t.pipeline.Need(&t.context, p.model.Config.Vocab)
	s := &t.selector
	t.asked = !need.All
	s.K, s.Window, s.TailMass, s.IDs, s.Mask = need.K, need.Window, need.TailMass, need.IDs, need.Mask
}

// fill puts the sequences' tokens into the batch.
func (p *profiler) fill(texts []*text, choose bool) error {
	p.batch.Reset()
	for _, t := range texts {
		for i, token := range t.tokens {
			want, sel := engine.None, (*head.Selector)(nil)
			if choose && i == len(t.tokens)-1 {
				if want = engine.All; t.asked {
					want, sel = engine.Select, &t.selector
				}
			}
			if _, err := p.batch.Add(t.seq, token, want, sel); err != nil {
				return err
			}
		}
	}
	return nil
}

// choose takes a token from the results of a row.
func (p *profiler) choose(t *text, row int) error {
	if t.asked {
		s := &t.selector
		p.begin(model.LayerOut, opSample)
		result, err := t.pipeline.SampleSelected(&sample.Selected{
			Vocab: p.model.Config.Vocab, IDs: s.Tokens, Logits: s.Logits, TailMax: s.TailMax,
			HasTailMass: s.TailMass, TailLogMassMin: s.TailLogMassMin, TailLogMassMax: s.TailLogMassMax,
		}, &t.context)
		p.end()
		if !errors.Is(err, sample.ErrNeedAll) {
			return t.accept(result.Token, err)
		}
		if err := p.batch.Complete(row); err != nil {
			return err
		}
	}
	p.begin(model.LayerOut, opSample)
	result, err := t.pipeline.Sample(p.batch.Logits(row), &t.context)
	p.end()
	return t.accept(result.Token, err)
}

// accept takes a chosen token.
func (t *text) accept(token int32, err error) error {
	if err != nil {
		return fmt.Errorf("profile: choosing a token: %w", err)
	}
	t.pipeline.Accept(token)
	t.context.Generated++
	t.last = token
	return nil
}
