package hub

import (
	"fmt"
	"path"
	"regexp"
	"sort"
	"strings"

	"trit/gguf"
)

// selectSafetensors is the selection of a checkpoint where there are GGUF files
// too.
const selectSafetensors = "safetensors"

// modelSuffix ends the names of model files.
const modelSuffix = ".gguf"

// preferredTypes are the storage types that are taken, in this order, when a
// repository has several GGUF files and none is asked for: those that hold
// ternary or binary weights and nothing more.
var preferredTypes = []string{"i2_s", "tq2_0", "tq1_0", "ptq1_0", "pq2_0", "q2_0", "q1_0"}

// selection is what is to be downloaded of a repository.
type selection struct {
	parts      []remoteFile // one GGUF file, or the parts of one
	checkpoint []remoteFile // or else a checkpoint
}

func (s *selection) files() []remoteFile {
	if s.parts != nil {
		return s.parts
	}
	return s.checkpoint
}

// choose selects the files of a repository that make one model.
func (r *repository) choose(want string) (*selection, error) {
	if strings.EqualFold(want, selectSafetensors) {
		return r.chooseCheckpoint()
	}
	models, err := r.models()
	if err != nil {
		return nil, err
	}
	if want != "" {
		return r.chooseNamed(models, want)
	}
	switch len(models) {
	case 0:
		return r.chooseCheckpoint()
	case 1:
		return &selection{parts: models[0]}, nil
	}
	for _, t := range preferredTypes {
		if matching := matchType(models, t); len(matching) == 1 {
			return &selection{parts: matching[0]}, nil
		}
	}
	return nil, r.ambiguous(models)
}

// chooseNamed selects by the path of a file, its last element, or a storage type.
func (r *repository) chooseNamed(models [][]remoteFile, want string) (*selection, error) {
	matches := [][]func(string) bool{
		{func(p string) bool { return p == want }},
		{func(p string) bool { return strings.EqualFold(p, want) }},
		{func(p string) bool { return strings.EqualFold(path.Base(p), want) }, func(p string) bool { return strings.EqualFold(path.Base(p), want+modelSuffix) }},
	}
	for _, any := range matches {
		var found [][]remoteFile
		for _, m := range models {
			for _, match := range any {
				if match(m[0].path) {
					found = append(found, m)
					break
				}
			}
		}
		switch {
		case len(found) == 1:
			return &selection{parts: found[0]}, nil
		case len(found) > 1:
			return nil, r.ambiguous(found)
		}
	}
	found := matchType(models, want)
	switch {
	case len(found) == 1:
		return &selection{parts: found[0]}, nil
	case len(found) > 1:
		return nil, r.ambiguous(found)
	case len(models) == 0:
		return nil, fmt.Errorf("%w: the repository %s has no GGUF file, so none that matches %q; without :%s its checkpoint is taken", ErrRemote, r.name, want, want)
	}
	return nil, fmt.Errorf("%w: no GGUF file of the repository %s matches %q; it has %s", ErrRemote, r.name, want, names(models))
}

// matchType returns the models whose file name contains a storage type as a word.
func matchType(models [][]remoteFile, want string) [][]remoteFile {
	pattern := regexp.MustCompile(`(?i)(^|[^a-z0-9_])` + regexp.QuoteMeta(want) + `($|[^a-z0-9_])`)
	var found [][]remoteFile
	for _, m := range models {
		if pattern.MatchString(path.Base(m[0].path)) {
			found = append(found, m)
		}
	}
	return found
}

// models lists the GGUF files, those of a split model together and in order.
func (r *repository) models() ([][]remoteFile, error) {
	groups := map[string][]remoteFile{}
	var order []string
	for _, f := range r.files {
		if !strings.HasSuffix(strings.ToLower(f.path), modelSuffix) {
			continue
		}
		key := f.path
		if stem, _, count, ok := gguf.ParsePartName(f.path); ok {
			key = fmt.Sprintf("%s/of/%d", stem, count)
		}
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], f)
	}
	var models [][]remoteFile
	for _, key := range order {
		group := groups[key]
		sort.Slice(group, func(i, j int) bool { return group[i].path < group[j].path })
		if _, _, count, ok := gguf.ParsePartName(group[0].path); ok && count != len(group) {
			return nil, fmt.Errorf("%w: the repository %s has %d of the %05d parts of %s", ErrRemote, r.name, len(group), count, group[0].path)
		}
		models = append(models, group)
	}
	return models, nil
}

func (r *repository) ambiguous(models [][]remoteFile) error {
	return fmt.Errorf("%w in the repository %s: %s; name one: %s%s:%s", ErrAmbiguous, r.name, names(models), hubPrefix, r.name, models[0][0].path)
}

// names lists files for a message.
func names(models [][]remoteFile) string {
	var list []string
	for i, m := range models {
		if i == 20 {
			list = append(list, fmt.Sprintf("and %d more", len(models)-i))
			break
		}
		list = append(list, m[0].path)
	}
	return strings.Join(list, ", ")
}

// companions are the files beside the weights that a conversion reads.
var companions = map[string]bool{
	"config.json": true, "generation_config.json": true,
	"tokenizer.json": true, "tokenizer.model": true, "tokenizer_config.json": true,
	"special_tokens_map.json": true, "added_tokens.json": true, "vocab.json": true, "merges.txt": true,
	"chat_template.jinja": true, "chat_template.json": true, "hadamard.json": true,
	"README.md": true, indexFile: true,
}

// indexFile names the shards of a checkpoint.
const indexFile = "model.safetensors.index.json"

// chooseCheckpoint selects the checkpoint at the root of the repository: the
// companions and all safetensors files. Where there is an index, Pull reads it
// and leaves out the shards that it does not name.
func (r *repository) chooseCheckpoint() (*selection, error) {
	s := &selection{}
	weights, config, pickled := false, false, false
	seen := map[string]string{}
	for _, f := range r.files {
		lower := strings.ToLower(f.path)
		pickled = pickled || strings.HasSuffix(lower, ".bin") || strings.HasSuffix(lower, ".pt") || strings.HasSuffix(lower, ".pth")
		if strings.Contains(f.path, "/") || !companions[f.path] && !strings.HasSuffix(f.path, ".safetensors") {
			continue
		}
		if other, ok := seen[lower]; ok {
			return nil, fmt.Errorf("%w: the repository %s has %s and %s, which are one file on some systems", ErrUnsafePath, r.name, other, f.path)
		}
		seen[lower] = f.path
		weights = weights || strings.HasSuffix(f.path, ".safetensors")
		config = config || f.path == "config.json"
		s.checkpoint = append(s.checkpoint, f)
	}
	switch {
	case weights && config:
		return s, nil
	case weights:
		return nil, fmt.Errorf("%w: the repository %s has safetensors files but no config.json, so the model cannot be told", ErrRemote, r.name)
	case pickled:
		return nil, fmt.Errorf("%w: the repository %s has neither GGUF nor safetensors files, only pickled ones, which can run programs when they are read; use another repository of the model", ErrRemote, r.name)
	}
	return nil, fmt.Errorf("%w: the repository %s has neither GGUF nor safetensors files", ErrRemote, r.name)
}
