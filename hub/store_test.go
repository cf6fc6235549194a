package hub

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// newStore makes an empty store and hides the caller's models.
func newStore(t testing.TB) string {
	t.Helper()
	home := t.TempDir()
	t.Setenv(HomeEnv, home)
	t.Setenv(RegistryEnv, "")
	return home
}

func TestCopyAndRemove(t *testing.T) {
	newStore(t)
	ctx := t.Context()
	if _, err := Copy(ctx, Demo, "one", false); err != nil {
		t.Fatal(err)
	}
	expectStored(t, "one", demoFile(t))
	m, err := Copy(ctx, "one", "two", false)
	if err != nil {
		t.Fatal(err)
	}
	expectStored(t, "two", demoFile(t))
	d, err := Describe(m)
	if err != nil || d.Origin == nil || d.Origin.SHA256 != sha256Hex(demoFile(t)) || d.Origin.Copied != "one" || d.Source != Store {
		t.Fatalf("%+v %v", d, err)
	}
	file := filepath.Join(t.TempDir(), "file.gguf")
	model := fakeModel(t, 1000, 1)
	if err := os.WriteFile(file, model, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Copy(ctx, file, "two", false); !errors.Is(err, ErrExists) {
		t.Errorf("onto another model: %v", err)
	}
	if _, err := Copy(ctx, file, "TWO", true); !errors.Is(err, ErrExists) {
		t.Errorf("onto another model in another case: %v", err)
	}
	if _, err := Copy(ctx, file, "two", true); err != nil {
		t.Fatal(err)
	}
	expectStored(t, "two", model)
	expectStored(t, "one", demoFile(t)) // shared its bytes with two
	if _, err := Copy(ctx, "two", "two", true); !errors.Is(err, ErrExists) {
		t.Errorf("onto itself: %v", err)
	}
	for _, name := range []string{"", "demo", "a/b", "..", "x y"} {
		if _, err := Copy(ctx, file, name, false); !errors.Is(err, ErrName) {
			t.Errorf("to %q: %v", name, err)
		}
	}
	if _, err := Copy(ctx, "nobody", "x", false); !errors.Is(err, ErrNotFound) {
		t.Errorf("of nobody: %v", err)
	}
	if err := os.WriteFile(file, []byte("no model"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Copy(ctx, file, "x", false); err == nil {
		t.Error("a file that is no model was copied")
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := Copy(cancelled, Demo, "x", false); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if left := leftovers(t); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}

	r, err := Remove("TWO")
	if err != nil || r.Name != "two" || len(r.Files) != 2 || r.Bytes < int64(len(model)) {
		t.Errorf("%+v %v", r, err)
	}
	if _, err := Resolve("two"); !errors.Is(err, ErrNotFound) {
		t.Errorf("after the removal: %v", err)
	}
	for name, want := range map[string]error{"two": ErrNotFound, "demo": ErrProtected, "DEMO": ErrProtected, file: ErrProtected, "../x": ErrNotFound, "": ErrNotFound} {
		if _, err := Remove(name); !errors.Is(err, want) {
			t.Errorf("Remove(%q): %v, want %v", name, err, want)
		}
	}
}

// TestCopySplit: a model in several files becomes one.
func TestCopySplit(t *testing.T) {
	newStore(t)
	dir := t.TempDir()
	for i := range 2 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("x-%05d-of-00002.gguf", i+1)), splitPart(t, i, 2), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	m, err := Copy(t.Context(), filepath.Join(dir, "x-00001-of-00002.gguf"), "x", false)
	if err != nil {
		t.Fatal(err)
	}
	f, err := m.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if len(f.Tensors) != 2 || f.Parts != nil {
		t.Errorf("%d tensors, %d parts", len(f.Tensors), len(f.Parts))
	}
}

func TestRemoveRegistered(t *testing.T) {
	newStore(t)
	if _, err := Copy(t.Context(), Demo, "mine", false); err != nil {
		t.Fatal(err)
	}
	elsewhere := filepath.Join(t.TempDir(), "x.gguf")
	if err := os.WriteFile(elsewhere, demoFile(t), 0o666); err != nil {
		t.Fatal(err)
	}
	t.Setenv("BITNET_MODEL_SOME_MODEL", elsewhere)
	if _, err := Remove("some-model"); !errors.Is(err, ErrProtected) {
		t.Errorf("a registered name: %v", err)
	}
	t.Setenv("BITNET_MODEL_ALIAS", storePath(t, "mine.gguf"))
	if _, err := Remove("mine"); !errors.Is(err, ErrProtected) || !strings.Contains(err.Error(), "alias") {
		t.Errorf("a registered file: %v", err)
	}
	if _, err := os.Stat(storePath(t, "mine.gguf")); err != nil {
		t.Error(err)
	}
}

// TestRemoveInterrupted: what an unfinished download has left can be removed.
func TestRemoveInterrupted(t *testing.T) {
	h := newFakeHub(t, map[string][]byte{"model.gguf": fakeModel(t, 300_000, 1)})
	h.answerCDN(slowly)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := pull(ctx, "hf:org/repo", PullOptions{Name: "m", Progress: func(p Progress) {
		if p.Done > 100_000 {
			cancel()
		}
	}}, fastTuning())
	cancel()
	if !errors.Is(err, context.Canceled) || len(leftovers(t)) == 0 {
		t.Fatal(err)
	}
	if _, err := Resolve("m"); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "not complete") {
		t.Errorf("Resolve: %v", err)
	}
	r, err := Remove("m")
	if err != nil || r.Bytes == 0 {
		t.Errorf("%+v %v", r, err)
	}
	if left := leftovers(t); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

func TestResolve(t *testing.T) {
	home := newStore(t)
	registry := filepath.Join(home, "registry.json")
	file := filepath.Join(home, "file.gguf")
	if err := os.WriteFile(file, demoFile(t), 0o666); err != nil {
		t.Fatal(err)
	}
	write := func(s string) {
		t.Helper()
		if err := os.WriteFile(registry, []byte(s), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	write(`[{"name":"Listed","path":"file.gguf","description":"by list"},{"name":"gone","path":"/nowhere.gguf"},{"name":"demo"}]`)
	t.Setenv(RegistryEnv, registry)
	t.Setenv("BITNET_MODEL_MY_MODEL", file)
	if _, err := Copy(t.Context(), Demo, "stored", false); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]Source{"demo": Embedded, "Demo": Embedded, file: File, "my-model": Registry, "listed": Registry, "stored": Store, "STORED": Store} {
		m, err := Resolve(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if m.Source != want {
			t.Errorf("%s is from %s, want %s", name, m.Source, want)
		}
		if d, err := Describe(m); err != nil || d.Architecture != "bitnet-b1.58" || d.Type != "I2_S" || d.Parameters < 1_000_000 || d.Context != 512 || d.ChatTemplate == "" {
			t.Errorf("%s: %+v %v", name, d, err)
		}
	}
	for name, mentions := range map[string]string{
		"": "empty", "nobody": "known models", "x.gguf": "no file", "gone": "nowhere.gguf", "bitnet-2b-4t": `hub.Pull("bitnet-2b-4t")`,
		"hf:org/repo": `hub.Pull("hf:org/repo")`, "https://x/y.gguf": "hub.Pull", home: "folder",
	} {
		if _, err := Resolve(name); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), mentions) {
			t.Errorf("%q: %v, want a mention of %q", name, err, mentions)
		}
	}
	models, err := List()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range models {
		got = append(got, m.Name)
	}
	if want := []string{"demo", "my-model", "Listed", "gone", "stored"}; !slices.Equal(got, want) {
		t.Errorf("List: %v, want %v", got, want)
	}
	for _, bad := range []string{"", "{}", `[{"path":"x"}]`, `[{"name":"x"}]`} {
		write(bad)
		if _, err := List(); !errors.Is(err, ErrRegistry) {
			t.Errorf("registry %q: %v", bad, err)
		}
		if _, err := Remove("stored"); !errors.Is(err, ErrRegistry) {
			t.Errorf("Remove with the registry %q: %v", bad, err)
		}
	}
	t.Setenv(RegistryEnv, filepath.Join(home, "nowhere.json"))
	if _, err := Resolve("x"); !errors.Is(err, ErrRegistry) {
		t.Errorf("a registry that is not there: %v", err)
	}
}

// TestManifest: a manifest that does not belong to the file is ignored, and one
// that is damaged does not hide the model.
func TestManifest(t *testing.T) {
	newStore(t)
	m, err := Copy(t.Context(), Demo, "x", false)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.Path, fakeModel(t, 1000, 1), 0o666); err != nil {
		t.Fatal(err)
	}
	if d, err := Describe(m); err != nil || d.Origin != nil || d.License != "mit" {
		t.Errorf("%+v %v", d, err)
	}
	if err := os.WriteFile(storePath(t, "x.json"), []byte("{"), 0o666); err != nil {
		t.Fatal(err)
	}
	if found, err := Resolve("x"); err != nil || found.Description != "" {
		t.Errorf("%+v %v", found, err)
	}
	if _, err := Describe(m); err == nil {
		t.Error("a damaged manifest was not reported")
	}
	if _, err := Remove("x"); err != nil {
		t.Error(err)
	}
}

// TestDescribeBroken: a file that is no model has an error that names it.
func TestDescribeBroken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.gguf")
	if err := os.WriteFile(path, []byte("GGUF"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Describe(&Model{Name: "x", Path: path, Source: File}); err == nil || !strings.Contains(err.Error(), "x.gguf") {
		t.Error(err)
	}
}

func TestHome(t *testing.T) {
	t.Setenv(HomeEnv, "")
	if runtime.GOOS == "linux" {
		t.Setenv("XDG_CACHE_HOME", "/cache")
		if dir, err := Home(); err != nil || dir != "/cache/trit" {
			t.Error(dir, err)
		}
		t.Setenv("XDG_CACHE_HOME", "")
		t.Setenv("HOME", "")
		if _, err := Home(); err == nil || !strings.Contains(err.Error(), HomeEnv) {
			t.Error(err)
		}
		if models, err := List(); err != nil || models[0].Name != Demo {
			t.Errorf("without a store: %v %v", models, err)
		}
	}
}
