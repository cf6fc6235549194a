// Package ui is the chat page of the server: plain HTML, CSS and ES modules,
// embedded in the binary and served as they are, without a build step. Only so
// that they take a quarter of the room they are embedded as one compressed file,
// web.gz, which "go test ./server/ui -run TestPacked -update" makes anew.
//
// [Handler] answers GET and HEAD for "/", "/ui" and everything below "/ui/".
// The page asks nothing but the APIs of the origin that it came from: GET
// v1/models and v1/models/{id}, POST v1/chat/completions (with stream and
// stream_options.include_usage), GET props and POST tokenize; for its list of
// models POST models/load, models/unload, api/show and api/pull, DELETE
// api/delete and GET ui/catalogue. It keeps its conversations in the browser.
// All its addresses are relative, so a proxy may put the server under a path of
// its own.
//
// # Safety
//
// What a model writes is never trusted: the page builds document nodes from it
// and never parses it as HTML, and the Content-Security-Policy forbids what
// would be needed to do harm anyway: inline scripts and styles, other origins,
// and, through Trusted Types, every API that turns strings into markup.
//
// JavaScript that a model has written runs, if the user wants that, in a frame with an
// origin of its own, whose policy allows workers and nothing else.
//
// # Caching
//
// A service worker, /ui/worker.js, keeps the page and its assets for times when the
// server is away, and leaves the APIs alone.
//
// Assets live under a folder that is named after a hash of all of them
// (/ui/<hash>/js/main.mjs), so browsers may keep them for ever, and a new
// version of the program never mixes with files of the old one. The page
// itself is revalidated each time by its ETag. All bodies are compressed once,
// when the handler is made.
package ui

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// packed holds the files of the folder web, as pack writes them.
//
//go:embed web.gz
var packed []byte

// ContentSecurityPolicy is the policy that every answer of [Handler] carries.
// The one policy of Trusted Types is that of the service worker's address.
const ContentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; manifest-src 'self'; worker-src 'self'; frame-src 'self'; base-uri 'none'; " +
	"form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types trit"

// sandboxPolicy is that of the frame for scripts of models; the hash of its own script belongs into it.
const sandboxPolicy = "sandbox allow-scripts; default-src 'none'; script-src 'sha256-%s'; worker-src blob:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'self'"

// assetsMark stands in files where the folder of the assets belongs, filesMark where their names do.
const (
	assetsMark = "%ASSETS%"
	filesMark  = "%FILES%"
)

// Files that are not served like the others.
const (
	pageName    = "index.html"
	workerName  = "worker.js"
	sandboxName = "sandbox.html"
)

const (
	cacheForever    = "public, max-age=31536000, immutable"
	cacheRevalidate = "no-cache"
)

// mediaTypes names the type of every kind of file in web. It does not depend
// on the tables of the operating system.
var mediaTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".mjs":  "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",

	".webmanifest": "application/manifest+json",
}

// asset is one body with its headers, ready to send.
type asset struct {
	mediaType string
	cache     string
	plain     []byte
	zipped    []byte            // nil if compression does not pay
	etag      string            // of plain, with quotes
	zipTag    string            // of zipped, with quotes
	headers   map[string]string // beside, or instead of, those of all
}

// site maps request paths to assets.
type site map[string]*asset

// load builds the site once per process.
var load = sync.OnceValue(func() site {
	contents, err := unpack(packed)
	if err != nil {
		panic("ui: web.gz is broken: " + err.Error())
	}
	s, err := newSite(contents)
	if err != nil {
		panic("ui: the embedded page is broken: " + err.Error())
	}
	return s
})

// Handler returns a handler that serves the chat page at "/", "/ui" and "/ui/"
// and its assets below "/ui/". It answers GET and HEAD, compresses with gzip for
// clients that accept it, honours If-None-Match, and sets the page's
// [ContentSecurityPolicy]. Other paths give 404. It needs no authorisation: the
// page asks for a key when the API wants one.
func Handler() http.Handler {
	return load()
}

// unpack reads what pack has written: the files by their names.
func unpack(packed []byte) (map[string][]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	r := bufio.NewReader(z)
	contents := map[string][]byte{}
	for {
		head, err := r.ReadString('\n')
		if err == io.EOF && head == "" {
			return contents, nil
		}
		if err != nil {
			return nil, err
		}
		size, name, _ := strings.Cut(strings.TrimSuffix(head, "\n"), " ")
		n, err := strconv.ParseUint(size, 10, 24)
		if err != nil {
			return nil, err
		}
		body := make([]byte, n)
		if _, err := io.ReadFull(r, body); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		contents[name] = body
	}
}

// inlineScript returns what stands within the first script element of a page.
func inlineScript(page []byte) []byte {
	_, rest, _ := bytes.Cut(page, []byte("<script>"))
	script, _, _ := bytes.Cut(rest, []byte("</script>"))
	return script
}

