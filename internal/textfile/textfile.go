// Package textfile reads the texts that people and their editors write into
// files: prompts, schemas, grammars, templates, lists, JSON.
package textfile

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// bom is the byte order mark that some editors put before a text in UTF-8. It
// says nothing there, and no format that is read here has it as a character.
const bom = "\uFEFF"

// Trim drops a byte order mark from the beginning of a text.
func Trim[T ~string | ~[]byte](text T) T {
	if len(text) >= len(bom) && string(text[:len(bom)]) == bom {
		return text[len(bom):]
	}
	return text
}

// Placeholder reports whether data is not a file's contents but what Git LFS leaves in
// its place where they were not downloaded.
func Placeholder(data []byte) bool { return bytes.HasPrefix(data, []byte("version https://git-lfs")) }

// Read reads a file of at most the given size, or anything else under that name
// that can be read to an end, such as a pipe. The text has no byte order mark.
func Read(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ReadFrom(f, path, most)
}

// ReadFrom is Read for a stream, which errors call by the name.
func ReadFrom(r io.Reader, name string, most int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > most {
		return nil, fmt.Errorf("%s is longer than %s", name, size(most))
	}
	return Trim(data), nil
}

// size is a limit as people read it.
func size(bytes int64) string {
	if bytes >= 1<<20 && bytes%(1<<20) == 0 {
		return fmt.Sprintf("%d MiB", bytes>>20)
	}
	return fmt.Sprintf("%d bytes", bytes)
}
