package ollama

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"trit/hub"
	"trit/internal/fakehub"
	"trit/internal/fixtures"
	"trit/server/core"
	"trit/server/internal/servertest"
)

func TestOllamaProbes(t *testing.T) {
	w := servertest.NewWire(t, core.Options{}, Routes)
	w.Ask("HEAD", "/", nil).Into(200, nil)
	w.Ask("HEAD", "/api/version", nil).Into(200, nil)
	w.Ask("HEAD", "/api/tags", nil).Into(200, nil)
	var got struct{ Version string }
	w.Ask("GET", "/api/version", nil).Into(200, &got)
	if got.Version != version {
		t.Errorf("version %q", got.Version)
	}
}

func TestOllamaShow(t *testing.T) {
	w := servertest.NewWire(t, core.Options{}, Routes)
	var got shownModel
	w.Ask("POST", "/api/show", servertest.Object{"name": "demo:latest"}).Into(200, &got)
	if got.Details.Format != "gguf" || got.Details.Family != "bitnet-b1.58" || got.Details.QuantizationLevel != "I2_S" || got.Details.ParameterSize == "" {
		t.Errorf("%+v", got.Details)
	}
	if got.ModelInfo["general.architecture"] != "bitnet-b1.58" || got.ModelInfo["general.parameter_count"] == nil || got.ModelInfo["tokenizer.ggml.tokens"] != nil {
		t.Errorf("architecture %v, parameters %v", got.ModelInfo["general.architecture"], got.ModelInfo["general.parameter_count"])
	}
	if !slices.Contains(got.Capabilities, "completion") || !strings.Contains(got.Template, "messages") || got.ModifiedAt.IsZero() {
		t.Errorf("%+v", got)
	}
	w.Ask("POST", "/api/show", servertest.Object{"model": "demo", "verbose": true}).Into(200, &got)
	if list, ok := got.ModelInfo["tokenizer.ggml.tokens"].([]any); !ok || len(list) < 100 || len(got.Tensors) == 0 {
		t.Errorf("verbose leaves out the tokens or the tensors (%d)", len(got.Tensors))
	}
}

type listedModels struct{ Models []listedModel }

func (l *listedModels) names() []string {
	var names []string
	for _, m := range l.Models {
		names = append(names, m.Name)
	}
	return names
}