// newSite makes the assets of files, of which one is index.html. The map is its own then.
func newSite(contents map[string][]byte) (site, error) {
	for _, name := range []string{pageName, workerName, sandboxName} {
		if _, ok := contents[name]; !ok {
			return nil, fmt.Errorf("web/%s: %w", name, fs.ErrNotExist)
		}
	}
	hash := hashAll(contents)
	page, worker, script := contents[pageName], contents[workerName], inlineScript(contents[sandboxName])
	delete(contents, pageName)
	delete(contents, workerName)
	s := site{}
	var err error
	for name, body := range contents {
		s["/ui/"+hash+"/"+name], err = newAsset(name, body, cacheForever)
		if err != nil {
			return nil, err
		}
	}
	sum := sha256.Sum256(script)
	s["/ui/"+hash+"/"+sandboxName].headers = map[string]string{
		"Content-Security-Policy": fmt.Sprintf(sandboxPolicy, base64.StdEncoding.EncodeToString(sum[:])),
		"X-Frame-Options":         "SAMEORIGIN",
	}
	names := strings.Join(slices.Sorted(maps.Keys(contents)), " ")
	worker = []byte(strings.NewReplacer(assetsMark, hash, filesMark, names).Replace(string(worker)))
	if s["/ui/"+workerName], err = newAsset(workerName, worker, cacheRevalidate); err != nil {
		return nil, err
	}
	// It lies in a folder and is for the page above it. The address is relative to its own.
	s["/ui/"+workerName].headers = map[string]string{"Service-Worker-Allowed": "../"}
	// A page below "/" or "/ui" finds the folder as ui/<hash>, one below "/ui/"
	// as <hash>: relative addresses survive a proxy that adds a path.
	for at, folder := range map[string]string{"/": "ui/" + hash, "/ui": "ui/" + hash, "/ui/": hash} {
		s[at], err = newAsset(pageName, bytes.ReplaceAll(page, []byte(assetsMark), []byte(folder)), cacheRevalidate)
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

// ServeHTTP implements [http.Handler].
func (s site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Security-Policy", ContentSecurityPolicy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		http.Error(w, "the page answers GET and HEAD only", http.StatusMethodNotAllowed)
		return
	}
	a := s[r.URL.Path]
	if a == nil {
		header.Set("Cache-Control", "no-store")
		http.Error(w, "the page has no file of this name", http.StatusNotFound)
		return
	}
	header.Set("Content-Type", a.mediaType)
	header.Set("Cache-Control", a.cache)
	for name, value := range a.headers {
		header.Set(name, value)
	}
	body, tag := a.plain, a.etag
	if a.zipped != nil {
		header.Add("Vary", "Accept-Encoding")
		if acceptsGzip(r.Header.Values("Accept-Encoding")) {
			header.Set("Content-Encoding", "gzip")
			body, tag = a.zipped, a.zipTag
		}
	}
	header.Set("ETag", tag)
	if matches(r.Header.Values("If-None-Match"), tag) {
		header.Del("Content-Encoding")
		header.Del("Content-Type")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodGet {
		_, _ = w.Write(body) // the client has gone if this fails; nobody is left to tell
	}
}

// newAsset compresses a body and computes its tags.
func newAsset(name string, body []byte, cache string) (*asset, error) {
	mediaType, ok := mediaTypes[path.Ext(name)]
	if !ok {
		return nil, fmt.Errorf("web/%s: no media type is known for %q; add it to mediaTypes", name, path.Ext(name))
	}
	sum := sha256.Sum256(body)
	tag := hex.EncodeToString(sum[:12])
	a := &asset{mediaType: mediaType, cache: cache, plain: body, etag: `"` + tag + `"`, zipTag: `"` + tag + `-gzip"`}
	var zipped bytes.Buffer
	z, err := gzip.NewWriterLevel(&zipped, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(body); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	if zipped.Len() < len(body) {
		a.zipped = zipped.Bytes()
	}
	return a, nil
}

// hashAll returns a short hash of the names and contents of all files.
func hashAll(contents map[string][]byte) string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(contents)) {
		fmt.Fprintf(h, "%d %s %d ", len(name), name, len(contents[name]))
		h.Write(contents[name])
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// acceptsGzip reads Accept-Encoding headers: gzip, x-gzip or * with a quality above 0.
// The entry for gzip itself decides over the one for *.
func acceptsGzip(headers []string) bool {
	star := false
	for _, header := range headers {
		for part := range strings.SplitSeq(header, ",") {
			name, params, _ := strings.Cut(part, ";")
			quality := 1.0
			if q, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
				parsed, err := strconv.ParseFloat(strings.TrimSpace(q), 64)
				if err != nil {
					continue
				}
				quality = parsed
			}
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "gzip", "x-gzip":
				return quality > 0
			case "*":
				star = quality > 0
			}
		}
	}
	return star
}

// matches reports whether an If-None-Match header names the tag (weakly compared) or any tag at all.
func matches(headers []string, tag string) bool {
	for _, header := range headers {
		for part := range strings.SplitSeq(header, ",") {
			part = strings.TrimSpace(part)
			if part == "*" || strings.TrimPrefix(part, "W/") == tag {
				return true
			}
		}
	}
	return false
}
