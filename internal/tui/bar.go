package tui

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	xansi "github.com/charmbracelet/x/ansi"
	"golang.org/x/term"
)

// Bar shows on one line of a terminal how far something is. Its methods may be
// called from several goroutines; a nil bar shows nothing.
type Bar struct {
	out    io.Writer
	amount func(int64) string // nil: steps, which are not worth numbers
	now    func() time.Time

	mu          sync.Mutex
	what        string
	done, total int64
	begun       time.Time // when something was done first
	first       int64     // what was done by then, in an earlier run for example
	drawn       time.Time
	line        string // what stands on the terminal
}

const (
	barCells = 24
	barEvery = 100 * time.Millisecond
	// barSettles is how long the speed is measured before it is shown.
	barSettles = time.Second
)

// NewBar returns a bar. How much is done, and how fast, is written by amount; nil
// leaves it out.
func NewBar(out io.Writer, what string, amount func(int64) string) *Bar {
	return &Bar{out: out, what: what, amount: amount, now: time.Now}
}

// Describe changes what is being done.
func (b *Bar) Describe(what string) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if what != b.what {
		b.what, b.drawn = what, time.Time{}
	}
	b.draw()
}

// Set says how much is done of how much; a total of 0 is not known.
func (b *Bar) Set(done, total int64) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.begun.IsZero() || done < b.done || total != b.total {
		b.begun, b.first = b.now(), done
	}
	b.done, b.total = done, total
	b.draw()
}

// Clear takes the bar off the terminal; Set brings it back.
func (b *Bar) Clear() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.line != "" {
		io.WriteString(b.out, "\r"+strings.Repeat(" ", xansi.StringWidth(b.line))+"\r")
		b.line = ""
	}
	b.drawn = time.Time{}
}

// draw shows the bar, unless that was done a short time ago. What cannot be
// written is nobody's loss: the work goes on.
func (b *Bar) draw() {
	now := b.now()
	if now.Sub(b.drawn) < barEvery && b.done != b.total || b.total <= 0 && b.done <= 0 {
		return
	}
	b.drawn = now
	line := Printable(b.text(now))
	if f, ok := b.out.(interface{ Fd() uintptr }); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			line = xansi.Truncate(line, max(width-1, 0), "")
		}
	}
	rest := max(xansi.StringWidth(b.line)-xansi.StringWidth(line), 0)
	io.WriteString(b.out, "\r"+line+strings.Repeat(" ", rest))
	b.line = line
}

// text is the line: what, how much of it, how fast, and for how long still.
func (b *Bar) text(now time.Time) string {
	var s strings.Builder
	s.WriteString(b.what)
	if b.total > 0 {
		share := min(max(float64(b.done)/float64(b.total), 0), 1)
		full := int(share * barCells)
		fmt.Fprintf(&s, " %3d %% ▕%s%s▏", int(100*share), strings.Repeat("█", full), strings.Repeat(" ", barCells-full))
	}
	if b.amount != nil {
		s.WriteString(" " + b.amount(b.done))
		if b.total > 0 {
			s.WriteString(" of " + b.amount(b.total))
		}
	}
	elapsed := now.Sub(b.begun)
	if elapsed < barSettles || b.done <= b.first {
		return s.String()
	}
	rate := float64(b.done-b.first) / elapsed.Seconds()
	if b.amount != nil {
		fmt.Fprintf(&s, ", %s/s", b.amount(int64(rate)))
	}
	if b.done < b.total {
		left := time.Duration(float64(b.total-b.done) / rate * float64(time.Second))
		fmt.Fprintf(&s, ", %s left", left.Round(time.Second))
	}
	return s.String()
}
