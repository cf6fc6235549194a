package hub

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"trit/gguf"
)

func TestMain(m *testing.M) {
	if address := os.Getenv("TRIT_HUB_TEST_PULL"); address != "" {
		os.Exit(pullProcess(address))
	}
	goleak.VerifyTestMain(m)
}

// pullProcess is another process that pulls.
func pullProcess(address string) int {
	t := fastTuning()
	t.save = 5 * time.Millisecond
	if _, err := pull(context.Background(), address, PullOptions{Name: "m"}, t); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// fastTuning makes small files behave like large ones.
func fastTuning() tuning {
	t := defaultTuning()
	t.segment = 64 << 10
	t.progress = 1 << 10
	t.backoff, t.maxBackoff = time.Millisecond, 4*time.Millisecond
	t.maxWait = 3 * time.Second
	t.stall = 2 * time.Second
	t.save = 10 * time.Millisecond
	t.report = 0
	return t
}

// fakeHub speaks the protocol of the hub. Large files are redirected to a second
// host, as the real one does.
type fakeHub struct {
	t     testing.TB
	home  *httptest.Server
	cdn   *httptest.Server
	token string // wanted, if not empty

	mu       sync.Mutex
	commit   string
	license  string
	files    map[string][]byte // by path in the repository org/repo
	requests []request

	// onHome and onCDN may answer instead; they return true if they have.
	onHome func(w http.ResponseWriter, r *http.Request) bool
	onCDN  cdnHandler
}

type cdnHandler = func(w http.ResponseWriter, r *http.Request, content []byte) bool

// answerHome lets f answer for the endpoint.
func (h *fakeHub) answerHome(f func(w http.ResponseWriter, r *http.Request) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.onHome = f
}

// answerCDN lets f answer for the second host.
func (h *fakeHub) answerCDN(f cdnHandler) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.onCDN = f
}

// request is what is remembered of a request.
type request struct {
	host, path, auth, ranges string
}

func newFakeHub(t testing.TB, files map[string][]byte) *fakeHub {
	h := &fakeHub{t: t, files: files, commit: strings.Repeat("a1", 20), license: "mit"}
	h.home = httptest.NewServer(http.HandlerFunc(h.serveHome))
	h.cdn = httptest.NewServer(http.HandlerFunc(h.serveCDN))
	t.Cleanup(func() { h.home.Close(); h.cdn.Close() })
	t.Setenv("HF_ENDPOINT", h.home.URL)
	t.Setenv("HF_TOKEN", "")
	t.Setenv("HUGGING_FACE_HUB_TOKEN", "")
	t.Setenv("HF_HOME", t.TempDir())
	t.Setenv("HF_TOKEN_PATH", "")
	t.Setenv("HF_HUB_OFFLINE", "")
	t.Setenv(HomeEnv, t.TempDir())
	t.Setenv(RegistryEnv, "")
	return h
}

func (h *fakeHub) note(r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.requests = append(h.requests, request{r.Host, r.URL.Path, r.Header.Get("Authorization"), r.Header.Get("Range")})
}

// count returns how many requests for paths that contain s have come.
func (h *fakeHub) count(s string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, r := range h.requests {
		if strings.Contains(r.path, s) {
			n++
		}
	}
	return n
}

func isLarge(path string) bool {
	return strings.HasSuffix(path, ".gguf") || strings.HasSuffix(path, ".safetensors")
}

func sha256Hex(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }

func blobHex(b []byte) string {
	s := sha1.Sum(append([]byte(fmt.Sprintf("blob %d\x00", len(b))), b...))
	return hex.EncodeToString(s[:])
}

func (h *fakeHub) serveHome(w http.ResponseWriter, r *http.Request) {
	h.note(r)
	h.mu.Lock()
	instead := h.onHome
	h.mu.Unlock()
	if instead != nil && instead(w, r) {
		return
	}
	if h.token != "" && r.Header.Get("Authorization") != "Bearer "+h.token {
		w.Header().Set("X-Error-Code", "RepoNotFound")
		http.Error(w, `{"error":"Invalid username or password."}`, http.StatusUnauthorized)
		return
	}
	h.mu.Lock()
	commit, license := h.commit, h.license
	files := map[string][]byte{}
	for p, b := range h.files {
		files[p] = b
	}
	h.mu.Unlock()
	switch path := r.URL.Path; {
	case path == "/api/models/org/repo/revision/main" || path == "/api/models/org/repo/revision/"+commit:
		json.NewEncoder(w).Encode(map[string]any{"id": "org/repo", "sha": commit, "cardData": map[string]any{"license": license}})
	case path == "/api/models/org/repo/tree/"+commit:
		h.serveTree(w, r, files)
	case strings.HasPrefix(path, "/org/repo/resolve/"+commit+"/"):
		name := strings.TrimPrefix(path, "/org/repo/resolve/"+commit+"/")
		content, ok := files[name]
		if !ok {
			w.Header().Set("X-Error-Code", "EntryNotFound")
			http.Error(w, "", http.StatusNotFound)
			return
		}
		w.Header().Set("X-Repo-Commit", commit)
		if !isLarge(name) {
			w.Header().Set("ETag", `"`+blobHex(content)+`"`)
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
			return
		}
		w.Header().Set("X-Linked-Etag", `"`+sha256Hex(content)+`"`)
		w.Header().Set("X-Linked-Size", strconv.Itoa(len(content)))
		http.Redirect(w, r, h.cdn.URL+"/blob/"+url.PathEscape(name)+"?signature=secret", http.StatusFound)
	default:
		w.Header().Set("X-Error-Code", "RepoNotFound")
		http.Error(w, `{"error":"Repository not found"}`, http.StatusNotFound)
	}
}

