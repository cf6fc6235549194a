package core

import (
	"errors"
	"time"

	"trit"
)

// reloadPause is how long one of the server's own models waits, after it could not be
// loaded again, for the next try.
const reloadPause = 10 * time.Second

// reload loads one of the server's own models that has stopped, unless a request has
// done so.
func (ms *Models) reload(name string) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if ms.loaded[name] == nil && !ms.closed {
		ms.begin(name).again = true
	}
}

// retire takes a model out of service that has stopped: because its file was written to
// or truncated, or because of an internal error. The next request, and for the server's
// own models the server itself, loads it again. The caller holds mu.
func (ms *Models) retire(l *Loaded) {
	if l.retired || l.unloading || !l.isReady() || l.err != nil {
		return
	}
	err := l.Model.Err()
	if err == nil {
		return
	}
	var stack []byte
	if broken, ok := errors.AsType[*trit.BrokenError](err); ok {
		stack = broken.Stack
	}
	ms.log.Error("model stopped", "model", l.Name, "error", err, "stack", string(stack))
	l.retired, l.unloading = true, true
	if l.leases == 0 {
		ms.unload(l)
	}
}
