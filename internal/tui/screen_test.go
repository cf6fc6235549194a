package tui

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	xansi "github.com/charmbracelet/x/ansi"
)

// slowTalker answers "count" with numbers until it is stopped, anything else
// with an echo.
type slowTalker struct {
	inputs chan string
	pause  time.Duration
}

func newTalker() *slowTalker {
	return &slowTalker{inputs: make(chan string, 100), pause: 5 * time.Millisecond}
}

func (h *slowTalker) Handle(ctx context.Context, input string, emit func(Event)) {
	h.inputs <- input
	switch input {
	case "count":
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				emit(Event{Kind: Notice, Text: "stopped"})
				return
			case <-time.After(h.pause):
				emit(Event{Kind: Answer, Text: fmt.Sprintf("number%d ", i)})
			}
		}
	case "clear":
		emit(Event{Kind: Clear})
		emit(Event{Kind: Output, Text: "empty"})
	case "quit":
		emit(Event{Kind: Quit})
	default:
		emit(Event{Kind: Answer, Text: "**echo** "})
		emit(Event{Kind: Answer, Text: strings.ToUpper(input)})
	}
}

func (h *slowTalker) Status() []string { return []string{"status", "more status"} }

// driver runs a screen without a terminal.
type driver struct {
	t *testing.T
	*screen
	quit bool
}

func drive(t *testing.T, o Options) *driver {
	if o.Handler == nil {
		o.Handler = newTalker()
	}
	o.Environ = []string{"TERM=xterm", "NO_COLOR=1"}
	o.Output = new(strings.Builder)
	d := &driver{t: t, screen: newScreen(t.Context(), o)}
	t.Cleanup(func() {
		d.stop()
		d.running.Wait()
	})
	d.send(tea.WindowSizeMsg{Width: 60, Height: 20})
	return d
}

// send delivers a message and what its commands answer, except for the ticks
// of refreshing, which the test sends itself.
func (d *driver) send(msg tea.Msg) {
	_, cmd := d.Update(msg)
	if _, ok := msg.(tea.WindowSizeMsg); ok {
		return
	}
	if cmd != nil && d.cancel == nil {
		if _, ok := cmd().(tea.QuitMsg); ok {
			d.quit = true
		}
	}
}

func (d *driver) keys(keys ...tea.KeyPressMsg) {
	for _, k := range keys {
		d.send(k)
	}
}

func (d *driver) write(text string) {
	for _, r := range text {
		d.send(tea.KeyPressMsg{Code: r, Text: string(r)})
	}
}

// ask enters a text and waits for the complete answer.
func (d *driver) ask(text string) {
	d.write(text)
	d.send(keyEnter)
	d.running.Wait()
	d.send(doneMsg{})
}

func (d *driver) shown() string { return xansi.Strip(d.View().Content) }

func (d *driver) expect(want ...string) {
	d.t.Helper()
	for _, w := range want {
		if !strings.Contains(d.shown(), w) {
			d.t.Errorf("the screen does not show %q:\n%s", w, d.shown())
		}
	}
}

func (d *driver) expectNot(unwanted ...string) {
	d.t.Helper()
	for _, w := range unwanted {
		if strings.Contains(d.shown(), w) {
			d.t.Errorf("the screen shows %q:\n%s", w, d.shown())
		}
	}
}

var (
	keyEnter    = tea.KeyPressMsg{Code: tea.KeyEnter}
	keyAltEnter = tea.KeyPressMsg{Code: tea.KeyEnter, Mod: tea.ModAlt}
	keyUp       = tea.KeyPressMsg{Code: tea.KeyUp}
	keyDown     = tea.KeyPressMsg{Code: tea.KeyDown}
	keyPgUp     = tea.KeyPressMsg{Code: tea.KeyPgUp}
	keyPgDown   = tea.KeyPressMsg{Code: tea.KeyPgDown}
)

func ctrl(r rune) tea.KeyPressMsg { return tea.KeyPressMsg{Code: r, Mod: tea.ModCtrl} }

func TestAsk(t *testing.T) {
	h := newTalker()
	d := drive(t, Options{Handler: h, Greeting: "welcome"})
	d.expect("welcome", "status · more status · /help")
	d.ask("hello")
	d.expect("› hello", "echo", "HELLO")
	if got := <-h.inputs; got != "hello" {
		t.Errorf("the handler got %q", got)
	}
	d.ask("   ")
	if len(h.inputs) != 0 {
		t.Error("blanks were sent")
	}
	d.keys(ctrl('c'))
	d.ask("clear")
	d.expect("empty")
	d.expectNot("HELLO", "welcome")
	d.ask("quit")
	if !d.quit {
		t.Error("the handler's wish to leave has no effect")
	}
}

