//go:build (linux || darwin || freebsd || netbsd || openbsd || dragonfly) && !nommap

package mmap

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

func mapFile(f *os.File, size int) ([]byte, error) {
	data, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return nil, errCannotMap
	}
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	return data, nil
}

func unmapFile(data []byte) error {
	return os.NewSyscallError("munmap", unix.Munmap(data))
}

// adviseDontNeed drops the pages. For a shared, read-only file mapping they are
// clean copies of the file, so a later access reads the same content again.
func adviseDontNeed(pages []byte) error {
	return os.NewSyscallError("madvise", unix.Madvise(pages, unix.MADV_DONTNEED))
}

func adviseWillNeed(pages []byte) error {
	return os.NewSyscallError("madvise", unix.Madvise(pages, unix.MADV_WILLNEED))
}
