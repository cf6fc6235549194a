package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// openUnnamed creates a file without a name in a folder: one that is gone when the
// program ends, however it ends.
func openUnnamed(folder string, perm fs.FileMode) (*os.File, error) {
	fd, err := unix.Open(folder, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, uint32(perm.Perm()))
	switch {
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EISDIR), errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		return nil, errors.ErrUnsupported
	case err != nil:
		return nil, &fs.PathError{Op: "create a file in the folder", Path: folder, Err: err}
	}
	f := os.NewFile(uintptr(fd), folder)
	if _, err := os.Stat(descriptor(f)); err != nil { // where /proc is not mounted, it could not be named
		return nil, errors.Join(errors.ErrUnsupported, f.Close())
	}
	return f, nil
}

func descriptor(f *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", f.Fd()) }

// linkUnnamed gives a file that openUnnamed has created a name, unless another has it.
func linkUnnamed(f *os.File, name string) error {
	err := unix.Linkat(unix.AT_FDCWD, descriptor(f), unix.AT_FDCWD, name, unix.AT_SYMLINK_FOLLOW)
	if err != nil {
		return &fs.PathError{Op: "link", Path: name, Err: err}
	}
	return nil
}
