package hub

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFullFileSystem downloads to a real file system that is too small.
func TestFullFileSystem(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("mounting a small file system needs privileges: %v", err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	model := fakeModel(t, 3_000_000, 1)
	newFakeHub(t, map[string][]byte{"model.gguf": model})
	t.Setenv(HomeEnv, dir)
	if _, err := pullNow(t, PullOptions{}); !errors.Is(err, ErrNoSpace) || !strings.Contains(err.Error(), "3.0 MB") {
		t.Errorf("asked beforehand: %v", err)
	}
	tune := fastTuning()
	tune.freeSpace = func(string) (uint64, error) { return 1 << 40, nil } // someone else fills the disk
	if _, err := pull(t.Context(), "hf:org/repo", PullOptions{Name: "m"}, tune); !errors.Is(err, ErrNoSpace) {
		t.Errorf("in the middle: %v", err)
	}
	expectNoModel(t)
	if _, err := Copy(t.Context(), Demo, "d", false); !errors.Is(err, ErrNoSpace) {
		t.Errorf("copy: %v", err)
	}
	expectNoModel(t)
	for _, name := range leftovers(t) {
		if !strings.HasPrefix(name, "m~download.gguf.part") {
			t.Errorf("left over: %s", name)
		}
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT, "size=8m"); err != nil {
		t.Fatal(err)
	}
	if _, err := pullNow(t, PullOptions{}); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(storePath(t, "m.gguf")); err != nil || sha256Hex(data) != sha256Hex(model) {
		t.Error("the model is not what the server has", err)
	}
}
