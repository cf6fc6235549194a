//go:build !windows

package hub

import (
	"errors"
	"syscall"
)

// diskFull reports an error for want of space or quota.
func diskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// syncRefused reports a file system that cannot sync folders.
func syncRefused(err error) bool { return errors.Is(err, syscall.EINVAL) }
