package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"trit/internal/textfile"
	"trit/server"
)

// maxKeys bounds the size of a file of keys or of aliases.
const maxKeys = 16 << 20

// keys returns the keys of the flags, the files and the environment.
func (f *serveFlags) keys() ([]server.Key, error) {
	keys, err := readKeys(f.apiKeys, f.apiKeyFile, "TRIT_API_KEY")
	if err != nil {
		return nil, err
	}
	admin, err := readKeys(f.adminKeys, f.adminKeyFile, "TRIT_ADMIN_KEY")
	for _, k := range admin {
		k.Admin = true
		keys = append(keys, k)
	}
	return keys, err
}

// readKeys reads the keys of a flag, of a file and of an environment variable.
func readKeys(texts []string, file, variable string) ([]server.Key, error) {
	var keys []server.Key
	if key := os.Getenv(variable); key != "" {
		texts = append(slices.Clone(texts), key)
	}
	for _, text := range texts {
		keys = append(keys, server.Key{Hash: server.KeyHash(text)})
	}
	if file == "" {
		return keys, nil
	}
	list, err := listedLines("keys", file)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("the file of keys %s has none; want one a line", file)
	}
	for _, line := range list {
		key, err := server.ParseKey(line)
		if err != nil {
			return nil, fmt.Errorf("the file of keys %s: %w", file, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// listedLines returns the lines of a file that are neither empty nor comments.
func listedLines(what, file string) ([]string, error) {
	data, err := textfile.Read(file, maxKeys)
	if err != nil {
		return nil, fmt.Errorf("the file of %s: %w", what, err)
	}
	var list []string
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			list = append(list, line)
		}
	}
	return list, nil
}

// allAliases returns the aliases of the flags and of the file.
func (f *serveFlags) allAliases() (map[string]string, error) {
	list := f.aliases
	if f.aliasFile != "" {
		more, err := listedLines("aliases", f.aliasFile)
		if err != nil {
			return nil, err
		}
		list = append(slices.Clone(list), more...)
	}
	return parseAliases(list)
}

func parseAliases(list []string) (map[string]string, error) {
	aliases := map[string]string{}
	for _, s := range list {
		name, model, ok := strings.Cut(s, "=")
		if name, model = strings.TrimSpace(name), strings.TrimSpace(model); !ok || name == "" || model == "" {
			return nil, fmt.Errorf("--alias %q: want NAME=MODEL", s)
		}
		aliases[name] = model
	}
	return aliases, nil
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

// reloadEvery is how often files are looked at for changes.
var reloadEvery = 2 * time.Second

// changes tells when the files have changed that are read anew.
func (f *serveFlags) changes() string {
	var b strings.Builder
	for _, file := range []string{f.apiKeyFile, f.adminKeyFile, f.aliasFile, f.certificate, f.key} {
		if file == "" {
			continue
		}
		if info, err := os.Stat(file); err != nil {
			fmt.Fprintln(&b, file, err)
		} else {
			fmt.Fprintln(&b, file, info.ModTime().UnixNano(), info.Size())
		}
	}
	return b.String()
}

// reload reads the files of keys, of aliases and of the certificate anew when the program gets
// SIGHUP or one of them has changed, until stop is called. What cannot be read leaves what was
// there before.
func (f *serveFlags) reload(a *app, s *server.Server, o *server.Options) (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	end, done := make(chan struct{}), make(chan struct{})
	ticker := time.NewTicker(reloadEvery)
	go func() {
		defer close(done)
		last := f.changes()
		for {
			why := "SIGHUP"
			select {
			case <-end:
				return
			case <-signals:
				last = f.changes()
			case <-ticker.C:
				now := f.changes()
				if now == last {
					continue
				}
				last, why = now, "a file has changed"
			}
			keys, err := f.keys()
			if err == nil {
				err = s.SetKeys(nil, nil, keys...)
			}
			aliases, aliasErr := f.allAliases()
			if aliasErr == nil {
				aliasErr = s.SetAliases(aliases)
			}
			err = errors.Join(err, aliasErr)
			if o.TLS != nil {
				err = errors.Join(err, f.loadCertificate())
			}
			if err != nil {
				a.log.Error(why+": what cannot be read stays as it was before", "error", err)
				continue
			}
			a.log.Info(why+": keys, aliases and certificate are read anew", "keys", len(keys), "aliases", len(aliases))
		}
	}()
	return func() {
		signal.Stop(signals)
		ticker.Stop()
		close(end)
		<-done
	}
}