// TestOllamaStore leads a model through its life: pulled, listed, used,
// unloaded, copied, deleted.
func TestOllamaStore(t *testing.T) {
	w := servertest.NewWire(t, core.Options{AllowPull: true, AllowDelete: true, KeepAlive: time.Hour}, Routes)
	demo, err := os.ReadFile(filepath.Join("..", "..", "demo", "demo.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	fakehub.Serve(t, map[string][]byte{"small-i2_s.gguf": demo})

	said := servertest.Lines[pullLine](w.Ask("POST", "/api/pull", servertest.Object{"model": "hf.co/org/repo:latest"}))
	var statuses []string
	for _, line := range said {
		status, _, _ := strings.Cut(line.Status, " ")
		if !slices.Contains(statuses, status) {
			statuses = append(statuses, status)
		}
		if line.Completed > line.Total || line.Digest != "" && len(line.Digest) != len("sha256:")+64 {
			t.Errorf("%+v", line)
		}
	}
	if !slices.Equal(statuses, []string{"pulling", "verifying", "writing", "success"}) && !slices.Equal(statuses, []string{"pulling", "writing", "success"}) {
		t.Errorf("statuses %q", statuses)
	}
	if said[0].Status != "pulling manifest" || !slices.ContainsFunc(said, func(l pullLine) bool { return l.Total == int64(len(demo)) && l.Completed == l.Total }) {
		t.Errorf("%+v", said)
	}
	var status pullLine
	w.Ask("POST", "/api/pull", servertest.Object{"name": "hf:org/repo", "stream": false}).Into(200, &status)
	if status.Status != "success" {
		t.Errorf("%+v", status)
	}

	w.Ask("POST", "/api/pull", servertest.Object{"name": "demo:latest", "stream": false}).Into(200, &status)
	if said := servertest.Lines[pullLine](w.Ask("POST", "/api/pull", servertest.Object{"name": "demo"})); status.Status != "success" || said[len(said)-1].Status != "success" {
		t.Errorf("%+v, %+v", status, said)
	}

	var list listedModels
	w.Ask("GET", "/api/tags", nil).Into(200, &list)
	if !slices.Equal(list.names(), []string{"demo:latest", "repo:latest"}) || list.Models[1].Size != int64(len(demo)) || len(list.Models[1].Digest) != 64 {
		t.Errorf("%+v", list)
	}
	ask := func(keep any) {
		t.Helper()
		w.Ask("POST", "/api/generate", servertest.Object{"model": "repo", "prompt": "Hi", "stream": false, "keep_alive": keep, "options": servertest.Greedy(1)}).Into(200, nil)
	}
	var running struct{ Models []runningModel }
	expires := func(name string) time.Duration {
		t.Helper()
		w.Ask("GET", "/api/ps", nil).Into(200, &running)
		for _, m := range running.Models {
			if m.Name == name {
				if m.ContextLength == 0 || m.Size == 0 || m.Details.Family == "" {
					t.Errorf("%+v", m)
				}
				return time.Until(m.ExpiresAt)
			}
		}
		return 0
	}
	ask("10m")
	if d := expires("repo:latest"); d < 9*time.Minute || d > 10*time.Minute {
		t.Errorf("expires in %s", d)
	}
	ask(30)
	if d := expires("repo:latest"); d < 20*time.Second || d > 30*time.Second {
		t.Errorf("expires in %s", d)
	}
	ask(-1)
	if d := expires("repo:latest"); d < 1000*time.Hour {
		t.Errorf("expires in %s", d)
	}
	var done ollamaSeen
	w.Ask("POST", "/api/generate", servertest.Object{"model": "repo", "keep_alive": 0}).Into(200, &done)
	if done.DoneReason != "unload" || !done.Done {
		t.Errorf("%+v", done)
	}
	for deadline := time.Now().Add(5 * time.Second); expires("repo:latest") != 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the model is still loaded")
		}
	}
	// What is not loaded is not loaded to be unloaded.
	w.Ask("POST", "/api/generate", servertest.Object{"model": "repo", "keep_alive": 0}).Into(200, &done)
	if done.DoneReason != "unload" || expires("repo:latest") != 0 {
		t.Errorf("%+v", done)
	}
	w.Ask("POST", "/api/chat", servertest.Object{"model": "repo"}).Into(200, &done)
	if done.DoneReason != "load" || done.Message == nil || expires("repo:latest") == 0 {
		t.Errorf("%+v", done)
	}

	w.Ask("POST", "/api/copy", servertest.Object{"source": "repo:latest", "destination": "twin:latest"}).Into(200, nil)
	w.Ask("POST", "/api/copy", servertest.Object{"source": "repo", "destination": "twin"}).Into(200, nil)
	w.Ask("POST", "/api/copy", servertest.Object{"source": "nobody", "destination": "twin"}).Into(404, nil)
	w.Ask("POST", "/api/copy", servertest.Object{"source": "repo", "destination": "../x"}).Into(400, nil)
	w.Ask("POST", "/api/copy", servertest.Object{"source": "repo", "destination": "demo"}).Into(409, nil)
	w.Ask("POST", "/api/generate", servertest.Object{"model": "demo"}).Into(200, nil) // loads it, if it is not
	w.Ask("POST", "/api/copy", servertest.Object{"source": "repo", "destination": "demo"}).Into(409, nil)
	w.Ask("POST", "/api/generate", servertest.Object{"model": "twin", "prompt": "Hi", "stream": false, "options": servertest.Greedy(1)}).Into(200, nil)
	w.Ask("DELETE", "/api/delete", servertest.Object{"model": "repo:latest"}).Into(200, nil)
	w.Ask("DELETE", "/api/delete", servertest.Object{"name": "twin"}).Into(200, nil)
	w.Ask("DELETE", "/api/delete", servertest.Object{"model": "twin"}).Into(404, nil)
	w.Ask("DELETE", "/api/delete", servertest.Object{"model": "demo"}).Into(409, nil)
	w.Ask("GET", "/api/tags", nil).Into(200, &list)
	if !slices.Equal(list.names(), []string{"demo:latest"}) {
		t.Errorf("%+v", list)
	}
	// The server's own models stay loaded.
	w.Ask("POST", "/api/generate", servertest.Object{"model": "demo", "keep_alive": 0}).Into(200, &done)
	if done.DoneReason != "load" {
		t.Errorf("%+v", done)
	}
	for _, path := range []string{"/api/push", "/api/me", "/api/signout"} { // push asks for an account first
		var e errorLine
		w.Ask("POST", path, servertest.Object{"model": "x"}).Into(501, &e)
		if !strings.Contains(e.Error, "no accounts") || !strings.Contains(e.Error, "sent to nobody") {
			t.Errorf("%s: %+v", path, e)
		}
	}

	t.Run("errors", func(t *testing.T) {
		for name, want := range map[string]int{"hf:org/nobody": 404, "https://example.org/x.gguf": 400, "no such name": 400, "nosuch": 404, "nosuch:7b": 404, "": 400, "hf:": 400} {
			r := w.Ask("POST", "/api/pull", servertest.Object{"model": name, "stream": false})
			var e errorLine
			r.Into(want, &e)
			if said := "pull model manifest: file does not exist"; strings.HasPrefix(name, "nosuch") != strings.HasPrefix(e.Error, said) {
				t.Errorf("%s: %s", name, e.Error)
			}
		}
		said := servertest.Lines[ollamaSeen](w.Ask("POST", "/api/pull", servertest.Object{"model": "hf:org/nobody"}))
		if last := said[len(said)-1]; last.Error == "" {
			t.Errorf("%+v", said)
		}
	})
}

