package main

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"trit/internal/apiclient"
)

// hostVariable names where 'trit serve' listens and where the commands that talk with it find it, so that both agree.
const hostVariable = "TRIT_HOST"

// defaultHost and defaultPort are where the server listens if nothing else is said.
const (
	defaultHost = "127.0.0.1"
	defaultPort = 8080
)

// serverAddress is an address as TRIT_HOST and --url give it.
type serverAddress struct {
	scheme string // http or https
	host   string
	port   int
	path   string // in front of all paths, behind a proxy
}

// parseAddress reads HOST, HOST:PORT, :PORT or a URL.
func parseAddress(text string) (serverAddress, error) {
	bad := fmt.Errorf("%q: want an address such as 127.0.0.1:8080 or http://127.0.0.1:8080", text)
	a := serverAddress{scheme: "http", host: defaultHost, port: defaultPort}
	rest := strings.TrimSpace(text)
	if scheme, after, ok := strings.Cut(rest, "://"); ok {
		if scheme != "http" && scheme != "https" {
			return a, bad
		}
		a.scheme, rest = scheme, after
		a.port = map[string]int{"http": 80, "https": 443}[scheme]
	}
	rest, path, _ := strings.Cut(rest, "/")
	a.path = strings.TrimRight("/"+path, "/")
	if rest == "" {
		return a, bad
	}
	host, port, err := net.SplitHostPort(rest)
	if err != nil { // no port
		host, port = rest, strconv.Itoa(a.port)
		if strings.HasPrefix(rest, "[") && strings.HasSuffix(rest, "]") {
			host = rest[1 : len(rest)-1]
		}
	}
	n, err := strconv.ParseUint(port, 10, 16)
	u, e := url.Parse("http://" + net.JoinHostPort(host, "1") + a.path)
	if a.path != strings.TrimSpace(a.path) || err != nil || e != nil || u.User != nil || u.Hostname() != host || strings.ContainsAny(host, "[]") {
		return a, bad
	}
	a.host, a.port = cmp.Or(host, defaultHost), int(n)
	return a, nil
}

// url is where a client on the same machine, or on another, finds the server.
func (s serverAddress) url() string {
	host := s.host
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() { // where it listens, which nobody can call
		host = map[bool]string{true: "127.0.0.1", false: "::1"}[ip.To4() != nil]
	}
	return s.scheme + "://" + net.JoinHostPort(host, strconv.Itoa(s.port)) + s.path
}

// environmentAddress is what TRIT_HOST says.
func environmentAddress() (serverAddress, error) {
	text := os.Getenv(hostVariable)
	if text == "" {
		return serverAddress{scheme: "http", host: defaultHost, port: defaultPort}, nil
	}
	address, err := parseAddress(text)
	if err != nil {
		return address, fmt.Errorf("%s=%w", hostVariable, err)
	}
	return address, nil
}

// remote is the server that a command talks with.
type remote struct {
	apiclient.Server
	flag     string // that names it
	address  string
	insecure bool
	key      string // of a flag
	keyFile  string
}

// urlFlag names the server of the commands that look after one.
const urlFlag = "url"

func (r *remote) add(cmd *cobra.Command) {
	r.addAs(cmd, urlFlag, "address of the server (default: $"+hostVariable+", or http://127.0.0.1:8080)")
}

// addAs defines the flags; the address has a name of its own.
func (r *remote) addAs(cmd *cobra.Command, flag, usage string) {
	r.flag = flag
	cmd.Flags().StringVar(&r.address, flag, "", usage)
	cmd.Flags().BoolVar(&r.insecure, "insecure", false, "accept any certificate of an HTTPS server")
}

// addKeys defines the flags of the key.
func (r *remote) addKeys(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.key, "api-key", "", "the key that the server wants (default: $"+keyVariable+")")
	cmd.Flags().StringVar(&r.keyFile, "api-key-file", "", "file with that key, which the list of processes then does not show")
}

// readKey returns the key of the flags, or of the environment.
func (r *remote) readKey() (string, error) {
	if r.keyFile == "" {
		return cmp.Or(r.key, os.Getenv(keyVariable)), nil
	}
	lines, err := listedLines("the key", r.keyFile)
	switch {
	case err != nil:
		return "", err
	case r.key != "":
		return "", errors.New("--api-key and --api-key-file exclude each other")
	case len(lines) != 1:
		return "", fmt.Errorf("--api-key-file %s: want a line with the key, got %d", r.keyFile, len(lines))
	}
	return lines[0], nil
}

// open reads the flags.
func (r *remote) open(cmd *cobra.Command) error {
	address, err := environmentAddress()
	if r.address != "" {
		if address, err = parseAddress(r.address); err != nil {
			err = fmt.Errorf("--%s %w", r.flag, err)
		}
	}
	if err != nil {
		return usage(cmd, err)
	}
	key, err := r.readKey()
	if err != nil {
		return usage(cmd, err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true
	transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: r.insecure}
	r.Server = apiclient.Server{URL: strings.TrimSuffix(address.url(), "/v1"), Key: key,
		HTTP: &http.Client{Transport: transport}}
	return nil
}

// keyVariable has the key that servers want.
const keyVariable = "TRIT_API_KEY"

// explain adds to an error of the server what helps.
func (r *remote) explain(err error) error {
	failed, ok := errors.AsType[*apiclient.Error](err)
	switch {
	case errors.Is(err, apiclient.ErrNoAnswer):
		return fmt.Errorf("%w; 'trit serve' starts one, %s another", err, r.naming())
	case ok && failed.Status == http.StatusUnauthorized:
		return fmt.Errorf("%s says: %s; the key is taken from %s", r.URL, inLine(failed.Message), r.keys())
	case ok:
		return fmt.Errorf("%s says: %s", r.URL, inLine(failed.Message))
	}
	return err
}

// naming and keys say where the address and the key come from.
func (r *remote) naming() string {
	if r.flag == urlFlag {
		return "--" + urlFlag + " or " + hostVariable + " name"
	}
	return "--" + r.flag + " names"
}

func (r *remote) keys() string {
	if r.flag == urlFlag {
		return keyVariable
	}
	return "--api-key, --api-key-file or " + keyVariable
}
