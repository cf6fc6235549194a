package markdown

import (
	"strconv"
	"strings"
)

// maxDepth is how deep quotes and lists are nested; what is deeper is text.
const maxDepth = 12

// tabStop is the distance of tab stops.
const tabStop = 4

// splitLines cuts a text into lines without tabs.
func splitLines(text string) []string {
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for i, line := range lines {
		if !strings.ContainsRune(line, '\t') {
			continue
		}
		var b strings.Builder
		column := 0
		for _, r := range line {
			if r == '\t' {
				n := tabStop - column%tabStop
				b.WriteString(strings.Repeat(" ", n))
				column += n
				continue
			}
			b.WriteRune(r)
			column++
		}
		lines[i] = b.String()
	}
	return lines
}

// parseBlocks reads the lines of a container; gaps is set if empty lines stand between its blocks.
func parseBlocks(lines []string, depth int) (blocks []Block, gaps bool) {
	var paragraph []string
	gap := false
	flush := func() {
		if len(paragraph) > 0 {
			blocks = append(blocks, Block{Kind: Paragraph, Spans: parseInline(joinLines(paragraph))})
			paragraph = nil
		}
	}
	for i := 0; i < len(lines); {
		line := lines[i]
		if isBlank(line) {
			flush()
			gap = len(blocks) > 0
			i++
			continue
		}
		gaps = gaps || gap
		if indent(line) >= 4 && len(paragraph) == 0 {
			b, n := indentedCode(lines[i:])
			blocks = append(blocks, b)
			i += n
			continue
		}
		if level := underline(line); level > 0 && len(paragraph) > 0 {
			blocks = append(blocks, Block{Kind: Heading, Level: level, Spans: parseInline(joinLines(paragraph))})
			paragraph = nil
			i++
			continue
		}
		if b, n := leaf(lines[i:]); n > 0 {
			flush()
			blocks = append(blocks, b)
			i += n
			continue
		}
		if depth < maxDepth {
			b, n := container(lines[i:], len(paragraph) > 0, depth)
			if n > 0 {
				flush()
				blocks = append(blocks, b)
				i += n
				continue
			}
		}
		paragraph = append(paragraph, line)
		i++
	}
	flush()
	return blocks, gaps
}

// leaf reads a block without blocks inside that begins with the first line; n is the number of its lines, 0 if there
// is none.
func leaf(lines []string) (b Block, n int) {
	if f, ok := openFence(lines[0]); ok {
		return fencedCode(lines, f)
	}
	if level, text := heading(lines[0]); level > 0 {
		return Block{Kind: Heading, Level: level, Spans: parseInline(text)}, 1
	}
	if isRule(lines[0]) {
		return Block{Kind: Rule}, 1
	}
	return table(lines)
}

// container reads a quote or a list that begins with the first line.
func container(lines []string, inParagraph bool, depth int) (b Block, n int) {
	if indent(lines[0]) >= 4 {
		return b, 0
	}
	if isQuote(lines[0]) {
		return quote(lines, depth)
	}
	if m, ok := marker(lines[0]); ok && !(inParagraph && !m.interrupts()) {
		return list(lines, m, depth)
	}
	return b, 0
}

func isBlank(line string) bool { return strings.Trim(line, " ") == "" }

