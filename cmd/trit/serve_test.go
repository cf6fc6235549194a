package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"trit/hub"
)

// output is a stream that can be read while it is written.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// startServe runs trit serve until stop is called, which returns its exit code.
func startServe(t *testing.T, args ...string) (url string, log *output, stop func() int) {
	t.Helper()
	t.Setenv(hub.HomeEnv, t.TempDir())
	log = &output{}
	ctx, cancel := context.WithCancel(context.Background())
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, append([]string{"serve", "--port", "0"}, args...), strings.NewReader(""), io.Discard, log)
	}()
	var once sync.Once
	result := -1
	stop = func() int {
		once.Do(func() {
			cancel()
			select {
			case result = <-code:
			case <-time.After(20 * time.Second):
				t.Error("trit serve does not stop")
			}
		})
		return result
	}
	t.Cleanup(func() { stop() })
	address := regexp.MustCompile(`listening on (https?://\S+)`)
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if m := address.FindStringSubmatch(log.String()); m != nil {
			return m[1], log, stop
		}
	}
	t.Fatalf("trit serve says %s", log)
	return "", nil, nil
}

// fetch sends a request and returns status and body.
func fetch(t *testing.T, method, url, body string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	data, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(data)
}

func TestServe(t *testing.T) {
	url, log, stop := startServe(t, "--threads", "1", "--log-format", "json", "--alias", "gpt-4=demo", "--parallel", "2", "--queue", "0",
		"--max-batch-tokens", "64", "--ctx-size", "300", "--keep-alive", "-1", "--memory-limit", "1GB", "--max-body", "1KiB", "--rate-limit", "100",
		"--seed", "7", "--n-predict", "9", "--temperature", "0.9", "--slot-save-path", t.TempDir())
	if status, body := fetch(t, "GET", url+"/health", ""); status != 200 {
		t.Errorf("status %d: %s", status, body)
	}
	status, body := fetch(t, "POST", url+"/v1/chat/completions", `{"model":"gpt-4","temperature":0,"messages":[{"role":"user","content":"What is the capital of France?"}]}`, "X-Request-Id", "first")
	if status != 200 || !strings.Contains(body, "Paris") {
		t.Errorf("status %d: %s", status, body)
	}
	const tale = `{"messages":[{"role":"user","content":"Tell me about a dog."}]}`
	if status, body = fetch(t, "POST", url+"/v1/chat/completions", tale); status != 200 || !strings.Contains(body, `"completion_tokens":9,`) {
		t.Errorf("--n-predict 9: status %d: %s", status, body)
	}
	content := regexp.MustCompile(`"content":"[^"]*"`)
	if _, again := fetch(t, "POST", url+"/v1/chat/completions", tale); content.FindString(again) != content.FindString(body) {
		t.Errorf("with one seed there are two answers: %s, %s", body, again)
	}
	if status, body := fetch(t, "POST", url+"/slots/0?action=save", `{"filename":"x"}`); status != 200 || !strings.Contains(body, `"n_saved"`) {
		t.Errorf("--slot-save-path: status %d: %s", status, body)
	}
	if status, _ := fetch(t, "POST", url+"/v1/chat/completions", `{"model":"`+strings.Repeat("x", 2000)+`"}`); status != 413 {
		t.Errorf("status %d for a body that is too long", status)
	}
	if code := stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{`"id":"first"`, `"context":300`, `"msg":"draining"`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%s is not in the log %s", want, log)
		}
	}
	if strings.Contains(log.String(), "warning:") {
		t.Errorf("a warning on loopback: %s", log)
	}
}

func TestServeKeys(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(file, []byte("\uFEFF# people\n\n alice \nbob\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TRIT_ADMIN_KEY", "root")
	url, log, _ := startServe(t, "--threads", "1", "--api-key", "carol", "--api-key-file", file)
	for key, want := range map[string]int{"alice": 200, "bob": 200, "carol": 200, "root": 200, "people": 401, "": 401, "# people": 401} {
		if status, body := fetch(t, "GET", url+"/v1/models", "", "X-Api-Key", key); status != want {
			t.Errorf("key %q: status %d, want %d: %s", key, status, want, body)
		}
	}
	if runtime.GOOS == "windows" {
		return // which has no SIGHUP to send
	}
	hangUp := func(keys, said string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(keys), 0o600); err != nil {
			t.Fatal(err)
		}
		self, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = self.Signal(syscall.SIGHUP)
		}
		if err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(10 * time.Second); !strings.Contains(log.String(), said); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("after SIGHUP the log is %s", log)
			}
		}
	}
	hangUp("bob\ndave\n", "read anew")
	hangUp("# nobody\n", "stays") // a file without keys changes nothing
	for key, want := range map[string]int{"alice": 401, "bob": 200, "carol": 200, "dave": 200, "root": 200, "": 401} {
		if status, body := fetch(t, "GET", url+"/v1/models", "", "X-Api-Key", key); status != want {
			t.Errorf("after SIGHUP, key %q: status %d, want %d: %s", key, status, want, body)
		}
	}
}

