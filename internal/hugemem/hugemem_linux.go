package hugemem

import "golang.org/x/sys/unix"

const supported = true

// advise asks for huge pages. It is advice: a kernel built without them refuses
// it, and the memory works all the same.
func advise(buf []byte) { _ = unix.Madvise(buf, unix.MADV_HUGEPAGE) }

// drop gives the pages of zeros back; the next write to one of them brings a new one.
// Where that is refused, the memory stays where it is.
func drop(buf []byte) { _ = unix.Madvise(buf, unix.MADV_DONTNEED) }
