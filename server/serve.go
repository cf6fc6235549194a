package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"trit/server/core"
)

// Serve loads the server's models and answers requests on the listener until
// ctx ends. Then it refuses new connections, lets running answers finish for the
// time of Options.Grace, cancels what is left, and unloads the models. The error
// is nil after that, and says what went wrong if a model cannot be loaded
// or the listener fails.
//
// While the models are being loaded, the server is live but not ready.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	requests, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	hs := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: s.core.Options.ReadTimeout,
		IdleTimeout:       s.core.Options.IdleTimeout,
		MaxHeaderBytes:    s.core.Options.MaxHeader,
		BaseContext:       func(net.Listener) context.Context { return requests },
		ErrorLog:          s.httpLog(),
	}
	if tcp, ok := listener.Addr().(*net.TCPAddr); ok && tcp.IP.IsLoopback() {
		s.core.Local()
	}
	if s.core.Options.TLS != nil {
		hs.TLSConfig = s.core.Options.TLS.Clone()
		hs.TLSConfig.NextProtos = []string{"http/1.1"}
		listener = tls.NewListener(listener, hs.TLSConfig)
	}
	failed := make(chan error, 2)
	go func() {
		if err := hs.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			failed <- fmt.Errorf("server: %w", err)
		}
	}()
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		if err := s.Load(requests); err != nil {
			failed <- err
		}
	}()
	var err error
	select {
	case err = <-failed:
		cancel(core.ErrShuttingDown)
	case <-ctx.Done():
		s.core.Log.Info("draining", "grace", s.core.Options.Grace)
	}
	return errors.Join(err, s.drain(hs, cancel), s.Close(), wait(loaded))
}

func wait(c <-chan struct{}) error { <-c; return nil }

// drain ends the HTTP server.
func (s *Server) drain(hs *http.Server, cancel context.CancelCauseFunc) error {
	s.core.Drain()
	deadline := time.Now().Add(s.core.Options.Grace)
	time.Sleep(min(s.core.Options.DrainDelay, s.core.Options.Grace))
	grace, stop := context.WithDeadline(context.Background(), deadline)
	defer stop()
	if err := hs.Shutdown(grace); err == nil {
		return nil
	}
	cancel(core.ErrShuttingDown)
	// The streams end within one step of their models, and say why.
	last, stop := context.WithTimeout(context.Background(), lastWords)
	defer stop()
	if err := hs.Shutdown(last); err != nil {
		s.core.Log.Warn("connections were cut", "error", err)
		return hs.Close()
	}
	return nil
}

// lastWords is how long a cancelled request may take to end.
const lastWords = 5 * time.Second
