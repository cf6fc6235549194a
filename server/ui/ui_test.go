package ui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

// get asks the handler for a path.
func get(t *testing.T, path string, header http.Header) *http.Response {
	t.Helper()
	return do(t, http.MethodGet, path, header)
}

func do(t *testing.T, method, path string, header http.Header) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, response *http.Response) string {
	t.Helper()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

var reference = regexp.MustCompile(`(?:src|href)="([^"#][^"]*)"`)

// resolve finds what a relative address means on a page.
func resolve(t *testing.T, base, address string) string {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, "http://host"+base, nil)
	if err != nil {
		t.Fatal(err)
	}
	u, err := r.URL.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Path
}

func TestPagesFindTheirAssets(t *testing.T) {
	for _, at := range []string{"/", "/ui", "/ui/"} {
		response := get(t, at, nil)
		if response.StatusCode != http.StatusOK {
			t.Fatalf("%s: status %d", at, response.StatusCode)
		}
		page := body(t, response)
		references := reference.FindAllStringSubmatch(page, -1)
		if len(references) < 8 {
			t.Fatalf("%s refers to %d files only", at, len(references))
		}
		for _, match := range references {
			path := resolve(t, at, match[1])
			asset := get(t, path, nil)
			if asset.StatusCode != http.StatusOK {
				t.Errorf("%s refers to %s: status %d", at, path, asset.StatusCode)
			}
			if got := asset.Header.Get("Cache-Control"); got != cacheForever {
				t.Errorf("%s: Cache-Control %q", path, got)
			}
		}
		if got := response.Header.Get("Cache-Control"); got != cacheRevalidate {
			t.Errorf("%s: Cache-Control %q", at, got)
		}
		if strings.Contains(page, assetsMark) {
			t.Errorf("%s still holds %s", at, assetsMark)
		}
	}
}

// imports finds the modules that a module names.
var imports = regexp.MustCompile(`(?:from|import)\s+"([^"]+)"`)

