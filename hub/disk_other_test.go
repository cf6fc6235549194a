//go:build !windows

package hub

import "syscall"

var diskFullError error = syscall.ENOSPC
