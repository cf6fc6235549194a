package hub

import (
	"os"
	"path/filepath"
	"testing"
)

// FuzzRecords puts any bytes where manifests and the registry are read: the models beside them are found, or the file
// is named as damaged.
func FuzzRecords(f *testing.F) {
	for _, seed := range []string{
		`{"size":4,"source":"hf:a/b","license":"mit","files":[{"name":"x","sha256":"00"}]}`, `{"size":-1}`, `[]`, `null`,
		`{"models":{"x":{"path":"../../etc/passwd"}}}`, `{"x":{"path":"/dev/zero"}}`, `{"x":"y"}`, `{`,
	} {
		f.Add([]byte(seed))
	}
	home := f.TempDir()
	f.Setenv(HomeEnv, home)
	registry := filepath.Join(home, "registry.json")
	f.Setenv(RegistryEnv, registry)
	store, err := storeDir()
	if err != nil {
		f.Fatal(err)
	}
	if err := os.MkdirAll(store, 0o777); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for path, text := range map[string][]byte{
			filepath.Join(store, "x.gguf"): []byte("GGUF"), filepath.Join(store, "x.json"): data, registry: data,
		} {
			if err := os.WriteFile(path, text, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		models, err := List()
		if err == nil {
			for _, m := range models {
				if d, err := Describe(&m); err == nil && d == nil {
					t.Error("neither a description nor an error")
				}
			}
		}
		if m, err := Resolve("x"); err == nil && m.Path == "" {
			t.Errorf("%+v", m)
		}
	})
}
