package tui

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"charm.land/lipgloss/v2"
	xansi "github.com/charmbracelet/x/ansi"

	"trit/internal/markdown"
)

// palette holds the styles of Markdown for one look.
type palette struct {
	title, heading, subheading      xansi.Style
	code, link, address, mark, head xansi.Style
	marksCode                       bool // code is told apart by its backticks
	tokens                          [tokenKinds]xansi.Style
}

// newPalette returns attributes only where colours are not wanted.
func newPalette(l look) palette {
	bold, faint := xansi.Style{}.Bold(), xansi.Style{}.Faint()
	under := xansi.Style{}.Underline(true)
	p := palette{
		title: bold.Underline(true), heading: bold, subheading: bold,
		link: under, address: faint, mark: faint, head: bold, marksCode: true,
	}
	if !l.colours {
		return p
	}
	paint := func(s xansi.Style, dark, light int) xansi.Style {
		if l.dark {
			light = dark
		}
		return s.ForegroundColor(xansi.IndexedColor(light))
	}
	background := xansi.IndexedColor(254)
	if l.dark {
		background = xansi.IndexedColor(236)
	}
	p.title = bold.ForegroundColor(xansi.IndexedColor(228)).BackgroundColor(xansi.IndexedColor(63))
	p.heading = paint(bold, 39, 27)
	p.subheading = paint(nil, 39, 27)
	p.code = paint(nil, 203, 161).BackgroundColor(background)
	p.link = paint(under, 42, 29)
	p.address = paint(nil, 37, 30)
	p.mark = paint(nil, 244, 244)
	p.marksCode = false
	p.tokens = [tokenKinds]xansi.Style{
		tokenComment: paint(nil, 244, 243), tokenString: paint(nil, 173, 130), tokenNumber: paint(nil, 121, 30),
		tokenWord: paint(nil, 39, 26), tokenCall: paint(nil, 42, 29),
		tokenAdded: paint(nil, 42, 29), tokenRemoved: paint(nil, 203, 161),
	}
	return p
}

// paintMarkdown renders an answer.
func (p *painter) paintMarkdown(text string) []string {
	lines := p.paintBlocks(markdown.Parse(text), p.look.width, 0, true)
	if len(lines) == 0 {
		return []string{""}
	}
	return lines
}

// paintBlocks renders blocks, with empty lines between them if they are apart. No line is wider than width. lists is
// how many lists with bullets the blocks lie in.
func (p *painter) paintBlocks(blocks []markdown.Block, width, lists int, apart bool) []string {
	var lines []string
	for i, b := range blocks {
		if i > 0 && apart {
			lines = append(lines, "")
		}
		lines = append(lines, p.paintBlock(b, width, lists)...)
	}
	return lines
}

func (p *painter) paintBlock(b markdown.Block, width, lists int) []string {
	switch b.Kind {
	case markdown.Heading:
		return p.paintHeading(b, width)
	case markdown.Code:
		const margin = 2
		return indented(p.paintCode(b, width-margin), strings.Repeat(" ", margin), "")
	case markdown.Quote:
		const mark = "│ "
		if width < xansi.StringWidth(mark)+minNested {
			return p.paintBlocks(b.Blocks, width, lists, true)
		}
		bar := p.palette.mark.Styled("│") + " "
		return indented(p.paintBlocks(b.Blocks, width-xansi.StringWidth(mark), lists, true), bar, bar)
	case markdown.List:
		return p.paintList(b, width, lists)
	case markdown.Table:
		return p.paintTable(b, width)
	case markdown.Rule:
		return []string{p.palette.mark.Styled(strings.Repeat("─", width))}
	}
	return wrap(p.paintSpans(b.Spans, nil), width)
}

// minNested is the width that blocks inside of others have at least; where that is not left they are not indented.
const minNested = 4

// indented puts something before the lines: first before the first one, rest before the others; if rest is empty,
// first before all of them. Empty lines get no blanks at their end.
func indented(lines []string, first, rest string) []string {
	if rest == "" {
		rest = first
	}
	for i, line := range lines {
		prefix := rest
		if i == 0 {
			prefix = first
		}
		if line == "" {
			prefix = strings.TrimRight(prefix, " ")
		}
		lines[i] = prefix + line
	}
	return lines
}

