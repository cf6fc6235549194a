package browser

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mostBytes is how much a visitor of the page with the model may have to load.
const mostBytes = 10e6

// TestWasm lets the model in the page tell a story: the same as the program on this machine
// tells, which TRIT_BIN names. TRIT_WASM names the folder that cmd/trit-wasm/build has made.
func TestWasm(t *testing.T) {
	folder, program := os.Getenv("TRIT_WASM"), os.Getenv("TRIT_BIN")
	if browser == nil || folder == "" || program == "" {
		t.Skip("needs a browser, TRIT_WASM and TRIT_BIN")
	}
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("TRIT_WASM=%s: %v, %d files", folder, err, len(files))
	}
	var bytes int64
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		bytes += info.Size()
	}
	if bytes > mostBytes {
		t.Errorf("%d files of %d bytes, want at most %.0f", len(files), bytes, mostBytes)
	}
	want, err := exec.Command(program, "infer", "--model", "demo", "-p", "Once upon a time", "--greedy", "-n", "200", "--log-level", "error").Output()
	if err != nil {
		t.Fatal(err)
	}

	web := httptest.NewServer(http.FileServer(http.Dir(folder)))
	t.Cleanup(web.Close)
	p := newPageWithoutModels(t, web.URL)
	if state := eval[string](p, `document.getElementById("state").textContent`); !strings.HasPrefix(state, "Trit Demo, loaded in ") {
		t.Fatalf("the page says %q", state)
	}
	p.navigate(web.URL + "/?temperature=0")
	p.until(`document.documentElement.dataset.ready === "true"`)
	p.click("#go")
	p.until(`/^\d+ tokens in .* tokens\/s\.$/.test(document.getElementById("state").textContent)`)
	story := eval[string](p, `document.getElementById("story").textContent`)
	if got := strings.TrimSpace(strings.TrimPrefix(story, "Once upon a time")); got != strings.TrimSpace(string(want)) {
		t.Errorf("the page tells %q\nthe program %q", got, want)
	}
	t.Logf("%d files, %.1f MB: %s", len(files), float64(bytes)/1e6, eval[string](p, `document.getElementById("state").textContent`))
	p.shoot("wasm")

	p.click("#go")
	p.until(`/^\d+ tokens\/s$/.test(document.getElementById("state").textContent)`)
	p.click("#stop")
	p.until(`document.getElementById("state").textContent.endsWith(", stopped.")`)
}