// serveTree answers in pages of three entries.
func (h *fakeHub) serveTree(w http.ResponseWriter, r *http.Request, files map[string][]byte) {
	var paths []string
	for p := range files {
		paths = append(paths, p)
	}
	sort.Strings(paths)
	from, _ := strconv.Atoi(r.URL.Query().Get("cursor"))
	to := min(from+3, len(paths))
	if to < len(paths) {
		w.Header().Set("Link", fmt.Sprintf(`<%s%s?recursive=true&cursor=%d>; rel="next"`, h.home.URL, r.URL.Path, to))
	}
	entries := []map[string]any{{"type": "directory", "path": "folder", "oid": "x", "size": 0}}
	for _, p := range paths[from:to] {
		e := map[string]any{"type": "file", "path": p, "size": len(files[p]), "oid": blobHex(files[p])}
		if isLarge(p) {
			e["oid"] = blobHex([]byte("pointer"))
			e["lfs"] = map[string]any{"oid": sha256Hex(files[p]), "size": len(files[p]), "pointerSize": 134}
		}
		entries = append(entries, e)
	}
	json.NewEncoder(w).Encode(entries)
}

func (h *fakeHub) serveCDN(w http.ResponseWriter, r *http.Request) {
	h.note(r)
	if r.URL.Query().Get("signature") != "secret" {
		http.Error(w, "expired", http.StatusForbidden)
		return
	}
	h.mu.Lock()
	content, ok := h.files[strings.TrimPrefix(r.URL.Path, "/blob/")]
	instead := h.onCDN
	h.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	if instead != nil && instead(w, r, content) {
		return
	}
	w.Header().Set("ETag", `"cdn-`+blobHex(content)+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// serveRange is a plain server of ranges whose body body writes.
func serveRange(w http.ResponseWriter, r *http.Request, content []byte, body func(w io.Writer, part []byte)) {
	from, to := 0, len(content)
	if s := r.Header.Get("Range"); s != "" {
		fmt.Sscanf(s, "bytes=%d-%d", &from, &to)
		to++
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, len(content)))
	}
	w.Header().Set("Content-Length", strconv.Itoa(to-from))
	if r.Header.Get("Range") != "" {
		w.WriteHeader(http.StatusPartialContent)
	}
	body(w, content[from:to])
}

// fakeModel is a GGUF file of about the given size.
func fakeModel(t testing.TB, size int, seed uint64) []byte {
	t.Helper()
	meta := &gguf.Metadata{}
	for k, v := range map[string]any{
		"general.architecture": "bitnet-b1.58", "general.name": "Fake", "general.license": "mit", "bitnet-b1.58.context_length": uint32(4096),
		"bitnet-b1.58.block_count": uint32(1), "bitnet-b1.58.embedding_length": uint32(32), "tokenizer.ggml.model": "gpt2",
		"tokenizer.chat_template": "{{ messages }}", "bitnet-b1.58.vocab_size": uint32(4),
	} {
		if err := meta.Set(k, v); err != nil {
			t.Fatal(err)
		}
	}
	r := rand.New(rand.NewPCG(seed, 1))
	data := make([]byte, (size/256+1)*256)
	for i := 0; i < len(data); i += 4 {
		binary.LittleEndian.PutUint32(data[i:], r.Uint32())
	}
	embedding := make([]byte, 32*4*4)
	var b bytes.Buffer
	write := func(data []byte) func(io.Writer) error {
		return func(w io.Writer) error { _, err := w.Write(data); return err }
	}
	err := gguf.WriteTo(&b, meta, []gguf.TensorSpec{
		{Name: "token_embd.weight", Dims: []int64{32, 4}, Type: gguf.TypeF32, Write: write(embedding)},
		{Name: "blk.0.ffn_up.weight", Dims: []int64{128, int64(len(data) / 256)}, Type: gguf.TypeF16, Write: write(data)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// pullNow pulls org/repo as the model m.
func pullNow(t testing.TB, o PullOptions) (*Pulled, error) {
	t.Helper()
	if o.Name == "" {
		o.Name = "m"
	}
	return pull(t.Context(), "hf:org/repo", o, fastTuning())
}

// expectStored checks the content of a model of the store.
func expectStored(t testing.TB, name string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(storePath(t, name+".gguf"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("the model %s in the store is not what the server has (%d bytes, want %d)", name, len(got), len(want))
	}
	if left := leftovers(t); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

// expectNoModel checks that nothing has a final name.
func expectNoModel(t testing.TB) {
	t.Helper()
	entries, err := os.ReadDir(storePath(t, ""))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != ".partial" {
			t.Errorf("the store has %s after a failure", e.Name())
		}
	}
}

func storePath(t testing.TB, name string) string {
	t.Helper()
	dir, err := storeDir()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// leftovers lists what is in the folder of unfinished downloads.
func leftovers(t testing.TB) []string {
	t.Helper()
	entries, err := os.ReadDir(storePath(t, ".partial"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
