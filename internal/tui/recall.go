package tui

import "strings"

// recall walks through earlier inputs, as a shell does with the arrow keys.
type recall struct {
	entries []string
	at      int    // len(entries) is the new input
	draft   string // the new input while an earlier one is shown
}

func newRecall(entries []string) recall {
	return recall{entries: append([]string(nil), entries...), at: len(entries)}
}

// add remembers an input and goes to the end. It reports whether the input is
// another one than the last.
func (r *recall) add(input string) bool {
	fresh := len(r.entries) == 0 || r.entries[len(r.entries)-1] != input
	if fresh {
		r.entries = append(r.entries, input)
	}
	r.at, r.draft = len(r.entries), ""
	return fresh
}

func (r *recall) len() int { return len(r.entries) }

// find returns the newest entry before one that contains a text.
func (r *recall) find(text string, before int) (int, bool) {
	for i := before - 1; i >= 0 && text != ""; i-- {
		if strings.Contains(r.entries[i], text) {
			return i, true
		}
	}
	return 0, false
}

// back goes to the input before; current is what is shown now.
func (r *recall) back(current string) (string, bool) {
	if r.at == 0 {
		return "", false
	}
	if r.at == len(r.entries) {
		r.draft = current
	}
	r.at--
	return r.entries[r.at], true
}

// forward goes to the input after, in the end to the new one.
func (r *recall) forward() (string, bool) {
	if r.at == len(r.entries) {
		return "", false
	}
	r.at++
	if r.at == len(r.entries) {
		return r.draft, true
	}
	return r.entries[r.at], true
}
