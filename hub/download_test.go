package hub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"trit/internal/atomicfile"
)

// TestDroppedConnections: every answer breaks off at a random point.
func TestDroppedConnections(t *testing.T) {
	model := fakeModel(t, 600_000, 1)
	h := newFakeHub(t, map[string][]byte{"model.gguf": model})
	var random sync.Mutex
	r := rand.New(rand.NewPCG(1, 2))
	h.answerCDN(func(w http.ResponseWriter, req *http.Request, content []byte) bool {
		serveRange(w, req, content, func(w io.Writer, part []byte) {
			random.Lock()
			n := 2000 + r.IntN(len(part)+40_000)
			random.Unlock()
			if n < len(part) {
				w.Write(part[:n])
				panic(http.ErrAbortHandler)
			}
			w.Write(part)
		})
		return true
	})
	if _, err := pullNow(t, PullOptions{}); err != nil {
		t.Fatal(err)
	}
	expectStored(t, "m", model)
	if n := h.count("/blob/"); n < 12 {
		t.Errorf("only %d requests; nothing broke off", n)
	}
}

// TestBadBodies: servers that lie about what they send.
func TestBadBodies(t *testing.T) {
	model := fakeModel(t, 200_000, 1)
	bounds := func(r *http.Request) (from, to int) {
		fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to)
		return from, to + 1
	}
	partial := func(w http.ResponseWriter, from, to, total, length int, body []byte) bool {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, total))
		if length >= 0 {
			w.Header().Set("Content-Length", strconv.Itoa(length))
		}
		w.WriteHeader(http.StatusPartialContent)
		w.Write(body)
		return true
	}
	type handler func(w http.ResponseWriter, r *http.Request, content []byte) bool
	for _, test := range []struct {
		name  string
		onCDN handler
		want  error
	}{
		{"another total", func(w http.ResponseWriter, r *http.Request, c []byte) bool {
			from, to := bounds(r)
			return partial(w, from, to, len(c)+1, to-from, c[from:to])
		}, ErrSize},
		{"another place", func(w http.ResponseWriter, r *http.Request, c []byte) bool {
			from, to := bounds(r)
			return partial(w, from+1, to+1, len(c)+9999, to-from, c[from:to])
		}, ErrSize},
		{"another place, total unknown", func(w http.ResponseWriter, r *http.Request, c []byte) bool {
			from, to := bounds(r)
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/*", from+1, to))
			w.WriteHeader(http.StatusPartialContent)
			w.Write(c[from:to])
			return true
		}, ErrServer},
		{"a length that contradicts the range", func(w http.ResponseWriter, r *http.Request, c []byte) bool {
			from, to := bounds(r)
			return partial(w, from, to, len(c), to-from-7, c[from:to-7])
		}, ErrServer},
		{"more than announced", func(w http.ResponseWriter, r *http.Request, c []byte) bool {
			from, to := bounds(r)
			partial(w, from, to, len(c), -1, c[from:to])
			w.(http.Flusher).Flush()
			w.Write([]byte("more"))
			return true
		}, ErrSize},
		{"never the last byte", func(w http.ResponseWriter, r *http.Request, c []byte) bool {
			from, to := bounds(r)
			partial(w, from, to, len(c), -1, c[from:to-1])
			w.(http.Flusher).Flush()
			return true
		}, ErrServer},
		{"nonsense", func(w http.ResponseWriter, r *http.Request, c []byte) bool {
			w.Header().Set("Content-Range", "bytes 5-2/x")
			w.WriteHeader(http.StatusPartialContent)
			return true
		}, ErrServer},
		{"nothing", func(w http.ResponseWriter, r *http.Request, c []byte) bool {
			w.WriteHeader(http.StatusNoContent)
			return true
		}, ErrServer},
		{"wrong bytes", func(w http.ResponseWriter, r *http.Request, c []byte) bool {
			serveRange(w, r, c, func(w io.Writer, part []byte) { part = bytes.Clone(part); part[len(part)/2] ^= 1; w.Write(part) })
			return true
		}, ErrChecksum},
		{"the whole, too long", func(w http.ResponseWriter, r *http.Request, c []byte) bool {
			w.Write(c)
			w.Write([]byte("more"))
			return true
		}, ErrSize},
		{"the whole, too short", func(w http.ResponseWriter, r *http.Request, c []byte) bool {
			w.Header().Set("Content-Length", strconv.Itoa(len(c)-1))
			w.Write(c[:len(c)-1])
			return true
		}, ErrSize},
		{"denied for good", func(w http.ResponseWriter, r *http.Request, c []byte) bool {
			http.Error(w, "expired", http.StatusForbidden)
			return true
		}, ErrAccess},
		{"silence", func(w http.ResponseWriter, r *http.Request, c []byte) bool {
			from, to := bounds(r)
			partial(w, from, to, len(c), to-from, c[from:from+10])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return true
		}, ErrServer},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newFakeHub(t, map[string][]byte{"model.gguf": model})
			h.answerCDN(test.onCDN)
			tune := fastTuning()
			tune.stall = 100 * time.Millisecond
			_, err := pull(t.Context(), "hf:org/repo", PullOptions{Name: "m"}, tune)
			if !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error shows the query of a signed address: %v", err)
			}
			expectNoModel(t)
			left := leftovers(t)
			if worthless := test.want == ErrChecksum || test.want == ErrSize; worthless && len(left) > 0 {
				t.Errorf("left %v of a worthless download", left)
			}
			// The next time, with a server that has come to its senses, all is well.
			h.answerCDN(nil)
			if _, err := pullNow(t, PullOptions{}); err != nil {
				t.Fatal(err)
			}
			expectStored(t, "m", model)
		})
	}
}

// TestPassingTrouble: what a download survives.
func TestPassingTrouble(t *testing.T) {
	model := fakeModel(t, 300_000, 1)
	var n atomic.Int64
	for name, trouble := range map[string]func(w http.ResponseWriter, r *http.Request, c []byte) bool{
		"expired addresses": func(w http.ResponseWriter, r *http.Request, c []byte) bool {
			if n.Add(1)%3 == 0 {
				http.Error(w, "expired", http.StatusForbidden)
				return true
			}
			return false
		},
		"429": func(w http.ResponseWriter, r *http.Request, c []byte) bool {
			if n.Add(1) == 2 {
				w.Header().Set("Retry-After", "1")
				w.WriteHeader(http.StatusTooManyRequests)
				return true
			}
			return false
		},
		"silence": func(w http.ResponseWriter, r *http.Request, c []byte) bool {
			if n.Add(1) == 2 {
				<-r.Context().Done()
				return true
			}
			return false
		},
		"no ranges": func(w http.ResponseWriter, r *http.Request, c []byte) bool {
			w.Header().Set("Content-Length", strconv.Itoa(len(c)))
			if n.Add(1)%2 == 0 {
				w.Write(c[:len(c)/2])
				panic(http.ErrAbortHandler)
			}
			w.Write(c)
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			n.Store(0)
			h := newFakeHub(t, map[string][]byte{"model.gguf": model})
			h.answerCDN(trouble)
			tune := fastTuning()
			if name == "silence" {
				tune.stall = 100 * time.Millisecond
			}
			start := time.Now()
			if _, err := pull(t.Context(), "hf:org/repo", PullOptions{Name: "m"}, tune); err != nil {
				t.Fatal(err)
			}
			expectStored(t, "m", model)
			if d := time.Since(start); name == "429" && d < time.Second {
				t.Errorf("Retry-After: 1 was obeyed for %v", d)
			}
		})
	}
}

// TestURL: files that are not on a hub.
func TestURL(t *testing.T) {
	model := fakeModel(t, 300_000, 1)
	h := newFakeHub(t, map[string][]byte{"model.gguf": model})
	address := h.cdn.URL + "/blob/model.gguf?signature=secret"
	get := func(o PullOptions) (*Pulled, error) {
		if o.Name == "" {
			o.Name = "m"
		}
		return pull(t.Context(), address, o, fastTuning())
	}
	p, err := get(PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	expectStored(t, "m", model)
	if p.Manifest.Verified != VerifiedSize || p.Manifest.URL != h.cdn.URL+"/blob/model.gguf" {
		t.Errorf("manifest %+v", p.Manifest)
	}
	if p, err = get(PullOptions{}); err != nil || !p.UpToDate {
		t.Errorf("again: %+v %v", p, err)
	}
	if p, err = get(PullOptions{Name: "sum", SHA256: "sha256:" + strings.ToUpper(sha256Hex(model))}); err != nil || p.Manifest.Verified != VerifiedChecksum {
		t.Errorf("with a checksum: %+v %v", p, err)
	}
	if _, err = get(PullOptions{Name: "bad", SHA256: strings.Repeat("0", 64)}); !errors.Is(err, ErrChecksum) {
		t.Errorf("with a wrong checksum: %v", err)
	}

	// The file changes in the middle: the download begins anew with the new one.
	newer := fakeModel(t, 300_000, 2)
	var once sync.Once
	h.answerCDN(func(w http.ResponseWriter, r *http.Request, c []byte) bool {
		if r.Header.Get("Range") != "bytes=0-0" { // which is the probe
			once.Do(func() { h.mu.Lock(); h.files["model.gguf"] = newer; h.mu.Unlock() })
		}
		return false
	})
	if _, err = get(PullOptions{Name: "changing", Connections: 1}); err != nil {
		t.Fatal(err)
	}
	expectStored(t, "changing", newer)

	// A server without ranges and lengths.
	h.answerCDN(func(w http.ResponseWriter, r *http.Request, c []byte) bool {
		w.Write(c[:1000])
		w.(http.Flusher).Flush()
		w.Write(c[1000:])
		return true
	})
	if p, err = get(PullOptions{Name: "chunked"}); err != nil || p.Manifest.Verified != VerifiedFormat {
		t.Fatal(p, err)
	}
	expectStored(t, "chunked", newer)

	for name, body := range map[string]string{"page": "<html>not found</html>", "empty": "", "cut": string(model[:len(model)/2])} {
		h.answerCDN(func(w http.ResponseWriter, r *http.Request, c []byte) bool {
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader(body))
			return true
		})
		if _, err = get(PullOptions{Name: name}); !errors.Is(err, ErrNotModel) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(storePath(t, name+".gguf")); err == nil {
			t.Errorf("%s is in the store", name)
		}
	}
}

func TestRedirection(t *testing.T) {
	for _, test := range []struct {
		from, to, want string
	}{
		{"https://a/x", "/y", "https://a/y"},
		{"https://a/x", "https://b/y?z=1", "https://b/y?z=1"},
		{"http://a/x", "https://b/y", "https://b/y"},
		{"https://a/x", "http://a/x", ""},
		{"https://a/x", "ftp://a/x", ""},
		{"https://a/x", "", ""},
		{"https://a/x", "https://", ""},
	} {
		from, _ := url.Parse(test.from)
		got, err := redirection(from, &http.Response{StatusCode: 302, Header: http.Header{"Location": {test.to}}})
		if (err == nil) != (test.want != "") || err == nil && got.String() != test.want {
			t.Errorf("%s to %q: %v %v", test.from, test.to, got, err)
		}
	}
	a, _ := url.Parse("https://hub.example/x")
	for s, want := range map[string]bool{"https://HUB.example:443/y": true, "https://hub.example:444/": false, "http://hub.example/": false, "https://cdn.hub.example/": false, "https://hub.example.evil/": false} {
		b, _ := url.Parse(s)
		if sameOrigin(a, b) != want {
			t.Errorf("same origin %s: %v", s, !want)
		}
	}
}

// TestDamagedPart: what is on disk is not what the state says, as after a crash
// of the machine.
func TestDamagedPart(t *testing.T) {
	model := fakeModel(t, 300_000, 1)
	for name, damage := range map[string]func(part, state string) error{
		"zeros":    func(part, _ string) error { return os.WriteFile(part, make([]byte, len(model)), 0o666) },
		"short":    func(part, _ string) error { return os.Truncate(part, 10) },
		"no part":  func(part, _ string) error { return os.Remove(part) },
		"no state": func(_, state string) error { return os.Remove(state) },
		"bad state": func(_, state string) error {
			return os.WriteFile(state, []byte(`{"version":1,"segments":[[0,-5,9]]}`), 0o666)
		},
		"not a state": func(_, state string) error { return os.WriteFile(state, []byte("\x00\x00"), 0o666) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newFakeHub(t, map[string][]byte{"model.gguf": model})
			h.answerCDN(slowly)
			ctx, cancel := context.WithCancel(t.Context())
			_, err := pull(ctx, "hf:org/repo", PullOptions{Name: "m", Progress: func(p Progress) {
				if p.Done > 150_000 {
					cancel()
				}
			}}, fastTuning())
			cancel()
			if !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			path := storePath(t, ".partial/m~download.gguf")
			if err := damage(path+partSuffix, path+stateSuffix); err != nil {
				t.Fatal(err)
			}
			if _, err := pullNow(t, PullOptions{}); err != nil {
				t.Fatal(err)
			}
			expectStored(t, "m", model)
		})
	}
}

// fullDisk is a part file on a disk that has room for a number of bytes.
type fullDisk struct {
	partFile
	room *atomic.Int64
}

func (f fullDisk) WriteAt(b []byte, pos int64) (int, error) {
	if f.room.Add(-int64(len(b))) < 0 {
		return 0, &os.PathError{Op: "write", Path: "part", Err: diskFullError}
	}
	return f.partFile.WriteAt(b, pos)
}

func TestFullDisk(t *testing.T) {
	model := fakeModel(t, 300_000, 1)
	h := newFakeHub(t, map[string][]byte{"model.gguf": model})
	var room atomic.Int64
	room.Store(150_000)
	tune := fastTuning()
	tune.openPart = func(path string) (partFile, error) {
		f, err := openPart(path)
		return fullDisk{f, &room}, err
	}
	_, err := pull(t.Context(), "hf:org/repo", PullOptions{Name: "m"}, tune)
	if !errors.Is(err, ErrNoSpace) || !strings.Contains(err.Error(), "full") {
		t.Fatal(err)
	}
	expectNoModel(t)
	p, err := pullNow(t, PullOptions{}) // there is room again
	if err != nil {
		t.Fatal(err)
	}
	expectStored(t, "m", model)
	if p.Transferred >= int64(len(model)) {
		t.Error("what had come before the disk was full was fetched again")
	}

	tune = fastTuning()
	tune.freeSpace = func(string) (uint64, error) { return 1000, nil }
	before := h.count("/blob/")
	_, err = pull(t.Context(), "hf:org/repo", PullOptions{Name: "n"}, tune)
	if !errors.Is(err, ErrNoSpace) || !strings.Contains(err.Error(), HomeEnv) || h.count("/blob/") != before {
		t.Errorf("a disk that is too small: %v", err)
	}
	tune.freeSpace = func(string) (uint64, error) { return 0, errors.ErrUnsupported }
	if _, err = pull(t.Context(), "hf:org/repo", PullOptions{Name: "n"}, tune); err != nil {
		t.Errorf("where the system does not tell: %v", err)
	}
	if free, err := atomicfile.FreeSpace(t.TempDir()); err != nil && !errors.Is(err, errors.ErrUnsupported) || err == nil && free == 0 {
		t.Errorf("free space here: %d, %v", free, err)
	}
}

// TestReadOnlyStore: a store that cannot be written.
func TestReadOnlyStore(t *testing.T) {
	if runtime.GOOS == "windows" || os.Getuid() == 0 {
		t.Skip("needs permissions that hold")
	}
	newFakeHub(t, map[string][]byte{"model.gguf": fakeModel(t, 1000, 1)})
	home := os.Getenv(HomeEnv)
	if err := os.Chmod(home, 0o500); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(home, 0o700)
	if _, err := pullNow(t, PullOptions{}); !errors.Is(err, os.ErrPermission) {
		t.Error(err)
	}
}
