// Package trit runs ternary language models (BitNet b1.58 and its relatives)
// on ordinary CPUs.
//
//	import _ "trit/demo" // embeds a small model
//
//	m, err := trit.Open("demo")
//	if err != nil {
//		return err
//	}
//	defer m.Close()
//	for token, err := range m.Generate(ctx, "Once upon a time", trit.MaxTokens(60)) {
//		if err != nil {
//			return err
//		}
//		fmt.Print(token.Text)
//	}
//
// [Open] takes the path of a GGUF file, the name of a registered model, or "demo"
// (a small model that is part of programs that import it). A [Model] may be used
// by many goroutines at once; their tokens are computed together.
//
// This package only ties the others together. Programs that need more control
// use them directly: model and engine for the forward pass, tokenizer, sample
// and generate for the loop, gguf and quant for files.
package trit

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"trit/hub"
	"trit/internal/engine"
	"trit/internal/generate"
	"trit/internal/kernel"
	"trit/internal/metrics"
	"trit/internal/model"
	_ "trit/internal/model/arch" // all architectures
	"trit/internal/parallel"
	"trit/quant"
	"trit/sample"
	"trit/tokenizer"
)

// Token is one generated token.
type Token = generate.Token

// Finish says why a generation ended; it is set on the last token.
type Finish = generate.Finish

// The reasons to end.
const (
	FinishStop       = generate.FinishStop
	FinishStopString = generate.FinishStopString
	FinishLength     = generate.FinishLength
	FinishCancelled  = generate.FinishCancelled
)

// Stats count and time a generation.
type Stats = generate.Stats

// Model is an open model.
type Model struct {
	name      string
	model     *model.Model
	scheduler *engine.Scheduler
	tokenizer *tokenizer.Tokenizer
	sampling  sample.Options
	loadTime  time.Duration
	metrics   *metrics.Metrics
	drafts    sync.Map // *tokenizer.Tokenizer of a draft model → error, or true

	constraints constraintCache
	format      chatFormat
}

// Option changes how a model is opened.
type Option func(*openOptions)

type openOptions struct {
	engine    engine.Options
	load      model.LoadOptions
	pre       string
	tokenizer string
}

// Threads sets the number of worker threads; 0 means one per physical core.
func Threads(n int) Option { return func(o *openOptions) { o.engine.Threads = n } }

// ContextSize sets the largest number of tokens of a text, prompt included; 0
// means what the model was trained for.
func ContextSize(n int) Option { return func(o *openOptions) { o.engine.Context = n } }

// KVType sets the element type of the KV cache; the default is f16.
func KVType(t kernel.KVType) Option { return func(o *openOptions) { o.engine.KVType = t } }

// BatchRows sets how many tokens one forward pass takes at most.
func BatchRows(n int) Option { return func(o *openOptions) { o.engine.MaxRows = n } }

// Kernel sets the implementation of the ternary products.
func Kernel(v kernel.Variant) Option { return func(o *openOptions) { o.engine.Variant = v } }

// Head sets how the logits are computed; see engine.HeadMode.
func Head(m engine.HeadMode) Option { return func(o *openOptions) { o.engine.Head = m } }

// Activations overrides what the inputs of ternary projections are rounded to.
func Activations(a model.Activations) Option { return func(o *openOptions) { o.load.Activations = a } }

// HiddenAct overrides the activation function of the feed-forward network.
func HiddenAct(a model.HiddenAct) Option { return func(o *openOptions) { o.load.HiddenAct = a } }

// I2SLayout sets the packing of I2_S tensors, which files do not record.
func I2SLayout(l quant.I2SLayout) Option { return func(o *openOptions) { o.load.I2SLayout = l } }

// PreTokenizer overrides the file's pre-tokenizer, for example "default" for
// the splitting that bitnet.cpp uses on files that name none.
func PreTokenizer(name string) Option { return func(o *openOptions) { o.pre = name } }

// TokenizerPath takes the tokenizer from a tokenizer.json, a tokenizer.model or
// a folder with one of them instead of the model's file.
func TokenizerPath(path string) Option { return func(o *openOptions) { o.tokenizer = path } }

// Progress sets a function that is called while the weights are loaded, with
// the weights done so far and in all.
func Progress(f func(done, total int64)) Option { return func(o *openOptions) { o.load.Progress = f } }

// Open opens a model: the path of a GGUF file, the name of a registered model,
// or "demo" in a program that imports package demo.
func Open(name string, opts ...Option) (*Model, error) {
	o := openOptions{engine: engine.Options{KVType: kernel.KVF16}}
	for _, opt := range opts {
		opt(&o)
	}
	if v, ok, err := kernel.OverrideFromEnv(); err != nil {
		return nil, err
	} else if ok && o.engine.Variant == kernel.Auto {
		o.engine.Variant = v
	}
	start := time.Now()
	found, err := hub.Resolve(name)
	if err != nil {
		return nil, err
	}
	f, err := found.Open()
	if err != nil {
		return nil, err
	}
	m := &Model{name: found.Name}
	if m.tokenizer, err = openTokenizer(f.Metadata, o); err == nil {
		m.sampling, err = samplingDefaults(f.Metadata)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", found.Name, err), f.Close())
	}
	if o.engine.Threads == 0 {
		o.engine.Threads = parallel.DefaultThreads()
	}
	team, err := parallel.NewTeam(o.engine.Threads)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	o.load.Team = team
	m.model, err = model.Load(f, o.load)
	team.Close()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if got, want := m.tokenizer.Len(), m.model.Config.Vocab; got > want {
		return nil, errors.Join(fmt.Errorf("%s: the tokenizer has %d tokens, the model only %d", found.Name, got, want), f.Close())
	}
	e, err := engine.New(m.model, o.engine)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	m.scheduler = engine.NewScheduler(e)
	m.metrics = metrics.New()
	m.loadTime = time.Since(start)
	return m, nil
}

// Close stops the model and frees its memory. Running generations end with an
// error.
func (m *Model) Close() error {
	return errors.Join(m.scheduler.Close(), m.model.Close())
}

// Name returns the name that the model was opened by.
func (m *Model) Name() string { return m.name }

// Config returns the model's hyper-parameters. They must not be changed.
func (m *Model) Config() *model.Config { return m.model.Config }

// Weights returns the loaded model: file, metadata, weights.
func (m *Model) Weights() *model.Model { return m.model }

// Tokenizer returns the model's tokenizer.
func (m *Model) Tokenizer() *tokenizer.Tokenizer { return m.tokenizer }

// Scheduler returns the scheduler that runs the model, for programs that work
// with sessions directly.
func (m *Model) Scheduler() *engine.Scheduler { return m.scheduler }

// Sampling returns the sampling options that generation starts from: those
// that the model recommends, or the defaults of package sample.
func (m *Model) Sampling() sample.Options { return m.sampling }

// LoadTime returns how long Open took.
func (m *Model) LoadTime() time.Duration { return m.loadTime }

// Tokenize returns the tokens of a text, with the special tokens that the
// model wants around it.
func (m *Model) Tokenize(text string) []int32 { return m.tokenizer.Encode(text) }

// Detokenize returns the text of tokens.
func (m *Model) Detokenize(tokens []int32) string { return m.tokenizer.Decode(tokens) }