// TestOllamaPullConverts pulls a checkpoint that becomes a model here.
func TestOllamaPullConverts(t *testing.T) {
	files := map[string][]byte{}
	for _, name := range []string{"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"} {
		data, err := os.ReadFile(fixtures.Path(t, "demo-model", name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = data
	}
	w := servertest.NewWire(t, core.Options{AllowPull: true}, Routes)
	fakehub.Serve(t, files)
	said := servertest.Lines[pullLine](w.Ask("POST", "/api/pull", servertest.Object{"model": "hf:org/repo"}))
	if last := said[len(said)-1]; last.Status != "success" || !slices.ContainsFunc(said, func(l pullLine) bool { return l.Status == "converting" }) {
		t.Fatalf("%+v", said)
	}
	w.Ask("POST", "/api/generate", servertest.Object{"model": "repo", "prompt": "Hi", "stream": false, "options": servertest.Greedy(1)}).Into(200, nil)
}

// TestPullAddress checks what names of models to download stand for.
func TestPullAddress(t *testing.T) {
	for name, want := range map[string]string{
		"bitnet-2b-4t": "bitnet-2b-4t", "bitnet-2b-4t:latest": "bitnet-2b-4t", "hf:a/b": "hf:a/b", "hf.co/a/b": "hf:a/b",
		"hf.co/a/b:i2_s": "hf:a/b:i2_s", "huggingface.co/a/b:latest": "hf:a/b",
	} {
		if got, _, err := pullAddress(name); err != nil || got != want {
			t.Errorf("%q is %q, %v; want %q", name, got, err, want)
		}
	}
	for _, e := range hub.Catalogue() {
		if _, ref, err := pullAddress(e.Name + latest); err != nil || ref.Repository != e.Repository {
			t.Errorf("%s: %v, %v", e.Name, ref, err)
		}
	}
}
