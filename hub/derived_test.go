package hub

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"trit/chat"
)

func TestParseModelfile(t *testing.T) {
	got, err := ParseModelfile("\uFEFF# a fox\r\nfrom demo\r\n\r\nSYSTEM \"\"\"Be a fox.\r\nBe kind.\"\"\"\r\n" +
		"PARAMETER temperature 0.5\nPARAMETER stop \"<|end|>\"\nPARAMETER  stop two words \nparameter num_gpu 1\n" +
		"MESSAGE user Who are you?\nMESSAGE assistant \"\"\"A \"fox\".\"\"\"\nTEMPLATE {{ messages }}\n" +
		"LICENSE \"\"\"\"\nthree: \"\"\" quotes\"\"\"\"\nLICENSE MIT\nREQUIRES 0.14.0\n")
	want := &Derived{From: "demo", System: "Be a fox.\nBe kind.", Template: "{{ messages }}",
		Parameters: map[string]any{"temperature": 0.5, "stop": []string{"<|end|>", "two words"}, "num_gpu": 1.0},
		Messages:   []chat.Message{{Role: "user", Content: "Who are you?"}, {Role: "assistant", Content: `A "fox".`}},
		License:    []string{`three: """ quotes`, "MIT"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%v\n%+v\nwant\n%+v", err, got, want)
	}
	again, err := ParseModelfile(want.Modelfile())
	if err != nil || !reflect.DeepEqual(again, want) {
		t.Errorf("%v\n%+v\nof\n%s", err, again, want.Modelfile())
	}
	for text, says := range map[string]string{
		"":                                  "FROM is missing",
		"FROM":                              "line 1: FROM has no value",
		"FROM a\nFROM b":                    "line 2: a second FROM",
		"FROM a\n\nSYSTEM \"\"\"x\n":        "line 3: the quotes \"\"\" are not closed",
		"FROM a\nSYSTEM \"\"\"x\"\"\" y":    "line 2: behind the quotes of SYSTEM stands",
		"FROM a\nSYSTEM \"\"\"x\n\"\"\"\nX": "line 4: \"X\" is no command",
		"FROM a\nADAPTER x":                 "merge it",
		"FROM a\nRENDERER x":                "leave it out",
		"FROM a\nPARAMETER top_k":           "top_k has no value",
	} {
		if _, err := ParseModelfile(text); !errors.Is(err, ErrModelfile) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v; want %q", text, err, says)
		}
	}
}

func FuzzModelfile(f *testing.F) {
	for _, text := range []string{
		"FROM demo\nSYSTEM \"\"\"\na\n\"\"\"\nPARAMETER stop \"x\"\n", "FROM a\nMESSAGE user \"\"\"\"\n\"\"\"x\"\"\"\"\"\n",
		"FROM x\nSYSTEM \"a\nLICENSE \"\"\n#\nMESSAGE user\n", "FROM a\nPARAMETER seed 1e3\nPARAMETER use_mmap true\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseModelfile(text)
		if err != nil {
			if !errors.Is(err, ErrModelfile) {
				t.Fatal(err)
			}
			return
		}
		// Roles and names of parameters are words; which ones is for complete to say.
		if d.complete() != nil {
			return
		}
		again, err := ParseModelfile(d.Modelfile())
		if err == nil {
			err = again.complete()
		}
		if strings.Contains(text, "\r") { // ends of lines are made the same
			return
		}
		if err != nil || !reflect.DeepEqual(again, d) {
			t.Fatalf("%v\n%+v\n%+v\nof\n%s", err, d, again, d.Modelfile())
		}
	})
}

