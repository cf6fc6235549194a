package hub

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"trit/internal/atomicfile"
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
	if atomicfile.DiskFull(err) {
		return fmt.Errorf("%w: the disk of %s is full: %w; free some space and pull again, what has come is kept", ErrNoSpace, dir, err)
	}
	return fmt.Errorf("hub: %w", err)
}

// writeJSON writes a value as JSON to path in one step: after an error what was there
// is as it was.
func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(path, append(data, '\n'), 0o666)
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
