package trit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"trit/gguf"
	"trit/hub"
	"trit/internal/engine"
	"trit/internal/fault"
	"trit/internal/generate"
	"trit/internal/kernel"
	"trit/internal/metrics"
	"trit/internal/mmap"
	"trit/internal/model"
	_ "trit/internal/model/arch" // all architectures
	"trit/internal/parallel"
	"trit/tokenizer"
)

// Open opens a model: "demo", the path of a GGUF file, or the name of a
// registered model.
func Open(name string, opts ...Option) (*Model, error) {
	return OpenContext(context.Background(), name, opts...)
}

// OpenContext is Open that ends early, with the context's error, when the
// context does: large models take seconds.
func OpenContext(ctx context.Context, name string, opts ...Option) (*Model, error) {
	o, err := openOptionsOf(opts)
	if err != nil {
		return nil, err
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
	m, err := open(ctx, start, found.Name, f, nil, o)
	if err != nil || found.Derived == nil {
		return m, err
	}
	if err := m.derive(found.Derived); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// OpenFile opens a model that package gguf has opened: from bytes with
// [gguf.Parse], from an io.ReaderAt with [gguf.NewReader]. The file then belongs
// to the model, also after an error. name is for messages.
func OpenFile(ctx context.Context, name string, f *gguf.File, opts ...Option) (*Model, error) {
	if f == nil {
		return nil, fault.Option("file", "it is nil")
	}
	o, err := openOptionsOf(opts)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return open(ctx, time.Now(), name, f, nil, o)
}

// OpenFS opens a model that is a file of a file system, such as an embed.FS: a
// program can so carry a model of its own.
func OpenFS(ctx context.Context, fsys fs.FS, path string, opts ...Option) (*Model, error) {
	if fsys == nil {
		return nil, fault.Option("file_system", "it is nil")
	}
	o, err := openOptionsOf(opts)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	f, closer, err := fsFile(fsys, path)
	if err != nil {
		return nil, err
	}
	return open(ctx, start, path, f, closer, o)
}

// fsFile opens a GGUF file of a file system. What is returned beside it is
// closed after it.
func fsFile(fsys fs.FS, path string) (*gguf.File, io.Closer, error) {
	file, err := fsys.Open(path)
	if err != nil {
		return nil, nil, err
	}
	if r, ok := file.(io.ReaderAt); ok {
		var f *gguf.File
		info, err := file.Stat()
		if err == nil {
			f, err = gguf.NewReader(r, info.Size())
		}
		if err != nil {
			return nil, nil, errors.Join(fmt.Errorf("%s: %w", path, err), file.Close())
		}
		return f, file, nil
	}
	data, err := io.ReadAll(file)
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	f, err := gguf.Parse(data)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil, nil
}

// open makes a model of a file, which it closes after an error.
func open(
	ctx context.Context, start time.Time, name string, f *gguf.File, closer io.Closer, o openOptions,
) (*Model, error) {
	m := &Model{name: name, closer: closer, constraints: &constraintCache{memory: o.grammarMemory()}}
	if err := mmap.Guard(func() error { return m.load(ctx, f, o) }); err != nil {
		if m.model == nil { // to which the file would belong
			err = errors.Join(err, f.Close())
		} else {
			err = errors.Join(err, m.model.Close())
		}
		if closer != nil {
			err = errors.Join(err, closer.Close())
		}
		return nil, err
	}
	m.loadTime = time.Since(start)
	return m, nil
}

// CopyTables holds the embedding and the head in memory: the file may be written to.
func CopyTables() Option { return func(o *openOptions) { o.load.CopyTables = true } }

// load reads the parts of a model.
func (m *Model) load(ctx context.Context, f *gguf.File, o openOptions) error {
	if v, ok, err := kernel.VariantFromEnv(); err != nil {
		return err
	} else if ok && o.engine.Variant == kernel.Auto {
		o.engine.Variant = v
	}
	blockers, damage := model.Blockers(f, o.load), model.CheckTensors(f, o.load)
	var err error
	if m.tokenizer, err = openTokenizer(f.Metadata, o); err == nil {
		m.sampling, err = generate.Recommended(f.Metadata)
	}
	if err == nil && o.sampling != nil {
		o.sampling(&m.sampling)
		err = m.sampling.Validate()
	}
	m.format.given = o.template
	switch {
	case len(blockers) > 0:
		return notOurs(m.name, append(blockers, damage, err)...)
	case damage != nil || err != nil:
		return fmt.Errorf("%s: %w", m.name, errors.Join(damage, err))
	}
	if err := m.limitMemory(f, &o); err != nil {
		return err
	}
	team, err := parallel.NewTeam(o.engine.Threads)
	if err != nil {
		return &OptionError{Option: "threads", Err: err}
	}
	defer team.Close() // also after a fault
	defer team.Stay()()
	o.load.Team, o.load.Context = team, ctx
	m.model, err = model.Load(f, o.load)
	team.Close()
	if err != nil {
		return err
	}
	if got, want := m.tokenizer.Len(), m.model.Config.Vocab; got > want {
		return fmt.Errorf("%s: the tokenizer has %d tokens, the model only %d", m.name, got, want)
	}
	e, err := engine.New(m.model, o.engine)
	if err != nil {
		return err
	}
	m.scheduler = engine.NewScheduler(e)
	m.metrics = metrics.New()
	m.scheduler.OnStep(m.metrics.Step)
	m.keepRepacked(o.load.Warn)
	return nil
}

// notOurs returns the error of a model that something here cannot be computed with, as it
// is or with an option.
func notOurs(name string, reasons ...error) error {
	if _, ok := errors.AsType[*OptionError](errors.Join(reasons...)); ok {
		return fmt.Errorf("%s: %w", name, errors.Join(reasons...))
	}
	return fmt.Errorf("%s: %w\nrun it with the program that it was made for, or with llama.cpp", name, errors.Join(reasons...))
}

// limitMemory makes the KV cache as small as the limit wants it, and leaves out what the
// model can do without: that too where there is no limit but the machine's.
func (m *Model) limitMemory(f *gguf.File, o *openOptions) error {
	if o.memory == 0 && o.load.SkipZeros != model.SkipAuto {
		return nil
	}
	p, err := planFile(f, *o)
	if err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	p.Model = m.name
	if o.memory > 0 {
		if err := p.Fit(o.memory); err != nil {
			return err
		}
		o.engine.CachePages = pagesFor(p.KVTokens)
	} else if room, _ := MemoryLimit(); room > 0 {
		p.Spare(room)
	}
	if p.Copies == 0 {
		o.load.SkipZeros = model.SkipOff
	}
	return nil
}

// openTokenizer reads the tokenizer from the model's file or from where the
// options say.
func openTokenizer(meta *gguf.Metadata, o openOptions) (*tokenizer.Tokenizer, error) {
	var opts []tokenizer.Option
	if o.pre != "" {
		opts = append(opts, tokenizer.WithPre(o.pre))
	}
	if o.tokenizer != "" {
		return tokenizer.Open(o.tokenizer, opts...)
	}
	return tokenizer.FromGGUF(meta, opts...)
}
