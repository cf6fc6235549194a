package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sort"
	"strings"

	"trit/gguf"
	"trit/internal/textfile"
)

// Environment variables.
const (
	HomeEnv        = "TRIT_HOME"
	RegistryEnv    = "BITNET_REGISTRY"
	modelEnvPrefix = "BITNET_MODEL_"
)

// Model is a model that can be opened.
type Model struct {
	Name        string `json:"name"`
	Path        string `json:"path,omitempty"` // empty for an embedded model
	Description string `json:"description,omitempty"`
	Source      Source `json:"source"`
	// Derived is what the model has of its own, if it shares the weights of another one; Path is theirs.
	Derived *Derived `json:"derived,omitempty"`

	base   *Model // that has the weights
	broken error  // why the model cannot be opened
}

// Base returns the model that has the weights: for most this one.
func (m *Model) Base() *Model {
	if m.base == nil {
		return m
	}
	return m.base
}

// weighs reports whether the model has weights of its own.
func (m *Model) weighs() bool { return m.Derived == nil || m.Derived.From == m.Name }

// Source says where a model comes from.
type Source string

// The sources.
const (
	Embedded Source = "embedded"
	File     Source = "file"
	Registry Source = "registry"
	Store    Source = "store"
)

// Open opens the model's file.
func (m *Model) Open() (*gguf.File, error) {
	if m.broken != nil {
		return nil, m.broken
	}
	if m.base != nil {
		return m.base.Open()
	}
	if m.Source == Embedded {
		file, err := embeddedFile(m.Name)
		if err != nil {
			return nil, err
		}
		return gguf.Parse(file)
	}
	return gguf.Open(m.Path)
}

// Resolve finds a model by name or path.
func Resolve(name string) (*Model, error) {
	if name == "" {
		return nil, fmt.Errorf("%w: the name is empty; want the path of a GGUF file or the name of a model, such as %q", ErrNotFound, Demo)
	}
	if e, ok := lookupEmbedded(strings.TrimSuffix(name, tag)); ok {
		m := e.model()
		return &m, nil
	}
	if strings.EqualFold(name, Demo) {
		return nil, errNotEmbedded(Demo)
	}
	info, err := os.Stat(name)
	if err == nil {
		if info.IsDir() {
			return nil, directoryError(name)
		}
		return &Model{Name: name, Path: name, Source: File}, nil
	}
	if !errors.Is(err, fs.ErrNotExist) && looksLikePath(name) {
		return nil, fmt.Errorf("hub: %w", err)
	}
	name = strings.TrimSuffix(name, tag)
	if strings.HasPrefix(name, hubPrefix) || strings.Contains(name, "://") {
		return nil, fmt.Errorf("%w: %s is an address, not a file here; download it first with hub.Pull(%q)", ErrNotFound, name, name)
	}
	known, err := List()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, m := range known {
		if strings.EqualFold(m.Name, name) {
			if m.broken != nil {
				return nil, m.broken
			}
			if _, err := os.Stat(m.Path); err != nil && m.Path != "" {
				return nil, fmt.Errorf("%w: %s model %q: %w", ErrNotFound, m.Source, m.Name, err)
			}
			return &m, nil
		}
		names = append(names, m.Name)
	}
	if looksLikePath(name) {
		return nil, fmt.Errorf("%w: there is no file %s", ErrNotFound, name)
	}
	e, ok := Lookup(name)
	switch {
	case ok && interrupted(name):
		return nil, fmt.Errorf("%w: the download of %q is not complete; hub.Pull(%q) goes on where it stopped", ErrNotFound, name, e.Name)
	case interrupted(name):
		return nil, fmt.Errorf("%w: the download of %q is not complete; pull it again to go on where it stopped", ErrNotFound, name)
	case ok:
		return nil, fmt.Errorf("%w: %q is not installed; download it first with hub.Pull(%q)", ErrNotFound, name, e.Name)
	}
	return nil, fmt.Errorf("%w: %q is neither a file nor one of the known models (%s)%s", ErrNotFound, name, strings.Join(names, ", "), meant(name, names))
}

