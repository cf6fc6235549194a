package hugemem

import "golang.org/x/sys/unix"

const supported = true

// advise asks for huge pages. It is advice: a kernel built without them refuses
// it, and the memory works all the same.
func advise(buf []byte) { _ = unix.Madvise(buf, unix.MADV_HUGEPAGE) }
