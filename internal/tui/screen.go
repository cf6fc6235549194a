package tui

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"charm.land/bubbles/v2/key"
	"charm.land/bubbles/v2/textarea"
	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/colorprofile"
)

const (
	promptText = "› "
	inputRows  = 8 // rows of the input at most
	// refresh is the time between two looks at a running answer. An answer that
	// takes long to draw is drawn less often: the model needs the CPU.
	refresh = 50 * time.Millisecond
	// resizeDelay is how long the size must stay the same before everything is
	// wrapped anew: while a window is dragged there are many sizes.
	resizeDelay = 60 * time.Millisecond
	wheelLines  = 3
)

// screen is the program's state, owned by its event loop, except for the feed.
type screen struct {
	ctx  context.Context
	opts Options

	width, height int
	dark, colours bool
	resized       int // counts the changes of the size
	painter       *painter

	blocks []block
	starts []int    // where the lines of each block begin
	lines  []string // of all blocks
	top    int      // first line shown, unless following
	follow bool     // show the end

	input  textarea.Model
	recall recall

	feed     feed
	running  sync.WaitGroup
	cancel   context.CancelFunc // of the running answer, nil when idle
	stopping bool
	dirty    bool      // the last block has changed since it was painted
	paintAt  time.Time // not before
	hint     string    // instead of the status, until the next key
	leaving  bool      // the next Ctrl-C leaves
	search   *search   // among earlier inputs, nil when there is none
	quit     bool
}

// feed carries the events of the handler's goroutine to the event loop.
type feed struct {
	mu     sync.Mutex
	events []Event
}

func (f *feed) emit(e Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, e)
}

func (f *feed) take() []Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	events := f.events
	f.events = nil
	return events
}

// Messages of the event loop.
type (
	refreshMsg struct{}
	resizeMsg  struct{ resized int }
	doneMsg    struct{}
	editedMsg  struct {
		result func() (string, error)
		err    error
	}
)

func newScreen(ctx context.Context, o Options) *screen {
	s := &screen{ctx: ctx, opts: o, width: 80, height: 24, dark: true, follow: true, recall: newRecall(o.History)}
	s.colours = hasColours(colorprofile.Detect(o.Output, o.Environ))
	s.input = newInput()
	if o.Greeting != "" {
		s.blocks = append(s.blocks, block{Notice, o.Greeting})
	}
	s.repaint()
	return s
}

func newInput() textarea.Model {
	t := textarea.New()
	t.Prompt = promptText
	t.SetPromptFunc(len([]rune(promptText)), func(info textarea.PromptInfo) string {
		if info.LineNumber == 0 {
			return promptText
		}
		return ""
	})
	t.Placeholder = "Write a message, or /help"
	t.ShowLineNumbers = false
	t.EndOfBufferCharacter = ' '
	t.CharLimit = 0
	t.DynamicHeight = true
	t.MinHeight, t.MaxHeight = 1, inputRows
	t.MaxContentHeight = 1 << 20 // a pasted file is a message too
	t.KeyMap.InsertNewline = key.NewBinding(key.WithKeys("alt+enter", "ctrl+j", "shift+enter"))
	t.SetVirtualCursor(false)
	plain := lipgloss.NewStyle()
	faint := plain.Faint(true)
	state := textarea.StyleState{Base: plain, Text: plain, CursorLine: plain, EndOfBuffer: plain, Placeholder: faint, Prompt: plain.Bold(true)}
	styles := t.Styles()
	styles.Focused, styles.Blurred = state, state
	t.SetStyles(styles)
	t.Focus()
	return t
}

func hasColours(p colorprofile.Profile) bool { return p > colorprofile.ASCII }

// Init implements tea.Model.
func (s *screen) Init() tea.Cmd { return tea.RequestBackgroundColor }

// Update implements tea.Model.
func (s *screen) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	var cmd tea.Cmd
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		cmd = s.resize(msg.Width, msg.Height)
	case resizeMsg:
		if msg.resized == s.resized {
			s.repaint()
		}
	case tea.BackgroundColorMsg:
		if s.dark != msg.IsDark() {
			s.dark = msg.IsDark()
			s.repaint()
		}
	case tea.ColorProfileMsg:
		if c := hasColours(msg.Profile); c != s.colours {
			s.colours = c
			s.repaint()
		}
	case refreshMsg:
		cmd = s.show(s.feed.take())
		if s.cancel != nil && !s.quit {
			cmd = tea.Batch(cmd, nextRefresh())
		}
	case doneMsg:
		s.cancel, s.stopping = nil, false
		cmd = s.show(s.feed.take())
		s.paintLast(true)
	case editedMsg:
		s.edited(msg)
	case tea.MouseWheelMsg:
		switch msg.Button {
		case tea.MouseWheelUp:
			s.scroll(-wheelLines)
		case tea.MouseWheelDown:
			s.scroll(wheelLines)
		}
	case tea.PasteMsg:
		s.hint, s.leaving, s.search = "", false, nil
		msg.Content = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(msg.Content)
		s.input, cmd = s.input.Update(msg)
	case tea.KeyPressMsg:
		cmd = s.press(msg)
	default:
		s.input, cmd = s.input.Update(msg)
	}
	if s.quit {
		s.stop()
		return s, tea.Quit
	}
	return s, cmd
}

func nextRefresh() tea.Cmd {
	return tea.Tick(refresh, func(time.Time) tea.Msg { return refreshMsg{} })
}

// stop ends the running answer.
func (s *screen) stop() {
	if s.cancel != nil {
		s.cancel()
		s.stopping = true
	}
}

