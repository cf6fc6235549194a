// Package atomicfile writes files that are there as a whole or not at all.
//
// Content goes to a temporary file in the folder of the file, is brought to the disk,
// and gets its name in one step. Readers see the old file or the new one, and after an
// error, or a crash of the program or the machine, the old one is as it was.
//
// What a killed program leaves is nothing, where the system has files without a
// name (Linux, on most file systems), and otherwise a file ".NAME.xxxxxxxx.tmp",
// which the next program that writes NAME removes.
package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// File is a file that is being written.
type File struct {
	*os.File
	path string
	temp string // its name until then, "" if it has none
	done bool
}

// unnamed is openUnnamed but for tests of systems without.
var unnamed = openUnnamed

// Create begins a file that Commit will call path, with these permissions less the
// umask. A file of that name stays as it is until then.
func Create(path string, perm fs.FileMode) (*File, error) {
	path = filepath.Clean(path)
	sweep(path)
	f, err := unnamed(filepath.Dir(path), perm)
	if err == nil {
		return &File{File: f, path: path}, nil
	}
	if !errors.Is(err, errors.ErrUnsupported) {
		return nil, err
	}
	temp, err := withFreeName(path, func(name string) (err error) {
		if f, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, perm); err != nil {
			return err
		}
		return own(f)
	})
	if err != nil {
		return nil, err
	}
	return &File{File: f, path: path, temp: temp}, nil
}

// Commit brings the content to the disk, closes the file and gives it its name, in the
// place of a file that had it before. After an error nothing is left of it.
func (f *File) Commit() error {
	if err := f.commit(f.Sync()); err != nil {
		return err
	}
	return SyncFolder(filepath.Dir(f.path))
}

// CommitUnsynced is Commit that leaves it to the system when the content comes to the disk:
// after a crash of the machine the file may have its name and not all of its content. It
// is for files that are known by checksums, and can be done without.
func (f *File) CommitUnsynced() error { return f.commit(nil) }

func (f *File) commit(err error) error {
	linked := false
	if err == nil && f.temp == "" {
		if err = linkUnnamed(f.File, f.path); err == nil {
			linked = true
		} else if errors.Is(err, fs.ErrExist) {
			f.temp, err = withFreeName(f.path, func(name string) error { return linkUnnamed(f.File, name) })
		}
	}
	if e := f.File.Close(); err == nil {
		err = e
	}
	if err == nil && !linked {
		err = os.Rename(f.temp, f.path)
	}
	if err != nil {
		return errors.Join(err, f.Abort())
	}
	f.done = true
	return nil
}

// Abort closes and removes what has been written. After Commit it does nothing.
func (f *File) Abort() error {
	if f.done {
		return nil
	}
	f.done = true
	err := f.File.Close()
	if errors.Is(err, os.ErrClosed) {
		err = nil
	}
	if f.temp != "" {
		if e := os.Remove(f.temp); err == nil && !errors.Is(e, fs.ErrNotExist) {
			err = e
		}
	}
	return err
}

// Write writes a whole file.
func Write(path string, data []byte, perm fs.FileMode) error {
	f, err := Create(path, perm)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return errors.Join(err, f.Abort())
	}
	return f.Commit()
}

// Temporary names have eight hexadecimal digits between prefix and suffix.
const suffix = ".tmp"

func prefix(path string) string {
	base := filepath.Base(path)
	if len(base) > 64 { // leave room within the limit on names
		base = base[:64]
	}
	return "." + base + "."
}

// withFreeName calls create with temporary names for path until one is free.
func withFreeName(path string, create func(name string) error) (name string, err error) {
	for range 100 {
		name = filepath.Join(filepath.Dir(path), fmt.Sprintf("%s%08x%s", prefix(path), rand.Uint32(), suffix))
		if err = create(name); !errors.Is(err, fs.ErrExist) {
			return name, err
		}
	}
	return "", err
}

// sweep removes what killed programs have left that were writing path. It is nobody's
// business if it cannot.
func sweep(path string) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return
	}
	for _, e := range entries {
		digits, ok := strings.CutPrefix(e.Name(), prefix(path))
		if !ok {
			continue
		}
		if digits, ok = strings.CutSuffix(digits, suffix); ok && len(digits) == 8 && strings.Trim(digits, "0123456789abcdef") == "" {
			removeDead(filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
}

// SyncFolder makes the names in a folder durable. Windows has no such call, and some
// file systems refuse it.
func SyncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("what was written is there, but its folder cannot be synced: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !folderSyncRefused(err) {
		return fmt.Errorf("what was written is there, but its folder cannot be synced: %w", err)
	}
	return nil
}