func TestCreate(t *testing.T) {
	home := newStore(t)
	m, err := Create(Derived{Name: "fox", From: "demo", System: "Be a fox.", Parameters: map[string]any{"top_k": 3.0, "stop": "x"}})
	if err != nil || m.Name != "fox" || m.Source != Store || m.Base().Name != Demo || m.Description != "from demo" {
		t.Fatalf("%+v %v", m, err)
	}
	if files, _ := filepath.Glob(filepath.Join(home, "models", "[a-z]*")); len(files) != 1 || filepath.Base(files[0]) != "fox.derived" {
		t.Errorf("the store has %q; want a description and no weights", files)
	}
	d, err := Describe(m)
	if err != nil || d.Architecture != "bitnet-b1.58" || d.Name != "fox" {
		t.Errorf("%+v %v", d, err)
	}
	// What is made of that takes over what it does not say itself, and hangs on the weights only.
	red, err := Create(Derived{Name: "red", From: "fox", Template: "{{ messages[0].content }}", Parameters: map[string]any{"top_k": 5.0}})
	if err != nil || red.Derived.From != Demo || red.Derived.System != "Be a fox." || red.Derived.Parameters["top_k"] != 5.0 ||
		!slices.Equal(red.Derived.Stops(), []string{"x"}) || red.Derived.Digest() == m.Derived.Digest() {
		t.Errorf("%+v %v", red.Derived, err)
	}
	if d, err := Describe(red); err != nil || d.ChatTemplate != red.Derived.Template {
		t.Errorf("%+v %v", d, err)
	}
	if _, err := Copy(t.Context(), "red", "crimson", false); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"fox", "red"} {
		if removed, err := Remove(name); err != nil || len(removed.Files) != 1 {
			t.Errorf("%+v %v", removed, err)
		}
	}
	if m, err := Resolve("crimson"); err != nil || m.Derived.Template != red.Derived.Template {
		t.Errorf("%+v %v", m, err)
	}
	if _, err := Copy(t.Context(), Demo, "weights", false); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(Derived{Name: "light", From: "weights", System: "x"}); err != nil {
		t.Error(err)
	}
	if _, err := Remove("weights"); !errors.Is(err, ErrBase) || !strings.Contains(err.Error(), "light") {
		t.Errorf("the weights of another model: %v", err)
	}
	if _, err := Create(Derived{Name: "weights", From: "demo", System: "x"}); !errors.Is(err, ErrExists) {
		t.Errorf("in place of weights: %v", err)
	}
	// A model may say of its own weights how they are used.
	if m, err := Create(Derived{Name: "weights", From: "weights", System: "y"}); err != nil || m.Derived.System != "y" || m.Path == "" {
		t.Errorf("%+v %v", m, err)
	}
	if err := os.Remove(filepath.Join(home, "models", "weights.gguf")); err != nil {
		t.Fatal(err)
	}
	if _, err := Resolve("light"); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), `"weights", which is not here`) {
		t.Errorf("without its weights: %v", err)
	}
	for says, d := range map[string]Derived{
		"Go template":     {Name: "a", From: "demo", Template: "{{ if .System }}{{ .System }}{{ end }}"},
		"TEMPLATE":        {Name: "a", From: "demo", Template: "{% for %}"},
		"role":            {Name: "a", From: "demo", Messages: []chat.Message{{Role: "tool"}}},
		"unknown":         {Name: "a", From: "demo", Parameters: map[string]any{"nonsense": 1.0}},
		"a number":        {Name: "a", From: "demo", Parameters: map[string]any{"top_p": "high"}},
		"whole number":    {Name: "a", From: "demo", Parameters: map[string]any{"num_ctx": 0.5}},
		"top_p":           {Name: "a", From: "demo", Parameters: map[string]any{"top_p": 2.0}},
		"up to 64 texts":  {Name: "a", From: "demo", Parameters: map[string]any{"stop": []any{""}}},
		"no such model":   {Name: "a", From: "nobody"},
		"embedded model":  {Name: "demo", From: "demo"},
		"want less than ": {Name: "a", From: "demo", System: strings.Repeat("x", maxRecord)},
	} {
		if _, err := Create(d); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v; want %q", err, says)
		}
	}
}

func TestBlobs(t *testing.T) {
	newStore(t)
	file := demoFile(t)
	digest := "sha256:" + sha256Hex(file)
	if has, err := HasBlob(digest); has || err != nil {
		t.Errorf("%v %v", has, err)
	}
	if _, err := CreateFromBlob(Derived{Name: "x"}, digest); !errors.Is(err, ErrNotFound) {
		t.Errorf("before it was sent: %v", err)
	}
	if err := PutBlob(t.Context(), digest, bytes.NewReader(file[:len(file)-1])); !errors.Is(err, ErrChecksum) {
		t.Errorf("a part: %v", err)
	}
	if err := PutBlob(t.Context(), digest, strings.NewReader("PK zip")); !errors.Is(err, ErrNotModel) {
		t.Errorf("another format: %v", err)
	}
	if err := PutBlob(t.Context(), "sha256:../x", bytes.NewReader(file)); !errors.Is(err, ErrName) {
		t.Errorf("a path: %v", err)
	}
	if err := PutBlob(t.Context(), digest, bytes.NewReader(file)); err != nil {
		t.Fatal(err)
	}
	if has, err := HasBlob(digest); !has || err != nil {
		t.Errorf("%v %v", has, err)
	}
	if m, err := CreateFromBlob(Derived{Name: "x"}, digest); err != nil || m.Derived != nil {
		t.Errorf("%+v %v", m, err)
	}
	expectStored(t, "x", file)
	// It is known still, and shared.
	m, err := CreateFromBlob(Derived{Name: "y", System: "z"}, digest)
	if err != nil || m.Derived.From != "x" || m.Derived.System != "z" {
		t.Errorf("%+v %v", m, err)
	}
	dir, _, _ := blobPath(digest)
	left, err := filepath.Glob(filepath.Join(filepath.Dir(dir), "blob~*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left over: %q %v", left, err)
	}
}