func indent(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// dedent removes up to n blanks at the front.
func dedent(line string, n int) string { return line[min(n, indent(line)):] }

// joinLines returns the text of a paragraph.
func joinLines(lines []string) string {
	for i, line := range lines {
		lines[i] = strings.Trim(line, " ")
		if i+1 < len(lines) { // a hard break looks like any other here
			lines[i] = strings.TrimSuffix(lines[i], `\`)
		}
	}
	return strings.Join(lines, "\n")
}

// heading reads a line such as "## Title ##".
func heading(line string) (level int, text string) {
	if indent(line) >= 4 {
		return 0, ""
	}
	line = strings.Trim(line, " ")
	rest := strings.TrimLeft(line, "#")
	level = len(line) - len(rest)
	if level == 0 || level > 6 || rest != "" && rest[0] != ' ' {
		return 0, ""
	}
	if cut := strings.TrimRight(rest, "#"); cut == "" || cut[len(cut)-1] == ' ' {
		rest = cut
	}
	return level, strings.Trim(rest, " ")
}

// underline returns the level of the heading that a line under a paragraph makes of it, 0 if it does not.
func underline(line string) int {
	if indent(line) >= 4 {
		return 0
	}
	switch line = strings.Trim(line, " "); {
	case strings.Trim(line, "=") == "":
		return 1
	case strings.Trim(line, "-") == "":
		return 2
	}
	return 0
}

func isRule(line string) bool {
	if indent(line) >= 4 {
		return false
	}
	line = strings.ReplaceAll(line, " ", "")
	return len(line) >= 3 && strings.ContainsRune("*-_", rune(line[0])) && strings.Trim(line, line[:1]) == ""
}

// fence is the line that begins a block of code.
type fence struct {
	indent int
	mark   string // all its marks
	info   string
}

func openFence(line string) (f fence, ok bool) {
	f.indent = indent(line)
	line = line[f.indent:]
	if f.indent >= 4 || line == "" || line[0] != '`' && line[0] != '~' {
		return f, false
	}
	rest := strings.TrimLeft(line, line[:1])
	f.mark = line[:len(line)-len(rest)]
	if len(f.mark) < 3 || line[0] == '`' && strings.ContainsRune(rest, '`') {
		return f, false
	}
	f.info = strings.Trim(rest, " ")
	return f, true
}

func (f fence) closes(line string) bool {
	text := strings.Trim(line, " ")
	return indent(line) < 4 && len(text) >= len(f.mark) && strings.Trim(text, f.mark[:1]) == ""
}

// fencedCode reads code up to the closing fence or the end.
func fencedCode(lines []string, f fence) (Block, int) {
	var code []string
	n := 1
	for n < len(lines) && !f.closes(lines[n]) {
		code = append(code, dedent(lines[n], f.indent))
		n++
	}
	return Block{Kind: Code, Info: f.info, Text: strings.Join(code, "\n")}, min(n+1, len(lines))
}

// indentedCode reads lines that are indented by four or more.
func indentedCode(lines []string) (Block, int) {
	n, end := 0, 0
	for n < len(lines) && (isBlank(lines[n]) || indent(lines[n]) >= 4) {
		n++
		if !isBlank(lines[n-1]) {
			end = n
		}
	}
	var code []string
	for _, line := range lines[:end] {
		code = append(code, dedent(line, 4))
	}
	return Block{Kind: Code, Text: strings.Join(code, "\n")}, end
}

func isQuote(line string) bool {
	return indent(line) < 4 && strings.HasPrefix(strings.TrimLeft(line, " "), ">")
}

// inside follows the lines of a container in order to tell whether a line without the container's mark goes on with a
// paragraph in it.
type inside struct {
	fence     fence
	inFence   bool
	paragraph bool
}

// add takes note of a line of the container.
func (in *inside) add(line string) {
	// The innermost line says what it is.
	for depth := 0; !in.inFence && depth < maxDepth; depth++ {
		if isQuote(line) {
			line = strings.TrimLeft(line, " ")[1:]
		} else if m, ok := marker(line); ok && !isRule(line) {
			line = m.rest
		} else {
			break
		}
	}
	in.paragraph = false
	if in.inFence {
		in.inFence = !in.fence.closes(line)
		return
	}
	if in.fence, in.inFence = openFence(line); in.inFence {
		return
	}
	level, _ := heading(line)
	row := strings.HasPrefix(strings.TrimLeft(line, " "), "|")
	in.paragraph = level == 0 && !isBlank(line) && !isRule(line) && !row && indent(line) < 4
}

// lazy reports whether a line without the container's mark still belongs to it.
func (in *inside) lazy(line string) bool {
	if !in.paragraph || isBlank(line) || isRule(line) || isQuote(line) {
		return false
	}
	if _, ok := openFence(line); ok {
		return false
	}
	if level, _ := heading(line); level > 0 {
		return false
	}
	_, ok := marker(line)
	return !ok
}

func quote(lines []string, depth int) (Block, int) {
	var content []string
	var in inside
	n := 0
	for ; n < len(lines); n++ {
		line := lines[n]
		if isQuote(line) {
			line = dedent(strings.TrimLeft(line, " ")[1:], 1)
		} else if !in.lazy(line) {
			break
		}
		in.add(line)
		content = append(content, line)
	}
	blocks, _ := parseBlocks(content, depth+1)
	return Block{Kind: Quote, Blocks: blocks}, n
}

// itemMarker is what an item begins with.
type itemMarker struct {
	indent  int
	content int  // the column of the item's text
	kind    byte // '-', '+', '*', '.' or ')'
	number  int
	rest    string // the text after it
}

func (m itemMarker) ordered() bool { return m.kind == '.' || m.kind == ')' }

// interrupts reports whether the item may follow a paragraph without an empty line: numbers at the beginning of a line
// are common in prose.
func (m itemMarker) interrupts() bool { return m.rest != "" && (!m.ordered() || m.number == 1) }

func marker(line string) (m itemMarker, ok bool) {
	m.indent = indent(line)
	text := line[m.indent:]
	if m.indent >= 4 || text == "" {
		return m, false
	}
	width := 1
	switch m.kind = text[0]; {
	case m.kind == '-' || m.kind == '+' || m.kind == '*':
	case m.kind >= '0' && m.kind <= '9':
		for width < len(text) && text[width] >= '0' && text[width] <= '9' {
			width++
		}
		if width > 9 || width == len(text) {
			return m, false
		}
		m.number, _ = strconv.Atoi(text[:width])
		m.kind = text[width]
		width++
		if !m.ordered() {
			return m, false
		}
	default:
		return m, false
	}
	rest := text[width:]
	if rest != "" && rest[0] != ' ' {
		return m, false
	}
	gap := indent(rest)
	if m.rest = rest[gap:]; gap > 4 || m.rest == "" {
		if gap > 4 { // code inside
			m.rest = rest[1:]
		}
		gap = 1
	}
	m.content = m.indent + width + gap
	return m, true
}

func list(lines []string, first itemMarker, depth int) (Block, int) {
	b := Block{Kind: List, Ordered: first.ordered(), Start: first.number}
	n := 0
	for n < len(lines) {
		m, ok := marker(lines[n])
		if !ok || m.kind != first.kind || isRule(lines[n]) {
			break
		}
		item, used, loose := listItem(lines[n:], m, depth)
		b.Blocks = append(b.Blocks, item)
		n += used
		next := n
		for next < len(lines) && isBlank(lines[next]) {
			next++
		}
		b.Loose = b.Loose || loose
		if next == len(lines) {
			break
		}
		if next > n {
			if m, ok := marker(lines[next]); !ok || m.kind != first.kind || isRule(lines[next]) {
				break
			}
			b.Loose = true
			n = next
		}
	}
	return b, n
}

// listItem reads an item; n is the number of its lines without empty ones at the end, and loose is set if empty lines
// stand between its blocks.
func listItem(lines []string, m itemMarker, depth int) (item Block, n int, loose bool) {
	item.Kind = Item
	content := []string{item.takeTask(m.rest)}
	var in inside
	in.add(content[0])
	end := 1
	for n = 1; n < len(lines); n++ {
		line := lines[n]
		switch {
		case isBlank(line):
			if n == 1 && m.rest == "" { // an empty item ends here
				return item, 1, false
			}
			line = ""
		case indent(line) >= m.content:
			line = line[m.content:]
		case m.nests(line):
			line = strings.TrimLeft(line, " ")
		case in.lazy(line):
			line = strings.TrimLeft(line, " ")
		default:
			item.Blocks, loose = parseBlocks(content[:end], depth+1)
			return item, end, loose
		}
		in.add(line)
		content = append(content, line)
		if line != "" {
			end = n + 1
		}
	}
	item.Blocks, loose = parseBlocks(content[:end], depth+1)
	return item, end, loose
}

// nests reports whether a line begins a list of another kind inside the item although it is indented too little.
func (m itemMarker) nests(line string) bool {
	inner, ok := marker(line)
	return ok && inner.indent >= m.indent+2 && inner.ordered() != m.ordered()
}

// takeTask takes the box of a task off the text of an item.
func (item *Block) takeTask(text string) string {
	if len(text) < 4 || text[0] != '[' || text[2] != ']' || text[3] != ' ' {
		return text
	}
	switch text[1] {
	case ' ':
		item.Task = OpenTask
	case 'x', 'X':
		item.Task = DoneTask
	default:
		return text
	}
	return strings.TrimLeft(text[4:], " ")
}
