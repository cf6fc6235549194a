package tui

import (
	"fmt"

	tea "charm.land/bubbletea/v2"
)

// search looks for a text in earlier inputs, the newest first.
type search struct {
	query string
	at    int    // the entry that is shown
	draft string // the input before the search
}

// hint says what is searched for and what the keys do.
func (s *search) hint(found bool) string {
	what := "search"
	if !found {
		what = "not found"
	}
	return fmt.Sprintf("%s %q: Ctrl-R older, Enter takes it, Esc leaves", what, s.query)
}

// searchKey handles a key during a search. It reports whether the key is done
// with; others end the search and mean what they always do.
func (s *screen) searchKey(k tea.KeyPressMsg) bool {
	f := s.search
	before := s.recall.len()
	switch key := k.Keystroke(); {
	case key == "ctrl+c", key == "esc", key == "ctrl+g":
		s.search = nil
		s.replace(f.draft, true)
		return true
	case key == "enter", key == "tab":
		s.search = nil
		return true
	case key == "ctrl+r":
		before = f.at
	case key == "backspace":
		if f.query == "" {
			return true
		}
		runes := []rune(f.query)
		f.query, f.at = string(runes[:len(runes)-1]), before
	case k.Text != "":
		f.query += k.Text
		before = min(f.at+1, before) // what is shown may match the longer query too
	default:
		s.search = nil
		return false
	}
	at, ok := s.recall.find(f.query, before)
	if ok {
		f.at = at
		s.replace(s.recall.entries[at], true)
	}
	s.hint = f.hint(ok)
	return true
}
