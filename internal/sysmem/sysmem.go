// Package sysmem tells how much memory a program may use: that of the machine,
// or less where it runs in a container.
package sysmem

import "math/bits"

// Limit is an amount of memory and where it comes from.
type Limit struct {
	Bytes  int64 // 0 if unknown
	Source string
}

// Get returns the least of the limits that are known.
func Get() Limit {
	l := get()
	// With addresses of 32 bits, mapped files and the heap share what the system
	// leaves of 4 GiB.
	const addresses = 2 << 30
	if bits.UintSize == 32 && (l.Bytes == 0 || l.Bytes > addresses) {
		l = Limit{addresses, "32-bit addresses"}
	}
	return l
}

// Usable returns what is left of a limit after a reserve for the system and the
// program itself: a tenth, between 64 MiB and 2 GiB.
func (l Limit) Usable() int64 {
	reserve := min(max(l.Bytes/10, 64<<20), 2<<30)
	return max(l.Bytes-reserve, 0)
}
