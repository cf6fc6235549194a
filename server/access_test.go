package server

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"trit/server/core"
)

func TestKeys(t *testing.T) {
	s := serve(t, Options{APIKeys: []string{"one", "two"}, AdminKeys: []string{"root"}})
	body := `{"model":"demo","prompt":"Once","max_tokens":1}`
	for _, c := range []struct {
		headers []string
		status  int
	}{
		{nil, 401},
		{[]string{"Authorization", "Bearer three"}, 401},
		{[]string{"Authorization", "Basic one"}, 401},
		{[]string{"Authorization", "Bearer "}, 401},
		{[]string{"Authorization", "one"}, 401},
		{[]string{"Authorization", "Bearer one"}, 200},
		{[]string{"Authorization", "bearer two"}, 200},
		{[]string{"X-Api-Key", "two"}, 200},
		{[]string{"X-Api-Key", "root"}, 200},
		{[]string{"X-Api-Key", "on"}, 401},
	} {
		if r := s.do("POST", "/v1/completions", body, c.headers...); r.status != c.status {
			t.Errorf("%v: status %d, want %d: %s", c.headers, r.status, c.status, r.body)
		}
	}
	for _, path := range []string{"/health", "/ready", "/version", "/metrics", "/"} {
		s.do("GET", path, "").expect(t, 200)
	}
	s.do("POST", "/debug/trace?seconds=0.1", "").expect(t, 401)
	s.do("POST", "/debug/trace?seconds=0.1", "", "X-Api-Key", "one").expect(t, 403, "admin_key_required")
	s.do("POST", "/debug/trace?seconds=0.1", "", "X-Api-Key", "root").expect(t, 200, "traceEvents")
	s.do("POST", "/debug/trace?seconds=100", "", "X-Api-Key", "root").expect(t, 400, "60")
	s.do("POST", "/debug/trace?seconds=x", "", "X-Api-Key", "root").expect(t, 400)
	s.do("DELETE", "/api/delete", `{"model":"x"}`, "X-Api-Key", "one").expect(t, 403)
	log := s.log.String()
	for _, secret := range []string{"key=one", "key=two", "root"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log has %q", secret)
		}
	}
	if sum := sha256.Sum256([]byte("one")); !strings.Contains(log, "key="+hex.EncodeToString(sum[:4])) {
		t.Error("the log does not tell keys apart")
	}
}

func TestAllowances(t *testing.T) {
	t.Setenv("TRIT_HOME", t.TempDir())
	s := serve(t, Options{})
	s.do("DELETE", "/api/delete", `{"model":"x"}`).expect(t, 403, "allow_delete")
	s.do("POST", "/api/pull", `{"model":"x"}`).expect(t, 403, "allow_pull")
	s = serve(t, Options{AllowDelete: true})
	s.do("DELETE", "/api/delete", `{"model":"x"}`).expect(t, 404)
	s.do("POST", "/api/pull", `{"model":"x"}`).expect(t, 403)
	s.do("POST", "/debug/trace", "").expect(t, 403)
}

func TestHostsAndOrigins(t *testing.T) {
	s := serve(t, Options{AllowedHosts: []string{"Trit.example", ".svc.cluster.local"}, CORSOrigins: []string{"https://good.example"}})
	for host, status := range map[string]int{
		"localhost": 200, "LOCALHOST:80": 200, "127.0.0.1:1": 200, "[::1]:80": 200, "10.1.2.3": 200, "a.localhost": 200,
		"trit.example": 200, "trit.example:8080": 200, "trit.ns.svc.cluster.local": 200, "trit.example.": 200,
		"evil.example": 403, "trit.example.evil": 403, "svc.cluster.local.evil": 403, "127.0.0.1.evil.example": 403, "localhost.evil": 403,
	} {
		if r := s.do("GET", "/health", "", "Host", host); r.status != status {
			t.Errorf("%s: status %d, want %d", host, r.status, status)
		}
	}
	body := `{"model":"demo","prompt":"Once","max_tokens":1}`
	post := func(headers ...string) reply { return s.do("POST", "/v1/completions", body, headers...) }
	post("Origin", s.url).expect(t, 200)
	post("Sec-Fetch-Site", "same-origin").expect(t, 200)
	post("Origin", "https://evil.example").expect(t, 403, "cors_origins https://evil.example")
	post("Origin", "null").expect(t, 403)
	post("Sec-Fetch-Site", "cross-site").expect(t, 403)
	r := post("Origin", "https://good.example", "Sec-Fetch-Site", "cross-site")
	r.expect(t, 200)
	if r.header.Get("Access-Control-Allow-Origin") != "https://good.example" || r.header.Get("Vary") != "Origin" || r.header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("headers: %v", r.header)
	}
	if exposed := r.header.Get("Access-Control-Expose-Headers"); !strings.Contains(exposed, core.IgnoredHeader) {
		t.Errorf("pages may read %s", exposed)
	}
	ask := []string{"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type"}
	r = s.do("OPTIONS", "/v1/completions", "", append(ask, "Origin", "https://good.example")...)
	r.expect(t, 204)
	if r.header.Get("Access-Control-Allow-Headers") != "authorization,content-type" || !strings.Contains(r.header.Get("Access-Control-Allow-Methods"), "POST") {
		t.Errorf("headers: %v", r.header)
	}
	r = s.do("OPTIONS", "/v1/completions", "", append(ask, "Origin", "https://evil.example")...)
	if r.status < 400 || r.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("status %d, headers: %v", r.status, r.header)
	}
	// A page may not read what it may ask for.
	if r = s.do("GET", "/v1/models", "", "Origin", "https://evil.example"); r.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("headers: %v", r.header)
	}
	all := serve(t, Options{CORSOrigins: []string{"*"}, AllowedHosts: []string{"*"}})
	all.do("POST", "/v1/completions", body, "Origin", "https://any.example", "Host", "any.example").expect(t, 200)
}

