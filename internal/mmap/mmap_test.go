package mmap

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
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

func TestChanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write := func(text string, age time.Duration) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		change func() error
		want   bool
	}{
		"nothing":   {func() error { return nil }, false},
		"removed":   {func() error { return os.Remove(path) }, false},
		"time":      {func() error { write("12345678", time.Hour); return nil }, true},
		"truncated": {func() error { return os.Truncate(path, 4) }, true},
		"replaced": {func() error {
			if err := os.WriteFile(path+".new", []byte("abcd"), 0o666); err != nil {
				return err
			}
			return os.Rename(path+".new", path)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if runtime.GOOS == "windows" && name != "nothing" {
				t.Skip("Windows keeps mapped files as they are")
			}
			write("12345678", 2*time.Hour)
			m, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			if !m.Mapped() {
				t.Skip("files are not mapped here")
			}
			if err := test.change(); err != nil {
				t.Fatal(err)
			}
			if err := m.Changed(); errors.Is(err, ErrChanged) != test.want {
				t.Errorf("changed: %v", err)
			}
		})
	}
}

func TestGuard(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, make([]byte, 1<<20), 0o666); err != nil {
		t.Fatal(err)
	}
	m, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if !m.Mapped() || runtime.GOOS == "windows" {
		t.Skip("mapped files cannot be truncated here")
	}
	data := m.Bytes()
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	if err := Guard(func() error { _ = bytes.Clone(data); return nil }); !errors.Is(err, ErrFault) {
		t.Errorf("reading: %v", err)
	}
	if err := Guard(func() error { return io.EOF }); err != io.EOF {
		t.Errorf("an error became %v", err)
	}
	defer func() {
		if v := recover(); v != "mine" {
			t.Errorf("another panic became %v", v)
		}
	}()
	t.Error(Guard(func() error { panic("mine") }))
}