// show takes over events.
func (s *screen) show(events []Event) tea.Cmd {
	var cmds []tea.Cmd
	for _, e := range events {
		switch e.Kind {
		case Quit:
			s.quit = true
		case Copy:
			cmds = append(cmds, tea.SetClipboard(e.Text))
		case Exec:
			cmds = append(cmds, runProgram(e.Command, func(err error) tea.Msg {
				e.Done <- err
				return nil
			}))
		case Clear:
			s.blocks, s.starts, s.lines = nil, nil, nil
			s.top, s.follow, s.dirty = 0, true, false
		case Answer, Thought: // these come in pieces
			if last := len(s.blocks) - 1; last >= 0 && s.blocks[last].kind == e.Kind {
				s.blocks[last].text += e.Text
				s.dirty = true
				continue
			}
			s.add(block{e.Kind, e.Text})
		default:
			s.add(block{e.Kind, e.Text})
		}
	}
	s.paintLast(false)
	return tea.Batch(cmds...)
}

// add appends a block.
func (s *screen) add(b block) {
	s.paintLast(true)
	s.blocks = append(s.blocks, b)
	s.starts = append(s.starts, len(s.lines))
	s.lines = append(s.lines, s.painter.paint(b)...)
}

// paintLast draws the last block again if it has changed, unless that was done
// a short time ago.
func (s *screen) paintLast(now bool) {
	if !s.dirty || !now && time.Now().Before(s.paintAt) {
		return
	}
	s.dirty = false
	start := time.Now()
	last := len(s.blocks) - 1
	s.lines = append(s.lines[:s.starts[last]], s.painter.paint(s.blocks[last])...)
	const share = 20 // of the time at most one part in 20
	s.paintAt = time.Now().Add(share * time.Since(start))
}

// repaint draws everything, for another size or other colours.
func (s *screen) repaint() {
	p := newPainter(look{width: s.width, colours: s.colours, dark: s.dark})
	anchor, offset := s.anchor()
	s.painter = p
	s.starts, s.lines, s.dirty = s.starts[:0], s.lines[:0], false
	for _, b := range s.blocks {
		s.starts = append(s.starts, len(s.lines))
		s.lines = append(s.lines, p.paint(b)...)
	}
	if anchor >= 0 {
		s.top = s.starts[anchor] + offset
	}
}

// anchor returns the block at the top of the screen and how far down it the
// screen begins, or −1 without blocks.
func (s *screen) anchor() (index, offset int) {
	index = -1
	for i, start := range s.starts {
		if start <= s.top {
			index, offset = i, s.top-start
		}
	}
	return index, offset
}

// resize takes over another size. Wrapping everything anew waits until the
// size is settled.
func (s *screen) resize(width, height int) tea.Cmd {
	otherWidth := width != s.width
	s.width, s.height = width, height
	s.input.MaxHeight = max(1, min(inputRows, height/3))
	s.input.SetWidth(max(width, minWidth))
	s.input, _ = s.input.Update(nil) // moves the cursor's row into view
	if !otherWidth {
		return nil
	}
	s.resized++
	if s.resized == 1 {
		s.repaint()
		return nil
	}
	n := s.resized
	return tea.Tick(resizeDelay, func(time.Time) tea.Msg { return resizeMsg{n} })
}

// room is the number of rows for the conversation.
func (s *screen) room() int { return max(s.height-s.input.Height()-2, 1) }

// scroll moves the conversation by n lines.
func (s *screen) scroll(n int) {
	end := max(len(s.lines)-s.room(), 0)
	if s.follow {
		s.top = end
	}
	s.top = min(max(s.top+n, 0), end)
	s.follow = s.top == end
}

// View implements tea.Model.
func (s *screen) View() tea.View {
	room := s.room()
	end := max(len(s.lines)-room, 0)
	top := min(s.top, end)
	if s.follow {
		top = end
	}
	shown := s.lines[top:min(top+room, len(s.lines))]
	var b strings.Builder
	for i := range room {
		if i < len(shown) {
			b.WriteString(shown[i])
		}
		b.WriteByte('\n')
	}
	remark := ""
	if below := len(s.lines) - top - len(shown); below > 0 {
		remark = fmt.Sprintf("%d lines below, Ctrl-End goes there", below)
	}
	b.WriteString(s.painter.rule(remark, s.width))
	b.WriteByte('\n')
	b.WriteString(s.input.View())
	b.WriteByte('\n')
	b.WriteString(s.painter.statusLine(s.status(), s.width))

	v := tea.NewView(b.String())
	v.AltScreen = true
	v.MouseMode = tea.MouseModeCellMotion
	v.WindowTitle = "trit chat"
	if c := s.input.Cursor(); c != nil {
		c.Position.Y += room + 1
		v.Cursor = c
	}
	return v
}

// status returns the parts of the status line.
func (s *screen) status() []string {
	parts := s.opts.Handler.Status()
	switch {
	case s.hint != "":
		return append([]string{s.hint}, parts...)
	case s.stopping:
		return append([]string{"stopping"}, parts...)
	case s.cancel != nil:
		return slices.Insert(parts, min(1, len(parts)), "Ctrl-C stops")
	}
	return append(parts, "/help")
}

// transcript returns what was said, drawn as on the screen.
func (s *screen) transcript() string {
	s.show(s.feed.take())
	s.paintLast(true)
	if len(s.blocks) < 2 { // the greeting alone is not worth keeping
		return ""
	}
	return strings.TrimRight(strings.Join(s.lines, "\n"), "\n")
}