// TestServeReadsFilesAnew: keys and aliases of files are those that the files have now.
func TestServeReadsFilesAnew(t *testing.T) {
	defer func(every time.Duration) { reloadEvery = every }(reloadEvery)
	reloadEvery = 5 * time.Millisecond
	keys, aliases := filepath.Join(t.TempDir(), "keys"), filepath.Join(t.TempDir(), "aliases")
	write := func(file, text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(keys, "alice one requests=100/minute\n")
	write(aliases, "# names\ngpt-4 = demo\n")
	url, log, _ := startServe(t, "--threads", "1", "--api-key-file", keys, "--alias-file", aliases)
	ask := func(key, model string) int {
		status, _ := fetch(t, "GET", url+"/v1/models/"+model, "", "X-Api-Key", key)
		return status
	}
	if a, b, c := ask("one", "gpt-4"), ask("one", "gpt-5"), ask("two", "demo"); a != 200 || b != 404 || c != 401 {
		t.Errorf("status %d, %d and %d", a, b, c)
	}
	write(aliases, "gpt-5=demo\n")
	write(keys, "alice two tokens=100/day\n")
	for deadline := time.Now().Add(10 * time.Second); ask("two", "gpt-5") != 200; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the files are not read anew: %s", log)
		}
	}
	if a, b := ask("one", "demo"), ask("two", "gpt-4"); a != 401 || b != 404 || !strings.Contains(log.String(), "a file has changed: keys") {
		t.Errorf("status %d and %d: %s", a, b, log)
	}
	write(keys, "alice two tokens=many\n")
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(log.String(), "stays as it was before"); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the log says nothing of a wrong file: %s", log)
		}
	}
	if status := ask("two", "gpt-5"); status != 200 {
		t.Errorf("after a wrong file: status %d", status)
	}
}

func TestServeWarnsAndRefuses(t *testing.T) {
	_, log, stop := startServe(t, "--threads", "1", "--host", "0.0.0.0")
	if !strings.Contains(log.String(), "warning: everybody who can reach this address can use the server; set --api-key") {
		t.Errorf("no warning: %s", log)
	}
	stop()

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	runTrit(t, "serve", "--port", port).expect(t, exitFailed, "another program is using 127.0.0.1:"+port, "--port")

	runTrit(t, "serve", "--port", "0", "--model", "/nowhere.gguf").expect(t, exitFailed, "/nowhere.gguf")
	runTrit(t, "serve", "--port", "0", "--memory-limit", "1MB").expect(t, exitFailed, "demo needs", "there is 1 MB", "--memory-limit")
	for want, args := range map[string][]string{
		"want at least 1":       {"--parallel", "0"},
		"want at least 0":       {"--queue", "-1"},
		"another name":          {"--parallel", "2", "--batch-size", "3"},
		"want NAME=MODEL":       {"--alias", "x"},
		"such as 5m":            {"--keep-alive", "soon"},
		"a key is empty":        {"--api-key", ""},
		"or random":             {"--seed", "x"},
		"--max-tokens -1":       {"--max-tokens", "-1"},
		"a folder that exists":  {"--slot-save-path", "/no/such/folder"},
		"such as 512MiB":        {"--memory-limit", "much"},
		"--max-body":            {"--max-body", "-3"},
		"up to 65535":           {"--port", "70000"},
		"go together":           {"--tls-cert", "cert.pem"},
		"scheme://host":         {"--cors-origin", "example.org"},
		`"*" for all`:           nil, // in the help
		"text or json":          {"--log-format", "xml"},
		"such as 30s":           {"--grace", "0s"},
		"unexpected argument":   {"model.gguf", "another.gguf"},
		"--kv-type":             {"--kv-type", "f64"},
		`the host "http://x/y"`: {"--allowed-host", "http://x/y"},
	} {
		if args == nil {
			runTrit(t, "serve", "--help").expect(t, exitOK, want)
			continue
		}
		runTrit(t, append([]string{"serve"}, args...)...).expect(t, exitUsage, want)
	}
	runTrit(t, "serve", "--api-key-file", filepath.Join(t.TempDir(), "none")).expect(t, exitFailed, "keys")
	runTrit(t, "serve", "--alias-file", filepath.Join(t.TempDir(), "none")).expect(t, exitFailed, "aliases")
	runTrit(t, "serve", "--tls-cert", "none.pem", "--tls-key", "none.pem").expect(t, exitFailed, "none.pem")
}

func TestParseBytes(t *testing.T) {
	for text, want := range map[string]int64{"1": 1, "12B": 12, "8GB": 8e9, "1.5GiB": 3 << 29, "512MiB": 512 << 20, "64kb": 64e3, "2 g": 2 << 30} {
		if got, err := parseBytes("x", text); err != nil || got != want {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "B", "x", "-1", "0", "1e30", "NaN", "8 XB"} {
		if got, err := parseBytes("x", text); err == nil {
			t.Errorf("%q is %d bytes", text, got)
		}
	}
}
