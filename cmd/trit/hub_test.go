package main

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"trit/hub"
	"trit/internal/fixtures"
)

// runStore runs a command line like runTrit, in the store of the test.
func runStore(t testing.TB, args ...string) result {
	t.Helper()
	var out, errOut bytes.Buffer
	code := run(context.Background(), args, strings.NewReader(""), &out, &errOut)
	return result{code, out.String(), errOut.String()}
}

// newStore makes an empty store, and keeps commands from the network.
func newStore(t testing.TB) {
	t.Helper()
	t.Setenv(hub.HomeEnv, t.TempDir())
	t.Setenv(hub.RegistryEnv, "")
	t.Setenv("HF_ENDPOINT", "http://127.0.0.1:1")
	t.Setenv("HF_HOME", t.TempDir())
	for _, key := range []string{"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE"} {
		t.Setenv(key, "")
	}
}

// serveRepository is a hub with the repository org/repo.
func serveRepository(t testing.TB, files map[string][]byte) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, ok := strings.CutPrefix(r.URL.Path, "/org/repo/resolve/")
		switch {
		case strings.HasPrefix(r.URL.Path, "/api/models/org/repo/revision/"):
			json.NewEncoder(w).Encode(map[string]any{"sha": strings.Repeat("0", 40), "cardData": map[string]any{"license": "mit"}})
		case strings.HasPrefix(r.URL.Path, "/api/models/org/repo/tree/"):
			var entries []map[string]any
			for name, data := range files {
				sum, blob := sha256.Sum256(data), sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(data)), data...))
				e := map[string]any{"type": "file", "path": name, "size": len(data), "oid": hex.EncodeToString(blob[:])}
				if strings.HasSuffix(name, ".safetensors") || strings.HasSuffix(name, ".gguf") {
					e["lfs"] = map[string]any{"oid": hex.EncodeToString(sum[:]), "size": len(data)}
				}
				entries = append(entries, e)
			}
			json.NewEncoder(w).Encode(entries)
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

