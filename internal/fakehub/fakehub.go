// Package fakehub is a Hugging Face hub for tests, and keeps tests from the real one.
package fakehub

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Isolate gives a test an empty store and no registry, by the environment variables
// that name them, and keeps it from the network.
func Isolate(t testing.TB, homeEnv, registryEnv string) {
	t.Helper()
	t.Setenv(homeEnv, t.TempDir())
	t.Setenv(registryEnv, "")
	t.Setenv("HF_ENDPOINT", "http://127.0.0.1:1")
	t.Setenv("HF_HOME", t.TempDir())
	for _, key := range []string{"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE"} {
		t.Setenv(key, "")
	}
}

// Serve is a hub with the repository org/repo, until the test ends.
func Serve(t testing.TB, files map[string][]byte) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, ok := strings.CutPrefix(r.URL.Path, "/org/repo/resolve/")
		switch {
		case strings.HasPrefix(r.URL.Path, "/api/models/org/repo/revision/"):
			answer(t, w, map[string]any{"sha": strings.Repeat("0", 40), "cardData": map[string]any{"license": "mit"}})
		case strings.HasPrefix(r.URL.Path, "/api/models/org/repo/tree/"):
			answer(t, w, tree(files))
		case ok:
			_, name, _ := strings.Cut(path, "/")
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(files[name]))
		default:
			w.Header().Set("X-Error-Code", "RepoNotFound")
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(server.Close)
	t.Setenv("HF_ENDPOINT", server.URL)
}

// tree lists files as the hub does.
func tree(files map[string][]byte) []map[string]any {
	var entries []map[string]any
	for name, data := range files {
		sum, blob := sha256.Sum256(data), sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(data)), data...))
		e := map[string]any{"type": "file", "path": name, "size": len(data), "oid": hex.EncodeToString(blob[:])}
		if strings.HasSuffix(name, ".safetensors") || strings.HasSuffix(name, ".gguf") {
			e["lfs"] = map[string]any{"oid": hex.EncodeToString(sum[:]), "size": len(data)}
		}
		entries = append(entries, e)
	}
	return entries
}

func answer(t testing.TB, w http.ResponseWriter, v any) {
	if err := json.NewEncoder(w).Encode(v); err != nil {
		t.Errorf("the fake hub cannot answer: %v", err)
	}
}
