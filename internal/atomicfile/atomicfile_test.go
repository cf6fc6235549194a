package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
)

// names returns what is in a folder.
func names(t *testing.T, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func content(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// both runs a test with files that have no name, where there are such, and without.
func both(t *testing.T, f func(t *testing.T)) {
	t.Run("system", f)
	t.Run("named", func(t *testing.T) {
		unnamed = func(string, fs.FileMode) (*os.File, error) { return nil, errors.ErrUnsupported }
		defer func() { unnamed = openUnnamed }()
		f(t)
	})
}

func TestFile(t *testing.T) {
	both(t, func(t *testing.T) {
		folder := t.TempDir()
		path := filepath.Join(folder, "a")
		for _, text := range []string{"one", "two"} { // a new file, and one in its place
			f, err := Create(path, 0o640)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteString(text); err != nil {
				t.Fatal(err)
			}
			if text == "two" && content(t, path) != "one" {
				t.Error("the old file is not there while the new one is written")
			}
			if err := f.Commit(); err != nil {
				t.Fatal(err)
			}
			if err := f.Abort(); err != nil {
				t.Errorf("Abort after Commit: %v", err)
			}
			if got := content(t, path); got != text {
				t.Errorf("content %q, want %q", got, text)
			}
			if got := names(t, folder); !slices.Equal(got, []string{"a"}) {
				t.Errorf("the folder has %v", got)
			}
		}
		if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm()&0o137 != 0 {
			t.Errorf("permissions %v, %v", info.Mode(), err)
		}
		f, err := Create(path, 0o640)
		if err != nil {
			t.Fatal(err)
		}
		f.WriteString("three")
		if err := f.Abort(); err != nil {
			t.Fatal(err)
		}
		if got := names(t, folder); content(t, path) != "two" || !slices.Equal(got, []string{"a"}) {
			t.Errorf("after Abort the folder has %v, and the file %q", got, content(t, path))
		}
	})
}

// TestLitter leaves files and folders as a killed program does.
func TestLitter(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there it takes two days")
	}
	both(t, func(t *testing.T) {
		folder := t.TempDir()
		path := filepath.Join(folder, "a")
		alive, err := Create(path, 0o666)
		if err != nil {
			t.Fatal(err)
		}
		dead, err := Create(path, 0o666)
		if err != nil {
			t.Fatal(err)
		}
		dead.File.Close() // as the system does
		deadFolder, err := CreateFolder(path)
		if err != nil {
			t.Fatal(err)
		}
		deadFolder.lock.Close()
		other := ".a.mine.tmp"
		if err := os.WriteFile(filepath.Join(folder, other), nil, 0o666); err != nil {
			t.Fatal(err)
		}
		if err := Write(path, []byte("new"), 0o666); err != nil {
			t.Fatal(err)
		}
		want := []string{other, "a"}
		if alive.temp != "" {
			want = append(want, filepath.Base(alive.temp))
		}
		slices.Sort(want)
		if got := names(t, folder); !slices.Equal(got, want) {
			t.Errorf("the folder has %v, want %v", got, want)
		}
		if err := alive.Commit(); err != nil {
			t.Error(err)
		}
	})
}

func TestFolder(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "out")
	fill := func() *Folder {
		t.Helper()
		f, err := CreateFolder(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(f.Path, "x"), []byte("x"), 0o666); err != nil {
			t.Fatal(err)
		}
		return f
	}
	if err := fill().Abort(); err != nil || len(names(t, folder)) != 0 {
		t.Errorf("after Abort: %v, %v", names(t, folder), err)
	}
	if err := fill().Commit(); err != nil || content(t, filepath.Join(path, "x")) != "x" {
		t.Errorf("after Commit: %v, %v", names(t, folder), err)
	}
	// A folder that is not empty stays.
	if err := fill().Commit(); err == nil || !slices.Equal(names(t, folder), []string{"out"}) {
		t.Errorf("in the place of another: %v, %v", names(t, folder), err)
	}
}

func TestErrors(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "no", "a")
	if _, err := Create(missing, 0o666); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing folder: %v", err)
	}
	both(t, func(t *testing.T) {
		folder := t.TempDir()
		path := filepath.Join(folder, "a")
		if err := os.MkdirAll(filepath.Join(path, "b"), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := Write(path, nil, 0o666); err == nil || !slices.Equal(names(t, folder), []string{"a"}) {
			t.Errorf("in the place of a folder: %v, %v", names(t, folder), err)
		}
	})
}
