package convert

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"trit/gguf"
	"trit/internal/model"
	_ "trit/internal/model/arch" // the families that checkpoints are matched with
)

// converter holds the state of one conversion.
type converter struct {
	ctx    context.Context
	opts   Options
	dir    string // of the checkpoint
	in     *source
	hf     *hfConfig
	report *Report
	meta   *gguf.Metadata

	family      *model.Arch
	config      *model.Config
	declared    string    // how the source declares the model ternary, or ""
	undeclared  string    // for the message when it does not
	method      Method    // by which master weights are rounded
	ropeFactors []float32 // the contents of rope_freqs, or nil
	convention  ScaleConvention

	jobs  []*job
	total int64 // source bytes
	done  Progress
	team  team

	// writeFile is gguf.WriteFile; tests let it fail.
	writeFile func(path string, meta *gguf.Metadata, tensors []gguf.TensorSpec) error

	// Buffers that every tensor uses anew.
	floats, reordered, values, back []float32
	trits                           []int8
	codes, pending, out, raw        []byte
	loss                            *loss // of the tensor being written; nil: not measured
}

// FromHF converts a Hugging Face checkpoint to a GGUF file and says what it did.
//
// The checkpoint is a folder with config.json, model.safetensors (or its shards
// and their index), and the tokenizer's files. Cancelling the context stops the
// conversion soon; the error then wraps the context's. After any error nothing new
// is under the output's name.
func FromHF(ctx context.Context, o Options) (*Report, error) {
	return fromHF(ctx, o, gguf.WriteFile)
}

func fromHF(ctx context.Context, o Options, writeFile func(string, *gguf.Metadata, []gguf.TensorSpec) error) (report *Report, err error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("convert: stopped: %w", err)
	}
	t, err := newTeam(o.Threads)
	if err != nil {
		return nil, err
	}
	c := &converter{
		ctx: ctx, opts: o, writeFile: writeFile, meta: &gguf.Metadata{}, team: t,
		report: &Report{Input: o.Input, Output: o.Output},
	}
	info, err := os.Stat(o.Input)
	if err != nil {
		return nil, fmt.Errorf("convert: %w", err)
	}
	c.dir = o.Input
	if !info.IsDir() {
		c.dir = filepath.Dir(o.Input)
	}
	if c.hf, err = readConfig(c.dir); err != nil {
		return nil, err
	}
	if c.in, err = openSource(o.Input, c.dir, t); err != nil {
		return nil, err
	}
	defer func() {
		if e := c.in.close(); e != nil {
			report, err = nil, errors.Join(err, fmt.Errorf("convert: %w", e))
		}
	}()
	if err := c.checkOutput(); err != nil {
		return nil, err
	}
	if err := c.run(); err != nil {
		return nil, err
	}
	return c.report, nil
}

// checkOutput refuses to write over the checkpoint.
func (c *converter) checkOutput() error {
	out, err := os.Stat(c.opts.Output)
	if err != nil {
		return nil // it is not there, or writing will tell
	}
	for _, path := range c.in.checkpoint.Files() {
		if in, err := os.Stat(path); err == nil && os.SameFile(in, out) {
			return fmt.Errorf("%w: the output %s is a file of the checkpoint", ErrOptions, c.opts.Output)
		}
	}
	return nil
}

// run takes all decisions that need no more than headers and the first layer,
// then writes the file.
func (c *converter) run() error {
	if err := c.writeModelKeys(); err != nil {
		return err
	}
	if err := c.plan(); err != nil {
		return err
	}
	if err := c.writeTokenizer(); err != nil {
		return err
	}
	if err := c.settleScales(); err != nil {
		return err
	}
	if err := c.preview(); err != nil {
		return err
	}
	if err := c.settleActivations(); err != nil {
		return err
	}
	c.done.TotalTensors, c.done.TotalBytes = len(c.jobs), c.total
	if err := c.writeFile(c.opts.Output, c.meta, c.specs()); err != nil {
		return fmt.Errorf("convert: %w", err)
	}
	c.done.Tensors, c.done.Tensor = len(c.jobs), ""
	c.finish()
	return nil
}

// preview analyses the projections of the first layer, so that a model that
// cannot be converted is refused before anything is written.
func (c *converter) preview() error {
	c.declared = c.hf.declaredTernary(c.family)
	c.undeclared = fmt.Sprintf("config.json has no quantization_config and its class %s is not a ternary one", c.report.Class)
	forms := map[Form]bool{}
	for _, j := range c.jobs {
		if j.scale != nil {
			forms[FormPacked] = true
			continue
		}
		if j.role != model.RoleProjection || !strings.HasPrefix(j.name, "blk.0.") {
			continue
		}
		a, err := c.analyse(j)
		if err != nil {
			return err
		}
		forms[a.form] = true
	}
	for _, d := range []struct {
		form           Form
		choice, reason string
	}{
		{FormPacked, "taken as they are", "some projections hold packed codes"},
		{FormTernary, "taken as they are", "some projections hold floats that are ternary already"},
		{FormMaster, "rounded by absmean", "some projections hold real-valued master weights"},
	} {
		if forms[d.form] {
			c.report.decide("weights", d.choice, "%s", d.reason)
		}
	}
	if forms[FormMaster] && c.declared == "" {
		c.report.warn("the model was not trained ternary and is converted by force: expect nonsense")
	}
	return nil
}

// settleActivations decides whether the inputs of projections are rounded to
// eight bits, and writes it down where they are not.
func (c *converter) settleActivations() error {
	activations, reason := c.opts.Activations, "chosen by the caller"
	if activations == 0 {
		activations, reason = model.Int8, c.declared
		if c.declared == "" {
			activations = model.Float
			reason = "config.json says nothing of quantisation, as with TriLM models, which are trained with float activations"
		}
	}
	c.report.Activations = activations.String()
	c.report.decide("activations", activations.String(), "%s", reason)
	if activations == model.Int8 {
		return nil
	}
	w := metaWriter{meta: c.meta}
	w.set(c.config.Architecture+".activations", activations.String())
	return w.err
}

// progress reports that n more bytes of the source have been converted, and
// returns an error when the conversion is to stop.
func (c *converter) progress(n int64) error {
	c.done.Bytes += n
	if c.opts.Progress != nil {
		c.opts.Progress(c.done)
	}
	if err := c.ctx.Err(); err != nil {
		return fmt.Errorf("convert: stopped: %w", err)
	}
	return nil
}

// finish completes the report.
func (c *converter) finish() {
	for _, j := range c.jobs {
		c.report.Tensors = append(c.report.Tensors, *j.report)
		c.report.SourceBytes += j.sourceBytes()
		if size, err := j.typ.Size(j.dims); err == nil { // the writer has checked it
			c.report.TensorBytes += size
		}
	}
	if c.opts.Progress != nil {
		c.opts.Progress(c.done)
	}
}
