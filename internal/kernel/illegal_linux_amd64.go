//go:build !noasm

package kernel

import (
	"fmt"
	"syscall"
	"unsafe"
)

// Go ends a program that meets an illegal instruction, and asks no handler of its own
// about it. So the kernel of Linux is told directly, for the few microseconds of a trial,
// to call a handler in assembly, which makes the function that has the instruction
// return 0.

// sigaction is struct kernel_sigaction.
type sigaction struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

const (
	saSigInfo  = 0x00000004
	saRestorer = 0x04000000
	saOnStack  = 0x08000000
)

// The functions of illegal_linux_amd64.s. tryLevel runs an instruction of each of the
// sets that a level adds, and returns whether they are there. Of levels that it does not
// know it says so.
func tryLevel(level int) bool
func handlerPC() (handler, restorer uintptr)

// illegal says that instructions of a level are not there, "" that they are.
func illegal(l Level) string { return illegalBy(func() bool { return tryLevel(int(l)) }) }

func illegalBy(try func() bool) string {
	handler, restorer := handlerPC()
	ours := sigaction{handler: handler, flags: saSigInfo | saOnStack | saRestorer, restorer: restorer}
	var before sigaction
	if err := setAction(&ours, &before); err != nil {
		return "" // then nobody can tell
	}
	ok := try()
	if err := setAction(&before, nil); err != nil {
		return fmt.Sprintf("the handler of SIGILL cannot be set back (%v)", err)
	}
	if !ok {
		return "illegal instructions, though the CPU says that it has them"
	}
	return ""
}

func setAction(action, before *sigaction) error {
	_, _, e := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(syscall.SIGILL), uintptr(unsafe.Pointer(action)),
		uintptr(unsafe.Pointer(before)), 8, 0, 0)
	if e != 0 {
		return e
	}
	return nil
}
