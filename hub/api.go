package hub

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// remoteFile is a file that can be downloaded, with what is known about it.
type remoteFile struct {
	path   string // in the repository, or the last element of a URL's path
	url    *url.URL
	size   int64  // bytes, or -1
	sha256 string // in lower-case hex, or ""
	blob   string // git's SHA-1 of the content, or ""
	etag   string // for files without a checksum: a strong ETag or the time of change, or ""
	whole  bool   // the server does not send parts of it
}

// identity returns what tells one version of the file from another, or "".
func (f *remoteFile) identity() string {
	switch {
	case f.sha256 != "":
		return "sha256:" + f.sha256
	case f.blob != "":
		return "git:" + f.blob
	case f.etag != "":
		return "etag:" + f.etag
	}
	return ""
}

// Bounds of what the hub may answer.
const (
	maxAnswer  = 32 << 20 // bytes of one answer
	maxPages   = 100      // of a listing
	maxEntries = 100_000  // of a listing
)

// repository is a revision of a repository on the hub.
type repository struct {
	name    string
	commit  string // the revision as a commit, or as it was asked for where the hub does not tell
	license string
	files   []remoteFile
}

// list asks the hub for the files of a repository.
func (c *client) list(ctx context.Context, name, revision string) (*repository, error) {
	if revision == "" {
		revision = "main"
	}
	r := &repository{name: name, commit: revision}
	if err := c.info(ctx, r); err != nil {
		return nil, err
	}
	next, err := c.endpointURL("/api/models/" + name + "/tree/" + url.PathEscape(r.commit) + "?recursive=true")
	if err != nil {
		return nil, err
	}
	for page := 0; next != nil; page++ {
		if page == maxPages || len(r.files) > maxEntries {
			return nil, fmt.Errorf("%w: the repository %s has more than %d files", ErrServer, name, len(r.files))
		}
		var entries []treeEntry
		header, err := c.getJSON(ctx, next, &entries)
		if err != nil {
			return nil, err
		}
		if err := c.addEntries(r, entries); err != nil {
			return nil, err
		}
		if next, err = c.nextPage(next, header); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// info asks for the commit that a revision stands for, and for the licence.
// Mirrors that do not answer this question are used without the answer.
func (c *client) info(ctx context.Context, r *repository) error {
	u, err := c.endpointURL("/api/models/" + r.name + "/revision/" + url.PathEscape(r.commit))
	if err != nil {
		return err
	}
	var answer struct {
		SHA  string   `json:"sha"`
		Tags []string `json:"tags"`
		Card struct {
			License     any    `json:"license"`
			LicenseName string `json:"license_name"`
		} `json:"cardData"`
	}
	if _, err = c.getJSON(ctx, u, &answer); err != nil {
		var se *statusError
		if errors.As(err, &se) && se.status == http.StatusNotFound && se.code == "" {
			c.log.Info("hub: the server does not tell what a revision stands for", "repository", r.name)
			return nil
		}
		return err
	}
	if commitPattern.MatchString(answer.SHA) {
		r.commit = answer.SHA
	}
	r.license, _ = answer.Card.License.(string)
	for _, tag := range answer.Tags {
		if l, ok := strings.CutPrefix(tag, "license:"); ok && r.license == "" {
			r.license = l
		}
	}
	if r.license == "other" && answer.Card.LicenseName != "" {
		r.license = answer.Card.LicenseName
	}
	r.license = clean(r.license)
	return nil
}

var (
	commitPattern = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)
	sha256Pattern = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// treeEntry is an element of the hub's listing of a repository.
type treeEntry struct {
	Type string `json:"type"`
	OID  string `json:"oid"` // git's checksum
	Size int64  `json:"size"`
	Path string `json:"path"`
	LFS  *struct {
		OID  string `json:"oid"` // SHA-256 of the content
		Size int64  `json:"size"`
	} `json:"lfs"`
}

// addEntries checks a page of the listing and adds its files to r.
func (c *client) addEntries(r *repository, entries []treeEntry) error {
	for _, e := range entries {
		if e.Type != "file" {
			continue
		}
		if err := checkFilePath(e.Path); err != nil {
			return err
		}
		f := remoteFile{path: e.Path, size: e.Size}
		switch oid := strings.ToLower(e.OID); {
		case e.LFS != nil:
			f.size = e.LFS.Size
			f.sha256 = strings.TrimPrefix(strings.ToLower(e.LFS.OID), "sha256:")
			if !sha256Pattern.MatchString(f.sha256) {
				return fmt.Errorf("%w: the listing of %s gives %q as the checksum of %s", ErrServer, r.name, clean(e.LFS.OID), e.Path)
			}
		case len(oid) == 40 && commitPattern.MatchString(oid):
			f.blob = oid
		}
		if f.size < 0 {
			return fmt.Errorf("%w: the listing of %s gives %s a size of %d bytes", ErrServer, r.name, e.Path, f.size)
		}
		var escaped []string
		for _, element := range strings.Split(e.Path, "/") {
			escaped = append(escaped, url.PathEscape(element))
		}
		var err error
		if f.url, err = c.endpointURL("/" + r.name + "/resolve/" + url.PathEscape(r.commit) + "/" + strings.Join(escaped, "/")); err != nil {
			return err
		}
		r.files = append(r.files, f)
	}
	return nil
}

// nextPage returns the address of a listing's next page, or nil.
func (c *client) nextPage(this *url.URL, header http.Header) (*url.URL, error) {
	for _, link := range strings.Split(header.Get("Link"), ",") {
		address, relation, ok := strings.Cut(link, ";")
		if !ok || !strings.Contains(relation, `rel="next"`) {
			continue
		}
		next, err := this.Parse(strings.Trim(strings.TrimSpace(address), "<>"))
		if err != nil || !sameOrigin(next, c.endpoint) {
			return nil, fmt.Errorf("%w: the listing at %s goes on at a bad address", ErrServer, show(this))
		}
		return next, nil
	}
	return nil, nil
}

// getJSON asks for a JSON document, again and again if need be.
func (c *client) getJSON(ctx context.Context, u *url.URL, v any) (http.Header, error) {
	var header http.Header
	err := c.retry(ctx, func() (int64, error) {
		ctx, cancel := context.WithTimeoutCause(ctx, c.tune.stall, errStalled)
		defer cancel()
		resp, err := c.get(ctx, u, http.Header{"Accept": {"application/json"}})
		if err != nil {
			return 0, err
		}
		defer drain(resp.Body)
		data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
		if err != nil {
			return 0, c.requestError(ctx, u, err)
		}
		if len(data) > maxAnswer {
			return 0, fmt.Errorf("%w: the answer of %s is larger than %d bytes", ErrServer, show(u), maxAnswer)
		}
		if err := json.Unmarshal(data, v); err != nil {
			return 0, fmt.Errorf("%w: %s answers something else than the hub would: %w", ErrServer, show(u), err)
		}
		header = resp.Header
		return 0, nil
	})
	return header, err
}

// endpointURL returns the address of a path, which is escaped, on the endpoint.
func (c *client) endpointURL(path string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSuffix(c.endpoint.String(), "/") + path)
	if err != nil {
		return nil, fmt.Errorf("%w: %s on the hub %s", ErrName, path, show(c.endpoint))
	}
	return u, nil
}

// probe asks about a file that no listing describes: how large it is, what tells
// its version, and whether the server sends parts of it.
func (c *client) probe(ctx context.Context, f *remoteFile) error {
	return c.retry(ctx, func() (int64, error) {
		ctx, cancel := context.WithTimeoutCause(ctx, c.tune.stall, errStalled)
		defer cancel()
		resp, err := c.get(ctx, f.url, http.Header{"Range": {"bytes=0-0"}})
		var se *statusError
		if errors.As(err, &se) && se.status == http.StatusRequestedRangeNotSatisfiable {
			f.size, f.whole = -1, true // probably empty; reading it will tell
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close() // not drained: this may be the whole file
		f.etag = validator(resp.Header)
		switch resp.StatusCode {
		case http.StatusPartialContent:
			_, _, total, err := contentRange(resp.Header)
			if err != nil {
				return 0, fmt.Errorf("%w: %s: %w", ErrServer, show(f.url), err)
			}
			f.size, f.whole = total, total < 0
		default:
			f.size, f.whole = resp.ContentLength, true
		}
		if sha256Pattern.MatchString(resp.linkedETag) {
			f.sha256 = resp.linkedETag
		}
		return 0, nil
	})
}

// validator returns what tells one version of an answer's content from another
// byte for byte, or "".
func validator(h http.Header) string {
	if e := h.Get("ETag"); e != "" && !strings.HasPrefix(e, "W/") {
		return e
	}
	if t, err := http.ParseTime(h.Get("Last-Modified")); err == nil {
		return t.UTC().Format(time.RFC3339)
	}
	return ""
}

// contentRange reads the header of a partial answer. total is -1 where the
// server does not know it.
func contentRange(h http.Header) (first, last, total int64, err error) {
	s := h.Get("Content-Range")
	var whole string
	if n, _ := fmt.Sscanf(s, "bytes %d-%d/%s", &first, &last, &whole); n != 3 || first < 0 || last < first {
		return 0, 0, 0, fmt.Errorf("the header Content-Range is %q", clean(s))
	}
	total = -1
	if whole != "*" {
		if n, _ := fmt.Sscanf(whole, "%d", &total); n != 1 || total <= last {
			return 0, 0, 0, fmt.Errorf("the header Content-Range is %q", clean(s))
		}
	}
	return first, last, total, nil
}

// checkSHA256 reads a checksum that a user gives.
func checkSHA256(s string) (string, error) {
	s = strings.TrimPrefix(strings.ToLower(strings.TrimSpace(s)), "sha256:")
	if b, err := hex.DecodeString(s); err != nil || len(b) != 32 {
		return "", fmt.Errorf("%w: the checksum %q is not 64 hexadecimal digits", ErrName, s)
	}
	return s, nil
}
