package model

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"trit/gguf"
	"trit/internal/fault"
	"trit/internal/kernel"
	"trit/internal/kernel/autotune"
	"trit/internal/parallel"
	"trit/internal/repacked"
	"trit/internal/ternary"
	"trit/quant"
)

// LoadOptions change how a file is read. The zero value takes every decision
// from the file.
type LoadOptions struct {
	// Activations overrides what projections round their input to.
	Activations Activations
	// HiddenAct overrides the activation function.
	HiddenAct HiddenAct
	// I2SLayout is the packing of I2_S tensors, which files do not record.
	I2SLayout quant.I2SLayout
	// Layout chooses the resident layout of a projection of the given shape;
	// nil means the one that Tuner finds fastest for generating.
	Layout func(rows, cols int) ternary.Layout
	// Tuner chooses layouts and kernels; nil means one that measures anew.
	Tuner *autotune.Tuner
	// CopyTables holds the tensors that are not repacked in memory of the model's own, so
	// that it does not need its file any more.
	CopyTables bool
	// MTP loads the layer that guesses further tokens too. It is an error if the file has
	// none.
	MTP bool
	// SkipZeros says whether matrices are also kept by rows and columns.
	SkipZeros SkipZeros
	// Team repacks the weights; nil means one worker.
	Team *parallel.Team
	// Progress, if not nil, is called with the weights repacked so far and in
	// all.
	Progress func(done, total int64)
	// Context, if not nil, ends the loading early with its error.
	Context context.Context
	// Repacked, if not nil, has repacked weights of earlier loads; Model.KeepRepacked adds
	// those of this one. Warn, if not nil, is told why one is of no use.
	Repacked *repacked.Cache
	Warn     func(error)
}

// Load reads a model from an open file. The file then belongs to the model.
// The mapped pages of repacked tensors are given back to the system.
func Load(f *gguf.File, o LoadOptions) (*Model, error) {
	if err := kernel.Check(); err != nil {
		return nil, err
	}
	m, err := load(f, o)
	if err != nil && f.Path != "" {
		return nil, fmt.Errorf("%s: %w", f.Path, err)
	}
	return m, err
}

func load(f *gguf.File, o LoadOptions) (*Model, error) {
	arch, c, err := configureFile(f, o)
	if err != nil {
		return nil, err
	}
	m := &Model{Config: c, File: f, Copied: o.CopyTables}
	if m.Embedding, err = ReadEmbedding(f.Metadata, c.Architecture); err != nil {
		return nil, err
	}
	b := newBinder(arch, m, o)
	if b.transforms, err = readTransforms(f, arch, c); err != nil {
		return nil, err
	}
	if b.opts.Team == nil {
		if b.opts.Team, err = parallel.NewTeam(1); err != nil {
			return nil, err
		}
		defer b.opts.Team.Close()
	}
	b.choices = b.opts.Tuner.For(b.opts.Team)
	b.countWeights()
	b.keeper = newKeeper(f, c, o)
	defer b.keeper.close()
	if m.Graph, err = arch.Build(c, b); err != nil {
		return nil, err
	}
	if err := b.head(); err != nil {
		return nil, err
	}
	b.finish()
	m.keeper, m.Read = b.keeper, b.choices.Reading()
	m.bitnetPrefixes()
	return m, nil
}

// Blockers returns what a file's header tells to keep its model from running, all of it:
// the architecture, hyper-parameters, keys that ask for another graph, types of tensors.
func Blockers(f *gguf.File, o LoadOptions) []error {
	var errs []error
	if _, _, err := configureFile(f, o); err != nil {
		errs = append(errs, err)
	}
	var types []string
	tensors := map[string][]string{}
	for _, t := range f.Tensors {
		if _, err := quant.RowBytes(t.Type, 0); err != nil {
			name := t.Type.String()
			if tensors[name] == nil {
				types = append(types, name)
			}
			tensors[name] = append(tensors[name], t.Name)
		}
	}
	for _, name := range types {
		errs = append(errs, fmt.Errorf("%w: %d tensors, %s among them, are stored as %s, which cannot be computed with",
			ErrTensor, len(tensors[name]), tensors[name][0], name))
	}
	return errs
}

// maxListed bounds the tensors that an error names.
const maxListed = 6

