package gguf

import (
	"fmt"
	"os"
	"path/filepath"

	"trit/internal/atomicfile"
)

// WriteFile writes a file as [WriteTo] does, all or nothing: the content is on the disk
// before the file gets its name, in one step. After an error nothing new has the
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
	f, err := atomicfile.Create(path, 0o666)
	if err != nil {
		return fmt.Errorf("gguf: %w", err)
	}
	if err = p.writeTo(f); err == nil {
		err = f.Commit()
	}
	if err == nil {
		return nil
	}
	if atomicfile.DiskFull(err) {
		err = fmt.Errorf("the disk is full: the file needs %d bytes in %s: %w", p.total, filepath.Dir(path), err)
	}
	if e := f.Abort(); e != nil {
		err = fmt.Errorf("%w (and its temporary file could not be removed: %w)", err, e)
	}
	return inFile(path, err)
}
