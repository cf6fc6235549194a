package main

import "testing"

func TestAddresses(t *testing.T) {
	for text, want := range map[string]string{
		"127.0.0.1:8080":            "http://127.0.0.1:8080",
		"0.0.0.0:9000":              "http://127.0.0.1:9000",
		":9000":                     "http://127.0.0.1:9000",
		"[::]:9000":                 "http://[::1]:9000",
		"[::1]":                     "http://[::1]:8080",
		"localhost":                 "http://localhost:8080",
		"https://example.org":       "https://example.org:443",
		"http://example.org/trit/":  "http://example.org:80/trit",
		"https://example.org:1/a/b": "https://example.org:1/a/b",
	} {
		if got, err := parseAddress(text); err != nil || got.url() != want {
			t.Errorf("%s: %s, %v; want %s", text, got.url(), err, want)
		}
	}
	for _, text := range []string{"", " ", "http://", "ftp://example.org", "a b", "host:port", "host:65536", "host:-1", "user@host", "a:b:c", "a]", "a[b", "[::1", "a/\n/", "a/b /", "0]\xc8"} {
		if got, err := parseAddress(text); err == nil {
			t.Errorf("%q is read as %s", text, got.url())
		}
	}
}

// TestHostVariable: server and health check agree on where the server is, and flags go before.
func TestHostVariable(t *testing.T) {
	t.Setenv(hostVariable, "127.0.0.1:0")
	address, _, stop := startServe(t)
	defer stop()
	t.Setenv(hostVariable, address)
	runTrit(t, "health", "--live").expect(t, exitOK, `"ok"`)
	runTrit(t, "health", "--live", "--url", "127.0.0.1:1", "--timeout", "1s").expect(t, exitFailed, "no answer")
	t.Setenv(hostVariable, "ftp://nowhere")
	runTrit(t, "health").expect(t, exitUsage, "TRIT_HOST=")
	runTrit(t, "serve").expect(t, exitUsage, "TRIT_HOST=")
}

func FuzzParseAddress(f *testing.F) {
	f.Add("https://[::1]:80/x")
	f.Add("0]\xc8")
	f.Add("0//")
	f.Add("0/\n/")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := parseAddress(text)
		if err != nil {
			return
		}
		if again, err := parseAddress(a.url()); err != nil || again.url() != a.url() {
			t.Errorf("%q is %q, which is %q, %v", text, a.url(), again.url(), err)
		}
	})
}
