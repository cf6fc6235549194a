package atomicfile

import (
	"errors"

	"golang.org/x/sys/windows"
)

// DiskFull reports an error for want of space or quota.
func DiskFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL) || errors.Is(err, windows.ERROR_DISK_QUOTA_EXCEEDED)
}

// folderSyncRefused is not asked on Windows, where folders are not synced.
func folderSyncRefused(error) bool { return false }
