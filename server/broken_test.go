package server

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"trit"
	"trit/hub"
	"trit/server/internal/servertest"
)

// demoFile returns the bytes of the demo model.
func demoFile(t *testing.T) []byte {
	t.Helper()
	servertest.Copies(t, "copy")
	m, err := hub.Resolve("copy")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(m.Path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestFileInUse truncates, and overwrites, the file of a model that is being served: its
// requests fail, those of another model do not, and it comes back with its file.
func TestFileInUse(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows does not let anybody write to a mapped file")
	}
	data, path := demoFile(t), filepath.Join(t.TempDir(), "own.gguf")
	write := func(size int) {
		t.Helper()
		if err := os.WriteFile(path, data[:size], 0o666); err != nil {
			t.Fatal(err)
		}
	}
	whole := len(data)
	write(whole)
	s := serve(t, Options{Models: []string{path, "demo"}})
	ask := func(model string) reply {
		return s.do("POST", "/v1/completions", `{"model":"`+model+`","prompt":"Once upon a time","max_tokens":3}`)
	}
	for _, size := range []int{4096, whole} {
		ask("own").expect(t, 200)
		write(size)
		if size == whole { // as many bytes at another time
			if err := os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(1100 * time.Millisecond) // the file is looked at once a second
		}
		broken := ask("own")
		if size == whole {
			// The request itself may have had the model loaded again.
			if broken.status != 200 && broken.status != 503 {
				t.Errorf("overwritten: %d %s", broken.status, broken.body)
			}
		} else {
			broken.expect(t, 503, "model_unavailable", "truncated")
		}
		ask("demo").expect(t, 200)
		if size != whole {
			if r := s.do("GET", "/ready", ""); r.status != 503 {
				t.Errorf("ready although a model is out of service: %s", r.body)
			}
			write(whole)
		}
		s.until("the model is back", func() bool { return ask("own").status == 200 })
	}
	if log := s.log.String(); strings.Count(log, "model stopped") != 2 || !strings.Contains(log, "was last written at") {
		t.Errorf("the log does not say why:\n%s", log)
	}
	s.until("the server is ready again", func() bool { return s.do("GET", "/ready", "").status == 200 })
}

// TestCopiedTables serves a model whose file is cut short after it has been loaded.
func TestCopiedTables(t *testing.T) {
	path := filepath.Join(t.TempDir(), "own.gguf")
	if err := os.WriteFile(path, demoFile(t), 0o666); err != nil {
		t.Fatal(err)
	}
	s := serve(t, Options{Models: []string{path}, Open: []trit.Option{trit.CopyTables()}})
	ask := func() reply {
		return s.do("POST", "/v1/completions", `{"prompt":"Once upon a time","max_tokens":8,"temperature":0}`)
	}
	before := ask()
	if err := os.Truncate(path, 4096); err != nil {
		t.Skipf("the file cannot be truncated here: %v", err)
	}
	time.Sleep(1100 * time.Millisecond)
	text := func(r reply) string {
		_, rest, _ := strings.Cut(r.body, `"text":`)
		text, _, _ := strings.Cut(rest, `"logprobs"`)
		return text
	}
	after := ask()
	if after.expect(t, 200); text(after) != text(before) {
		t.Errorf("%s became %s", before.body, after.body)
	}
}
