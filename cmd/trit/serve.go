package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"trit"
	"trit/internal/kernel"
	"trit/sample"
	"trit/server"
)

// serveFlags are the flags of serve.
type serveFlags struct {
	modelFlags
	sampling samplingFlags
	models   []string
	aliases  []string

	aliasFile string
	think     thinkFlags

	template  templateFlags
	maxTokens int
	slots     string

	host string
	port int

	parallel, perClient, queue, batchRows, prefixTokens int
	memory                                              string
	keepAlive                                           string

	apiKeys, adminKeys         []string
	apiKeyFile, adminKeyFile   string
	allowPull, allowDelete     bool
	hosts, origins             []string
	rateLimit                  int
	certificate, key           string
	pair                       atomic.Pointer[tls.Certificate]
	maxBody, maxHeader         string
	request, write, read, idle time.Duration
	grace, drainDelay          time.Duration
	logFormat                  string
	otlp                       string
}

func (a *app) serveCommand() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:     "serve",
		GroupID: "run",
		Short:   "Answer HTTP requests: the APIs of OpenAI, Ollama and Anthropic, and a web page",
		Long: `Answer HTTP requests with models: the APIs of OpenAI, Ollama and Anthropic,
and a web page to chat on. Without flags it serves the built-in model "demo" to
this machine only; open http://127.0.0.1:8080 then.

The models that --model names are loaded at the start. Others that 'trit models'
lists are loaded when a request names them, and unloaded after --keep-alive or
when their memory is needed.

To serve other machines, say --host 0.0.0.0 and set an API key. The keys can also
be in the environment variables TRIT_API_KEY and TRIT_ADMIN_KEY.

SIGTERM or Ctrl-C lets running answers finish for --grace; a second one does
not.`,
		Example: `  trit serve
  trit serve --model model.gguf --port 8080 --parallel 16
  trit serve --host 0.0.0.0 --api-key-file keys.txt --tls-cert cert.pem --tls-key key.pem`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.serve(cmd, &f) },
	}
	f.modelFlags.add(cmd)
	f.add(cmd)
	groupedHelp(cmd, "Network", "Model", "Sampling, where requests say nothing", "Scheduling", "Access", "Limits")
	takesModel(cmd)
	return cmd
}

