package sysmem

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

// memoryStatus is MEMORYSTATUSEX of the Windows API.
type memoryStatus struct {
	length    uint32
	load      uint32
	totalPhys uint64
	rest      [6]uint64
}

func get() Limit {
	status := memoryStatus{length: uint32(unsafe.Sizeof(memoryStatus{}))}
	call := windows.NewLazySystemDLL("kernel32.dll").NewProc("GlobalMemoryStatusEx")
	if call.Find() != nil {
		return Limit{}
	}
	if ok, _, _ := call.Call(uintptr(unsafe.Pointer(&status))); ok == 0 || status.totalPhys > 1<<62 {
		return Limit{}
	}
	return Limit{int64(status.totalPhys), "physical memory"}
}
