package hub

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// answers is a hub that gives two answers in turns, whatever it is asked.
type answers struct {
	t      *testing.T
	home   *url.URL
	status [2]int
	body   [2]string
	header http.Header
	n      int
}

// RoundTrip implements http.RoundTripper.
func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.Contains(r.Header.Get("Authorization"), "secret") && !sameOrigin(r.URL, a.home) {
		a.t.Errorf("the token is sent to %s", r.URL)
	}
	if r.URL.Scheme != "https" {
		a.t.Errorf("%s is asked for something", r.URL)
	}
	if a.n++; a.n > 1000 {
		a.t.Fatal("the hub is asked more than a thousand times")
	}
	i := a.n % 2
	return &http.Response{StatusCode: a.status[i], Header: a.header.Clone(), Request: r, ContentLength: int64(len(a.body[i])),
		Body: io.NopCloser(strings.NewReader(a.body[i]))}, nil
}

// FuzzAnswers has a hub answer anything to the questions about a repository and about a file: status, redirects, links
// to further pages, sizes, errors, JSON. None of it panics, goes on forever, gives the token to others, or makes a file
// of a bad name.
func FuzzAnswers(f *testing.F) {
	const info = `{"sha":"0123456789012345678901234567890123456789","tags":["license:mit"],"cardData":{"license":"other","license_name":"x"}}`
	const list = `[{"type":"file","path":"a.gguf","size":3,"lfs":{"oid":"` +
		`0000000000000000000000000000000000000000000000000000000000000000","size":3}},{"type":"file","path":"README.md"}]`
	f.Add(uint16(200), uint16(200), list, info, "", "", "", "", "")
	f.Add(uint16(200), uint16(200), list, info, "", `<https://huggingface.co/api/models/o/r/tree/main?cursor=x>; rel="next"`, "", "", "")
	f.Add(uint16(200), uint16(200), list, info, "", `</api?cursor=x>; rel="next", <https://example.org>; rel="next"`, "", "", "")
	f.Add(uint16(302), uint16(302), "", "", "https://example.org/x?y", "", "", "", "")
	f.Add(uint16(302), uint16(200), list, info, "/elsewhere", "", "", "", "")
	f.Add(uint16(307), uint16(301), "", "", "file:///etc/passwd", "", "", "", "")
	f.Add(uint16(302), uint16(302), "", "", "http://huggingface.co/", "", "", "", "")
	f.Add(uint16(206), uint16(206), "G", "G", "", "", "bytes 0-0/12345", `"abc"`, "")
	f.Add(uint16(206), uint16(206), "G", "G", "", "", "bytes 0-0/*", `W/"abc"`, "")
	f.Add(uint16(416), uint16(416), "", "", "", "", "bytes */0", "", "")
	f.Add(uint16(429), uint16(503), `{"error":"x"}`, "\x1b[2J", "", "", "", "", "1")
	f.Add(uint16(401), uint16(403), `{"error":"x"}`, `{"error":{"message":1}}`, "", "", "", "", "Sun, 06 Nov 1994 08:49:37 GMT")
	f.Add(uint16(404), uint16(200), list, info, "", "", "", "", "99999999999")
	endpoint, err := url.Parse(DefaultEndpoint)
	if err != nil {
		f.Fatal(err)
	}
	tune := defaultTuning()
	tune.retries, tune.backoff, tune.maxBackoff, tune.maxWait = 1, 1, 1, 1
	f.Fuzz(func(t *testing.T, status, second uint16, body, more, location, link, contentRange, etag, retryAfter string) {
		a := &answers{t: t, home: endpoint, status: [2]int{100 + (int(status)+400)%500, 100 + (int(second)+400)%500}, body: [2]string{body, more},
			header: http.Header{}}
		for name, value := range map[string]string{"Location": location, "Link": link, "Content-Range": contentRange, "Etag": etag,
			"X-Linked-Etag": etag, "Retry-After": retryAfter, "X-Error-Code": etag, "X-Error-Message": location} {
			if value != "" {
				a.header.Set(name, value)
			}
		}
		c := &client{endpoint: endpoint, token: "secret", tune: tune, log: slog.New(slog.DiscardHandler),
			http: &http.Client{Transport: a, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
		start := time.Now()
		for a.n = range 2 {
			r, err := c.list(t.Context(), "o/r", "")
			if err != nil {
				checkAnswer(t, c.explain(err))
				continue
			}
			for _, file := range r.files {
				if checkFilePath(file.path) != nil || file.size < 0 || !sameOrigin(file.url, endpoint) {
					t.Errorf("%+v", file)
				}
			}
			if s, err := r.choose(""); err == nil && len(s.files()) == 0 {
				t.Error("nothing was chosen without an error")
			}
		}
		for a.n = range 2 {
			file := &remoteFile{path: "a.gguf", url: endpoint.JoinPath("a.gguf")}
			if err := c.probe(t.Context(), file); err != nil {
				checkAnswer(t, c.explain(err))
			} else if file.size < -1 {
				t.Errorf("%+v", file)
			}
		}
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("it takes %v", d)
		}
	})
}

// checkAnswer looks for what no message may have.
func checkAnswer(t *testing.T, err error) {
	t.Helper()
	if text := err.Error(); strings.Contains(text, "secret") || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		t.Errorf("%q", text)
	}
	if errors.Is(err, http.ErrUseLastResponse) {
		t.Error(err)
	}
}
