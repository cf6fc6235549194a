package tui

import (
	"strings"

	"charm.land/lipgloss/v2"
	xansi "github.com/charmbracelet/x/ansi"

	"trit/internal/markdown"
)

// paintTable renders a table in columns, or if they would be too narrow row by row.
func (p *painter) paintTable(b markdown.Block, width int) []string {
	const separator = " │ "
	columns := len(b.Align)
	room := width - (columns-1)*xansi.StringWidth(separator)
	if room < columns*minNested {
		return p.paintRecords(b, width)
	}
	cells := make([][]string, len(b.Rows))
	natural := make([]int, columns)
	for i, row := range b.Rows {
		var style xansi.Style
		if i == 0 {
			style = p.palette.head
		}
		for j, cell := range row {
			text := p.paintSpans(cell, style)
			cells[i] = append(cells[i], text)
			natural[j] = max(natural[j], lipgloss.Width(text))
		}
	}
	widths := share(natural, room)
	bar, cross := p.palette.mark.Styled(separator), p.palette.mark.Styled("─┼─")
	var lines []string
	for i, row := range cells {
		lines = append(lines, joinCells(row, widths, b.Align, bar)...)
		if i == 0 {
			var rule []string
			for _, w := range widths {
				rule = append(rule, p.palette.mark.Styled(strings.Repeat("─", w)))
			}
			lines = append(lines, strings.Join(rule, cross))
		}
	}
	return lines
}

// joinCells renders one row.
func joinCells(row []string, widths []int, align []markdown.Align, bar string) []string {
	height := 1
	wrapped := make([][]string, len(row))
	for j, cell := range row {
		wrapped[j] = wrap(cell, widths[j])
		height = max(height, len(wrapped[j]))
	}
	var lines []string
	for k := range height {
		var line strings.Builder
		for j, cell := range wrapped {
			text := ""
			if k < len(cell) {
				text = cell[k]
			}
			if text == "" && j+1 == len(wrapped) {
				break
			}
			free := widths[j] - xansi.StringWidth(text)
			left := 0
			switch align[j] {
			case markdown.Right:
				left = free
			case markdown.Center:
				left = free / 2
			}
			line.WriteString(strings.Repeat(" ", left) + text)
			if j+1 < len(wrapped) {
				line.WriteString(strings.Repeat(" ", free-left) + bar)
			}
		}
		lines = append(lines, line.String())
	}
	return lines
}

// share gives columns the widths they want. If that is more than there is, those that want most get the same.
func share(want []int, room int) []int {
	widths := make([]int, len(want))
	for open := len(want); open > 0; {
		each, satisfied := room/open, 0
		for j, w := range want {
			if widths[j] == 0 && w <= each {
				widths[j] = max(w, 1)
				room -= widths[j]
				satisfied++
			}
		}
		open -= satisfied
		if satisfied > 0 {
			continue
		}
		for j := range want {
			if widths[j] == 0 {
				widths[j] = room / open
				room -= widths[j]
				open--
			}
		}
	}
	return widths
}

// paintRecords renders a table row by row, each cell under the head of its column.
func (p *painter) paintRecords(b markdown.Block, width int) []string {
	var lines []string
	for i, row := range b.Rows {
		if i == 0 && len(b.Rows) > 1 {
			continue
		}
		if len(lines) > 0 {
			lines = append(lines, "")
		}
		for j, cell := range row {
			text := p.paintSpans(b.Rows[0][j], p.palette.head)
			if i > 0 {
				text += ": " + p.paintSpans(cell, nil)
			}
			lines = append(lines, wrap(text, width)...)
		}
	}
	return lines
}