func TestMultipleLines(t *testing.T) {
	h := newTalker()
	d := drive(t, Options{Handler: h})
	d.write("one")
	d.send(keyAltEnter)
	d.write("two")
	d.send(ctrl('j'))
	d.write(`three\`)
	d.send(keyEnter)
	d.write("four")
	d.send(tea.PasteMsg{Content: "five\r\nsix\rseven"})
	d.expect("› one", "  two", "three", "fourfive", "seven")
	d.ask("")
	if got, want := <-h.inputs, "one\ntwo\nthree\nfourfive\nsix\nseven"; got != want {
		t.Errorf("the handler got %q, want %q", got, want)
	}
}

// TestLargePaste: a pasted file arrives whole.
func TestLargePaste(t *testing.T) {
	h := newTalker()
	d := drive(t, Options{Handler: h})
	text := strings.Repeat("a line of a file that somebody pasted\n", 400)
	d.send(tea.PasteMsg{Content: text + "end"})
	d.ask("")
	if got := <-h.inputs; got != text+"end" {
		t.Errorf("%d bytes arrived of %d", len(got), len(text)+3)
	}
}

func TestHistory(t *testing.T) {
	var remembered []string
	h := newTalker()
	d := drive(t, Options{Handler: h, History: []string{"earlier", "two\nlines"}, Remember: func(s string) error {
		remembered = append(remembered, s)
		if s == "bad" {
			return errors.New("the disk is full")
		}
		return nil
	}})
	d.write("dr")
	d.keys(keyUp)
	d.expect("› two", "  lines")
	d.keys(keyUp, keyUp)
	d.expect("› earlier")
	d.keys(keyDown, keyDown, keyDown)
	if got := d.input.Value(); got != "dr" {
		t.Errorf("the draft is %q", got)
	}
	d.ask("aft")
	d.ask("draft")
	d.ask("bad")
	d.expect("the disk is full")
	if got := strings.Join(remembered, ","); got != "draft,bad" {
		t.Errorf("remembered %q", got)
	}
}

func TestInterruptKeys(t *testing.T) {
	h := newTalker()
	d := drive(t, Options{Handler: h})
	d.write("count")
	d.keys(keyEnter)
	<-h.inputs
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(d.shown(), "number2"); {
		if time.Now().After(deadline) {
			t.Fatalf("no answer:\n%s", d.shown())
		}
		time.Sleep(10 * time.Millisecond)
		d.send(refreshMsg{})
	}
	d.expect("Ctrl-C stops")
	d.write("next")
	d.keys(keyEnter)
	d.expect("not complete yet", "› next")
	d.keys(ctrl('c'))
	d.expect("stopping")
	d.running.Wait()
	d.send(doneMsg{})
	d.expect("stopped", "› next")
	if d.quit {
		t.Fatal("Ctrl-C during an answer left the program")
	}
	d.keys(ctrl('c')) // clears the input
	d.expectNot("› next")
	d.keys(ctrl('c'))
	d.expect("Ctrl-C again")
	d.write("x")
	d.expectNot("Ctrl-C again")
	d.keys(ctrl('c'), ctrl('c'))
	if d.quit {
		t.Fatal("one Ctrl-C at an empty input left the program")
	}
	d.keys(ctrl('c'))
	if !d.quit {
		t.Error("the second Ctrl-C at an empty input did not leave")
	}
}

func TestCtrlD(t *testing.T) {
	d := drive(t, Options{})
	d.write("x")
	d.keys(ctrl('d'))
	if d.quit {
		t.Fatal("Ctrl-D left with an input")
	}
	d.keys(ctrl('c'), ctrl('d'))
	if !d.quit {
		t.Error("Ctrl-D at an empty input did not leave")
	}
}

func TestScroll(t *testing.T) {
	d := drive(t, Options{})
	for i := range 20 {
		d.ask(fmt.Sprintf("question%d", i))
	}
	d.expect("QUESTION19")
	d.expectNot("QUESTION0\n", "lines below")
	d.keys(keyPgUp, keyPgUp)
	d.expect("lines below")
	d.expectNot("QUESTION19")
	d.send(tea.MouseWheelMsg{Button: tea.MouseWheelUp})
	before := d.shown()
	// What comes below does not move what is being read.
	d.show([]Event{{Kind: Output, Text: "something new"}})
	if got := d.shown(); strings.Split(got, "──")[0] != strings.Split(before, "──")[0] {
		t.Errorf("the screen moved from\n%s\nto\n%s", before, got)
	}
	d.keys(tea.KeyPressMsg{Code: tea.KeyHome, Mod: tea.ModCtrl})
	d.expect("question0")
	for range 20 {
		d.keys(keyPgDown)
	}
	d.expect("something new")
	d.expectNot("lines below")
}

// TestResize: whatever the size, the screen has as many lines and cells.
func TestResize(t *testing.T) {
	d := drive(t, Options{Greeting: strings.Repeat("welcome ", 30)})
	d.ask("你好世界 " + strings.Repeat("word ", 60))
	d.write(strings.Repeat("input ", 40))
	for _, size := range [][2]int{{80, 24}, {30, 10}, {12, 6}, {200, 60}, {60, 20}} {
		d.send(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
		d.send(resizeMsg{d.resized})
		v := d.View()
		lines := strings.Split(v.Content, "\n")
		if len(lines) != size[1] {
			t.Errorf("%v: %d lines", size, len(lines))
		}
		for _, line := range lines {
			if w := xansi.StringWidth(line); w > size[0] {
				t.Errorf("%v: a line has %d cells: %q", size, w, line)
			}
		}
		if c := v.Cursor; c == nil || c.X >= size[0] || c.Y >= size[1] {
			t.Errorf("%v: the cursor is at %v", size, c)
		}
	}
	d.send(tea.WindowSizeMsg{Width: 3, Height: 2}) // too small for anything, but no panic
	d.View()
	d.send(tea.BackgroundColorMsg{})
}

func TestTranscript(t *testing.T) {
	d := drive(t, Options{Greeting: "welcome"})
	if got := d.transcript(); got != "" {
		t.Errorf("the transcript of nothing is %q", got)
	}
	d.ask("hello")
	got := xansi.Strip(d.transcript())
	if !strings.Contains(got, "› hello") || !strings.HasSuffix(got, "HELLO") {
		t.Errorf("the transcript is %q", got)
	}
}
