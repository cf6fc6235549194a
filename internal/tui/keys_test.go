package tui

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
)

var (
	keyTab       = tea.KeyPressMsg{Code: tea.KeyTab}
	keyEsc       = tea.KeyPressMsg{Code: tea.KeyEscape}
	keyBackspace = tea.KeyPressMsg{Code: tea.KeyBackspace}
)

// TestComplete: Tab writes what several possibilities have in common.
func TestComplete(t *testing.T) {
	d := drive(t, Options{Complete: func(input string) (int, []string) {
		from := strings.LastIndexByte(input, ' ') + 1
		var options []string
		for _, o := range []string{"/model", "/modest", "/help", "größe", "grün"} {
			if strings.HasPrefix(o, input[from:]) {
				options = append(options, o)
			}
		}
		return from, options
	}})
	for _, test := range []struct{ input, want, hint string }{
		{"/m", "/mode", "/model  /modest"},
		{"/mode", "/mode", "/model  /modest"},
		{"/model", "/model", ""},
		{"see /h", "see /help", ""},
		{"g", "gr", "größe  grün"}, // ö and ü begin with the same byte
		{"x", "x", "nothing to complete"},
	} {
		d.input.Reset()
		d.write(test.input)
		d.send(keyTab)
		if got := d.input.Value(); got != test.want || d.hint != test.hint {
			t.Errorf("%q becomes %q with the hint %q, want %q, %q", test.input, got, d.hint, test.want, test.hint)
		}
	}
	d = drive(t, Options{})
	d.write("/m")
	d.send(keyTab)
	if got := d.input.Value(); got != "/m" {
		t.Errorf("where nothing completes Tab writes %q", got)
	}
}

// TestSearch: Ctrl-R finds earlier inputs, the newest first.
func TestSearch(t *testing.T) {
	d := drive(t, Options{History: []string{"the first cow", "a second cow", "something else"}})
	shows := func(want string) {
		t.Helper()
		if got := d.input.Value(); got != want {
			t.Errorf("the input is %q, want %q", got, want)
		}
	}
	d.write("draft")
	d.send(ctrl('r'))
	d.write("co")
	shows("a second cow")
	d.write("w")
	shows("a second cow")
	d.expect(`search "cow"`)
	d.send(ctrl('r'))
	shows("the first cow")
	d.send(ctrl('r'))
	d.expect("not found")
	shows("the first cow")
	d.keys(keyBackspace, keyBackspace, keyBackspace)
	d.write("else")
	shows("something else")
	d.send(keyEsc)
	shows("draft")
	d.send(ctrl('r'))
	d.write("first")
	d.send(keyEnter)
	shows("the first cow")
	d.expectNot("search")
	if d.cancel != nil {
		t.Error("the key that takes an input has sent it")
	}
	d.send(ctrl('r'))
	d.write("else")
	d.send(keyUp) // ends the search, and is what it always is
	shows("something else")
}

// TestQuotes: lines between three quotation marks are one input.
func TestQuotes(t *testing.T) {
	h := newTalker()
	d := drive(t, Options{Handler: h})
	d.write(`"""one`)
	d.send(keyEnter)
	d.write("two")
	d.send(keyEnter)
	if d.cancel != nil {
		t.Fatal("an open input was sent")
	}
	d.ask(`"""`)
	input := <-h.inputs
	if input != "\"\"\"one\ntwo\n\"\"\"" {
		t.Errorf("the handler got %q", input)
	}
	for input, want := range map[string]struct {
		unclosed bool
		text     string
	}{
		input:                 {false, "one\ntwo"},
		`"""`:                 {true, `"""`},
		`""" one`:             {true, `""" one`},
		`"""one"""`:           {false, "one"},
		`""""""`:              {false, ""},
		`one """`:             {false, `one """`},
		"\"\"\"\n  a\n\"\"\"": {false, "  a"},
	} {
		if got := Unclosed(input); got != want.unclosed {
			t.Errorf("%q is unclosed: %t", input, got)
		}
		if got := Unquote(input); got != want.text {
			t.Errorf("%q without its marks is %q, want %q", input, got, want.text)
		}
	}
}

// TestEdited: what an editor gives is the input, and what fails is said.
func TestEdited(t *testing.T) {
	var given string
	d := drive(t, Options{Edit: func(input string) (*exec.Cmd, func() (string, error), error) {
		given = input
		if input == "no" {
			return nil, nil, errors.New("there is no editor")
		}
		return exec.Command("true"), func() (string, error) { return "edited\n", nil }, nil
	}})
	d.write("draft")
	d.Update(ctrl('g'))
	if given != "draft" {
		t.Errorf("the editor got %q", given)
	}
	d.send(editedMsg{func() (string, error) { return "edited\n", nil }, nil})
	if got := d.input.Value(); got != "edited" {
		t.Errorf("the input is %q", got)
	}
	d.send(editedMsg{func() (string, error) { return "lost", nil }, errors.New("exit status 1")})
	if got := d.input.Value(); got != "edited" || !strings.Contains(d.hint, "exit status 1") {
		t.Errorf("the input is %q, the hint %q", got, d.hint)
	}
	d.input.SetValue("no")
	d.Update(ctrl('g'))
	d.expect("there is no editor")
}
