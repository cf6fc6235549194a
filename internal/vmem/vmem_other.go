//go:build !unix && !windows

package vmem

// Reserve returns n bytes of zeroed memory, from the heap where the system has
// nothing better.
func Reserve(n int) (*Region, error) { return &Region{data: make([]byte, n)}, nil }

// Commit makes n bytes from off on usable.
func (r *Region) Commit(off, n int) error { return nil }

// Decommit does nothing: the heap gives no parts back.
func (r *Region) Decommit(off, n int) error { return nil }
