package ollama

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"trit/server/core"
	"trit/server/internal/servertest"
)

// TestCreate makes models of the demo and uses them: they answer as the demo does that is told the same, and nothing
// but the demo is loaded.
func TestCreate(t *testing.T) {
	w := servertest.NewWire(t, core.Options{AllowPull: true, AllowDelete: true}, Routes)
	var said pullLine
	w.Ask("POST", "/api/create", servertest.Object{"model": "fox:latest", "from": "demo:latest", "system": "Be brief.", "stream": false,
		"parameters": servertest.Object{"temperature": 0, "num_predict": 7, "stop": []string{"zzz"}, "num_gpu": 1},
		"messages":   []servertest.Object{{"role": "user", "content": "Hello!"}, {"role": "assistant", "content": "Hi."}}}).Into(200, &said)
	if said.Status != "success" {
		t.Errorf("%+v", said)
	}
	lines := servertest.Lines[pullLine](w.Ask("POST", "/api/create", servertest.Object{"name": "old", "modelfile": "FROM fox\nSYSTEM Be loud.\nPARAMETER top_k 3"}))
	if n := len(lines); n < 2 || lines[n-1].Status != "success" {
		t.Errorf("%+v", lines)
	}

	greedy := servertest.Greedy(7)
	ask := func(model string, messages ...servertest.Object) (got ollamaSeen) {
		t.Helper()
		q := servertest.Object{"model": model, "stream": false, "messages": messages}
		if model == "demo" {
			q["options"] = greedy
		}
		w.Ask("POST", "/api/chat", q).Into(200, &got)
		return got
	}
	system, hello, hi := servertest.Object{"role": "system", "content": "Be brief."},
		servertest.Object{"role": "user", "content": "Hello!"}, servertest.Object{"role": "assistant", "content": "Hi."}
	question := servertest.Object{"role": "user", "content": "Who are you?"}
	for name, test := range map[string]struct{ made, plain []servertest.Object }{
		"what it begins with":    {[]servertest.Object{question}, []servertest.Object{system, hello, hi, question}},
		"another system message": {[]servertest.Object{{"role": "system", "content": "Be kind."}, question}, []servertest.Object{{"role": "system", "content": "Be kind."}, hello, hi, question}},
	} {
		got, want := ask("fox", test.made...), ask("demo", test.plain...)
		if got.Message.Content != want.Message.Content || got.PromptEvalCount != want.PromptEvalCount || got.EvalCount != 7 || got.DoneReason != "length" {
			t.Errorf("%s: %+v of %d tokens, want %+v of %d", name, got.Message, got.PromptEvalCount, want.Message, want.PromptEvalCount)
		}
	}
	var first, second ollamaSeen
	w.Ask("POST", "/api/generate", servertest.Object{"model": "fox", "prompt": "Who are you?", "stream": false}).Into(200, &first)
	if want := ask("fox", question); first.Response != want.Message.Content || first.PromptEvalCount != want.PromptEvalCount {
		t.Errorf("%+v, want %+v", first, want)
	}
	// What the context has already is not said again.
	w.Ask("POST", "/api/generate", servertest.Object{"model": "fox", "prompt": "And now?", "context": first.Context, "stream": false}).Into(200, &second)
	if n := second.PromptEvalCount - len(first.Context); n <= 0 || n >= first.PromptEvalCount/2 {
		t.Errorf("%d tokens behind a context of %d; the prompt had %d", n, len(first.Context), first.PromptEvalCount)
	}

	var shown shownModel
	w.Ask("POST", "/api/show", servertest.Object{"model": "old"}).Into(200, &shown)
	if shown.System != "Be loud." || len(shown.Messages) != 2 || shown.Details.Family != "bitnet-b1.58" ||
		shown.Modelfile != "FROM demo\nSYSTEM Be loud.\nPARAMETER num_gpu 1\nPARAMETER num_predict 7\nPARAMETER stop zzz\nPARAMETER temperature 0\nPARAMETER top_k 3\nMESSAGE user Hello!\nMESSAGE assistant Hi.\n" {
		t.Errorf("%+v", shown)
	}
	loaded := 0
	w.Server.Models.Each(func(l *core.Loaded) {
		loaded++
		if got := l.Asked(); !slices.Equal(got, []string{"demo", "fox"}) {
			t.Errorf("asked for as %q", got)
		}
	})
	if loaded != 1 {
		t.Errorf("%d models are loaded", loaded)
	}

	for name, test := range map[string]struct {
		q      servertest.Object
		status int
		says   string
	}{
		"no base":         {servertest.Object{"model": "x"}, 400, "from"},
		"an unknown base": {servertest.Object{"model": "x", "from": "nobody"}, 404, "not found"},
		"a Go template":   {servertest.Object{"model": "x", "from": "demo", "template": "{{ .Prompt }}"}, 400, "Jinja"},
		"an adapter":      {servertest.Object{"model": "x", "from": "demo", "adapters": servertest.Object{"a": "b"}}, 400, "merge"},
		"a quantization":  {servertest.Object{"model": "x", "from": "demo", "quantize": "q4_0"}, 400, "not quantized here"},
		"a parameter":     {servertest.Object{"model": "x", "from": "demo", "parameters": servertest.Object{"top_p": 7}}, 400, "top_p"},
		"a name":          {servertest.Object{"model": "a/b", "from": "demo"}, 400, "letters"},
		"no name":         {servertest.Object{"from": "demo"}, 400, "model is required"},
		"no blob":         {servertest.Object{"model": "x", "files": servertest.Object{"a.gguf": "sha256:" + strings.Repeat("0", 64)}}, 404, "blob"},
		"a broken line":   {servertest.Object{"model": "x", "modelfile": "FROM demo\nNOSUCH x"}, 400, "line 2"},
	} {
		var e errorLine
		if w.Ask("POST", "/api/create", test.q).Into(test.status, &e); !strings.Contains(e.Error, test.says) {
			t.Errorf("%s: %q does not say %q", name, e.Error, test.says)
		}
	}
	// A context that a model recommends is heeded, if it is one.
	for size, status := range map[int]int{0: 200, 1: 400} {
		w.Ask("POST", "/api/create", servertest.Object{"model": "narrow", "from": "demo", "stream": false, "parameters": servertest.Object{"num_ctx": size}}).Into(200, nil)
		w.Ask("POST", "/api/generate", servertest.Object{"model": "narrow", "prompt": "Hi", "stream": false, "options": greedy}).Into(status, nil)
	}
	w.Ask("DELETE", "/api/delete", servertest.Object{"model": "fox"}).Into(200, nil)
	w.Ask("POST", "/api/chat", servertest.Object{"model": "fox", "messages": []servertest.Object{question}}).Into(404, nil)
}

