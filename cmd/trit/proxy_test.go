package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
)

// proxiedVariable makes the program of the tests a chat with a server: net/http reads the
// variables of proxies once in a process.
const proxiedVariable = "TRIT_TEST_PROXIED"

// TestChatServerProxy: servers elsewhere are called through the proxy of the environment, those that NO_PROXY
// names and those of this machine are not.
func TestChatServerProxy(t *testing.T) {
	if address := os.Getenv(proxiedVariable); address != "" {
		os.Exit(run(context.Background(), []string{"chat", "--server", address, "--model", "small"}, os.Stdin, os.Stdout, os.Stderr))
	}
	f := newFakeServer(t, says("One."), says("Two."))
	behind, err := url.Parse(f.URL)
	if err != nil {
		t.Fatal(err)
	}
	var proxied atomic.Int64
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		if !strings.HasPrefix(r.In.RequestURI, "http://models.example") {
			t.Errorf("the proxy is asked for %s", r.In.RequestURI)
		}
		proxied.Add(1)
		r.SetURL(behind)
	}})
	defer proxy.Close()
	refusing := httptest.NewServer(http.NotFoundHandler())
	defer refusing.Close()
	chat := func(address string, variables ...string) (string, error) {
		cmd := exec.Command(os.Args[0], "-test.run=^TestChatServerProxy$")
		cmd.Env = append(os.Environ(), "TRIT_HOME="+t.TempDir(), proxiedVariable+"="+address,
			"HTTP_PROXY=", "http_proxy=", "NO_PROXY=", "no_proxy=")
		cmd.Env = append(cmd.Env, variables...)
		cmd.Stdin = strings.NewReader("Hello\n")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := chat("http://models.example", "HTTP_PROXY="+proxy.URL)
	if err != nil || !strings.Contains(out, "One.") || proxied.Load() != 2 {
		t.Errorf("by the proxy, with %d requests: %s (%v)", proxied.Load(), out, err)
	}
	out, err = chat(f.URL, "HTTP_PROXY="+refusing.URL)
	if err != nil || !strings.Contains(out, "Two.") {
		t.Errorf("on this machine: %s (%v)", out, err)
	}
	before := proxied.Load()
	if out, err = chat("http://models.example", "HTTP_PROXY="+proxy.URL, "NO_PROXY=.example"); err == nil || proxied.Load() != before {
		t.Errorf("with NO_PROXY: %s (%v)", out, err)
	}
}
