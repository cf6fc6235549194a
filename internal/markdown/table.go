package markdown

import "strings"

// table reads a table, which begins with a row and the line under it.
func table(lines []string) (b Block, n int) {
	if len(lines) < 2 || strings.Trim(lines[1], "|:- ") != "" || indent(lines[0]) >= 4 || indent(lines[1]) >= 4 ||
		!strings.Contains(lines[0], "|") && !strings.Contains(lines[1], "|") {
		return b, 0
	}
	var aligns []Align
	for _, cell := range cells(lines[1]) {
		left, right := strings.HasPrefix(cell, ":"), len(cell) > 1 && strings.HasSuffix(cell, ":")
		dashes := strings.TrimSuffix(strings.TrimPrefix(cell, ":"), ":")
		if dashes == "" || strings.Trim(dashes, "-") != "" {
			return b, 0
		}
		switch {
		case left && right:
			aligns = append(aligns, Center)
		case right:
			aligns = append(aligns, Right)
		default:
			aligns = append(aligns, Left)
		}
	}
	head := cells(lines[0])
	if len(head) != len(aligns) {
		return b, 0
	}
	b = Block{Kind: Table, Align: aligns}
	b.addRow(head)
	for n = 2; n < len(lines); n++ {
		line := lines[n]
		if _, ok := openFence(line); ok || isBlank(line) || isQuote(line) || isRule(line) || indent(line) >= 4 {
			break
		}
		if level, _ := heading(line); level > 0 {
			break
		}
		if _, ok := marker(line); ok {
			break
		}
		b.addRow(cells(line))
	}
	return b, n
}

func (b *Block) addRow(cells []string) {
	row := make([][]Span, len(b.Align))
	for i := range row {
		if i < len(cells) {
			row[i] = parseInline(cells[i])
		}
	}
	b.Rows = append(b.Rows, row)
}

// cells cuts a row at the bars that no backslash stands before.
func cells(line string) []string {
	line = strings.Trim(line, " ")
	line = strings.TrimPrefix(line, "|")
	var out []string
	var cell strings.Builder
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] == '\\' && i+1 < len(line) && line[i+1] == '|':
			cell.WriteByte('|')
			i++
		case line[i] == '|':
			out = append(out, strings.Trim(cell.String(), " "))
			cell.Reset()
		default:
			cell.WriteByte(line[i])
		}
	}
	if last := strings.Trim(cell.String(), " "); last != "" || len(out) == 0 {
		out = append(out, last)
	}
	return out
}
