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
	aliases := *ms.aliases.Load()
	for _, alias := range slices.Sorted(maps.Keys(aliases)) {
		if _, err := ms.Resolve(alias); err != nil {
			ms.log.Warn("an alias stands for a model that is not here", "alias", alias, "model", aliases[alias])
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
		if real, ok := (*ms.aliases.Load())[n]; ok {
			return real
		}
		if _, ok := ms.own[n]; ok {
			return n
		}
	}
	return strings.TrimSuffix(name, ":latest")
}

// SetAliases replaces the aliases that the options named, for requests that come from now on. A file
// that was not served before is not loaded for them: it is an error.
func (s *Server) SetAliases(aliases map[string]string) error {
	names, paths, _, err := s.Models.nameAliases(aliases)
	if err != nil {
		return err
	}
	if len(paths) > 0 {
		return fmt.Errorf("%w: the aliases name files that are not served yet, %s; start the server anew for these", ErrOptions,
			strings.Join(slices.Sorted(maps.Values(paths)), ", "))
	}
	s.Models.aliases.Store(&names)
	s.Models.checkAliases()
	return nil
}

// nameAliases returns what aliases stand for; and, by their names in the order of aliases, the files that
// have no other name and are not served yet.
func (ms *Models) nameAliases(aliases map[string]string) (names, paths map[string]string, order []string, err error) {
	names, paths = map[string]string{}, map[string]string{}
	for _, alias := range slices.Sorted(maps.Keys(aliases)) {
		name := aliases[alias]
		if alias == "" || name == "" {
			return nil, nil, nil, fmt.Errorf("%w: the alias %q of %q: a name is empty", ErrOptions, alias, name)
		}
		if path, taken := ms.own[alias]; taken && path != name {
			return nil, nil, nil, fmt.Errorf("%w: the alias %q is the name of a model", ErrOptions, alias)
		} else if taken {
			continue // a file that has no other name is served under it already
		}
		real := servedName(name)
		if real == name || filepath.Clean(ms.own[real]) == filepath.Clean(name) {
			names[alias] = real
			continue
		}
		// A file that no model is: this is its only name.
		only := alias
		if alias == anyName {
			if ms.own[real] != "" || paths[real] != "" {
				return nil, nil, nil, fmt.Errorf("%w: the alias %q of %q: another model is named %q; give the file a name "+
					"of its own, the alias NAME=%s", ErrOptions, alias, name, real, name)
			}
			only, names[alias] = real, real
		}
		paths[only] = name
		order = append(order, only)
	}
	return names, paths, order, nil
}

// anyName is the alias that stands for all names that no model has.
const anyName = "*"

// Answering finds the model that answers requests for a name: the one that Resolve finds,
// or else the one that the operator has given all other names.
func (ms *Models) Answering(name string) (*hub.Model, error) {
	m, err := ms.Resolve(name)
	if errors.Is(err, hub.ErrNotFound) {
		if all, ok := (*ms.aliases.Load())[anyName]; ok {
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
