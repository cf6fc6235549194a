//go:build !linux

package maskbench

import "time"

var began = time.Now()

// now is the time since the beginning.
func now() time.Duration { return time.Since(began) }
