//go:build linux || darwin || freebsd || dragonfly

package atomicfile

import "golang.org/x/sys/unix"

// FreeSpace returns the bytes that the user may still write below dir.
func FreeSpace(dir string) (uint64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	if int64(s.Bavail) < 0 { // FreeBSD: into the reserve
		return 0, nil
	}
	return uint64(s.Bavail) * uint64(s.Bsize), nil
}
