package core

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"trit/hub"
)

// checkAliases warns of aliases of models that are not here. They may still be
// pulled.
func (ms *Models) checkAliases() {
	for _, alias := range slices.Sorted(maps.Keys(ms.aliases)) {
		if _, err := ms.Resolve(alias); err != nil {
			ms.log.Warn("an alias stands for a model that is not here", "alias", alias, "model", ms.aliases[alias])
		}
	}
}

// servedName returns what clients call a model: of a file its name without the
// folder and the suffix.
func servedName(path string) string {
	if !strings.ContainsAny(path, `/\`) && !strings.HasSuffix(strings.ToLower(path), ".gguf") {
		return path
	}
	name := filepath.Base(filepath.FromSlash(path))
	if strings.HasSuffix(strings.ToLower(name), ".gguf") {
		name = name[:len(name)-len(".gguf")]
	}
	return name
}

// canonical returns the name under which a model is known, of what a request may
// call it: an alias, or a name with Ollama's tag for the default.
func (ms *Models) canonical(name string) string {
	if name == "" {
		return ms.options.Models[0]
	}
	for _, n := range []string{name, strings.TrimSuffix(name, ":latest")} {
		if real, ok := ms.aliases[n]; ok {
			return real
		}
		if _, ok := ms.own[n]; ok {
			return n
		}
	}
	return strings.TrimSuffix(name, ":latest")
}

// Resolve finds the model that a request may ask for by name. Paths are only
// for the models that the operator names.
func (ms *Models) Resolve(name string) (*hub.Model, error) {
	real := ms.canonical(name)
	if path, ok := ms.own[real]; ok {
		m, err := hub.Resolve(path)
		if err != nil {
			return nil, err
		}
		found := *m
		found.Name = real
		return &found, nil
	}
	known, err := hub.List()
	if err != nil {
		return nil, err
	}
	for _, m := range known {
		if strings.EqualFold(m.Name, real) {
			return &m, nil
		}
	}
	return nil, fmt.Errorf("%w: %q is not a model of this server; GET /v1/models lists them", hub.ErrNotFound, name)
}
