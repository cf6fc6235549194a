package validate

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"trit/gguf"
	"trit/internal/engine"
	"trit/internal/model"
	_ "trit/internal/model/arch" // the tensor tables and graphs of all architectures
	"trit/internal/parallel"
	"trit/tokenizer"
)

// The names of the checks, in the order in which they are made.
const (
	CheckFile       = "file"       // container and metadata: what convert.Findings lists
	CheckTensors    = "tensors"    // names, shapes and types against the architecture
	CheckWeights    = "weights"    // every weight: legal codes, finite numbers, scales
	CheckTokenizer  = "tokenizer"  // text comes back; end tokens; the chat template renders
	CheckForward    = "forward"    // all stages of all layers: finite, and not zero
	CheckAttention  = "attention"  // its weights sum to one and never look ahead
	CheckDecode     = "decode"     // token by token gives the logits of the whole prompt
	CheckPerplexity = "perplexity" // a simple text is predicted better than by chance
	CheckEmbeddings = "embeddings" // texts that say the same have like vectors
)

// CheckNames lists the checks in the order in which they are made.
func CheckNames() []string {
	return []string{CheckFile, CheckTensors, CheckWeights, CheckTokenizer, CheckForward, CheckAttention, CheckDecode, CheckPerplexity,
		CheckEmbeddings}
}

// defaultMaxPerplexity is far beyond what a model of any size has on the built-in
// text, and far below what a broken one has, which is about its vocabulary.
const defaultMaxPerplexity = 200

// Options configure the suite. The zero value checks everything as the file says.
type Options struct {
	// Load and Engine say how the model is loaded and run. The context is at
	// most 512 positions, which all checks fit into.
	Load   model.LoadOptions
	Engine engine.Options
	// Tokenizer is used instead of the file's own if it is not nil; Pre overrides
	// the file's pre-tokenizer.
	Tokenizer *tokenizer.Tokenizer
	Pre       string
	// Skip names checks that are not made.
	Skip []string
	// Text is what the perplexity check predicts; empty means a built-in story
	// in simple English. It needs no more than some hundred words.
	Text string
	// MaxPerplexity is what the perplexity may be; 0 means 200.
	MaxPerplexity float64
	// Progress, if not nil, is called before each check.
	Progress func(check string)
}

//go:embed sanity.txt
var sanityText string

// Story returns the text that is predicted where none is given, in simple English.
func Story() string { return sanityText }

// suite is the state of a run.
type suite struct {
	ctx    context.Context
	o      Options
	file   *gguf.File
	report Report

	arch      *model.Arch
	config    *model.Config
	tokenizer *tokenizer.Tokenizer
	model     *model.Model
	engine    *engine.Engine
	unloaded  error
}

// Run makes all checks on an open file, which stays open. name is what the report
// calls it. Whatever is wrong with the model is in the report; the error is for
// what keeps the checks from being made: bad options, or a context that ends.
func Run(ctx context.Context, name string, f *gguf.File, o Options) (*Report, error) {
	for _, s := range o.Skip {
		if !slices.Contains(CheckNames(), s) {
			return nil, fmt.Errorf("%w: there is no check %q (known: %s)", ErrOptions, s, strings.Join(CheckNames(), ", "))
		}
	}
	if o.MaxPerplexity < 0 {
		return nil, fmt.Errorf("%w: a largest perplexity of %v", ErrOptions, o.MaxPerplexity)
	}
	s := &suite{ctx: ctx, o: o, file: f, report: Report{Model: name, Passed: true}}
	defer s.close()
	for _, c := range []struct {
		name string
		run  func(*Check) error
	}{
		{CheckFile, s.checkFile},
		{CheckTensors, s.checkTensors},
		{CheckWeights, s.checkWeights},
		{CheckTokenizer, s.checkTokenizer},
		{CheckForward, s.checkForward},
		{CheckAttention, s.checkAttention},
		{CheckDecode, s.checkDecode},
		{CheckPerplexity, s.checkPerplexity},
		{CheckEmbeddings, s.checkEmbeddings},
	} {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("validate: stopped: %w", err)
		}
		if o.Progress != nil {
			o.Progress(c.name)
		}
		check := Check{Name: c.name, Status: Passed}
		start := time.Now()
		if slices.Contains(o.Skip, c.name) {
			check.skip("left out by the caller")
		} else if err := c.run(&check); errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			return nil, err
		} else if err != nil {
			check.fail("%v", err)
		}
		check.Seconds = time.Since(start).Seconds()
		s.report.Passed = s.report.Passed && check.Status != Failed
		s.report.Checks = append(s.report.Checks, check)
	}
	return &s.report, nil
}

