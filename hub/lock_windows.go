package hub

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lockByte is the byte that is locked. Windows keeps others from reading what is
// locked, so it is one that the file does not have.
const lockByte = 1 << 30

func openLock(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
}

func tryLock(f *os.File) error {
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &windows.Overlapped{Offset: lockByte})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return errHeld
	}
	return err
}

// release drops the lock and removes its file, unless another process has opened
// it in the meantime: then that one removes it.
func (l *lock) release() error {
	err := windows.UnlockFileEx(windows.Handle(l.file.Fd()), 0, 1, 0, &windows.Overlapped{Offset: lockByte})
	err = errors.Join(err, l.file.Close())
	if e := os.Remove(l.path); e != nil && !errors.Is(e, windows.ERROR_SHARING_VIOLATION) && !errors.Is(e, windows.ERROR_ACCESS_DENIED) && !errors.Is(e, os.ErrNotExist) {
		err = errors.Join(err, e)
	}
	return err
}

// staleHint is empty: the system drops the locks of processes that have ended.
func staleHint(string) string { return "" }