// CheckTensors reports what the tensors of a file lack for its model to be built, all of
// it: tensors that are missing or have another shape, and keys of a rotation that
// contradict. It reads the header, and reports nothing of a file whose configuration
// cannot be read.
func CheckTensors(f *gguf.File, o LoadOptions) error {
	arch, c, err := configureFile(f, o)
	if err != nil {
		return nil // Blockers says so
	}
	var missing []string
	var errs []error
	for spec := range arch.Table(c).Rows() {
		t, ok := f.Tensor(spec.Name)
		switch {
		case !ok && !spec.Optional && !spec.Extra:
			missing = append(missing, spec.Name)
		case ok && !slices.Equal(trimDims(t.Dims), trimDims(spec.Dims)) && len(errs) < maxListed:
			errs = append(errs, fmt.Errorf("%w %s: its shape is %v, but the configuration asks for %v", ErrTensor, spec.Name, t.Dims, spec.Dims))
		}
	}
	switch n := len(missing); {
	case n > 1 && c.MTPLayers > 0 && slices.Contains(missing, LayerTensor(0, "attn_norm.weight")):
		errs = append(errs, fmt.Errorf("%w: the file holds only the layer that guesses further tokens, not the model; "+
			"use a file that has both", ErrTensor))
	case n == 1:
		errs = append(errs, fmt.Errorf("%w %s: it is missing from the file; download or convert it again", ErrTensor, missing[0]))
	case n > 1:
		more := ""
		if n > maxListed {
			more = fmt.Sprintf(" and %d more", n-maxListed)
		}
		errs = append(errs, fmt.Errorf("%w: %d tensors are missing from the file: %s%s; download or convert it again",
			ErrTensor, n, strings.Join(missing[:min(n, maxListed)], ", "), more))
	}
	if _, err := readTransforms(f, arch, c); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// trimDims drops trailing dimensions of 1, which writers may leave out.
func trimDims(dims []int64) []int64 {
	for len(dims) > 1 && dims[len(dims)-1] == 1 {
		dims = dims[:len(dims)-1]
	}
	return dims
}

// configureFile returns the family and the configuration of a file.
func configureFile(f *gguf.File, o LoadOptions) (*Arch, *Config, error) {
	name, err := f.Metadata.String("general.architecture")
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrArchitecture, err)
	}
	arch, err := LookupArch(name)
	if err != nil {
		return nil, nil, err
	}
	c, err := Configure(arch, f.Metadata, o)
	if err == nil && o.Activations == 0 && !has(f.Metadata, c.Architecture+".activations") {
		c.Activations = trainedWith(f, arch, c)
	}
	return arch, c, err
}

// trainedWith returns what a file's models were trained to round the inputs of
// projections to, as far as the types of its projections tell: I2_S is what BitNet
// models are stored in, the types with a scale for each few columns are made from
// models of which only the weights were trained to be ternary. Otherwise it is what
// is usual in the family.
func trainedWith(f *gguf.File, arch *Arch, c *Config) Activations {
	table := arch.Table(c)
	for _, t := range f.Tensors {
		if spec, ok := table.Lookup(t.Name); !ok || spec.Role != RoleProjection {
			continue
		}
		switch t.Type {
		case gguf.TypeI2S, gguf.TypeIQ1BN, gguf.TypeIQ1BNBare, gguf.TypeIQ2BN, gguf.TypeIQ2BNBare, gguf.TypeIQ2BNR4:
			return Int8
		case gguf.TypeQ1_0, gguf.TypeQ2_0, gguf.TypeQ2_0G128, gguf.TypePQ2_0, gguf.TypePTQ1_0, gguf.TypeSTQ1_0:
			return Int8Groups
		}
	}
	return c.Activations
}

// Configure reads the complete configuration of a model of a family, with the
// overrides of the options applied.
func Configure(arch *Arch, meta *gguf.Metadata, o LoadOptions) (*Config, error) {
	c, err := ReadConfig(meta)
	var refused error
	if arch.Refuse != nil {
		if architecture, nameErr := meta.String("general.architecture"); nameErr == nil {
			refused = arch.Refuse(meta, architecture)
		}
	}
	if err != nil {
		return nil, errors.Join(err, refused)
	}
	c.Activations = Int8
	if arch.WeightOnly {
		c.Activations = Int8Groups
	}
	if key := c.Architecture + ".activations"; has(meta, key) {
		s, err := meta.String(key)
		if err == nil {
			c.Activations, err = ParseActivations(s)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrConfig, key, err)
		}
	}
	if err := errors.Join(refused, arch.Configure(meta, c)); err != nil {
		return nil, err
	}
	if key := c.Architecture + ".hidden_act"; has(meta, key) {
		s, err := meta.String(key)
		if err == nil {
			c.HiddenAct, err = ParseHiddenAct(s)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrConfig, key, err)
		}
	}
	switch {
	case !o.MTP:
	case c.MTPLayers == 0:
		return nil, fault.Option("mtp", "the file has no layer that guesses further tokens (%s.nextn_predict_layers); "+
			"use a file of the model that has one, or guess in another way", c.Architecture)
	case c.MTPLayers > 1:
		return nil, fault.Option("mtp", "the file has %d layers that guess further tokens (%s.nextn_predict_layers), one after the other; "+
			"only one is supported", c.MTPLayers, c.Architecture)
	default:
		c.MTP = 1
	}
	if o.Activations != 0 {
		c.Activations = o.Activations
	}
	if o.HiddenAct != 0 {
		c.HiddenAct = o.HiddenAct
	}
	return c, nil
}
