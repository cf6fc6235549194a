package profile

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// memorySource says what anonymousMemory returns.
const memorySource = "RssAnon of /proc/self/status: resident memory that is not a file's"

// anonymousMemory returns the resident memory of the process that no file backs,
// in bytes.
func anonymousMemory() (int64, error) {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	_, rest, ok := bytes.Cut(data, []byte("\nRssAnon:"))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	number, unit, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
	n, err := strconv.ParseInt(number, 10, 64)
	if !ok || err != nil || unit != "kB" {
		return 0, fmt.Errorf("/proc/self/status has no usable line RssAnon: %q", line)
	}
	return n << 10, nil
}

// largestCache returns the bytes of the largest cache of the first CPU, 0 if the
// system does not tell.
func largestCache() int64 {
	var largest int64
	for i := range 8 {
		data, err := os.ReadFile(fmt.Sprintf("/sys/devices/system/cpu/cpu0/cache/index%d/size", i))
		if err != nil {
			return largest
		}
		if kb, ok := strings.CutSuffix(strings.TrimSpace(string(data)), "K"); ok {
			if n, err := strconv.ParseInt(kb, 10, 64); err == nil {
				largest = max(largest, n<<10)
			}
		}
	}
	return largest
}