func demoFile(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "demo", "demo.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestPullShowCopyRemove leads a model through its life in the store.
func TestPullShowCopyRemove(t *testing.T) {
	newStore(t)
	serveRepository(t, map[string][]byte{"small-i2_s.gguf": demoFile(t)})
	runStore(t, "pull", "hf:org/repo").expect(t, exitOK, "repo: 2.3 MB", "checksum verified", "licence mit", "trit infer --model repo")
	runStore(t, "pull", "hf:org/repo").expect(t, exitOK, "up to date")
	runStore(t, "infer", "--model", "repo", "--prompt", "Once upon a time", "--greedy", "-n", "5").expect(t, exitOK, "there was")
	runStore(t, "show", "repo").expect(t, exitOK, "bitnet-b1.58", "I2_S", "hf:org/repo:small-i2_s.gguf", "verified by", "sha256")
	runStore(t, "show", "repo", "--template").expect(t, exitOK, "messages")
	runStore(t, "models").expect(t, exitOK, "repo", "store", "I2_S", "MB", "demo", "--catalogue")
	runStore(t, "cp", "repo", "twin").expect(t, exitOK, "twin")
	runStore(t, "cp", "demo", "twin").expect(t, exitFailed, "taken")
	runStore(t, "cp", "demo", "twin", "--force", "--json").expect(t, exitOK, `"source": "store"`)

	var pulled hub.Pulled
	r := runStore(t, "pull", "hf:org/repo:i2_s", "--name", "named", "--json")
	if err := json.Unmarshal([]byte(r.out), &pulled); err != nil || pulled.Manifest == nil || pulled.Manifest.Verified != hub.VerifiedChecksum || pulled.Name != "named" {
		t.Errorf("%v in %s%s", err, r.out, r.err)
	}
	var lines []modelInfoLine
	r = runStore(t, "models", "--json")
	if err := json.Unmarshal([]byte(r.out), &lines); err != nil || len(lines) != 4 || lines[1].Name != "named" || lines[1].Architecture != "bitnet-b1.58" {
		t.Errorf("%v in %s", err, r.out)
	}
	r = runStore(t, "show", "named", "--json")
	var d hub.Details
	if err := json.Unmarshal([]byte(r.out), &d); err != nil || d.Origin == nil || d.Origin.Repository != "org/repo" {
		t.Errorf("%v in %s", err, r.out)
	}

	runStore(t, "rm", "repo", "twin").expect(t, exitOK, "removed repo", "removed twin")
	runStore(t, "rm", "named", "demo").expect(t, exitFailed, "removed named", "built into")
	runStore(t, "rm", "nobody", "--json").expect(t, exitFailed, "nobody", "[]")
	runStore(t, "show", "repo").expect(t, exitFailed, "neither a file")
}

func TestCatalogueCommands(t *testing.T) {
	newStore(t)
	runStore(t, "models", "--catalogue").expect(t, exitOK, "bitnet-2b-4t", "falcon-llm-license", "trilm-3.9b", "trit pull NAME")
	r := runStore(t, "models", "--catalogue", "--json")
	var lines []entryLine
	if err := json.Unmarshal([]byte(r.out), &lines); err != nil || len(lines) < 20 || lines[0].Installed {
		t.Errorf("%v in %.300s", err, r.out)
	}
	runStore(t, "show", "bitnet-2b-4t").expect(t, exitOK, "not installed", "4096", "hf:microsoft/bitnet-b1.58-2B-4T-gguf", "trit pull bitnet-2b-4t")
	runStore(t, "show", "bitnet-2b-4t", "--json").expect(t, exitOK, `"installed": false`)
	runStore(t, "infer", "--model", "bitnet-2b-4t", "--prompt", "x").expect(t, exitFailed, "trit pull bitnet-2b-4t")
}

// TestPullConverts pulls a checkpoint and runs what it becomes.
func TestPullConverts(t *testing.T) {
	files := map[string][]byte{}
	for _, name := range []string{"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"} {
		data, err := os.ReadFile(fixtures.Path(t, "demo-model", name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = data
	}
	newStore(t)
	serveRepository(t, files)
	runStore(t, "pull", "hf:org/repo", "--name", "story").expect(t, exitOK, "converted", "checksum verified")
	runStore(t, "infer", "--model", "story", "--prompt", "Once upon a time", "--greedy", "-n", "7").expect(t, exitOK, "there was")
	runStore(t, "show", "story").expect(t, exitOK, "i2_s/f16", "story")
	runStore(t, "pull", "hf:org/repo", "--name", "story").expect(t, exitOK, "up to date")
	runStore(t, "pull", "hf:org/repo", "--name", "story", "--type", "tq2_0", "--embedding", "q8_0").expect(t, exitOK, "converted")
	runStore(t, "models").expect(t, exitOK, "TQ2_0")
}

func TestHubUsageErrors(t *testing.T) {
	newStore(t)
	for _, test := range []struct {
		args     []string
		mentions string
	}{
		{[]string{"pull"}, "--catalogue"},
		{[]string{"pull", "a", "b"}, `"b"`},
		{[]string{"pull", "x", "--type", "q99"}, "q99"},
		{[]string{"pull", "x", "--embedding", "q99"}, "q99"},
		{[]string{"pull", "x", "--connections", "0"}, "--connections"},
		{[]string{"rm"}, "store"},
		{[]string{"cp", "a"}, "two names"},
		{[]string{"show"}, "demo"},
		{[]string{"models", "x"}, `"x"`},
	} {
		runStore(t, test.args...).expect(t, exitUsage, test.mentions, "--help")
	}
	runStore(t, "pull", "no/such").expect(t, exitFailed, "hf:no/such")
	runStore(t, "pull", "nobody").expect(t, exitFailed, "--catalogue")
	runStore(t, "pull", "hf:org/repo").expect(t, exitFailed, "online")
	serveRepository(t, nil)
	runStore(t, "pull", "hf:org/other").expect(t, exitFailed, "spelling")
	runStore(t, "show", "demo", "extra").expect(t, exitUsage, "extra")
}

// TestPullInterrupted says how to go on.
func TestPullInterrupted(t *testing.T) {
	newStore(t)
	serveRepository(t, map[string][]byte{"model.gguf": demoFile(t)})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var errOut bytes.Buffer
	if code := run(ctx, []string{"pull", "hf:org/repo"}, strings.NewReader(""), &bytes.Buffer{}, &errOut); code != exitInterrupted || !strings.Contains(errOut.String(), "same command") {
		t.Errorf("exit code %d, stderr %q", code, errOut.String())
	}
}

// TestHubCommandsHaveExamples: the help of each begins an example with its name.
func TestHubCommandsHaveExamples(t *testing.T) {
	a := &app{}
	for _, c := range []*cobra.Command{a.pullCommand(), a.rmCommand(), a.cpCommand(), a.showCommand(), a.modelsCommand()} {
		if !strings.Contains(c.Example, "trit "+c.Name()) || c.Short == "" || c.GroupID == "" {
			t.Errorf("%s: example %q", c.Name(), c.Example)
		}
	}
}
