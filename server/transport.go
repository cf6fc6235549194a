package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

// Transport lets HTTP clients of this program talk with the server without a port: as the
// Transport of an [http.Client] it takes every request to the server's endpoints, whatever
// the host of its URL. Answers are streamed as they are over a connection, and a client that
// cancels, or closes an answer before its end, stops what makes it. Load, or a request that
// names a model, loads what is asked for; Close must be called in the end. Keys are asked
// for as of every client.
func (s *Server) Transport() http.RoundTripper { return transport{s.handler} }

type transport struct{ handler http.Handler }

// RoundTrip implements [http.RoundTripper].
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(r.Context())
	body := r.Body
	if body == nil {
		body = http.NoBody
	}
	if err := ctx.Err(); err != nil {
		cancel()
		return nil, errors.Join(err, body.Close())
	}
	inner := r.Clone(ctx)
	inner.Body, inner.RequestURI = body, r.URL.RequestURI()
	inner.URL.Scheme, inner.URL.Host, inner.URL.User = "", "", nil
	// The checks of names and addresses are about connections, and there is none.
	inner.Host, inner.RemoteAddr = "localhost", "127.0.0.1:0"
	inner.Proto, inner.ProtoMajor, inner.ProtoMinor = "HTTP/1.1", 1, 1

	reader, writer := io.Pipe()
	w := &pipeWriter{request: r, header: http.Header{}, body: reader, pipe: writer, cancel: cancel, begun: make(chan struct{})}
	// Ends what the handler writes and what the client reads, unless the answer is complete.
	context.AfterFunc(ctx, func() { writer.CloseWithError(ctx.Err()) })
	go func() {
		err := io.ErrUnexpectedEOF
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler {
				err = fmt.Errorf("server: the handler of %s panicked: %v", inner.RequestURI, p)
			}
			w.finish(err)
			_ = body.Close() // the client's; it has nothing to say about the answer
		}()
		t.handler.ServeHTTP(w, inner)
		err = ctx.Err() // what a client has given up on is not complete, however orderly it ends
	}()
	select {
	case <-w.begun:
	case <-ctx.Done():
		cancel()
		return nil, ctx.Err()
	}
	if w.failed != nil {
		cancel()
		return nil, w.failed
	}
	return w.response, nil
}

// pipeWriter makes a response of what a handler writes.
type pipeWriter struct {
	request *http.Request
	header  http.Header
	body    *io.PipeReader
	pipe    *io.PipeWriter
	cancel  func()

	deadline time.Time // of the writes

	once     sync.Once
	begun    chan struct{} // closed when there is a response, or none will come
	response *http.Response
	failed   error
}

// Header implements [http.ResponseWriter].
func (w *pipeWriter) Header() http.Header { return w.header }

// WriteHeader implements [http.ResponseWriter].
func (w *pipeWriter) WriteHeader(status int) {
	if status < 200 {
		return // a word in between, of which clients need not hear
	}
	w.once.Do(func() {
		r := &http.Response{StatusCode: status, Status: strconv.Itoa(status) + " " + http.StatusText(status),
			Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: maps.Clone(w.header), ContentLength: -1, Request: w.request, Body: &pipeBody{w.body, w.cancel}}
		if n, err := strconv.ParseInt(w.header.Get("Content-Length"), 10, 64); err == nil {
			r.ContentLength = n
		}
		w.response = r
		close(w.begun)
	})
}

// Write implements [http.ResponseWriter].
func (w *pipeWriter) Write(data []byte) (int, error) {
	if w.header.Get("Content-Type") == "" {
		w.header.Set("Content-Type", http.DetectContentType(data))
	}
	w.WriteHeader(http.StatusOK)
	if w.request.Method == http.MethodHead {
		return len(data), nil
	}
	if !w.deadline.IsZero() {
		late := time.AfterFunc(time.Until(w.deadline), func() { w.pipe.CloseWithError(os.ErrDeadlineExceeded) })
		defer late.Stop()
	}
	return w.pipe.Write(data)
}

// SetWriteDeadline bounds how long the client may let writes wait. See
// [http.ResponseController].
func (w *pipeWriter) SetWriteDeadline(t time.Time) error {
	w.deadline = t
	return nil
}

// Flush implements [http.Flusher]. What is written has been read.
func (w *pipeWriter) Flush() { w.WriteHeader(http.StatusOK) }

// finish ends the answer; err says that it is not whole.
func (w *pipeWriter) finish(err error) {
	if err != nil {
		w.once.Do(func() {
			w.failed = err
			close(w.begun)
		})
	}
	w.WriteHeader(http.StatusOK)
	w.pipe.CloseWithError(err) // nil is the end
}

// pipeBody is the body of a response. Closing it stops the handler.
type pipeBody struct {
	*io.PipeReader
	cancel func()
}

func (b *pipeBody) Close() error {
	b.cancel()
	return b.PipeReader.Close()
}
