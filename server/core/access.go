package core

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// guards decide who may ask for what.
type guards struct {
	options *Options
	keys    atomic.Pointer[keys]
	hosts   []string
	cross   *http.CrossOriginProtection
	local   atomic.Bool // only programs of this machine reach the server

	mu       sync.Mutex
	limiters map[string]*bucket // by key or address
	uses     map[[sha256.Size]byte]*keyUse
}

// keys are those that requests may have. They are compared as their hashes, so that the time says
// nothing about a key.
type keys struct {
	all    []Key // of both kinds
	wanted bool  // requests must have one
	admins bool  // there are admin keys
}

func newKeys(api, admin []string, named []Key) (*keys, error) {
	k := &keys{}
	for _, text := range api {
		k.all = append(k.all, Key{Hash: KeyHash(text)})
	}
	for _, text := range admin {
		k.all = append(k.all, Key{Hash: KeyHash(text), Admin: true})
	}
	k.all = append(k.all, named...)
	for _, one := range k.all {
		k.wanted, k.admins = k.wanted || !one.Admin, k.admins || one.Admin
	}
	return k, checkKeys(k.all)
}

func newGuards(o *Options) (*guards, error) {
	g := &guards{options: o, cross: http.NewCrossOriginProtection(), limiters: map[string]*bucket{},
		uses: map[[sha256.Size]byte]*keyUse{}}
	keys, err := newKeys(o.APIKeys, o.AdminKeys, o.Keys)
	if err != nil {
		return nil, err
	}
	g.keys.Store(keys)
	for _, origin := range o.CORSOrigins {
		if scheme, all := strings.CutSuffix(origin, "://*"); origin == "*" || all && scheme != "http" && scheme != "https" {
			continue
		}
		u, err := url.Parse(origin)
		if err == nil && (u.Scheme == "" || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.Fragment != "") {
			err = fmt.Errorf("want scheme://host or scheme://host:port")
		}
		if err == nil {
			err = g.cross.AddTrustedOrigin(origin)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: the origin %q: %w", ErrOptions, origin, err)
		}
	}
	for _, h := range o.AllowedHosts {
		if h == "" || strings.ContainsAny(h, "/ ") || strings.Contains(h, "*") && h != "*" {
			return nil, fmt.Errorf(`%w: the host %q: want a name, ".name" for all that end so, or "*"`, ErrOptions, h)
		}
		g.hosts = append(g.hosts, strings.ToLower(h))
	}
	if name, err := os.Hostname(); err == nil { // some systems have none
		name = strings.ToLower(name)
		g.hosts = append(g.hosts, name, name+".local")
	}
	return g, nil
}

// origins refuses requests that web pages of other sites send, except those
// the operator trusts, and answers the questions that browsers ask on behalf of
// those.
func (g *guards) origins(w http.ResponseWriter, r *http.Request) (done bool, err error) {
	if !g.hostAllowed(r.Host) {
		return false, &Error{Status: http.StatusForbidden, Code: "host_not_allowed",
			Message: fmt.Sprintf("this server does not go by the name %q; if it should, start it with %s %s", r.Host,
				g.options.OptionName("allowed_hosts"), hostOnly(r.Host))}
	}
	origin := r.Header.Get("Origin")
	trusted := origin != "" && g.trusts(origin)
	if trusted {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", origin)
		h.Add("Vary", "Origin")
		h.Set("Access-Control-Expose-Headers", "X-Request-Id, Retry-After, "+IgnoredHeader)
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, DELETE, OPTIONS")
			h.Set("Access-Control-Allow-Headers", allowedHeaders(r.Header.Get("Access-Control-Request-Headers")))
			h.Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
			return true, nil
		}
		return false, nil
	}
	// Within a site, and for programs that are no browser, this passes. It lets
	// all GETs through, whose answers a foreign page cannot read.
	if err := g.cross.Check(r); err != nil {
		if origin == "" {
			origin = "ORIGIN"
		}
		return false, g.foreign(origin)
	}
	return false, nil
}

// foreign refuses a request of another site's page.
func (g *guards) foreign(origin string) *Error {
	return &Error{Status: http.StatusForbidden, Code: "origin_not_allowed",
		Message: "a web page of another site may not use this server; if it should, start it with " +
			g.options.OptionName("cors_origins") + " " + origin}
}

// trusts reports whether the operator has named an origin, or the scheme of apps that it
// is of; or whether it is on this machine, and so is all that reaches the server.
func (g *guards) trusts(origin string) bool {
	scheme, rest, ok := strings.Cut(origin, "://")
	for _, named := range g.options.CORSOrigins {
		if named == "*" || named == origin || ok && named == scheme+"://*" {
			return true
		}
	}
	if !ok || !g.local.Load() {
		return false
	}
	if slices.Contains(appSchemes, scheme) {
		return true
	}
	host := strings.ToLower(hostOnly(rest))
	ip := net.ParseIP(host)
	return (scheme == "http" || scheme == "https") && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// appSchemes are those of programs on this machine that are made of web pages. No page of
// a web site has them.
var appSchemes = []string{"app", "tauri", "vscode-webview", "vscode-file"}

// allowedHeaders repeats the headers that a page wants to send, which is as much
// as there are no cookies to protect, unless they are no header names.
func allowedHeaders(asked string) string {
	for _, c := range []byte(asked) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
			strings.IndexByte("-_, ", c) >= 0) {
			return "Authorization, Content-Type"
		}
	}
	if asked == "" || len(asked) > 1000 {
		return "Authorization, Content-Type"
	}
	return asked
}

