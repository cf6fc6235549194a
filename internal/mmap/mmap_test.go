package mmap

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// content returns n bytes that differ from page to page.
func content(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i/4096)
	}
	return b
}

func write(t *testing.T, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

var openers = map[string]func(string) (*Mapping, error){"Open": Open, "Read": Read}

func TestContent(t *testing.T) {
	page := os.Getpagesize()
	for name, open := range openers {
		for _, size := range []int{0, 1, page - 1, page, page + 1, 5*page + 17} {
			want := content(size)
			m, err := open(write(t, want))
			if err != nil {
				t.Fatalf("%s, %d bytes: %v", name, size, err)
			}
			if !bytes.Equal(m.Bytes(), want) {
				t.Errorf("%s, %d bytes: content differs", name, size)
			}
			if m.Mapped() && (name == "Read" || size == 0) {
				t.Errorf("%s, %d bytes: claims to be mapped", name, size)
			}
			if err := m.Close(); err != nil {
				t.Errorf("%s, %d bytes: Close: %v", name, size, err)
			}
		}
	}
}

// TestReadableAfterRelease gives every kind of range back and reads again.
func TestReadableAfterRelease(t *testing.T) {
	page := int64(os.Getpagesize())
	want := content(int(6*page + 100))
	size := int64(len(want))
	for name, open := range openers {
		m, err := open(write(t, want))
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		for _, r := range [][2]int64{{0, 0}, {0, size}, {1, size - 1}, {1, 5}, {page, page}, {page - 1, page + 1}, {page + 1, 2 * page}, {5 * page, page + 100}, {size, 0}, {size - 1, 1}} {
			if err := m.WillNeed(r[0], r[1]); err != nil {
				t.Errorf("%s: WillNeed(%d, %d): %v", name, r[0], r[1], err)
			}
			if err := m.Release(r[0], r[1]); err != nil {
				t.Errorf("%s: Release(%d, %d): %v", name, r[0], r[1], err)
			}
			if !bytes.Equal(m.Bytes(), want) {
				t.Fatalf("%s: content differs after Release(%d, %d)", name, r[0], r[1])
			}
		}
	}
}

func TestRangesAreChecked(t *testing.T) {
	m, err := Open(write(t, content(100)))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for _, r := range [][2]int64{{-1, 1}, {0, -1}, {0, 101}, {100, 1}, {101, 0}, {1, 1<<63 - 1}} {
		if err := m.Release(r[0], r[1]); !errors.Is(err, ErrRange) {
			t.Errorf("Release(%d, %d) = %v, want ErrRange", r[0], r[1], err)
		}
		if err := m.WillNeed(r[0], r[1]); !errors.Is(err, ErrRange) {
			t.Errorf("WillNeed(%d, %d) = %v, want ErrRange", r[0], r[1], err)
		}
	}
}

func TestClose(t *testing.T) {
	m, err := Open(write(t, content(100)))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if m.Bytes() != nil || m.Mapped() {
		t.Error("a closed mapping still has bytes")
	}
	if err := m.Release(0, 0); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Release after Close = %v, want os.ErrClosed", err)
	}
}

func TestErrorsNameThePath(t *testing.T) {
	folder := t.TempDir()
	missing := filepath.Join(folder, "missing")
	for name, open := range openers {
		if _, err := open(missing); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), missing) {
			t.Errorf("%s of a missing file: %v", name, err)
		}
		if _, err := open(folder); !errors.Is(err, ErrNotRegular) || !strings.Contains(err.Error(), folder) {
			t.Errorf("%s of a folder: %v", name, err)
		}
		if runtime.GOOS != "windows" {
			if _, err := open(os.DevNull); !errors.Is(err, ErrNotRegular) {
				t.Errorf("%s of %s: %v, want ErrNotRegular", name, os.DevNull, err)
			}
		}
	}
}