// add defines the flags that are serve's own.
func (f *serveFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	model := flags.Lookup("model")
	model.Usage = "path of a GGUF file or name of a model (repeatable; the first is the default; default demo)"
	model.Value = &repeated{&f.models}
	flags.StringArrayVar(&f.aliases, "alias", nil, "NAME=MODEL: a further name that requests may use; * for all that no model has (repeatable)")
	flags.StringVar(&f.aliasFile, "alias-file", "", "file with NAME=MODEL a line, read anew when it changes")
	flags.StringVar(&f.keepAlive, "keep-alive", "5m", "how long a model that was loaded on demand stays without use; -1: until its memory is needed")
	flags.StringVar(&f.memory, "memory-limit", "", "memory of all models together, such as 8GB (default: what the system or container allows, less a reserve)")
	f.template.add(cmd)
	f.think.add(cmd)
	groupFlags(cmd, "Model", "think", "think-budget", "alias", "alias-file", "keep-alive", "memory-limit")
	f.sampling.addNumbers(cmd)
	f.sampling.addSeed(cmd)
	flags.IntVar(&f.maxTokens, "max-tokens", 0, "tokens of an answer at most, in APIs that have no default of their own (0: to the end of the context)")
	f.sampling.names = append(f.sampling.names, "max-tokens")
	groupFlags(cmd, "Sampling, where requests say nothing", f.sampling.names...)

	flags.StringVar(&f.host, "host", defaultHost, "address to listen on; 0.0.0.0 for all networks (also in $"+hostVariable+")")
	flags.IntVarP(&f.port, "port", "p", defaultPort, "port to listen on; 0 for any free one (also in $"+hostVariable+")")
	flags.StringVar(&f.certificate, "tls-cert", "", "PEM file with the certificate chain of an HTTPS server")
	flags.StringVar(&f.key, "tls-key", "", "PEM file with its private key")
	groupFlags(cmd, "Network", "host", "port", "tls-cert", "tls-key")

	flags.IntVar(&f.parallel, "parallel", 8, "answers of a model that are generated at a time")
	flags.IntVar(&f.perClient, "parallel-per-client", 0,
		"how many of them a key or an address may have (default: with several keys three quarters, otherwise all)")
	flags.IntVar(&f.parallel, "batch-size", 8, "the same as --parallel")
	flags.IntVar(&f.batchRows, "max-batch-tokens", 256, "tokens of one forward pass, of prompts and answers together")
	flags.IntVar(&f.queue, "queue", 64, "requests that may wait; more are turned away with status 429")
	flags.IntVar(&f.prefixTokens, "prefix-cache", 0, "tokens of past prompts to keep for new ones that begin alike (0: half of the KV cache; -1: none)")
	flags.StringVar(&f.slots, "slot-save-path", "", "folder in which clients may save what is kept of past prompts (POST /slots/ID?action=save)")
	groupFlags(cmd, "Scheduling", "parallel", "batch-size", "parallel-per-client", "max-batch-tokens", "queue", "prefix-cache", "slot-save-path")

	flags.StringArrayVar(&f.apiKeys, "api-key", nil, "a key of which requests must have one (repeatable)")
	flags.StringVar(&f.apiKeyFile, "api-key-file", "", "file with a key a line, or NAME KEY requests=N/minute tokens=N/day; read anew when it changes")
	flags.StringArrayVar(&f.adminKeys, "admin-key", nil, "a key for downloading, deleting and tracing (repeatable)")
	flags.StringVar(&f.adminKeyFile, "admin-key-file", "", "file with an admin key a line")
	flags.BoolVar(&f.allowPull, "allow-pull", false, "let everybody who may use the server download models")
	flags.BoolVar(&f.allowDelete, "allow-delete", false, "let everybody who may use the server delete models")
	flags.StringArrayVar(&f.hosts, "allowed-host", nil, `a name that clients may know the server by, ".example.org" for all that end so, "*" for all (repeatable)`)
	flags.StringArrayVar(&f.origins, "cors-origin", nil, `a web site whose pages may use the server, such as https://example.org; "*" for all (repeatable)`)
	flags.IntVar(&f.rateLimit, "rate-limit", 0, "requests that a key, or without keys an address, may make per minute (0: any number)")
	groupFlags(cmd, "Access", "api-key", "api-key-file", "admin-key", "admin-key-file", "allow-pull", "allow-delete", "allowed-host", "cors-origin", "rate-limit")

	flags.StringVar(&f.maxBody, "max-body", "8MiB", "largest body of a request")
	flags.StringVar(&f.maxHeader, "max-header", "64KiB", "largest header of a request")
	flags.DurationVar(&f.request, "request-timeout", 10*time.Minute, "how long a request may take in all")
	flags.DurationVar(&f.write, "write-timeout", 30*time.Second, "how long a client may take to accept a piece of its answer")
	flags.DurationVar(&f.read, "read-timeout", 30*time.Second, "how long a client may take to send a header, and again a body")
	flags.DurationVar(&f.idle, "idle-timeout", 2*time.Minute, "how long a connection may be idle")
	flags.DurationVar(&f.grace, "grace", 30*time.Second, "how long running answers may take to finish when the server stops")
	flags.DurationVar(&f.drainDelay, "drain-delay", 0, "how long of that to go on accepting while /ready says no, for load balancers to notice")
	groupFlags(cmd, "Limits", "max-body", "max-header", "request-timeout", "write-timeout", "read-timeout", "idle-timeout", "grace", "drain-delay")

	flags.StringVar(&f.logFormat, "log-format", "text", "log lines as text or json")
	flags.StringVar(&f.otlp, "otlp-endpoint", "", "send a span of every request to this receiver of OpenTelemetry, such as http://localhost:4318 "+
		"(default: $OTEL_EXPORTER_OTLP_ENDPOINT)")
}

// repeated is a flag that may be given several times.
type repeated struct{ values *[]string }

func (r *repeated) String() string {
	if r.values == nil {
		return ""
	}
	return strings.Join(*r.values, ", ")
}
func (r *repeated) Type() string       { return "string" }
func (r *repeated) Set(s string) error { *r.values = append(*r.values, s); return nil }

func (a *app) serve(cmd *cobra.Command, f *serveFlags) error {
	options, err := f.serverOptions(a, cmd)
	if err != nil {
		return err
	}
	if a.validate {
		for _, name := range f.models {
			one := f.modelFlags
			one.model = name
			if err := a.validateFirst(cmd, &one); err != nil {
				return err
			}
		}
	}
	stopTracing, err := f.trace(a, cmd, &options)
	if err != nil {
		return err
	}
	defer stopTracing()
	s, err := server.New(options)
	if err != nil {
		if errors.Is(err, server.ErrOptions) {
			return usage(cmd, err)
		}
		return err
	}
	listener, err := f.listen()
	if err != nil {
		return errors.Join(err, s.Close())
	}
	scheme := "http"
	if options.TLS != nil {
		scheme = "https"
	}
	fmt.Fprintf(a.err, "listening on %s://%s\n", scheme, listener.Addr())
	f.warn(a, listener.Addr(), &options)
	defer f.reload(a, s, &options)()
	// A second signal ends the program at once.
	stop := context.AfterFunc(cmd.Context(), func() { signal.Reset(os.Interrupt, syscall.SIGTERM) })
	defer stop()
	return s.Serve(cmd.Context(), listener)
}