// TestBlobs sends a file and makes a model of it.
func TestBlobs(t *testing.T) {
	file, err := os.ReadFile(filepath.Join("..", "..", "demo", "demo.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(file)
	digest := "sha256:" + hex.EncodeToString(sum[:])
	w := servertest.NewWire(t, core.Options{AllowPull: true, MaxBody: 1 << 10}, Routes)
	w.Ask("HEAD", "/api/blobs/"+digest, nil).Into(404, nil)
	w.Ask("POST", "/api/blobs/"+digest, string(file[:5000])).Into(400, nil)
	w.Ask("POST", "/api/blobs/"+digest, "no model").Into(422, nil)
	w.Ask("POST", "/api/blobs/sha256:1", string(file)).Into(400, nil)
	w.Ask("POST", "/api/blobs/"+digest, string(file)).Into(201, nil)
	w.Ask("HEAD", "/api/blobs/"+digest, nil).Into(200, nil)
	w.Ask("POST", "/api/create", servertest.Object{"model": "sent", "files": servertest.Object{"m.gguf": digest}, "system": "Hm.", "stream": false}).Into(200, nil)
	var got ollamaSeen
	w.Ask("POST", "/api/chat", servertest.Object{"model": "sent", "stream": false, "options": servertest.Greedy(2),
		"messages": []servertest.Object{{"role": "user", "content": "Hi"}}}).Into(200, &got)
	var shown shownModel
	w.Ask("POST", "/api/show", servertest.Object{"model": "sent"}).Into(200, &shown)
	if got.EvalCount == 0 || shown.System != "Hm." {
		t.Errorf("%+v, %+v", got, shown)
	}
}
