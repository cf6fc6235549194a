package core

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// TestLogsAreBounded: the last lines are kept, and no more of them than the limits say.
func TestLogsAreBounded(t *testing.T) {
	var l Logs
	log := l.beside(slog.New(slog.DiscardHandler))
	for i := range keptLogLines + 7 {
		log.Info("line", "n", i)
		log.Debug("nobody wants this")
	}
	lines, next, _ := l.After(0)
	if len(lines) != keptLogLines || next != keptLogLines+7 || !strings.Contains(string(lines[0]), `"n":7}`) {
		t.Errorf("%d lines up to %d, first %s", len(lines), next, lines[0])
	}
	if lines, _, _ := l.After(-2); len(lines) != 2 || !strings.Contains(string(lines[1]), fmt.Sprintf(`"n":%d}`, keptLogLines+6)) {
		t.Errorf("the last two are %q", lines)
	}
	_, next, more := l.After(next)
	select {
	case <-more:
		t.Error("there is more, and nothing was written")
	default:
	}
	log.Warn(strings.Repeat("x", keptLogBytes))
	<-more
	if lines, _, _ := l.After(next); len(lines) != 1 || l.bytes != len(lines[0]) {
		t.Errorf("%d lines with %d bytes are kept", len(lines), l.bytes)
	}
	log.Info("after it")
	if lines, _, _ := l.After(0); len(lines) != 1 || !strings.Contains(string(lines[0]), "after it") {
		t.Errorf("%d lines are kept beside one that is too long", len(lines))
	}
}
