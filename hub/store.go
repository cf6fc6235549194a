package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"trit/internal/atomicfile"
	"trit/internal/repacked"
)

// Manifest says where a model of the store came from. It is the file NAME.json
// beside NAME.gguf.
type Manifest struct {
	Name       string    `json:"name"`
	Repository string    `json:"repository,omitempty"` // owner/repo on the hub
	Revision   string    `json:"revision,omitempty"`   // the commit, where the hub told it
	Files      []string  `json:"files,omitempty"`      // in the repository
	URL        string    `json:"url,omitempty"`        // for a model that is not from the hub
	Copied     string    `json:"copied_from,omitempty"`
	SHA256     string    `json:"sha256"` // of NAME.gguf
	Size       int64     `json:"size"`   // of NAME.gguf, in bytes
	Verified   string    `json:"verified"`
	Converted  bool      `json:"converted,omitempty"` // NAME.gguf was made from the files
	Variant    string    `json:"variant,omitempty"`   // what the conversion was asked for
	License    string    `json:"license,omitempty"`
	Time       time.Time `json:"pulled_at"`
	SourceID   string    `json:"source_id,omitempty"` // tells versions of the files apart
}

// The values of Manifest.Verified: how the files were checked.
const (
	VerifiedChecksum = "checksum" // against a checksum from the hub, the catalogue, or the user
	VerifiedSize     = "size"     // against the announced size only
	VerifiedFormat   = "format"   // not at all, apart from being a GGUF file
)

// From returns the address that the model came from.
func (m *Manifest) From() string {
	switch {
	case m.Repository != "":
		s := hubPrefix + m.Repository
		if len(m.Files) == 1 {
			s += ":" + m.Files[0]
		}
		return s
	case m.URL != "":
		return m.URL
	}
	return m.Copied
}

// storeDir returns the folder of the store, which need not exist.
func storeDir() (string, error) {
	home, err := Home()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, "models"), nil
}

// place holds the paths that belong to a name in the store.
type place struct {
	dir      string // of the store
	model    string // NAME.gguf
	manifest string // NAME.json
	derived  string // NAME.derived
	scratch  string // folder of all that is not finished; names in it have a ~, which names of models have not
	file     string // NAME.gguf while it is downloaded
	folder   string // checkpoint or parts that NAME.gguf is made of; it bears the model's name for the conversion
	made     string // folder in which NAME.gguf is made
	pending  string // NAME.json until NAME.gguf is in its place
	lock     string
}

func placeOf(name string) (*place, error) {
	dir, err := storeDir()
	if err != nil {
		return nil, err
	}
	scratch := filepath.Join(dir, ".partial")
	return &place{
		dir: dir, model: filepath.Join(dir, name+modelSuffix), manifest: filepath.Join(dir, name+".json"),
		derived: filepath.Join(dir, name+derivedSuffix),
		scratch: scratch, file: filepath.Join(scratch, name+"~download"+modelSuffix), folder: filepath.Join(scratch, name),
		made: filepath.Join(scratch, name+"~made"), pending: filepath.Join(scratch, name+"~manifest.json"), lock: filepath.Join(scratch, name+"~lock"),
	}, nil
}

// claim creates the folders of the store, locks the name, and completes an
// installation that was cut short.
func (p *place) claim(name string) (*lock, error) {
	if err := os.MkdirAll(p.scratch, 0o777); err != nil {
		return nil, writeError(p.dir, err)
	}
	l, err := acquire(p.lock, name)
	if err != nil {
		return nil, err
	}
	if err := p.completeInstallation(name); err != nil {
		return nil, errors.Join(err, l.release())
	}
	return l, nil
}

