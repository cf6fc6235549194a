package hub

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"trit/chat"
)

func TestParseRef(t *testing.T) {
	for s, want := range map[string]struct {
		ref  Ref
		name string
	}{
		"hf:org/repo":                     {Ref{Repository: "org/repo"}, "repo"},
		"hf://org/repo":                   {Ref{Repository: "org/repo"}, "repo"},
		"hf:org/My-Model-GGUF":            {Ref{Repository: "org/My-Model-GGUF"}, "My-Model"},
		"hf:org/repo:i2_s":                {Ref{Repository: "org/repo", Select: "i2_s"}, "repo-i2_s"},
		"hf:org/repo@v1.0:a/b-x.gguf":     {Ref{Repository: "org/repo", Revision: "v1.0", Select: "a/b-x.gguf"}, "repo-b-x"},
		"hf:org/repo:repo-Q8_0.gguf":      {Ref{Repository: "org/repo", Select: "repo-Q8_0.gguf"}, "repo-Q8_0"},
		"hf:org/repo@refs/pr/1":           {Ref{Repository: "org/repo", Revision: "refs/pr/1"}, "repo"},
		"hf:org/repo:safetensors":         {Ref{Repository: "org/repo", Select: "safetensors"}, "repo"},
		"hf:o/r:x-00001-of-00003.gguf":    {Ref{Repository: "o/r", Select: "x-00001-of-00003.gguf"}, "r-x"},
		"https://host/a/My%20Model.gguf":  {Ref{URL: "https://host/a/My%20Model.gguf"}, "My-Model"},
		"http://127.0.0.1:1/x.gguf?a=b#c": {Ref{URL: "http://127.0.0.1:1/x.gguf?a=b#c"}, "x"},
		"https://host/":                   {Ref{URL: "https://host/"}, ""},
		"https://host":                    {Ref{URL: "https://host"}, ""},
	} {
		got, err := ParseRef(s)
		if err != nil || got != want.ref {
			t.Errorf("%s: %+v %v", s, got, err)
		}
		if got.Name() != want.name {
			t.Errorf("%s is called %q, want %q", s, got.Name(), want.name)
		}
	}
	for _, s := range []string{"", "nobody", "org/repo", "hf:", "hf:repo", "hf:org/", "hf:org/repo:", "hf:org/repo@", "hf:org/repo@../x", "hf:../repo",
		"hf:org/..", "hf:a/b/c", "hf:org/re po", "ftp://host/x", "https://", "http:///x", "hf:org/repo@a..b"} {
		if r, err := ParseRef(s); !errors.Is(err, ErrName) {
			t.Errorf("%q: %+v %v", s, r, err)
		}
	}
	if _, err := ParseRef("org/repo"); !strings.Contains(err.Error(), "hf:org/repo") {
		t.Errorf("no hint: %v", err)
	}
	if r, err := ParseRef("BitNet-2B-4T"); err != nil || r.Repository != "microsoft/bitnet-b1.58-2B-4T-gguf" || r.Name() != "bitnet-2b-4t" {
		t.Errorf("a name of the catalogue: %+v %v", r, err)
	}
}

func TestOnHub(t *testing.T) {
	endpoint, _ := url.Parse("https://hub.example/sub/")
	for s, want := range map[string]string{
		"https://hub.example/sub/org/repo":                                        "hf:org/repo",
		"https://hub.example/sub/org/repo/":                                       "hf:org/repo",
		"https://hub.example/sub/org/repo/resolve/main/d/x.gguf?download=true":    "hf:org/repo@main:d/x.gguf",
		"https://hub.example/sub/org/repo/blob/v1/x.gguf":                         "hf:org/repo@v1:x.gguf",
		"https://hub.example/sub/org/repo/tree/v1":                                "hf:org/repo@v1",
		"https://hub.example/org/repo":                                            "https://hub.example/org/repo",
		"https://hub.example/sub/org":                                             "https://hub.example/sub/org",
		"https://hub.example/sub/org/repo/resolve/main/x.gguf?token=secret":       "https://hub.example/sub/org/repo/resolve/main/x.gguf",
		"https://user:password@other.example/sub/org/repo/resolve/main/x.gguf#aa": "https://other.example/sub/org/repo/resolve/main/x.gguf",
	} {
		r, err := ParseRef(s)
		if err != nil {
			t.Fatal(s, err)
		}
		if got := r.onHub(endpoint).String(); got != want {
			t.Errorf("%s is %s, want %s", s, got, want)
		}
	}
}

// TestCatalogue checks what can be checked without a network.
func TestCatalogue(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range Catalogue() {
		if checkName(e.Name) != nil || e.Name != strings.ToLower(e.Name) || seen[e.Name] {
			t.Errorf("name %q", e.Name)
		}
		seen[e.Name] = true
		if source := e.Repository + ":" + e.File; !repositoryPattern.MatchString(e.Repository) || seen[source] {
			t.Errorf("%s: %q", e.Name, source)
		} else {
			seen[source] = true
		}
		if e.HiddenAct == "" || e.Activations == "" || e.Size == 0 && e.SHA256 != "" {
			t.Errorf("%s: activation %q, %q, %d bytes", e.Name, e.HiddenAct, e.Activations, e.Size)
		}
		if e.SHA256 != "" && (!sha256Pattern.MatchString(e.SHA256) || e.File == "") {
			t.Errorf("%s: checksum %q of %q", e.Name, e.SHA256, e.File)
		}
		if (e.Form == FormGGUF) != (e.File != "") || e.Architecture == "" || e.Parameters == 0 || e.Tokenizer == "" || e.Description == "" {
			t.Errorf("incomplete: %+v", e)
		}
		if e.Chat != "" && !slices.Contains(chat.BuiltinNames(), e.Chat) {
			t.Errorf("%s: there is no chat template %q", e.Name, e.Chat)
		}
		if r, err := ParseRef(e.Name); err != nil || r.Name() != e.Name {
			t.Errorf("%s: %+v %v", e.Name, r, err)
		}
	}
	if len(seen) < 90 {
		t.Errorf("%d entries", len(seen)/2)
	}
}