func TestRequestIDs(t *testing.T) {
	s := serve(t, Options{})
	if r := s.do("GET", "/health", "", "X-Request-Id", "abc-123"); r.header.Get("X-Request-Id") != "abc-123" {
		t.Errorf("the id is %q", r.header.Get("X-Request-Id"))
	}
	seen := map[string]bool{}
	for _, bad := range []string{"", "has space", strings.Repeat("x", 200), `quo"te`} {
		id := s.do("GET", "/health", "", "X-Request-Id", bad).header.Get("X-Request-Id")
		if id == bad || len(id) < 16 || seen[id] {
			t.Errorf("for %q the id is %q", bad, id)
		}
		seen[id] = true
	}
	s.do("POST", "/v1/completions", `{"model":"demo","prompt":"Once upon","max_tokens":4,"ignore_eos":true}`, "X-Request-Id", "logged").expect(t, 200)
	for line := range strings.Lines(s.log.String()) {
		if strings.Contains(line, "id=logged") {
			for _, want := range []string{"method=POST", "path=/v1/completions", "status=200", "model=demo", "tokens=4", "duration="} {
				if !strings.Contains(line, want) {
					t.Errorf("%q is not in %s", want, line)
				}
			}
			return
		}
	}
	t.Error("the request is not in the log")
}

func TestRateLimit(t *testing.T) {
	s := serve(t, Options{RateLimit: 3, APIKeys: []string{"a", "b"}})
	ask := func(key string) reply { return s.do("GET", "/v1/models", "", "X-Api-Key", key) }
	for range 3 {
		ask("a").expect(t, 200)
	}
	r := ask("a")
	r.expect(t, 429, "rate_limit_exceeded", "3 requests")
	if n, err := strconv.Atoi(r.header.Get("Retry-After")); err != nil || n < 1 || n > 60 {
		t.Errorf("Retry-After is %q", r.header.Get("Retry-After"))
	}
	ask("b").expect(t, 200)
	for range 3 {
		ask("guess").expect(t, 401)
	}
	ask("guess").expect(t, 429)
	ask("b").expect(t, 200)
	s.do("GET", "/health", "").expect(t, 200)

}

func TestTLS(t *testing.T) {
	helper := httptest.NewUnstartedServer(nil)
	helper.StartTLS() // only for its certificate
	defer helper.Close()
	tlsClient := helper.Client()
	defer tlsClient.CloseIdleConnections()

	plain := client
	client = tlsClient
	defer func() { client = plain }()
	listener := listen(t)
	s := serveURL(t, Options{TLS: &tls.Config{Certificates: helper.TLS.Certificates}}, listener, "https://"+listener.Addr().String())
	r := s.do("POST", "/v1/completions", `{"model":"demo","prompt":"Once","max_tokens":3,"stream":true}`)
	r.expect(t, 200, "data: [DONE]")
	s.stop()
	if err := <-s.done; err != nil {
		t.Error(err)
	}
	s.done <- nil
}