// listenAt takes from the environment where to listen, unless flags say it.
func (f *serveFlags) listenAt(cmd *cobra.Command) error {
	address, err := environmentAddress()
	if err != nil {
		return err
	}
	if !cmd.Flags().Changed("host") {
		f.host = address.host
	}
	if !cmd.Flags().Changed("port") {
		f.port = address.port
	}
	return nil
}

// wsaAddressInUse is what Windows calls EADDRINUSE.
const wsaAddressInUse = syscall.Errno(10048)

// listen opens the port.
func (f *serveFlags) listen() (net.Listener, error) {
	address := net.JoinHostPort(f.host, strconv.Itoa(f.port))
	listener, err := net.Listen("tcp", address)
	switch {
	case err == nil:
		return listener, nil
	case errors.Is(err, syscall.EADDRINUSE), errors.Is(err, wsaAddressInUse):
		return nil, fmt.Errorf("another program is using %s already (perhaps another 'trit serve'); choose another --port, or 0 for any free one", address)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("%s may not be used without special rights; choose a --port of 1024 or more: %w", address, err)
	}
	return nil, fmt.Errorf("--host %s --port %d: %w", f.host, f.port, err)
}

// warn says what an operator may not have wanted.
func (f *serveFlags) warn(a *app, address net.Addr, o *server.Options) {
	for _, d := range kernel.DroppedLevels() {
		a.log.Warn(d.String())
	}
	tcp, ok := address.(*net.TCPAddr)
	if ok && !tcp.IP.IsLoopback() {
		if !slices.ContainsFunc(o.Keys, func(k server.Key) bool { return !k.Admin }) {
			fmt.Fprintln(a.err, "warning: everybody who can reach this address can use the server; set --api-key, or listen on 127.0.0.1")
		} else if o.TLS == nil {
			a.log.Info("keys and texts travel unencrypted; set --tls-cert and --tls-key, or put a proxy with TLS in front")
		}
	}
}

// serverOptions translates the flags.
func (f *serveFlags) serverOptions(a *app, cmd *cobra.Command) (server.Options, error) {
	fail := func(err error) (server.Options, error) { return server.Options{}, usage(cmd, err) }
	if len(f.models) == 0 {
		f.models = []string{"demo"}
	}
	f.model = f.models[0]
	if err := f.listenAt(cmd); err != nil {
		return fail(err)
	}
	open, err := f.modelFlags.options(a, cmd)
	if err != nil {
		return server.Options{}, err
	}
	o := server.Options{
		Models: f.models, Open: append(open, trit.BatchRows(f.batchRows), trit.PrefixCache(f.prefixTokens)),
		Thinking: f.think.think, ThinkingBudget: f.think.budget,
		Parallel: f.parallel, ParallelPerClient: f.perClient, Queue: f.queue,
		RequestTimeout: f.request, WriteTimeout: f.write, ReadTimeout: f.read, IdleTimeout: f.idle, Grace: f.grace, DrainDelay: f.drainDelay,
		AllowPull: f.allowPull, AllowDelete: f.allowDelete,
		MaxTokens: f.maxTokens, SlotSavePath: f.slots,
		AllowedHosts: f.hosts, CORSOrigins: f.origins, RateLimit: f.rateLimit,
	}
	if err := f.think.check(); err != nil {
		return fail(err)
	}
	if cmd.Flags().Changed("parallel") && cmd.Flags().Changed("batch-size") {
		return fail(fmt.Errorf("--batch-size is another name of --parallel; give one of them"))
	}
	for _, n := range []struct {
		flag   string
		n, min int
	}{{"parallel", f.parallel, 1}, {"parallel-per-client", f.perClient, 0}, {"queue", f.queue, 0}, {"max-batch-tokens", f.batchRows, 1}, {"prefix-cache", f.prefixTokens, -1}, {"rate-limit", f.rateLimit, 0}, {"max-tokens", f.maxTokens, 0}, {"port", f.port, 0}} {
		if n.n < n.min {
			return fail(fmt.Errorf("--%s %d: want at least %d", n.flag, n.n, n.min))
		}
	}
	for _, d := range []struct {
		flag string
		d    time.Duration
	}{{"request-timeout", f.request}, {"write-timeout", f.write}, {"read-timeout", f.read}, {"idle-timeout", f.idle}, {"grace", f.grace}} {
		if d.d <= 0 {
			return fail(fmt.Errorf("--%s %s: want a time above 0, such as 30s", d.flag, d.d))
		}
	}
	if f.port > 65535 {
		return fail(fmt.Errorf("--port %d: want a number up to 65535", f.port))
	}
	if o.Queue == 0 {
		o.Queue = -1 // which is how the server says none
	}
	if o.Aliases, err = f.allAliases(); err != nil {
		return fail(err)
	}
	if o.KeepAlive, err = parseKeepAlive(f.keepAlive); err != nil {
		return fail(err)
	}
	if f.memory != "" {
		if o.MemoryLimit, err = parseBytes("memory-limit", f.memory); err != nil {
			return fail(err)
		}
	}
	if o.MaxBody, err = parseBytes("max-body", f.maxBody); err != nil {
		return fail(err)
	}
	header, err := parseBytes("max-header", f.maxHeader)
	if err != nil {
		return fail(err)
	}
	o.MaxHeader = int(min(header, 1<<30))
	if o.Keys, err = f.keys(); err != nil {
		return server.Options{}, err
	}
	if (f.certificate == "") != (f.key == "") {
		return fail(fmt.Errorf("--tls-cert and --tls-key go together"))
	}
	if f.certificate != "" {
		if err := f.loadCertificate(); err != nil {
			return server.Options{}, err
		}
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return f.pair.Load(), nil }}
	}
	if o.Open, err = f.defaults(o.Open); err != nil {
		return fail(err)
	}
	o.OptionName = flagOf
	o.Log, err = f.logger(a, cmd)
	return o, err
}

