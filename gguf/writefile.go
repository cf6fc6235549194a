package gguf

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
)

// WriteFile writes a file as [WriteTo] does, all or nothing: it writes to a
// temporary file in the same folder, waits until the content is on the disk,
// and then gives it its name in one step. After an error nothing new has the
// name, and a file that had it before is unchanged. path may name the file that
// the tensors are being read from, except on Windows, which does not replace a
// mapped file.
func WriteFile(path string, meta *Metadata, tensors []TensorSpec) error {
	p, err := newPlan(meta, tensors)
	if err != nil {
		return inFile(path, err)
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return inFile(path, fmt.Errorf("%w: it exists and is not a regular file", ErrInvalid))
	}
	temp, err := createTemp(path)
	if err != nil {
		return fmt.Errorf("gguf: %w", err)
	}
	if err := p.fill(temp, path); err != nil {
		if diskFull(err) {
			err = fmt.Errorf("the disk is full: the file needs %d bytes in %s: %w", p.total, filepath.Dir(path), err)
		}
		if e := os.Remove(temp.Name()); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = fmt.Errorf("%w (and its temporary file could not be removed: %w)", err, e)
		}
		return inFile(path, err)
	}
	return syncFolder(filepath.Dir(path))
}

// fill writes the planned file to temp, closes it, and renames it to path.
func (p *plan) fill(temp *os.File, path string) error {
	err := p.writeTo(temp)
	if err == nil {
		err = temp.Sync()
	}
	if e := temp.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	return err
}

// createTemp creates a new file beside path. Unlike os.CreateTemp it leaves the
// permissions to the umask: the file is going to be an ordinary one.
func createTemp(path string) (*os.File, error) {
	folder, base := filepath.Split(path)
	if len(base) > 64 { // leave room for the suffix within the limit on names
		base = base[:64]
	}
	var err error
	for range 100 {
		var f *os.File
		name := filepath.Join(folder, fmt.Sprintf(".%s.%08x.tmp", base, rand.Uint32()))
		if f, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666); !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
	return nil, err
}

// syncFolder makes the renaming durable. Windows has no such call.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("gguf: the file is written, but its folder cannot be synced: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !folderSyncRefused(err) {
		return fmt.Errorf("gguf: the file is written, but its folder cannot be synced: %w", err)
	}
	return nil
}
