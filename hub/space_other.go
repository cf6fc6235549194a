//go:build !linux && !darwin && !freebsd && !dragonfly && !windows

package hub

import "errors"

// freeSpace is not known on this system.
func freeSpace(string) (uint64, error) { return 0, errors.ErrUnsupported }
