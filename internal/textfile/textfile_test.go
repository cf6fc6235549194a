package textfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTrim(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "",
		"a":                           "a",
		"\uFEFF":                      "",
		"\uFEFFroot ::= x":            "root ::= x",
		"\uFEFF\uFEFFx":               "\uFEFFx", // only the first is a mark
		"x\uFEFF":                     "x\uFEFF",
		"\xEF\xBB":                    "\xEF\xBB",
		"\xFE\xFF\x00a (UTF-16)":      "\xFE\xFF\x00a (UTF-16)",
		" \uFEFFnot at the beginning": " \uFEFFnot at the beginning",
	} {
		if got := Trim(text); got != want {
			t.Errorf("Trim(%q) = %q, want %q", text, got, want)
		}
		if got := string(Trim([]byte(text))); got != want {
			t.Errorf("Trim of the bytes %q = %q, want %q", text, got, want)
		}
	}
}

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.txt")
	if err := os.WriteFile(path, []byte("\uFEFFfour"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Read(path, 7); err != nil || string(got) != "four" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := Read(path, 6); err == nil || !strings.Contains(err.Error(), path+" is longer than 6 bytes") {
		t.Errorf("a file that is too long: %v", err)
	}
	if _, err := Read(path+"x", 7); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := ReadFrom(strings.NewReader(strings.Repeat("x", 1<<20+1)), "the prompt", 1<<20); err == nil ||
		err.Error() != "the prompt is longer than 1 MiB" {
		t.Errorf("a stream that is too long: %v", err)
	}
}
