//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package hub

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

func openLock(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
}

func tryLock(f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EWOULDBLOCK):
			return errHeld
		}
		return err
	}
}

// release removes the lock file while the lock still excludes others, and then
// drops the lock.
func (l *lock) release() error {
	err := os.Remove(l.path)
	return errors.Join(err, l.file.Close())
}

// staleHint is empty: the system drops the locks of processes that have ended.
func staleHint(string) string { return "" }