// Unreadable is the report on a file that cannot be opened.
func Unreadable(name string, err error) *Report {
	r := &Report{Model: name}
	for _, check := range CheckNames() {
		c := Check{Name: check, Status: Passed}
		if check == CheckFile {
			c.Summary = "the file cannot be opened"
			c.fail("%v", err)
		} else {
			c.skip("the file cannot be opened")
		}
		r.Checks = append(r.Checks, c)
	}
	return r
}

func (s *suite) close() {
	if s.engine != nil {
		s.engine.Close()
	}
}

// configure finds the family and reads the configuration. It is nil, with an
// error, when the file does not hold a model that can be run.
func (s *suite) configure() error {
	if s.config != nil {
		return nil
	}
	name, err := s.file.Metadata.String("general.architecture")
	if err != nil {
		return err
	}
	arch, err := model.LookupArch(name)
	if err != nil {
		return err
	}
	config, err := model.Configure(arch, s.file.Metadata, s.o.Load)
	if err != nil {
		return err
	}
	s.arch, s.config = arch, config
	return nil
}

// maxContext is enough positions for all checks.
const maxContext = 512

// start loads the model and makes an engine, once. It returns false, and marks the
// check as skipped, if that is not possible; the first check that tries fails.
func (s *suite) start(c *Check) bool {
	switch {
	case s.engine != nil:
		return true
	case s.unloaded != nil:
		c.skip("the model cannot be loaded")
		return false
	}
	err := s.configure()
	if err == nil {
		s.model, err = s.load(s.o.Load)
	}
	if err == nil {
		s.engine, err = s.newEngine(s.model)
	}
	if err != nil {
		s.unloaded = err
		c.Summary = "the model cannot be loaded"
		c.fail("%v", err)
		return false
	}
	return true
}

// load reads the weights with all threads.
func (s *suite) load(o model.LoadOptions) (*model.Model, error) {
	if o.Team == nil {
		team, err := parallel.NewTeam(parallel.Workers(s.o.Engine.Threads))
		if err != nil {
			return nil, err
		}
		defer team.Close()
		o.Team = team
	}
	return model.Load(s.file, o)
}

func (s *suite) newEngine(m *model.Model) (*engine.Engine, error) {
	o := s.o.Engine
	if o.Context == 0 {
		o.Context = m.Config.Context
	}
	o.Context = min(o.Context, maxContext)
	return engine.New(m, o)
}

// tokens returns up to n token ids of the text, or made-up ones without a
// tokenizer. It needs a configuration.
func (s *suite) tokens(n int) []int32 {
	n = min(n, s.engine.Context(), s.engine.MaxRows())
	var ids []int32
	if s.tokenizer != nil {
		ids = s.tokenizer.Encode(s.text())
	}
	for i := len(ids); i < n; i++ {
		ids = append(ids, int32((i*7919+1)%s.config.Vocab))
	}
	return ids[:n]
}

func (s *suite) text() string {
	if s.o.Text != "" {
		return s.o.Text
	}
	return sanityText
}

// run feeds tokens to a new sequence in batches of the given size and returns the
// logits after each: [len(tokens), vocabulary].
func (s *suite) run(e *engine.Engine, tokens []int32, size int, o model.Observer) ([]float32, error) {
	seq := e.NewSequence()
	defer seq.Close()
	b := e.NewBatch()
	var logits []float32
	for len(tokens) > 0 {
		b.Reset()
		n := min(size, len(tokens))
		for _, id := range tokens[:n] {
			if _, err := b.Add(seq, id, engine.All, nil); err != nil {
				return nil, err
			}
		}
		if err := e.Step(b, o); err != nil {
			return nil, err
		}
		for i := range n {
			logits = append(logits, b.Logits(i)...)
		}
		tokens = tokens[n:]
	}
	return logits, nil
}
