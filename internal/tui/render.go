package tui

import (
	"strings"

	"charm.land/lipgloss/v2"
	xansi "github.com/charmbracelet/x/ansi"
)

// look is how text is drawn: the width of the lines and the colours.
type look struct {
	width   int
	colours bool
	dark    bool
}

// painter turns blocks into lines of at most the look's width.
type painter struct {
	look    look
	palette palette

	question, command, notice, problem, faint lipgloss.Style
}

func newPainter(l look) *painter {
	l.width = max(l.width, minWidth)
	p := &painter{look: l, palette: newPalette(l)}
	p.faint = lipgloss.NewStyle().Faint(true)
	p.question = lipgloss.NewStyle().Bold(true)
	p.command = p.faint
	p.notice = lipgloss.NewStyle().Italic(true).Faint(true)
	p.problem = lipgloss.NewStyle().Bold(true)
	if l.colours {
		p.question = p.question.Foreground(lipgloss.Cyan)
		p.problem = p.problem.Foreground(lipgloss.Red)
	}
	return p
}

// minWidth is the width that lines are never made narrower than; a narrower
// terminal cuts them.
const minWidth = 10

// block is a part of the conversation.
type block struct {
	kind Kind
	text string
}

// paint returns the lines of a block, with an empty one after it.
func (p *painter) paint(b block) []string {
	text := Printable(b.text)
	if b.kind != Answer {
		text = strings.ReplaceAll(text, "\t", "    ")
	}
	switch b.kind {
	case Answer:
		return append(p.paintMarkdown(text), "")
	case Thought:
		return append(p.paintPlain(text, "", p.faint), "")
	case Question:
		style := p.question
		if strings.HasPrefix(text, "/") {
			style = p.command
		}
		return append(p.paintPlain(text, promptText, style), "")
	case Notice:
		return append(p.paintPlain(text, "", p.notice), "")
	case Problem:
		return append(p.paintPlain(text, "", p.problem), "")
	}
	return append(p.paintPlain(text, "", lipgloss.NewStyle()), "")
}

// paintPlain wraps text, with a prefix before the first line and blanks of
// the same width before the others.
func (p *painter) paintPlain(text, prefix string, style lipgloss.Style) []string {
	indent := xansi.StringWidth(prefix)
	lines := strings.Split(xansi.Wrap(strings.TrimRight(text, "\n"), p.look.width-indent, ""), "\n")
	for i, line := range lines {
		if i > 0 {
			prefix = strings.Repeat(" ", indent)
		}
		lines[i] = style.Render(prefix + line)
	}
	return lines
}

// statusLine joins the parts that fit.
func (p *painter) statusLine(parts []string, width int) string {
	const separator = " · "
	line := ""
	for _, part := range parts {
		next := part
		if line != "" {
			next = line + separator + part
		}
		if xansi.StringWidth(next) > width {
			if line == "" {
				return p.faint.Render(xansi.Truncate(part, max(width, 0), "…"))
			}
			break
		}
		line = next
	}
	return p.faint.Render(line)
}

// rule is the line above the input, with a remark in it.
func (p *painter) rule(remark string, width int) string {
	if remark == "" {
		return p.faint.Render(strings.Repeat("─", max(width, 0)))
	}
	remark = xansi.Truncate("── "+remark+" ", max(width, 0), "")
	return p.faint.Render(remark + strings.Repeat("─", max(width-xansi.StringWidth(remark), 0)))
}
