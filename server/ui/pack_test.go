package ui

import (
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"testing"
)

var update = flag.Bool("update", false, "write web.gz anew from the files in web")

// webFiles reads the folder web.
func webFiles(t *testing.T) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	root := os.DirFS("web")
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[name], err = fs.ReadFile(root, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// pack writes files as unpack reads them: before each a line with its size and its name.
func pack(files map[string][]byte) ([]byte, error) {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if _, err := fmt.Fprintf(z, "%d %s\n%s", len(files[name]), name, files[name]); err != nil {
			return nil, err
		}
	}
	err = z.Close()
	return out.Bytes(), err
}

// TestPacked: what is embedded is what is in the folder web. With -update it is made so.
func TestPacked(t *testing.T) {
	want := webFiles(t)
	if *update {
		data, err := pack(want)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("web.gz", data, 0o644); err != nil {
			t.Fatal(err)
		}
		packed = data
	}
	got, err := unpack(packed)
	if err != nil {
		t.Fatal(err)
	}
	if !maps.EqualFunc(got, want, bytes.Equal) {
		t.Error("web.gz is not what is in web; run: go test ./server/ui -run TestPacked -update")
	}
}

func TestUnpackRefuses(t *testing.T) {
	whole, err := pack(map[string][]byte{"a": []byte("abc")})
	if err != nil {
		t.Fatal(err)
	}
	var short, odd bytes.Buffer
	for buffer, text := range map[*bytes.Buffer]string{&short: "4 a\nabc", &odd: "x a\nabc"} {
		z := gzip.NewWriter(buffer)
		if _, err := z.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for name, data := range map[string][]byte{"nothing": nil, "no gzip": []byte("abc"), "a cut file": whole[:len(whole)-9], "too few bytes": short.Bytes(), "no size": odd.Bytes()} {
		if files, err := unpack(data); err == nil {
			t.Errorf("%s was read as %q", name, files)
		}
	}
}
