package convert

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"trit/gguf"
	_ "trit/internal/model/arch" // the families that checkpoints are matched with
)

// writeFunc is gguf.WriteFile, or what tests have in its place.
type writeFunc func(path string, meta *gguf.Metadata, tensors []gguf.TensorSpec) error

// FromHF converts a Hugging Face checkpoint to a GGUF file and says what it did.
//
// The checkpoint is a folder with config.json, model.safetensors (or its shards
// and their index), and the tokenizer's files. Cancelling the context stops the
// conversion soon; the error then wraps the context's. After any error nothing new
// is under the output's name.
func FromHF(ctx context.Context, o Options) (*Report, error) {
	return fromHF(ctx, o, gguf.WriteFile)
}

// fromHF reads the small files and the headers and plans by them, looks at some
// weights to complete the plan, and writes.
func fromHF(ctx context.Context, o Options, write writeFunc) (report *Report, err error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if err := stopped(ctx); err != nil {
		return nil, err
	}
	t, err := newTeam(o.Threads)
	if err != nil {
		return nil, err
	}
	defer t.close()
	info, err := os.Stat(o.Input)
	if err != nil {
		return nil, fmt.Errorf("convert: %w", err)
	}
	dir := o.Input
	if !info.IsDir() {
		dir = filepath.Dir(o.Input)
	}
	config, err := readConfig(dir)
	if err != nil {
		return nil, err
	}
	in, err := openSource(o.Input, dir, t)
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := in.close(); e != nil {
			report, err = nil, errors.Join(err, fmt.Errorf("convert: %w", e))
		}
	}()
	if err := in.checkOutput(o.Output); err != nil {
		return nil, err
	}
	p, err := planHF(o, dir, config, in)
	if err != nil {
		return nil, err
	}
	w := newWriter(ctx, &p.plan, t, in, o.Progress)
	if err := in.checkScales(&p.plan); err != nil {
		return nil, err
	}
	forms, err := w.firstForms()
	if err != nil {
		return nil, err
	}
	p.weights(forms)
	if err := p.activations(); err != nil {
		return nil, err
	}
	if err := w.writeFile(write); err != nil {
		return nil, err
	}
	return p.report, nil
}

// planHF plans by what is in a checkpoint's folder. What is wrong with the model is
// said before what is wrong with its tokenizer.
func planHF(o Options, dir string, config *hfConfig, in *source) (*hfPlan, error) {
	p, err := newHFPlan(o, config)
	if err != nil {
		return nil, err
	}
	name, license := o.Name, o.License
	if name == "" {
		if name, err = folderName(dir); err != nil {
			return nil, err
		}
	}
	if license == "" {
		if license, err = readLicense(dir); err != nil {
			return nil, err
		}
	}
	if err := p.model(name, license); err != nil {
		return nil, err
	}
	vectors, err := readEmbedding(dir)
	if err != nil {
		return nil, err
	}
	p.headless = vectors.pooling != 0 || strings.HasSuffix(p.report.Class, "Model")
	list, err := in.unite(config)
	if err != nil {
		return nil, err
	}
	if err := p.tensors(list); err != nil {
		return nil, err
	}
	if err := p.rotation(dir, in); err != nil {
		return nil, err
	}
	files, err := readTokens(dir, o.Pre)
	if err != nil {
		return nil, err
	}
	if err := p.texts(files); err != nil {
		return nil, err
	}
	if err := p.embedding(vectors); err != nil {
		return nil, err
	}
	return p, p.scales()
}
