package tui

import "strings"

// language says how programs are told apart into tokens. It is enough to see comments, texts and the words of the
// language, and no more.
type language struct {
	comments []string    // that reach to the end of the line
	blocks   [][2]string // comments and texts that reach over lines; those with equal ends are texts
	quotes   string      // around texts within a line
	fold     bool        // words may be written in capitals
	words    map[string]bool
}

func words(text string) map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(text) {
		set[w] = true
	}
	return set
}

var (
	cComments = [][2]string{{"/*", "*/"}}
	backticks = [2]string{"`", "`"}
	cLike     = words(`
		if else for while do switch case default break continue return goto struct enum union typedef static const
		volatile extern inline sizeof void int char short long float double signed unsigned bool auto class public
		private protected virtual override template typename namespace using new delete this try catch throw true
		false nullptr null NULL operator final abstract interface extends implements import package instanceof
		synchronized throws super boolean byte String var foreach in is as async await string object internal
		readonly sealed record get set let func fun val when fn mut pub impl trait mod use match loop where crate
		self Self dyn move unsafe ref guard defer extension protocol init nil out lateinit data companion include
		define ifdef ifndef endif`)
	languages = map[string]language{
		"go": {comments: []string{"//"}, blocks: append([][2]string{backticks}, cComments...), quotes: `"'`,
			words: words(`
				break case chan const continue default defer else fallthrough for func go goto if import interface
				map package range return select struct switch type var nil true false iota any bool byte error
				float32 float64 int int8 int16 int32 int64 rune string uint uint8 uint16 uint32 uint64 uintptr`)},
		"python": {comments: []string{"#"}, blocks: [][2]string{{`"""`, `"""`}, {"'''", "'''"}}, quotes: `"'`,
			words: words(`
				and as assert async await break class continue def del elif else except finally for from global if
				import in is lambda match case nonlocal not or pass raise return try while with yield None True
				False self`)},
		"javascript": {comments: []string{"//"}, blocks: append([][2]string{backticks}, cComments...), quotes: `"'`,
			words: words(`
				async await break case catch class const continue debugger default delete do else export extends
				finally for from function if import in instanceof let new of return static super switch this throw
				try typeof var void while with yield true false null undefined interface type enum implements
				private public protected readonly as keyof declare namespace string number boolean any unknown
				never`)},
		"c":    {comments: []string{"//"}, blocks: cComments, quotes: `"'`, words: cLike},
		"rust": {comments: []string{"//"}, blocks: cComments, quotes: `"`, words: cLike}, // ' begins lifetimes
		"shell": {comments: []string{"#"}, quotes: `"'`,
			words: words(`
				if then else elif fi for in do done while until case esac function return local export readonly
				declare unset shift break continue exit source echo cd set sudo`)},
		"ruby": {comments: []string{"#"}, blocks: [][2]string{{"=begin", "=end"}}, quotes: `"'`,
			words: words(`
				alias and begin break case class def do else elsif end ensure false for if in module next nil not
				or redo rescue retry return self super then true undef unless until when while yield require puts
				attr_accessor`)},
		"php": {comments: []string{"//", "#"}, blocks: cComments, quotes: `"'`,
			words: words(`
				abstract and array as break case catch class const continue declare default do echo else elseif
				extends final finally fn for foreach function global if implements include instanceof interface
				match namespace new null or print private protected public readonly require return static switch
				throw trait true false try use var while yield`)},
		"lua": {comments: []string{"--"}, blocks: [][2]string{{"[[", "]]"}}, quotes: `"'`,
			words: words(`
				and break do else elseif end false for function goto if in local nil not or repeat return then
				true until while`)},
		"sql": {comments: []string{"--"}, blocks: cComments, quotes: `"'`, fold: true,
			words: words(`
				add all alter and any as asc begin between by case check column commit constraint create cross
				database default delete desc distinct drop else end exists foreign from full group having if in
				index inner insert into is join key left like limit not null offset on or order outer primary
				references returning right rollback select set table then union unique update values view when
				where with int integer bigint text varchar char boolean date timestamp real numeric count sum avg
				min max coalesce`)},
		"json": {quotes: `"`, words: words(`true false null`)},
		"yaml": {comments: []string{"#"}, quotes: `"'`, words: words(`true false null yes no on off`)},
		"toml": {comments: []string{"#", ";"}, blocks: [][2]string{{`"""`, `"""`}}, quotes: `"'`, words: words(`true false`)},
		"html": {blocks: [][2]string{{"<!--", "-->"}}, quotes: `"`},
		"css":  {blocks: cComments, quotes: `"'`, words: words(`important media import keyframes from to root hover`)},
		"diff": {},
	}
	aliases = map[string]string{
		"golang": "go",
		"py":     "python", "python3": "python", "r": "python",
		"js": "javascript", "jsx": "javascript", "ts": "javascript", "typescript": "javascript",
		"tsx": "javascript",
		"h":   "c", "cpp": "c", "c++": "c", "cc": "c", "hpp": "c", "java": "c", "cs": "c", "csharp": "c",
		"c#": "c", "kotlin": "c", "kt": "c", "swift": "c", "scala": "c", "dart": "c",
		"rs": "rust",
		"sh": "shell", "bash": "shell", "zsh": "shell", "console": "shell", "dockerfile": "shell",
		"makefile": "shell",
		"rb":       "ruby",
		"jsonc":    "json", "json5": "json",
		"yml": "yaml",
		"ini": "toml",
		"xml": "html", "svg": "html",
		"scss":  "css",
		"patch": "diff",
		"mysql": "sql", "postgresql": "sql", "sqlite": "sql",
	}
)
