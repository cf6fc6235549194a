package hub

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// demoFile returns the demo model, which a file of package hub_test imports.
func demoFile(t *testing.T) []byte {
	t.Helper()
	file, err := embeddedFile(Demo)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// withEmbedded gives the test other embedded models.
func withEmbedded(t *testing.T, models ...embeddedModel) {
	t.Helper()
	embedded.Lock()
	before := embedded.models
	embedded.models = models
	embedded.Unlock()
	t.Cleanup(func() {
		embedded.Lock()
		embedded.models = before
		embedded.Unlock()
	})
}

// TestNoDemo: who asks for the demo in a program without it learns what to import.
func TestNoDemo(t *testing.T) {
	t.Setenv(HomeEnv, t.TempDir())
	m, err := Resolve(Demo)
	if err != nil {
		t.Fatal(err)
	}
	withEmbedded(t)
	_, resolved := Resolve("Demo")
	_, opened := m.Open()
	_, copied := Copy(t.Context(), Demo, "mine", false)
	for name, err := range map[string]error{"Resolve": resolved, "Open": opened, "Copy": copied} {
		if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), `import _ "`) || !strings.Contains(err.Error(), `/demo"`) {
			t.Errorf("%s: %v", name, err)
		}
	}
	models, err := List()
	if err != nil || len(models) != 0 {
		t.Errorf("there are the models %v, %v", models, err)
	}
	if err := checkName(Demo); !errors.Is(err, ErrName) {
		t.Errorf("the name %q of another program's model is free: %v", Demo, err)
	}
}

func TestEmbed(t *testing.T) {
	file := demoFile(t)
	withEmbedded(t)
	t.Setenv(HomeEnv, t.TempDir())
	Embed("Small-1", "of our own", file)
	m, err := Resolve("small-1")
	if err != nil || m.Name != "Small-1" || m.Source != Embedded || m.Description != "of our own" {
		t.Fatalf("%+v, %v", m, err)
	}
	f, err := m.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if len(f.Tensors) == 0 {
		t.Error("the model has no tensors")
	}
	models, err := List()
	if err != nil || !slices.ContainsFunc(models, func(m Model) bool { return m.Name == "Small-1" }) {
		t.Errorf("the list is %v, %v", models, err)
	}
	if _, err := Remove("small-1"); !errors.Is(err, ErrProtected) {
		t.Errorf("Remove: %v", err)
	}
	if err := checkName("SMALL-1"); !errors.Is(err, ErrName) {
		t.Errorf("the name is free: %v", err)
	}
	withEmbedded(t, embeddedModel{name: "cut", file: []byte{0x1f, 0x8b, 8}}, embeddedModel{name: "text", file: []byte("text")})
	for _, name := range []string{"cut", "text"} {
		if _, err := (&Model{Name: name, Source: Embedded}).Open(); err == nil || name == "cut" && !errors.Is(err, ErrNotModel) {
			t.Errorf("%s: %v", name, err)
		}
	}
	withEmbedded(t, embeddedModel{name: "small-1"})
	for _, name := range []string{"", "a/b", "small-1"} {
		func() {
			defer func() {
				if text, _ := recover().(string); !strings.Contains(text, `"`+name+`"`) {
					t.Errorf("Embed(%q) panics with %q", name, text)
				}
			}()
			Embed(name, "", file)
		}()
	}
}