func (p *painter) paintHeading(b markdown.Block, width int) []string {
	style, pad := p.palette.subheading, ""
	switch b.Level {
	case 1:
		if style = p.palette.title; p.look.colours {
			pad = " "
		}
	case 2, 3:
		style = p.palette.heading
	}
	lines := wrap(p.paintSpans(b.Spans, style), width-2*len(pad))
	if pad != "" {
		for i, line := range lines {
			lines[i] = style.Styled(pad) + line + style.Styled(pad)
		}
	}
	return lines
}

// bullets are those of lists in lists.
var bullets = []string{"• ", "◦ ", "▪ "}

func (p *painter) paintList(b markdown.Block, width, lists int) []string {
	inside := lists + 1
	if b.Ordered {
		inside = lists
	}
	digits := len(strconv.Itoa(b.Start + len(b.Blocks) - 1))
	var lines []string
	for i, item := range b.Blocks {
		if i > 0 && b.Loose {
			lines = append(lines, "")
		}
		mark := bullets[min(lists, len(bullets)-1)]
		if b.Ordered {
			number := strconv.Itoa(b.Start + i)
			mark = strings.Repeat(" ", digits-len(number)) + number + ". "
		}
		switch item.Task {
		case markdown.OpenTask:
			mark = "[ ] "
		case markdown.DoneTask:
			mark = "[✓] "
		}
		indent := xansi.StringWidth(mark)
		if width < indent+minNested {
			mark = xansi.Truncate(strings.TrimRight(mark, " "), width, "")
			lines = append(append(lines, mark), p.paintBlocks(item.Blocks, width, inside, b.Loose)...)
			continue
		}
		inner := p.paintBlocks(item.Blocks, width-indent, inside, b.Loose)
		if len(inner) == 0 {
			inner, mark = []string{""}, strings.TrimRight(mark, " ")
		}
		lines = append(lines, indented(inner, mark, strings.Repeat(" ", indent))...)
	}
	return lines
}

// paintSpans returns the text of spans, on top of a style.
func (p *painter) paintSpans(spans []markdown.Span, base xansi.Style) string {
	var b strings.Builder
	for i, s := range spans {
		text, style := s.Text, base[:len(base):len(base)]
		has := func(bit markdown.Style) bool { return s.Style&bit != 0 }
		switch {
		case has(markdown.Address):
			text, style = " ("+text+")", append(style, p.palette.address...)
		case has(markdown.Image):
			text = "Image: " + text
		}
		if has(markdown.Verbatim) {
			style = append(style, p.palette.code...)
			if p.palette.marksCode {
				text = "`" + text + "`"
			}
		}
		if has(markdown.Link) {
			style = append(style, p.palette.link...)
		}
		if has(markdown.Strong) {
			style = style.Bold()
		}
		if has(markdown.Emphasis) {
			style = style.Italic(true)
		}
		if has(markdown.Strike) {
			style = style.Strikethrough(true)
		}
		target := linkTarget(spans[i:])
		// Lines are cut at their ends, where no style goes on.
		for i, line := range strings.Split(text, "\n") {
			if i > 0 {
				b.WriteByte('\n')
			}
			if line = styled(style, line); target != "" && line != "" {
				line = xansi.SetHyperlink(target) + line + xansi.ResetHyperlink()
			}
			b.WriteString(line)
		}
	}
	return b.String()
}

// linkTarget returns where a terminal shall lead who clicks on the first span; empty if nowhere.
func linkTarget(spans []markdown.Span) string {
	target := ""
	for _, s := range spans {
		if s.Style&markdown.Address != 0 {
			target = s.Text
			break
		}
		if s.Style&markdown.Link == 0 {
			break
		}
		target += s.Text // which is the address unless one follows
	}
	if !strings.HasPrefix(target, "https://") && !strings.HasPrefix(target, "http://") ||
		strings.ContainsFunc(target, func(r rune) bool { return r <= ' ' || r >= utf8.RuneSelf }) {
		return ""
	}
	return target
}

// styled is style.Styled without sequences that say nothing.
func styled(style xansi.Style, text string) string {
	if len(style) == 0 || text == "" {
		return text
	}
	return style.Styled(text)
}

// wrap breaks text between words, and words that are longer than a line.
func wrap(text string, width int) []string {
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		if xansi.StringWidth(line) > width {
			line = lipgloss.Wrap(line, width, "")
			// Wrap may leave a hyphen after a line that is full already.
			line = xansi.Hardwrap(line, width, true)
		}
		lines = append(lines, strings.Split(line, "\n")...)
	}
	return lines
}