// TestKeyQuotas: keys have names and quotas, each API says in its own words that one is used up, the metrics have
// what is used, and keys and aliases can be replaced while the server runs.
func TestKeyQuotas(t *testing.T) {
	parse := func(line string) Key {
		k, err := ParseKey(line)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	s := serve(t, Options{Keys: []Key{parse("alice a tokens=20/day"), parse("bob b requests=3/day"), parse("carol c")}})
	ask := func(key, path, body string) reply { return s.do("POST", path, body, "X-Api-Key", key) }
	const tale = `{"model":"demo","prompt":"Once upon a time","max_tokens":30,"ignore_eos":true}`
	const chat = `{"model":"demo","max_tokens":1,"messages":[{"role":"user","content":"Hi"}]}`
	ask("a", "/v1/completions", tale).expect(t, 200) // more than there is, but it has begun
	free := ask("c", "/v1/embeddings", `{"model":"demo","input":"Once upon a time"}`)
	free.expect(t, 200)
	if free.header.Get("X-Ratelimit-Limit-Requests") != "" {
		t.Errorf("a key without quotas: %v", free.header)
	}
	for path, words := range map[string][]string{
		"/v1/chat/completions": {"Rate limit reached for alice on tokens: Limit 20 per day. Please try again in", `"type":"tokens"`, `"code":"rate_limit_exceeded"`},
		"/v1/messages":         {"This request would exceed the rate limit of tokens of the key alice", `"type":"rate_limit_error"`},
		"/api/chat":            {`{"error":"the key alice has used up its tokens (20 per day); try again in`},
		"/completion":          {`"code":429`, "the key alice has used up its tokens"},
	} {
		r := ask("a", path, chat)
		r.expect(t, 429, words...)
		if n, err := strconv.Atoi(r.header.Get("Retry-After")); err != nil || n < 3600 || n > 86400 {
			t.Errorf("%s: Retry-After is %q", path, r.header.Get("Retry-After"))
		}
	}
	left := func(r reply, of, limit, remaining string, least time.Duration) {
		t.Helper()
		reset, err := time.ParseDuration(r.header.Get("X-Ratelimit-Reset-" + of))
		if r.header.Get("X-Ratelimit-Limit-"+of) != limit || r.header.Get("X-Ratelimit-Remaining-"+of) != remaining || err != nil || reset < least {
			t.Errorf("%s: %v", of, r.header)
		}
	}
	for i := range 3 {
		r := ask("b", "/v1/chat/completions", chat)
		r.expect(t, 200)
		left(r, "requests", "3", strconv.Itoa(2-i), 7*time.Hour)
		if r.header.Get("X-Ratelimit-Limit-Tokens") != "" {
			t.Errorf("a quota that there is not: %v", r.header)
		}
	}
	left(ask("a", "/v1/chat/completions", chat), "tokens", "20", "0", 24*time.Hour)
	left(ask("b", "/v1/chat/completions", chat), "requests", "3", "0", 23*time.Hour)
	ask("b", "/v1/chat/completions", chat).expect(t, 429, "Rate limit reached for bob on requests", `"type":"requests"`)
	metrics := s.do("GET", "/metrics", "").body
	for _, line := range []string{`trit_key_requests_total{key="alice"} 1`, `trit_key_generated_tokens_total{key="alice"} 30`,
		`trit_key_prompt_tokens_total{key="alice"} 5`, `trit_key_prompt_tokens_total{key="carol"} 5`,
		`trit_key_refused_total{key="alice",quota="tokens"} 5`, `trit_key_refused_total{key="bob",quota="requests"} 2`} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("%s is not among the metrics", line)
		}
	}
	if !strings.Contains(s.log.String(), "key=alice") {
		t.Error("the log does not name the key")
	}

	if err := s.SetKeys([]string{"d"}, nil, parse("alice a tokens=20/day"), parse("bob b requests=4/day")); err != nil {
		t.Fatal(err)
	}
	ask("a", "/completion", tale).expect(t, 429)          // its quota is what it was
	ask("b", "/v1/chat/completions", chat).expect(t, 200) // and this one's is another
	ask("c", "/v1/chat/completions", chat).expect(t, 401)
	ask("c", "/api/chat", chat).expect(t, 401, `{"error":"this server wants an API key`, `"status":"this server wants an API key`)
	ask("d", "/v1/chat/completions", chat).expect(t, 200)
	for _, wrong := range [][]Key{{}, {{Name: "x y", Hash: KeyHash("k")}}, {{Name: "a", Hash: KeyHash("k"), Admin: true}}} {
		if err := s.SetKeys(nil, nil, wrong...); !errors.Is(err, ErrOptions) {
			t.Errorf("%+v: %v", wrong, err)
		}
	}
	ask("d", "/v1/chat/completions", chat).expect(t, 200)

	named := strings.Replace(chat, `"demo"`, `"gpt-9"`, 1)
	ask("d", "/v1/chat/completions", named).expect(t, 404)
	if err := s.SetAliases(map[string]string{"gpt-9": "demo"}); err != nil {
		t.Fatal(err)
	}
	ask("d", "/v1/chat/completions", named).expect(t, 200)
	if err := s.SetAliases(map[string]string{"gpt-9": "/no/such/file.gguf"}); !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), "start the server anew") {
		t.Errorf("an alias of a new file: %v", err)
	}
	ask("d", "/v1/chat/completions", named).expect(t, 200) // what was there before stays
	if err := s.SetAliases(nil); err != nil {
		t.Fatal(err)
	}
	ask("d", "/v1/chat/completions", named).expect(t, 404)
}

