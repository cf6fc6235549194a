package core

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
)

// Logs keeps the last lines of a server's log, each a JSON object, for those who look at
// the server from elsewhere.
type Logs struct {
	mu    sync.Mutex
	lines [][]byte // the last of them
	bytes int      // in them
	ended int64    // lines that were ever written
	more  chan struct{}
}

// Limits of what is kept: a busy server writes some hundred lines a second.
const (
	keptLogLines = 2000
	keptLogBytes = 1 << 20
)

// Write takes a line, as slog's handlers write them.
func (l *Logs) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, bytes.Clone(line))
	l.bytes += len(line)
	l.ended++
	for len(l.lines) > keptLogLines || l.bytes > keptLogBytes && len(l.lines) > 1 {
		l.bytes -= len(l.lines[0])
		l.lines[0] = nil
		l.lines = l.lines[1:]
	}
	if l.more != nil {
		close(l.more)
		l.more = nil
	}
	return len(line), nil
}

// After returns the lines that are kept from the one with number n on, the number of the
// line after them, and a channel that is closed when there is one. Negative n counts from
// the end.
func (l *Logs) After(n int64) (lines [][]byte, next int64, more <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n < 0 {
		n += l.ended
	}
	first := l.ended - int64(len(l.lines))
	lines = append(lines, l.lines[min(max(n-first, 0), int64(len(l.lines))):]...)
	if l.more == nil {
		l.more = make(chan struct{})
	}
	return lines, l.ended, l.more
}

// beside returns a log that writes to another and to these lines, which have what the
// other has, and at least what is worth knowing.
func (l *Logs) beside(log *slog.Logger) *slog.Logger {
	level := slog.LevelInfo
	if log.Enabled(context.Background(), slog.LevelDebug) {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewMultiHandler(log.Handler(), slog.NewJSONHandler(l, &slog.HandlerOptions{Level: level})))
}
