//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package atomicfile

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// own marks a temporary file as one that a living program writes, by a lock that the
// system drops when the program ends. The error is fs.ErrExist if somebody has
// removed the file before that.
func own(f *os.File) error {
	if errors.Is(lock(f), unix.EWOULDBLOCK) {
		return errors.Join(fs.ErrExist, f.Close())
	} // a file system without locks has no sweepers either
	mine, err := f.Stat()
	if err == nil {
		if now, e := os.Stat(f.Name()); e == nil && os.SameFile(mine, now) {
			return nil
		}
		err = fs.ErrExist
	}
	return errors.Join(err, f.Close())
}

// lockFolder does the same for a folder.
func lockFolder(path string) (*os.File, error) {
	d, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return d, own(d)
}

// removeDead removes a temporary file or folder that no living program writes.
func removeDead(path string) {
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	if lock(f) == nil {
		_ = os.RemoveAll(path)
	}
}

func lock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }
