//go:build !linux && !darwin && !freebsd && !netbsd && !openbsd && !dragonfly && !windows

package hub

import (
	"errors"
	"io/fs"
	"os"
)

// openLock creates the lock file: on this system its existence is the lock.
func openLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return nil, errHeld
	}
	return f, err
}

func tryLock(*os.File) error { return nil }

func (l *lock) release() error {
	return errors.Join(l.file.Close(), os.Remove(l.path))
}

// staleHint says what to do about the lock of a process that was killed, which
// stays on this system.
func staleHint(path string) string { return "; if no such process exists any more, remove " + path }
