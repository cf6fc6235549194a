package tui

import (
	"context"
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"
)

// press handles a key.
func (s *screen) press(k tea.KeyPressMsg) tea.Cmd {
	s.hint = ""
	leaving := s.leaving
	s.leaving = false
	if s.search != nil && s.searchKey(k) {
		return nil
	}
	page := max(s.room()-1, 1)
	switch k.Keystroke() {
	case "ctrl+c":
		switch {
		case s.cancel != nil:
			s.stop()
		case s.input.Value() != "":
			s.input.Reset()
		case leaving:
			s.quit = true
		default:
			s.leaving, s.hint = true, "Ctrl-C again or Ctrl-D leaves"
		}
		return nil
	case "ctrl+d":
		if s.input.Value() == "" {
			s.quit = true
			return nil
		}
	case "esc":
		s.stop()
		return nil
	case "ctrl+z":
		return tea.Suspend
	case "ctrl+l":
		s.repaint()
		return tea.ClearScreen
	case "enter":
		return s.enter()
	case "tab":
		s.complete()
		return nil
	case "ctrl+r":
		s.search = &search{at: s.recall.len(), draft: s.input.Value()}
		s.hint = s.search.hint(true)
		return nil
	case "ctrl+g":
		return s.edit()
	case "pgup":
		s.scroll(-page)
		return nil
	case "pgdown":
		s.scroll(page)
		return nil
	case "shift+up":
		s.scroll(-1)
		return nil
	case "shift+down":
		s.scroll(1)
		return nil
	case "ctrl+home":
		s.scroll(-len(s.lines))
		return nil
	case "ctrl+end":
		s.scroll(len(s.lines))
		return nil
	case "up":
		if s.input.Line() == 0 && s.input.LineInfo().RowOffset == 0 {
			s.replace(s.recall.back(s.input.Value()))
			return nil
		}
	case "down":
		if info := s.input.LineInfo(); s.input.Line() == s.input.LineCount()-1 && info.RowOffset >= info.Height-1 {
			s.replace(s.recall.forward())
			return nil
		}
	}
	var cmd tea.Cmd
	s.input, cmd = s.input.Update(k)
	return cmd
}

// replace puts an earlier input into the input, if there is one.
func (s *screen) replace(text string, ok bool) {
	if ok {
		s.input.SetValue(text)
		s.input.MoveToEnd()
	}
}

// enter sends the input, or continues it after a backslash.
func (s *screen) enter() tea.Cmd {
	text := s.input.Value()
	if rest, ok := strings.CutSuffix(text, `\`); ok {
		s.input.SetValue(rest + "\n")
		s.input.MoveToEnd()
		return nil
	}
	if strings.TrimSpace(text) == "" {
		return nil
	}
	if Unclosed(text) {
		s.input.InsertString("\n")
		return nil
	}
	if s.cancel != nil {
		s.hint = "the answer is not complete yet; Ctrl-C stops it"
		return nil
	}
	s.input.Reset()
	s.follow = true
	s.add(block{Question, text})
	if s.recall.add(text) && s.opts.Remember != nil {
		if err := s.opts.Remember(text); err != nil {
			s.add(block{Problem, err.Error()})
		}
	}
	ctx, cancel := context.WithCancel(s.ctx)
	s.cancel = cancel
	done := make(chan struct{})
	s.running.Go(func() {
		defer close(done)
		defer cancel()
		s.opts.Handler.Handle(ctx, text, s.feed.emit)
	})
	return tea.Batch(func() tea.Msg { <-done; return doneMsg{} }, nextRefresh())
}

// complete writes what the end of the input can only become, and shows the
// possibilities if there are several.
func (s *screen) complete() {
	text := s.input.Value()
	if s.opts.Complete == nil || text == "" {
		return
	}
	from, options := s.opts.Complete(text)
	if len(options) == 0 {
		s.hint = "nothing to complete"
		return
	}
	common := options[0]
	for _, o := range options[1:] {
		for !strings.HasPrefix(o, common) {
			common = common[:len(common)-1]
		}
	}
	common = strings.ToValidUTF8(common, "") // two characters may have begun with the same byte
	if len(common) > len(text)-from || len(options) == 1 {
		s.replace(text[:from]+common, true)
	}
	if len(options) > 1 {
		s.hint = Printable(strings.Join(options, "  "))
	}
}

// edit opens an editor for the input.
func (s *screen) edit() tea.Cmd {
	if s.opts.Edit == nil {
		return nil
	}
	command, result, err := s.opts.Edit(s.input.Value())
	if err != nil {
		s.hint = err.Error()
		return nil
	}
	return runProgram(command, func(err error) tea.Msg { return editedMsg{result, err} })
}

// edited takes over what was written in an editor.
func (s *screen) edited(m editedMsg) {
	text, err := m.result() // which removes the file, also after an error
	if m.err != nil {
		err = m.err
	}
	if err != nil {
		s.hint = fmt.Sprintf("the editor: %v", err)
		return
	}
	s.replace(strings.TrimRight(text, "\n"), true)
}
