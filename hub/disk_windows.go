package hub

import (
	"errors"

	"golang.org/x/sys/windows"
)

// diskFull reports an error for want of space or quota.
func diskFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL) || errors.Is(err, windows.ERROR_DISK_QUOTA_EXCEEDED)
}

// syncRefused is not asked on Windows, where folders are not synced.
func syncRefused(error) bool { return false }

// freeSpace returns the bytes that the user may still write below dir.
func freeSpace(dir string) (uint64, error) {
	p, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	err = windows.GetDiskFreeSpaceEx(p, &free, nil, nil)
	return free, err
}
