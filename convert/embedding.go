package convert

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"trit/internal/model"
)

// embeddingFiles are what a checkpoint of sentence-transformers says about vectors of
// texts.
type embeddingFiles struct {
	pooling model.Pooling     // 0: nothing
	lengths bool              // vectors are brought to length 1
	prompts map[string]string // prefixes by the kind of text
}

// maxModules bounds the parts of a model of sentence-transformers.
const maxModules = 16

// readEmbedding reads modules.json with the settings of the pooling, and
// config_sentence_transformers.json. Modules that change vectors otherwise are refused.
func readEmbedding(dir string) (*embeddingFiles, error) {
	f := new(embeddingFiles)
	var modules []struct {
		Type string `json:"type"`
		Path string `json:"path"`
	}
	if _, err := readJSON(dir, "modules.json", &modules); err != nil {
		return nil, err
	}
	if len(modules) > maxModules {
		return nil, fmt.Errorf("%w: modules.json has %d entries, want at most %d", ErrConfig, len(modules), maxModules)
	}
	for _, m := range modules {
		switch kind := m.Type[strings.LastIndexByte(m.Type, '.')+1:]; kind {
		case "Transformer":
		case "Normalize":
			f.lengths = true
		case "Pooling":
			if m.Path != "" && !filepath.IsLocal(m.Path) {
				return nil, fmt.Errorf("%w: modules.json: the path %.60q leads out of the folder", ErrConfig, m.Path)
			}
			var err error
			if f.pooling, err = readPooling(dir, filepath.Join(m.Path, "config.json")); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("%w: modules.json has a module %.60q, which changes vectors in a way that no architecture here computes", ErrUnsupported, kind)
		}
	}
	var config struct {
		Prompts map[string]string `json:"prompts"`
	}
	_, err := readJSON(dir, "config_sentence_transformers.json", &config)
	f.prompts = config.Prompts
	return f, err
}

// poolingModes are the settings of a pooling, one of which is true.
var poolingModes = map[string]model.Pooling{
	"pooling_mode_mean_tokens": model.PoolMean, "pooling_mode_cls_token": model.PoolCLS, "pooling_mode_lasttoken": model.PoolLast,
}

func readPooling(dir, name string) (model.Pooling, error) {
	var config map[string]any
	if found, err := readJSON(dir, name, &config); err != nil {
		return 0, err
	} else if !found {
		return 0, fmt.Errorf("%w: %s is missing, which modules.json names", ErrConfig, filepath.Join(dir, name))
	}
	if include, ok := config["include_prompt"].(bool); ok && !include {
		return 0, fmt.Errorf("%w: include_prompt is false in %s; vectors are pooled here with what stands in front of a text", ErrUnsupported, name)
	}
	if mode, ok := config["pooling_mode"].(string); ok { // of newer files
		p, err := model.ParsePooling(strings.TrimSuffix(mode, "token"))
		if err != nil {
			return 0, fmt.Errorf("%w: pooling_mode in %s: %w", ErrUnsupported, name, err)
		}
		return p, nil
	}
	var pooling model.Pooling
	for _, key := range slices.Sorted(maps.Keys(config)) {
		if on, ok := config[key].(bool); !ok || !on || !strings.HasPrefix(key, "pooling_mode_") {
			continue
		}
		p, known := poolingModes[key]
		if !known || pooling != 0 {
			return 0, fmt.Errorf("%w: %s is true in %s; want one of mean, cls and last", ErrUnsupported, key, name)
		}
		pooling = p
	}
	return pooling, nil
}

// embedding sets the keys about vectors of texts.
func (p *hfPlan) embedding(f *embeddingFiles) error {
	w := metaWriter{meta: p.meta}
	arch := p.config.Architecture + "."
	if f.pooling != 0 {
		w.set(arch+model.KeyPooling, uint32(f.pooling))
		p.report.decide("pooling", f.pooling.String(), "modules.json has a pooling")
		if !f.lengths {
			p.report.decide("lengths of vectors", "1", "modules.json has no module Normalize, and a file has no place for lengths")
		}
	}
	for _, kind := range []struct {
		key   string
		names []string
	}{{model.KeyQueryPrefix, []string{"query"}}, {model.KeyDocumentPrefix, []string{"document", "passage"}}} {
		for _, name := range kind.names {
			if text, ok := f.prompts[name]; ok {
				w.set(arch+kind.key, text)
				break
			}
		}
	}
	return w.err
}

// describeEmbedding makes the files that sentence-transformers reads, for a model whose
// file says how states become a vector.
func (x *exporter) describeEmbedding() error {
	e, err := model.ReadEmbedding(x.o.Input.Metadata, x.config.Architecture)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if e.Pooling == 0 {
		return nil
	}
	const library = "sentence_transformers.models."
	modules := []map[string]any{
		{"idx": 0, "name": "0", "path": "", "type": library + "Transformer"},
		{"idx": 1, "name": "1", "path": "1_Pooling", "type": library + "Pooling"},
		{"idx": 2, "name": "2", "path": "2_Normalize", "type": library + "Normalize"},
	}
	pooling := map[string]any{"word_embedding_dimension": x.config.Hidden, "include_prompt": true}
	for name, mode := range poolingModes {
		pooling[name] = mode == e.Pooling
	}
	prompts := map[string]string{}
	for name, text := range map[string]*string{"query": e.QueryPrefix, "document": e.DocumentPrefix} {
		if text != nil {
			prompts[name] = *text
		}
	}
	return errors.Join(x.addJSON("modules.json", modules), x.addJSON("1_Pooling/config.json", pooling),
		x.addJSON("config_sentence_transformers.json", map[string]any{"prompts": prompts, "default_prompt_name": nil, "similarity_fn_name": "cosine"}))
}
