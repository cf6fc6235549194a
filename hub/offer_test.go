package hub

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestConfirm: before a download its size, licence and header are known, and an error stops it.
func TestConfirm(t *testing.T) {
	model, err := os.ReadFile(filepath.Join("..", "demo", "demo.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	h := newFakeHub(t, map[string][]byte{"demo.gguf": model})
	refusal := errors.New("not that one")
	asked := 0
	o := PullOptions{Confirm: func(ctx context.Context, o *Offer) error {
		asked++
		if o.Name != "repo" || o.Size != int64(len(model)) || o.License != "mit" || o.Entry != nil {
			t.Errorf("offered: %+v", o)
		}
		f, err := o.Header(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if name, err := f.Metadata.String("general.architecture"); name != "bitnet-b1.58" || len(f.Tensors) < 10 {
			t.Errorf("architecture %q (%v), %d tensors", name, err, len(f.Tensors))
		}
		return errors.Join(refusal, f.Close())
	}}
	if _, err := pull(t.Context(), "hf:org/repo", o, fastTuning()); !errors.Is(err, refusal) {
		t.Errorf("error: %v", err)
	}
	if n := h.count("/blob/"); asked != 1 || n != 1 {
		t.Errorf("asked %d times; %d requests for the file, want 1 for its header", asked, n)
	}
	if m, err := stored("repo"); m != nil || err != nil {
		t.Errorf("the store has %v, %v", m, err)
	}

	o.Confirm = func(context.Context, *Offer) error { asked++; return nil }
	for range 2 { // what is up to date is no question
		if _, err := pull(t.Context(), "hf:org/repo", o, fastTuning()); err != nil || asked != 2 {
			t.Errorf("error %v, asked %d times", err, asked)
		}
	}
}

// TestNoHeader: where the header cannot be read beforehand the error says so, and the download goes on.
func TestNoHeader(t *testing.T) {
	h := newFakeHub(t, map[string][]byte{"bad.gguf": []byte(strings.Repeat("no model ", 1000))})
	check := func(want func(error) bool) PullOptions {
		return PullOptions{Name: "x", Confirm: func(ctx context.Context, o *Offer) error {
			if _, err := o.Header(ctx); !want(err) {
				t.Errorf("error of the header: %v", err)
			}
			return nil
		}}
	}
	if _, err := pull(t.Context(), "hf:org/repo", check(func(err error) bool { return err != nil }), fastTuning()); !errors.Is(err, ErrNotModel) {
		t.Errorf("error: %v", err)
	}
	h.answerCDN(func(w http.ResponseWriter, _ *http.Request, content []byte) bool {
		_, err := w.Write(content) // never a part
		return err == nil
	})
	noHeader := func(err error) bool { return errors.Is(err, ErrNoHeader) }
	if _, err := pull(t.Context(), "hf:org/repo", check(noHeader), fastTuning()); !errors.Is(err, ErrNotModel) {
		t.Errorf("error: %v", err)
	}
}

// TestMeant: a name that nobody has is answered with those that are like it.
func TestMeant(t *testing.T) {
	newFakeHub(t, nil)
	for name, want := range map[string]string{
		"bitnet":               `is bitnet-2b-4t or `,
		"bitnet-2b":            `is bitnet-2b-4t or `,
		"Bonsai-8b:latest":     `"bonsai-8b" is not installed`,
		"bonsai-8bb":           `is bonsai-8b `,
		"llama3":               `is llama3-8b-1.58 meant?`,
		"dmeo":                 `is demo meant?`,
		"mistral":              `hub.Catalogue lists`,
		"x":                    `hub.Catalogue lists`,
		"ternary-bonsai-2-27c": `is ternary-bonsai-2-27b or `,
	} {
		if _, err := Resolve(name); !errors.Is(err, ErrNotFound) || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(want)) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	if m, err := Resolve("Demo:latest"); err != nil || m.Name != Demo {
		t.Errorf("demo with a tag: %v, %v", m, err)
	}
	if _, err := ParseRef("bonsai"); err == nil || !strings.Contains(err.Error(), "is bonsai-1.7b or bonsai-4b or bonsai-8b meant?") {
		t.Errorf("an address: %v", err)
	}
	for pair, want := range map[[2]string]int{{"", ""}: 0, {"abc", ""}: 3, {"", "ab"}: 2, {"kitten", "sitting"}: 3, {"same", "same"}: 0} {
		if got := distance(pair[0], pair[1]); got != want {
			t.Errorf("%q: %d, want %d", pair, got, want)
		}
	}
}
