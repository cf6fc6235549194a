package tokenizer

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func pieces(kind splitKind, text string) []string {
	var out []string
	split(kind, text, func(p string) { out = append(out, p) })
	return out
}

// TestSplit holds the splits that llama.cpp's unicode.cpp computes.
func TestSplit(t *testing.T) {
	const (
		a = "Hello, I'm OK -- don't WE'LL see? 12345 x=3.14\n\n  two  spaces \t tab\r\nend  "
		b = "(paren) $5+6 你好，世界 1000000 café's"
		c = "x\n\n\ny"
	)
	for _, tc := range []struct {
		pre, text, want string
	}{
		{"llama-bpe", a, "[Hello][,][ I]['m][ OK][ --][ don]['t][ WE]['LL][ see][?][ ][123][45][ x][=][3][.][14][\n\n][ ][ two][ ][ spaces][ \t][ tab][\r\n][end][  ]"},
		{"qwen2", a, "[Hello][,][ I]['m][ OK][ --][ don]['t][ WE]['LL][ see][?][ ][1][2][3][4][5][ x][=][3][.][1][4][\n\n][ ][ two][ ][ spaces][ \t][ tab][\r\n][end][  ]"},
		{"gpt-2", a, "[Hello][,][ I]['m][ OK][ --][ don]['t][ WE]['][LL][ see][?][ 12345][ x][=][3][.][14][\n\n ][ two][ ][ spaces][ \t][ tab][\r][\n][end][  ]"},
		{"default", a, "[Hello][,][ I]['][m][ OK][ ][--][ don]['][t][ WE]['][LL][ see][?][ ][123][45][ x][=][3][.][14][\n\n ][ two][ ][ spaces][ \t][ tab][\r][\n][end][  ]"},
		{"falcon", a, "[Hello][,][ I]['][m][ OK][ ][--][ don]['][t][ WE]['][LL][ see][?][ ][123][45][ x][=][3][.][14][\n\n ][ two][ ][ spaces][ \t][ tab][\r][\n][end][  ]"},

		{"llama-bpe", b, "[(paren][)][ $][5][+][6][ 你好][，世界][ ][100][000][0][ café]['s]"},
		{"qwen2", b, "[(paren][)][ $][5][+][6][ 你好][，世界][ ][1][0][0][0][0][0][0][ café]['s]"},
		{"gpt-2", b, "[(][paren][)][ $][5][+][6][ 你好][，][世界][ 1000000][ café]['s]"},
		{"default", b, "[(][paren][)][ ][$][5][+][6][ 你好][，][世界][ ][100][000][0][ café]['][s]"},

		{"llama-bpe", c, "[x][\n\n\n][y]"},
		{"qwen2", c, "[x][\n\n\n][y]"},
		{"gpt-2", c, "[x][\n\n][\n][y]"},
		{"default", c, "[x][\n\n][\n][y]"},

		{"llama-bpe", "   ", "[   ]"},
		{"qwen2", "   ", "[   ]"},
		{"gpt-2", "   ", "[   ]"},
		{"default", "   ", "[   ]"},
		{"falcon", "   ", "[   ]"},

		// The real BitNet b1.58 2B-4T file, read as bitnet.cpp does.
		{"default", "don't -- (x 123", "[don]['][t][ ][--][ ][(][x][ ][123]"},
		{"falcon", "a`b", "[a][`][b]"},
		{"default", "a`b", "[a][`][b]"},
		{"starcoder", "ab 123 4x", "[ab][ ][1][2][3][ ][4][x]"},
		{"starcoder", "½٣", "[½][٣]"},
		{"llama-bpe", "1234567", "[123][456][7]"},
		{"llama-bpe", "'", "[']"},
		{"llama-bpe", "'rE'Ve'D'x", "['rE]['Ve]['D]['x]"},
		{"gpt-2", "'re'RE", "['re]['][RE]"},
		{"llama-bpe", "\r\n\t \n x", "[\r\n\t \n][ x]"},
		{"llama-bpe", "!\n\nx", "[!\n\n][x]"},
		{"llama-bpe", "\nabc\u00a0d", "[\n][abc][\u00a0d]"},
		{"llama-bpe", "", ""},
		{"qwen2", "e\u0301te\u0301 \u0301x!\u0301", "[e][\u0301te][\u0301][ \u0301][x][!\u0301]"},
		{"qwen35", "e\u0301te\u0301 \u0301x!\u0301", "[e\u0301te\u0301][ \u0301x][!\u0301]"},
	} {
		got := ""
		for _, p := range pieces(preTokenizers[tc.pre].split, tc.text) {
			got += "[" + p + "]"
		}
		if got != tc.want {
			t.Errorf("%s: %q\n got %q\nwant %q", tc.pre, tc.text, got, tc.want)
		}
	}
}

