package hub

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"trit/internal/atomicfile"
)

// DefaultEndpoint is the hub that is asked where HF_ENDPOINT is not set.
const DefaultEndpoint = "https://huggingface.co"

// tuning holds the numbers that tests make small.
type tuning struct {
	segment    int64         // bytes that one request asks for
	retries    int           // failures in a row, without progress between, that end a download
	progress   int64         // new bytes that count as progress
	backoff    time.Duration // wait after the first failure; it doubles with every further one
	maxBackoff time.Duration
	maxWait    time.Duration // longest wait that a server's Retry-After may impose
	stall      time.Duration // silence after which a connection is given up
	save       time.Duration // between two records of the state on disk
	report     time.Duration // between two calls of Progress
	freeSpace  func(dir string) (uint64, error)
	openPart   func(path string) (partFile, error)
}

func defaultTuning() tuning {
	return tuning{
		segment: 16 << 20, retries: 5, progress: 64 << 10,
		backoff: 500 * time.Millisecond, maxBackoff: 20 * time.Second, maxWait: 5 * time.Minute,
		stall: time.Minute, save: time.Second, report: 50 * time.Millisecond,
		freeSpace: atomicfile.FreeSpace, openPart: openPart,
	}
}

// client speaks to the hub and to the hosts it redirects to.
type client struct {
	http        *http.Client
	endpoint    *url.URL
	token       string // sent to the endpoint only
	tune        tuning
	log         *slog.Logger
	connections chan struct{} // a slot for each connection that may transfer
	connected   atomic.Bool   // whether any server has answered
}

func newClient(o *PullOptions, t tuning) (*client, error) {
	endpoint := o.Endpoint
	if endpoint == "" {
		endpoint = os.Getenv("HF_ENDPOINT")
	}
	if endpoint == "" {
		endpoint = DefaultEndpoint
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("%w: the endpoint of the hub is %q; want a URL such as %s", ErrName, endpoint, DefaultEndpoint)
	}
	token := o.Token
	if token == "" {
		if token, err = tokenFromEnvironment(); err != nil {
			return nil, err
		}
	}
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 20 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   20 * time.Second,
		ResponseHeaderTimeout: t.stall,
		IdleConnTimeout:       30 * time.Second,
		MaxIdleConnsPerHost:   o.connections(),
		Protocols:             http1(),
		DisableCompression:    true, // lengths and ranges are those of the file
	}
	return &client{
		// Redirects are followed by hand, because net/http passes the token on to
		// other ports and subdomains of a host.
		http:        &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		endpoint:    u,
		token:       token,
		tune:        t,
		log:         o.logger(),
		connections: make(chan struct{}, o.connections()),
	}, nil
}

// http1 is the version of HTTP for files, whose parts come over connections of their
// own: one of HTTP/2 would share its window among them.
func http1() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	return p
}

// close ends idle connections.
func (c *client) close() { c.http.CloseIdleConnections() }

// tokenFromEnvironment looks for an access token where the hub's own tools do.
// Without one the result is empty.
func tokenFromEnvironment() (string, error) {
	for _, key := range []string{"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"} {
		if t := strings.TrimSpace(os.Getenv(key)); t != "" {
			return checkToken(t, key)
		}
	}
	file := os.Getenv("HF_TOKEN_PATH")
	if file == "" {
		home := os.Getenv("HF_HOME")
		if home == "" {
			cache := os.Getenv("XDG_CACHE_HOME")
			if cache == "" {
				user, err := os.UserHomeDir()
				if err != nil {
					return "", nil // no home, hence no file in it
				}
				cache = filepath.Join(user, ".cache")
			}
			home = filepath.Join(cache, "huggingface")
		}
		file = filepath.Join(home, "token")
	}
	f, err := os.Open(file)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("%w: the file with the token: %w", ErrAccess, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return "", fmt.Errorf("%w: the file with the token: %w", ErrAccess, err)
	}
	return checkToken(strings.TrimSpace(string(data)), file)
}

func checkToken(t, where string) (string, error) {
	if strings.ContainsFunc(t, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "", fmt.Errorf("%w: %s holds no valid token: it has spaces or other characters that tokens do not have", ErrAccess, where)
	}
	return t, nil
}

// response is an answer with status 200 to 299.
type response struct {
	*http.Response
	linkedETag string // X-Linked-Etag of the endpoint: the checksum of a large file
	linkedSize int64  // X-Linked-Size of the endpoint, or -1
	commit     string // X-Repo-Commit of the endpoint
}

