package picker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// replicas are the addresses of the two servers.
var replicas = []string{"127.0.0.2", "127.0.0.3"}

const tries = 20 // requests of which each must go where it should

// TestQueue: requests go where fewer of them wait.
func TestQueue(t *testing.T) {
	f := start(t, "queue-scorer")
	f.busy(t, 0, 6, func() { f.expectAll(t, 1) })
	f.busy(t, 1, 6, func() { f.expectAll(t, 0) })
}

// TestCacheUse: requests go where more of the KV cache is free.
func TestCacheUse(t *testing.T) {
	f := start(t, "kv-cache-utilization-scorer")
	f.busy(t, 0, 2, func() { f.expectAll(t, 1) })
	f.busy(t, 1, 2, func() { f.expectAll(t, 0) })
}

// TestPrefix: requests go where the beginning of their prompt is cached, and are answered from that cache. Others go to
// either.
func TestPrefix(t *testing.T) {
	f := start(t, "prefix-cache-scorer")
	for _, animal := range []string{"fox", "owl", "cow"} {
		story := strings.Repeat("Once upon a time there was a "+animal+" who lived in the wood. ", 12)
		home, _ := f.send(t, story+" What did it eat?")
		for i := range 10 {
			endpoint, usage := f.send(t, story+" Question "+strconv.Itoa(i)+": where did it live?")
			if endpoint != home {
				t.Errorf("%s, request %d goes to %s; the beginning of its prompt is at %s", animal, i, endpoint, home)
			}
			if usage.Details.Cached < 64 {
				t.Errorf("%s, request %d: only %d of %d tokens come from the cache", animal, i, usage.Details.Cached, usage.Prompt)
			}
		}
	}
	seen := map[string]int{}
	for i := range 2 * tries {
		endpoint, _ := f.send(t, fmt.Sprint(i, " is a number. ", strings.Repeat(fmt.Sprint(i*i, " is another. "), 30)))
		seen[endpoint]++
	}
	if len(seen) != 2 {
		t.Errorf("prompts that nobody has seen go to %v", seen)
	}
}

// TestDefault: with the picker's own settings, which weigh all three, a busy replica gets nothing new.
func TestDefault(t *testing.T) {
	f := start(t, "")
	f.busy(t, 0, 6, func() { f.expectAll(t, 1) })
}

// fleet is two replicas, and Envoy with a picker before them.
type fleet struct {
	*envoy
	endpoints []string
}

// start starts everything. The picker has one scorer, or its own settings.
func start(t *testing.T, scorer string) *fleet {
	picker := os.Getenv("TRIT_PICKER")
	if picker == "" {
		t.Skip("TRIT_PICKER names no endpoint picker: skipped")
	}
	trit := filepath.Join(t.TempDir(), "trit")
	build := exec.Command("go", "build", "-o", trit, "./cmd/trit")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building trit: %v\n%s", err, out)
	}
	port := freePort(t)
	f := &fleet{}
	for _, address := range replicas {
		endpoint := net.JoinHostPort(address, strconv.Itoa(port))
		f.endpoints = append(f.endpoints, endpoint)
		run(t, trit, []string{"TRIT_HOME=" + t.TempDir()}, "serve", "--host", address, "--port", strconv.Itoa(port),
			"--allowed-host", "*", "--parallel", "2")
		until(t, "the replica "+endpoint, func() bool { return answers("http://" + endpoint + "/ready") })
	}
	grpcPort, healthPort, metricsPort := freePort(t), freePort(t), freePort(t)
	args := []string{"--pool-name=trit", "--pool-namespace=default", "--secure-serving=false", "--tracing=false",
		"--metrics-endpoint-auth=false", "--enable-pprof=false", fmt.Sprint("--grpc-port=", grpcPort),
		fmt.Sprint("--grpc-health-port=", healthPort), fmt.Sprint("--metrics-port=", metricsPort)}
	if scorer != "" {
		args = append(args, "--config-text="+fmt.Sprintf(`{"kind": "EndpointPickerConfig",
			"apiVersion": "inference.networking.x-k8s.io/v1alpha1", "plugins": [{"type": %q}],
			"schedulingProfiles": [{"name": "default", "plugins": [{"pluginRef": %q}]}]}`, scorer, scorer))
	}
	run(t, picker, []string{"KUBECONFIG=" + cluster(t, port, replicas)}, args...)
	f.envoy = newEnvoy(t, net.JoinHostPort("127.0.0.1", strconv.Itoa(grpcPort)))
	until(t, "the picker", func() bool {
		_, _, err := f.envoy.send(t.Context(), request("Hello", 1))
		return err == nil
	})
	return f
}

