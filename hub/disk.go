package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
)

// partFile is an unfinished download on disk.
type partFile interface {
	io.ReaderAt
	io.WriterAt
	Truncate(size int64) error
	Sync() error
	Close() error
}

func openPart(path string) (partFile, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
}

// writeError explains why writing below dir failed.
func writeError(dir string, err error) error {
	if diskFull(err) {
		return fmt.Errorf("%w: the disk of %s is full: %w; free some space and pull again, what has come is kept", ErrNoSpace, dir, err)
	}
	return fmt.Errorf("hub: %w", err)
}

// writeJSON writes a value as JSON to path in one step, by way of the file temp:
// after an error what was at path is as it was.
func writeJSON(path, temp string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.Create(temp)
	if err != nil {
		return err
	}
	if _, err = f.Write(append(data, '\n')); err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		if e := os.Remove(temp); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = fmt.Errorf("%w (and its temporary file could not be removed: %w)", err, e)
		}
	}
	return err
}

// syncFolder makes the names in a folder durable. Windows has no such call, and
// some file systems refuse it.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("hub: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !syncRefused(err) {
		return fmt.Errorf("hub: %w", err)
	}
	return nil
}

// removeAll removes files and folders that may or may not be there.
func removeAll(paths ...string) error {
	for _, p := range paths {
		if err := os.RemoveAll(p); err != nil {
			return fmt.Errorf("hub: %w", err)
		}
	}
	return nil
}
