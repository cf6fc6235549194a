//go:build !noasm && amd64

package kernel

import "syscall"

// permitTiles asks the kernel to let this process use tiles. It says no where it, or the
// hypervisor below it, does not keep them when it switches between threads. The runtime's
// stacks for signals have room for them.
func permitTiles() bool {
	const (
		requestPermission = 0x1023 // ARCH_REQ_XCOMP_PERM
		tileData          = 18     // XFEATURE_XTILEDATA
	)
	_, _, err := syscall.RawSyscall(syscall.SYS_ARCH_PRCTL, requestPermission, tileData, 0)
	return err == 0
}
