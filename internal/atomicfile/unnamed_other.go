//go:build !linux

package atomicfile

import (
	"errors"
	"io/fs"
	"os"
)

// openUnnamed is for systems that have files without a name.
func openUnnamed(string, fs.FileMode) (*os.File, error) { return nil, errors.ErrUnsupported }

// linkUnnamed is never called, as there is no such file.
func linkUnnamed(*os.File, string) error { return errors.ErrUnsupported }
