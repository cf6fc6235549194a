package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"trit/server"
)

// keys returns the keys of the flags, the files and the environment.
func (f *serveFlags) keys() (api, admin []string, err error) {
	if api, err = addKeys(slices.Clone(f.apiKeys), f.apiKeyFile, "TRIT_API_KEY"); err != nil {
		return nil, nil, err
	}
	admin, err = addKeys(slices.Clone(f.adminKeys), f.adminKeyFile, "TRIT_ADMIN_KEY")
	return api, admin, err
}

// loadCertificate reads the certificate and its key.
func (f *serveFlags) loadCertificate() error {
	pair, err := tls.LoadX509KeyPair(f.certificate, f.key)
	if err != nil {
		return fmt.Errorf("--tls-cert %s --tls-key %s: %w", f.certificate, f.key, err)
	}
	f.pair.Store(&pair)
	return nil
}

// reload reads the files of keys and of the certificate anew when the program gets SIGHUP,
// until stop is called. What cannot be read leaves what was there before.
func (f *serveFlags) reload(a *app, s *server.Server, o *server.Options) (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range signals {
			api, admin, err := f.keys()
			if err == nil {
				err = s.SetKeys(api, admin)
			}
			if o.TLS != nil {
				err = errors.Join(err, f.loadCertificate())
			}
			if err != nil {
				a.log.Error("SIGHUP: what was there before stays", "error", err)
				continue
			}
			a.log.Info("SIGHUP: keys and certificate are read anew", "keys", len(api), "admin_keys", len(admin))
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
		<-done
	}
}
