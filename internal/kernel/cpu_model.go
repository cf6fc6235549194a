package kernel

import (
	"os"
	"runtime"
	"strings"
)

// CPUModel returns the processor's name for people, such as "AMD EPYC 9354", or the
// architecture where the system does not tell.
func CPUModel() string {
	if s := strings.Join(strings.Fields(cpuBrand()), " "); s != "" {
		return s
	}
	if s := cpuInfoModel("/proc/cpuinfo"); s != "" {
		return s
	}
	return runtime.GOARCH
}

// cpuInfoModel reads the model from Linux's description of the CPUs: by name or, on
// ARM, by the numbers of its maker and part.
func cpuInfoModel(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return "" // no such file outside Linux
	}
	var implementer, part string
	for line := range strings.Lines(string(data)) {
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(key) {
		case "model name":
			return value
		case "CPU implementer":
			implementer = value
		case "CPU part":
			part = value
		}
	}
	if implementer != "" && part != "" {
		return "arm " + implementer + ":" + part
	}
	return ""
}
