//go:build noasm || !amd64

package kernel

import "syscall"

// cpuBrand returns the processor's name, or "" when the system does not tell.
func cpuBrand() string {
	s, err := syscall.Sysctl("machdep.cpu.brand_string")
	if err != nil {
		return ""
	}
	return s
}