// The regular expressions again, for Go's engine: an expression without the
// look-ahead, which model tries by hand at its place in the list.
const (
	ws         = `\t-\r \x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}`
	wsHead     = `^(?:(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^` + ws + `\p{L}\p{N}]+[\r\n]*|[` + ws + `]*[\r\n]+)`
	wsHeadQwen = `^(?:(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^` + ws + `\p{L}\p{N}]+[\r\n]*|[` + ws + `]*[\r\n]+)`
	wsHead35   = `^(?:(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^` + ws + `\p{L}\p{M}\p{N}]+[\r\n]*|[` + ws + `]*[\r\n]+)`
	wsHeadGPT2 = `^(?:'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^` + ws + `\p{L}\p{N}]+)`
)

var (
	modelSpaces = regexp.MustCompile(`^[` + ws + `]+`)
	modelLlama3 = lookAhead(wsHead)
	modelQwen2  = lookAhead(wsHeadQwen)
	modelQwen35 = lookAhead(wsHead35)
	modelGPT2   = lookAhead(wsHeadGPT2)
)

// lookAhead splits by head|\s+(?!\S)|\s+, where every character matches.
func lookAhead(head string) func(string) []string {
	re := regexp.MustCompile(head)
	return func(text string) (out []string) {
		for text != "" {
			m := re.FindString(text)
			if m == "" {
				m = modelSpaces.FindString(text)
				if len(m) < len(text) {
					if _, n := utf8.DecodeLastRuneInString(m); n < len(m) {
						m = m[:len(m)-n]
					}
				}
			}
			out = append(out, m)
			text = text[len(m):]
		}
		return out
	}
}

// each splits by an expression that may leave gaps.
func each(expr string) func(string) []string {
	re := regexp.MustCompile(expr)
	return func(text string) (out []string) {
		p := 0
		for _, m := range re.FindAllStringIndex(text, -1) {
			if m[0] > p {
				out = append(out, text[p:m[0]])
			}
			out = append(out, text[m[0]:m[1]])
			p = m[1]
		}
		if p < len(text) {
			out = append(out, text[p:])
		}
		return out
	}
}

func chain(stages ...func(string) []string) func(string) []string {
	return func(text string) []string {
		list := []string{text}
		for _, stage := range stages {
			var next []string
			for _, p := range list {
				next = append(next, stage(p)...)
			}
			list = next
		}
		return list
	}
}

// texts generates text rich in the characters the splitters tell apart.
func texts() *rapid.Generator[string] {
	parts := strings.Split("aZéß你λ12 9½٣Ⅷ    \t\n\r\n\u00a0\u3000\u0085\u2028.,;!?-'’'`$+<=>^~|_#@&*()«»。、🙂\u200d\u0301\u00adſ\x00\x1f\uFFFD\U0010FFFF▁", "")
	parts = append(parts, "'s", "'LL", "'re", "'Ve", "'d", "'M", "'t", "'lx", "123", "12345", "  ", "\r\n", "\n\n", "it", "Word")
	part := rapid.SampledFrom(parts)
	return rapid.Custom(func(t *rapid.T) string {
		text := strings.Join(rapid.OneOf(rapid.SliceOfN(part, 0, 8), rapid.SliceOfN(part, 24, 48)).Draw(t, "parts"), "")
		text += rapid.OneOf(rapid.Just(""), rapid.String()).Draw(t, "tail")
		return strings.ToValidUTF8(text, "?")
	})
}

// TestSplitAgainstRegexp compares the scanners with the expressions they stand
// for.
func TestSplitAgainstRegexp(t *testing.T) {
	for name, model := range map[string]func(string) []string{
		"llama-bpe": modelLlama3,
		"qwen2":     modelQwen2,
		"qwen35":    modelQwen35,
		"gpt-2":     modelGPT2,
		"default":   chain(each("[\\p{P}\\$\\+<=>\\^~\\|]+"), modelGPT2, each(`\p{N}+`), each(`[0-9][0-9][0-9]`)),
		"falcon":    chain(each("[\\p{P}\\$\\+<=>\\^~\\|`]+"), modelGPT2, each(`[0-9][0-9][0-9]`)),
		"starcoder": chain(each(`\p{N}`), modelGPT2),
	} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				text := texts().Draw(t, "text")
				var want []string
				if text != "" {
					want = model(text)
				}
				got := pieces(preTokenizers[name].split, text)
				if !slices.Equal(got, want) {
					t.Fatalf("%q\n got %q\nwant %q", text, got, want)
				}
			})
		})
	}
}