// maxRedirects bounds the length of a chain of redirects.
const maxRedirects = 10

// get sends one request and follows its redirects. Any other answer than
// success is an error: a *statusError, a *netError, or a permanent one. The
// caller closes the body.
func (c *client) get(ctx context.Context, u *url.URL, header http.Header) (*response, error) {
	result := &response{linkedSize: -1}
	for range maxRedirects {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: the URL cannot be asked for", ErrName, show(u))
		}
		req.Header = header.Clone()
		if req.Header == nil {
			req.Header = http.Header{}
		}
		req.Header.Set("User-Agent", "trit")
		req.Header.Set("Accept-Encoding", "identity")
		home := sameOrigin(u, c.endpoint)
		if home && c.token != "" {
			req.Header.Set("Authorization", "Bearer "+c.token)
		}
		resp, err := c.http.Do(req)
		if err != nil {
			return nil, c.requestError(ctx, u, err)
		}
		c.connected.Store(true)
		if home {
			if s := resp.Header.Get("X-Linked-Etag"); s != "" {
				result.linkedETag = strings.Trim(strings.TrimPrefix(s, "W/"), `"`)
			}
			if n, err := strconv.ParseInt(resp.Header.Get("X-Linked-Size"), 10, 64); err == nil {
				result.linkedSize = n
			}
			if s := resp.Header.Get("X-Repo-Commit"); s != "" {
				result.commit = s
			}
		}
		switch {
		case resp.StatusCode >= 200 && resp.StatusCode < 300:
			result.Response = resp
			return result, nil
		case resp.StatusCode >= 300 && resp.StatusCode < 400 && resp.StatusCode != http.StatusNotModified:
			next, err := redirection(u, resp)
			drain(resp.Body)
			if err != nil {
				return nil, err
			}
			u = next
		default:
			return nil, newStatusError(u, home, resp)
		}
	}
	return nil, fmt.Errorf("%w: %s: more than %d redirects", ErrServer, show(u), maxRedirects)
}

// redirection returns where a response leads.
func redirection(from *url.URL, resp *http.Response) (*url.URL, error) {
	to, err := from.Parse(resp.Header.Get("Location"))
	switch {
	case err != nil || resp.Header.Get("Location") == "":
		return nil, fmt.Errorf("%w: %s redirects (status %d) to nowhere", ErrServer, show(from), resp.StatusCode)
	case to.Scheme != "https" && to.Scheme != "http" || to.Hostname() == "":
		return nil, fmt.Errorf("%w: %s redirects to %s, which is not a web address", ErrServer, show(from), show(to))
	case from.Scheme == "https" && to.Scheme == "http":
		return nil, fmt.Errorf("%w: %s redirects to %s without encryption", ErrServer, show(from), show(to))
	}
	return to, nil
}

// drain reads what little is left of a body, so that its connection can be used
// again, and closes it.
func drain(body io.ReadCloser) {
	io.CopyN(io.Discard, body, 4096)
	body.Close()
}

// netError is a failure between here and the server. Trying again may help.
type netError struct {
	where string
	err   error
}

func (e *netError) Error() string { return fmt.Sprintf("%s: %v", e.where, e.err) }
func (e *netError) Unwrap() error { return e.err }

// errStalled is the cause of cancelling a request that has fallen silent.
var errStalled = errors.New("the server has fallen silent")

// requestError explains why a request or the reading of its answer failed,
// without the URL's query, which net/http puts into its errors.
func (c *client) requestError(ctx context.Context, u *url.URL, err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
		if !errors.Is(cause, errStalled) {
			return fmt.Errorf("hub: %s: %w", show(u), err)
		}
	}
	var cert *tls.CertificateVerificationError
	if errors.As(err, &cert) {
		return fmt.Errorf("%w: %s cannot prove who it is: %w", ErrServer, u.Host, err)
	}
	return &netError{show(u), err}
}

// offline reports an error that comes from having no way to the server.
func offline(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	return errors.As(err, &dns) || errors.As(err, &op) && (op.Op == "dial" || op.Op == "proxyconnect")
}

// statusError is an answer that is not a success.
type statusError struct {
	status  int
	url     string
	host    string
	home    bool   // from the endpoint itself
	code    string // X-Error-Code
	message string // what the server says, cleaned
	wait    time.Duration
}