// completeInstallation puts a manifest in its place whose model is in its place
// already. [place.install] was interrupted then.
func (p *place) completeInstallation(name string) error {
	if _, err := os.Stat(p.pending); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, source := range []string{p.file, filepath.Join(p.made, name+modelSuffix)} {
		if _, err := os.Stat(source); err == nil {
			return removeAll(p.pending) // the model is still to be installed
		}
	}
	if err := os.Rename(p.pending, p.manifest); err != nil {
		return fmt.Errorf("hub: %w", err)
	}
	return nil
}

// unfinished lists what an interrupted download has left.
func (p *place) unfinished() []string {
	var found []string
	for _, path := range []string{p.file, p.file + partSuffix, p.file + stateSuffix, p.folder, p.made, p.pending} {
		if _, err := os.Lstat(path); err == nil {
			found = append(found, path)
		}
	}
	return found
}

// interrupted reports whether a download of this name has begun and not ended.
func interrupted(name string) bool {
	if checkName(name) != nil {
		return false
	}
	p, err := placeOf(name)
	return err == nil && len(p.unfinished()) > 0
}

// install gives a finished model its name. The manifest waits until the model
// is there: the other way round, a crash between the two would leave an old
// model with a manifest that calls it new.
func (p *place) install(file string, m *Manifest) error {
	if err := writeJSON(p.pending, m); err != nil {
		return writeError(p.dir, err)
	}
	if err := os.Rename(file, p.model); err != nil {
		return fmt.Errorf("hub: %w", err)
	}
	if err := os.Rename(p.pending, p.manifest); err != nil {
		return fmt.Errorf("hub: %w", err)
	}
	if err := atomicfile.SyncFolder(p.dir); err != nil {
		return err
	}
	return removeAll(p.made, p.derived)
}

// make creates the folder in which a model is made, empty, and returns the path
// of the file to make.
func (p *place) make(name string) (string, error) {
	if err := removeAll(p.made); err != nil {
		return "", err
	}
	if err := os.Mkdir(p.made, 0o777); err != nil {
		return "", writeError(p.dir, err)
	}
	return filepath.Join(p.made, name+modelSuffix), nil
}

// readManifest reads the manifest beside a model of the store. It is nil where
// there is none or it belongs to another file.
func readManifest(model string) (*Manifest, error) {
	path := strings.TrimSuffix(model, modelSuffix) + ".json"
	data, err := readRecord(path)
	if data == nil || err != nil {
		return nil, err
	}
	m := &Manifest{}
	if err := json.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("hub: %s: %w", path, err)
	}
	if info, err := os.Stat(model); err != nil || info.Size() != m.Size {
		return nil, nil
	}
	return m, nil
}

// maxRecord bounds the small JSON files beside models and downloads.
const maxRecord = 1 << 20

