// Package otlp sends the requests of a server as spans to a receiver of OpenTelemetry,
// in the JSON form of OTLP over HTTP. It is a small part of what OpenTelemetry's own SDK
// does, which would make the program a quarter larger; module otel has that one.
//
// Specifications: opentelemetry.io/docs/specs/otlp for the protocol, …/specs/otel/configuration
// for the variables of the environment, w3.org/TR/trace-context for the headers.
package otlp

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// Config says where spans go, and which.
type Config struct {
	URL        string // of the receiver's traces, such as http://localhost:4318/v1/traces
	Headers    map[string]string
	TLS        *tls.Config // nil for the system's certificates
	Timeout    time.Duration
	Delay      time.Duration // between batches
	MaxQueue   int           // spans that wait; those that come when it is full are dropped
	MaxBatch   int
	Attributes map[string]string // of the process: service.name and so on
	Sampler    Sampler
}

// Sampler decides which requests become spans.
type Sampler struct {
	Ratio       float64 // of traces, by their ids
	ParentBased bool    // what a caller has decided, holds
}

// FromEnvironment returns what the standard variables of the environment say, with an endpoint that is
// used in their place unless it is empty, such as http://localhost:4318. It is nil if there is none, or
// if the variables turn tracing off.
func FromEnvironment(endpoint, service, version string) (*Config, error) {
	traces := func(name string) string { // those of traces win over those of everything
		return cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_"+name), os.Getenv("OTEL_EXPORTER_OTLP_"+name))
	}
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return nil, nil
	}
	switch exporter := os.Getenv("OTEL_TRACES_EXPORTER"); exporter {
	case "", "otlp":
	case "none":
		return nil, nil
	default:
		return nil, fmt.Errorf("OTEL_TRACES_EXPORTER is %q: want otlp or none", exporter)
	}
	c := &Config{Headers: map[string]string{}}
	switch {
	case endpoint != "":
		c.URL = strings.TrimSuffix(endpoint, "/") + "/v1/traces"
	case os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != "":
		c.URL = os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
	case os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "":
		c.URL = strings.TrimSuffix(os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"), "/") + "/v1/traces"
	default:
		return nil, nil
	}
	if u, err := url.Parse(c.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("the OTLP endpoint %q: want an address such as http://localhost:4318", c.URL)
	}
	// A receiver of http/protobuf takes JSON as well, by the type of the body.
	switch protocol := traces("PROTOCOL"); protocol {
	case "", "http/json", "http/protobuf":
	default:
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL is %q: want http/json or http/protobuf, at the receiver's port for HTTP (4318)", protocol)
	}
	var err error
	if c.Headers, err = pairs("OTEL_EXPORTER_OTLP_HEADERS", traces("HEADERS")); err != nil {
		return nil, err
	}
	if c.Attributes, err = pairs("OTEL_RESOURCE_ATTRIBUTES", os.Getenv("OTEL_RESOURCE_ATTRIBUTES")); err != nil {
		return nil, err
	}
	c.Attributes["service.name"] = cmp.Or(os.Getenv("OTEL_SERVICE_NAME"), c.Attributes["service.name"], service)
	c.Attributes["service.version"] = cmp.Or(c.Attributes["service.version"], version)
	if host, err := os.Hostname(); err == nil && c.Attributes["host.name"] == "" {
		c.Attributes["host.name"] = host
	}
	if file := traces("CERTIFICATE"); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_CERTIFICATE: %w", err)
		}
		c.TLS = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
		if !c.TLS.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_CERTIFICATE: %s has no certificate", file)
		}
	}
	if c.Sampler, err = sampler(); err != nil {
		return nil, err
	}
	return c, c.numbers(traces("TIMEOUT"))
}

// numbers reads the variables that are numbers; timeout is one that has two names.
func (c *Config) numbers(timeout string) error {
	for _, n := range []struct {
		name, text     string
		preset, lowest int
		set            func(n int)
	}{
		{"OTEL_EXPORTER_OTLP_TIMEOUT", timeout, 10_000, 1, func(n int) { c.Timeout = time.Duration(n) * time.Millisecond }},
		{"OTEL_BSP_SCHEDULE_DELAY", os.Getenv("OTEL_BSP_SCHEDULE_DELAY"), 5000, 1, func(n int) { c.Delay = time.Duration(n) * time.Millisecond }},
		{"OTEL_BSP_MAX_QUEUE_SIZE", os.Getenv("OTEL_BSP_MAX_QUEUE_SIZE"), 2048, 1, func(n int) { c.MaxQueue = n }},
		{"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", os.Getenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE"), 512, 1, func(n int) { c.MaxBatch = n }},
	} {
		value := n.preset
		if n.text != "" {
			var err error
			if value, err = strconv.Atoi(n.text); err != nil || value < n.lowest || value > 1<<30 {
				return fmt.Errorf("%s is %q: want a whole number from %d up", n.name, n.text, n.lowest)
			}
		}
		n.set(value)
	}
	c.MaxBatch = min(c.MaxBatch, c.MaxQueue)
	return nil
}

// sampler reads OTEL_TRACES_SAMPLER.
func sampler() (Sampler, error) {
	name := cmp.Or(os.Getenv("OTEL_TRACES_SAMPLER"), "parentbased_always_on")
	kind, parent := strings.CutPrefix(name, "parentbased_")
	s := Sampler{ParentBased: parent}
	switch kind {
	case "always_on":
		s.Ratio = 1
	case "always_off":
	case "traceidratio":
		var err error
		text := cmp.Or(os.Getenv("OTEL_TRACES_SAMPLER_ARG"), "1")
		if s.Ratio, err = strconv.ParseFloat(text, 64); err != nil || !(s.Ratio >= 0 && s.Ratio <= 1) {
			return s, fmt.Errorf("OTEL_TRACES_SAMPLER_ARG is %q: want a number from 0 to 1", text)
		}
	default:
		return s, fmt.Errorf("OTEL_TRACES_SAMPLER is %q: want always_on, always_off or traceidratio, or one of them after parentbased_", name)
	}
	return s, nil
}

// pairs reads name=value,name=value with values in percent-encoding.
func pairs(variable, text string) (map[string]string, error) {
	all := map[string]string{}
	for pair := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if name = strings.TrimSpace(name); !ok || name == "" || err != nil {
			return nil, fmt.Errorf("%s: want name=value pairs separated by commas, values in percent-encoding, found %q", variable, pair)
		}
		all[name] = value
	}
	return all, nil
}