func newStatusError(u *url.URL, home bool, resp *http.Response) *statusError {
	defer drain(resp.Body)
	e := &statusError{status: resp.StatusCode, url: show(u), host: u.Host, home: home, code: clean(resp.Header.Get("X-Error-Code")), message: resp.Header.Get("X-Error-Message")}
	if e.message == "" {
		var answer struct {
			Error string `json:"error"`
		}
		if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&answer); err == nil {
			e.message = answer.Error
		}
	}
	e.message = clean(e.message)
	if s := resp.Header.Get("Retry-After"); s != "" {
		if n, err := strconv.Atoi(s); err == nil && n >= 0 {
			e.wait = time.Duration(min(n, 1<<20)) * time.Second
		} else if t, err := http.ParseTime(s); err == nil {
			e.wait = max(0, time.Until(t))
		}
	}
	return e
}

// clean makes a server's words fit for a terminal.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "") + "…"
	}
	return strings.TrimSpace(s)
}

func (e *statusError) Error() string {
	s := fmt.Sprintf("%s answers %d %s", e.url, e.status, http.StatusText(e.status))
	if e.message != "" {
		s += ": " + e.message
	}
	return s
}

// transient reports answers that may differ the next time.
func (e *statusError) transient() bool {
	switch e.status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		return !e.home // a signed address that has expired: the endpoint gives another
	}
	return false
}

// explain turns the last error of an operation into what the caller gets.
func (c *client) explain(err error) error {
	var se *statusError
	var ne *netError
	switch {
	case errors.As(err, &se):
		switch {
		case se.code == "GatedRepo" || se.status == http.StatusForbidden:
			return fmt.Errorf("%w: %w; accept the model's terms on its page and %s", ErrAccess, err, c.tokenHint())
		case se.status == http.StatusUnauthorized:
			return fmt.Errorf("%w: %w; it does not exist or is not public: %s", ErrAccess, err, c.tokenHint())
		case se.status == http.StatusNotFound || se.status == http.StatusGone:
			return fmt.Errorf("%w: %w; check the spelling of repository, revision and file", ErrRemote, err)
		case se.status == http.StatusTooManyRequests:
			return fmt.Errorf("%w: %w; too many requests have come from here, try again later", ErrServer, err)
		}
		return fmt.Errorf("%w: %w", ErrServer, err)
	case errors.As(err, &ne) && offline(err):
		return fmt.Errorf("%w: %w; is this machine online? Models that are installed work without a network", ErrOffline, err)
	case errors.As(err, &ne):
		return fmt.Errorf("%w: %w", ErrServer, err)
	}
	return err
}

func (c *client) tokenHint() string {
	if c.token == "" {
		return "set HF_TOKEN to an access token"
	}
	return "check that the access token (HF_TOKEN) is valid and may read it"
}

// retry calls try until it succeeds, fails for good, or has failed too often in
// a row. try returns how many new bytes it got; enough of them, and the count of
// failures begins anew.
func (c *client) retry(ctx context.Context, try func() (int64, error)) error {
	failures := 0
	for {
		n, err := try()
		if err == nil {
			return nil
		}
		if cause := context.Cause(ctx); cause != nil {
			return fmt.Errorf("hub: stopped: %w", cause)
		}
		if n >= c.tune.progress {
			failures = 0
		}
		failures++
		wait, again := c.wait(err, failures)
		if !again {
			return c.explain(err)
		}
		c.log.Debug("hub: trying again", "failures", failures, "wait", wait, "error", err)
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// wait decides whether to try again after an error, and when.
func (c *client) wait(err error, failures int) (time.Duration, bool) {
	limit := c.tune.retries
	var least time.Duration
	var se *statusError
	var ne *netError
	switch {
	case errors.As(err, &se):
		if !se.transient() || se.wait > c.tune.maxWait {
			return 0, false
		}
		least = se.wait
	case errors.As(err, &ne):
		if offline(err) && !c.connected.Load() {
			limit = min(limit, 2) // never online: say so soon
		}
	default:
		return 0, false
	}
	if failures > limit {
		return 0, false
	}
	backoff := min(c.tune.backoff<<min(failures-1, 20), c.tune.maxBackoff)
	// Half of it is by chance, so that many clients do not come back at once.
	backoff = backoff/2 + time.Duration(rand.Int64N(int64(backoff/2)+1))
	return max(backoff, least), true
}

// sleep waits, or returns early with the context's error.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("hub: stopped: %w", context.Cause(ctx))
	}
}