// List returns all known models: the embedded ones, those of the environment,
// and those in the store. Of two with the same name the earlier counts.
func List() ([]Model, error) {
	models := listEmbedded()
	seen := map[string]bool{Demo: true}
	for _, m := range models {
		seen[strings.ToLower(m.Name)] = true
	}
	add := func(m Model) {
		if key := strings.ToLower(m.Name); !seen[key] {
			seen[key] = true
			models = append(models, m)
		}
	}
	for _, m := range fromEnvironment(os.Environ()) {
		add(m)
	}
	registered, err := fromRegistry(os.Getenv(RegistryEnv))
	if err != nil {
		return nil, err
	}
	for _, m := range registered {
		add(m)
	}
	stored, err := fromStore()
	if err != nil {
		return nil, err
	}
	for _, m := range stored {
		add(m)
	}
	for _, m := range derivedModels(models) {
		// Beside weights of the same name it says how these are used, or is left over.
		i := slices.IndexFunc(models, func(w Model) bool { return w.Source == Store && w.Name == m.Name })
		if i < 0 {
			add(m)
		} else if m.Derived == nil || !m.weighs() {
			continue
		} else {
			models[i] = m
		}
	}
	return models, nil
}

// Home returns the folder that Trit keeps its files in.
func Home() (string, error) {
	if dir := os.Getenv(HomeEnv); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("hub: no folder for models: %w; set %s", err, HomeEnv)
	}
	return filepath.Join(dir, "trit"), nil
}

// fromEnvironment reads the variables BITNET_MODEL_<NAME>.
func fromEnvironment(environ []string) []Model {
	var models []Model
	for _, entry := range environ {
		key, path, _ := strings.Cut(entry, "=")
		if runtime.GOOS == "windows" {
			key = strings.ToUpper(key)
		}
		name, ok := strings.CutPrefix(key, modelEnvPrefix)
		if !ok || name == "" || path == "" {
			continue
		}
		name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
		models = append(models, Model{Name: name, Path: path, Source: Registry, Description: "from " + key})
	}
	sort.Slice(models, func(i, j int) bool { return models[i].Name < models[j].Name })
	return models
}

// maxRegistry bounds the size of a registry file.
const maxRegistry = 1 << 20

// fromRegistry reads a registry file; an empty path is an empty registry.
func fromRegistry(path string) ([]Model, error) {
	if path == "" {
		return nil, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrRegistry, RegistryEnv, err)
	}
	if info.Size() > maxRegistry {
		return nil, fmt.Errorf("%w: %s is %d bytes, want at most %d", ErrRegistry, path, info.Size(), maxRegistry)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRegistry, err)
	}
	var entries []struct {
		Name        string `json:"name"`
		Path        string `json:"path"`
		Description string `json:"description"`
	}
	if err := json.Unmarshal(textfile.Trim(data), &entries); err != nil {
		return nil, fmt.Errorf("%w: %s: %w; want a JSON array of {\"name\", \"path\", \"description\"}", ErrRegistry, path, err)
	}
	var models []Model
	for i, e := range entries {
		switch {
		case e.Name == "":
			return nil, fmt.Errorf("%w: %s: entry %d has no name", ErrRegistry, path, i)
		case reserved(e.Name) && e.Path == "":
			continue // an embedded model, which some registries list
		case e.Path == "":
			return nil, fmt.Errorf("%w: %s: entry %d (%s) has no path", ErrRegistry, path, i, e.Name)
		}
		if !filepath.IsAbs(e.Path) {
			e.Path = filepath.Join(filepath.Dir(path), e.Path)
		}
		models = append(models, Model{Name: e.Name, Path: e.Path, Description: e.Description, Source: Registry})
	}
	return models, nil
}

// fromStore lists the models in the store.
func fromStore() ([]Model, error) {
	dir, err := storeDir()
	if err != nil {
		return nil, nil // no store, hence nothing in it
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("hub: the model store: %w", err)
	}
	var models []Model
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), modelSuffix)
		if !ok || name == "" || e.IsDir() || strings.HasPrefix(name, ".") {
			continue
		}
		m := Model{Name: name, Path: filepath.Join(dir, e.Name()), Source: Store}
		if origin, err := readManifest(m.Path); err == nil && origin != nil {
			m.Description = "from " + origin.From()
		}
		models = append(models, m)
	}
	return models, nil
}

// looksLikePath reports whether a name was probably meant as a path.
func looksLikePath(name string) bool {
	return strings.ContainsAny(name, `/\`) || strings.HasSuffix(strings.ToLower(name), ".gguf")
}

// directoryError explains what to do with a folder.
func directoryError(name string) error {
	if _, err := os.Stat(filepath.Join(name, "config.json")); err == nil {
		return fmt.Errorf("%w: %s is a folder with a Hugging Face checkpoint; convert it first with convert.FromHF(%q)", ErrNotFound, name, name)
	}
	return fmt.Errorf("%w: %s is a folder; name a GGUF file in it", ErrNotFound, name)
}
