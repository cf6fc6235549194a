package core

import (
	"errors"
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

// nameAliases takes the aliases of the options, and returns the names of the models that
// have no other.
func (ms *Models) nameAliases(aliases map[string]string) (names []string, err error) {
	for _, alias := range slices.Sorted(maps.Keys(aliases)) {
		name := aliases[alias]
		if alias == "" || name == "" {
			return nil, fmt.Errorf("%w: the alias %q of %q: a name is empty", ErrOptions, alias, name)
		}
		if _, taken := ms.own[alias]; taken {
			return nil, fmt.Errorf("%w: the alias %q is the name of a model", ErrOptions, alias)
		}
		real := servedName(name)
		if real == name || filepath.Clean(ms.own[real]) == filepath.Clean(name) {
			ms.aliases[alias] = real
			continue
		}
		// A file that no model is: this is its only name.
		only := alias
		if alias == anyName {
			if _, taken := ms.own[real]; taken {
				return nil, fmt.Errorf("%w: the alias %q of %q: another model is named %q; give the file a name "+
					"of its own, the alias NAME=%s", ErrOptions, alias, name, real, name)
			}
			only, ms.aliases[alias] = real, real
		}
		ms.own[only] = name
		names = append(names, only)
	}
	return names, nil
}

// anyName is the alias that stands for all names that no model has.
const anyName = "*"

// Answering finds the model that answers requests for a name: the one that Resolve finds,
// or else the one that the operator has given all other names.
func (ms *Models) Answering(name string) (*hub.Model, error) {
	m, err := ms.Resolve(name)
	if errors.Is(err, hub.ErrNotFound) {
		if all, ok := ms.aliases[anyName]; ok {
			return ms.Resolve(all)
		}
	}
	return m, err
}

// Resolve finds the model that goes by a name. Paths are only for the models that the
// operator names.
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