func TestModulesFindTheirImports(t *testing.T) {
	s := load()
	seen := 0
	for path, a := range s {
		if !strings.HasSuffix(path, ".mjs") {
			continue
		}
		for _, match := range imports.FindAllSubmatch(a.plain, -1) {
			seen++
			if !strings.HasPrefix(string(match[1]), ".") {
				t.Errorf("%s imports %s, which is not relative", path, match[1])
			} else if target := resolve(t, path, string(match[1])); s[target] == nil {
				t.Errorf("%s imports %s, which is not there", path, target)
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d imports were found", seen)
	}
}

func TestHeaders(t *testing.T) {
	for path, a := range load() {
		response := get(t, path, nil)
		policy := ContentSecurityPolicy
		if strings.HasSuffix(path, "/sandbox.html") {
			policy = response.Header.Get("Content-Security-Policy") // TestSandbox looks at it
		}
		for name, want := range map[string]string{
			"Content-Security-Policy": policy,
			"X-Content-Type-Options":  "nosniff",
			"Referrer-Policy":         "no-referrer",
			"Content-Type":            a.mediaType,
			"Etag":                    a.etag,
		} {
			if got := response.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
	}
	for _, path := range []string{"/ui/nothing", "/ui/../ui.go", "/ui/web/index.html", "/index.html", ""} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL.Path = path
		w := httptest.NewRecorder()
		Handler().ServeHTTP(w, r)
		if w.Code != http.StatusNotFound {
			t.Errorf("%q: status %d, want 404", path, w.Code)
		}
		if got := w.Header().Get("Content-Security-Policy"); got != ContentSecurityPolicy {
			t.Errorf("%q: a 404 without the policy", path)
		}
	}
}

func TestPolicy(t *testing.T) {
	for _, directive := range []string{
		"default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'", "manifest-src 'self'",
		"worker-src 'self'", "frame-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
		"require-trusted-types-for 'script'", "trusted-types trit",
	} {
		if !strings.Contains(ContentSecurityPolicy+";", directive+";") {
			t.Errorf("the policy lacks %s", directive)
		}
	}
	if strings.Contains(ContentSecurityPolicy, "unsafe") || strings.Contains(ContentSecurityPolicy, "*") {
		t.Errorf("the policy is lax: %s", ContentSecurityPolicy)
	}
}

// TestSandbox: the frame for scripts of models has its own script, workers, and nothing else.
func TestSandbox(t *testing.T) {
	at := 0
	for path, a := range load() {
		if !strings.HasSuffix(path, "/sandbox.html") {
			continue
		}
		at++
		header := get(t, path, nil).Header
		parts := strings.SplitN(string(a.plain), "<script>", 2)
		script, _, _ := strings.Cut(parts[1], "</script>")
		hash := sha256.Sum256([]byte(script))
		want := "sandbox allow-scripts; default-src 'none'; script-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) +
			"'; worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
		if got := header.Get("Content-Security-Policy"); got != want {
			t.Errorf("the policy is %q, want %q", got, want)
		}
		if got := header.Get("X-Frame-Options"); got != "SAMEORIGIN" {
			t.Errorf("X-Frame-Options is %q", got)
		}
	}
	if at != 1 {
		t.Errorf("there are %d frames", at)
	}
}

// TestWorker: the service worker knows all files of its version and nothing of another.
func TestWorker(t *testing.T) {
	response := get(t, "/ui/worker.js", nil)
	for name, want := range map[string]string{
		"Service-Worker-Allowed": "../", "Cache-Control": cacheRevalidate, "Content-Type": "text/javascript; charset=utf-8",
	} {
		if got := response.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	text := body(t, response)
	version := regexp.MustCompile(`VERSION = "(\w{16})"`).FindStringSubmatch(text)
	files := regexp.MustCompile(`FILES = "([^"]*)"`).FindStringSubmatch(text)
	if version == nil || files == nil {
		t.Fatalf("the worker is %s", text)
	}
	names := strings.Split(files[1], " ")
	for _, name := range names {
		if load()["/ui/"+version[1]+"/"+name] == nil {
			t.Errorf("%s is not there", name)
		}
	}
	if want := len(load()) - 4; len(names) != want { // the page at its three addresses, and the worker
		t.Errorf("the worker knows %d files, want %d", len(names), want)
	}
	for _, name := range []string{"index.html", "worker.js", "js/main.mjs"} {
		changed := webFiles(t)
		changed[name] = append(changed[name], ' ')
		s, err := newSite(changed)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(s["/ui/worker.js"].plain), version[1]) {
			t.Errorf("another %s has the same worker", name)
		}
	}
}

func TestMethods(t *testing.T) {
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
		response := do(t, method, "/", nil)
		if response.StatusCode != http.StatusMethodNotAllowed || response.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: status %d, Allow %q", method, response.StatusCode, response.Header.Get("Allow"))
		}
	}
	response := do(t, http.MethodHead, "/", nil)
	if response.StatusCode != http.StatusOK || body(t, response) != "" || response.Header.Get("Content-Length") == "0" {
		t.Errorf("HEAD: status %d, length %s", response.StatusCode, response.Header.Get("Content-Length"))
	}
}

func TestGzip(t *testing.T) {
	for _, test := range []struct {
		accept []string
		zipped bool
	}{
		{nil, false},
		{[]string{""}, false},
		{[]string{"gzip"}, true},
		{[]string{"br, GZIP;q=0.5"}, true},
		{[]string{"deflate", "gzip"}, true},
		{[]string{"gzip;q=0"}, false},
		{[]string{"gzip; q=0.0, *"}, false},
		{[]string{"*"}, true},
		{[]string{"*;q=0"}, false},
		{[]string{"gzip;q=high"}, false},
		{[]string{"identity"}, false},
	} {
		response := get(t, "/", http.Header{"Accept-Encoding": test.accept})
		text := body(t, response)
		zipped := response.Header.Get("Content-Encoding") == "gzip"
		if zipped != test.zipped {
			t.Errorf("Accept-Encoding %q: compressed is %v", test.accept, zipped)
			continue
		}
		if response.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("Accept-Encoding %q: Vary is %q", test.accept, response.Header.Get("Vary"))
		}
		if zipped {
			z, err := gzip.NewReader(strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			plain, err := io.ReadAll(z)
			if err != nil {
				t.Fatal(err)
			}
			text = string(plain)
		}
		if !strings.HasPrefix(text, "<!doctype html>") || !strings.HasSuffix(text, "</html>\n") {
			t.Errorf("Accept-Encoding %q: the page is not whole", test.accept)
		}
	}
}

