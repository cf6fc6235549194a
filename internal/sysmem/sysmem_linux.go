package sysmem

import (
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

func get() Limit {
	var l Limit
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		l = Limit{int64(uint64(info.Totalram) * uint64(info.Unit)), "physical memory"}
	}
	if c := cgroup("/"); c.Bytes > 0 && (l.Bytes == 0 || c.Bytes < l.Bytes) {
		l = c
	}
	return l
}

// cgroup returns the least limit of the control groups that the process is in:
// memory.max of version 2, memory.limit_in_bytes of version 1. root is where the
// file system begins.
func cgroup(root string) Limit {
	data, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return Limit{}
	}
	var least Limit
	for line := range strings.Lines(string(data)) {
		// hierarchy:controllers:path
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		var mount, file string
		switch {
		case parts[0] == "0" && parts[1] == "":
			mount, file = "sys/fs/cgroup", "memory.max"
		case strings.Contains(","+parts[1]+",", ",memory,"):
			mount, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		// A group is bound by those above it too. In a container the path may be
		// that of the host, of which only the root is visible.
		for dir := path.Clean("/" + parts[2]); ; dir = path.Dir(dir) {
			if n, ok := readLimit(filepath.Join(root, mount, dir, file)); ok && (least.Bytes == 0 || n < least.Bytes) {
				least = Limit{n, "the control group's " + file}
			}
			if dir == "/" {
				break
			}
		}
	}
	return least
}

// readLimit reads a limit; version 1 writes a number close to 2⁶³ for none.
func readLimit(name string) (int64, bool) {
	data, err := os.ReadFile(name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	return n, err == nil && n > 0 && n < 1<<62
}
