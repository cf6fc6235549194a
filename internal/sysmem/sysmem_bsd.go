//go:build darwin || freebsd

package sysmem

import (
	"runtime"

	"golang.org/x/sys/unix"
)

func get() Limit {
	name := "hw.memsize"
	if runtime.GOOS == "freebsd" {
		name = "hw.physmem"
	}
	n, err := unix.SysctlUint64(name)
	if err != nil || n > 1<<62 {
		return Limit{}
	}
	return Limit{int64(n), "physical memory"}
}
