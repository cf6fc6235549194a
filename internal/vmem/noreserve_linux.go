package vmem

import "golang.org/x/sys/unix"

// noReserve keeps the system from counting untouched memory as used.
const noReserve = unix.MAP_NORESERVE
