package ollama

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"trit/chat"
	"trit/gguf"
	"trit/hub"
	"trit/server/core"
)

// TestReserve: what a conversation that is cut leaves to the answer, and how long that may be.
func TestReserve(t *testing.T) {
	for _, test := range []struct{ context, predict, prompt, reserve, bound int }{
		{100, 0, 90, 25, 10}, {100, 10, 50, 10, 10}, {100, 10, 95, 10, 5}, {100, 60, 99, 50, 1}, {100, 1, 100, 1, 0}, {100, 0, 101, 25, 0},
	} {
		g := generation{context: test.context, predict: test.predict}
		if got := g.reserve(); got != test.reserve {
			t.Errorf("%+v: %d are reserved", test, got)
		}
		if _, err := g.bound(test.prompt); (err == nil) != (test.bound > 0) {
			t.Errorf("%+v: %v", test, err)
		}
	}
}

func TestParameterSize(t *testing.T) {
	for n, want := range map[int64]string{999: "999", 1000: "1.0K", 1500: "1.5K", 999_949: "999.9K", 1e6: "1.00M", 2_500_000: "2.50M", 1e9: "1.0B", 2_400_000_000: "2.4B"} {
		if got := parameterSize(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}

// TestMetadataJSON: what JSON has no numbers for becomes text, also in lists, which are left
// out unless they are asked for.
func TestMetadataJSON(t *testing.T) {
	for _, test := range []struct {
		value any
		want  string
	}{
		{float32(0.5), "0.5"}, {float32(math.NaN()), `"NaN"`}, {float32(math.Inf(-1)), `"-Inf"`}, {math.NaN(), `"NaN"`}, {math.Inf(1), `"+Inf"`}, {0.25, "0.25"},
		{"x", `"x"`}, {int8(-3), "-3"}, {true, "true"}, {[]float32{1, float32(math.Inf(1))}, `[1,"+Inf"]`},
	} {
		v, err := gguf.NewValue(test.value)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := json.Marshal(metadataJSON(v, true)); err != nil || string(got) != test.want {
			t.Errorf("%v is %s, %v; want %s", test.value, got, err, test.want)
		}
		if got := metadataJSON(v, false); (got == nil) != strings.HasPrefix(test.want, "[") {
			t.Errorf("without lists %v is %v", test.value, got)
		}
	}
}

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{`"90s"`: 90 * time.Second, "0": 0, "0.5": time.Second / 2, "-3": -1, `"-2h"`: -1, "1e300": 1 << 33 * time.Second, "null": 0} {
		var d durationField
		if err := json.Unmarshal([]byte(text), &d); err != nil || d.Duration != want {
			t.Errorf("%s is %v, %v; want %v", text, d.Duration, err, want)
		}
	}
}

// TestSameFile: copies share their file; a model made of another one is more than its file.
func TestSameFile(t *testing.T) {
	dir := t.TempDir()
	model := func(name string, derived bool) *hub.Model {
		m := &hub.Model{Path: filepath.Join(dir, name)}
		if derived {
			m.Derived = new(hub.Derived)
		}
		return m
	}
	for _, name := range []string{"a", "b"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("same"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "link")); err != nil {
		t.Skip(err)
	}
	for _, test := range []struct {
		a, b               string
		derivedA, derivedB bool
		want               bool
	}{
		{a: "a", b: "a", want: true}, {a: "a", b: "link", want: true}, {a: "a", b: "b"}, {a: "a", b: "none"}, {a: "none", b: "a"},
		{a: "none", b: "none"}, {a: "a", b: "link", derivedA: true}, {a: "a", b: "link", derivedB: true},
	} {
		if got := sameFile(model(test.a, test.derivedA), model(test.b, test.derivedB)); got != test.want {
			t.Errorf("%+v: %v", test, got)
		}
	}
}

// TestToolCalls: calls are counted on from those before.
func TestToolCalls(t *testing.T) {
	got := newToolCalls([]chat.ToolCall{{ID: "call_a"}, {ID: "b"}}, 3)
	if len(got) != 2 || got[0].Function.Index != 3 || got[1].Function.Index != 4 || got[0].ID != "call_a" || got[1].ID != "call_b" {
		t.Errorf("%+v", got)
	}
}

// TestPullDigest: a file of the catalogue has its own checksum, other downloads have one of their address.
func TestPullDigest(t *testing.T) {
	known := 0
	for _, e := range hub.Catalogue() {
		got := pullDigest(e.Name+latest, "address")
		if e.SHA256 != "" {
			known++
			if got != e.SHA256 {
				t.Errorf("%s is %s, want %s", e.Name, got, e.SHA256)
			}
		} else if len(got) != 64 {
			t.Errorf("%s is %s", e.Name, got)
		}
	}
	if a, b := pullDigest("hf:a/b", "x"), pullDigest("hf:a/b", "y"); known == 0 || len(a) != 64 || a == b {
		t.Errorf("%d are known, others are %s and %s", known, a, b)
	}
}

// TestErrorText: clients look for the words about prompts that are too long.
func TestErrorText(t *testing.T) {
	if got := errorText(core.TooLong("", "shorten it", 7, 5)); got != "prompt too long; exceeded max context length: shorten it" {
		t.Error(got)
	}
	if got := errorText(&core.Error{Message: "wrong"}); got != "wrong" {
		t.Error(got)
	}
}