func TestToken(t *testing.T) {
	dir := t.TempDir()
	for _, key := range []string{"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HOME", "XDG_CACHE_HOME"} {
		t.Setenv(key, "")
	}
	t.Setenv("HOME", dir)
	t.Setenv("USERPROFILE", dir)
	want := func(token string) {
		t.Helper()
		if got, err := tokenFromEnvironment(); got != token || err != nil {
			t.Errorf("got %q, %v; want %q", got, err, token)
		}
	}
	put := func(token string, elem ...string) {
		t.Helper()
		path := filepath.Join(append([]string{dir}, elem...)...)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want("")
	put("home\n", ".cache", "huggingface", "token")
	want("home")
	put("xdg", "xdg", "huggingface", "token")
	t.Setenv("XDG_CACHE_HOME", filepath.Join(dir, "xdg"))
	want("xdg")
	put("hf", "hf", "token")
	t.Setenv("HF_HOME", filepath.Join(dir, "hf"))
	want("hf")
	put("path", "file")
	t.Setenv("HF_TOKEN_PATH", filepath.Join(dir, "file"))
	want("path")
	t.Setenv("HUGGING_FACE_HUB_TOKEN", "old")
	want("old")
	t.Setenv("HF_TOKEN", " new ")
	want("new")
}

func FuzzParseRef(f *testing.F) {
	for _, s := range []string{"bitnet-2b-4t", "hf:org/repo@v1:a/b.gguf", "https://u:p@host:1/x/y.gguf?q#f", "hf:../..", "hf:a/b:../../x", "http://[::1]/", "https://h/%2e%2e/x.gguf"} {
		f.Add(s)
	}
	endpoint, _ := url.Parse(DefaultEndpoint)
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRef(s)
		if err != nil {
			if !errors.Is(err, ErrName) {
				t.Errorf("%q: %v", s, err)
			}
			return
		}
		r = r.onHub(endpoint)
		if name := r.Name(); name != "" && cleanName(name) != name {
			t.Errorf("%q gives the name %q, which is not clean", s, name)
		} else if strings.ContainsAny(name, `/\:`) || strings.HasPrefix(name, ".") {
			t.Errorf("%q gives the name %q", s, name)
		}
		if r.Repository != "" && r.entry == nil {
			if again, err := ParseRef(r.String()); err != nil || again != r {
				t.Errorf("%q is shown as %q, which reads as %+v, %v", s, r, again, err)
			}
		}
	})
}

func FuzzFilePath(f *testing.F) {
	for _, s := range []string{"a.gguf", "a/b.gguf", "../x", "/x", `a\..\b`, "a/./b", "nul", "a/ /b", "a./b", "C:x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if checkFilePath(s) != nil {
			return
		}
		root := filepath.Join(string(filepath.Separator), "root", "folder")
		joined := filepath.Join(root, filepath.FromSlash(s))
		if !strings.HasPrefix(joined, root+string(filepath.Separator)) {
			t.Errorf("%q leads to %s", s, joined)
		}
	})
}

func FuzzState(f *testing.F) {
	for _, s := range []string{`{"version":1,"identity":"etag:x","size":10,"segments":[[0,5,5],[5,10,2]]}`, `{"segments":[[0]]}`, `[]`, ``,
		`{"version":1,"identity":"etag:x","size":10,"segments":[[0,9223372036854775807,9223372036854775807]]}`} {
		f.Add([]byte(s))
	}
	file := &remoteFile{size: 10, etag: "x"}
	f.Fuzz(func(t *testing.T, data []byte) {
		s := &state{}
		if json.Unmarshal(data, s) != nil || !s.fits(file, 10) {
			return
		}
		if n := s.done(); n < 0 || n > 10 {
			t.Errorf("%s promises %d bytes of 10", data, n)
		}
	})
}

func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"bytes 0-1/2", "bytes 5-4/9", "bytes 0-0/*", "bytes */5", "", "bytes 0-99999999999999999999/1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		first, last, total, err := contentRange(http.Header{"Content-Range": {s}})
		if err == nil && (first < 0 || last < first || total >= 0 && total <= last) {
			t.Errorf("%q is read as %d-%d/%d", s, first, last, total)
		}
	})
}

// FuzzListing feeds the hub's answers.
func FuzzListing(f *testing.F) {
	f.Add([]byte(`[{"type":"file","path":"a.gguf","size":3,"oid":"0000000000000000000000000000000000000000","lfs":{"oid":"` + strings.Repeat("0", 64) + `","size":3}}]`))
	f.Add([]byte(`[{"type":"file","path":"../a","size":-3,"lfs":{}}]`))
	f.Add([]byte(`{"error":"x"}`))
	endpoint, _ := url.Parse(DefaultEndpoint)
	f.Fuzz(func(t *testing.T, data []byte) {
		var entries []treeEntry
		if json.Unmarshal(data, &entries) != nil {
			return
		}
		r := &repository{name: "org/repo", commit: "main"}
		if err := (&client{endpoint: endpoint}).addEntries(r, entries); err != nil {
			return
		}
		for _, file := range r.files {
			if checkFilePath(file.path) != nil || file.size < 0 || !sameOrigin(file.url, endpoint) {
				t.Errorf("%+v", file)
			}
		}
		if s, err := r.choose(""); err == nil && len(s.files()) == 0 {
			t.Error("nothing was chosen without an error")
		}
	})
}