// defaults adds what holds where requests and models' files say something else, or nothing.
func (f *serveFlags) defaults(open []trit.Option) ([]trit.Option, error) {
	if err := f.sampling.numbers(new(sample.Neutral())); err != nil {
		return nil, err
	}
	seed, err := f.sampling.seed()
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(f.slots); f.slots != "" && (err != nil || !info.IsDir()) {
		return nil, fmt.Errorf("--slot-save-path %s: want a folder that exists", f.slots)
	}
	if len(f.sampling.given) > 0 || !f.sampling.random() {
		open = append(open, trit.SamplingDefaults(func(o *sample.Options) {
			_ = f.sampling.numbers(o) // the same values as above
			if !f.sampling.random() {
				o.Seed = &seed
			}
		}))
	}
	template, err := f.template.options()
	return append(open, template...), err
}

// logger returns the server's log, which by default also has what is not worth
// a warning.
func (f *serveFlags) logger(a *app, cmd *cobra.Command) (*slog.Logger, error) {
	level := slog.LevelInfo
	if cmd.Flags().Changed("log-level") {
		if err := level.UnmarshalText([]byte(a.logLevel)); err != nil {
			return nil, usage(cmd, fmt.Errorf("--log-level: %w", err))
		}
	}
	options := &slog.HandlerOptions{Level: level}
	switch f.logFormat {
	case "text":
		a.log = slog.New(slog.NewTextHandler(a.err, options))
	case "json":
		a.log = slog.New(slog.NewJSONHandler(a.err, options))
	default:
		return nil, usage(cmd, fmt.Errorf("--log-format %q: want text or json", f.logFormat))
	}
	return a.log, nil
}

// parseKeepAlive reads a duration, or a number of seconds as Ollama has them; all
// negative ones are the same.
func parseKeepAlive(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		seconds, numberErr := strconv.ParseFloat(s, 64)
		if numberErr != nil || seconds > 1e9 {
			return 0, fmt.Errorf("--keep-alive %q: want a time such as 5m, or -1", s)
		}
		d = time.Duration(seconds * float64(time.Second))
	}
	switch {
	case d < 0:
		return -1, nil
	case d == 0:
		return time.Nanosecond, nil // at once
	}
	return d, nil
}

// byteUnits are the units that sizes may have.
var byteUnits = []struct {
	name string
	size float64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {"B", 1}, {"", 1}}

// parseBytes reads a size such as 8GB or 512MiB.
func parseBytes(flag, s string) (int64, error) {
	for _, unit := range byteUnits {
		if len(s) <= len(unit.name) || !strings.EqualFold(s[len(s)-len(unit.name):], unit.name) {
			continue
		}
		number := strings.TrimSpace(s[:len(s)-len(unit.name)])
		n, err := strconv.ParseFloat(number, 64)
		if err == nil && n > 0 && n*unit.size >= 1 && n*unit.size < 1<<62 {
			return int64(n * unit.size), nil
		}
		break
	}
	return 0, fmt.Errorf("--%s %q: want a size such as 512MiB or 8GB", flag, s)
}
