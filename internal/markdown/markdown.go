// Package markdown reads the Markdown that models write: that of CommonMark (https://spec.commonmark.org/0.31.2/) with
// the tables, task lists, struck text and bare addresses of GitHub (https://github.github.com/gfm/).
//
// Its result is meant for a screen, not for a page. Line ends are kept, HTML and definitions of links are text like any
// other, and three things are read as they were meant rather than by the letter: emphasis beside Chinese, Japanese and
// Korean letters, which write no blanks; a list of another kind that is indented less than the specification wants; and
// <br>.
//
// An unfinished text is read as if it ended there, so an answer can be parsed while it arrives. Time is linear in the
// length of the text whatever is in it.
package markdown

// Kind is what a block is.
type Kind uint8

// The kinds of blocks.
const (
	Paragraph Kind = iota // Spans
	Heading               // Level, Spans
	Code                  // Info, Text
	Quote                 // Blocks
	List                  // Ordered, Start, Loose; Blocks are the items
	Item                  // Task, Blocks
	Table                 // Align, Rows
	Rule
)

// Block is a part of a text. Which fields are set depends on the kind.
type Block struct {
	Kind   Kind
	Level  int    // of a heading, 1 to 6
	Info   string // what stands after the fence; its first word is the language
	Text   string // the code, without the last line end
	Blocks []Block
	Spans  []Span

	Ordered bool
	Start   int  // the first item's number
	Loose   bool // items are set apart by empty lines
	Task    Task

	Align []Align // one per column
	// Rows are the rows of a table, the head first; each has as many cells as Align.
	Rows [][][]Span
}

// Task is whether an item is a task.
type Task uint8

// What an item can be.
const (
	NoTask Task = iota
	OpenTask
	DoneTask
)

// Align is where the cells of a column stand.
type Align uint8

// The places.
const (
	Left Align = iota
	Center
	Right
)

// Span is text in one style. Its line ends are those of the source.
type Span struct {
	Text  string
	Style Style
}

// Style is how a span is set apart, a set of bits.
type Style uint8

// The styles.
const (
	Strong Style = 1 << iota
	Emphasis
	Strike
	Verbatim // code
	Link     // the text of a link, or an address that stands for itself
	Address  // where the link before it leads, unless the text says so
	Image    // with Link or Address: what the text stands for is a picture
)

// Parse returns the blocks of a text.
func Parse(text string) []Block {
	blocks, _ := parseBlocks(splitLines(text), 0)
	return blocks
}
