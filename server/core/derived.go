package core

import (
	"path/filepath"
	"slices"

	"trit"
	"trit/hub"
)

// maxDerived bounds how many derived models of one are remembered; each has a parsed template.
const maxDerived = 64

// derivedBase returns the model if it is derived from another, and nil for others.
func derivedBase(path string) *hub.Model {
	m, err := hub.Resolve(path)
	if err != nil || m.Derived == nil { // loading says what is wrong with it
		return nil
	}
	return m
}

// ownDerived takes the derived ones of the server's own models: it is their weights that are loaded at the start, and
// stay.
func (ms *Models) ownDerived(models map[string]*hub.Model) {
	ms.made = map[string]string{}
	for _, m := range models {
		if name := servedName(m.Derived.From); ms.own[name] == "" {
			ms.own[name] = m.Derived.From
		}
	}
	for name, m := range models {
		ms.made[name] = ms.weights(m)
	}
}

// Weights returns the name under which the weights of one of the server's own models are loaded.
func (ms *Models) Weights(name string) string {
	if base, ok := ms.made[name]; ok {
		return base
	}
	return name
}

// weightsOf is Weights for any model.
func (ms *Models) weightsOf(m *ServedModel) string {
	if m.Hub == nil {
		return ms.Weights(m.Name)
	}
	return ms.weights(m.Hub)
}

// ask notes what a request called the model. The caller holds mu.
func (l *Loaded) ask(name string) {
	if i, known := slices.BinarySearch(l.asked, name); !known && len(l.asked) < maxDerived {
		l.asked = slices.Insert(l.asked, i, name)
	}
}

// Asked returns the names that requests had for the model and for those that are made of it, in order. It is for
// functions that Each calls.
func (l *Loaded) Asked() []string { return slices.Clone(l.asked) }

// weightsPath returns what opens the weights that a name stands for, without what a derived model of the same
// name has beside them.
func weightsPath(path string) string {
	if m, err := hub.Resolve(path); err == nil && m.Derived != nil && m.Path != "" {
		return m.Path
	}
	return path
}

// weights returns the name under which a model's weights are loaded: a derived model has those of another one.
func (ms *Models) weights(m *hub.Model) string {
	d := m.Derived
	if d == nil {
		return m.Name
	}
	if filepath.IsAbs(d.From) {
		for name, path := range ms.own {
			if at, err := filepath.Abs(path); err == nil && at == filepath.Clean(d.From) {
				return name
			}
		}
	}
	return m.Base().Name
}

// derived returns the model that a description makes of loaded weights.
func (ms *Models) derived(l *Loaded, d *hub.Derived) (*trit.Model, error) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	key := d.Name + " " + d.Digest()
	if m := l.derived[key]; m != nil {
		return m, nil
	}
	m, err := l.Model.Derive(d)
	if err != nil {
		return nil, err
	}
	if l.derived == nil || len(l.derived) >= maxDerived {
		l.derived = map[string]*trit.Model{}
	}
	l.derived[key] = m
	return m, nil
}
