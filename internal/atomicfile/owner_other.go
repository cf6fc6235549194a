//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package atomicfile

import (
	"os"
	"time"
)

// own has no lock to take here.
func own(*os.File) error { return nil }

func lockFolder(string) (*os.File, error) { return nil, nil }

// deadAge is how old a temporary file is that certainly nobody writes any more.
const deadAge = 48 * time.Hour

// removeDead removes an old temporary file. Windows does not remove one that is open.
func removeDead(path string) {
	if info, err := os.Stat(path); err == nil && !info.IsDir() && time.Since(info.ModTime()) > deadAge {
		_ = os.Remove(path)
	}
}
