package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"trit/gguf"
	"trit/internal/atomicfile"
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
	return removeAll(p.made)
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
	for _, m := range models {
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
	if reserved(name) {
		return nil, fmt.Errorf("%w: %q is built into the program", ErrProtected, name)
	}
	m, err := stored(name)
	if err != nil {
		return nil, err
	}
	if err := refuseRegistered(name, m); err != nil {
		return nil, err
	}
	if m != nil {
		name = m.Name
	}
	if checkName(name) != nil && m == nil {
		if _, err := os.Stat(name); err == nil {
			return nil, fmt.Errorf("%w: %s is a file elsewhere; only models of the store are removed", ErrProtected, name)
		}
		return nil, fmt.Errorf("%w: the store has no model %q", ErrNotFound, name)
	}
	p, err := placeOf(name)
	if err != nil {
		return nil, err
	}
	leftovers := p.unfinished()
	if m == nil && len(leftovers) == 0 {
		if _, err := os.Stat(name); err == nil {
			return nil, fmt.Errorf("%w: %s is a file elsewhere; only models of the store are removed", ErrProtected, name)
		}
		return nil, fmt.Errorf("%w: the store has no model %q", ErrNotFound, name)
	}
	l, err := p.claim(name)
	if err != nil {
		return nil, err
	}
	removed := &Removed{Name: name}
	err = removed.remove(append(leftovers, p.model, p.manifest))
	if err = errors.Join(err, l.release()); err != nil {
		return nil, err
	}
	return removed, nil
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

// Copy puts a model into the store under a new name: another model of the store,
// an embedded one, a registered one, or a file. With replace a model that has
// the name already is replaced. Models of the store share their bytes on disk
// where the file system allows it.
func Copy(ctx context.Context, name, newName string, replace bool) (*Model, error) {
	if err := checkName(newName); err != nil {
		return nil, err
	}
	from, err := Resolve(name)
	if err != nil {
		return nil, err
	}
	p, err := placeOf(newName)
	if err != nil {
		return nil, err
	}
	l, err := p.claim(newName)
	if err != nil {
		return nil, err
	}
	m, err := copyModel(ctx, from, newName, p, replace)
	if err = errors.Join(err, l.release()); err != nil {
		return nil, err
	}
	return m, nil
}

func copyModel(ctx context.Context, from *Model, newName string, p *place, replace bool) (*Model, error) {
	if old, err := stored(newName); err != nil {
		return nil, err
	} else if old != nil && (!replace || old.Name != newName) {
		return nil, fmt.Errorf("%w: %s is a model of the store (%s)", ErrExists, old.Name, old.Path)
	}
	f, err := from.Open() // which also checks that it is a model
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if a, err := os.Stat(from.Path); err == nil {
		if b, err := os.Stat(p.model); err == nil && os.SameFile(a, b) {
			return nil, fmt.Errorf("%w: %s and %s are the same file", ErrExists, from.Name, newName)
		}
	}
	m := &Manifest{Name: newName, Copied: from.Name, Verified: VerifiedFormat, Time: time.Now().UTC().Truncate(time.Second)}
	if from.Source == Store {
		if old, err := readManifest(from.Path); err != nil {
			return nil, err
		} else if old != nil {
			*m = *old
			m.Name, m.Copied = newName, from.Name
		}
	}
	if free, err := freeSpace(p.dir); err == nil && uint64(f.Size) > free && from.Source != Store {
		return nil, fmt.Errorf("%w: the copy needs %d bytes in %s, which has %d left", ErrNoSpace, f.Size, p.dir, free)
	}
	if err := removeAll(p.unfinished()...); err != nil {
		return nil, err
	}
	out, err := p.make(newName)
	if err != nil {
		return nil, err
	}
	if err := putCopy(ctx, from, f, out, m); err != nil {
		return nil, errors.Join(err, removeAll(p.made))
	}
	if err := p.install(out, m); err != nil {
		return nil, err
	}
	return &Model{Name: newName, Path: p.model, Source: Store, Description: "from " + m.From()}, nil
}

// putCopy makes the file that gets the new name, and fills in its size and
// checksum.
func putCopy(ctx context.Context, from *Model, f *gguf.File, path string, m *Manifest) error {
	var err error
	switch {
	case len(f.Parts) > 0: // in several files
		err = gguf.Repair(f, path)
	case from.Source == Store && os.Link(from.Path, path) == nil:
	case from.Source == Embedded:
		var file []byte
		if file, err = embeddedFile(from.Name); err == nil {
			err = writeCopy(ctx, path, bytes.NewReader(file))
		}
	default:
		var in *os.File
		if in, err = os.Open(from.Path); err != nil {
			return fmt.Errorf("hub: %w", err)
		}
		err = writeCopy(ctx, path, in)
		in.Close()
	}
	if err != nil {
		return err
	}
	out, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("hub: %w", err)
	}
	defer out.Close()
	info, err := out.Stat()
	if err != nil {
		return fmt.Errorf("hub: %w", err)
	}
	if m.SHA256 != "" && m.Size == info.Size() {
		return nil // the manifest of the original says it
	}
	sums, err := verify(ctx, &remoteFile{path: path, size: -1}, out, info.Size(), nil)
	if err != nil {
		return err
	}
	m.SHA256, m.Size = sums.sha256, sums.size
	return nil
}

// writeCopy writes what r holds to a new file and waits until it is on the disk.
func writeCopy(ctx context.Context, path string, r io.Reader) error {
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return writeError(path, err)
	}
	_, err = io.Copy(out, readerFunc(func(b []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, fmt.Errorf("hub: stopped: %w", context.Cause(ctx))
		}
		return r.Read(b)
	}))
	if err == nil {
		err = out.Sync()
	}
	if e := out.Close(); err == nil {
		err = e
	}
	if err != nil && ctx.Err() == nil {
		err = writeError(path, err)
	}
	return err
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }
