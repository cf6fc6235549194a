package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestPull(t *testing.T) {
	model := fakeModel(t, 500_000, 1)
	h := newFakeHub(t, map[string][]byte{"README.md": []byte("hello"), "a/model.gguf": model, "config.json": []byte("{}"), "x.txt": nil, "y.txt": nil})
	var last Progress
	p, err := pullNow(t, PullOptions{Progress: func(p Progress) {
		if p.Stage == Downloading && p.Done < last.Done {
			t.Errorf("progress goes back from %d to %d", last.Done, p.Done)
		}
		last = p
	}})
	if err != nil {
		t.Fatal(err)
	}
	expectStored(t, "m", model)
	if last.Done != int64(len(model)) || last.Total != last.Done {
		t.Errorf("the last progress is %+v", last)
	}
	if p.UpToDate || p.Transferred != int64(len(model)) || p.Source != Store || p.Name != "m" {
		t.Errorf("result %+v", p)
	}
	m, err := readManifest(storePath(t, "m.gguf"))
	if err != nil || m == nil {
		t.Fatal(m, err)
	}
	if m.Repository != "org/repo" || m.Revision != h.commit || m.SHA256 != sha256Hex(model) || m.License != "mit" || m.Verified != VerifiedChecksum ||
		m.Size != int64(len(model)) || !slices.Equal(m.Files, []string{"a/model.gguf"}) || m.Time.IsZero() {
		t.Errorf("manifest %+v", m)
	}
	if n := h.count("/blob/"); n < 7 {
		t.Errorf("%d requests for %d bytes: not in segments", n, len(model))
	}

	before := h.count("/blob/")
	if p, err = pullNow(t, PullOptions{}); err != nil || !p.UpToDate || p.Transferred != 0 {
		t.Errorf("the second time: %+v, %v", p, err)
	}
	if h.count("/blob/") != before {
		t.Error("what is up to date was downloaded again")
	}
	if p, err = pullNow(t, PullOptions{Force: true}); err != nil || p.UpToDate || p.Transferred == 0 {
		t.Errorf("with force: %+v, %v", p, err)
	}

	newer := fakeModel(t, 300_000, 2)
	h.mu.Lock()
	h.commit, h.files["a/model.gguf"] = strings.Repeat("b2", 20), newer
	h.mu.Unlock()
	if p, err = pullNow(t, PullOptions{}); err != nil || p.UpToDate {
		t.Errorf("a newer version: %+v, %v", p, err)
	}
	expectStored(t, "m", newer)

	resolved, err := Resolve("M")
	if err != nil || resolved.Source != Store || !strings.Contains(resolved.Description, "hf:org/repo:a/model.gguf") {
		t.Errorf("Resolve: %+v, %v", resolved, err)
	}
}

// TestPullNames: where the name comes from, and what happens when it is taken.
func TestPullNames(t *testing.T) {
	h := newFakeHub(t, map[string][]byte{"fake-i2_s.gguf": fakeModel(t, 1000, 1), "fake-tq2_0.gguf": fakeModel(t, 1000, 2)})
	get := func(ref string, o PullOptions) (*Pulled, error) { return pull(t.Context(), ref, o, fastTuning()) }
	for ref, want := range map[string]string{
		"hf:org/repo":       "repo", // prefers i2_s
		"hf:org/repo:tq2_0": "repo-tq2_0",
		h.home.URL + "/org/repo/resolve/main/fake-tq2_0.gguf": "repo-fake-tq2_0",
	} {
		p, err := get(ref, PullOptions{})
		if err != nil {
			t.Fatal(ref, err)
		}
		if p.Name != want || p.Manifest.Verified != VerifiedChecksum {
			t.Errorf("%s became %+v, want the name %s", ref, p.Model, want)
		}
	}
	if _, err := get("hf:org/repo:tq2_0", PullOptions{Name: "repo"}); !errors.Is(err, ErrExists) {
		t.Errorf("another file under a name that is taken: %v", err)
	}
	if _, err := get("hf:org/repo:tq2_0", PullOptions{Name: "REPO"}); !errors.Is(err, ErrExists) {
		t.Errorf("a name in another case: %v", err)
	}
	if p, err := get("hf:org/repo:tq2_0", PullOptions{Name: "repo", Force: true}); err != nil || p.Manifest.Files[0] != "fake-tq2_0.gguf" {
		t.Errorf("by force: %+v %v", p, err)
	}
	for _, name := range []string{"demo", "../x", "a/b", ".x", "con", "x.gguf", "a b", strings.Repeat("x", 200)} {
		if _, err := get("hf:org/repo:tq2_0", PullOptions{Name: name}); !errors.Is(err, ErrName) {
			t.Errorf("name %q: %v", name, err)
		}
	}
	for _, o := range []PullOptions{{Connections: -1}, {Connections: 1000}, {Revision: "../x"}, {SHA256: "12"}, {Endpoint: "ftp://x"}} {
		if _, err := get("hf:org/repo", o); !errors.Is(err, ErrName) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestPullToken(t *testing.T) {
	model := fakeModel(t, 200_000, 1)
	h := newFakeHub(t, map[string][]byte{"model.gguf": model})
	h.token = "hf_secret"
	if _, err := pullNow(t, PullOptions{}); !errors.Is(err, ErrAccess) || !strings.Contains(err.Error(), "HF_TOKEN") || !strings.Contains(err.Error(), "Invalid username") {
		t.Errorf("without a token: %v", err)
	}
	if _, err := pullNow(t, PullOptions{Token: "wrong"}); !errors.Is(err, ErrAccess) || strings.Contains(err.Error(), "wrong") {
		t.Errorf("with a wrong token: %v", err)
	}
	home := os.Getenv("HF_HOME")
	if err := os.WriteFile(filepath.Join(home, "token"), []byte("hf_secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := pullNow(t, PullOptions{}); err != nil {
		t.Fatal("the token in its usual file:", err)
	}
	t.Setenv("HF_TOKEN", "hf_secret")
	if _, err := pullNow(t, PullOptions{Force: true}); err != nil {
		t.Fatal("HF_TOKEN:", err)
	}
	cdn := strings.TrimPrefix(h.cdn.URL, "http://")
	seen := 0
	for _, r := range h.requests {
		if r.host == cdn {
			seen++
			if r.auth != "" {
				t.Fatalf("the token went to another host: %+v", r)
			}
		}
	}
	if seen == 0 {
		t.Error("the second host was never asked")
	}
	t.Setenv("HF_TOKEN", "two words")
	if _, err := pullNow(t, PullOptions{}); !errors.Is(err, ErrAccess) || strings.Contains(err.Error(), "words") {
		t.Errorf("a malformed token: %v", err)
	}
	// A URL elsewhere never sees the token.
	t.Setenv("HF_TOKEN", "hf_secret")
	if _, err := pull(t.Context(), h.cdn.URL+"/blob/model.gguf?signature=secret", PullOptions{Name: "u"}, fastTuning()); err != nil {
		t.Fatal(err)
	}
	if last := h.requests[len(h.requests)-1]; last.host != cdn || last.auth != "" {
		t.Errorf("last request %+v", last)
	}
	data, err := os.ReadFile(storePath(t, "u.json"))
	if err != nil || strings.Contains(string(data), "secret") {
		t.Errorf("the manifest keeps secrets of the URL: %s %v", data, err)
	}
}

// checkpointFiles is a repository with safetensors only.
func checkpointFiles() map[string][]byte {
	big := make([]byte, 200_000)
	for i := range big {
		big[i] = byte(i * i >> 3)
	}
	return map[string][]byte{
		"config.json": []byte(`{"a":1}`), "tokenizer.json": []byte(`{}`), "README.md": []byte("# hi"), "LICENSE": []byte("no"), "pytorch_model.bin": []byte("pickle"),
		"model-00001-of-00002.safetensors": big, "model-00002-of-00002.safetensors": big[:70_000], "consolidated.safetensors": big, "sub/other.safetensors": big,
		indexFile: []byte(`{"weight_map":{"x":"model-00001-of-00002.safetensors","y":"model-00002-of-00002.safetensors"}}`),
	}
}

func TestPullCheckpoint(t *testing.T) {
	files := checkpointFiles()
	h := newFakeHub(t, files)
	if _, err := pullNow(t, PullOptions{}); !errors.Is(err, ErrNoConverter) {
		t.Fatalf("without a converter: %v", err)
	}
	broken := errors.New("broken")
	var got []string
	model := fakeModel(t, 5000, 3)
	convert := func(fail error) func(context.Context, string, string) error {
		return func(_ context.Context, dir, out string) error {
			got = nil
			if filepath.Base(dir) != "m" {
				t.Errorf("the checkpoint's folder is %s", dir)
			}
			entries, err := os.ReadDir(dir)
			if err != nil {
				return err
			}
			for _, e := range entries {
				got = append(got, e.Name())
				data, err := os.ReadFile(filepath.Join(dir, e.Name()))
				if err != nil {
					return err
				}
				if string(data) != string(files[e.Name()]) {
					t.Errorf("%s differs", e.Name())
				}
			}
			if fail != nil {
				return fail
			}
			return os.WriteFile(out, model, 0o666)
		}
	}
	if _, err := pullNow(t, PullOptions{Convert: convert(broken)}); !errors.Is(err, broken) || !strings.Contains(err.Error(), ".partial") {
		t.Fatalf("a conversion that fails: %v", err)
	}
	expectNoModel(t)
	if _, err := Resolve("m"); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "not complete") {
		t.Errorf("Resolve of an unfinished download: %v", err)
	}
	want := []string{"README.md", "config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", indexFile, "tokenizer.json"}
	if !slices.Equal(got, want) {
		t.Errorf("the checkpoint holds %v, want %v", got, want)
	}
	before := h.count("/blob/")
	p, err := pullNow(t, PullOptions{Convert: convert(nil), Variant: "i2_s/f16"})
	if err != nil {
		t.Fatal(err)
	}
	if h.count("/blob/") != before || p.Transferred != 0 {
		t.Error("files that were there were downloaded again")
	}
	expectStored(t, "m", model)
	if !p.Manifest.Converted || p.Manifest.SHA256 != sha256Hex(model) || len(p.Manifest.Files) < 6 {
		t.Errorf("manifest %+v", p.Manifest)
	}
	if p, err = pullNow(t, PullOptions{Convert: convert(nil), Variant: "i2_s/f16"}); err != nil || !p.UpToDate {
		t.Errorf("again: %+v %v", p, err)
	}
	if p, err = pullNow(t, PullOptions{Convert: convert(nil), Variant: "tq2_0/f16", KeepCheckpoint: true}); err != nil || p.UpToDate {
		t.Errorf("another variant: %+v %v", p, err)
	}
	if left := leftovers(t); !slices.Equal(left, []string{"m"}) {
		t.Errorf("left over: %v, want the checkpoint", left)
	}

	bad := func(change func(), want error) {
		t.Helper()
		h.mu.Lock()
		h.files = checkpointFiles()
		change()
		h.commit = strings.Repeat("c", 40)
		h.mu.Unlock()
		if _, err := pullNow(t, PullOptions{Name: "bad", Convert: convert(nil)}); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	bad(func() { h.files[indexFile] = []byte("[]") }, ErrRemote)
	bad(func() { delete(h.files, "model-00002-of-00002.safetensors") }, ErrRemote)
	bad(func() { delete(h.files, "config.json") }, ErrRemote)
	bad(func() { h.files["CONFIG.json"] = nil; h.files["Model-00001-of-00002.safetensors"] = nil }, ErrUnsafePath)
	bad(func() { h.files = map[string][]byte{"config.json": nil, "pytorch_model.bin": nil} }, ErrRemote)
}

// TestPullSplit: the parts of a split model become one file.
func TestPullSplit(t *testing.T) {
	part := func(i int) []byte { return splitPart(t, i, 2) }
	newFakeHub(t, map[string][]byte{"q/big-00001-of-00002.gguf": part(0), "q/big-00002-of-00002.gguf": part(1)})
	p, err := pullNow(t, PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	d, err := Describe(&p.Model)
	if err != nil || d.Parameters != 64 {
		t.Errorf("%+v %v", d, err)
	}
	if left := leftovers(t); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

func TestChoose(t *testing.T) {
	for _, test := range []struct {
		files, want, got string
		err              error
	}{
		{"a.gguf", "", "a.gguf", nil},
		{"a.gguf b.txt", "a", "a.gguf", nil},
		{"d/a.gguf e/b.gguf", "e/b.gguf", "e/b.gguf", nil},
		{"d/a.gguf e/b.gguf", "B.GGUF", "e/b.gguf", nil},
		{"d/a.gguf e/a.gguf", "a.gguf", "", ErrAmbiguous},
		{"x-q4_k.gguf x-q4_k_m.gguf", "Q4_K", "x-q4_k.gguf", nil},
		{"x-q4_k_m.gguf", "q4_k", "", ErrRemote},
		{"m-i2_s.gguf m-f16.gguf", "", "m-i2_s.gguf", nil},
		{"m-tq1_0.gguf m-tq2_0.gguf", "", "m-tq2_0.gguf", nil},
		{"m-q8_0.gguf m-f16.gguf", "", "", ErrAmbiguous},
		{"m-i2_s.gguf n-i2_s.gguf", "i2_s", "", ErrAmbiguous},
		{"m-F16.gguf m-PTQ1_0.gguf m-PQ2_0.gguf m-mmproj-Q8_0.gguf", "", "m-PTQ1_0.gguf", nil},
		{"m-F16.gguf m-PQ2_0.gguf m-Q2_0.gguf m-Q2_0_g64.gguf", "", "m-PQ2_0.gguf", nil},
		{"m-F16.gguf m-Q2_0.gguf m-Q2_0_g64.gguf", "", "m-Q2_0.gguf", nil},
		{"m-PQ2_0.gguf m-Q2_0_g64.gguf m-Q2_0.gguf", "q2_0", "m-Q2_0.gguf", nil},
		{"a-00001-of-00002.gguf a-00002-of-00002.gguf", "", "a-00001-of-00002.gguf", nil},
		{"a-00001-of-00003.gguf a-00002-of-00003.gguf", "", "", ErrRemote},
		{"a.gguf model.safetensors config.json", "", "a.gguf", nil},
		{"a.gguf model.safetensors config.json", "safetensors", "config.json", nil},
		{"a.gguf", "safetensors", "", ErrRemote},
		{"model.safetensors config.json", "i2_s", "", ErrRemote},
		{"README.md", "", "", ErrRemote},
	} {
		r := &repository{name: "org/repo"}
		for _, f := range strings.Fields(test.files) {
			r.files = append(r.files, remoteFile{path: f})
		}
		s, err := r.choose(test.want)
		if !errors.Is(err, test.err) {
			t.Errorf("%q of %s: %v, want %v", test.want, test.files, err, test.err)
			continue
		}
		if err == nil {
			var first []string
			for _, f := range s.files() {
				first = append(first, f.path)
			}
			slices.Sort(first)
			if first[0] != test.got {
				t.Errorf("%q of %s: %v, want %s", test.want, test.files, first, test.got)
			}
		}
	}
}

// TestServerErrors: what a server says no with.
func TestServerErrors(t *testing.T) {
	answer := func(status int, header ...string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(status)
			return true
		}
	}
	for _, test := range []struct {
		name     string
		onHome   func(http.ResponseWriter, *http.Request) bool
		want     error
		mentions string
		requests int
	}{
		{"gated", answer(403, "X-Error-Code", "GatedRepo", "X-Error-Message", "Access to model org/repo is restricted"), ErrAccess, "terms", 1},
		{"colours", func(w http.ResponseWriter, r *http.Request) bool {
			w.WriteHeader(400)
			fmt.Fprint(w, `{"error":"\u001b[31mred\u0007"}`)
			return true
		}, ErrServer, "red", 1},
		{"not there", answer(404, "X-Error-Code", "RepoNotFound"), ErrRemote, "spelling", 1},
		{"broken", answer(500), ErrServer, "500", 6},
		{"overloaded", answer(503), ErrServer, "503", 6},
		{"too long a wait", answer(429, "Retry-After", "86400"), ErrServer, "too many requests", 1},
		{"teapot", answer(418), ErrServer, "418", 1},
		{"redirect to nowhere", answer(302), ErrServer, "nowhere", 1},
		{"redirect to a file", answer(302, "Location", "file:///etc/passwd"), ErrServer, "not a web address", 1},
		{"redirect loop", answer(302, "Location", "/api"), ErrServer, "redirects", 10},
		{"a web page", func(w http.ResponseWriter, r *http.Request) bool { fmt.Fprint(w, "<html>Log in</html>"); return true }, ErrServer, "something else", 1},
		{"no content", answer(200), ErrServer, "something else", 1},
	} {
		h := newFakeHub(t, map[string][]byte{"model.gguf": nil})
		h.answerHome(test.onHome)
		_, err := pullNow(t, PullOptions{})
		if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.mentions) {
			t.Errorf("%s: %v", test.name, err)
		}
		if err != nil && strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%s: control characters reach the terminal: %q", test.name, err)
		}
		if len(h.requests) != test.requests {
			t.Errorf("%s: %d requests, want %d", test.name, len(h.requests), test.requests)
		}
		expectNoModel(t)
		if left := leftovers(t); len(left) > 0 {
			t.Errorf("%s left %v", test.name, left)
		}
	}
}

func TestUnsafePaths(t *testing.T) {
	for _, path := range []string{"../model.gguf", "a/../../model.gguf", "/etc/model.gguf", `..\model.gguf`, `C:\model.gguf`, "C:model.gguf", "a//b.gguf", "./a.gguf", "nul.gguf", "a/CON", "a\x00.gguf", "x./y.gguf", ""} {
		h := newFakeHub(t, map[string][]byte{"ok.gguf": fakeModel(t, 100, 1), path: fakeModel(t, 100, 2)})
		if _, err := pullNow(t, PullOptions{}); !errors.Is(err, ErrUnsafePath) {
			t.Errorf("%q: %v", path, err)
		}
		if h.count("resolve") > 0 {
			t.Errorf("%q: something was downloaded", path)
		}
		expectNoModel(t)
	}
}

// TestCatalogueChecksum: a file that differs from the catalogue's is refused.
func TestCatalogueChecksum(t *testing.T) {
	h := newFakeHub(t, nil)
	h.answerHome(func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case strings.Contains(r.URL.Path, "/revision/"):
			json.NewEncoder(w).Encode(map[string]any{"sha": h.commit})
		default:
			json.NewEncoder(w).Encode([]map[string]any{{"type": "file", "path": "ggml-model-i2_s.gguf", "size": 5, "lfs": map[string]any{"oid": strings.Repeat("0", 64), "size": 5}}})
		}
		return true
	})
	if _, err := pull(t.Context(), "bitnet-2b-4t", PullOptions{}, fastTuning()); !errors.Is(err, ErrChecksum) || !strings.Contains(err.Error(), "catalogue") {
		t.Error(err)
	}
	if h.requests[0].path != "/api/models/microsoft/bitnet-b1.58-2B-4T-gguf/revision/main" {
		t.Errorf("asked for %s", h.requests[0].path)
	}
}

// TestMirror: a server that speaks the listing and nothing more.
func TestMirror(t *testing.T) {
	model := fakeModel(t, 1000, 1)
	h := newFakeHub(t, map[string][]byte{"model.gguf": model})
	h.commit = "main"
	h.answerHome(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/revision/") {
			http.NotFound(w, r)
			return true
		}
		return false
	})
	if _, err := pullNow(t, PullOptions{}); err != nil {
		t.Fatal(err)
	}
	expectStored(t, "m", model)
}

func TestOffline(t *testing.T) {
	h := newFakeHub(t, nil)
	h.home.Close()
	_, err := pullNow(t, PullOptions{})
	if !errors.Is(err, ErrOffline) || !strings.Contains(err.Error(), "online") {
		t.Errorf("a closed port: %v", err)
	}
	t.Setenv("HF_HUB_OFFLINE", "1")
	if _, err := pullNow(t, PullOptions{}); !errors.Is(err, ErrOffline) || !strings.Contains(err.Error(), "HF_HUB_OFFLINE") {
		t.Errorf("HF_HUB_OFFLINE: %v", err)
	}
}
