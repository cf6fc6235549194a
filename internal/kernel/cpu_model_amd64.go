//go:build !noasm

package kernel

import "encoding/binary"

// cpuBrand returns the processor brand string of CPUID, or "".
func cpuBrand() string {
	const first, last = 0x80000002, 0x80000004
	if highest, _, _, _ := cpuid(0x80000000); highest < last {
		return ""
	}
	var s []byte
	for leaf := uint32(first); leaf <= last; leaf++ {
		a, b, c, d := cpuid(leaf)
		for _, word := range [4]uint32{a, b, c, d} {
			s = binary.LittleEndian.AppendUint32(s, word)
		}
	}
	for i, c := range s {
		if c == 0 {
			s = s[:i]
			break
		}
	}
	return string(s)
}
