package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// FuzzInputHistory reads histories that somebody has changed: they are read or refused by name, and what is added is
// there afterwards.
func FuzzInputHistory(f *testing.F) {
	f.Add([]byte("\"a\"\n\"b\\u0000\"\n"), "hello")
	f.Add([]byte("\n\n5\n"), "")
	f.Add([]byte("\"\xff\"\n{}"), "\x1b[2J")
	h := &inputHistory{filepath.Join(f.TempDir(), "history")}
	f.Fuzz(func(t *testing.T, data []byte, input string) {
		if err := os.WriteFile(h.path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		before, err := h.load()
		if err != nil {
			if !strings.Contains(err.Error(), h.path) {
				t.Error(err)
			}
			return
		}
		if err := h.add(input); err != nil {
			t.Fatal(err)
		}
		if len(input) > historyEntry {
			return
		}
		after, err := h.load()
		want := append(before, strings.ToValidUTF8(input, "\ufffd"))
		if want = want[max(len(want)-historyEntries, 0):]; err != nil || len(after) != len(want) || !slices.Equal(after[:len(after)-1], want[:len(want)-1]) {
			t.Errorf("%q and then %q: %q, %v", before, input, after, err)
		}
	})
}
