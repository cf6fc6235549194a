package vmem

import "golang.org/x/sys/unix"

// noReserve keeps the system from counting untouched memory as used.
const noReserve = unix.MAP_NORESERVE

// discard has memory given back at once.
const discard = unix.MADV_DONTNEED

// advise asks for huge pages, which save address translations: attention touches
// pieces of a few kilobytes, far apart. It is advice: a kernel built without huge
// pages refuses it, and the memory works all the same.
func advise(data []byte) { _ = unix.Madvise(data, unix.MADV_HUGEPAGE) }
