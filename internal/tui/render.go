package tui

import (
	"fmt"
	"strings"

	"charm.land/glamour/v2"
	"charm.land/glamour/v2/ansi"
	"charm.land/glamour/v2/styles"
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
	look     look
	markdown *glamour.TermRenderer

	question, command, notice, problem, faint lipgloss.Style
}

func newPainter(l look) (*painter, error) {
	l.width = max(l.width, minWidth)
	p := &painter{look: l}
	p.faint = lipgloss.NewStyle().Faint(true)
	p.question = lipgloss.NewStyle().Bold(true)
	p.command = p.faint
	p.notice = lipgloss.NewStyle().Italic(true).Faint(true)
	p.problem = lipgloss.NewStyle().Bold(true)
	if l.colours {
		p.question = p.question.Foreground(lipgloss.Cyan)
		p.problem = p.problem.Foreground(lipgloss.Red)
	}
	var err error
	p.markdown, err = glamour.NewTermRenderer(
		glamour.WithStyles(markdownStyle(l)),
		glamour.WithWordWrap(l.width),
		// Models end lines where they want them to end.
		glamour.WithPreservedNewLines(),
	)
	if err != nil {
		return nil, fmt.Errorf("markdown: %w", err)
	}
	return p, nil
}

// minWidth is the width that lines are never made narrower than; a narrower
// terminal cuts them.
const minWidth = 10

// markdownStyle is a standard style without its margins: the screen is small.
func markdownStyle(l look) ansi.StyleConfig {
	style := styles.ASCIIStyleConfig
	if l.colours {
		style = styles.LightStyleConfig
		if l.dark {
			style = styles.DarkStyleConfig
		}
	}
	if !l.colours {
		// Attributes instead of the marks that the text was written with, except
		// for code, which has no attribute of its own.
		yes := true
		style.Code.Prefix, style.Code.Suffix = "`", "`"
		style.Code.BlockPrefix, style.Code.BlockSuffix = "", ""
		style.Strong = ansi.StylePrimitive{Bold: &yes}
		style.Emph = ansi.StylePrimitive{Italic: &yes}
		style.Heading.Bold = &yes
	}
	none := uint(0)
	style.Document.Margin = &none
	style.Document.BlockPrefix, style.Document.BlockSuffix = "", ""
	style.Document.Color = nil // the terminal's own
	indent := uint(2)
	style.CodeBlock.Margin = &indent
	return style
}

// block is a part of the conversation.
type block struct {
	kind Kind
	text string
}

// paint returns the lines of a block, with an empty one after it.
func (p *painter) paint(b block) []string {
	text := strings.ReplaceAll(Printable(b.text), "\t", "    ")
	switch b.kind {
	case Answer:
		return append(p.paintMarkdown(text), "")
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

// paintMarkdown renders an answer. Text that the renderer refuses is shown as
// it is: it is what the model said.
func (p *painter) paintMarkdown(text string) []string {
	out, err := p.markdown.Render(text)
	if err != nil {
		return p.paintPlain(text, "", lipgloss.NewStyle())
	}
	var lines []string
	for line := range strings.SplitSeq(strings.Trim(out, "\n"), "\n") {
		// The renderer fills lines with blanks and does not wrap code.
		line = trimBlanks(line)
		if xansi.StringWidth(line) > p.look.width {
			// Wrap may leave a hyphen after a line that is full already.
			line = xansi.Hardwrap(lipgloss.Wrap(line, p.look.width, ""), p.look.width, true)
		}
		lines = append(lines, strings.Split(line, "\n")...)
	}
	return lines
}

// trimBlanks cuts a line after its last visible cell.
func trimBlanks(line string) string {
	if !strings.ContainsRune(line, '\x1b') {
		return strings.TrimRight(line, " ")
	}
	plain := xansi.Strip(line)
	visible := strings.TrimRight(plain, " ")
	if len(visible) == len(plain) {
		return line
	}
	return xansi.Truncate(line, xansi.StringWidth(visible), "")
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