// readRecord reads a small file that is kept beside a model or a download. It
// returns nil where there is none.
func readRecord(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("hub: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxRecord))
	if err != nil {
		return nil, fmt.Errorf("hub: %w", err)
	}
	return data, nil
}

// stored finds a model of the store by name, in any case, whatever else has that
// name. The result is nil if there is none.
func stored(name string) (*Model, error) {
	models, err := fromStore()
	if err != nil {
		return nil, err
	}
	for _, m := range append(models, derivedModels(models)...) {
		if strings.EqualFold(m.Name, name) {
			return &m, nil
		}
	}
	return nil, nil
}

// Removed is what [Remove] did.
type Removed struct {
	Name  string   `json:"name"`
	Files []string `json:"files"` // and folders
	Bytes int64    `json:"bytes"` // that they held
}

// Remove deletes a model of the store, or what an interrupted download of it has
// left. It refuses embedded models, registered ones and files elsewhere with
// an error that wraps [ErrProtected].
func Remove(name string) (*Removed, error) {
	p, name, err := removable(name)
	if err != nil {
		return nil, err
	}
	leftovers := p.unfinished()
	l, err := p.claim(name)
	if err != nil {
		return nil, err
	}
	removed := &Removed{Name: name}
	err = removed.repacked(p.model)
	err = errors.Join(err, removed.remove(append(leftovers, p.model, p.manifest, p.derived)))
	if err = errors.Join(err, l.release()); err != nil {
		return nil, err
	}
	return removed, nil
}

// Removable returns the error that [Remove] would refuse a name with.
func Removable(name string) error {
	_, _, err := removable(name)
	return err
}

// removable returns what is to be removed, and its name.
func removable(name string) (*place, string, error) {
	name = strings.TrimSuffix(name, tag)
	if reserved(name) {
		return nil, "", fmt.Errorf("%w: %q is built into the program", ErrProtected, name)
	}
	m, err := stored(name)
	if err != nil {
		return nil, "", err
	}
	if err := refuseRegistered(name, m); err != nil {
		return nil, "", err
	}
	if m != nil {
		name = m.Name
		if others, err := madeOf(name); err != nil {
			return nil, "", err
		} else if len(others) > 0 && m.weighs() {
			return nil, "", fmt.Errorf("%w: %s is what %s is made of; remove that first", ErrBase, name, strings.Join(others, ", "))
		}
	}
	if checkName(name) != nil && m == nil {
		if _, err := os.Stat(name); err == nil {
			return nil, "", fmt.Errorf("%w: %s is a file elsewhere; only models of the store are removed", ErrProtected, name)
		}
		return nil, "", fmt.Errorf("%w: the store has no model %q", ErrNotFound, name)
	}
	p, err := placeOf(name)
	if err != nil {
		return nil, "", err
	}
	if m == nil && len(p.unfinished()) == 0 {
		if _, err := os.Stat(name); err == nil {
			return nil, "", fmt.Errorf("%w: %s is a file elsewhere; only models of the store are removed", ErrProtected, name)
		}
		return nil, "", fmt.Errorf("%w: the store has no model %q", ErrNotFound, name)
	}
	return p, name, nil
}

// refuseRegistered refuses names and files that the environment registers.
func refuseRegistered(name string, m *Model) error {
	registered, err := fromRegistry(os.Getenv(RegistryEnv))
	if err != nil {
		return err
	}
	for _, r := range append(fromEnvironment(os.Environ()), registered...) {
		if strings.EqualFold(r.Name, name) {
			return fmt.Errorf("%w: %q is registered as %s (%s or %s); take it out there", ErrProtected, name, r.Path, modelEnvPrefix+"…", RegistryEnv)
		}
		if m == nil {
			continue
		}
		a, err := os.Stat(r.Path)
		b, err2 := os.Stat(m.Path)
		if err == nil && err2 == nil && os.SameFile(a, b) {
			return fmt.Errorf("%w: %s is registered under the name %q; take it out there", ErrProtected, m.Path, r.Name)
		}
	}
	return nil
}

// Repacked returns the folder where copies of weights as they lie in memory are kept.
func Repacked() (string, error) {
	home, err := Home()
	return filepath.Join(home, "repacked"), err
}

// repacked deletes the copy of a model's weights.
func (r *Removed) repacked(path string) error {
	dir, err := Repacked()
	if err != nil {
		return err
	}
	n, err := (&repacked.Cache{Dir: dir}).Remove(path)
	r.Bytes += n
	if err != nil {
		return fmt.Errorf("hub: %w", err)
	}
	return nil
}

// remove deletes files and folders, and counts.
func (r *Removed) remove(paths []string) error {
	for _, path := range paths {
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("hub: %w", err)
		}
		size := info.Size()
		if info.IsDir() {
			size = 0
			err := filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
				if err == nil && d.Type().IsRegular() {
					var info fs.FileInfo
					if info, err = d.Info(); err == nil {
						size += info.Size()
					}
				}
				return err
			})
			if err != nil {
				return fmt.Errorf("hub: %w", err)
			}
		}
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("hub: %w", err)
		}
		r.Files = append(r.Files, path)
		r.Bytes += size
	}
	return nil
}
