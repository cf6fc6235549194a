package mmap_test

import (
	"fmt"
	"os"
	"path/filepath"

	"trit/internal/mmap"
)

func Example() {
	folder, err := os.MkdirTemp("", "mmap")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "greeting")
	if err := os.WriteFile(path, []byte("hello"), 0o666); err != nil {
		fmt.Println(err)
		return
	}

	m, err := mmap.Open(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()
	fmt.Printf("%s\n", m.Bytes())
	// Output: hello
}