func TestNotModified(t *testing.T) {
	gzipped := http.Header{"Accept-Encoding": {"gzip"}}
	plain, zipped := get(t, "/", nil).Header.Get("ETag"), get(t, "/", gzipped).Header.Get("ETag")
	if plain == "" || plain == zipped {
		t.Fatalf("the tags are %s and %s", plain, zipped)
	}
	for _, test := range []struct {
		match  string
		accept string
		status int
	}{
		{plain, "", 304},
		{zipped, "gzip", 304},
		{"W/" + plain, "", 304},
		{`"other", ` + plain, "", 304},
		{"*", "", 304},
		{plain, "gzip", 200},
		{`"other"`, "", 200},
	} {
		header := http.Header{"If-None-Match": {test.match}}
		if test.accept != "" {
			header.Set("Accept-Encoding", test.accept)
		}
		response := get(t, "/", header)
		if response.StatusCode != test.status {
			t.Errorf("If-None-Match %s with %q: status %d, want %d", test.match, test.accept, response.StatusCode, test.status)
		}
		if response.StatusCode == 304 && (body(t, response) != "" || response.Header.Get("ETag") == "" || response.Header.Get("Content-Security-Policy") == "") {
			t.Errorf("If-None-Match %s: a 304 with a body or without its headers", test.match)
		}
	}
}

// each calls f with every file of the page.
func each(t *testing.T, f func(name, text string)) {
	t.Helper()
	for name, data := range webFiles(t) {
		f("web/"+name, string(data))
	}
}

func TestNothingExternal(t *testing.T) {
	address := regexp.MustCompile(`(?i)(?:https?:)?//[a-z0-9-]+\.[a-z0-9.-]+`)
	each(t, func(name, text string) {
		for _, found := range address.FindAllString(text, -1) {
			if found != "http://www.w3.org" { // the name of SVG, which nobody fetches
				t.Errorf("%s names %s", name, found)
			}
		}
	})
}

func TestNothingInline(t *testing.T) {
	for what, pattern := range map[string]*regexp.Regexp{
		"an inline handler": regexp.MustCompile(`(?i)<[^>]*\son[a-z]+\s*=`),
		"an inline style":   regexp.MustCompile(`(?i)<[^>]*\sstyle\s*=|<style`),
		"an inline script":  regexp.MustCompile(`(?is)<script[^>]*>\s*[^<\s]`),
		"a javascript: URL": regexp.MustCompile(`(?i)["']\s*javascript:`),
	} {
		each(t, func(name, text string) {
			if strings.HasSuffix(name, ".html") || strings.HasSuffix(name, ".svg") {
				if name == "web/sandbox.html" {
					text = strings.Replace(text, "<script>", "", 1) // which its policy names by hash
				}
				if found := pattern.FindString(text); found != "" {
					t.Errorf("%s holds %s: %s", name, what, found)
				}
			}
		})
	}
}

// TestNothingParsesMarkup keeps the promise of the package comment.
func TestNothingParsesMarkup(t *testing.T) {
	sinks := regexp.MustCompile(`\b(innerHTML|outerHTML\s*\+?=|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|setHTMLUnsafe|srcdoc|eval\(|new Function|setAttribute\("(?:style|on))`)
	each(t, func(name, text string) {
		if strings.HasSuffix(name, "js") {
			if found := sinks.FindString(text); found != "" {
				t.Errorf("%s uses %s", name, found)
			}
		}
	})
}

func TestHashChangesWithEveryFile(t *testing.T) {
	base := map[string][]byte{"a": []byte("1"), "b": []byte("2")}
	seen := map[string]bool{hashAll(base): true}
	for _, other := range []map[string][]byte{
		{"a": []byte("1"), "b": []byte("3")},
		{"a": []byte("1"), "c": []byte("2")},
		{"a": []byte("1b"), "": []byte("2")},
		{"a": []byte("1")},
	} {
		hash := hashAll(other)
		if seen[hash] {
			t.Errorf("%v has the hash of another set", other)
		}
		seen[hash] = true
	}
}

func TestNewSiteErrors(t *testing.T) {
	if _, err := newSite(map[string][]byte{"a.css": nil}); err == nil {
		t.Error("a site without a page was accepted")
	}
	files := func(name, text string) map[string][]byte {
		return map[string][]byte{"index.html": []byte("x"), "worker.js": nil, "sandbox.html": nil, name: []byte(text)}
	}
	for name := range files("index.html", "") {
		less := files("index.html", "x")
		delete(less, name)
		if _, err := newSite(less); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
	if _, err := newSite(files("a.exe", "")); err == nil || !strings.Contains(err.Error(), "a.exe") {
		t.Errorf("a file of unknown type: %v", err)
	}
	s, err := newSite(files("index.html", "x"))
	if err != nil {
		t.Fatal(err)
	}
	if a := s["/"]; a.zipped != nil || !bytes.Equal(a.plain, []byte("x")) {
		t.Error("a body that compression makes longer was compressed")
	}
}