// hostAllowed reports whether the server goes by a name. An attacker can make a
// name of its own lead here, but neither an address nor localhost.
func (g *guards) hostAllowed(host string) bool {
	name := strings.ToLower(strings.TrimSuffix(hostOnly(host), "."))
	if name == "" || name == "localhost" || strings.HasSuffix(name, ".localhost") || net.ParseIP(name) != nil {
		return true
	}
	for _, h := range g.hosts {
		if h == "*" || h == name || h[0] == '.' && strings.HasSuffix(name, h) {
			return true
		}
	}
	return false
}

// hostOnly returns a Host header without port and brackets.
func hostOnly(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	name, _, _ := strings.Cut(host, "%") // the zone of an IPv6 address
	return name
}

// admit lets a request through to its route or says why not.
func (g *guards) admit(rt *Route, r *http.Request) error {
	if rt.Access == AccessOpen {
		return nil
	}
	// A foreign page cannot read the answers of its GETs, but they have effects: a model is loaded.
	if r.Header.Get("Sec-Fetch-Site") == "cross-site" && !g.trusts(r.Header.Get("Origin")) {
		return g.foreign("ORIGIN")
	}
	known := g.find(r)
	client, rec := hostOnly(r.RemoteAddr), recordIn(r.Context())
	if known != nil {
		client = known.name()
	}
	rec.client = client
	if known != nil {
		rec.key, rec.known = client, known
		if len(g.keys.Load().all) > 1 {
			rec.keySalt = hex.EncodeToString(known.Hash[:])
		}
	}
	if known == nil && g.keys.Load().wanted {
		if err := g.slowDown("without a key: " + client); err != nil { // who tries keys out
			return err
		}
		return &Error{Status: http.StatusUnauthorized, Code: "invalid_api_key",
			Message: "this server wants an API key: send it as \"Authorization: Bearer KEY\" or \"x-api-key: KEY\""}
	}
	if rt.Access == AccessAdmin && !(known != nil && known.Admin) && !g.permitted(rt.Pattern, r) {
		if g.keys.Load().admins {
			return &Error{Status: http.StatusForbidden, Code: "admin_key_required",
				Message: "this needs one of the server's admin keys"}
		}
		return &Error{Status: http.StatusForbidden, Code: "not_allowed",
			Message: fmt.Sprintf("this server does not allow that; its operator can with %s, or for downloading and "+
				"deleting models with %s and %s",
				g.options.OptionName("admin_keys"), g.options.OptionName("allow_pull"),
				g.options.OptionName("allow_delete"))}
	}
	if err := g.slowDown(client); err != nil || known == nil {
		return err
	}
	return g.spend(known, time.Now())
}

// permitted reports whether an admin's route is open to everybody. The log is to the
// programs of this machine, where the server has no keys: not to those that a proxy of
// this machine lets in.
func (g *guards) permitted(pattern string, r *http.Request) bool {
	_, path, _ := strings.Cut(pattern, " ")
	switch path {
	case "/api/pull", "/api/copy", "/api/create", "/api/blobs/{digest}":
		return g.options.AllowPull
	case "/api/delete":
		return g.options.AllowDelete
	case "/debug/logs":
		keys := g.keys.Load()
		return g.local.Load() && !keys.wanted && !keys.admins && !slices.ContainsFunc(proxyHeaders, func(name string) bool {
			return r.Header.Get(name) != ""
		})
	}
	return false
}

// proxyHeaders are those that proxies add to requests.
var proxyHeaders = []string{"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip"}

// find returns the key that a request has, nil if it has none that is known. All
// keys are compared, whatever they are.
func (g *guards) find(r *http.Request) *Key {
	given := r.Header.Get("X-Api-Key")
	if kind, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(kind, "Bearer") {
		given = strings.TrimSpace(token)
	}
	if given == "" {
		return nil
	}
	hash := sha256.Sum256([]byte(given))
	var found *Key
	all := g.keys.Load().all
	for i := range all {
		if k := &all[i]; subtle.ConstantTimeCompare(hash[:], k.Hash[:]) == 1 && (found == nil || k.Admin) {
			found = k
		}
	}
	return found
}

// maxLimiters bounds the memory for clients that are counted.
const maxLimiters = 10_000

// slowDown counts a request of a client.
func (g *guards) slowDown(client string) error {
	perMinute := g.options.RateLimit
	if perMinute == 0 {
		return nil
	}
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	limiter := g.limiters[client]
	if limiter == nil {
		if len(g.limiters) >= maxLimiters {
			g.forget(now)
		}
		limiter = newBucket(Quota{int64(perMinute), time.Minute}, now)
		g.limiters[client] = limiter
	}
	wait := limiter.wait(now)
	if wait == 0 {
		limiter.level--
		return nil
	}
	wait = wait.Round(time.Second) + time.Second
	return &Error{Status: http.StatusTooManyRequests, Code: "rate_limit_exceeded", Retry: wait,
		Message: fmt.Sprintf("more than %d requests in a minute; try again in %s", perMinute, wait)}
}

// forget drops the clients that could begin anew anyway; if these are none, all:
// thousands of addresses at a time are no reason to run out of memory.
func (g *guards) forget(now time.Time) {
	for client, l := range g.limiters {
		if l.wait(now) == 0 && l.full() {
			delete(g.limiters, client)
		}
	}
	if len(g.limiters) >= maxLimiters {
		clear(g.limiters)
	}
}
