package core

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"trit"
)

// Options configure a server. The zero value serves the demo model to programs
// on the same machine.
type Options struct {
	// Models are the names or paths of the models that are loaded at the start;
	// none means the demo. The first is the one of requests that name no model.
	Models []string
	// Aliases are further names of models: what a request may call them, and
	// what they are; "*" stands for all names that no model has. A file that is
	// not among Models is loaded at the start like those, with the alias as its
	// only name.
	Aliases map[string]string
	// Open are the options that every model is opened with.
	Open []trit.Option
	// MemoryLimit bounds the memory of all models together, in bytes; 0 means what
	// the system or the container allows, less a reserve. A model that does not
	// fit, even after idle ones were unloaded, is refused.
	MemoryLimit int64

	// Parallel is how many answers of a model are generated at a time, Queue how
	// many requests may wait for that; 0 means 8 and 64. A negative Queue means
	// that none may wait.
	Parallel int
	Queue    int
	// ParallelPerClient is how many of the answers one client, a key or an address, may have at a time;
	// 0 means three quarters of Parallel where there are several keys, and otherwise all of them: what
	// looks like one address may be a proxy.
	ParallelPerClient int

	// Thinking and ThinkingBudget hold for requests that say nothing of it: whether models think, if
	// they can, and how many tokens of reasoning they may write, 0 for any number.
	Thinking       trit.Thinking
	ThinkingBudget int

	// MaxTokens bounds the answers to requests that have no limit of their own, in APIs that have none
	// either; 0 means the context.
	MaxTokens int
	// SlotSavePath is the folder in which clients of llama-server's API may save what a model has of
	// past prompts; empty: they may not.
	SlotSavePath string

	// KeepAlive is how long a model that was loaded on demand stays without use;
	// 0 means 5 minutes, a negative time for ever.
	KeepAlive time.Duration
	// RequestTimeout bounds a request from its arrival to its end, WriteTimeout
	// how long a client may take to accept one piece of an answer; 0 means 10
	// minutes and 30 seconds. ReadTimeout bounds the time to send the header of a
	// request, and again its body, IdleTimeout that between two requests of a
	// connection; 0 means 30 seconds and 2 minutes.
	RequestTimeout time.Duration
	WriteTimeout   time.Duration
	ReadTimeout    time.Duration
	IdleTimeout    time.Duration
	// Grace is how long running answers may take to finish when the server
	// stops; 0 means 30 seconds. For the first DrainDelay of it the server still
	// accepts connections, but says that it is not ready: load balancers need
	// a moment to notice.
	Grace      time.Duration
	DrainDelay time.Duration

	// MaxBody and MaxHeader bound the size of requests in bytes; 0 means 8 MiB
	// and 64 KiB.
	MaxBody   int64
	MaxHeader int

	// APIKeys are the keys of which a request must have one; none means that
	// everybody may ask. AdminKeys are those for what changes the server or looks
	// into it: downloading, deleting, tracing.
	APIKeys   []string
	AdminKeys []string
	// Keys are further keys, with names and quotas.
	Keys []Key
	// AllowPull and AllowDelete let whoever may use the server download and
	// delete models, without an admin key.
	AllowPull   bool
	AllowDelete bool
	// AllowedHosts are the names that clients may know the server by, beside
	// addresses, localhost and the machine's own name; ".example.org" stands for
	// all names that end so, "*" for all. Checking them keeps web pages from
	// reaching the server under a name of their own.
	AllowedHosts []string
	// CORSOrigins are the web sites whose pages may use the server, such as
	// "https://example.org"; "*" means all, "app://*" the apps of that scheme. While the
	// server listens on a loopback address, pages of localhost and apps on this machine
	// may use it too.
	CORSOrigins []string
	// RateLimit is how many requests a key, or without keys an address, may
	// make per minute; 0 means any number.
	RateLimit int
	// TLS, if not nil, has the certificates of an HTTPS server.
	TLS *tls.Config

	// Log receives what the operator wants to know; nil means nothing.
	Log *slog.Logger
	// OptionName says what messages call an option such as "allowed_hosts"; nil
	// means by that name. A program whose users set flags names those.
	OptionName func(option string) string
	// OnRequest, if not nil, is called at the end of every request, with its
	// context, on the request's goroutine.
	OnRequest func(ctx context.Context, r RequestInfo)
}

// Limit is that of answers to requests that have none, in APIs that have none either.
func (o *Options) Limit() Limit {
	if o.MaxTokens > 0 {
		return Limit(o.MaxTokens)
	}
	return -1
}

// complete fills in the defaults and checks the rest.
func (o *Options) complete() error {
	if len(o.Models) == 0 {
		o.Models = []string{"demo"}
	}
	o.Parallel = cmp.Or(o.Parallel, 8)
	o.Queue = cmp.Or(o.Queue, 64)
	if o.ParallelPerClient == 0 {
		if o.ParallelPerClient = o.Parallel; len(o.APIKeys)+len(o.AdminKeys)+len(o.Keys) > 1 {
			o.ParallelPerClient = max(1, o.Parallel*3/4)
		}
	}
	o.KeepAlive = cmp.Or(o.KeepAlive, 5*time.Minute)
	o.RequestTimeout = cmp.Or(o.RequestTimeout, 10*time.Minute)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, 30*time.Second)
	o.ReadTimeout = cmp.Or(o.ReadTimeout, 30*time.Second)
	o.IdleTimeout = cmp.Or(o.IdleTimeout, 2*time.Minute)
	o.Grace = cmp.Or(o.Grace, 30*time.Second)
	o.MaxBody = cmp.Or(o.MaxBody, 8<<20)
	o.MaxHeader = cmp.Or(o.MaxHeader, 64<<10)
	if o.OptionName == nil {
		o.OptionName = func(option string) string { return option }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	for _, check := range []struct {
		bad  bool
		what string
	}{
		{o.Parallel < 0, "Parallel is negative"},
		{o.ParallelPerClient < 0, "ParallelPerClient is negative"},
		{o.MemoryLimit < 0, "MemoryLimit is negative"},
		{o.ThinkingBudget < 0, "ThinkingBudget is negative"},
		{o.RequestTimeout < 0 || o.WriteTimeout < 0 || o.ReadTimeout < 0 || o.IdleTimeout < 0, "a timeout is negative"},
		{o.Grace < 0 || o.DrainDelay < 0, "Grace or DrainDelay is negative"},
		{o.MaxBody < 0 || o.MaxHeader < 0, "MaxBody or MaxHeader is negative"},
		{o.RateLimit < 0, "RateLimit is negative"},
	} {
		if check.bad {
			return fmt.Errorf("%w: %s", ErrOptions, check.what)
		}
	}
	return nil
}

// ErrOptions reports options that make no sense.
var ErrOptions = errors.New("server: bad option")
