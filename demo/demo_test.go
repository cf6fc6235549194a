package demo

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"testing"

	"trit/hub"
)

// TestFile: the program has the file that stands here for all to use.
func TestFile(t *testing.T) {
	want, err := os.ReadFile("demo.gguf")
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("TRIT_UPDATE") != "" {
		var out bytes.Buffer
		w, _ := gzip.NewWriterLevel(&out, gzip.BestCompression)
		w.Write(want)
		w.Close()
		if err := os.WriteFile("demo.gguf.gz", out.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
		file = out.Bytes()
	}
	r, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("demo.gguf.gz is not demo.gguf (%v); TRIT_UPDATE=1 go test ./demo mends it", err)
	}
}

func TestName(t *testing.T) {
	m, err := hub.Resolve("demo")
	if err != nil {
		t.Fatal(err)
	}
	f, err := m.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if len(f.Tensors) == 0 {
		t.Error("the model has no tensors")
	}
}