// Under contention nothing is lost and nobody is forgotten.

// TestLocalOrigins: apps and pages of this machine may use a server that only this machine
// reaches, and no page of a web site may.
func TestLocalOrigins(t *testing.T) {
	const body = `{"model":"demo","prompt":"Once","max_tokens":1}`
	s := serve(t, Options{CORSOrigins: []string{"chrome-extension://*"}})
	for origin, status := range map[string]int{
		"http://localhost:3000": 200, "https://localhost": 200, "http://127.0.0.1:5173": 200, "http://[::1]:8000": 200,
		"app://obsidian.md": 200, "tauri://localhost": 200, "vscode-webview://abc": 200, "chrome-extension://abc": 200,
		"http://localhost.evil.example": 403, "http://127.0.0.1.evil.example": 403, "https://evil.example": 403, "null": 403, "file://": 403,
		"moz-extension://abc": 403, "http://192.168.1.7": 403, "http://0.0.0.0:80": 403,
	} {
		r := s.do("POST", "/v1/completions", body, "Origin", origin, "Sec-Fetch-Site", "cross-site")
		if r.status != status || (r.header.Get("Access-Control-Allow-Origin") == origin) != (status == 200) {
			t.Errorf("%s: %d %v", origin, r.status, r.header)
		}
	}
	s.do("OPTIONS", "/api/chat", "", "Origin", "http://localhost:3000", "Access-Control-Request-Method", "POST").expect(t, 204)
	// The name that a page of an attacker has made lead here is no name of this machine.
	s.do("POST", "/v1/completions", body, "Origin", "http://localhost:3000", "Host", "evil.example").expect(t, 403)

	// Without a listener of its own the server does not know who reaches it.
	other, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", "http://127.0.0.1/v1/completions", strings.NewReader(body))
	r.Header.Set("Origin", "http://localhost:3000")
	other.Handler().ServeHTTP(w, r)
	if w.Code != 403 {
		t.Errorf("a page of localhost on a handler: %d", w.Code)
	}
}

// TestUsersApart: with several keys nobody learns from cached_tokens what others have asked, and neither do
// users with one key and another cache_salt.
func TestUsersApart(t *testing.T) {
	prompt := strings.Repeat("The launch code is 7714 and the meeting is at noon. ", 4)
	cached := func(s *served, salt, key string) bool {
		t.Helper()
		r := s.do("POST", "/v1/completions", `{"prompt":"`+prompt+`","max_tokens":1,"cache_salt":"`+salt+`"}`, "X-Api-Key", key)
		r.expect(t, 200)
		return !strings.Contains(r.body, `"cached_tokens":0`)
	}
	s := serve(t, Options{APIKeys: []string{"alice", "bob"}})
	for i, c := range []struct {
		salt, key string
		want      bool
	}{
		{"", "alice", false}, {"", "alice", true}, {"", "bob", false}, {"", "bob", true}, {"x", "bob", false}, {"x", "alice", false},
		{"x", "bob", true},
	} {
		if got := cached(s, c.salt, c.key); got != c.want {
			t.Errorf("step %d: %+v: cached %v", i, c, got)
		}
	}
	one := serve(t, Options{APIKeys: []string{"alice"}})
	for i, c := range []struct {
		salt string
		want bool
	}{{"", false}, {"", true}, {"x", false}, {"y", false}, {"x", true}} {
		if got := cached(one, c.salt, "alice"); got != c.want {
			t.Errorf("one key, step %d: %+v: cached %v", i, c, got)
		}
	}
}

// TestForeignPages: the GETs of other sites' pages load nothing.
func TestForeignPages(t *testing.T) {
	s := serve(t, Options{})
	for _, path := range []string{"/props?model=demo", "/slots?model=demo", "/v1/models", "/api/tags"} {
		s.do("GET", path, "", "Sec-Fetch-Site", "cross-site").expect(t, 403, "another site")
		s.do("GET", path, "", "Sec-Fetch-Site", "same-origin").expect(t, 200)
	}
	for _, path := range []string{"/", "/health"} {
		s.do("GET", path, "", "Sec-Fetch-Site", "cross-site").expect(t, 200)
	}
	trusting := serve(t, Options{CORSOrigins: []string{"https://example.org"}})
	trusting.do("GET", "/v1/models", "", "Sec-Fetch-Site", "cross-site", "Origin", "https://example.org").expect(t, 200)
}
