//go:build !windows

package atomicfile

import (
	"errors"
	"syscall"
)

// DiskFull reports an error for want of space or quota.
func DiskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// folderSyncRefused reports a file system that cannot sync folders.
func folderSyncRefused(err error) bool { return errors.Is(err, syscall.EINVAL) }
