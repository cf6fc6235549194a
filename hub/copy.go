package hub

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"trit/gguf"
	"trit/internal/atomicfile"
)

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
		return nil, fmt.Errorf("%w: %s is a model of the store (%s)", ErrExists, old.Name, cmp.Or(old.Path, old.Description))
	}
	if d := from.Derived; d != nil && !from.weighs() {
		twin := *d
		twin.Name = newName
		if err := twin.write(p); err != nil {
			return nil, err
		}
		return Resolve(newName)
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
	if free, err := atomicfile.FreeSpace(p.dir); err == nil && uint64(f.Size) > free && from.Source != Store {
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
	if d := from.Derived; d != nil {
		twin := *d
		twin.Name, twin.From = newName, newName
		if err := twin.write(p); err != nil {
			return nil, err
		}
		return Resolve(newName)
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
