package hub

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestStateFits: only a state that makes sense for this version of the file is
// taken up.
func TestStateFits(t *testing.T) {
	u, _ := url.Parse("https://host/x?secret")
	file := remoteFile{url: u, size: 1000, sha256: strings.Repeat("a", 64)}
	fresh := newState(&file, 300)
	if len(fresh.Segments) != 4 || fresh.Segments[3] != (segment{900, 1000, 0}) || fresh.Source != "https://host/x" {
		t.Fatalf("%+v", fresh)
	}
	for name, test := range map[string]struct {
		change   func(s *state, f *remoteFile)
		partSize int64
		fits     bool
	}{
		"as it was":           {func(*state, *remoteFile) {}, 1000, true},
		"partly done":         {func(s *state, _ *remoteFile) { s.Segments[1].done = 300 }, 600, true},
		"a short part":        {func(s *state, _ *remoteFile) { s.Segments[1].done = 300 }, 599, false},
		"another checksum":    {func(_ *state, f *remoteFile) { f.sha256 = strings.Repeat("b", 64) }, 1000, false},
		"another size":        {func(_ *state, f *remoteFile) { f.size = 1001 }, 1000, false},
		"no identity":         {func(s *state, f *remoteFile) { s.Identity, f.sha256 = "", "" }, 1000, false},
		"another program":     {func(s *state, _ *remoteFile) { s.Version++ }, 1000, false},
		"a gap":               {func(s *state, _ *remoteFile) { s.Segments[2].start++ }, 1000, false},
		"the end missing":     {func(s *state, _ *remoteFile) { s.Segments = s.Segments[:3] }, 1000, false},
		"too much":            {func(s *state, _ *remoteFile) { s.Segments[0].done = 301 }, 1000, false},
		"negative":            {func(s *state, _ *remoteFile) { s.Segments[0].done = -1 }, 1000, false},
		"no ranges any more":  {func(_ *state, f *remoteFile) { f.whole = true }, 1000, false},
		"size unknown by now": {func(_ *state, f *remoteFile) { f.size = -1 }, 1000, false},
	} {
		data, err := json.Marshal(fresh)
		if err != nil {
			t.Fatal(err)
		}
		s, f := &state{}, file
		if err := json.Unmarshal(data, s); err != nil {
			t.Fatal(err)
		}
		if test.change(s, &f); s.fits(&f, test.partSize) != test.fits {
			t.Errorf("%s: fits is %v", name, !test.fits)
		}
	}
	huge := remoteFile{url: u, size: 1 << 50}
	if s := newState(&huge, 16<<20); len(s.Segments) > maxSegments {
		t.Errorf("%d segments", len(s.Segments))
	}
	empty := remoteFile{url: u}
	if s := newState(&empty, 10); len(s.Segments) != 0 || s.done() != 0 {
		t.Errorf("an empty file has the segments %v", s.Segments)
	}
}

// TestWrongSmallFile: files without a SHA-256 are checked by git's checksum.
func TestWrongSmallFile(t *testing.T) {
	files := checkpointFiles()
	h := newFakeHub(t, files)
	h.answerHome(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/config.json") {
			w.Write([]byte(`{"a":2}`)) // as long as the right one
			return true
		}
		return false
	})
	_, err := pullNow(t, PullOptions{Convert: nopConvert})
	if !errors.Is(err, ErrChecksum) || !strings.Contains(err.Error(), "config.json") {
		t.Error(err)
	}
	expectNoModel(t)
}

func nopConvert(context.Context, string, string) error { return nil }
