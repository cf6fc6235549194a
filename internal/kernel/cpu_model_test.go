package kernel

import (
	"os"
	"path/filepath"
	"testing"
)

func TestCPUModel(t *testing.T) {
	if CPUModel() == "" {
		t.Error("no model")
	}
	t.Log(CPUModel())
	path := filepath.Join(t.TempDir(), "cpuinfo")
	for content, want := range map[string]string{
		"processor\t: 0\nmodel name\t: Some CPU\n":             "Some CPU",
		"processor: 0\nCPU implementer: 0x41\nCPU part: 0xd0c": "arm 0x41:0xd0c",
		"nothing": "",
	} {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := cpuInfoModel(path); got != want {
			t.Errorf("%q: %q, want %q", content, got, want)
		}
	}
}
