package clients

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ollama/ollama/api"
)

// ollamaClient returns Ollama's client of the server under test.
func ollamaClient(t testing.TB, transport http.RoundTripper) *api.Client {
	t.Helper()
	return ollamaClientOf(t, baseURL, transport)
}

func ollamaClientOf(t testing.TB, server string, transport http.RoundTripper) *api.Client {
	t.Helper()
	base, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	return api.NewClient(base, &http.Client{Transport: transport})
}

func ollamaOptions(n int) map[string]any {
	return map[string]any{"temperature": 0, "num_predict": n, "seed": 1}
}

func no() *bool { return new(bool) }

func TestOllamaGenerate(t *testing.T) {
	client := ollamaClient(t, nil)
	if err := client.Heartbeat(t.Context()); err != nil {
		t.Fatal(err)
	}
	if version, err := client.Version(t.Context()); err != nil || version == "" {
		t.Errorf("%q, %v", version, err)
	}
	var whole api.GenerateResponse
	request := &api.GenerateRequest{Model: "demo", Prompt: "Once upon a time", Raw: true, Stream: no(), Options: ollamaOptions(8), Logprobs: true, TopLogprobs: 2}
	if err := client.Generate(t.Context(), request, func(r api.GenerateResponse) error { whole = r; return nil }); err != nil {
		t.Fatal(err)
	}
	if !whole.Done || whole.DoneReason != "length" || whole.EvalCount != 8 || whole.TotalDuration <= 0 || len(whole.Logprobs) != 8 || len(whole.Logprobs[0].TopLogprobs) != 2 {
		t.Errorf("%+v", whole)
	}
	request.Stream = nil
	var text string
	pieces := 0
	if err := client.Generate(t.Context(), request, func(r api.GenerateResponse) error {
		text += r.Response
		pieces++
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if text != whole.Response || pieces < 8 {
		t.Errorf("%d pieces give %q, want %q", pieces, text, whole.Response)
	}
	// A conversation by the tokens of its past.
	var first, second api.GenerateResponse
	ask := func(r *api.GenerateResponse, prompt string, past []int) {
		t.Helper()
		err := client.Generate(t.Context(), &api.GenerateRequest{Model: "demo:latest", Prompt: prompt, Context: past, Stream: no(), Options: ollamaOptions(4)},
			func(got api.GenerateResponse) error { *r = got; return nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	ask(&first, "Who are you?", nil)
	ask(&second, "And now?", first.Context)
	if len(first.Context) == 0 || !slices.Equal(second.Context[:len(first.Context)], first.Context) {
		t.Errorf("%v after %v", second.Context, first.Context)
	}
}

func TestOllamaChat(t *testing.T) {
	client := ollamaClient(t, nil)
	request := &api.ChatRequest{Model: "demo", Options: ollamaOptions(12), Messages: []api.Message{{Role: "system", Content: "Be brief."}, {Role: "user", Content: "Who are you?"}}}
	var text string
	var last api.ChatResponse
	if err := client.Chat(t.Context(), request, func(r api.ChatResponse) error {
		text += r.Message.Content
		last = r
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if text == "" || !last.Done || last.DoneReason == "" || last.PromptEvalCount == 0 {
		t.Errorf("%q, %+v", text, last)
	}
	t.Run("schema", func(t *testing.T) {
		request := *request
		request.Stream, request.Options = no(), ollamaOptions(60)
		request.Format = json.RawMessage(`{"type":"object","properties":{"name":{"type":"string","maxLength":8},"age":{"type":"integer"}},"required":["name","age"]}`)
		if err := client.Chat(t.Context(), &request, func(r api.ChatResponse) error {
			var v struct {
				Name *string
				Age  *int
			}
			if err := json.Unmarshal([]byte(r.Message.Content), &v); err != nil || v.Name == nil || v.Age == nil {
				t.Errorf("%v: %q", err, r.Message.Content)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})
}

// toolChoice adds a field that the server knows and the client does not: the
// demo model is too small to call tools by itself.
type toolChoice struct{}

func (toolChoice) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var fields map[string]any
	if err := json.Unmarshal(body, &fields); err != nil {
		return nil, err
	}
	fields["tool_choice"] = "required"
	if body, err = json.Marshal(fields); err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return http.DefaultTransport.RoundTrip(r)
}

func TestOllamaTools(t *testing.T) {
	var tool api.Tool
	if err := json.Unmarshal([]byte(`{"type":"function","function":{"name":"get_weather","description":"the weather of a city",
		"parameters":{"type":"object","properties":{"city":{"type":"string","enum":["Paris","Rome"]}},"required":["city"]}}}`), &tool); err != nil {
		t.Fatal(err)
	}
	messages := []api.Message{{Role: "user", Content: "What is the weather in Rome?"}}
	request := &api.ChatRequest{Model: "demo", Messages: messages, Tools: api.Tools{tool}, Options: ollamaOptions(200)}
	var calls []api.ToolCall
	if err := ollamaClient(t, toolChoice{}).Chat(t.Context(), request, func(r api.ChatResponse) error {
		calls = append(calls, r.Message.ToolCalls...)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(calls) == 0 {
		t.Fatal("no call")
	}
	city, _ := calls[0].Function.Arguments.Get("city")
	if calls[0].Function.Name != "get_weather" || city != "Paris" && city != "Rome" || calls[0].ID == "" {
		t.Errorf("%+v", calls[0])
	}
	request.Messages = append(messages, api.Message{Role: "assistant", ToolCalls: calls[:1]},
		api.Message{Role: "tool", Content: "sunny", ToolName: "get_weather", ToolCallID: calls[0].ID})
	request.Options = ollamaOptions(5)
	var answer api.ChatResponse
	if err := ollamaClient(t, nil).Chat(t.Context(), request, func(r api.ChatResponse) error { answer = r; return nil }); err != nil || !answer.Done {
		t.Errorf("%v, %+v", err, answer)
	}
}

func TestOllamaEmbed(t *testing.T) {
	got, err := ollamaClient(t, nil).Embed(t.Context(), &api.EmbedRequest{Model: "demo", Input: []string{"a dog", "two dogs"}, Dimensions: 16})
	if err != nil || len(got.Embeddings) != 2 || len(got.Embeddings[0]) != 16 || got.PromptEvalCount == 0 {
		t.Fatalf("%v, %+v", err, got)
	}
	old, err := ollamaClient(t, nil).Embeddings(t.Context(), &api.EmbeddingRequest{Model: "demo", Prompt: "a dog"})
	if err != nil || len(old.Embedding) <= 16 {
		t.Errorf("%v, %+v", err, old)
	}
}

func TestOllamaModels(t *testing.T) {
	client := ollamaClient(t, nil)
	list, err := client.List(t.Context())
	if err != nil || len(list.Models) == 0 || list.Models[0].Name != "demo:latest" || len(list.Models[0].Digest) < 12 {
		t.Errorf("%v, %+v", err, list)
	}
	shown, err := client.Show(t.Context(), &api.ShowRequest{Model: "demo"})
	if err != nil || shown.Details.Format != "gguf" || shown.ModelInfo["general.architecture"] != "bitnet-b1.58" || shown.Template == "" {
		t.Errorf("%v, %+v", err, shown)
	}
	running, err := client.ListRunning(t.Context())
	if err != nil || len(running.Models) == 0 || running.Models[0].ContextLength == 0 || time.Until(running.Models[0].ExpiresAt) < time.Hour {
		t.Errorf("%v, %+v", err, running)
	}
}

func TestOllamaErrors(t *testing.T) {
	client := ollamaClient(t, nil)
	err := client.Chat(t.Context(), &api.ChatRequest{Model: "nobody", Messages: []api.Message{{Role: "user", Content: "x"}}}, func(api.ChatResponse) error { return nil })
	if status, ok := errors.AsType[api.StatusError](err); !ok || status.StatusCode != 404 || !strings.Contains(status.ErrorMessage, "not found") {
		t.Errorf("unknown model: %v", err)
	}
	err = client.Generate(t.Context(), &api.GenerateRequest{Model: "demo", Prompt: strings.Repeat("word ", 4000), Options: map[string]any{"num_ctx": 1 << 20}},
		func(api.GenerateResponse) error { return nil })
	if status, ok := errors.AsType[api.StatusError](err); !ok || status.StatusCode != 400 || !strings.Contains(status.ErrorMessage, "exceeded max context length") {
		t.Errorf("context: %v", err)
	}
	err = client.Pull(t.Context(), &api.PullRequest{Model: "bitnet-2b-4t"}, func(api.ProgressResponse) error { return nil })
	if status, ok := errors.AsType[api.StatusError](err); !ok || status.StatusCode != 403 {
		t.Errorf("pull without permission: %v", err)
	}
}

func TestOllamaCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	client := ollamaClient(t, nil)
	seen := 0
	long := json.RawMessage(`{"type":"array","items":{"type":"integer"},"minItems":150}`)
	err := client.Generate(ctx, &api.GenerateRequest{Model: "demo", Prompt: "Count!", Format: long},
		func(r api.GenerateResponse) error {
			if seen++; seen == 3 {
				cancel()
			}
			return nil
		})
	// The client ends quietly when it is cancelled in the middle of a stream, and has what has come until then. The
	// whole answer has more than 300 pieces.
	if err != nil && !errors.Is(err, context.Canceled) || seen > 200 {
		t.Errorf("after %d pieces: %v", seen, err)
	}
	if err := client.Heartbeat(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestOllamaPull pulls a model from a hub of the test, uses, copies and deletes
// it, on a server of its own that allows that.
func TestOllamaPull(t *testing.T) {
	if os.Getenv("TRIT_SERVER") != "" {
		t.Skip("this needs a server of its own; TRIT_SERVER names another")
	}
	model, err := os.ReadFile(filepath.Join("..", "..", "demo", "demo.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	client := ollamaClientOf(t, serveForAdmins(t, fakeHub(t, model)), nil)
	var said []string
	var total, completed int64
	pull := func() {
		t.Helper()
		if err := client.Pull(t.Context(), &api.PullRequest{Model: "hf.co/org/repo"}, func(p api.ProgressResponse) error {
			said = append(said, p.Status)
			total, completed = max(total, p.Total), max(completed, p.Completed)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	pull()
	if said[0] != "pulling manifest" || said[len(said)-1] != "success" || total != int64(len(model)) || completed != total {
		t.Errorf("%d of %d bytes: %q", completed, total, said)
	}
	pull() // nothing is left to do
	names := func() []string {
		t.Helper()
		list, err := client.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, m := range list.Models {
			names = append(names, m.Name)
		}
		return names
	}
	if got := names(); !slices.Equal(got, []string{"demo:latest", "repo:latest"}) {
		t.Errorf("%q", got)
	}
	keep := &api.Duration{Duration: 0}
	if err := client.Generate(t.Context(), &api.GenerateRequest{Model: "repo", Prompt: "Hi", Options: ollamaOptions(2), KeepAlive: keep}, func(api.GenerateResponse) error { return nil }); err != nil {
		t.Error(err)
	}
	if err := client.Copy(t.Context(), &api.CopyRequest{Source: "repo", Destination: "twin"}); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"repo", "twin:latest"} {
		if err := client.Delete(t.Context(), &api.DeleteRequest{Model: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := names(); !slices.Equal(got, []string{"demo:latest"}) {
		t.Errorf("%q", got)
	}
	if err := client.Pull(t.Context(), &api.PullRequest{Model: "hf.co/org/nobody"}, func(api.ProgressResponse) error { return nil }); err == nil {
		t.Error("a repository that is not there was pulled")
	}
}

// serveForAdmins starts a server that allows downloads, from that hub.
func serveForAdmins(t testing.TB, hub string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "trit")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	build := exec.Command("go", "build", "-o", binary, "./cmd/trit")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	server := exec.CommandContext(t.Context(), binary, "serve", "--port", "0", "--allow-pull", "--allow-delete")
	server.Env = append(os.Environ(), "TRIT_HOME="+t.TempDir(), "HF_ENDPOINT="+hub, "HF_HOME="+t.TempDir(), "HF_TOKEN=", "BITNET_REGISTRY=")
	output, err := server.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	server.Stdout = server.Stderr
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	address := make(chan string, 1)
	go func() {
		for text := bufio.NewScanner(output); text.Scan(); {
			if m := listening.FindStringSubmatch(text.Text()); m != nil {
				select {
				case address <- strings.TrimRight(m[1], "/"):
				default:
				}
			}
		}
	}()
	select {
	case a := <-address:
		return a
	case <-time.After(time.Minute):
		t.Fatal("trit serve did not say within a minute that it is listening")
	}
	return ""
}

// fakeHub speaks as much of the hub's protocol as the repository org/repo with
// one file needs.
func fakeHub(t testing.TB, model []byte) string {
	sum, blob := sha256.Sum256(model), sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(model)), model...))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/api/models/org/repo/revision/"):
			_ = json.NewEncoder(w).Encode(map[string]any{"sha": strings.Repeat("0", 40)})
		case strings.HasPrefix(r.URL.Path, "/api/models/org/repo/tree/"):
			_ = json.NewEncoder(w).Encode([]any{map[string]any{"type": "file", "path": "small-i2_s.gguf", "size": len(model),
				"oid": hex.EncodeToString(blob[:]), "lfs": map[string]any{"oid": hex.EncodeToString(sum[:]), "size": len(model)}}})
		case strings.HasPrefix(r.URL.Path, "/org/repo/resolve/"):
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(model))
		default:
			w.Header().Set("X-Error-Code", "RepoNotFound")
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// TestOllamaCreate is what `ollama create`, `ollama run` with /save, `show`, `ps`, `stop` and `rm` send: a model of the
// demo, one of a file, and one of a conversation.
func TestOllamaCreate(t *testing.T) {
	if os.Getenv("TRIT_SERVER") != "" {
		t.Skip("this needs a server of its own; TRIT_SERVER names another")
	}
	client := ollamaClientOf(t, serveForAdmins(t, ""), nil)
	create := func(request *api.CreateRequest) {
		t.Helper()
		last := ""
		err := client.Create(t.Context(), request, func(p api.ProgressResponse) error { last = p.Status; return nil })
		if err != nil || last != "success" {
			t.Fatalf("%s: %v, %q", request.Model, err, last)
		}
	}
	create(&api.CreateRequest{Model: "pirate", From: "demo", System: "You are a pirate.", Parameters: map[string]any{"temperature": 0, "num_predict": 5, "stop": []string{"Arr"}}})
	file, err := os.ReadFile(filepath.Join("..", "..", "demo", "demo.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(file))
	if err := client.CreateBlob(t.Context(), digest, bytes.NewReader(file)); err != nil {
		t.Fatal(err)
	}
	create(&api.CreateRequest{Model: "sent", Files: map[string]string{"demo.gguf": digest}})
	create(&api.CreateRequest{Model: "saved", From: "pirate", Messages: []api.Message{{Role: "user", Content: "Hi"}, {Role: "assistant", Content: "Arr"}}, Parameters: map[string]any{"num_ctx": 256.0}})

	ask := func(name string) (last api.ChatResponse) {
		t.Helper()
		request := &api.ChatRequest{Model: name, Messages: []api.Message{{Role: "user", Content: "Who are you?"}}, Stream: no()}
		if err := client.Chat(t.Context(), request, func(r api.ChatResponse) error { last = r; return nil }); err != nil {
			t.Fatal(err)
		}
		return last
	}
	if plain, pirate, saved := ask("sent"), ask("pirate:latest"), ask("saved"); pirate.EvalCount != 5 || pirate.DoneReason != "length" ||
		plain.PromptEvalCount >= pirate.PromptEvalCount || pirate.PromptEvalCount >= saved.PromptEvalCount {
		t.Errorf("%+v\n%+v\n%+v", plain, pirate, saved)
	}
	shown, err := client.Show(t.Context(), &api.ShowRequest{Model: "saved"})
	if err != nil || shown.System != "You are a pirate." || len(shown.Messages) != 2 || !strings.Contains(shown.Modelfile, "PARAMETER num_ctx 256\n") ||
		!strings.Contains(shown.Parameters, "num_predict") {
		t.Errorf("%v, %+v", err, shown)
	}
	running, err := client.ListRunning(t.Context())
	if err != nil || !slices.ContainsFunc(running.Models, func(m api.ProcessModelResponse) bool { return m.Name == "pirate:latest" }) {
		t.Errorf("%v, %+v", err, running)
	}
	// This is how models are stopped.
	if err := client.Generate(t.Context(), &api.GenerateRequest{Model: "sent", KeepAlive: &api.Duration{}}, func(r api.GenerateResponse) error {
		if r.DoneReason != "unload" {
			t.Errorf("%+v", r)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"pirate", "sent", "saved"} {
		if err := client.Delete(t.Context(), &api.DeleteRequest{Model: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	err = client.Create(t.Context(), &api.CreateRequest{Model: "x", From: "demo", Template: "{{ .Prompt }}"}, func(api.ProgressResponse) error { return nil })
	if status, ok := errors.AsType[api.StatusError](err); !ok || status.StatusCode != 400 || !strings.Contains(status.ErrorMessage, "Go template") {
		t.Errorf("a Go template: %v", err)
	}
}
