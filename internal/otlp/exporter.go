package otlp

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Exporter sends spans in batches, in the background. Requests never wait for it.
type Exporter struct {
	config Config
	log    *slog.Logger
	client *http.Client
	attrs  []keyValue

	mu      sync.Mutex
	queue   []*Span
	dropped int // since it was last said
	closed  bool
	wake    chan struct{} // has room for one
	stop    context.CancelFunc
	done    chan struct{}
}

// Start begins to send. What goes wrong is said in the log.
func Start(c Config, log *slog.Logger) *Exporter {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = c.TLS
	ctx, stop := context.WithCancel(context.Background())
	e := &Exporter{
		config: c, log: log, client: &http.Client{Transport: transport, Timeout: c.Timeout},
		wake: make(chan struct{}, 1), stop: stop, done: make(chan struct{}),
	}
	for _, name := range slices.Sorted(maps.Keys(c.Attributes)) {
		e.attrs = append(e.attrs, Attribute{name, c.Attributes[name]}.wire())
	}
	go e.run(ctx)
	return e
}

// Begin returns a span for a request with these headers, and whether it is to be sent.
func (e *Exporter) Begin(traceparent, tracestate string) (*Span, bool) {
	return e.config.Sampler.Begin(traceparent, tracestate)
}

// Send queues spans, or drops them if too many wait.
func (e *Exporter) Send(spans ...*Span) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || len(e.queue)+len(spans) > e.config.MaxQueue {
		e.dropped += len(spans)
		return
	}
	if e.queue = append(e.queue, spans...); len(e.queue) >= e.config.MaxBatch {
		e.nudge()
	}
}

// nudge has the next batch sent at once.
func (e *Exporter) nudge() {
	select {
	case e.wake <- struct{}{}:
	default: // it is being sent
	}
}

// Close sends what is left, until ctx ends.
func (e *Exporter) Close(ctx context.Context) error {
	e.mu.Lock()
	e.closed = true
	e.nudge()
	e.mu.Unlock()
	defer e.client.CloseIdleConnections()
	defer e.stop()
	select {
	case <-e.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the last spans were not sent: %w", ctx.Err())
	}
}

func (e *Exporter) run(ctx context.Context) {
	defer close(e.done)
	tick := time.NewTicker(e.config.Delay)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-e.wake:
		case <-ctx.Done():
			return
		}
		for {
			batch, last := e.take()
			if len(batch) > 0 {
				if err := e.export(ctx, batch); err != nil {
					e.log.Warn("spans were not sent", "spans", len(batch), "error", err)
				}
			} else if last {
				return
			} else {
				break
			}
		}
	}
}

// take returns the next batch, and whether there will be none after it.
func (e *Exporter) take() (batch []*Span, last bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.dropped > 0 {
		e.log.Warn("spans were dropped: the receiver is too slow", "spans", e.dropped, "queue", e.config.MaxQueue)
		e.dropped = 0
	}
	n := min(len(e.queue), e.config.MaxBatch)
	batch = slices.Clone(e.queue[:n])
	e.queue = slices.Delete(e.queue, 0, n)
	return batch, e.closed
}

// patience is how often a batch is sent before it is given up, and firstPause how long
// after the first time; the pauses double.
const (
	patience   = 4
	firstPause = time.Second
	maxPause   = 30 * time.Second
)

// export sends a batch, again if the receiver asks for that.
func (e *Exporter) export(ctx context.Context, batch []*Span) error {
	spans := make([]wireSpan, len(batch))
	for i, s := range batch {
		spans[i] = s.wire()
	}
	body, err := json.Marshal(exportRequest{[]resourceSpans{{
		Resource:   resource{e.attrs},
		ScopeSpans: []scopeSpans{{scope{"trit", e.config.Attributes["service.version"]}, spans}},
	}}})
	if err != nil {
		return err
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(body); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	pause := firstPause
	for try := 1; ; try++ {
		wait, err := e.post(ctx, packed.Bytes())
		if wait == 0 || err == nil || try == patience {
			return err
		}
		e.mu.Lock()
		closed := e.closed
		e.mu.Unlock()
		if closed {
			return err
		}
		select {
		case <-time.After(min(max(wait, pause), maxPause)):
			pause *= 2
		case <-ctx.Done():
			return err
		}
	}
}

// post sends a body once. After an error that may pass it says how long to wait.
func (e *Exporter) post(ctx context.Context, body []byte) (wait time.Duration, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.config.URL, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Content-Encoding", "gzip")
	for name, value := range e.config.Headers {
		r.Header.Set(name, value)
	}
	answer, err := e.client.Do(r)
	if err != nil {
		return time.Millisecond, err
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	if err != nil {
		return time.Millisecond, err
	}
	switch answer.StatusCode {
	case http.StatusOK, http.StatusAccepted, http.StatusNoContent:
		return 0, partly(said)
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		seconds, err := strconv.Atoi(answer.Header.Get("Retry-After"))
		if err != nil || seconds < 0 {
			seconds = 0
		}
		wait = max(time.Duration(min(seconds, 60))*time.Second, time.Millisecond)
	}
	return wait, fmt.Errorf("%s answers %s", e.config.URL, answer.Status)
}

// partly returns what a receiver says of spans that it did not take.
func partly(answer []byte) error {
	var a struct {
		PartialSuccess struct {
			RejectedSpans json.Number `json:"rejectedSpans"`
			ErrorMessage  string      `json:"errorMessage"`
		} `json:"partialSuccess"`
	}
	if json.Unmarshal(answer, &a) != nil {
		return nil // the status says that they were taken
	}
	if p := a.PartialSuccess; cmp.Or(string(p.RejectedSpans), "0") != "0" || p.ErrorMessage != "" {
		return errors.New("the receiver rejects " + cmp.Or(string(p.RejectedSpans), "0") + " of them: " + p.ErrorMessage)
	}
	return nil
}