// usage is what an answer says of its tokens.
type usage struct {
	Prompt  int `json:"prompt_tokens"`
	Details struct {
		Cached int `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
}

// send sends a short request through the picker.
func (f *fleet) send(t *testing.T, prompt string) (endpoint string, _ usage) {
	t.Helper()
	endpoint, answer, err := f.envoy.send(t.Context(), request(prompt, 1))
	if err != nil {
		t.Fatal(err)
	}
	var completion struct{ Usage usage }
	if err := json.Unmarshal([]byte(answer), &completion); err != nil || completion.Usage.Prompt == 0 {
		t.Fatalf("%v in the answer %s", err, answer)
	}
	return endpoint, completion.Usage
}

// expectAll sends requests that differ from their first letter on, all of which must go to one replica.
func (f *fleet) expectAll(t *testing.T, replica int) {
	t.Helper()
	seen := map[string]int{}
	for i := range tries {
		endpoint, _ := f.send(t, fmt.Sprint(i, ". What does a cow say?"))
		seen[endpoint]++
	}
	if seen[f.endpoints[replica]] != tries {
		t.Errorf("the requests go to %v, want all at %s", seen, f.endpoints[replica])
	} else {
		t.Logf("%d of %d at %s", tries, tries, f.endpoints[replica])
	}
}

// busy keeps a replica answering so many requests that did not come through the picker, while do runs.
func (f *fleet) busy(t *testing.T, replica, requests int, do func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var done atomic.Int64
	var clients sync.WaitGroup
	for i := range requests {
		clients.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				long := request(fmt.Sprint("Client ", i, " wants story ", n), 400)
				if _, err := post(ctx, f.endpoints[replica], long); err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
				done.Add(1)
			}
		})
	}
	until(t, "some answers", func() bool { return done.Load() >= int64(requests) })
	do()
	cancel()
	clients.Wait()
	until(t, "an idle replica", func() bool {
		return strings.Contains(text("http://"+f.endpoints[replica]+"/metrics"), "\ntrit_requests_running{model=\"demo\"} 0\n")
	})
	time.Sleep(time.Second) // the picker looks at the metrics 20 times a second
}

// request is a body for chat completions.
func request(prompt string, tokens int) string {
	return fmt.Sprintf(`{"model": "demo", "max_tokens": %d, "ignore_eos": true,
		"messages": [{"role": "user", "content": %q}]}`, tokens, prompt)
}

// run starts a program that ends with the test. What it says is shown if the test fails.
func run(t *testing.T, program string, env []string, args ...string) {
	t.Helper()
	var said bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // or it has ended, which the test has noticed
		_ = cmd.Wait()
		if t.Failed() {
			out := said.String()
			t.Logf("%s says, in the end:\n%s", filepath.Base(program), out[max(0, len(out)-4000):])
		}
	})
}

// until waits for a condition.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !condition(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

func answers(url string) bool { return text(url) != "" }

// text returns what is at an address, nothing if there is none.
func text(url string) string {
	r, err := http.Get(url)
	if err != nil {
		return ""
	}
	defer r.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(r.Body); err != nil || r.StatusCode != http.StatusOK {
		return ""
	}
	return b.String()
}

func freePort(t *testing.T) int {
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
